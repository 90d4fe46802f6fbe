#!/usr/bin/env python3
"""Types what the README says into bare Debian machines unchanged, and looks whether it works.

    tests/platforms/readme.py [SUITE...]      by default: bookworm trixie

Each machine comes from debootstrap and boots a systemd of its own, in a network of its own. From there: "Try it", whose tests
are left out with QUICK=1; then, on another one, the blocks of "Set it up" in their order, behind nginx, behind Caddy and by HTTPS of its own; signed deliveries, whose traces a collector
must get; a secret and a certificate that change; a wrong configuration. What stands in for the world: the public
repository is this folder, hooks.example.org is the machine itself, its certificates come from an authority made here.
Needs root.
"""
import gzip
import http.server
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback

import machine
from machine import ROOT, say

README = (ROOT / "README.md").read_text()
REPOSITORY = "https://github.com/ghatrace/ghatrace.git"
RUN = "19269836845"
BARE = ("systemd", "systemd-sysv", "dbus")


def section(title):
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def blocks(language, title="Set it up"):
    return re.findall(rf"```{language}\n(.*?)```", section(title), re.S)


def block(language, part):
    """The one that holds these words."""
    found = [text for text in blocks(language) if part in text]
    assert len(found) == 1, f"{len(found)} blocks of {language} hold {part!r}"
    return found[0]


def inline(part):
    """A command in the running text that begins so."""
    found = re.findall(rf"`({re.escape(part)}[^`]*)`", section("Set it up"))
    assert len(found) == 1, f"{len(found)} commands begin with {part!r}"
    return found[0]


class Collector:
    """Takes OTLP at collector.example.org."""

    def __init__(self, listener):
        self.bodies = bodies = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):  # pylint: disable=invalid-name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                bodies.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        machine.Server(listener, Handler)

    def has(self, text):
        return any(text in body for body in self.bodies)


