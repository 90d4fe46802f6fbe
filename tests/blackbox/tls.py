"""TLS in tests: certificates, servers' contexts, a collector behind TLS."""
import functools
import pathlib
import ssl
import subprocess
import tempfile

import harness
from collector import Collector


@functools.cache
def certificates():
    """The folder that tests/support/make_certificates fills: made once, removed with the process. Tests copy what they change."""
    folder = tempfile.TemporaryDirectory(prefix="ghatrace-test-")
    subprocess.run([harness.ROOT / "tests/support/make_certificates", folder.name], check=True, capture_output=True)
    return folder


def certificate(name):
    return str(pathlib.Path(certificates().name) / name)


def server_context(name="server", client_ca=None):
    """With `client_ca`, a client must show a certificate that this authority signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(name + ".pem"), certificate(name + ".key"))
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate(client_ca))
    return context


def tls_settings(name="server", **more):
    """Settings of a daemon."""
    return {"tls_cert": certificate(name + ".pem"), "tls_key": certificate(name + ".key"), **more}


class TlsCollector(Collector):
    """OTLP/HTTP by HTTP/1.1 behind TLS."""

    def __init__(self, *arguments, **kinds):
        """Arguments: those of server_context()."""
        self.context = server_context(*arguments, **kinds)
        super().__init__()

    def start(self):
        super().start()
        self._server.socket = self.context.wrap_socket(self._server.socket, server_side=True,
                                                       do_handshake_on_connect=False)

    @property
    def endpoint(self):
        return f"https://localhost:{self.port}"
