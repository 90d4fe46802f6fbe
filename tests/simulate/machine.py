"""The unmodified daemon under a virtual clock and virtual sockets: the same seed gives the same bytes.

The library of tests/simulate/virtual is preloaded into the daemon. It asks for events when nothing can run; this side
answers with what happens until a point in time. Times are nanoseconds since the epoch, of the world, not of the daemon's
wall clock, which may leap."""
import dataclasses
import hashlib
import heapq
import os
import pathlib
import signal
import socket
import struct
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SECRET = "It's a Secret to Everybody"
SECOND = 1_000_000_000
BEGIN = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z
LISTEN, ADMIN, COLLECTOR = 8080, 8081, 4318
LOOPBACK = 0x7F000001
FOREVER = (1 << 64) - 1
KEEP_ALIVE, ATTENTION, PATIENT, TLS = 1, 2, 4, 8
EVENT = struct.Struct("<cQII")
REPORT = struct.Struct("<IcQI")
READ_SIZE = 1 << 20
CLIENT_ID_LAST = 0x3FFFFFFF
START_PATIENCE = 60 * SECOND  # virtual
STOP_PATIENCE = 300 * SECOND
GET_PATIENCE = 60 * SECOND
SYNC_NS = 200_000
REAL_PATIENCE = 120  # seconds without a sign from the daemon: it hangs
POLICIES = ("round robin", "random", "starve")
ENOSPC, EIO = 28, 5
ALLOCATION = 6  # a setting that passes


def library_for(binary):
    """The preloaded library is built beside the binary."""
    return pathlib.Path(binary).resolve().parent / "tests/simulate/virtual.so"


@dataclasses.dataclass
class Response:
    """What a collector answers. mode: answer | hang | cut (no answer, the connection is reset) | cut-after-status."""
    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""
    delay_ns: int = 0
    mode: str = "answer"


class Collector:
    """Takes everything; requests are (at, path, headers, body)."""

    def __init__(self):
        self.requests = []

    def on_request(self, at, path, headers, body):
        self.requests.append((at, path, headers, body))
        return Response(200, {"Content-Type": "application/x-protobuf"})


class Ticket:
    """A request. status: None until it is answered, 0 if the connection was lost or refused."""
    __slots__ = ("at", "number", "status", "answered_at", "raw", "_data")

    def __init__(self, at, number, data):
        self.at, self.number, self._data = at, number, data
        self.status = self.answered_at = None
        self.raw = b""

    @property
    def body(self):
        return parse_answer(self.raw)[2]

    def __lt__(self, other):
        return (self.at, self.number) < (other.at, other.number)


def parse_answer(raw):
    """(status, headers, body) of a whole answer."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = b"".join(chunks(body))
    parts = lines[0].split(" ")
    return int(parts[1]) if len(parts) > 1 else 0, headers, body


def chunks(body):
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if length == 0:
            return
        yield body[:length]
        body = body[length + 2:]


class Faults:
    """Assignments take effect when the machine runs next. `after` calls of the disk still succeed; with `part` a write that
    fails has written a part. Of the program's own allocations the n-th from now fails with `allocation = n`, once."""
    NAMES = {"disk_full": (1, ENOSPC), "write_fails": (1, EIO), "sync_fails": (2, EIO), "after": (3, None),
             "allocation": (6, None), "part": (7, None), "no_descriptors": (8, 1)}

    def __init__(self, machine):
        object.__setattr__(self, "_machine", machine)
        object.__setattr__(self, "_values", {})

    def __setattr__(self, name, value):
        setting, code = self.NAMES[name]
        self._values[name] = value
        self._machine.change(setting, int(value) if code is None else code if value else 0)

    def __getattr__(self, name):
        return self._values.get(name, 0 if self.NAMES[name][1] is None else False)

    @property
    def any(self):
        return any(value for name, value in self._values.items() if self.NAMES[name][1] is not None)


class Outgoing:
    """A connection that the daemon opened: requests come in, answers go out."""

    def __init__(self, machine, number, port):
        self.machine, self.number, self.port = machine, number, port
        self.received = bytearray()

    def on_bytes(self, at, data):
        self.received += data
        while True:
            end = self.received.find(b"\r\n\r\n")
            if end < 0:
                return
            lines = self.received[:end].decode("latin-1").split("\r\n")
            headers = {}
            for line in lines[1:]:
                name, _, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
            assert "transfer-encoding" not in headers and "expect" not in headers, headers
            length = int(headers.get("content-length", "0"))
            if len(self.received) < end + 4 + length:
                return
            body = bytes(self.received[end + 4:end + 4 + length])
            del self.received[:end + 4 + length]
            self.answer(at, self.machine.collector.on_request(at, lines[0].split(" ")[1], headers, body))

    def answer(self, at, response):
        if response.mode == "hang":
            return
        at += response.delay_ns
        if response.mode == "cut":
            self.machine.send(b"R", at, self.number)
            return
        headers = {**response.headers, "Content-Length": str(len(response.body))}
        if response.mode == "cut-after-status":
            headers["Content-Length"] = str(len(response.body) + 10)
        head = f"HTTP/1.1 {response.status} Answer\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.machine.send(b"D", at, self.number, head.encode() + b"\r\n" + response.body)
        if response.mode == "cut-after-status":
            self.machine.send(b"F", at, self.number)


