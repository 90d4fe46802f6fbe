"""Company on the open internet: slow clients, clients by the hundred, clients from elsewhere."""
import socket
import threading
import time

import harness
from harness import delivery_headers, raw_exchange, run_command, wait_until
from payloads import Run

SLOW = 300
PARTS = (b"", b"P", b"POST /webhook HTTP/1.1\r\n", b"POST /webhook HTTP/1.1\r\nHost: x\r\nX-Slow: ")


def job_events(count):
    run = Run()
    for _ in range(count):
        run.job()
    return run.timeline()


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


class SlowClients(harness.BlackBoxTest):
    def hold_open(self, daemon, count):
        """Connections that never finish a request's head."""
        held = []
        for i in range(count):
            connection = socket.create_connection(daemon.address, timeout=harness.PATIENCE)
            self.addCleanup(connection.close)
            try:
                connection.sendall(PARTS[i % len(PARTS)])
            except OSError:
                pass  # has made room already
            held.append(connection)
        return held

    def test_deliveries_are_accepted_while_slow_clients_hold_all_connections(self):
        daemon = self.new_daemon(max_connections=20, ingress_threads=2)
        self.hold_open(daemon, SLOW)
        for event in job_events(5):
            with daemon.client() as client:  # as GitHub does: a connection each
                self.assertEqual(client.deliver(event).outcome, (202, "accepted"))

    def test_deliveries_are_accepted_while_slow_clients_keep_connecting(self):
        daemon = self.new_daemon(max_connections=20, ingress_threads=1)
        stop, count = threading.Event(), [0]

        def come_again():
            held = []
            while not stop.is_set():
                held.append(socket.create_connection(daemon.address, timeout=harness.PATIENCE))
                try:
                    held[-1].sendall(b"POST /webhook HT")
                except OSError:
                    pass
                if len(held) > SLOW:
                    held.pop(0).close()
                count[0] += 1
                stop.wait(0.001)
            for connection in held:
                connection.close()
        threads = [threading.Thread(target=come_again) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: count[0] > 100, what="the slow clients")
            for event in job_events(40):
                with daemon.client() as client:
                    self.assertEqual(client.deliver(event).outcome, (202, "accepted"))
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def test_one_address_does_not_use_up_the_connections_of_others(self):
        daemon = self.new_daemon(listen="0.0.0.0:0", max_connections=64, max_connections_per_address=4,
                                 ingress_threads=1, log_level="debug")
        address = ("127.0.0.1", daemon.address[1])
        held = [socket.create_connection(address, timeout=harness.PATIENCE) for _ in range(40)]
        for connection in held[:36]:
            self.assertEqual(connection.recv(1), b"")  # made room for those behind it
        other = socket.create_connection(address, timeout=harness.PATIENCE, source_address=("127.0.0.2", 0))
        other.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(other.recv(64).startswith(b"HTTP/1.1 200 "))
        held[-1].sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(held[-1].recv(64).startswith(b"HTTP/1.1 200 "))
        for connection in held + [other]:
            connection.close()


