"""Stopping and starting again without losing deliveries: socket activation, the end of connections, signals."""
import os
import signal
import socket
import subprocess
import time

import harness
import restarting
from harness import BINARY, Client, SECRET, delivery_headers, wait_until
from payloads import Run


def new_event():
    return Run().job().queued()


def request(event):
    lines = [f"{name}: {value}" for name, value in delivery_headers(event).items()]
    head = "POST /webhook HTTP/1.1\r\nHost: x\r\n" + "\r\n".join(lines) + f"\r\nContent-Length: {len(event.body)}\r\n\r\n"
    return head.encode() + event.body


def read_all(connection):
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


class Activation(harness.BlackBoxTest):
    def new_socket(self):
        listener = harness.listening_socket()
        self.addCleanup(listener.close)
        return listener

    def test_passed_sockets_are_used_and_named_in_the_log(self):
        webhook, admin = self.new_socket(), self.new_socket()
        daemon = self.new_daemon(sockets={"admin": admin, "webhook": webhook}, listen="127.0.0.1:1")
        self.assertEqual(daemon.address, webhook.getsockname())
        self.assertEqual(daemon.admin_address, admin.getsockname())
        self.assertRegex(daemon.log, r"msg=ready .*sockets=webhook,admin")
        self.assertRegex(daemon.log, r"listen: 127\.0\.0\.1:1 is not used.*passed a socket at 127\.0\.0\.1:%d" % daemon.address[1])
        daemon.accept(new_event())
        self.assertEqual(daemon.admin("/health").status, 200)
        self.assertEqual(daemon.admin("/metrics").status, 200)

    def test_connections_made_while_none_runs_are_answered_after_the_start(self):
        webhook = self.new_socket()
        daemon = self.new_daemon(sockets={"webhook": webhook}, ingress_threads="3")
        daemon.stop()
        waiting = []
        for _ in range(20):
            connection = socket.create_connection(webhook.getsockname(), timeout=harness.PATIENCE)
            self.addCleanup(connection.close)
            connection.sendall(request(new_event()))
            waiting.append(connection)
        daemon.start()
        for connection in waiting:
            self.assertIn(b" 202 ", connection.recv(4096).split(b"\r\n")[0])

    def test_restarts_under_load_answer_every_connection(self):
        hanging = self.new_socket()  # a collector that accepts and says nothing
        webhook = self.new_socket()
        daemon = self.new_daemon(sockets={"webhook": webhook}, otlp_endpoint="http://127.0.0.1:%d" % hanging.getsockname()[1])
        load, idle = restarting.Load(webhook.getsockname(), rate=80, timeout=harness.PATIENCE), \
            restarting.Idle(webhook.getsockname(), 8)
        try:
            for _ in range(5):
                before = sum(load.answered.values())
                restarting.restart(daemon)
                wait_until(lambda: sum(load.answered.values()) > before + 8, what="answers after the start")
        finally:
            load.end()
            idle.end()
        self.assertEqual((load.refused, load.broken, dict(load.causes)), (0, 0, {}))
        self.assertEqual(set(load.answered), {202})

    def run_with(self, command, sockets, **settings):
        arguments, passing = harness.activated([BINARY, command, "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
                                                f"--db={self.new_folder()}/db"], sockets)
        return subprocess.run(arguments, env=harness.clean_environment({"GITHUB_WEBHOOK_SECRET": SECRET, **settings}),
                              capture_output=True, text=True, timeout=harness.PATIENCE, check=False, **passing)

    def test_check_names_the_sockets(self):
        listener = self.new_socket()
        done = self.run_with("check", {"webhook": listener})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("socket activation: webhook at 127.0.0.1:%d  (descriptor 3)" % listener.getsockname()[1], done.stdout)
        self.assertNotIn("socket activation: admin", done.stdout)

    def test_ambiguous_sockets_are_refused_with_a_message(self):
        listener, other = self.new_socket(), self.new_socket()
        path = self.new_folder() + "/socket"
        local = socket.socket(socket.AF_UNIX)
        self.addCleanup(local.close)
        local.bind(path)
        local.listen()
        client = socket.create_connection(listener.getsockname())
        self.addCleanup(client.close)
        for sockets, words in (({"webhok": listener}, 'named "webhok"'), ({"otlp": listener}, "does not receive OTLP"),
                               ({"unknown": listener, "ghatrace.socket": other}, "have no names"),
                               ({"webhook": client}, "Accept=no"), ({"webhook": local}, "unix socket")):
            for command in ("check", "serve"):
                with self.subTest(sockets=list(sockets), command=command):
                    done = self.run_with(command, sockets)
                    self.assertEqual(done.returncode, 2, done.stderr)
                    self.assertIn(words, done.stderr)
                    self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_sockets_for_another_process_are_not_used(self):
        daemon = self.new_daemon(start=False)
        daemon.env = {"LISTEN_PID": "1", "LISTEN_FDS": "1"}
        daemon.start()
        self.assertRegex(daemon.log, r"LISTEN_PID is 1, but this process is \d+")
        self.assertRegex(daemon.log, r"msg=ready .*sockets=none")
        daemon.accept(new_event())


