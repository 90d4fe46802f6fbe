"""A stand-in for an OTLP/gRPC collector: a small HTTP/2 server by python3-h2, which can misbehave on demand."""
import base64
import dataclasses
import gzip
import re
import select
import socket
import socketserver
import ssl
import struct
import sys
import time

import collector as standin

try:
    import h2.config
except ModuleNotFoundError:  # another interpreter than Debian's, whose package it is
    sys.path.append("/usr/lib/python3/dist-packages")
    import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

PATH = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
METRICS_PATH = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
OK, CANCELLED, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED = range(5)
PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 7, 8, 12, 13, 14, 16


@dataclasses.dataclass
class Answer:
    code: int | None = OK       # None: no grpc-status
    message: str = ""
    details: bytes = b""        # a google.rpc.Status
    body: bytes = b""           # an ExportTraceServiceResponse
    status: int = 200           # of HTTP
    content_type: str = "application/grpc"
    trailers_only: bool = False
    compressed: bool = False
    raw: bytes | None = None    # in place of the framed body
    hang: bool = False          # no answer before release()
    reset: int | None = None    # RST_STREAM with this error, after the headers
    cut: bool = False           # the connection ends after the headers
    go_away: bool = False       # after the answer


def refused(message="bad data"):
    return Answer(INVALID_ARGUMENT, message, trailers_only=True)


def refuse_marker(marker):
    return lambda request: refused() if marker in request.body else Answer()


def nested(number, data):
    assert len(data) < 128
    return bytes([number << 3 | 2, len(data)]) + data


def retry_info(seconds, code=RESOURCE_EXHAUSTED):
    """google.rpc.Status with a RetryInfo."""
    delay = nested(1, bytes([0x08, seconds]))
    info = nested(1, b"type.googleapis.com/google.rpc.RetryInfo") + nested(2, delay)
    return bytes([0x08, code]) + nested(3, info)


def partial_success(rejected, message):
    return Answer(body=nested(1, bytes([0x08, rejected]) + nested(2, message.encode())))


class GrpcCollector(standin.Collector):
    """As Collector; `context` for TLS. `connections` lists how many calls each connection had."""

    def __init__(self, context=None):
        self.context = context
        self.message_max = None  # larger ones are refused as soon as their head has come, as grpc-go does
        self.refused_early = 0
        self.withholds = False   # no window is granted beyond the first 65,535 bytes, until grant()
        self._withheld = []
        self.connections = []
        if context is not None:
            context.set_alpn_protocols(["h2"])
        super().__init__(lambda request: Answer())

    def grant(self):
        """Gives back the window that was withheld, and ends the withholding. Once sent, the connections are their threads' again."""
        withheld, self._withheld, self.withholds = self._withheld, [], False
        for handler, length, stream in withheld:
            handler.h2.acknowledge_received_data(length, stream)
        for handler in {handler for handler, _, _ in withheld}:
            handler.flush()

    @property
    def withheld(self):
        """How many bytes."""
        return sum(length for _, length, _ in self._withheld)

    @property
    def endpoint(self):
        return f"https://localhost:{self.port}" if self.context else f"http://127.0.0.1:{self.port}"


