"""A load that goes on while a daemon restarts: deliveries, each on a connection of its own, and idle connections."""
import collections
import concurrent.futures
import http.client
import socket
import threading
import time

import harness
import payloads

Restart = collections.namedtuple("Restart", "stop ready")


class Load:
    """Delivers to `address`, `rate` times a second until end(), whether or not the ones before are answered: senders that
    wait would hide how many could have been refused meanwhile. `answered` counts by status, `refused` and `broken` what
    had no answer, `causes` why."""
    AT_A_TIME = 400

    def __init__(self, address, rate=200, timeout=20):
        self.address, self.timeout, self.pause = address, timeout, 1 / rate
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.answered, self.causes = collections.Counter(), collections.Counter()
        self.refused, self.broken, self.slowest, self.lost = 0, 0, 0.0, 0
        self.pool = concurrent.futures.ThreadPoolExecutor(self.AT_A_TIME)
        self.thread = threading.Thread(target=self._send_all, daemon=True)
        self.thread.start()

    def _send_all(self):
        job, due = payloads.Run().job(), time.monotonic()
        while not self.ended.is_set():
            job.id = payloads.new_id()
            self.pool.submit(self._send, job.queued())
            due = max(due + self.pause, time.monotonic() - 1)  # what a slow machine missed is not made up for
            self.ended.wait(max(0, due - time.monotonic()))

    def _send(self, event):
        begin, status, fault = time.monotonic(), 0, None
        try:
            with harness.Client(self.address, self.timeout) as client:
                status = client.deliver(event).status
        except (OSError, http.client.HTTPException) as error:
            fault = error
        with self.lock:
            self.slowest = max(self.slowest, time.monotonic() - begin)
            if status:
                self.answered[status] += 1
            elif isinstance(fault, ConnectionRefusedError):
                self.refused += 1
            else:
                self.broken += 1
                self.causes[f"{type(fault).__name__} {fault}"] += 1

    def take(self):
        """(refused, broken, slowest answer) since the last call."""
        with self.lock:
            taken = self.refused, self.broken, self.slowest
            self.lost += self.refused + self.broken
            self.refused = self.broken = 0
            self.slowest = 0.0
        return taken

    def end(self):
        self.ended.set()
        self.thread.join()
        self.pool.shutdown()

    @property
    def total(self):
        return sum(self.answered.values()) + self.lost + self.refused + self.broken


class Idle:
    """Keep-alive connections as proxies have them: one request, then silence; those that are closed come again."""

    def __init__(self, address, count=32):
        self.address, self.count, self.ended = address, count, threading.Event()
        self.connections = []
        self.thread = threading.Thread(target=self._keep, daemon=True)
        self.thread.start()

    def _open(self):
        connection = socket.create_connection(self.address, timeout=20)
        try:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            connection.recv(4096)
        except OSError:
            pass
        connection.setblocking(False)
        return connection

    def _is_closed(self, connection):
        try:
            return connection.recv(4096) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _keep(self):
        while not self.ended.wait(0.05):
            for connection in [each for each in self.connections if self._is_closed(each)]:
                self.connections.remove(connection)
                connection.close()
            try:
                while len(self.connections) < self.count and not self.ended.is_set():
                    self.connections.append(self._open())
            except OSError:
                pass  # refused: in the next turn

    def end(self):
        self.ended.set()
        self.thread.join(30)
        for connection in self.connections:
            connection.close()


def restart(daemon):
    """Stops it and starts it again; how long each took, in seconds."""
    begin = time.monotonic()
    guard = threading.Timer(harness.PATIENCE, daemon.process.kill)
    guard.start()
    daemon.process.terminate()
    daemon.process.wait()  # with a time-out it would look every 50 ms only, and refusals be those of this script
    guard.cancel()
    daemon.stop()
    stopped = time.monotonic()
    daemon.start()
    return Restart(stopped - begin, time.monotonic() - stopped)
