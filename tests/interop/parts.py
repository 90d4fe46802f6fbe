"""The programs of others that these tests run: the Collector, nginx, tinyproxy; and a balancer of our own."""
import itertools
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import threading

import build
import collector as standin
import harness
import otlp_compare
from harness import PATIENCE, wait_until
from ports import free_port


def bracketed(host):
    return f"[{host}]" if ":" in host else host


class Program:
    """One process of somebody else's program, its output in a file."""

    def __init__(self, folder, name):
        self.folder, self.name = pathlib.Path(folder), name
        self.process, self.log_path = None, self.folder / f"{name}.log"

    def spawn(self, *command, environment=None):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.folder, env=harness.clean_environment(environment))
        harness._processes.append(self.process)

    @property
    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def check_alive(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log[-3000:]}")

    def wait_for_port(self, host, port):
        def is_open():
            self.check_alive()
            try:
                socket.create_connection((host, port), 1).close()
            except OSError:
                return False
            return True
        wait_until(is_open, what=f"{self.name} on port {port}")

    def end(self, how):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(how)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not end:\n{self.log[-3000:]}") from None
        self.process = None

    def run_configuration(self, binary, configuration, environment=None):
        """Starts a Collector, or what is built of its parts."""
        seen = self.log.count("Everything is ready")
        self.spawn(binary, "--config", configuration, environment=environment)

        def is_ready():
            self.check_alive()
            return self.log.count("Everything is ready") > seen
        wait_until(is_ready, what=f"{self.name} to be ready")

    def stop(self):
        self.end(signal.SIGTERM)

    def kill(self):
        self.end(signal.SIGKILL)

    def pause(self):
        """It accepts connections, as the kernel does that, and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)


class Collector(Program):
    """The OpenTelemetry Collector. What it has taken is in a file, line by line, before it answers: its file exporter
    buffers nothing when it rotates, and there is no batch processor and no queue unless a test asks for them.

    Of the stand-in in tests/blackbox/collector.py it has ids(), trace(), spans(), wait(), wait_for_ids(), endpoint, stop()
    and start(); kill(), pause() and resume() besides."""

    def __init__(self, folder, name="collector", host="127.0.0.1", http=None, grpc=None, extensions=None, processors=None,
                 receivers=None, port=None, grpc_port=None, signal="traces"):
        super().__init__(folder, name)
        self.host, self.port, self.grpc_port = host, port or free_port(host), grpc_port or free_port(host)
        self.signal = signal
        self.http, self.grpc = dict(http or {}), dict(grpc or {})
        self.extensions, self.processors, self.receivers = extensions or {}, processors or {}, receivers or {}
        self._generation, self._files = 0, {}
        self._groups, self._ids = [], {}
        self.start()

    @property
    def endpoint(self):
        return self.endpoint_of("http")

    def port_of(self, protocol):
        return self.grpc_port if protocol == "grpc" else self.port

    def endpoint_of(self, protocol, host=None):
        server = self.grpc if protocol == "grpc" else self.http
        scheme = "https" if "tls" in server else "http"
        return f"{scheme}://{bracketed(host or self.host)}:{self.port_of(protocol)}"

    def configuration(self, path):
        protocols = {"http": {"endpoint": f"{bracketed(self.host)}:{self.port}", **self.http},
                     "grpc": {"endpoint": f"{bracketed(self.host)}:{self.grpc_port}", **self.grpc}}
        receivers = {"otlp": {"protocols": protocols}, **self.receivers}
        return {"extensions": self.extensions, "receivers": receivers, "processors": self.processors,
                "exporters": {"file": {"path": str(path), "rotation": {"max_megabytes": 1000}}},
                "service": {"telemetry": {"metrics": {"level": "none"}}, "extensions": list(self.extensions),
                            "pipelines": {self.signal: {"receivers": list(receivers), "exporters": ["file"],
                                                        "processors": list(self.processors)}}}}

    def start(self):
        """Opens the same ports again; what came before stays counted."""
        self._generation += 1
        path = self.folder / f"{self.name}-{self._generation}.json"
        self._files[path] = 0
        configuration = self.folder / f"{self.name}.yaml"
        configuration.write_text(json.dumps(self.configuration(path)))  # JSON is YAML
        self.run_configuration(build.collector(), configuration)

    def read(self):
        """Takes in the whole lines that were written since."""
        for path, position in self._files.items():
            if not path.exists():
                continue
            with open(path, "rb") as file:
                file.seek(position)
                fresh = file.read()
            whole = fresh[:fresh.rfind(b"\n") + 1]
            self._files[path] = position + len(whole)
            for line in whole.splitlines():
                groups = otlp_compare.parse_json(line)
                self._groups += groups
                for group in groups:
                    for span in group["spans"]:
                        key = span["traceId"], span["spanId"]
                        self._ids[key] = self._ids.get(key, 0) + 1

    def ids(self):
        """{(trace id, span id): how often it was taken}"""
        self.read()
        return self._ids

    def spans(self):
        """{(trace id, span id): the span, its resource and its scope}; repeats must be equal."""
        self.read()
        return whole_spans(self._groups)

    def trace(self, trace_id=None):
        """As the stand-in has it: spans with their `resource`."""
        return [{key: value for key, value in span.items() if key not in ("scope", "scopeSchemaUrl", "resourceSchemaUrl")}
                for key, span in self.spans().items() if trace_id in (None, key[0])]

    def wait(self, predicate, timeout=PATIENCE, what="the Collector"):
        def look():
            self.read()
            return predicate(self)
        wait_until(look, timeout, what)

    def wait_for_ids(self, wanted, timeout=PATIENCE):
        try:
            standin.wait_for_ids(self, wanted, timeout)
        except AssertionError as fault:
            raise AssertionError(f"{fault}; the Collector says:\n{self.log[-2000:]}") from None


def whole_spans(groups):
    """{(trace id, span id): the span with its resource and scope} of otlp_compare's normal form."""
    found = {}
    for group in groups:
        around = {key: value for key, value in group.items() if key != "spans"}
        for span in group["spans"]:
            whole = {**span, **around}
            key = span["traceId"], span["spanId"]
            if found.setdefault(key, whole) != whole:
                raise AssertionError(f"one span in two versions:\n{found[key]}\n{whole}")
    return found


