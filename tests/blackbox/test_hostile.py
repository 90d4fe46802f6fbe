"""Company on the open internet: slow clients, clients by the hundred, clients from elsewhere."""
import socket
import threading

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

    def test_deliveries_are_taken_while_slow_clients_hold_all_places(self):
        daemon = self.new_daemon(max_connections=20, ingress_threads=2)
        self.hold_open(daemon, SLOW)
        for event in job_events(5):
            with daemon.client() as client:  # as GitHub does: a connection each
                self.assertEqual(client.deliver(event).outcome, (202, "accepted"))

    def test_deliveries_are_taken_while_slow_clients_keep_coming(self):
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

    def test_one_address_does_not_take_the_places_of_others(self):
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

    def test_what_is_announced_and_not_sent_takes_nothing(self):
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

    def test_who_goes_on_failing_is_overtaken_by_who_signs(self):
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


class Strangers(harness.BlackBoxTest):
    def deliver(self, daemon, forwarded=None):
        event = Run().requested()
        headers = delivery_headers(event)
        if forwarded is not None:
            headers["X-Forwarded-For"] = forwarded
        with daemon.client() as client:
            return client.request("POST", "/webhook", event.body, headers).status

    def test_who_is_not_allowed_gets_no_answer(self):
        daemon = self.new_daemon(allow_from="192.0.2.0/24, 2001:db8::/32", log_level="debug")
        self.assertEqual(raw_exchange(daemon.address, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"), b"")
        wait_until(lambda: "not in allow-from" in daemon.log, what="the line that tells it")
        self.assertEqual(daemon.admin("/health").status, 200)

    def test_who_is_allowed_comes_in_by_either_family(self):
        if not has_ipv6():
            self.skipTest("no IPv6 here")
        daemon = self.new_daemon(listen="[::]:0", allow_from="127.0.0.0/8")
        daemon.address = ("127.0.0.1", daemon.address[1])
        self.assertEqual(self.deliver(daemon), 202)
        self.assertEqual(raw_exchange(("::1", daemon.address[1]), b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"), b"")

    def test_behind_a_trusted_proxy_the_client_is_judged(self):
        daemon = self.new_daemon(allow_from="192.0.2.0/24", trusted_proxies="127.0.0.0/8 10.0.0.0/8")
        for forwarded, status in (("192.0.2.1", 202), ("192.0.2.1, 10.1.2.3", 202), ("192.0.2.1:4711", 202),
                                  ("203.0.113.1, 192.0.2.1", 202), ("192.0.2.1, 203.0.113.1", 403),
                                  ("203.0.113.1", 403), ("unknown", 403), ("10.1.2.3", 403), ("", 403), (None, 403)):
            with self.subTest(forwarded=forwarded):
                self.assertEqual(self.deliver(daemon, forwarded), status)

    def test_without_trusted_proxies_the_field_says_nothing(self):
        daemon = self.new_daemon(allow_from="127.0.0.0/8")
        self.assertEqual(self.deliver(daemon, "203.0.113.1"), 202)

    def test_a_network_that_is_none_is_refused_at_the_start(self):
        result = run_command("serve", "--insecure-no-signature", "--allow-from=192.0.2.1/24")
        self.assertEqual(result.returncode, 2)
        self.assertIn("--allow-from", result.stderr)
