"""A stand-in for an OTLP/HTTP collector: records every request, can misbehave on demand."""
import dataclasses
import gzip
import http.server
import json
import pathlib
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import otlp_compare  # noqa: E402
import ports  # noqa: E402

PROTOBUF, JSON = "application/x-protobuf", "application/json"
DECODE_BYTES = 256 * 1024  # raw requests joined for one run of protoc


@dataclasses.dataclass
class Request:
    """What came over the wire, body already gunzipped."""
    path: str
    headers: dict
    body: bytes
    wire_size: int
    status: int = 0  # what was answered; 0: nothing

    @property
    def is_json(self):
        return self.headers.get("content-type") == JSON

    @property
    def is_metrics(self):
        return self.path.endswith(("/v1/metrics", "MetricsService/Export"))


@dataclasses.dataclass
class Answer:
    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes | None = None
    piece_delay: float = 0      # > 0: sent byte by byte
    cut: bool = False           # close in the middle of the answer
    hang: bool = False          # no answer before release()
    reset: bool = False         # the connection is reset, without an answer


def unavailable(retry_after=None, status=503):
    return Answer(status, {} if retry_after is None else {"Retry-After": str(retry_after)}, b"later")


def refused(message="bad data", status=400):
    return Answer(status, {}, b"\x08\x03\x12" + bytes([len(message)]) + message.encode())


def partial_success(rejected, message):
    inner = b"\x08" + bytes([rejected]) + b"\x12" + bytes([len(message)]) + message.encode()
    return Answer(200, {}, b"\x0a" + bytes([len(inner)]) + inner)


def refuse_marker(marker):
    """400 for every request that has `marker` in it, 200 for the rest."""
    return lambda request: refused() if marker in request.body else Answer()


def wait_for_ids(collector, wanted, timeout):
    """Until the collector has accepted these spans."""
    wanted = set(wanted)
    try:
        collector.wait(lambda c: wanted <= c.ids().keys(), timeout)
    except AssertionError as fault:
        missing = wanted - collector.ids().keys()
        raise AssertionError(f"{fault}; {len(missing)} of {len(wanted)} spans never came, such as "
                             f"{sorted(missing)[:4]}") from None