class Jaeger(Program):
    """Jaeger with its storage in memory."""

    def __init__(self, folder, name="jaeger"):
        super().__init__(folder, name)
        self.port, self.grpc_port, self.query_port = free_port(), free_port(), free_port()
        query = {"storage": {"traces": "memory"}, "http": {"endpoint": f"127.0.0.1:{self.query_port}"},
                 "grpc": {"endpoint": f"127.0.0.1:{free_port()}"}}
        protocols = {"http": {"endpoint": f"127.0.0.1:{self.port}"}, "grpc": {"endpoint": f"127.0.0.1:{self.grpc_port}"}}
        configuration = self.folder / f"{name}.yaml"
        configuration.write_text(json.dumps({
            "extensions": {"jaeger_query": query,
                           "jaeger_storage": {"backends": {"memory": {"memory": {"max_traces": 10000}}}}},
            "receivers": {"otlp": {"protocols": protocols}},
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "memory"}},
            "service": {"telemetry": {"metrics": {"level": "none"}}, "extensions": ["jaeger_storage", "jaeger_query"],
                        "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["jaeger_storage_exporter"]}}}}))
        # It would trace itself, and look for a collector for that until it ends.
        self.run_configuration(build.jaeger(), configuration, {"OTEL_TRACES_SAMPLER": "always_off"})

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def endpoint_of(self, protocol, host=None):
        return f"http://{host or '127.0.0.1'}:{self.grpc_port if protocol == 'grpc' else self.port}"

    def get(self, path):
        with harness.Client(("127.0.0.1", self.query_port)) as client:
            return json.loads(client.request("GET", path).body)

    def traces(self, path):
        """What its API says of `api/traces…`: [trace]."""
        return self.get("/api/traces" + path)["data"] or []


def send_spans(program, document, endpoint, **environment):
    """What `arc` or `job` of tests/interop/arc answers; environment has its other OTEL_ variables."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **environment}
    done = subprocess.run([build.arc(), program], input=json.dumps(document), capture_output=True, text=True, check=False,
                          timeout=PATIENCE, env=harness.clean_environment(variables))
    if done.returncode != 0:
        raise AssertionError(f"{program} ended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout)


class Nginx(Program):
    """A reverse proxy. `server` is added to its server block, `top` to its http block."""

    def __init__(self, folder, server, top="", name="nginx", listen=""):
        super().__init__(folder, name)
        self.port = free_port()
        self.server, self.top, self.listen = server, top, listen
        self.start()

    def start(self):
        names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "".join(f"{each}_temp_path {self.folder}/{self.name}-{each};" for each in names)
        configuration = self.folder / f"{self.name}.conf"
        configuration.write_text(f"""
            daemon off; pid {self.folder}/{self.name}.pid; error_log {self.log_path} info; worker_processes 1;
            {'user root;' if os.geteuid() == 0 else ''}
            events {{ worker_connections 256; }}
            http {{ access_log {self.folder}/{self.name}.access; {paths} {self.top}
                server {{ listen 127.0.0.1:{self.port} {self.listen}; {self.server} }} }}""")
        self.spawn(shutil.which("nginx") or "/usr/sbin/nginx", "-c", configuration, "-p", self.folder, "-e", self.log_path)
        self.wait_for_port("127.0.0.1", self.port)

    @property
    def accesses(self):
        path = self.folder / f"{self.name}.access"
        return path.read_text(errors="replace").splitlines() if path.exists() else []


class Tinyproxy(Program):
    """A forward proxy. `wrapped` may change the command that starts it."""

    def __init__(self, folder, user=None, name="tinyproxy", wrapped=list):
        super().__init__(folder, name)
        self.port, self.user, self.wrapped = free_port(), user, wrapped
        self.start()

    def start(self):
        configuration = self.folder / f"{self.name}.conf"
        configuration.write_text(f"Port {self.port}\nListen 127.0.0.1\nTimeout 60\nLogLevel Connect\nMaxClients 100\n"
                                 + (f"BasicAuth {self.user[0]} {self.user[1]}\n" if self.user else ""))
        self.spawn(*self.wrapped(["tinyproxy", "-d", "-c", str(configuration)]))
        self.wait_for_port("127.0.0.1", self.port)


class Balancer:
    """Passes connections on, to one replica after the other, whatever it is like: as a balancer does that looks at nothing
    but connections."""

    def __init__(self, *replicas, host="127.0.0.1"):
        self.replicas, self.taken = list(replicas), []
        self._next = itertools.count()
        self.listener = socket.create_server((host, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            number = next(self._next) % len(self.replicas)
            self.taken.append(number)
            threading.Thread(target=self._serve, args=(client, self.replicas[number]), daemon=True).start()

    @staticmethod
    def _serve(client, address):
        try:
            server = socket.create_connection(address, 5)
        except OSError:
            client.close()
            return
        with client, server:
            sides = {client: server, server: client}
            while True:
                for side in select.select(list(sides), [], [])[0]:
                    try:
                        data = side.recv(65536)
                        if not data:
                            return
                        sides[side].sendall(data)
                    except OSError:
                        return

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
