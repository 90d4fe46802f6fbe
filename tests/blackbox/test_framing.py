"""HTTP as it comes over the wire: pieces, pipelines, chunks, and framing that two readers could read differently."""
import socket
import time

import harness
from harness import parse_responses, raw_exchange, sign
from payloads import Run


def new_event():
    return Run().requested()


def fields(event, *more):
    return [b"Host: hooks.example.com", b"Content-Type: application/json", b"X-GitHub-Event: " + event.type.encode(),
            b"X-GitHub-Delivery: " + event.guid.encode(), b"X-Hub-Signature-256: " + sign(event.body).encode(), *more]


def message(lines, body=b"", line=b"POST /webhook HTTP/1.1"):
    return b"\r\n".join([line, *lines]) + b"\r\n\r\n" + body


def request(event, *more, line=b"POST /webhook HTTP/1.1"):
    return message(fields(event, b"Content-Length: %d" % len(event.body), *more), event.body, line)


def chunked(body, size, extension=b""):
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in pieces) + b"0\r\n\r\n"


class Framing(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair()

    def exchange(self, data, **kinds):
        return parse_responses(raw_exchange(self.daemon.address, data, **kinds))

    def statuses(self, data, **kinds):
        return [status for status, _ in self.exchange(data, **kinds)]

    def test_pipelined_requests_are_answered_in_order(self):
        first = new_event()
        data = request(first) + request(new_event()) + request(first)
        data += message([b"Host: x"], line=b"GET /health HTTP/1.1") + request(new_event(), b"Connection: close")
        self.assertEqual(self.statuses(data), [202, 202, 200, 200, 202])

    def test_a_hundred_pipelined_requests_are_all_answered(self):
        events = [new_event() for _ in range(100)]
        data = b"".join(map(request, events[:-1])) + request(events[-1], b"Connection: close")
        self.assertEqual(self.statuses(data), [202] * 100)

    def test_a_request_may_come_byte_by_byte(self):
        data = request(new_event(), b"Connection: close")
        with socket.create_connection(self.daemon.address, timeout=harness.PATIENCE) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(600):
                connection.sendall(data[i:i + 1])
            for i in range(600, len(data), 997):
                connection.sendall(data[i:i + 997])
            answer = b""
            while piece := connection.recv(4096):
                answer += piece
        self.assertEqual(parse_responses(answer)[0][0], 202)

    def test_chunked_bodies_are_read(self):
        for size, extension in ((1 << 20, b""), (1000, b""), (7, b""), (500, b';name="a;b"'), (333, b";x=y")):
            event = new_event()
            lines = fields(event, b"Transfer-Encoding: chunked", b"Connection: close")
            with self.subTest(size=size, extension=extension):
                self.assertEqual(self.statuses(message(lines, chunked(event.body, size, extension))), [202])

    def test_chunks_may_have_trailers_and_be_followed_by_a_request(self):
        event = new_event()
        body = chunked(event.body, 4096)[:-2] + b"X-Check: 1\r\n\r\n"
        data = message(fields(event, b"Transfer-Encoding: Chunked"), body) + request(new_event(), b"Connection: close")
        self.assertEqual(self.statuses(data), [202, 202])

    def test_a_client_that_waits_for_100_continue_gets_it(self):
        event = new_event()
        lines = fields(event, b"Content-Length: %d" % len(event.body), b"Expect: 100-continue", b"Connection: close")
        with socket.create_connection(self.daemon.address, timeout=harness.PATIENCE) as connection:
            connection.sendall(message(lines))
            self.assertTrue(connection.recv(4096).startswith(b"HTTP/1.1 100"))
            connection.sendall(event.body)
            self.assertTrue(connection.recv(4096).startswith(b"HTTP/1.1 202"))

    def test_a_body_over_the_limit_is_refused_before_it_is_sent(self):
        event = new_event()
        lines = fields(event, b"Content-Length: 99999999999", b"Expect: 100-continue")
        self.assertEqual(self.statuses(message(lines)), [413])

    def test_endless_chunks_are_refused(self):
        event = new_event()
        data = message(fields(event, b"Transfer-Encoding: chunked"), b"100000\r\n" + b" " * 0x100000 + b"\r\n")
        data += (b"100000\r\n" + b" " * 0x100000 + b"\r\n") * 26
        self.assertEqual(self.statuses(data)[:1], [413])

    def test_a_target_may_name_scheme_and_host(self):
        for target in (b"http://x/webhook", b"HTTPS://hooks.example:443/webhook?a=b", b"http://[::1]/webhook"):
            with self.subTest(target):
                line = b"POST " + target + b" HTTP/1.1"
                self.assertEqual(self.statuses(request(new_event(), b"Connection: close", line=line)), [202])

    def test_http_1_0_is_answered_and_closed(self):
        self.assertEqual(self.statuses(request(new_event(), line=b"POST /webhook HTTP/1.0")), [202])

    def test_connection_close_is_honoured(self):
        answer = raw_exchange(self.daemon.address, request(new_event(), b"Connection: close"))
        self.assertIn(b"connection: close", answer.lower())

    def test_ambiguous_framing_is_refused_and_the_connection_closed(self):
        event = new_event()
        size = b"Content-Length: %d" % len(event.body)
        te = b"Transfer-Encoding: chunked"
        base = fields(event)
        follow = request(new_event())
        cases = {
            "both": message(base + [size, te], chunked(event.body, 100)),
            "both, other order": message(base + [te, size], chunked(event.body, 100)),
            "two lengths": message(base + [b"Content-Length: 5", size], event.body),
            "two lengths in one": message(base + [size + b", 5"], event.body),
            "signed length": message(base + [b"Content-Length: +%d" % len(event.body)], event.body),
            "hex length": message(base + [b"Content-Length: 0x10"], event.body),
            "negative length": message(base + [b"Content-Length: -1"], event.body),
            "empty length": message(base + [b"Content-Length:"], event.body),
            "huge length": message(base + [b"Content-Length: 99999999999999999999999"], event.body),
            "blank before colon": message(base + [b"Content-Length : %d" % len(event.body)], event.body),
            "unknown coding": message(base + [b"Transfer-Encoding: xchunked"], chunked(event.body, 100)),
            "two codings": message(base + [b"Transfer-Encoding: gzip, chunked"], chunked(event.body, 100)),
            "chunked twice": message(base + [te, te], chunked(event.body, 100)),
            "not final": message(base + [b"Transfer-Encoding: chunked, identity"], chunked(event.body, 100)),
            "bare LF": request(event).replace(b"\r\n", b"\n"),
            "bare CR": message(base + [b"X-Y: a\rb", size], event.body),
            "folded": message(base + [b"X-Y: a\r\n  b", size], event.body),
            "NUL": message(base + [b"X-Y: a\0b", size], event.body),
            "no colon": message(base + [b"X-Y", size], event.body),
            "no name": message(base + [b": y", size], event.body),
            "no host": message(base[1:] + [size], event.body),
            "two hosts": message(base + [b"Host: other", size], event.body),
            "bad chunk size": message(base + [te], b"zz\r\n" + event.body),
            "0x chunk size": message(base + [te], b"0x5\r\nhello\r\n0\r\n\r\n"),
            "negative chunk": message(base + [te], b"-5\r\nhello\r\n0\r\n\r\n"),
            "huge chunk": message(base + [te], b"fffffffffffffffff\r\n"),
            "chunk without end": message(base + [te], b"5\r\nhelloX\r\n0\r\n\r\n"),
            "target of another scheme": request(event, line=b"POST ftp://x/webhook HTTP/1.1"),
            "target with a password": request(event, line=b"POST http://a:b@x/webhook HTTP/1.1"),
            "no target": request(event, line=b"POST HTTP/1.1"),
            "two blanks": request(event, line=b"POST  /webhook HTTP/1.1"),
            "http 2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "http 3": request(event, line=b"POST /webhook HTTP/3.0"),
            "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
            "garbage": b"\xff\xfe\x00" * 50 + b"\r\n\r\n",
        }
        for name, data in cases.items():
            with self.subTest(name):
                statuses = self.statuses(data + follow)
                self.assertEqual(len(statuses), 1, f"answered {statuses}: the bytes behind must not be read")
                self.assertIn(statuses[0], (400, 413, 501, 505))

    def test_long_heads_are_refused(self):
        event = new_event()
        size = b"Content-Length: %d" % len(event.body)
        cases = {
            "long field": (message(fields(event, b"X-Y: " + b"y" * 100_000, size), event.body), (431, 400)),
            "many fields": (message(fields(event, *[b"X-Y: y"] * 2000, size), event.body), (431, 400)),
            "long target": (request(event, line=b"POST /" + b"w" * 100_000 + b" HTTP/1.1"), (414, 431, 400)),
            "long chunk line": (message(fields(event, b"Transfer-Encoding: chunked"), b"1;" + b"x" * 100_000),
                                (400, 413, 431)),
        }
        for name, (data, allowed) in cases.items():
            with self.subTest(name):
                self.assertIn(self.statuses(data)[0], allowed)

    def test_blank_lines_before_a_request_are_tolerated(self):
        self.assertIn(self.statuses(b"\r\n" + request(new_event(), b"Connection: close"))[0], (202, 400))

    def test_clients_that_disconnect_in_the_middle_do_no_harm(self):
        data = request(new_event())
        for cut in (1, 20, 300, len(data) - 1, len(data)):
            for linger in (False, True):
                connection = socket.create_connection(self.daemon.address, timeout=harness.PATIENCE)
                if linger:  # a reset instead of a farewell
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                connection.sendall(data[:cut])
                connection.close()
        for _ in range(20):
            self.daemon.accept(new_event())

    def test_a_half_closed_connection_still_gets_its_answer(self):
        self.assertEqual(self.statuses(request(new_event()), shut=True), [202])

    def test_idle_connections_do_not_stop_others(self):
        idle = [socket.create_connection(self.daemon.address) for _ in range(200)]
        try:
            for _ in range(20):
                self.daemon.accept(new_event())
        finally:
            for connection in idle:
                connection.close()

    def test_a_burst_of_connections_is_served(self):
        for _ in range(200):
            with self.daemon.client() as client:
                self.assertEqual(client.deliver(new_event()).status, 202)

    def test_requests_in_flight_at_sigterm_are_answered(self):
        daemon, collector = self.new_pair()
        event = new_event()
        data = request(event)
        with socket.create_connection(daemon.address, timeout=harness.PATIENCE) as connection:
            connection.sendall(data[:500])
            time.sleep(0.2)
            daemon.process.terminate()
            time.sleep(0.2)
            connection.sendall(data[500:])
            answer = b""
            while piece := connection.recv(4096):
                answer += piece
        daemon.process.wait(harness.PATIENCE)  # a second SIGTERM would end it at once
        daemon.stop()
        self.assertTrue(answer, "the request in flight was dropped")
        self.assertEqual(parse_responses(answer)[0][0], 202)
        self.assertEqual(daemon.start().deliver(event).outcome, (200, "duplicate"))
