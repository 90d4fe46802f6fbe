"""Starts the real daemon, speaks HTTP to it, and offers the base class of all tests here."""
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

from collector import Collector
from expect import by_id, ids_of

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = os.path.abspath(os.environ.get("GHATRACE") or ROOT / "build/dev-gcc/ghatrace")
SECRET = "It's a Secret to Everybody"
# metrics-labels: what series were counted by before it was a choice.
LABELS_BEFORE = ("job: repository workflow runner_group runner_labels result; run: repository workflow result; "
                 "step: repository workflow step result")
# What a command leaves in its folder goes with it.
EMPTY_FOLDER = tempfile.TemporaryDirectory(prefix="ghatrace-test-")
PATIENCE = float(os.environ.get("PATIENCE", "60"))  # seconds: how long to wait for what must happen; never how fast it has to be
READY = re.compile(r'msg="?ready"? .*\blisten=(\S+).*\badmin=(\S+)')
# What a sanitizer says on stderr when it has found something.
SANITIZER = re.compile(r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:)")


_folders, _processes = [], []


def end_all():
    """Whatever is left of an interrupted suite."""
    for process in _processes:
        if process.poll() is None:
            process.kill()
            process.wait()
    for folder in _folders:
        shutil.rmtree(folder, True)


def wait_until(predicate, timeout=PATIENCE, what="a condition"):
    """Returns the first true value of predicate()."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout} s in vain for {what}")
        time.sleep(0.01)


def sign(body, secret=SECRET):
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def delivery_headers(event, secret=SECRET, content_type="application/json"):
    """The fields that GitHub sends, in its order."""
    headers = {"Accept": "*/*", "Content-Type": content_type, "User-Agent": "GitHub-Hookshot/044aadd",
               "X-GitHub-Delivery": event.guid, "X-GitHub-Event": event.type, "X-GitHub-Hook-ID": "450394412",
               "X-GitHub-Hook-Installation-Target-ID": "591427149",
               "X-GitHub-Hook-Installation-Target-Type": "repository"}
    if secret is not None:
        headers["X-Hub-Signature"] = "sha1=" + hmac.new(secret.encode(), event.body, hashlib.sha1).hexdigest()
        headers["X-Hub-Signature-256"] = sign(event.body, secret)
    return headers


def form_of(event):
    """The delivery as GitHub's web form sets hooks up by default."""
    return event.with_body(urllib.parse.urlencode({"payload": event.body}).encode())


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def outcome(self):
        """(202, "accepted") and the like."""
        try:
            return self.status, json.loads(self.body)["status"]
        except (ValueError, KeyError, TypeError):
            return self.status, self.text.strip()

    def __repr__(self):
        return f"<{self.status} {self.body[:200]!r}>"


class Client:
    """One keep-alive connection."""

    def __init__(self, address, timeout=PATIENCE):
        self.host, self.port = address
        self.connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def request(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body, headers or {})
        answer = self.connection.getresponse()
        return Response(answer.status, answer.headers, answer.read())

    def deliver(self, event, path="/webhook", **kinds):
        return self.request("POST", path, event.body, delivery_headers(event, **kinds))

    def close(self):
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def clean_environment(extra=None):
    """This process's, without what changes the daemon: proxies are found in variables of either case. The files of
    settings that this machine may have are not read, as an empty one is named."""
    prefixes = ("OTEL_", "GHATRACE_", "GITHUB_", "HTTP_", "HTTPS_", "LISTEN_", "NOTIFY_", "WATCHDOG_")
    environment = {key: value for key, value in os.environ.items()
                   if not key.startswith(prefixes) and key.lower() not in ("http_proxy", "https_proxy", "all_proxy", "no_proxy")}
    environment["GHATRACE_CONFIG"] = "/dev/null"
    environment.update(extra or {})
    return environment


def run_command(*arguments, env=None, timeout=PATIENCE, stdin=""):
    """A subcommand that ends by itself."""
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, input=stdin,
                          env=clean_environment(env), check=False, errors="replace", cwd=EMPTY_FOLDER.name)


