#!/usr/bin/env python3
"""Restarts the daemon under load, and prints the effect on clients and proxies.

    make restarts                 all; with RESTARTS=100 and a store of 4 GiB, some fifteen minutes
    make restarts SCENES=NAMES    some of: activated own nginx apache caddy haproxy

The collector hangs (it accepts connections and never responds), proxies keep idle connections, deliveries are sent at
a steady rate, each on a connection of its own.

`activated`: the listening socket is this process's, as with systemd. Every connection must be answered within 5 s: else
the exit status is 1. `own`: the daemon's own socket. The others: a proxy before it, as the README has it, with the daemon's
own socket and then with a passed one. A proxy that is not installed is left out.
"""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("GHATRACE", str(ROOT / "build/release-gcc/ghatrace"))
sys.path[:0] = [str(ROOT / "tests/blackbox"), str(ROOT / "tests/siege")]
import harness  # noqa: E402
from restarting import Idle, Load, restart  # noqa: E402

RESTARTS = int(os.environ.get("RESTARTS", "100"))
PROXY_RESTARTS = int(os.environ.get("PROXY_RESTARTS", "10"))
STORE_RUNS = int(os.environ.get("RESTARTS_STORE_RUNS", "42000"))  # 4.3 GiB with its 20,000 open jobs
RATE = 200  # deliveries a second
ANSWER_MOST = 5.0  # seconds
LOAD_BETWEEN = 1.0  # seconds under load after each start
PROGRAMS = {"nginx": "nginx", "apache": "apache2", "caddy": "caddy", "haproxy": "haproxy"}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def fill(folder, finished_runs):
    begin = time.monotonic()
    subprocess.run([ROOT / "build/release-gcc/tests/siege/fill_store", f"{folder}/db", str(min(20000, finished_runs)), str(finished_runs), "outbox"],
                   check=True)
    used = os.stat(f"{folder}/db/data.mdb").st_blocks * 512
    print(f"store: {used / (1 << 30):.2f} GiB on disk, filled in {time.monotonic() - begin:.0f} s", flush=True)


# --- the README's proxies -------------------------------------------------------------------------------------

def snippet(language):
    """The README's fenced block of that language; it has one of each."""
    return re.search(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.S).group(1)


def settings_of(proxy, folder, front, back):
    """The README's snippet with our ports, and around it what a whole configuration needs."""
    text = snippet(proxy).replace("127.0.0.1:8080", f"127.0.0.1:{back}")
    if proxy == "nginx":
        paths = "".join(f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;\n" if os.getuid() == 0 else ""
        text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{front};")
        text = re.sub(r"(?m)^\s*(ssl_certificate|ssl_certificate_key|server_name) .*\n", "", text)
        return (f"{user}daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
                f"http {{\naccess_log off;\n{paths}{text}}}\n")
    if proxy == "caddy":
        return "{\n\tadmin off\n\tauto_https off\n}\n" + text.replace("hooks.example.org", f"http://127.0.0.1:{front}")
    if proxy == "haproxy":
        text = re.sub(r"bind :443.*", f"bind 127.0.0.1:{front}", text)
        return "defaults\n    mode http\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n" + text
    modules = "".join(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
                      for name in ("mpm_event", "proxy", "proxy_http", "authz_core", "env", "setenvif"))
    user = "User www-data\nGroup www-data\n" if os.getuid() == 0 else ""
    return (f"{modules}{user}ServerName localhost\nDefaultRuntimeDir {folder}\nPidFile {folder}/pid\nListen 127.0.0.1:{front}\n"
            f"ErrorLog {folder}/error.log\n{text}")


def start_proxy(proxy, folder, front, back):
    os.makedirs(folder)
    path = f"{folder}/configuration"
    pathlib.Path(path).write_text(settings_of(proxy, folder, front, back))
    command = {"nginx": ["nginx", "-p", folder, "-c", path, "-e", f"{folder}/error.log"],
               "apache": ["apache2", "-f", path, "-DFOREGROUND"],
               "caddy": ["caddy", "run", "--config", path, "--adapter", "caddyfile"],
               "haproxy": ["haproxy", "-db", "-q", "-f", path]}[proxy]
    with open(f"{folder}/output", "wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                   env={**os.environ, "HOME": folder, "XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder})

    def answers():
        if process.poll() is not None:
            raise AssertionError(f"{proxy} ended:\n" + pathlib.Path(f"{folder}/output").read_text())
        try:
            socket.create_connection(("127.0.0.1", front), timeout=1).close()
        except OSError:
            return False
        return True
    harness.wait_until(answers, what=f"{proxy} to listen")
    return process