class Stopping(harness.BlackBoxTest):
    def test_a_request_on_a_kept_connection_is_answered_and_the_connection_ends(self):
        daemon = self.new_daemon()
        with Client(daemon.address) as client:
            self.assertEqual(client.deliver(new_event()).status, 202)
            daemon.process.send_signal(signal.SIGTERM)
            wait_until(lambda: "msg=stopping" in daemon.log, what="the stop")
            answer = client.deliver(new_event())
            self.assertEqual(answer.status, 202)
            self.assertEqual(answer.headers["Connection"], "close")
        daemon.stop()

    def test_idle_connections_are_closed_and_do_not_hold_up_the_stop(self):
        daemon = self.new_daemon()
        with socket.create_connection(daemon.address, timeout=harness.PATIENCE) as silent, Client(daemon.address) as client:
            self.assertEqual(client.deliver(new_event()).status, 202)
            begin = time.monotonic()
            daemon.process.send_signal(signal.SIGTERM)
            self.assertEqual(read_all(silent), b"")
            self.assertEqual(client.connection.sock.recv(1), b"")
            self.assertEqual(daemon.process.wait(harness.PATIENCE), 0)
            # A second, and what a busy machine adds; the time for idle connections is 75 s, that of a stop 5 s.
            self.assertLess(time.monotonic() - begin, 4.5)
        daemon.stop()

    def test_queued_connections_are_served_before_the_port_closes(self):
        for threads in ("1", "3"):
            with self.subTest(threads=threads):
                daemon = self.new_daemon(ingress_threads=threads)
                daemon.process.send_signal(signal.SIGSTOP)
                waiting = []
                for _ in range(60):
                    connection = socket.create_connection(daemon.address, timeout=harness.PATIENCE)
                    connection.sendall(request(new_event()))
                    waiting.append(connection)
                daemon.process.send_signal(signal.SIGTERM)
                daemon.process.send_signal(signal.SIGCONT)
                for connection in waiting:
                    with connection:
                        self.assertIn(b" 202 ", read_all(connection).split(b"\r\n")[0])
                self.assertEqual(daemon.process.wait(harness.PATIENCE), 0)
                daemon.stop()

    def test_clients_that_never_close_do_not_hold_up_the_stop(self):
        daemon = self.new_daemon()
        with socket.create_connection(daemon.address, timeout=harness.PATIENCE) as connection:
            connection.sendall(request(new_event()).replace(b"Host: x", b"Host: x\r\nConnection: close"))
            self.assertIn(b" 202 ", connection.recv(4096))
            begin = time.monotonic()
            daemon.stop()
            self.assertLess(time.monotonic() - begin, 4.5)

    def half_a_request(self, daemon):
        connection = socket.create_connection(daemon.address, timeout=harness.PATIENCE)
        self.addCleanup(connection.close)
        event = new_event()
        connection.sendall(request(event)[:300])
        time.sleep(0.2)
        return connection, request(event)[300:]

    def test_a_signal_that_comes_twice_within_a_moment_means_the_same(self):
        for first, second in ((signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)):
            with self.subTest(first=first, second=second):
                daemon = self.new_daemon()
                connection, rest = self.half_a_request(daemon)
                daemon.process.send_signal(first)
                daemon.process.send_signal(second)
                wait_until(lambda: "msg=stopping" in daemon.log, what="the stop")
                daemon.process.send_signal(second)
                connection.sendall(rest)
                self.assertIn(b" 202 ", read_all(connection).split(b"\r\n")[0])
                self.assertEqual(daemon.process.wait(harness.PATIENCE), 0)
                daemon.stop()
                self.assertNotIn("stopped at once", daemon.log)

    def test_a_later_signal_cuts_the_stop_short_and_is_logged(self):
        daemon = self.new_daemon(start=False)
        # The process ends in the middle of everything: threads that were not waited for are no fault then.
        daemon.env = {"TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", "") + " report_thread_leaks=0"}
        daemon.start()
        connection, _ = self.half_a_request(daemon)
        daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "msg=stopping" in daemon.log, what="the stop")
        time.sleep(1.2)
        daemon.process.send_signal(signal.SIGHUP)  # means nothing any more
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.wait(harness.PATIENCE)
        daemon.stop(expect=1)
        self.assertRegex(daemon.log, r'msg="stopped at once: another signal.* signal=SIGTERM')
        connection.close()