# What systemd does: sockets from 3 on, then the variables, with the process ID that the program will have.
ACTIVATE = """
import fcntl, os, sys
fds = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in sys.argv[2].split(",")]
for number, fd in enumerate(fds, 3):
    os.dup2(fd, number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=sys.argv[1])
if "WATCHDOG_USEC" in os.environ:
    os.environ["WATCHDOG_PID"] = str(os.getpid())
os.execv(sys.argv[3], sys.argv[3:])
"""


def activated(arguments, sockets):
    """The command that starts `arguments` with these listening sockets, {name: socket}; and what Popen needs besides."""
    if not sockets:
        return arguments, {}
    numbers = [entry.fileno() for entry in sockets.values()]
    return ([sys.executable, "-IS", "-c", ACTIVATE, ":".join(sockets), ",".join(map(str, numbers)), *arguments],
            {"pass_fds": numbers})


def listening_socket(backlog=4096):
    return socket.create_server(("127.0.0.1", 0), backlog=backlog)


class Daemon:
    """`ghatrace serve` on free ports. Settings are keyword arguments: root_grace="1s". `sockets` are passed as systemd does."""

    def __init__(self, folder, env=None, sockets=None, **settings):
        self.folder = pathlib.Path(folder)
        self.env = env
        self.sockets = sockets
        self.settings = {"listen": "127.0.0.1:0", "admin-listen": "127.0.0.1:0", "db": str(self.folder / "db")}
        for name, value in settings.items():
            self.settings[name.replace("_", "-")] = value
        if "webhook-secret-file" not in self.settings:
            self.secret_file = self.folder / "secret"
            self.secret_file.write_text(SECRET + "\n")
            self.settings["webhook-secret-file"] = str(self.secret_file)
        self.process = None
        self.lines = []
        self._client = None

    def arguments(self):
        arguments = [BINARY, "serve"]
        for name, value in self.settings.items():
            if value is not None:
                arguments.append(f"--{name}={value}")
        return arguments

    def start(self):
        self.lines = []
        command, passing = activated(self.arguments(), self.sockets)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, env=clean_environment(self.env), **passing)
        _processes.append(self.process)
        self._reader = threading.Thread(target=self._read_log, args=(self.process, self.lines), daemon=True)
        self._reader.start()
        ready = wait_until(self._ready_or_dead, what="the line that says it is ready")
        if ready is True:
            self._reader.join(PATIENCE)
            raise AssertionError(f"the daemon ended with {self.process.returncode}:\n" + "\n".join(self.lines[-30:]))
        self.address, self.admin_address = (self._parse(text) for text in ready.groups())
        otlp = re.search(r"\botlp=(\S+)", ready.string)
        self.otlp_address = self._parse(otlp.group(1)) if otlp and otlp.group(1) != "off" else None
        return self

    def _read_log(self, process, lines):
        for line in process.stderr:
            lines.append(line.decode("utf-8", "replace").rstrip("\n"))
        process.stderr.close()

    def _ready_or_dead(self):
        for line in list(self.lines):
            match = READY.search(line)
            if match:
                return match
        return self.process.poll() is not None

    @staticmethod
    def _parse(text):
        host, _, port = text.strip('"').rpartition(":")
        return host.strip("[]"), int(port or 0)

    @property
    def log(self):
        """All lines so far; once the process has ended, all that it wrote."""
        if self.process is not None and self.process.poll() is not None:
            self._reader.join(PATIENCE)
        return "\n".join(list(self.lines))

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def _forget_client(self):
        if self._client:
            self._client.close()
            self._client = None

    def stop(self, expect=0):
        """SIGTERM; the exit code must be `expect`."""
        self._forget_client()
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("SIGTERM did not end the daemon:\n" + self.log[-3000:]) from None
        self._reader.join(PATIENCE)
        code, self.process = self.process.returncode, None
        found = SANITIZER.search(self.log)
        if found or code != expect:
            raise AssertionError(f"the daemon ended with {code}, expected {expect}:\n" + self.log[-6000:])

    def kill(self):
        """kill -9."""
        self._forget_client()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self._reader.join(PATIENCE)
            self.process = None

    def restart(self, how="stop"):
        getattr(self, how)()
        return self.start()

    def client(self, timeout=PATIENCE):
        return Client(self.address, timeout)

    def deliver(self, event, **kinds):
        """On one keep-alive connection that all calls share."""
        if self._client is None:
            self._client = self.client()
        return self._client.deliver(event, **kinds)

    def accept(self, *events):
        """Delivers; all must be answered 202."""
        for event in events:
            answer = self.deliver(event)
            if answer.outcome != (202, "accepted"):
                raise AssertionError(f"{event.type} {event.action} was answered {answer}\n" + self.log[-2000:])

    def admin(self, path, method="GET"):
        with Client(self.admin_address) as client:
            return client.request(method, path)

    def own_kib(self):
        """Memory of the process, without the store's pages."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status).group(1))

    def command(self, *arguments, **kinds):
        """A subcommand on this daemon's store."""
        return run_command(*arguments, "--db", self.settings["db"], **kinds)


