"""Attacks on `otlp-listen`, for siege.py: by clients with a `job` token, with an `arc` token, or with none.

Beside them, webhooks are delivered, all of which must be answered 202, and ARC reports jobs: but for the flood, which has
ARC's token, too, each report must be answered 200 within 5 s, as long as ARC waits.
"""
import collections
import contextlib
import gzip
import http.client
import multiprocessing
import socket
import struct
import threading
import time

import harness
import payloads
import sending
from expect import Ids, ns
from sending import ARC, JOB

MIB = 1 << 20
ARC_WAITS = 5  # seconds
KNOWN = [payloads.Run() for _ in range(4)]  # delivered before the attack: half of them still run
EVENTS = []
for number, run in enumerate(KNOWN):
    run.job("build"), run.job("test", offset=2)
    EVENTS += [event for event in run.timeline() if number % 2 or event.action != "completed"]
FORGED, FORESEEN, FAIR = "forged-by-a-job", "foreseen-by-a-job", "made-by-a-job"


# --- the daemon, and its collector --------------------------------------------------------------------------------

def settings(folder):
    return {"otlp_listen": "127.0.0.1:0", "otlp_token_file": str(sending.token_file(folder)), "arc_runners": "*",
            "outbox_max_size": "32MiB"}


def read_request(connection, left):
    """The body, and what follows it; None at the end."""
    while b"\r\n\r\n" not in left:
        data = connection.recv(1 << 20)
        if not data:
            return None
        left += data
    head, _, body = left.partition(b"\r\n\r\n")
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    pieces, have = [body], len(body)
    while have < length:
        pieces.append(connection.recv(1 << 20))
        have += len(pieces[-1])
        if not pieces[-1]:
            return None
    body = b"".join(pieces)
    return body[:length], body[length:]


class Sink:
    """A collector in a process of its own, which takes everything, or nothing, and counts bytes and names."""

    def __init__(self, is_dead=False):
        status = b"503 Service Unavailable" if is_dead else b"200 OK"
        self.answer = b"HTTP/1.1 " + status + b"\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.endpoint = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.names = [FORGED, FORESEEN, FAIR]
        self.counts = multiprocessing.Array("Q", 1 + len(self.names))
        self.process = multiprocessing.Process(target=self.serve, daemon=True)
        self.process.start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.take, args=(connection,), daemon=True).start()

    def take(self, connection):
        left = b""
        with contextlib.suppress(OSError), connection:
            while (read := read_request(connection, left)) is not None:
                body, left = read
                with self.counts.get_lock():
                    self.counts[0] += len(body)
                    for i, name in enumerate(self.names):
                        self.counts[i + 1] += body.count(name.encode())
                connection.sendall(self.answer)

    def seen(self, name):
        return self.counts[1 + self.names.index(name)]

    def stop(self):
        self.process.terminate()
        self.process.join()
        self.listener.close()


# --- requests -------------------------------------------------------------------------------------------------------

def request(body, token=JOB, encoding=sending.PROTOBUF, zipped=False):
    head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {encoding}\r\nContent-Length: {len(body)}\r\n"
    head += f"Authorization: Bearer {token}\r\n" if token else ""
    head += "Content-Encoding: gzip\r\n" if zipped else ""
    return (head + "\r\n").encode() + body


def bomb(body, token=JOB, encoding=sending.PROTOBUF):
    return request(gzip.compress(body, 9), token, encoding, zipped=True)


def encoded(spans, token=JOB):
    return request(sending.protobuf(spans), token)


