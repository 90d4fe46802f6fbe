#!/usr/bin/env python3
"""Attacks the real daemon on loopback while honest deliveries continue, and prints a table.

    make siege                       all attacks, some ten minutes
    tests/siege/siege.py NAME...     some of them

Each attack is bounded in time and number. Measured for each: the responses to the attackers, the greatest memory of
the daemon, its processor time, the response times of the honest deliveries (all signed, each one different), and
whether each one that was answered 202 is stored: sent again, it must be a duplicate. If a case has bounds (memory;
the time until an honest request is answered), exceeding them is a failure.
"""
import collections
import contextlib
import http.client
import multiprocessing
import os
import pathlib
import re
import resource
import select
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("GHATRACE", str(ROOT / "build/release-gcc/ghatrace"))
sys.path.insert(0, str(ROOT / "tests/blackbox"))
import harness  # noqa: E402
import otlp_attacks  # noqa: E402
import payloads  # noqa: E402

SECONDS = float(os.environ.get("SIEGE_SECONDS", "60"))
RATE = 500  # honest deliveries a second
HEAD = (b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-GitHub-Event: workflow_job\r\n"
        b"X-GitHub-Delivery: 4d8ed510-a74e-11f1-8000-000000000000\r\nX-Hub-Signature-256: sha256=" + b"0" * 64 + b"\r\n")
MIB = 1 << 20


# --- attackers: each in a process of its own, a loop over many sockets ----------------------------------------

class Swarm:
    """Many clients in one loop. `on_turn(client)` is called for each once a second, `on_readable` does the counting."""

    def __init__(self, address, seen):
        self.address, self.seen = address, seen
        self.poll = select.epoll()
        self.clients = {}
        self.sources = 0

    def connect(self, per_address=200):
        self.sources += 1
        number = self.sources // per_address % 60000
        source = f"127.{1 + number // 250 % 200}.0.{2 + number % 250}"
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        client.setblocking(False)
        try:
            client.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
            client.bind((source, 0))
            client.connect(self.address)
        except BlockingIOError:
            pass
        except OSError as error:
            self.seen[f"not connected: {error.strerror}"] += 1
            client.close()
            return None
        self.clients[client.fileno()] = client
        self.poll.register(client.fileno(), select.EPOLLIN)
        self.seen["connected"] += 1
        return client

    def drop(self, client):
        self.clients.pop(client.fileno(), None)
        client.close()

    def send(self, client, data):
        """The number of bytes sent; None when the connection is closed."""
        try:
            return client.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.seen["closed by the daemon"] += 1
            self.drop(client)
            return None

    def read_all(self, timeout):
        """Counts the answers. Returns the clients that were answered or closed, which are dropped."""
        gone = 0
        for fileno, _ in self.poll.poll(timeout, 10000):
            client = self.clients.get(fileno)
            if client is None:
                continue
            try:
                data = client.recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            answers = re.findall(rb"HTTP/1\.1 (\d+)", data)
            for status in answers:
                self.seen[f"{status.decode()}"] += 1
            if not data:
                if not getattr(self, "quiet_end", False):
                    self.seen["closed by the daemon"] += 1
                self.drop(client)
                gone += 1
        return gone

    def end(self):
        for client in list(self.clients.values()):
            client.close()


def trickle(address, seen, stop, count, first, drop=b"x"):
    """`count` clients that send `first` and then one byte a second; closed ones connect again."""
    swarm = Swarm(address, seen)
    while not stop.is_set():
        turn = time.monotonic()
        for client in list(swarm.clients.values()):
            swarm.send(client, drop)
        for _ in range(min(count - len(swarm.clients), 2000)):
            client = swarm.connect()
            if client is not None and first:
                swarm.send(client, first)
        while (left := turn + 1 - time.monotonic()) > 0 and not stop.is_set():
            swarm.read_all(min(left, 0.2))
    seen["open at the end"] = len(swarm.clients)
    swarm.end()


def slow_heads(address, seen, stop):
    trickle(address, seen, stop, 10000, b"POST /webhook HTTP/1.1\r\nX: ")


def slow_bodies(address, seen, stop):
    trickle(address, seen, stop, 10000, HEAD + b"Content-Length: 1000\r\n\r\n")