def raw_exchange(address, data, timeout=PATIENCE, shut=False):
    """Sends bytes as they are; returns all that comes until the other side closes."""
    with socket.create_connection(address, timeout=timeout) as connection:
        try:
            connection.sendall(data)
        except OSError:
            pass  # a refusal may close before all was sent
        if shut:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
        return received


def parse_responses(data):
    """[(status, body)] of a stream of responses with Content-Length."""
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        match = re.search(rb"(?im)^content-length:\s*(\d+)", head)
        size = int(match.group(1)) if match else 0
        found.append((status, rest[:size]))
        data = rest[size:]
    return found


class BlackBoxTest(unittest.TestCase):
    """Folders, daemons and collectors that end with the test."""
    maxDiff = None

    @classmethod
    def new_folder(cls):
        folder = tempfile.mkdtemp(prefix="ghatrace-test-")
        _folders.append(folder)
        cls.addClassCleanup(shutil.rmtree, folder, True)
        return folder

    def new_collector(self):
        collector = Collector()

        def end():
            collector.stop()
            self.assertEqual(collector.faults, [])
        self.addCleanup(end)
        return collector

    def new_daemon(self, collector=None, start=True, **settings):
        if collector is not None:
            settings.setdefault("otlp_endpoint", collector.endpoint)
        daemon = Daemon(self.new_folder(), **settings)
        self.addCleanup(daemon.stop)
        return daemon.start() if start else daemon

    @classmethod
    def share_pair(cls, **settings):
        """One daemon and one collector for all tests of a class: cls.daemon, cls.collector."""
        cls.collector = Collector()
        settings.setdefault("otlp_endpoint", cls.collector.endpoint)
        cls.daemon = Daemon(cls.new_folder(), **settings).start()

        def end():
            try:
                cls.daemon.stop()
            finally:
                cls.collector.stop()
            if cls.collector.faults:
                raise AssertionError(f"the exporter broke a rule: {cls.collector.faults[:5]}")
        cls.addClassCleanup(end)

    def check_trace(self, collector, expected, timeout=PATIENCE):
        """The trace of `expected` is these spans, attribute for attribute, and no others."""
        trace_id = expected[0]["traceId"]
        collector.wait_for_ids(ids_of(expected), timeout)
        found = by_id(collector.trace(trace_id))
        wanted = by_id(expected)
        self.assertEqual([f"{i} {s['name']}" for i, s in found.items()],
                         [f"{i} {s['name']}" for i, s in wanted.items()])
        for span_id, span in wanted.items():
            self.assertEqual(found[span_id], span, f"span {span['name']}")
        return found

    def new_pair(self, **settings):
        collector = self.new_collector()
        return self.new_daemon(collector, **settings), collector
