"""Proxies between a browser and the admin listener: the ordinary ones as they are set up by default, and one that holds
everything back that has no end."""
import os
import pathlib
import shutil
import socket
import subprocess
import threading

import harness

PROGRAMS = ("nginx", "caddy", "haproxy")


def missing(name):
    return None if shutil.which(name) else f"{name} is not installed"


# Below a path: what README.md recommends, with the port of the admin listener.
BELOW = {
    "nginx": ("location /ghatrace/ {", "proxy_pass http://127.0.0.1:8081/;", "}"),
    "caddy": ("redir /ghatrace /ghatrace/", "handle_path /ghatrace/* {", "reverse_proxy 127.0.0.1:8081 {", "header_up Host {upstream_hostport}", "}", "}"),
    "haproxy": ("http-request redirect location /ghatrace/ if { path /ghatrace }", "use_backend ghatrace if { path_beg /ghatrace/ }",
                "backend ghatrace", "http-request replace-path /ghatrace/(.*) /\\1", "http-request set-header Host 127.0.0.1", "server ghatrace 127.0.0.1:8081"),
}


def configuration(name, folder, front, back, is_below=False, extra=""):
    """What somebody writes who has not read our README, or below a path, who has. With compression, where it is usual to
    turn it on. `extra`: lines for nginx's server."""
    below = "\n".join(BELOW[name]).replace("8081", str(back)) + "\n"
    if name == "nginx":
        user = "user root;\n" if os.getuid() == 0 else ""
        paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        place = below if is_below else f"location / {{ proxy_pass http://127.0.0.1:{back}; }}\n"
        return (f"{user}daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
                f"http {{\naccess_log off;\n{paths}gzip on;\ngzip_types *;\nserver {{\nlisten 127.0.0.1:{front};\n"
                f"{extra}{place}}}\n}}\n")
    if name == "caddy":
        place = below if is_below else f"reverse_proxy 127.0.0.1:{back}\n"
        return f"{{\n\tadmin off\n\tauto_https off\n}}\nhttp://127.0.0.1:{front} {{\n\tencode gzip\n{place}}}\n"
    place = below if is_below else f"default_backend back\nbackend back\nserver one 127.0.0.1:{back}\n"
    return ("defaults\n    mode http\n    timeout connect 5s\n    timeout client 30s\n    timeout server 30s\n"
            f"frontend front\n    bind 127.0.0.1:{front}\n    compression algo gzip\n"
            f"    compression type text/html text/plain text/event-stream application/json\n{place}")


class Proxy:
    """A real one, in front of the port `back`. `kinds`: see configuration()."""

    def __init__(self, name, folder, back, **kinds):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        path = pathlib.Path(folder, "configuration")
        path.write_text(configuration(name, folder, self.port, back, **kinds))
        command = {"nginx": ["nginx", "-p", folder, "-c", path, "-e", f"{folder}/error.log"],
                   "caddy": ["caddy", "run", "--config", path, "--adapter", "caddyfile"],
                   "haproxy": ["haproxy", "-db", "-q", "-f", path]}[name]
        places = {"HOME": folder, "XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder}
        with open(f"{folder}/output", "wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            env={**os.environ, **places})
        harness.wait_until(self.answers, what=f"{name} to listen")

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError("the proxy ended")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self):
        self.process.terminate()
        self.process.wait(harness.PATIENCE)


class HoldingProxy:
    """Passes requests on; an answer only when it is whole, so those of the live stream never. `let_go` passes all."""

    def __init__(self, back):
        self.back = back
        self.let_go = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, socket.create_connection(("127.0.0.1", self.back), timeout=60) as server:
            try:
                head = b""
                while b"\r\n\r\n" not in head:
                    piece = client.recv(65536)
                    if not piece:
                        return
                    head += piece
                server.sendall(head.replace(b"\r\nConnection: keep-alive", b"").replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                is_stream = b" /api/live" in head.split(b"\r\n")[0]
                while piece := server.recv(65536):
                    if is_stream and not self.let_go.wait(60):
                        return
                    client.sendall(piece)
            except OSError:
                pass

    def stop(self):
        self.let_go.set()
        self.listener.close()