def send_in_turn(address, seen, stop, requests, clients):
    """`clients` connections, each of which sends the requests in turn, the next when the last is answered."""
    lock = threading.Lock()

    def one(first):
        number = first
        while not stop.is_set():
            with contextlib.suppress(OSError), socket.create_connection(address, timeout=30) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while not stop.is_set():
                    connection.sendall(requests[number % len(requests)])
                    number += 1
                    answer = connection.recv(65536)
                    if not answer:
                        break
                    with lock:
                        seen[answer[9:12].decode()] += 1
                        if b"refused: " in answer:
                            seen["refused: " + answer.partition(b"refused: ")[2].split(b'"')[0].decode()] += 1
    threads = [threading.Thread(target=one, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# --- forged ---------------------------------------------------------------------------------------------------------

def ids_of(run):
    """Of spans that exist, and of spans that will: steps that GitHub has not reported, the job after the last."""
    ids, there, foreseen = Ids(run.run_id, run.attempt), [f"{run.run_id:016x}"], []
    for job in run.jobs:
        there += [ids.job(job.job_id)]
        there += [ids.phase(name, job.job_id) for name in ("job.waiting", "runner.queue", "runner.startup", "runner.execution")]
        steps = [ids.step(job.job_id, step.name, number) for number, step in enumerate(job.steps, 1)]
        if any(event.action == "completed" and event.type == "workflow_job" and run in KNOWN[1::2] for event in run.timeline()):
            there += steps
        else:
            foreseen += steps
    foreseen.append(ids.job(max(job.job_id for job in run.jobs) + 1))
    return ids, there, foreseen


def forged(address, seen, stop):
    """Spans with IDs of ours, ARC's spans with the token of jobs, spans without a parent, wrong tokens, proxies' headers."""
    requests = []
    for run in KNOWN:
        ids, there, foreseen = ids_of(run)
        parent = ids.job(run.jobs[0].job_id)
        requests.append(encoded([sending.span(ids.trace, each, parent, FORGED) for each in there]))
        requests.append(encoded([sending.span(ids.trace, each, parent, FORESEEN) for each in foreseen]))
        requests.append(encoded([sending.span(ids.trace, "1" * 16, "", FORGED)]))
        # The IDs of ARC's spans are ours: to be refused by them.
        requests += [encoded(sending.arc_spans(job, job.created + 1), token) for job in run.jobs for token in (JOB, "x" * 20, None)]
    send_in_turn(address, seen, stop, requests, 4)


# --- bombs ----------------------------------------------------------------------------------------------------------

def times(unit, size=16 * MIB - 400):
    return unit * (size // len(unit))


def span_with(attributes, number=1):
    return sending.field(2, sending.field(1, b"\1" * 16) + sending.field(2, struct.pack(">Q", number)) +
                         sending.field(4, b"\2" * 8) + attributes)


def nested(depth):
    value = b"\x10\x01"
    for _ in range(depth):
        value = sending.field(5, sending.field(1, value))
    return sending.field(9, sending.field(1, b"k") + sending.field(2, value))


def in_scope(spans):
    return sending.field(1, sending.field(2, spans))


def bomb_requests():
    as_json = [b'{"resourceSpans":[' + times(b"1,") + b"1]}", b'{"resourceSpans":[' + times(b"{},") + b"{}]}",
               b'{"resourceSpans":[' + b"{}," * 1_900_000 + b"{}]}", times(b"["), times(b'{"a":'),
               b'{"resourceSpans":[{"schemaUrl":"' + times(b"\\u0041") + b'"}]}',
               b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":' + times(b"9") + b"}]}]}]}",
               b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + times(b"{},", 30000 * 3) + b"{}]}]}]}",
               b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[' + b"{}," * 900_000 + b"{}]}]}]}]}"]
    as_protobuf = [bytes(16 * MIB), bytes(1 << 30), times(b"\x0a\x00"), sending.field(1, times(b"\x12\x00")),
                   sending.field(1, times(b"\x0a\x00")), times(b"\x78\x01"), times(b"\x80"),
                   in_scope(b"\x12\x00" * 10000), in_scope(b"\x12\x00" * 10001), in_scope(b"\x12\x02\x60\x01" * 10000),
                   in_scope(b"".join(span_with(b"\x4a\x00" * 750, n) for n in range(1, 10001))),
                   in_scope(span_with(times(b"\x4a\x00"))), in_scope(span_with(sending.field(5, bytes(15 * MIB)))),
                   in_scope(b"".join(span_with(nested(5), n) for n in range(1, 10001))),
                   in_scope(b"".join(span_with(nested(500), n) for n in range(1, 1001)))]
    return [bomb(body, JOB, sending.JSON) for body in as_json] + [bomb(body) for body in as_protobuf] + \
        [request(b"\x0a\x00" * (2 * MIB - 100))]


def bombs(address, seen, stop):
    """Bodies of 16 MiB, most as some KiB of gzip: JSON tokens, nesting, escapes, attributes, 10,000 spans of a few bytes."""
    send_in_turn(address, seen, stop, bomb_requests(), 32)


# --- flood ----------------------------------------------------------------------------------------------------------

def flood_requests():
    run = KNOWN[1]
    ids, job = Ids(run.run_id, run.attempt), run.jobs[0]
    parent = ids.job(job.job_id)
    known = [encoded([sending.span(ids.trace, f"{0xabcd:04x}{i:04x}{n:08x}", parent, FAIR) for n in range(200)])
             for i in range(20)]
    unknown = [encoded([sending.span(f"{i + 1:016x}{n % 32:016x}", f"{n + 1:016x}", parent, FAIR) for n in range(200)])
               for i in range(200)]
    held = []
    for _ in range(100):
        jobs = [payloads.Run().job() for _ in range(60)]
        for other in jobs:
            other.runner_name = f"arc-{other.job_id}"
        held.append(encoded([span for other in jobs for span in sending.arc_spans(other, other.created + 1)], ARC))
    # Ever earlier times of one job: each would send its three spans again.
    earlier = []
    for i in range(200):
        spans = [dict(sending.arc_spans(job, job.started - 0.001, queue=False)[0]) for _ in range(100)]
        for n, span in enumerate(spans):
            span.update(traceId=f"{i * 100 + n + 1:032x}", start=ns(job.started) - (i * 100 + n) * 100_000)
        earlier.append(encoded(spans, ARC))
    return known + unknown, held + earlier, [encoded([sending.span("1" * 32, "2" * 16, "3" * 16)], token) for token in (None, "x" * 20)]


def flood(address, seen, stop):
    """Both roles, and no token, as fast as loopback takes it: spans of known traces and of unknown ones, reports to be
    held, and reports of one job with ever earlier times."""
    groups, threads, counts = flood_requests(), [], []
    for clients, requests in zip((8, 8, 16), groups):
        counts.append(collections.Counter())
        threads.append(threading.Thread(target=send_in_turn, args=(address, counts[-1], stop, requests, clients)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    for name, count in zip(("job", "arc", "no token"), counts):
        for key, value in count.items():
            if not key.startswith("refused"):
                seen[f"{name} {key}"] += value


# --- slow -----------------------------------------------------------------------------------------------------------

def slow(hold):
    """Bodies that stall, with a token and without one, heads that stall, and clients that read no answer."""
    def attack(address, seen, stop):
        body, large = request(b"x" * (4 * MIB))[:60000], request(b"x" * (4 * MIB))[:-40000]
        small = encoded([sending.span("1" * 32, "2" * 16, "3" * 16)])
        kinds = [(280, 8, body, 1, None), (20, 4, large, 1, None), (300, 8, request(b"x" * 1000, None)[:-1000], 1, None), (300, 8, b"POST /v1/tra", 1, None),
                 (100, 4, small, 2000, 4096)]
        counts = [collections.Counter() for _ in kinds]
        threads = [threading.Thread(target=hold, args=(address, counts[i], stop, count, addresses, data, at_once, receive),
                                    kwargs={"again": 100})
                   for i, (count, addresses, data, at_once, receive) in enumerate(kinds)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name, count in zip(("bodies", "large bodies", "bodies without a token", "heads", "answers"), counts):
            seen[f"{name}: closed by the daemon"] += count["closed by the daemon"]
            seen[f"{name}: open at the end"] += count["open at the end"]
    return attack


# --- the honest ARC -----------------------------------------------------------------------------------------------

class Reporter:
    """Reports completed jobs, each on a connection of its own: one, then a batch that is a large body, and so on."""

    def __init__(self, address):
        self.address, self.took, self.statuses = address, [], collections.Counter()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    @staticmethod
    def spans_of_a_job():
        job = payloads.Run().job()
        job.runner_name = f"arc-{job.job_id}"
        return sending.arc_spans(job, job.created + 1)

    def run(self):
        batch = [span for _ in range(80) for span in self.spans_of_a_job()]
        while not self.stopping.wait(0.05):
            spans = batch if len(self.took) % 2 else self.spans_of_a_job()
            begin = time.monotonic()
            try:
                with harness.Client(self.address, timeout=30) as client:
                    status = client.request("POST", sending.PATH, sending.protobuf(spans), sending.request_headers(ARC)).status
            except (OSError, http.client.HTTPException) as error:
                status = type(error).__name__
            self.statuses[status] += 1
            self.took.append(time.monotonic() - begin)

    def stop(self):
        """Words, and whether all was well."""
        self.stopping.set()
        self.thread.join()
        self.took.sort()
        good = set(self.statuses) == {200} and self.took[-1] <= ARC_WAITS
        return (f"{len(self.took)} reports: {dict(self.statuses)}; half within {self.took[len(self.took) // 2] * 1000:.1f} ms, "
                f"all within {self.took[-1] * 1000:.1f} ms"), good


# --- what must hold -------------------------------------------------------------------------------------------------

def judge(name, daemon, sink):
    """Words on what the daemon counted, and what is wrong with it: "" if nothing is."""
    status = sending.status(daemon)
    reports = {key: value for key, value in status["arc"]["reports"].items() if value}
    spans = {key: value for key, value in status["otlp"]["forwarded"].items() if value}
    refused = {key: value for key, value in status["otlp"]["requests_refused"].items() if value}
    words = f"reports {reports}; spans {spans}; requests refused {refused}; collector: {sink.counts[0] / MIB:.1f} MiB, " + \
        ", ".join(f"{sink.seen(each):,} {each}" for each in sink.names)
    wrong = []
    if sink.seen(FORGED):
        wrong.append(f"{sink.seen(FORGED)} FORGED SPANS WERE PASSED ON")
    if name == "otlp-forged" and (reports.get("matched") or not spans.get("our_id")):
        wrong.append("A JOB'S TOKEN STATED SOMETHING, OR NOTHING WAS REFUSED")
    if sink.seen(FORESEEN):
        words += f"; {status['otlp']['foreseen']} of the foreseen have become ours"
    return words, "; ".join(wrong)