class Handler(socketserver.BaseRequestHandler):
    """One connection."""
    owner = None

    def setup(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.owner._connections.add(self.request)
        self.number = len(self.owner.connections)
        self.owner.connections.append(0)
        self.calls = {}  # stream -> [headers, body]
        self.waiting = []  # events that came while an answer was sent

    def finish(self):
        self.owner._connections.discard(self.request)

    def handle(self):
        try:
            if self.owner.context is not None:
                self.request = self.owner.context.wrap_socket(self.request, server_side=True)
            self.serve()
        except (OSError, ssl.SSLError):
            pass

    def serve(self):
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        if not self.owner.withholds:
            self.h2.increment_flow_control_window(1 << 24)
        self.flush()
        while data := self.request.recv(65536):
            try:
                events = self.h2.receive_data(data)
            except h2.exceptions.ProtocolError as fault:
                self.owner.faults.append(f"HTTP/2: {fault}")
                self.flush()
                return
            self.waiting += events
            while self.waiting:
                if not self.take(self.waiting.pop(0)):
                    return
            self.flush()

    def flush(self):
        self.request.sendall(self.h2.data_to_send())

    def take(self, event):
        """False: the connection ends."""
        if isinstance(event, h2.events.RequestReceived):
            self.calls[event.stream_id] = [event.headers, b""]
        elif isinstance(event, h2.events.DataReceived):
            if self.owner.withholds:
                self.owner._withheld.append((self, event.flow_controlled_length, event.stream_id))
            else:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if event.stream_id in self.calls:
                self.calls[event.stream_id][1] += event.data
                self.refuse_early(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.calls.pop(event.stream_id, None)
        elif isinstance(event, h2.events.StreamEnded) and event.stream_id in self.calls:
            self.flush()
            self.owner.connections[self.number] += 1
            return self.answer(event.stream_id, *self.calls.pop(event.stream_id))
        return True

    def refuse_early(self, stream):
        framed = self.calls[stream][1]
        limit = self.owner.message_max
        if limit is None or len(framed) < 5 or struct.unpack(">I", framed[1:5])[0] <= limit:
            return
        del self.calls[stream]
        self.owner.refused_early += 1
        answer = Answer(RESOURCE_EXHAUSTED, "grpc: received message larger than max", trailers_only=True)
        self.reply(stream, answer)
        self.h2.reset_stream(stream, h2.errors.ErrorCodes.NO_ERROR)

    def answer(self, stream, fields, framed):
        headers = {}
        for name, value in fields:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        request = standin.Request(headers[":path"], headers, self.unframe(headers, framed), len(framed))
        self.check(request)
        released = self.owner.released
        answer = self.owner.script(request)
        if answer.hang:
            released.wait(300)
        is_lost = answer.cut or answer.reset is not None
        is_taken = answer.code == OK and answer.status == 200
        request.status = 0 if is_lost else 200 if is_taken else 400
        with self.owner.changed:
            (self.owner.metrics if request.is_metrics else self.owner.requests).append(request)
            self.owner.changed.notify_all()
        return self.reply(stream, answer)

    def unframe(self, headers, framed):
        if len(framed) < 5:
            self.owner.faults.append(f"a message of {len(framed)} bytes")
            return b""
        flag, length = struct.unpack(">BI", framed[:5])
        if length != len(framed) - 5:
            self.owner.faults.append(f"a message of {length} bytes in {len(framed)}")
        if flag != (headers.get("grpc-encoding") == "gzip"):
            self.owner.faults.append(f"flag {flag} with encoding {headers.get('grpc-encoding')}")
        return gzip.decompress(framed[5:]) if flag else framed[5:]

    def check(self, request):
        wanted = {":method": "POST", ":path": METRICS_PATH if request.is_metrics else PATH, "content-type": "application/grpc", "te": "trailers",
                  ":scheme": "https" if self.owner.context else "http"}
        for name, value in wanted.items():
            if request.headers.get(name) != value:
                self.owner.faults.append(f"{name}: {request.headers.get(name)}")
        if not re.fullmatch(r"\d{1,8}[HMSmun]", request.headers.get("grpc-timeout", "1S")):
            self.owner.faults.append(f"grpc-timeout: {request.headers['grpc-timeout']}")
        if not request.headers.get("user-agent", "").startswith("ghatrace/"):
            self.owner.faults.append("no user-agent")
        for name in ("expect", "accept", "content-encoding"):
            if name in request.headers:
                self.owner.faults.append(f"{name}: {request.headers[name]}")

    def status_fields(self, answer):
        fields = [] if answer.code is None else [("grpc-status", str(answer.code))]
        if answer.message:
            encoded = "".join(chr(b) if 0x20 <= b < 0x7f and b != 0x25 else f"%{b:02X}"
                              for b in answer.message.encode())
            fields.append(("grpc-message", encoded))
        if answer.details:
            fields.append(("grpc-status-details-bin", base64.b64encode(answer.details).decode().rstrip("=")))
        return fields

    def reply(self, stream, answer):
        head = [(":status", str(answer.status)), ("content-type", answer.content_type)]
        if answer.compressed:
            head.append(("grpc-encoding", "gzip"))
        if answer.trailers_only:
            self.h2.send_headers(stream, head + self.status_fields(answer), end_stream=True)
            return True
        self.h2.send_headers(stream, head)
        if answer.cut or answer.reset is not None:
            self.flush()
            if answer.cut:
                return False
            self.h2.reset_stream(stream, answer.reset)
            return True
        body = gzip.compress(answer.body) if answer.compressed else answer.body
        framed = struct.pack(">BI", answer.compressed, len(body)) + body if answer.raw is None else answer.raw
        trailers = self.status_fields(answer)
        if not self.send_body(stream, framed, not trailers):
            return True
        if trailers:
            self.h2.send_headers(stream, trailers, end_stream=True)
        if answer.go_away:
            self.flush()
            self.h2.close_connection()
            self.flush()
            time.sleep(0.05)
            return False
        return True


    def send_body(self, stream, body, is_end):
        """In frames, within the client's window. False: the client has ended the stream."""
        while True:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room > 0 or not body:
                piece, body = body[:room], body[room:]
                self.h2.send_data(stream, piece, end_stream=is_end and not body)
                if not body:
                    return True
            self.flush()
            has_more = self.owner.context is not None and self.request.pending() > 0
            if not has_more and not select.select([self.request], [], [], 0 if room > 0 else 10)[0]:
                assert room > 0, "the client opens no window"
                continue
            data = self.request.recv(65536)
            if not data:
                raise ConnectionError
            events = self.h2.receive_data(data)
            self.waiting += events
            if any(isinstance(event, h2.events.StreamReset) and event.stream_id == stream for event in events):
                return False


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


GrpcCollector.server_class, GrpcCollector.handler_class = Server, Handler
