#!/usr/bin/env python3
"""Builds conf/Containerfile without a registry, each stage in a bare Debian root, and runs what comes out.

    tests/platforms/containerfile.py [SUITE...]      by default: bookworm trixie

The image must start as the Containerfile says, as its user, with a root that cannot be written and no capabilities, and
take signed deliveries. Needs root.
"""
import ctypes
import fcntl
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import machine
from machine import ROOT, enter, say

sys.path.insert(0, str(ROOT / "tests/blackbox"))
CONTAINERFILE = ROOT / "conf/Containerfile"
IGNORE = ROOT / "conf/Containerfile.dockerignore"
SECRET = "It's a Secret to Everybody"


def instructions(text):
    """[(WORD, rest)], lines continued and comments gone, also those between continued lines."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest.strip()


def is_ignored(path):
    """As the file beside the Containerfile has it: the last line that matches the path or a folder above it decides."""
    ignored = False
    for line in IGNORE.read_text().splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        pattern = line.lstrip("!")
        if pattern == "*" or path == pattern or path.startswith(pattern + "/"):
            ignored = not line.startswith("!")
    return ignored


class Stage:
    def __init__(self, suite, number):
        self.folder = machine.fresh(suite, f"image-{number}")
        self.shell, self.environment, self.workdir, self.user = ["/bin/sh", "-c"], {}, "/", "0"
        self.entrypoint, self.command = [], []

    def inside(self, path):
        return self.folder / os.path.join(self.workdir, path).lstrip("/")

    def run(self, text):
        say(f"RUN {text[:100]}")
        script = f"cd {shlex.quote(self.workdir)}\n{text}"
        command, environment = enter(self.folder, [*self.shell, script],
                                     {**self.environment, "DEBIAN_FRONTEND": "noninteractive"})
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"RUN {text}\n{done.stdout[-4000:]}\nexit status {done.returncode}")
        return done.stdout

    def copy(self, sources, target, origin):
        to = self.inside(target)
        if target.endswith("/") or len(sources) > 1:
            to.mkdir(parents=True, exist_ok=True)
        to.parent.mkdir(parents=True, exist_ok=True)
        for source in sources:
            if origin is None and is_ignored(source):
                sys.exit(f"COPY {source}: {IGNORE.name} does not let it through")
            start = (origin.folder if origin else ROOT) / source.lstrip("/")
            if start.is_dir():  # its content
                shutil.copytree(start, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(start, to)


def build(suite):
    stages, names, stage = [], {}, None
    for word, rest in instructions(CONTAINERFILE.read_text()):
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            if image != "docker.io/library/debian:${DEBIAN}-slim":
                sys.exit(f"FROM {image}: only Debian's slim image can be stood in for")
            stage = Stage(suite, len(stages))
            stages.append(stage)
            names[name.strip()] = stage
        elif word == "SHELL":
            stage.shell = json.loads(rest)
        elif word == "RUN":
            if re.search(r"[^|]\|[^|]", rest):
                sys.exit(f"RUN {rest}: a pipe, where SHELL may be ignored")
            stage.run(rest)
        elif word == "WORKDIR":
            stage.workdir = rest
            stage.inside("").mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            words = rest.split()
            origin = names[words.pop(0).partition("=")[2]] if words[0].startswith("--from=") else None
            stage.copy(words[:-1], words[-1], origin)
        elif word == "ENV":
            stage.environment.update(pair.split("=", 1) for pair in shlex.split(rest))
        elif word == "USER":
            stage.user = rest
        elif word in ("ENTRYPOINT", "CMD"):
            setattr(stage, "entrypoint" if word == "ENTRYPOINT" else "command", json.loads(rest))
        elif word not in ("ARG", "VOLUME", "EXPOSE"):
            sys.exit(f"{word}: this is not known here")
    for earlier in stages[:-1]:
        shutil.rmtree(earlier.folder)
    return stage


# --- what came out -----------------------------------------------------------------------------------------------

def raise_loopback():
    with socket.socket() as any_socket:
        request = bytearray(struct.pack("16sH22x", b"lo", 0))
        fcntl.ioctl(any_socket, 0x8913, request)  # SIOCGIFFLAGS
        flags = struct.unpack_from("16sH", request)[1]
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH22x", b"lo", flags | 1))  # SIOCSIFFLAGS, IFF_UP


def look_at_licences(stage):
    packages = stage.run("dpkg-query -W -f '${db:Status-Status} ${Package}\\n' | sed -n 's/^installed //p'").split()
    wanted = {"libc6", "zlib1g", "ca-certificates"}
    assert wanted <= set(packages), wanted - set(packages)
    for file in [f"{name}/copyright" for name in packages] + ["ghatrace/LICENSE", "ghatrace/NOTICE"]:
        assert (stage.folder / "usr/share/doc" / file).exists(), f"/usr/share/doc/{file} is missing"


def run_image(stage):
    """In a network of its own, which this process has entered by now."""
    from harness import Client
    from payloads import Run
    raise_loopback()
    with tempfile.TemporaryDirectory() as folder:
        store, secret = pathlib.Path(folder, "store"), pathlib.Path(folder, "secret")
        store.mkdir(mode=0o700)
        secret.write_text(SECRET + "\n")
        secret.chmod(0o400)
        os.chown(store, int(stage.user), int(stage.user))
        os.chown(secret, int(stage.user), int(stage.user))
        as_user = ["setpriv", f"--reuid={stage.user}", f"--regid={stage.user}", "--clear-groups", "--no-new-privs",
                   "--bounding-set=-all", "--inh-caps=-all"]
        command, environment = enter(stage.folder, [*as_user, *stage.entrypoint, *stage.command], stage.environment,
                                     read_only=True, bind=((store, "var/lib/ghatrace"), (secret, "run/secrets/webhook")))
        with open(f"{folder}/log", "wb") as log:
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            for _ in range(200):
                if b"msg=ready" in pathlib.Path(folder, "log").read_bytes() or process.poll() is not None:
                    break
                time.sleep(0.1)
            with Client(("127.0.0.1", 8080)) as client:
                run = Run()
                answers = [client.deliver(event, secret=SECRET).outcome for event in
                           (run.job().queued(), run.requested(), run.completed())]
                refused = client.deliver(run.completed(), secret="another").status
            assert answers == [(202, "accepted")] * 3 and refused == 401, (answers, refused)
            children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            os.kill(int(children[0]), signal.SIGTERM)
            status = process.wait(20)
            assert status == 0, f"exit status {status} after SIGTERM"
            say(f"runs as {stage.user}: {answers[0]}, stopped with 0")
        except BaseException:
            print(pathlib.Path(folder, "log").read_text(), file=sys.stderr)
            raise
        finally:
            process.kill()


def main():
    machine.need_root_and_tools()
    for suite in sys.argv[1:] or ["bookworm", "trixie"]:
        say(f"conf/Containerfile on {suite}")
        stage = build(suite)
        look_at_licences(stage)
        child = os.fork()
        if child == 0:
            assert ctypes.CDLL(None).unshare(0x40000000) == 0  # CLONE_NEWNET
            run_image(stage)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        shutil.rmtree(stage.folder)
        if status != 0:
            sys.exit(1)
    say("ok")


if __name__ == "__main__":
    main()