class Connection:
    """One that the test opens, for bytes that are no usual request."""

    def __init__(self, machine, number):
        self.machine, self.number = machine, number
        self.received = bytearray()
        self.has_ended = False

    def send(self, data, at=None):
        self.machine.send(b"D", self.machine.now if at is None else at, self.number, data)

    def close(self, at=None):
        self.machine.send(b"F", self.machine.now if at is None else at, self.number)

    def reset(self, at=None):
        self.machine.send(b"R", self.machine.now if at is None else at, self.number)

    def give_room(self, room, at=None):
        """So many bytes are taken from the daemon from now on; without this, any number."""
        self.machine.send(b"W", self.machine.now if at is None else at, self.number, struct.pack("<Q", room))

    def on_bytes(self, _, data):
        self.received += data


class Machine:
    def __init__(self, folder, seed, settings, binary, policy=None, begin=BEGIN):
        self.folder = pathlib.Path(folder)
        self.seed, self.settings, self.binary = seed, dict(settings), str(binary)
        self.policy = POLICIES[seed % len(POLICIES)] if policy is None else policy
        self.library = str(library_for(binary))
        self.now, self.boot, self.wall_ahead = begin, begin - 1000 * SECOND, 0
        self.collector = Collector()
        self.faults = Faults(self)
        self.real_sync = False
        self.has_fibers = True      # threads switch without the kernel, if the processor can
        self.log = []
        self.record = None          # a list: what the fingerprint is made of, to see where two histories part
        self.certificates = []      # (time, DER), as clients see them in handshakes
        self.exit_status = None
        self.starts = 0
        self.process = None
        self._log_rest = b""
        self._channel = None
        self._received = b""
        self._events = []           # for the next batch
        self._posts = []            # a heap of tickets that are not sent yet
        self._open = {}             # sent and not answered, by number
        self._connections = {}
        self._next_number = self._next_connection = 1
        self._settings_now = {}     # of the machine, by number
        self._steps_before = self._steps = 0
        self.sync_ns = SYNC_NS
        self._hash = hashlib.blake2b()
        self._unhashed = set()      # tickets whose answers have figures of the process
        (self.folder / "db").mkdir(parents=True, exist_ok=True)
        (self.folder / "secret").write_text(SECRET + "\n")
        (self.folder / "secret").chmod(0o600)

    # --- what is going on -------------------------------------------------------------------------

    @property
    def is_running(self):
        return self.process is not None

    @property
    def pid(self):
        return self.process.pid if self.process else None

    @property
    def resident_bytes(self):
        """Of the real process, without files and what is mapped of the store."""
        lines = pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))

    @property
    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def steps(self):
        return self._steps_before + self._steps

    @property
    def has_tls(self):
        """Deliveries come by TLS then."""
        return any(name.replace("_", "-") == "tls-cert" and value for name, value in self.settings.items())

    @property
    def refuse_connections(self):
        return self._settings_now.get(4) == 1

    @refuse_connections.setter
    def refuse_connections(self, value):
        self.change(4, 1 if value else 0)

    @property
    def sync_ns(self):
        """What a sync takes, on average."""
        return self._settings_now[5]

    @sync_ns.setter
    def sync_ns(self, value):
        self.change(5, value)

    @property
    def lose_connections(self):
        """Attempts of the daemon to connect are not answered."""
        return self._settings_now.get(4) == 2

    @lose_connections.setter
    def lose_connections(self, value):
        self.change(4, 2 if value else 0)

    def fingerprint(self):
        """Of all that went over the channel, except for answers of get(), which have figures of the real process."""
        return self._hash.hexdigest()

    def _note(self, data):
        self._hash.update(data)
        if self.record is not None:
            self.record.append(bytes(data))

    # --- start and end ----------------------------------------------------------------------------

    def configuration(self):
        settings = {"listen": f"127.0.0.1:{LISTEN}", "admin-listen": f"127.0.0.1:{ADMIN}",
                    "otlp-endpoint": f"http://127.0.0.1:{COLLECTOR}", "db": "db", "webhook-secret-file": "secret", "ingress-threads": "2"}
        settings.update({name.replace("_", "-"): value for name, value in self.settings.items()})
        lines = []
        for name, value in settings.items():
            for one in value if isinstance(value, (list, tuple)) else (value,):
                if one is not None:
                    lines.append(f"{name} = {one}\n")
        return "".join(lines)

    def environment(self):
        return {"PATH": os.environ.get("PATH", ""), "LD_PRELOAD": self.library, "VIRTUAL_NOW": str(self.now),
                "VIRTUAL_BOOT": str(self.boot), "VIRTUAL_LEAP": str(self.wall_ahead % (1 << 64)),
                "VIRTUAL_SEED": str((self.seed * 1_000_003 + self.starts) % (1 << 64)),
                "VIRTUAL_POLICY": str(POLICIES.index(self.policy)), "VIRTUAL_SYNC_NS": str(self.sync_ns),
                "VIRTUAL_REAL_SYNC": str(int(self.real_sync)), "VIRTUAL_PID": str(1000 + self.starts),
                "VIRTUAL_FIBERS": str(int(self.has_fibers))}

    def start(self):
        """Returns when the daemon is ready, or has ended."""
        assert not self.is_running
        if not os.access(self.library, os.R_OK):
            raise FileNotFoundError(f"{self.library}: make it (make test-simulate does)")
        path = self.folder / "ghatrace.conf"
        path.write_text(self.configuration())
        self.starts += 1
        ours, theirs = socket.socketpair()
        ours.settimeout(REAL_PATIENCE)
        environment = {**self.environment(), "VIRTUAL_CHANNEL": str(theirs.fileno())}
        self._stderr = open(self.folder / "stderr", "wb")
        self.process = subprocess.Popen([self.binary, "serve", "--config", path.name], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=self._stderr, env=environment,
                                        pass_fds=[theirs.fileno()], cwd=self.folder)
        theirs.close()
        self._channel, self._received = ours, b""
        self._steps_before += self._steps
        self._steps, self.exit_status = 0, None
        self._connections.clear()
        seen = len(self.log)
        for setting, value in self._settings_now.items():
            if setting != ALLOCATION:
                self.change(setting, value)
        self._read_turn()
        deadline = self.now + START_PATIENCE
        while self.is_running and self.now < deadline:
            self.run_until(self.now + SECOND // 1000)
            if any("msg=ready" in line for line in self.log[seen:]):
                return self
        return self

    def stop(self, at=None):
        """SIGTERM, until the process has ended."""
        if self.is_running:
            self.send(b"S", self.now if at is None else at, signal.SIGTERM)
        deadline = self.now + STOP_PATIENCE
        while self.is_running and self.now < deadline:
            self.run_until(self.now + SECOND // 10)
        return self.exit_status

    def kill(self):
        """At once."""
        if self.is_running:
            self.process.kill()
            self._drain()

    def kill_at(self, steps):
        """At the n-th step from now. None: not any more."""
        self.send(b"K", 0, 0, struct.pack("<Q", FOREVER if steps is None else self._steps + steps))

    def hup(self):
        self.send(b"S", self.now, signal.SIGHUP)

    def close(self):
        """For the end of a test."""
        self.kill()

    def _drain(self):
        """The process ends: what it had sent still arrives."""
        while self._read_turn() is not None:
            pass

    def _ended(self):
        self.exit_status = self.process.wait()
        self._channel.close()
        self._stderr.close()
        crash = (self.folder / "stderr").read_bytes()
        if crash:
            self.log += crash.decode("utf-8", "replace").splitlines()
        self.process = None
        self._events.clear()
        self._connections.clear()
        for ticket in list(self._open.values()):
            if ticket.at > self.now:
                heapq.heappush(self._posts, ticket)  # it had not come yet
            else:
                self._lose(ticket)
        self._open.clear()

    def _lose(self, ticket):
        ticket.status, ticket.answered_at, ticket._data = 0, max(self.now, ticket.at), None

    # --- what comes in ----------------------------------------------------------------------------

    def send(self, kind, at, number=0, data=b""):
        self._events.append(EVENT.pack(kind, at, number, len(data)) + data)

    def change(self, setting, value):
        self._settings_now[setting] = value
        self.send(b"X", 0, setting, struct.pack("<Q", value))

    def leap(self, ns):
        """The wall clock leaps."""
        self.wall_ahead += ns
        self.send(b"L", self.now, 0, struct.pack("<q", ns))

    def request(self, at, data, address="192.0.2.1", port=LISTEN, flags=KEEP_ALIVE):
        number = self._next_number
        self._next_number += 1
        head = struct.pack("<IHB", struct.unpack(">I", socket.inet_aton(address))[0], port, flags)
        ticket = Ticket(max(at, self.now), number, head + data)
        heapq.heappush(self._posts, ticket)
        return ticket

    def post(self, at, body, headers, address="192.0.2.1", keep_alive=True, path="/webhook", port=LISTEN):
        """As GitHub does: after 10 s without an answer it gives up."""
        lines = [f"POST {path} HTTP/1.1\r\nHost: ghatrace\r\nContent-Length: {len(body)}\r\n"]
        lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
        if not keep_alive:
            lines.append("Connection: close\r\n")
        flags = PATIENT | (KEEP_ALIVE if keep_alive else 0) | (TLS if self.has_tls and port == LISTEN else 0)
        return self.request(at, "".join(lines).encode() + b"\r\n" + body, address, port, flags)

    def connect(self, at=None, address="192.0.2.9", port=LISTEN):
        number = self._next_connection
        self._next_connection = number % CLIENT_ID_LAST + 1
        connection = self._connections[number] = Connection(self, number)
        self.send(b"C", self.now if at is None else at, number,
                  struct.pack("<IH", struct.unpack(">I", socket.inet_aton(address))[0], port))
        return connection

    def get(self, path, headers=None):
        """From the admin listener, now."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        text = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{ADMIN}\r\nConnection: close\r\n{lines}\r\n"
        ticket = self.request(self.now, text.encode(), "127.0.0.1", ADMIN, ATTENTION)
        self._unhashed.add(ticket.number)
        deadline = self.now + GET_PATIENCE
        while ticket.status is None and self.is_running and self.now < deadline:
            self._exchange(deadline)
        if not ticket.status:
            return 0, {}, b""
        return parse_answer(ticket.raw)

    # --- time passes ------------------------------------------------------------------------------

    def run_until(self, time):
        while self.is_running:
            reason = self._exchange(time)
            if reason in (b"i", b"b") and self.now >= time and not self._events:
                return
        self.now = max(self.now, time)
        while self._posts and self._posts[0].at <= time:
            self._lose(heapq.heappop(self._posts))

    def _exchange(self, horizon):
        """One turn of each: events up to the horizon go in. None: the process has ended."""
        parts, self._events = self._events, []
        while self._posts and self._posts[0].at <= horizon:
            ticket = heapq.heappop(self._posts)
            self._open[ticket.number] = ticket
            parts.append(EVENT.pack(b"P", ticket.at, ticket.number, len(ticket._data)))
            parts.append(ticket._data)
        parts.append(EVENT.pack(b"G", horizon, 0, 0))
        batch = b"".join(parts)
        self._note(batch)
        try:
            self._channel.sendall(struct.pack("<I", len(batch)) + batch)
        except OSError:
            pass  # its end is read next
        return self._read_turn()

    def _read_turn(self):
        """Handles reports until the daemon's side waits: its reason. None: the process has ended."""
        buffer, place = self._received, 0
        while True:
            if len(buffer) - place >= REPORT.size:
                length, kind, at, number = REPORT.unpack_from(buffer, place)
                if len(buffer) - place >= 4 + length:
                    data = buffer[place + REPORT.size:place + 4 + length]
                    place += 4 + length
                    self.now = at
                    if kind == b"T":
                        self._steps, = struct.unpack_from("<Q", data, 1)
                        self._note(data + at.to_bytes(8, "little"))
                        if data[:1] in b"aib":
                            self._received = buffer[place:]
                            return data[:1]
                    else:
                        self._handle(kind, at, number, data)
                    continue
            try:
                more = self._channel.recv(READ_SIZE)
            except ConnectionResetError:
                more = b""
            except TimeoutError:
                self.process.kill()
                raise AssertionError(f"seed {self.seed}, step {self.steps}: a thread runs on without a pause") from None
            if not more:
                self._ended()
                return None
            buffer, place = buffer[place:] + more, 0

    def _handle(self, kind, at, number, data):
        if kind == b"a":
            self._answered(at, number, data)
            return
        self._note(kind + at.to_bytes(8, "little") + number.to_bytes(4, "little") + data)
        if kind == b"l":
            *lines, self._log_rest = (self._log_rest + data).split(b"\n")
            self.log += [line.decode("utf-8", "replace") for line in lines]
        elif kind == b"o":
            self._connections[number] = Outgoing(self, number, struct.unpack_from("<H", data, 4)[0])
        elif kind == b"v":
            self.certificates.append((at, data))
        elif kind == b"d" and number in self._connections:
            self._connections[number].on_bytes(at, data)
        elif kind == b"f":
            connection = self._connections.pop(number, None)
            if isinstance(connection, Connection):
                connection.has_ended = True
            if connection is not None:
                self.send(b"F", at, number)

    def _answered(self, at, number, data):
        ticket = self._open.pop(number)
        if number in self._unhashed:
            self._unhashed.discard(number)
        else:
            self._note(at.to_bytes(8, "little") + number.to_bytes(4, "little") + data)
        ticket.raw, ticket.answered_at, ticket._data = data, at, None
        ticket.status = int(data[9:12]) if data[:5] == b"HTTP/" and len(data) >= 12 else 0