def pipeline_unread(connection, request, most):
    """Sends one request after the other and reads nothing, until the daemon has taken no more for two seconds, or `most`
    bytes are sent. Returns how many requests were sent completely."""
    connection.settimeout(2)
    data, sent = request * (65536 // len(request) + 1), 0
    try:
        while sent < most:
            sent += connection.send(data[sent % len(request):])
    except TimeoutError:
        pass
    except OSError:
        pass  # closed for that
    return sent // len(request)


def count_answers(connection, count):
    """Reads until `count` answers have begun to come, or the end."""
    connection.settimeout(harness.PATIENCE)
    mark, found, rest = b"HTTP/1.1 200 ", 0, b""
    while found < count and (piece := connection.recv(1 << 20)):
        found += (rest + piece).count(mark)
        rest = (rest + piece)[-len(mark) + 1:]
    return found


class UnreadAnswers(harness.BlackBoxTest):
    def connect(self, address):
        connection = socket.socket()
        self.addCleanup(connection.close)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.connect(address)
        return connection

    def assert_little_memory(self, daemon, before, most):
        if "asan" not in harness.BINARY and "tsan" not in harness.BINARY:  # these keep what is freed
            self.assertLess(daemon.own_kib() / 1024 - before, most)

    def test_requests_behind_unread_answers_are_not_read(self):
        daemon = self.new_daemon(ingress_threads=1)
        before = daemon.own_kib() / 1024
        for request in (b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n",
                        b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",  # 401, and goes on
                        b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"):
            connection = self.connect(daemon.address)
            sent = pipeline_unread(connection, request, 30 << 20)
            self.assertLess(sent * len(request), 20 << 20)  # the kernel's buffers hold some 3 MB
            self.assert_little_memory(daemon, before, 8)
        daemon.accept(*job_events(2))

    def test_requests_behind_unread_answers_are_answered_once_they_are_read(self):
        daemon = self.new_daemon(ingress_threads=1)
        connection = self.connect(daemon.address)
        sent = pipeline_unread(connection, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 30 << 20)
        self.assertEqual(count_answers(connection, sent), sent)

    def test_figures_that_are_not_read_are_made_once(self):
        daemon = self.new_daemon()
        before = daemon.own_kib() / 1024
        for path in ("/metrics", "/", "/api/runs"):
            connection = self.connect(daemon.admin_address)
            pipeline_unread(connection, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), 3 << 20)
            self.assert_little_memory(daemon, before, 8)
        self.assertEqual(daemon.admin("/metrics").status, 200)

    def test_a_client_that_ends_its_side_and_reads_nothing_uses_little_memory(self):
        daemon = self.new_daemon(ingress_threads=1)
        before = daemon.own_kib() / 1024
        for _ in range(50):
            connection = self.connect(daemon.address)
            connection.setblocking(False)
            for _ in range(20):  # some 3.4 MB of answers
                try:
                    connection.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
                except BlockingIOError:
                    time.sleep(0.005)
            connection.shutdown(socket.SHUT_WR)
        time.sleep(1)
        self.assert_little_memory(daemon, before, 12)  # 50 times 64 KiB of answers, and of requests
        daemon.accept(*job_events(2))


class SlowBodies(harness.BlackBoxTest):
    HEAD = (b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-GitHub-Event: workflow_job\r\n"
            b"X-GitHub-Delivery: 4d8ed510-a74e-11f1-8000-000000000000\r\n"
            b"X-Hub-Signature-256: sha256=" + b"0" * 64 + b"\r\n")

    def begin(self, daemon, source, framing=b"Content-Length: 1000\r\n\r\n"):
        connection = socket.create_connection(daemon.address, timeout=harness.PATIENCE, source_address=(source, 0))
        self.addCleanup(connection.close)
        try:
            connection.sendall(self.HEAD + framing)
        except OSError:
            pass  # has made room already
        return connection

    def test_deliveries_are_accepted_while_stalled_bodies_hold_all_connections(self):
        daemon = self.new_daemon(max_connections=20, max_connections_per_address=4, ingress_threads=2)
        framings = (b"Content-Length: 1000\r\n\r\n", b"Content-Length: 1000\r\n\r\n[", b"Transfer-Encoding: chunked\r\n\r\n",
                    b"Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n")
        for i in range(60):
            self.begin(daemon, f"127.0.0.{2 + i // 3}", framings[i % len(framings)])
        for event in job_events(5):
            with daemon.client(timeout=20) as client:  # they would hold them for 30 s
                self.assertEqual(client.deliver(event).outcome, (202, "accepted"))

    def test_a_body_that_stalls_is_ended_before_the_whole_requests_time(self):
        daemon = self.new_daemon(ingress_threads=1)
        held = [self.begin(daemon, "127.0.0.2"), self.begin(daemon, "127.0.0.3", b"Content-Length: 100000\r\n\r\n" + b"[" * 9000),
                self.begin(daemon, "127.0.0.4", b"Transfer-Encoding: chunked\r\n\r\n")]
        for connection in held:
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
            self.assertTrue(answer.startswith(b"HTTP/1.1 408 "), answer)
            self.assertIn(b"too slowly", answer)


class LargeBodies(harness.BlackBoxTest):
    SIZE = 1 << 20

    def begin_body(self, daemon, sent):
        """A large body that stops short; how many bytes of it are sent."""
        connection = socket.create_connection(daemon.address, timeout=harness.PATIENCE)
        self.addCleanup(connection.close)
        head = (f"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Hub-Signature-256: sha256={'0' * 64}\r\n"
                f"Content-Length: {self.SIZE}\r\n\r\n")
        connection.sendall(head.encode() + b" " * sent)
        return connection

    def large(self):
        event = Run().requested()
        return event.with_body(event.body[:-1] + b" " * (self.SIZE - len(event.body)) + b"}")

    def test_large_bodies_share_their_memory_and_get_it_back(self):
        daemon = self.new_daemon(max_payload="1MiB", max_payload_memory="1MiB", ingress_threads=2)
        held = self.begin_body(daemon, self.SIZE - 1)

        def is_refused():
            with daemon.client() as client:
                answer = client.deliver(self.large())
            self.assertIn(answer.status, (202, 503))
            return answer.status == 503 and answer.headers["Retry-After"] == "5"
        wait_until(is_refused, what="the first body to have come in")
        daemon.accept(*job_events(2))  # small ones need none of it
        held.close()

        def is_taken():
            with daemon.client() as client:
                return client.deliver(self.large()).status == 202
        wait_until(is_taken, what="the memory to be free again")

    def test_announced_bytes_that_are_not_sent_use_no_memory(self):
        daemon = self.new_daemon(max_payload="1MiB", max_payload_memory="1MiB")
        for _ in range(20):
            self.begin_body(daemon, 1000)
        with daemon.client() as client:
            self.assertEqual(client.deliver(self.large()).outcome, (202, "accepted"))


class ForgedSignatures(harness.BlackBoxTest):
    FREE = 20  # failures that are answered at once

    def fail(self, client, times):
        event = Run().requested()
        for _ in range(times):
            self.assertEqual(client.deliver(event, secret="wrong").status, 401)

    def test_clients_with_valid_signatures_are_answered_before_one_that_keeps_failing(self):
        daemon = self.new_daemon()
        with daemon.client() as forger:
            self.fail(forger, self.FREE)
            event = Run().requested()
            forger.connection.request("POST", "/webhook", event.body, delivery_headers(event, secret="wrong"))
            daemon.accept(*job_events(3))  # from the same address, while the forger waits
            answer = forger.connection.getresponse()
            self.assertEqual(answer.status, 401)
            self.assertIn(b"not for the first time", answer.read())

    def test_behind_a_proxy_the_client_waits_and_not_the_proxy(self):
        daemon = self.new_daemon(trusted_proxies="127.0.0.0/8")
        event = Run().requested()
        forged = {**delivery_headers(event, secret="wrong"), "X-Forwarded-For": "192.0.2.1"}
        with daemon.client() as proxy:
            for _ in range(self.FREE + 1):
                answer = proxy.request("POST", "/webhook", event.body, forged)
                self.assertEqual(answer.status, 401)
        self.assertIn("not for the first time", answer.text)
        with daemon.client() as proxy:
            forged["X-Forwarded-For"] = "192.0.2.2"
            self.assertNotIn("not for the first time", proxy.request("POST", "/webhook", event.body, forged).text)

    def test_a_flood_of_forgeries_does_not_flood_the_log(self):
        daemon = self.new_daemon(ingress_threads=1)
        for i in range(30):
            with daemon.client() as client:
                client.connection.source_address = (f"127.0.0.{i + 2}", 0)
                self.fail(client, 10)
        lines = [line for line in daemon.log.splitlines() if "status=401" in line]
        self.assertLessEqual(len(lines), 10 * 2)  # a window may end meanwhile
        self.assertGreaterEqual(len(lines), 10)


class UntrustedClients(harness.BlackBoxTest):
    def deliver(self, daemon, forwarded=None):
        event = Run().requested()
        headers = delivery_headers(event)
        if forwarded is not None:
            headers["X-Forwarded-For"] = forwarded
        with daemon.client() as client:
            return client.request("POST", "/webhook", event.body, headers).status

    def test_clients_outside_allow_from_get_no_answer(self):
        daemon = self.new_daemon(allow_from="192.0.2.0/24, 2001:db8::/32", log_level="debug")
        self.assertEqual(raw_exchange(daemon.address, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"), b"")
        wait_until(lambda: "not in allow-from" in daemon.log, what="the line that says so")
        self.assertEqual(daemon.admin("/health").status, 200)

    def test_clients_in_allow_from_are_answered_over_ipv4_and_ipv6(self):
        if not has_ipv6():
            self.skipTest("no IPv6 here")
        daemon = self.new_daemon(listen="[::]:0", allow_from="127.0.0.0/8")
        daemon.address = ("127.0.0.1", daemon.address[1])
        self.assertEqual(self.deliver(daemon), 202)
        self.assertEqual(raw_exchange(("::1", daemon.address[1]), b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"), b"")

    def test_behind_a_trusted_proxy_the_clients_address_counts(self):
        daemon = self.new_daemon(allow_from="192.0.2.0/24", trusted_proxies="127.0.0.0/8 10.0.0.0/8")
        for forwarded, status in (("192.0.2.1", 202), ("192.0.2.1, 10.1.2.3", 202), ("192.0.2.1:4711", 202),
                                  ("203.0.113.1, 192.0.2.1", 202), ("192.0.2.1, 203.0.113.1", 403),
                                  ("203.0.113.1", 403), ("unknown", 403), ("10.1.2.3", 403), ("", 403), (None, 403)):
            with self.subTest(forwarded=forwarded):
                self.assertEqual(self.deliver(daemon, forwarded), status)

    def test_without_trusted_proxies_the_field_is_ignored(self):
        daemon = self.new_daemon(allow_from="127.0.0.0/8")
        self.assertEqual(self.deliver(daemon, "203.0.113.1"), 202)

    def test_an_invalid_network_is_refused_at_the_start(self):
        result = run_command("serve", "--insecure-no-signature", "--allow-from=192.0.2.1/24")
        self.assertEqual(result.returncode, 2)
        self.assertIn("--allow-from", result.stderr)