def make_authority(folder):
    """ca.pem, and hooks{1,2}.pem and .key for hooks.example.org."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    with open(f"{folder}/names", "w", encoding="ascii") as names:
        names.write("subjectAltName=DNS:hooks.example.org\nextendedKeyUsage=serverAuth\n")
    for number in ("1", "2"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"hooks{number}.key", "-out", "request", "-subj",
                f"/CN=hooks{number}")
        openssl("x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", f"0x100{number}",
                "-days", "2", "-extfile", "names", "-out", f"hooks{number}.pem")


class Walk:
    """One machine, step by step."""

    def __init__(self, suite, folder):
        self.authority = folder
        bare = machine.fresh(suite, "readme", BARE)
        self.machine = machine.Machine(bare, bind=((machine.checkout(), "srv/checkout.git"),))
        self.prepare_world()

    def prepare_world(self):
        here = self.machine
        machine.Server(machine.listen_inside(here.pid, "127.0.0.1", 3142), machine.Fetch)
        self.collector = Collector(machine.listen_inside(here.pid, "127.0.0.1", 4318))
        here.write("/etc/apt/apt.conf.d/proxy", 'Acquire::http::Proxy "http://127.0.0.1:3142";\n')
        here.write("/etc/hosts", "127.0.0.1 localhost hooks.example.org collector.example.org\n")
        here.write("/root/.gitconfig", f'[url "file:///srv/checkout.git"]\n\tinsteadOf = {REPOSITORY}\n'
                                       "[safe]\n\tdirectory = *\n")
        deliveries = subprocess.run([ROOT / "scripts/demo-payloads", RUN], capture_output=True, text=True, check=True).stdout
        here.write("/root/deliveries.jsonl", deliveries)

    def type(self, text, timeout=900):
        for line in text.strip().splitlines():
            print(f"   | {line}", flush=True)
        return self.machine.run(text, timeout=timeout)

    def trust(self, certificate):
        self.machine.write("/usr/local/share/ca-certificates/test.crt", certificate)
        self.machine.run("apt-get install -y -qq ca-certificates; update-ca-certificates")

    def file(self, name):
        with open(f"{self.authority}/{name}", encoding="ascii") as file:
            return file.read()

    def see_that_it_works(self):
        answer = self.machine.run(block("sh", "Does it work?"))
        assert answer.strip().endswith('{"status":"pong"}'), answer
        print("   pong", flush=True)
        print("   | ghatrace check --live", flush=True)
        shown = self.machine.run("ghatrace check --live 2>&1 || true")
        print("".join(f"   {line}\n" for line in shown.splitlines()), end="", flush=True)
        assert re.search(r"^(secret|path) +wrong", shown, re.M) is None, shown

    def ping(self, line, address="http://127.0.0.1:8080"):
        """What is answered to a ping that the secret in that line of the file signs."""
        script = block("sh", "Does it work?").replace("https://hooks.example.org", address)
        return self.machine.run(script.replace("head -n 1 ", f"sed -n {line}p ")).strip()

    # --- the steps ---

    def install(self):
        assert self.machine.run("command -v git make gcc curl || true") == "", "this machine is not bare"
        assert len(blocks("sh")) == 4
        self.type(block("sh", "make install"))
        self.machine.wait_for("journalctl -q -o cat -u ghatrace | grep msg=ready")
        owner = self.machine.run("stat -c %U /proc/$(systemctl show -P MainPID ghatrace)").strip()
        assert owner == "ghatrace", owner
        # systemd knows that it is ready, by its own word, and watches it since.
        assert self.machine.run("systemctl show -P WatchdogTimestampMonotonic ghatrace").strip() != "0"
        shown = self.type(inline("ghatrace check --config"))
        assert "warning" not in shown, shown
        for file in ("share/ghatrace/grafana/runner-latency.json", "share/ghatrace/prometheus/ghatrace-rules.yml",
                     "share/doc/ghatrace/NOTICE", "share/doc/ghatrace/README.md"):
            self.machine.run(f"test -r /usr/local/{file}")

    def deliver(self):
        self.type(block("sh", "otlp-endpoint"))
        self.machine.run("curl -fsS http://127.0.0.1:8081/ready")  # the restart has waited until it is
        said = self.machine.run("ghatrace replay --secret-file /etc/ghatrace/secret http://127.0.0.1:8080/webhook deliveries.jsonl")
        print(f"   {said.strip().splitlines()[-1]}", flush=True)
        shown = self.machine.wait_for(f"ghatrace trace --db /var/lib/ghatrace {RUN}/1")
        assert "rocket_engine" in shown, shown
        for _ in range(100):
            if self.collector.has(b"RUN CI"):
                break
            self.machine.run("sleep 0.2")
        else:
            raise AssertionError("the collector got no trace")

    def change_the_secret(self):
        old = self.ping(1)
        self.machine.run("openssl rand -hex 32 >>/etc/ghatrace/secret")
        assert "pong" not in self.ping(2), "the new secret counts before it was read"
        self.type("systemctl reload ghatrace")
        self.machine.wait_for("journalctl -q -o cat -u ghatrace | grep 'files read again'")
        assert "pong" in old and "pong" in self.ping(1) and "pong" in self.ping(2)
        self.machine.run("cp -p /etc/ghatrace/secret old; sed -i 1d /etc/ghatrace/secret; systemctl reload ghatrace; sleep 1")
        assert "pong" in self.ping(1)
        assert "pong" not in self.machine.run(block("sh", "Does it work?").replace("https://hooks.example.org", "http://127.0.0.1:8080")
                                              .replace("/etc/ghatrace/secret", "/root/old"))
        assert "warn" not in self.machine.run("journalctl -q -o cat -u ghatrace --since -1min | grep level=warn | grep -v signature || true")

    def go_behind_nginx(self):
        self.machine.write("/etc/ssl/hooks.pem", self.file("hooks1.pem"))
        self.machine.write("/etc/ssl/hooks.key", self.file("hooks1.key"), 0o600)
        self.trust(self.file("ca.pem"))
        self.machine.run("apt-get install -y -qq nginx")
        self.machine.write("/etc/nginx/conf.d/ghatrace.conf", block("nginx", "upstream"))
        self.machine.run("nginx -t && systemctl restart nginx")
        self.type(inline("echo 'trusted-proxies"))
        self.see_that_it_works()
        self.machine.run("systemctl disable --now nginx")

    def go_behind_caddy(self):
        self.machine.run("apt-get install -y -qq caddy")
        # The authority that would sign its certificate is not to be reached here; Caddy has one of its own.
        self.machine.write("/etc/caddy/Caddyfile", "{\n\tlocal_certs\n\tskip_install_trust\n}\n" + block("caddy", "reverse_proxy"))
        self.machine.run("systemctl restart caddy")
        root = "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"
        self.trust(self.machine.wait_for(f"cat {root}"))
        self.machine.wait_for("curl -sS https://hooks.example.org/health")
        self.see_that_it_works()
        self.machine.run("systemctl disable --now caddy")

    def go_without_a_proxy(self):
        self.trust(self.file("ca.pem"))
        own = block("sh", "ghatrace.socket.d")
        for number, serial in (("1", "1001"), ("2", "1002")):
            self.machine.write("/root/fullchain.pem", self.file(f"hooks{number}.pem"))
            self.machine.write("/root/privkey.pem", self.file(f"hooks{number}.key"), 0o600)
            if number == "1":
                self.type(own)
            else:
                self.type(own.splitlines()[0] + "\nsystemctl reload ghatrace")
            self.machine.wait_for("openssl s_client -connect hooks.example.org:443 </dev/null 2>/dev/null "
                                  f"| openssl x509 -noout -serial | grep -qx serial={serial}")
            self.see_that_it_works()

    def configure_it_wrong(self):
        self.machine.run("echo 'nonsense = 1' >>/etc/ghatrace/ghatrace.conf; systemctl restart ghatrace || true")
        self.machine.wait_for("systemctl is-failed ghatrace")
        self.machine.run("curl -sS -m 5 https://hooks.example.org/health || true")  # wakes the socket; more than RestartSec
        shown = self.machine.run("systemctl show -p ActiveState -p NRestarts -p ExecMainStatus ghatrace")
        assert set(shown.split()) == {"ActiveState=failed", "NRestarts=0", "ExecMainStatus=2"}, shown
        print("   the socket: " + " ".join(self.machine.run("systemctl show -p ActiveState -p Result ghatrace.socket").split()))
        assert 'unknown setting "nonsense"' in self.machine.run("systemctl status ghatrace || true")
        self.machine.run("sed -i '/nonsense/d' /etc/ghatrace/ghatrace.conf; systemctl restart ghatrace")
        self.machine.wait_for("systemctl is-active ghatrace")
        self.see_that_it_works()

    def freeze_it(self):
        self.machine.write("/etc/systemd/system/ghatrace.service.d/watchdog.conf", "[Service]\nWatchdogSec=4s\n")
        self.machine.run("systemctl daemon-reload; systemctl restart ghatrace; sleep 10")
        shown = "systemctl show -p ActiveState -p NRestarts ghatrace"
        assert set(self.machine.run(shown).split()) == {"ActiveState=active", "NRestarts=0"}, "it is not fed"
        self.machine.run("kill -STOP $(systemctl show -P MainPID ghatrace)")
        self.machine.wait_for(f"{shown} | grep -x NRestarts=1 && systemctl is-active ghatrace")
        self.see_that_it_works()
        self.machine.run("rm /etc/systemd/system/ghatrace.service.d/watchdog.conf; systemctl daemon-reload; systemctl restart ghatrace")

    def update(self):
        self.type("cd ghatrace\n" + inline("git pull"))
        self.see_that_it_works()
        assert f"{RUN}" in self.machine.run(f"ghatrace trace --db /var/lib/ghatrace {RUN}/1")

    def try_it(self):
        text, = blocks("sh", "Try it")
        if "QUICK" in os.environ:
            text = re.sub(r"(?m)^make test .*\n", "", text)
        said = self.type(text, timeout=3600)
        assert "how to go on" in said and "rocket_engine" in said, said[-3000:]
        print(f"   {said.strip().splitlines()[-1]}", flush=True)

    def set_it_up(self):
        for step in (self.install, self.deliver, self.change_the_secret, self.go_behind_nginx, self.go_behind_caddy,
                     self.go_without_a_proxy, self.configure_it_wrong, self.freeze_it, self.update):
            say(step.__name__.replace("_", " "))
            step()


def go(suite, folder, way):
    walk = Walk(suite, folder)
    try:
        way(walk)
    except (AssertionError, subprocess.TimeoutExpired):
        traceback.print_exc()
        sys.exit(1)
    finally:
        walk.machine.stop()
        shutil.rmtree(walk.machine.folder, ignore_errors=True)


def main():
    machine.need_root_and_tools()
    for suite in sys.argv[1:] or ["bookworm", "trixie"]:
        say(f"the README on {suite}")
        with tempfile.TemporaryDirectory() as folder:
            make_authority(folder)
            for way in (Walk.try_it, Walk.set_it_up):
                go(suite, folder, way)
    say("ok")


if __name__ == "__main__":
    main()