# --- one scene ------------------------------------------------------------------------------------------------

def run_restarts(daemon, load, count, show):
    rows = []
    load.take()
    for number in range(1, count + 1):
        took = restart(daemon)
        # Those that wait in the kernel count for this restart.
        time.sleep(LOAD_BETWEEN)
        refused, broken, slowest = load.take()
        rows.append((refused, broken, slowest, *took))
        if show:
            print(f"  {number:4}  refused {refused:3}  broken {broken:3}  slowest answer {slowest:5.2f} s  "
                  f"stop {took.stop:5.2f} s  ready {took.ready:5.2f} s", flush=True)
    return rows


def scene(name, folder, restarts, is_activated, proxy=None, show=False):
    """False: a delivery was lost, or answered too late."""
    hanging = harness.listening_socket()
    sockets = {"webhook": harness.listening_socket()} if is_activated else None
    back = sockets["webhook"].getsockname()[1] if is_activated else free_port()
    daemon = harness.Daemon(folder, sockets=sockets, listen=f"127.0.0.1:{back}", db_max_size="32GiB", outbox_max_size="16GiB",
                            otlp_endpoint="http://127.0.0.1:%d" % hanging.getsockname()[1]).start()
    process, address = None, daemon.address
    if proxy is not None:
        front = free_port()
        process = start_proxy(proxy, f"{folder}/{proxy}-{int(is_activated)}", front, back)
        address = ("127.0.0.1", front)
    idle = Idle(address)
    load = Load(address, rate=RATE)
    time.sleep(1)
    try:
        rows = run_restarts(daemon, load, restarts, show)
    finally:
        load.end()
        rows_after = load.take()
        idle.end()
        if process is not None:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
        daemon.stop()
        hanging.close()
        for entry in (sockets or {}).values():
            entry.close()
    errors = sum(count for status, count in load.answered.items() if status not in (200, 202))
    rows.append((*rows_after, 0, 0))
    lost = sum(row[0] + row[1] for row in rows) + errors
    slowest = max(row[2] for row in rows)
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(load.answered.items()))
    causes = ", ".join(f"{cause}: {count}" for cause, count in load.causes.items())
    print(f"{name:28} {restarts} restarts, {load.total} deliveries: {sum(row[0] for row in rows)} refused, "
          f"{sum(row[1] for row in rows)} broken, {errors} answered otherwise = {1000 * lost / load.total:.2f} of 1000 lost; "
          f"slowest answer {slowest:.2f} s, stop at most {max(row[3] for row in rows):.2f} s, "
          f"ready after at most {max(row[4] for row in rows):.2f} s  ({statuses}{'; ' + causes if causes else ''})", flush=True)
    return lost == 0 and slowest < ANSWER_MOST


def main():
    wanted = sys.argv[1:] or ["activated", "own", *PROGRAMS]
    is_well = True
    with tempfile.TemporaryDirectory(prefix="ghatrace-restarts-") as folder:
        os.chmod(folder, 0o755)  # the proxies' own users need access
        if "activated" in wanted:
            os.makedirs(f"{folder}/large")
            fill(f"{folder}/large", STORE_RUNS)
            is_well = scene("activated, large store", f"{folder}/large", RESTARTS, True, show=True)
            if "own" in wanted:
                scene("own socket, large store", f"{folder}/large", PROXY_RESTARTS, False)
            shutil.rmtree(f"{folder}/large")
        os.makedirs(f"{folder}/small")
        fill(f"{folder}/small", 200)
        if "own" in wanted:
            scene("own socket", f"{folder}/small", PROXY_RESTARTS, False)
        for proxy, program in PROGRAMS.items():
            if proxy not in wanted:
                continue
            if shutil.which(program) is None:
                print(f"{proxy:28} left out: {program} is not installed", flush=True)
                continue
            scene(f"{proxy}, own socket", f"{folder}/small", PROXY_RESTARTS, False, proxy)
            scene(f"{proxy}, activated", f"{folder}/small", PROXY_RESTARTS, True, proxy)
    if not is_well:
        print("activated: a connection was not answered, or later than "
              f"{ANSWER_MOST:.0f} s", flush=True)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
