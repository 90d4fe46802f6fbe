"""/metrics while many read it, slowly, in part, compressed, over old HTTP: the same rows, and little memory."""
import contextlib
import gzip
import http.client
import re
import shutil
import socket
import struct
import subprocess
import time
import unittest
import zlib

import harness
from harness import wait_until
from payloads import Repository, Run

SETS = 120  # some 2 MB
SLOW = 50
CONNECTIONS = 128  # to the admin listener
# What differs between two answers though nothing was delivered.
MOVING = re.compile(r"^(process_|ghatrace_(jobs_oldest_age|pool_oldest_wait|pool_open_wait|commit|connections|store_used|store_free|log_lines|notes))")


def fill(daemon):
    for number in range(SETS):
        run = Run(repository=Repository(f"acme/service-{number}"), workflow=f"Build, test and publish {number}")
        run.job().labels = ["self-hosted", f"pool-{number % 30}"]
        daemon.accept(*run.timeline())
    waiting = Run(repository=Repository("acme/waiting"))
    daemon.accept(waiting.requested(), waiting.job().queued())


def rows(text):
    """Those that are equal from one answer to the next, in their order."""
    return [line for line in text.splitlines() if not MOVING.match(line)]


def get(daemon, headers=None):
    with harness.Client(daemon.admin_address) as client:
        return client.request("GET", "/metrics", headers={"Host": "localhost", **(headers or {})})


def connect(daemon, request, receive=4096):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    client.settimeout(harness.PATIENCE)
    client.connect(daemon.admin_address)
    client.sendall(request)
    return client


def read_to_the_end(client):
    parts = []
    while part := client.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def ask(version="1.1", fields="", method="GET"):
    return f"{method} /metrics HTTP/{version}\r\nHost: localhost\r\n{fields}\r\n".encode()


def open_readers(daemon):
    """Transactions that read: slots of LMDB's table with a process. Each slot has 64 bytes: the transaction, the process."""
    table = (daemon.folder / "db" / "lock.mdb").read_bytes()
    slots = [struct.unpack_from("=QI", table, at) for at in range(128, len(table) - 63, 64)]
    assert table[:4] == b"\xde\xc0\xef\xbe" and slots[0][0] != 0, "the table has another form"
    return sum(process != 0 for _, process in slots)