class Collector:
    """Listens at `endpoint` from the start; stop() closes the port, start() opens the same again."""

    server_class, handler_class = None, None  # set below

    def __init__(self, script=lambda request: Answer()):
        self.requests = []
        self.metrics = []  # requests with metrics, which are not in `requests`
        self.script = script
        self.read_rate = None  # bytes per second of each connection
        self.changed = threading.Condition()
        self.released = threading.Event()
        self.faults = []      # protocol errors of the exporter: any is a failed test
        self._connections = set()
        self._server = None
        self._decoded, self._groups = 0, []
        self._scanned, self._ids = 0, {}
        self.port = ports.free_port()
        self.start()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        collector = self

        class Handler(self.handler_class):
            owner = collector
        self._server = self.server_class(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        """As if the process had died: the port refuses, open connections break."""
        if self._server is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        self.released.set()
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.released = threading.Event()

    def release(self):
        """Ends all hanging: those requests are answered 200."""
        self.released.set()
        self.released = threading.Event()

    def wait(self, predicate, timeout=60, what="the collector"):
        """Until predicate(self) is true; it is asked again after every request."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while not predicate(self):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"waited {timeout} s in vain for {what}; {len(self.requests)} requests came, "
                                         f"{len(self.ids())} spans were accepted")
                self.changed.wait(min(left, 1))

    def accepted(self):
        return [request for request in list(self.requests) if request.status == 200]

    def ids(self):
        """{(trace id, span id): how often accepted}, by a quick look at the wire."""
        requests = [r for r in self.requests if r.status]
        for request in requests[self._scanned:]:
            if request.status == 200:
                for key in scan_ids(request):
                    self._ids[key] = self._ids.get(key, 0) + 1
        self._scanned = len(requests)
        return self._ids

    def wait_for_ids(self, wanted, timeout=90):
        wait_for_ids(self, wanted, timeout)

    def groups(self):
        """All accepted requests in otlp_compare's normal form, decoded strictly."""
        requests = self.accepted()
        fresh, self._decoded = requests[self._decoded:], len(requests)
        self._groups += decode_requests(fresh)
        return self._groups

    def versions(self, trace_id=None):
        """Every accepted span as often as it came, as a dict with its `resource`."""
        return [dict(span, resource=group["resource"]) for group in self.groups() for span in group["spans"]
                if trace_id is None or span["traceId"] == trace_id]

    def trace(self, trace_id=None):
        """The spans of a trace, or all; repeats must be equal."""
        found = {}
        for span in self.versions(trace_id):
            key = (span["traceId"], span["spanId"])
            if found.setdefault(key, span) != span:
                raise AssertionError(f"one span in two versions:\n{found[key]}\n{span}")
        return list(found.values())

    def wait_trace(self, trace_id, count, timeout=60):
        """The spans of a trace, once there are `count` of them."""
        self.wait(lambda c: sum(key[0] == trace_id for key in c.ids()) >= count, timeout,
                  f"{count} spans of trace {trace_id}")
        return self.trace(trace_id)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class CollectorHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner = None

    def log_message(self, *arguments):
        pass

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.owner._connections.add(self.connection)

    def finish(self):
        self.owner._connections.discard(self.connection)
        try:
            super().finish()
        except OSError:
            pass

    def do_POST(self):
        released = self.owner.released
        body = self.read_body(int(self.headers.get("Content-Length", 0)))
        if body is None:
            self.close_connection = True
            return
        wire_size = len(body)
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request = Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body, wire_size)
        self.check(request)
        answer = self.owner.script(request)
        if answer.hang:
            released.wait(300)
        # Counted before the answer leaves: a crash in between only repeats it.
        request.status = answer.status if not answer.cut and not answer.reset else 0
        with self.owner.changed:
            (self.owner.metrics if request.is_metrics else self.owner.requests).append(request)
            self.owner.changed.notify_all()
        self.reply(answer, request)

    def read_body(self, size):
        """None: the client gave up."""
        rate, body = self.owner.read_rate, b""
        while rate is not None and len(body) < size:
            piece = self.rfile.read(min(8192, size - len(body)))
            if not piece:
                return None
            body += piece
            time.sleep(len(piece) / rate)
        if rate is None:
            return self.rfile.read(size)
        return None if self.has_gone() else body

    def has_gone(self):
        try:
            return self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def check(self, request):
        if request.headers.get("content-type") not in (PROTOBUF, JSON):
            self.owner.faults.append(f"content type {request.headers.get('content-type')}")
        if not request.body:
            self.owner.faults.append("an empty request")
        if "user-agent" not in request.headers:
            self.owner.faults.append("no User-Agent")

    def reply(self, answer, request):
        if answer.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        body = answer.body
        if body is None:
            body = b"{}" if request.is_json else b""
        self.send_response_only(answer.status)
        if "Content-Type" not in answer.headers:
            self.send_header("Content-Type", JSON if request.is_json else PROTOBUF)
        self.send_header("Content-Length", str(len(body) + (50 if answer.cut else 0)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        head = b"".join(self._headers_buffer) + b"\r\n"
        self._headers_buffer = []
        message = head + body
        if answer.piece_delay:
            for i in range(len(message)):
                self.wfile.write(message[i:i + 1])
                time.sleep(answer.piece_delay)
        else:
            self.wfile.write(message)
        if answer.cut:
            self.close_connection = True


Collector.server_class, Collector.handler_class = Server, CollectorHandler


# --- decoding --------------------------------------------------------------------------------------

def decode_requests(requests):
    """otlp_compare's normal form of many requests. ValueError where one is not valid OTLP."""
    groups, joined = [], b""
    for request in requests:
        if request.is_json:
            groups += otlp_compare.parse_json(request.body)
            continue
        check_framing(request.body)
        joined += request.body  # repeated fields of protobuf messages concatenate
        if len(joined) > DECODE_BYTES:
            groups += otlp_compare.parse_protobuf(joined)
            joined = b""
    if joined:
        groups += otlp_compare.parse_protobuf(joined)
    return groups


def check_framing(body):
    """Each request must be whole by itself, or joining would hide the fault."""
    for number, _ in fields_of(body):
        if number != 1:
            raise ValueError(f"field {number} in an ExportTraceServiceRequest")


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields_of(data):
    """(field number, value) for each field of a protobuf message; nested messages as bytes."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        if at > len(data):
            raise ValueError("a protobuf message is cut off")
        yield tag >> 3, value


def scan_ids(request):
    """The (trace id, span id) pairs of a request, without looking at anything else."""
    if request.is_json:
        for resource in json.loads(request.body)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    yield span["traceId"], span["spanId"]
        return
    for _, resource in fields_of(request.body):
        for number, scope in fields_of(resource):
            if number == 2:
                for inner, span in fields_of(scope):
                    if inner == 2:
                        head = {}
                        for n, value in fields_of(span):
                            head.setdefault(n, value)
                        yield head[1].hex(), head[2].hex()
