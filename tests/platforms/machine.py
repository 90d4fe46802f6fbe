"""Bare Debian machines in folders: made by debootstrap, entered or booted in namespaces of their own. Needs root.

No registry and no image is needed, only a Debian mirror: DEBIAN_MIRROR, else the one that this machine's apt uses.
What is made lies in build/platforms; a base is made once.
"""
import ctypes
import http.server
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FOLDER = ROOT / "build/platforms"
NAMESPACES = ["--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc"]
CLEAN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


def say(text):
    print(f"== {text}", flush=True)


def need_root_and_tools():
    if os.geteuid() != 0:
        sys.exit("this needs root: it makes namespaces, and folders that are owned by others")
    for program in ("debootstrap", "unshare", "nsenter"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not here: apt-get install debootstrap util-linux")


def mirror():
    """Where Debian's main component comes from."""
    if "DEBIAN_MIRROR" in os.environ:
        return os.environ["DEBIAN_MIRROR"]
    listed = subprocess.run(["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)"],
                            capture_output=True, text=True, check=False).stdout
    for line in listed.splitlines():
        origin, label, component, address = line.split("|")
        if (origin, label, component) == ("Debian", "Debian", "main") and address.startswith("http://"):
            return address.rstrip("/")
    return None  # debootstrap's own default


def base(suite, packages=()):
    """The folder of a bare machine, not to be changed."""
    name = "-".join([suite, *sorted(packages)])
    folder = FOLDER / "bases" / name
    if not folder.exists():
        source = mirror()
        say(f"debootstrap {suite} from {source or 'its default mirror'}")
        unfinished = folder.with_name(name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        included = [f"--include={','.join(packages)}"] if packages else []
        done = subprocess.run(["debootstrap", "--variant=minbase", *included, suite, str(unfinished),
                               *([source] if source else [])],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"debootstrap {suite}:\n{done.stdout[-3000:]}")
        unfinished.rename(folder)
    return folder


def fresh(suite, name, packages=()):
    """A machine's folder that may be changed."""
    folder = FOLDER / "roots" / f"{name}-{suite}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", "--reflink=auto", f"{base(suite, packages)}/.", str(folder)], check=True)
    return folder


def enter(folder, command, environment=None, own_network=False, read_only=False, bind=()):
    """The command that runs `command` with the folder as its root, and its environment for subprocess."""
    variables = [f"{name}={value}" for name, value in {**CLEAN, **(environment or {})}.items()]
    steps = {"BIND": " ".join(f"{a}:{b}" for a, b in bind), "READ_ONLY": "1" if read_only else ""}
    return (["unshare", *NAMESPACES, *(["--net"] if own_network else []), str(HERE / "enter"), str(folder), "/usr/bin/env",
             "-i", *variables, *command], {**os.environ, **steps})


# --- sockets in a machine's network -----------------------------------------------------------------------------

def listen_inside(pid, host, port):
    """A listening socket that belongs to the network of process `pid`; whoever accepts on it stays in ours."""
    libc = ctypes.CDLL(None, use_errno=True)
    found = []

    def make():  # a thread of its own, which ends: only it changes its network
        with open(f"/proc/{pid}/ns/net", "rb") as network:
            if libc.setns(network.fileno(), 0) != 0:
                raise OSError(ctypes.get_errno(), "setns")
            found.append(socket.create_server((host, port), backlog=64))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return found[0]