class Scrapes(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.daemon = harness.Daemon(cls.new_folder(), root_grace="1s", metrics_labels=harness.LABELS_BEFORE).start()
        cls.addClassCleanup(cls.daemon.stop)
        fill(cls.daemon)
        wait_until(lambda: f"ghatrace_finished_runs {SETS}\n" in get(cls.daemon).text, what="finished runs")
        cls.whole = get(cls.daemon)

    def tearDown(self):
        wait_until(lambda: get(self.daemon).status == 200, what="an answer")
        super().tearDown()

    def test_each_row_is_there_once_however_it_is_read(self):
        self.assertGreater(len(self.whole.body), 1 << 20)
        expected = rows(self.whole.text)
        self.assertEqual(len(expected), len(set(expected)))
        self.assertEqual(self.whole.headers["Transfer-Encoding"], "chunked")
        packed = get(self.daemon, {"Accept-Encoding": "gzip"})
        self.assertEqual(packed.headers["Content-Encoding"], "gzip")
        self.assertLess(len(packed.body), len(self.whole.body) / 10)
        self.assertEqual(rows(gzip.decompress(packed.body).decode()), expected)
        with contextlib.closing(connect(self.daemon, ask("1.0"))) as client:
            head, _, body = read_to_the_end(client).partition(b"\r\n\r\n")
        self.assertIn(b"Connection: close", head)
        self.assertNotIn(b"Transfer-Encoding", head)
        self.assertEqual(rows(body.decode()), expected)
        with contextlib.closing(connect(self.daemon, ask(fields="Connection: close\r\n"))) as client:
            answer = http.client.HTTPResponse(client)
            answer.begin()
            read = b""
            while part := answer.read(20000):
                read += part
                time.sleep(0.002)
        self.assertEqual(rows(read.decode()), expected)

    def test_compression_is_used_only_if_it_is_asked_for(self):
        for field, coding in (("gzip", "gzip"), ("br, gzip;q=0.5", "gzip"), ("*", "gzip"), ("gzip;q=0", None), ("deflate, br", None),
                              ("gzip;q=0, *", None), ("identity", None), (None, None)):
            answer = get(self.daemon, {"Accept-Encoding": field} if field else {"Accept-Encoding": ""})
            self.assertEqual(answer.headers["Content-Encoding"], coding, field)
            self.assertEqual(answer.headers["Vary"], "Accept, Accept-Encoding")
            self.assertEqual(answer.body[:2] == b"\x1f\x8b", coding == "gzip")

    def test_the_next_request_on_the_connection_is_answered(self):
        with harness.Client(self.daemon.admin_address) as client:
            for method, fields in (("GET", {}), ("HEAD", {}), ("GET", {"Accept-Encoding": "gzip"}), ("HEAD", {"Accept-Encoding": "gzip"}), ("GET", {})):
                answer = client.request(method, "/metrics", headers={"Host": "localhost", **fields})
                self.assertEqual((answer.status, answer.body == b""), (200, method == "HEAD"))
                self.assertEqual(answer.headers["Content-Encoding"] == "gzip", fields != {})

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not here")
    def test_promtool_accepts_all_of_it(self):
        text = zlib.decompress(get(self.daemon, {"Accept-Encoding": "gzip"}).body, 31)
        result = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
        self.assertEqual((result.returncode, result.stderr), (0, b""))

    def test_slow_clients_cost_little_memory_and_hold_no_reader(self):
        before = self.daemon.own_kib()
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(contextlib.closing(connect(self.daemon, ask(fields="Connection: close\r\n" + fields))))
                       for fields in ("", "Accept-Encoding: gzip\r\n") * (SLOW // 2)]
            most = [before]

            def is_quiet():
                readers = 0
                for _ in range(10):
                    time.sleep(0.01)
                    most.append(self.daemon.own_kib())
                    readers += open_readers(self.daemon)
                return readers == 0
            wait_until(is_quiet, what="nothing that is read while clients do not read")
            if "asan" not in harness.BINARY and "tsan" not in harness.BINARY:  # these keep what is freed
                self.assertLess((max(most) - before) / SLOW, 300, "KiB for each")
            self.assertEqual(self.daemon.admin("/ready").status, 200)
            for client in clients:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            for client, is_gzip in zip(clients, (False, True) * (SLOW // 2)):
                answer = http.client.HTTPResponse(client)
                answer.begin()
                body = answer.read()
                text = gzip.decompress(body) if is_gzip else body
                self.assertEqual(len(rows(text.decode())), len(rows(self.whole.text)))

    def test_clients_that_disconnect_midway_leave_nothing_behind(self):
        for _ in range(3):
            clients = [connect(self.daemon, ask()) for _ in range(CONNECTIONS - 8)]
            for client in clients[::2]:
                client.recv(1000)
            for client in clients:
                client.close()
        wait_until(lambda: get(self.daemon).status == 200, what="room for an answer")
        self.assertEqual(rows(get(self.daemon).text), rows(self.whole.text))
        self.assertEqual(open_readers(self.daemon), 0)

    def test_clients_that_read_nothing_do_not_keep_others_out(self):
        with contextlib.ExitStack() as stack:
            for _ in range(CONNECTIONS + 20):
                stack.enter_context(contextlib.closing(connect(self.daemon, ask())))
            for _ in range(5):
                self.assertEqual(rows(get(self.daemon).text), rows(self.whole.text))

    def test_an_answer_that_the_stop_cuts_short_does_not_look_whole(self):
        daemon = self.new_daemon(metrics_labels=harness.LABELS_BEFORE)
        fill(daemon)
        clients = [connect(daemon, ask(version)) for version in ("1.1", "1.0")]
        for client in clients:
            client.recv(1000)
        daemon.stop()
        for client in clients:
            with contextlib.closing(client), self.assertRaises(ConnectionError):
                read_to_the_end(client)


if __name__ == "__main__":
    unittest.main()