def idle(address, seen, stop):
    """Abuse of keep-alive: one request, then nothing."""
    trickle(address, seen, stop, 10000, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", drop=b"")


def stalled_handshakes(address, seen, stop):
    trickle(address, seen, stop, 2000, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", drop=b"\0")


def few_idle(address, seen, stop):
    trickle(address, seen, stop, 300, b"", drop=b"")


def large_bodies(address, seen, stop):
    """1,000 clients, 25 MiB each, as fast as they can; each connects once."""
    swarm = Swarm(address, seen)
    piece = b"[" * 65536
    left = {}
    for _ in range(1000):
        client = swarm.connect()
        if client is not None:
            left[client] = 25 * MIB
            swarm.send(client, HEAD + b"Content-Length: %d\r\n\r\n" % (25 * MIB))
    seen["bytes sent"] = 0
    while left and not stop.is_set():
        for client in list(left):
            if client.fileno() < 0:
                del left[client]
                continue
            sent = swarm.send(client, piece[:min(len(piece), left[client])]) if left[client] > 0 else 0
            if sent is not None:
                left[client] -= sent
                seen["bytes sent"] += sent
        swarm.read_all(0)
    swarm.end()


def one_request_each(request, at_a_time=200, most=100000):
    def attack(address, seen, stop):
        swarm = Swarm(address, seen)
        swarm.quiet_end = True
        while not stop.is_set() and seen["connected"] < most:
            for _ in range(at_a_time - len(swarm.clients)):
                client = swarm.connect(per_address=20)
                if client is not None and swarm.send(client, request) is not None and not request:
                    swarm.drop(client)
            swarm.read_all(0.01)
        swarm.end()
    return attack


connect_and_close = one_request_each(b"")
forged = one_request_each(HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}")
garbage = one_request_each(b"\x00\xff\r\n\r\nGET  / HTTP/9.9\r\n\r\n" * 50)
smuggled = one_request_each(HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG")
pipelined = one_request_each(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 200 + b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")


def hold(address, seen, stop, count, addresses, request, at_once=1, receive=None, tls=False, again=None):
    """`count` clients from `addresses` source addresses that send `request`, `at_once` times, as far as it is taken, and
    then neither send nor read anything; closed ones connect again at once, or `again` of them a second."""
    context = ssl.create_default_context() if tls else None
    if tls:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    poll, clients, number, everything = select.epoll(), {}, 0, memoryview(request * at_once)
    begin = time.monotonic()

    def drop(fileno):
        seen["closed by the daemon"] += 1
        clients.pop(fileno)[0].close()

    while not stop.is_set():
        most = count + int((time.monotonic() - begin) * again) if again else number + 200
        for _ in range(min(200, count - len(clients), most - number)):
            number += 1
            client = socket.socket()
            client.setblocking(False)
            if receive:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
                # What waits here would count against the memory that the kernel has for all TCP, ours and the daemon's.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            try:
                client.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
                client.bind((f"127.0.{1 + number % addresses}.1", 0))
                client.connect(address)
            except BlockingIOError:
                pass
            except OSError as error:
                seen[f"not connected: {error.strerror}"] += 1
                client.close()
                break
            if tls:
                client = context.wrap_socket(client, do_handshake_on_connect=False)
            clients[client.fileno()] = (client, everything)
            poll.register(client.fileno(), select.EPOLLOUT)
            seen["connected"] += 1
        for fileno, events in poll.poll(0.005, 2000):
            if fileno not in clients:
                continue
            client, left = clients[fileno]
            if events & (select.EPOLLERR | select.EPOLLHUP | select.EPOLLRDHUP):
                drop(fileno)
                continue
            try:
                if tls and not client.version():
                    client.do_handshake()
                if left:
                    sent = client.send(left[:65536])
                    seen["bytes sent"] += sent
                    clients[fileno] = (client, left[sent:])
                poll.modify(fileno, select.EPOLLOUT | select.EPOLLRDHUP if len(left) > 65536 else select.EPOLLRDHUP)
            except (BlockingIOError, ssl.SSLWantWriteError):
                pass
            except ssl.SSLWantReadError:
                poll.modify(fileno, select.EPOLLIN | select.EPOLLRDHUP)
            except OSError:
                drop(fileno)
    seen["open at the end"] = len(clients)
    for client, _ in clients.values():
        client.close()


def no_bodies(address, seen, stop):
    hold(address, seen, stop, 8000, 64, HEAD + b"Content-Length: 1000\r\n\r\n")


def no_bodies_tls(address, seen, stop):
    hold(address, seen, stop, 800, 64, HEAD + b"Content-Length: 1000\r\n\r\n", tls=True, again=50)


def burst_bodies(address, seen, stop):
    hold(address, seen, stop, 8000, 64, HEAD + b"Content-Length: 65000\r\n\r\n" + b"[" * 40000)


def unread(address, seen, stop):
    hold(address, seen, stop, 4000, 64, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 20000, receive=4096, again=200)


def unread_tls(address, seen, stop):
    hold(address, seen, stop, 300, 64, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 20000, receive=4096, tls=True, again=20)


def unread_figures(address, seen, stop):
    hold(address, seen, stop, 150, 1, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
         b"GET /api/runs HTTP/1.1\r\nHost: localhost\r\n\r\n", 10000, receive=4096)


def unread_figures_tls(address, seen, stop):
    hold(address, seen, stop, 150, 1, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 10000, receive=4096, tls=True)


def unread_streams(address, seen, stop):
    hold(address, seen, stop, 150, 1, b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n", 1, receive=4096)


def tiny_chunks(address, seen, stop):
    request = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n[\r\n" * 20000
    swarm = Swarm(address, seen)
    left = {}
    while not stop.is_set():
        while len(swarm.clients) < 100:
            client = swarm.connect()
            left[client] = request
        for client, data in list(left.items()):
            if client.fileno() < 0:
                del left[client]
            elif data:
                sent = swarm.send(client, data[:65536])
                left[client] = data[sent or 0:]
            elif swarm.send(client, b"0\r\n\r\n") is not None:
                left[client] = None
        for client in [client for client, data in left.items() if data is None]:
            del left[client]
        swarm.read_all(0.01)
    swarm.end()


def nested(address, seen, stop):
    """Correctly signed, 25 MB of brackets, of tokens, of one text: a sender with the secret is not hostile, but may be faulty."""
    bodies = [b"[" * (25 * 1000 * 1000), b"[" + b"1," * (12 * 1000 * 1000) + b"1]",
              b'{"action":"queued","x":"' + b"\\u0041" * (4 * 1000 * 1000) + b'"}']
    number = 0
    while not stop.is_set():
        body = bodies[number % len(bodies)]
        event = payloads.Event("workflow_job", body, payloads.guid_of_time(time.time()))
        with harness.Client(address) as client:
            seen[str(client.deliver(event).status)] += 1
        number += 1


# --- the honest side ----------------------------------------------------------------------------------------------

def write_deliveries(path, count):
    with open(path, "wb") as file:
        while count > 0:
            run = payloads.Run()
            for _ in range(min(10, count)):
                file.write(run.job().queued().body + b"\n")
            count -= 10


def replay(daemon, path, *arguments):
    host, port = daemon.address
    return subprocess.run([harness.BINARY, "replay", "--quiet", "--lines", "--connections", "16", *arguments,
                           "--secret-file", daemon.secret_file, f"http://{host}:{port}/webhook", path],
                          capture_output=True, text=True, timeout=1800, check=False)


def summary_of(result):
    return result.stdout.strip().splitlines()[-1] if result.stdout.strip() else result.stderr.strip()


class Usage:
    """The daemon's memory and processor time, sampled ten times a second."""

    def __init__(self, pid):
        self.pid, self.most, self.descriptors = pid, 0, 0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        while not self.stopping.wait(0.1):
            with contextlib.suppress(OSError, AttributeError):
                status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
                # The store's pages are the page cache's; the rest is the daemon's own.
                self.most = max(self.most, int(re.search(r"RssAnon:\s+(\d+)", status).group(1)))
                self.descriptors = max(self.descriptors, len(os.listdir(f"/proc/{self.pid}/fd")))

    def processor(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        self.stopping.set()
        self.thread.join()


# `within`: seconds in which each honest request is answered, one after the other, each on a connection of its own.
# `most`: MiB of the daemon's own memory. `at`: the listener that is attacked, and asked.
Attack = collections.namedtuple("Attack", "run how settings seconds limit within most at",
                                defaults=({}, None, None, None, None, "webhook"))

# What clients that do not read may take of memory: for each thread 16 MiB of answers and requests, half of which goes to
# the allocator's slack; 6 KiB a connection, and 48 KiB with TLS; 64 MiB of answers on the admin listener; and 30 MiB for
# all else (the engine's batches, the figures, the exporter).
THREADS = min(4, os.cpu_count())
UNREAD_MIB = THREADS * 16 * 1.5 + 4096 * 6 / 1024 + 30
UNREAD_TLS_MIB = THREADS * 16 * 1.5 + 300 * 48 / 1024 + 30
UNREAD_ADMIN_MIB = 64 * 1.5 + 30

# Requests that wait (96 MiB), bodies that arrive (32), one that is decoded (16 MiB inflated, twice that as JSON), answers
# (16), half as much again for the allocator's slack, and all else.
OTLP_MIB = (96 + 32 + 48 + 16) * 1.5 + 30

ATTACKS = {
    "none": Attack(None, "no attack, for comparison"),
    "slow-heads": Attack(slow_heads, "10,000 clients, one byte of a head a second; max-connections 15000",
                         {"max_connections": 15000}),
    "slow-heads-full": Attack(slow_heads, "the same, max-connections 4096 as by default"),
    "slow-bodies": Attack(slow_bodies, "10,000 clients, one byte of a body a second; max-connections 15000",
                          {"max_connections": 15000}),
    "idle": Attack(idle, "10,000 clients that keep a connection after one request", {}, 20),
    "large-bodies": Attack(large_bodies, "1,000 clients that send 25 MiB each, forged", {}, 60),
    "connect-and-close": Attack(connect_and_close, "up to 100,000 connections closed at once", {}, 20),
    "forged": Attack(forged, "up to 100,000 forged deliveries from many addresses", {}, 20),
    "garbage": Attack(garbage, "up to 100,000 times bytes that are no HTTP", {}, 20),
    "smuggled": Attack(smuggled, "up to 100,000 requests with Content-Length and chunked", {}, 20),
    "pipelined": Attack(pipelined, "201 requests at once, up to 100,000 times", {}, 20),
    "tiny-chunks": Attack(tiny_chunks, "100 clients, bodies of 20,000 chunks of one byte", {}, 20),
    "nested": Attack(nested, "rightly signed, 25 MB of brackets, of numbers, of escapes", {}, 20),
    "descriptors": Attack(few_idle, "300 idle clients, 64 descriptors in all", {}, 20, 64),
    "no-bodies": Attack(no_bodies, "8,000 clients of 64 addresses: heads, and no bodies", {}, 20, within=5),
    "no-bodies-tls": Attack(no_bodies_tls, "800 clients of 64 addresses over TLS, 50 more a second: heads, and no bodies; "
                            "max-connections 400", {"tls": True, "max_connections": 400}, 20, within=5),
    "burst-bodies": Attack(burst_bodies, "8,000 clients of 64 addresses: heads, 40 KB of a body at once, no more", {}, 20,
                           within=5),
    "unread": Attack(unread, "4,000 clients, 20,000 requests each, that read no answer; 200 more a second", {}, 20, within=5,
                     most=UNREAD_MIB),
    "unread-tls": Attack(unread_tls, "300 clients, 20,000 requests each over TLS, that read no answer; 20 more a second",
                         {"tls": True}, 20, within=5, most=UNREAD_TLS_MIB),
    "unread-figures": Attack(unread_figures, "150 clients of the admin listener that read no answer", {}, 20, within=5,
                             most=UNREAD_ADMIN_MIB, at="admin"),
    "unread-figures-tls": Attack(unread_figures_tls, "the same over TLS", {"tls": True}, 20, within=5,
                                 most=UNREAD_ADMIN_MIB, at="admin"),
    "unread-streams": Attack(unread_streams, "150 clients of the live stream that read nothing", {}, 40, within=5,
                             most=UNREAD_ADMIN_MIB, at="admin"),
    "otlp-forged": Attack(otlp_attacks.forged, "otlp-listen, token of jobs: IDs of ours, ARC's spans, no parents; wrong tokens", {},
                          20, most=OTLP_MIB, at="otlp"),
    "otlp-bombs": Attack(otlp_attacks.bombs, "otlp-listen, token of jobs: 32 clients that send bombs in gzip, JSON and protobuf", {},
                         20, most=OTLP_MIB, at="otlp"),
    "otlp-flood": Attack(otlp_attacks.flood, "otlp-listen, both tokens and none: 32 clients, as fast as they are answered", {},
                         20, most=OTLP_MIB, at="otlp"),
    "otlp-flood-dead": Attack(otlp_attacks.flood, "the same, while the collector accepts nothing; outbox-max-size 32 MiB", {}, 20,
                              most=OTLP_MIB, at="otlp"),
    "otlp-slow": Attack(otlp_attacks.slow(hold), "otlp-listen: 300 bodies with a token that stall, 20 of 4 MiB; 300 without, "
                        "300 heads; 100 clients that read no answer", {}, 40, most=OTLP_MIB, at="otlp"),
    "handshakes": Attack(stalled_handshakes, "2,000 clients whose TLS handshakes trickle, a byte a second", {"tls": True}, 20),
}


def work(attack, address, stop, results):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    seen = collections.Counter()
    attack(address, seen, stop)
    results.put(dict(seen))


def ask_one_by_one(daemon, folder, attack, seconds):
    """As GitHub does: a connection for each delivery; or for each request of the figures. Then the deliveries once more."""
    context = None
    if attack.settings.get("tls"):
        context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
        context.check_hostname = False
    took, seen, events, accepted = [], collections.Counter(), [], []

    def ask(event, address):
        with harness.Client(address, timeout=30) as client:
            if context:
                client.connection = http.client.HTTPSConnection(*address, context=context, timeout=30)
            if event is None:
                return client.request("GET", "/metrics", headers={"Host": "localhost"})
            return client.deliver(event)

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        events.append(payloads.Run().job().queued())
        begin = time.monotonic()
        try:
            status = ask(None if attack.at == "admin" else events[-1],
                         daemon.admin_address if attack.at == "admin" else daemon.address).status
        except (OSError, http.client.HTTPException) as error:
            status = type(error).__name__
        took.append(time.monotonic() - begin)
        seen[status] += 1
        if attack.at == "admin":
            with contextlib.suppress(OSError, http.client.HTTPException):
                if ask(events[-1], daemon.address).status == 202:
                    accepted.append(events[-1])
        elif status == 202:
            accepted.append(events[-1])
        time.sleep(0.05)
    took.sort()
    good = seen[200] + seen[202] == len(took) and took[-1] <= attack.within
    text = (f"{len(took)} answered: {dict(seen)}; half within {took[len(took) // 2] * 1000:.1f} ms, "
            f"all within {took[-1] * 1000:.1f} ms{'' if good else f'; NOT ALL ANSWERED WITHIN {attack.within} s'}")
    return text, good, lambda: sum(ask(event, daemon.address).outcome != (200, "duplicate") for event in accepted)


def deliver_by_tls(daemon, folder, stop):
    """replay speaks plain HTTP only: a connection each, one after the other."""
    context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
    context.check_hostname = False
    took, statuses, events = [], collections.Counter(), []
    while not stop.is_set():
        event = payloads.Run().job().queued()
        begin = time.monotonic()
        with harness.Client(daemon.address) as client:
            client.connection = http.client.HTTPSConnection(*daemon.address, context=context, timeout=30)
            statuses[client.deliver(event).status] += 1
        took.append(time.monotonic() - begin)
        events.append(event)
    took.sort()
    times = "; ".join(f"{name} {took[int(len(took) * part)] * 1000:.1f} ms" for name, part in
                      (("half within", .5), ("99 % within", .99), ("all within", .9999)))
    lost = 0
    for event in events:
        with harness.Client(daemon.address) as client:
            client.connection = http.client.HTTPSConnection(*daemon.address, context=context, timeout=30)
            lost += client.deliver(event).outcome != (200, "duplicate")
    return f"{len(events)} answered: {dict(statuses)}; {times}", lost


def besiege(name):
    attack = ATTACKS[name]
    seconds = min(attack.seconds or SECONDS, SECONDS)
    with tempfile.TemporaryDirectory(prefix="ghatrace-siege-") as folder:
        settings = dict(attack.settings)
        if settings.pop("tls", False):
            subprocess.run([ROOT / "tests/support/make_certificates", folder], check=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            settings.update(tls_cert=f"{folder}/server.pem", tls_key=f"{folder}/server.key")
            if attack.at == "admin":
                settings.update(admin_tls="on")
        sink = None
        if attack.at == "otlp":
            sink = otlp_attacks.Sink(is_dead=name.endswith("-dead"))
            settings.update(otlp_attacks.settings(folder), otlp_endpoint=sink.endpoint)
        daemon = harness.Daemon(folder, **settings)
        if attack.limit:
            daemon.arguments_before = daemon.arguments
            daemon.arguments = lambda: ["sh", "-c", f'ulimit -n {attack.limit}; exec "$@"', "sh", *daemon.arguments_before()]
        daemon.start()
        if sink:
            daemon.accept(*otlp_attacks.EVENTS)
        count = int(RATE * seconds)
        deliveries = f"{folder}/deliveries.jsonl"
        write_deliveries(deliveries, count)
        usage = Usage(daemon.process.pid)
        stop, results = multiprocessing.Event(), multiprocessing.Queue()
        process, good = None, True
        if attack.run:
            target = {"admin": daemon.admin_address, "otlp": daemon.otlp_address, "webhook": daemon.address}[attack.at]
            process = multiprocessing.Process(target=work, args=(attack.run, target, stop, results))
            process.start()
            time.sleep(min(5, seconds / 4))  # they are connected before the first delivery
        before, begin = usage.processor(), time.monotonic()
        reporter = otlp_attacks.Reporter(daemon.otlp_address) if sink else None
        if attack.within:
            honest, good, count_lost = ask_one_by_one(daemon, folder, attack, seconds)
        elif "tls_cert" in settings:
            timer = threading.Timer(seconds, stop.set)
            timer.start()
            honest, lost = deliver_by_tls(daemon, folder, stop)
        else:
            honest = summary_of(replay(daemon, deliveries, "--rate", str(RATE)))
        used, lasted = usage.processor() - before, time.monotonic() - begin
        others = ""
        if sink:
            reports, all_taken = reporter.stop()
            counted, wrong = otlp_attacks.judge(name, daemon, sink)
            if not re.search(rf"\b{count} x 202", honest):
                wrong = f"{wrong} WEBHOOKS WERE NOT ALL ANSWERED 202"
            if not all_taken and "flood" not in name:
                wrong = f"{wrong} REPORTS WERE NOT ALL ANSWERED 200 WITHIN {otlp_attacks.ARC_WAITS} s"
            others = f"  ARC            {reports}\n  counted        {counted}{' ' if wrong else ''}{wrong}\n"
            good = not wrong
        stop.set()
        seen = {}
        if process:
            seen = results.get(timeout=120)
            process.join(30)
        if attack.within:
            lost = count_lost()
        elif "tls_cert" not in settings:
            again = summary_of(replay(daemon, deliveries))
            accepted = int((re.search(r"(\d+) x 202", honest) or [0, 0])[1])
            duplicates = int((re.search(r"(\d+) x 200", again) or [0, 0])[1])
            lost = max(0, accepted - duplicates)
        usage.stop()
        suppressed = sum(int(number) for number in re.findall(r"suppressed=(\d+)", daemon.log))
        lines = len(daemon.log.splitlines())
        daemon.stop()
        if sink:
            sink.stop()
        most = "" if attack.most is None else f" (at most {attack.most:.0f})"
        if attack.most is not None and usage.most / 1024 > attack.most:
            most, good = f"{most} TOO MUCH", False
        print(f"\n{name}: {attack.how}\n"
              f"  attackers saw  {', '.join(f'{key}: {value:,}' for key, value in sorted(seen.items())) or '-'}\n"
              f"  honest         {honest}\n{others}"
              f"  lost           {lost}\n"
              f"  daemon         {usage.most / 1024:.1f} MiB of its own{most}, {usage.descriptors} descriptors, "
              f"{used:.1f} s of processor in {lasted:.0f} s; {lines} log lines, {suppressed} suppressed", flush=True)
        return good and lost == 0


def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    names = sys.argv[1:] or list(ATTACKS)
    unknown = [name for name in names if name not in ATTACKS]
    if unknown:
        sys.exit(f"siege: no attack named {unknown[0]}; there are: {' '.join(ATTACKS)}")
    good = [besiege(name) for name in names]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