class Server(http.server.ThreadingHTTPServer):
    """An HTTP server on a socket that is there already."""
    daemon_threads = True

    def __init__(self, listener, handler):
        super().__init__(listener.getsockname(), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Fetch(http.server.BaseHTTPRequestHandler):
    """A proxy for apt."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # pylint: disable=invalid-name
        wanted = {name: self.headers[name] for name in ("If-Modified-Since", "Range", "If-Range") if name in self.headers}
        try:
            answer = urllib.request.urlopen(urllib.request.Request(self.path, headers=wanted), timeout=60)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        except OSError:
            self.send_error(502)
            return
        with answer:
            body = answer.read()
        self.send_response(answer.status)
        for name in ("Last-Modified", "Content-Type", "Content-Range"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


# --- machines that run ------------------------------------------------------------------------------------------

def cgroup_folder():
    """A control group for one machine, so that it takes no other one's for its own. None: the system has no such tree."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[fields.index("-") + 1] == "cgroup2":
            own = next(line[3:].strip() for line in open("/proc/self/cgroup", encoding="ascii") if line.startswith("0::"))
            folder = pathlib.Path(fields[4] + own) / f"ghatrace-platform-{os.getpid()}-{time.monotonic_ns()}"
            try:
                folder.mkdir()
                return folder
            except OSError:
                return None
    return None


class Machine:
    """A booted machine: systemd as its first process, a network of its own in which only loopback and our sockets are."""

    def __init__(self, folder, bind=()):
        self.folder = pathlib.Path(folder)
        self.cgroup = cgroup_folder()
        command, environment = enter(folder, ["/lib/systemd/systemd", "--log-target=null"], {"container": "other"},
                                     own_network=True, bind=bind)
        command.insert(command.index("--mount"), "--cgroup")
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        start_new_session=True, preexec_fn=self._join_cgroup)
        self.pid = self._first_process()
        self.wait_for("systemctl is-system-running | grep -qE '^(running|degraded)'")

    def _join_cgroup(self):
        if self.cgroup:
            (self.cgroup / "cgroup.procs").write_text(str(os.getpid()))

    def _first_process(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for _ in range(100):
            if self.process.poll() is not None:
                raise AssertionError(f"the machine did not start: exit status {self.process.returncode}")
            found = children.read_text().split()
            if found:
                return int(found[0])
            time.sleep(0.1)
        raise AssertionError("the machine did not start")

    def run(self, script, check=True, timeout=900):
        """What a person at its console types, as root; all of its output."""
        command = ["nsenter", "-t", str(self.pid), "--all", "--root", "--wdns=/root", "/usr/bin/env", "-i",
                   *(f"{name}={value}" for name, value in CLEAN.items()), "bash", "-e", "-c", script]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=timeout, check=False, errors="replace")
        if check and done.returncode != 0:
            raise AssertionError(f"exit status {done.returncode} of:\n{script}\n--- which said:\n{done.stdout[-6000:]}\n"
                                 f"--- the log:\n{self.log()[-3000:]}")
        return done.stdout

    def log(self):
        return self.run("journalctl -q --no-pager -o cat -u ghatrace -u ghatrace.socket -u nginx -u caddy | tail -n 40; "
                        "systemctl --failed --no-pager", check=False)

    def wait_for(self, script, seconds=90):
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.run(script)
            except AssertionError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
            time.sleep(0.3)

    def write(self, path, text, mode=0o644):
        file = self.folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def stop(self):
        self.process.send_signal(signal.SIGKILL)  # unshare's child goes with it
        self.process.wait()
        if self.cgroup:
            for _ in range(50):
                for folder in sorted(self.cgroup.rglob("*/"), key=lambda f: -len(f.parts)):
                    try:
                        folder.rmdir()
                    except OSError:
                        pass
                try:
                    self.cgroup.rmdir()
                    return
                except OSError:
                    time.sleep(0.1)


def checkout():
    """A bare repository with the project as it lies here, committed or not."""
    with tempfile.TemporaryDirectory() as folder:
        variables = {**os.environ, "GIT_INDEX_FILE": f"{folder}/index", "GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@x",
                     "GIT_COMMITTER_NAME": "x", "GIT_COMMITTER_EMAIL": "x@x"}

        def git(*arguments):
            return subprocess.run(["git", *arguments], cwd=ROOT, env=variables, check=True, capture_output=True,
                                  text=True).stdout.strip()

        git("add", "-A")
        commit = git("commit-tree", git("write-tree"), "-m", "as it lies here")
        bare = FOLDER / "checkout.git"
        shutil.rmtree(bare, ignore_errors=True)
        git("init", "-q", "--bare", "-b", "main", str(bare))
        git("push", "-q", str(bare), f"{commit}:refs/heads/main")
    return bare
