"""TLS: deliveries over https, what is refused, certificates replaced under load, https collectors."""
import http.client
import pathlib
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import unittest

import harness
import payloads
import sending
from test_hostile import count_answers, pipeline_unread
from harness import PATIENCE, BlackBoxTest, Response, delivery_headers, run_command, wait_until
from tls import TlsCollector, certificate, tls_settings


def run_events():
    run = payloads.Run()
    run.job()
    return run.timeline()


def client_context(ca="ca.pem", client=None):
    context = ssl.create_default_context(cafile=certificate(ca))
    if client:
        context.load_cert_chain(certificate(client + ".pem"), certificate(client + ".key"))
    return context


class TlsClient(harness.Client):
    def __init__(self, address, context, timeout=PATIENCE):
        super().__init__(address, timeout)
        self.connection = http.client.HTTPSConnection("localhost", self.port, timeout=timeout, context=context)
        # The name is checked, the address is where the daemon listens.
        self.connection._create_connection = lambda _, *rest: socket.create_connection(address, *rest)


def handshake(address, *arguments):
    """What `openssl s_client` has to say about a handshake: (was it agreed on, its output)."""
    done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % address, "-servername", "localhost",
                           "-CAfile", certificate("ca.pem"), *arguments], stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=PATIENCE, check=False)
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    return "Cipher is (NONE)" not in text and done.returncode == 0, text


def has_tls_13(address):
    return handshake(address, "-tls1_3")[0]


class SpansOverTls(BlackBoxTest):
    """otlp-listen, with the certificate of the webhooks."""

    def post(self, daemon, context, **headers):
        with TlsClient(daemon.otlp_address, context) as client:
            return client.request("POST", "/v1/traces", b"", {"Content-Type": "application/x-protobuf", **headers})

    def test_a_certificate_of_the_clients_authority_is_enough_and_necessary(self):
        daemon = self.new_daemon(**tls_settings(), otlp_listen="127.0.0.1:0", otlp_client_ca=certificate("ca.pem"))
        self.assertEqual(self.post(daemon, client_context(client="client")).status, 200)
        for context in (client_context(), client_context(client="foreign")):
            with self.assertRaises((OSError, http.client.HTTPException)):
                self.post(daemon, context)

    def test_with_tokens_both_are_asked_for(self):
        path = sending.token_file(self.new_folder())
        daemon = self.new_daemon(**tls_settings(), otlp_listen="127.0.0.1:0", otlp_client_ca=certificate("ca.pem"),
                                 otlp_token_file=str(path))
        self.assertEqual(self.post(daemon, client_context(client="client")).status, 401)
        self.assertEqual(self.post(daemon, client_context(client="client"),
                                   Authorization=f"Bearer {sending.JOB}").status, 200)

    def test_certificates_are_read_again_on_sighup(self):
        folder = pathlib.Path(self.new_folder())
        for kind in ("pem", "key"):
            shutil.copy(certificate(f"server.{kind}"), folder / f"own.{kind}")
        daemon = self.new_daemon(tls_cert=str(folder / "own.pem"), tls_key=str(folder / "own.key"), otlp_tls="on",
                                 otlp_listen="127.0.0.1:0")
        first = self.serial(daemon)
        for kind in ("pem", "key"):
            shutil.copy(certificate(f"renewed.{kind}"), folder / f"own.{kind}")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "files read again" in daemon.log, what="the new certificate")
        wait_until(lambda: self.serial(daemon) != first, what="another certificate")

    @staticmethod
    def serial(daemon):
        return ssl.get_server_certificate(daemon.otlp_address)

    def test_plain_requests_are_not_answered(self):
        daemon = self.new_daemon(**tls_settings(), otlp_tls="on", otlp_listen="127.0.0.1:0")
        self.assertEqual(harness.raw_exchange(daemon.otlp_address, b"POST /v1/traces HTTP/1.1\r\nHost: x\r\n\r\n"), b"")


class DeliveriesOverTls(BlackBoxTest):
    def test_deliveries_are_accepted_over_https_and_the_ready_line_reports_tls(self):
        daemon, collector = self.new_pair(**tls_settings())
        self.assertRegex(daemon.log, r"msg=ready .*tls=on")
        with TlsClient(daemon.address, client_context()) as client:
            for event in run_events():
                self.assertEqual(client.deliver(event).outcome, (202, "accepted"))
            self.assertEqual(client.request("GET", "/health").status, 200)
        self.assertEqual(daemon.admin("/ready").status, 200)  # in plain HTTP
        collector.wait(lambda c: len(c.ids()) > 0)

    def test_replay_and_check_speak_https(self):
        daemon = self.new_daemon(**tls_settings(), admin_tls="true")
        path = pathlib.Path(self.new_folder()) / "payload.json"
        path.write_bytes(run_events()[0].body)
        webhook, live = "https://localhost:%d/webhook" % daemon.address[1], "https://localhost:%d" % daemon.admin_address[1]
        for env, code in (({"SSL_CERT_FILE": certificate("ca.pem")}, 0), ({"SSL_CERT_FILE": certificate("other-ca.pem")}, 1)):
            with self.subTest(env=env):
                sent = run_command("replay", "--secret-file", daemon.secret_file, webhook, path, env=env)
                self.assertEqual(sent.returncode, code, sent.stdout + sent.stderr)
                shown = run_command("check", "--live", live, env=env)
                self.assertEqual(shown.returncode, code, shown.stdout + shown.stderr)
                for done in (sent, shown):
                    self.assertEqual("certificate" in done.stderr, code != 0, done.stderr)

    def test_a_daemon_without_tls_reports_that_it_is_off(self):
        daemon = self.new_daemon()
        self.assertRegex(daemon.log, r"msg=ready .*tls=off")

    def test_a_large_body_comes_in_whole(self):
        daemon = self.new_daemon(**tls_settings())
        event = run_events()[0]
        large = event.with_body(event.body[:-1].rstrip() + b" " * (5 << 20) + b"}")
        with TlsClient(daemon.address, client_context()) as client:
            self.assertEqual(client.deliver(large).outcome, (202, "accepted"))

    def test_requests_behind_unread_answers_wait_inside_tls_too(self):
        daemon = self.new_daemon(ingress_threads=1, **tls_settings())
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        raw.connect(daemon.address)
        before = daemon.own_kib() / 1024
        with client_context().wrap_socket(raw, server_hostname="localhost") as connection:
            sent = pipeline_unread(connection, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 30 << 20)
            self.assertLess(sent, 400000)  # of 930,000: the kernel's buffers hold some 90,000
            if "asan" not in harness.BINARY and "tsan" not in harness.BINARY:
                self.assertLess(daemon.own_kib() / 1024 - before, 8)
            raw_count = sent - 5000  # what TLS could not send whole is left out
            self.assertGreaterEqual(count_answers(connection, raw_count), raw_count)

    def test_plain_http_on_the_tls_port_is_not_answered(self):
        daemon = self.new_daemon(**tls_settings())
        answer = harness.raw_exchange(daemon.address, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertNotIn(b"HTTP/1.1", answer)
        with TlsClient(daemon.address, client_context()) as client:
            self.assertEqual(client.request("GET", "/health").status, 200)
        self.assertIn("tls handshake failed", daemon.log)

    def test_only_ecdhe_with_aead_and_tls_1_2_at_least(self):
        daemon = self.new_daemon(**tls_settings("rsa"))
        low = "DEFAULT:@SECLEVEL=0"
        for arguments in (["-tls1", "-cipher", low], ["-tls1_1", "-cipher", low],
                          ["-tls1_2", "-cipher", "AES128-GCM-SHA256"], ["-tls1_2", "-cipher", "AES256-SHA"],
                          ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256"],
                          ["-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA"],
                          ["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"],
                          ["-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"],
                          ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256", "-groups", "brainpoolP256r1"]):
            with self.subTest(refused=arguments):
                self.assertFalse(handshake(daemon.address, *arguments)[0])
        for arguments in (["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"],
                          ["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"],
                          ["-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"],
                          ["-tls1_2", "-groups", "P-256"], ["-tls1_2", "-groups", "X25519"],
                          ["-tls1_2", "-groups", "P-384"], ["-tls1_2", "-groups", "P-521"]):
            with self.subTest(taken=arguments):
                agreed, text = handshake(daemon.address, *arguments)
                self.assertTrue(agreed, text)
        agreed, text = handshake(daemon.address, "-tls1_2")
        self.assertTrue(agreed)
        self.assertIn("X25519", text)
        self.assertIn("Verify return code: 0", text)

    def test_a_client_that_asks_for_short_records_is_served(self):
        for name in ("rsa", "server", "chained"):
            daemon = self.new_daemon(**tls_settings(name))
            for length in ("512", "1024", "2048", "4096"):
                with self.subTest(certificate=name, length=length):
                    agreed, text = handshake(daemon.address, "-tls1_2", "-maxfraglen", length)
                    self.assertTrue(agreed, text)

    def test_a_session_ticket_saves_the_second_handshake(self):
        daemon = self.new_daemon(**tls_settings(), ingress_threads="2")
        folder = self.new_folder()
        ticket = f"{folder}/ticket"
        self.assertTrue(handshake(daemon.address, "-tls1_2", "-sess_out", ticket)[0])
        for _ in range(6):  # either thread takes the other's
            agreed, text = handshake(daemon.address, "-tls1_2", "-sess_in", ticket)
            self.assertTrue(agreed)
            self.assertIn("Reused, TLSv1.2", text)

    def test_client_certificates_when_an_authority_is_set(self):
        daemon = self.new_daemon(**tls_settings(tls_client_ca=certificate("ca.pem")))
        with TlsClient(daemon.address, client_context(client="client")) as client:
            self.assertEqual(client.request("GET", "/health").status, 200)
        for other in (None, "foreign", "expired"):
            with self.subTest(client=other), TlsClient(daemon.address, client_context(client=other)) as client:
                with self.assertRaises((ssl.SSLError, OSError, http.client.HTTPException)):
                    client.request("GET", "/health")

    def test_a_graceful_stop_answers_what_is_in_flight(self):
        daemon = self.new_daemon(**tls_settings())
        event = run_events()[0]
        with TlsClient(daemon.address, client_context()) as client:
            connection = client.connection
            connection.putrequest("POST", "/webhook")
            for name, value in delivery_headers(event).items():
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(event.body)))
            connection.endheaders()
            connection.send(event.body[:10])
            time.sleep(0.2)
            daemon.process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
            connection.send(event.body[10:])
            answer = connection.getresponse()
            self.assertEqual(Response(answer.status, answer.headers, answer.read()).outcome, (202, "accepted"))
        self.assertEqual(daemon.process.wait(PATIENCE), 0)


class ReplacedCertificates(BlackBoxTest):
    def new_site(self):
        folder = pathlib.Path(self.new_folder())
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"
        self.install("server")
        return self.new_daemon(tls_cert=str(self.cert), tls_key=str(self.key))

    def install(self, name):
        shutil.copy(certificate(name + ".pem"), self.cert)
        shutil.copy(certificate(name + ".key"), self.key)

    def hang_up(self, daemon):
        before = daemon.log.count("read again")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: daemon.log.count("read again") > before, what="the certificates to be read again")

    @staticmethod
    def serial(daemon):
        with socket.create_connection(daemon.address, timeout=PATIENCE) as plain, \
                client_context().wrap_socket(plain, server_hostname="localhost") as secure:
            return secure.getpeercert()["serialNumber"]

    def test_a_certificate_is_replaced_under_load_without_a_failed_request(self):
        daemon = self.new_site()
        ended, failures, counts = threading.Event(), [], []

        def load(is_kept):
            client, count = None, 0
            try:
                while not ended.is_set():
                    client = client or TlsClient(daemon.address, client_context())
                    answer = client.request("GET", "/health")
                    if answer.status != 200:
                        failures.append(answer)
                    count += 1
                    if not is_kept:
                        client.close()
                        client = None
            except (OSError, http.client.HTTPException) as fault:
                failures.append(fault)
            counts.append(count)
        threads = [threading.Thread(target=load, args=(i % 2 == 0,)) for i in range(6)]
        for thread in threads:
            thread.start()
        seen = set()
        for name in ("renewed", "rsa", "server", "chained", "renewed") * 2:
            time.sleep(0.15)
            self.install(name)
            self.hang_up(daemon)
            wait_until(lambda: self.serial(daemon) not in seen or len(seen) >= 4, what="another certificate")
            seen.add(self.serial(daemon))
        ended.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertGreater(min(counts), 10)
        self.assertEqual(len(seen), 4)

    def test_a_broken_file_keeps_the_old_certificate_in_use(self):
        daemon = self.new_site()
        before = self.serial(daemon)
        for broken in ("", "no certificate at all\n", None):
            if broken is None:
                self.cert.unlink()
            else:
                self.cert.write_text(broken)
            self.hang_up(daemon)
            self.assertIn("stay as they were", daemon.log)
            self.assertEqual(self.serial(daemon), before)
        shutil.copy(certificate("renewed.pem"), self.cert)  # not this key's
        self.hang_up(daemon)
        self.assertIn("the key does not belong to the certificate", daemon.log)
        self.assertEqual(self.serial(daemon), before)
        self.install("renewed")
        self.hang_up(daemon)
        wait_until(lambda: self.serial(daemon) != before, what="the new certificate")

    def test_one_unusable_file_keeps_all_old_files_in_use(self):
        daemon = self.new_site()
        folder = self.cert.parent
        tokens = folder / "tokens"
        tokens.write_text("an-old-token-of-many-letters\n")
        daemon.stop()
        daemon.settings["admin-token-file"] = str(tokens)
        daemon.start()
        before = self.serial(daemon)
        good = {"secret": daemon.secret_file, "tokens": tokens, "certificate": self.cert}
        for bad in good:
            for name, path in good.items():
                if name != "certificate":
                    path.write_text("" if name == bad else f"new-{name}-of-many-letters\n")
            self.install("renewed")
            if bad == "certificate":
                shutil.copy(certificate("server.key"), self.key)  # not this certificate's
            self.hang_up(daemon)
            self.assertIn("stay as they were", daemon.log.splitlines()[-1], bad)
            self.assertEqual(self.serial(daemon), before, bad)
            self.assertEqual(self.sign_with(daemon, harness.SECRET), 202, bad)
            self.assertEqual(self.sign_with(daemon, "new-secret-of-many-letters"), 401, bad)
            self.assertEqual(self.show(daemon, "an-old-token-of-many-letters"), 200, bad)
            self.assertEqual(self.show(daemon, "new-tokens-of-many-letters"), 401, bad)
        self.install("renewed")
        self.hang_up(daemon)
        self.assertRegex(daemon.log.splitlines()[-1], 'files="webhook secrets, admin tokens, certificates"')
        wait_until(lambda: self.serial(daemon) != before, what="the new certificate")
        self.assertEqual(self.sign_with(daemon, harness.SECRET), 401)
        self.assertEqual(self.sign_with(daemon, "new-secret-of-many-letters"), 202)
        self.assertEqual(self.show(daemon, "new-tokens-of-many-letters"), 200)

    @staticmethod
    def sign_with(daemon, secret):
        with TlsClient(daemon.address, client_context()) as client:
            return client.deliver(run_events()[0], secret=secret).status

    @staticmethod
    def show(daemon, token):
        with harness.Client(daemon.admin_address) as client:
            return client.request("GET", "/api/status", headers={"Authorization": f"Bearer {token}"}).status

    def test_any_number_of_hangups_does_no_harm_and_the_last_one_counts(self):
        daemon = self.new_site()
        before = self.serial(daemon)
        for _ in range(2000):
            daemon.process.send_signal(signal.SIGHUP)
        self.install("renewed")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.serial(daemon) != before, what="the new certificate")
        self.assertLess(daemon.log.count("read again"), 50)
        for _ in range(50):
            daemon.process.send_signal(signal.SIGHUP)
        daemon.process.send_signal(signal.SIGTERM)
        while daemon.is_running:
            daemon.process.send_signal(signal.SIGHUP)
        daemon.stop()


class HttpsCollectors(BlackBoxTest):
    def new_tls_collector(self, *arguments):
        collector = TlsCollector(*arguments)
        self.addCleanup(collector.stop)
        return collector

    def deliver_run(self, daemon):
        daemon.accept(*run_events())

    def test_spans_go_to_an_https_collector(self):
        collector = self.new_tls_collector()
        daemon = self.new_daemon(collector, otlp_certificate=certificate("ca.pem"))
        self.deliver_run(daemon)
        collector.wait(lambda c: len(c.ids()) > 3)
        self.assertEqual(collector.faults, [])

    def test_the_variables_of_opentelemetry_name_the_files(self):
        collector = self.new_tls_collector("server", "ca.pem")
        daemon = self.new_daemon(env={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
                                      "OTEL_EXPORTER_OTLP_CERTIFICATE": certificate("ca.pem"),
                                      "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE": certificate("client.pem"),
                                      "OTEL_EXPORTER_OTLP_CLIENT_KEY": certificate("client.key")})
        self.deliver_run(daemon)
        collector.wait(lambda c: len(c.ids()) > 3)

    def test_an_address_in_the_certificate_is_a_name(self):
        collector = self.new_tls_collector()
        daemon = self.new_daemon(otlp_endpoint=f"https://127.0.0.1:{collector.port}",
                                 otlp_certificate=certificate("ca.pem"))
        self.deliver_run(daemon)
        collector.wait(lambda c: len(c.ids()) > 3)

    def test_a_collector_that_cannot_be_trusted_gets_nothing_and_the_reason_is_logged(self):
        for name, ca, reason in (("foreign", "ca.pem", "unable to get local issuer certificate"),
                                 ("expired", "ca.pem", "certificate has expired"),
                                 ("nameless", "ca.pem", "matches target host name")):
            with self.subTest(collector=name):
                collector = self.new_tls_collector(name)
                daemon = self.new_daemon(collector, otlp_certificate=certificate(ca))
                self.deliver_run(daemon)
                wait_until(lambda: reason in daemon.log, what=f"{reason} in the log")
                self.assertEqual(collector.requests, [])
                daemon.stop()

    def test_records_that_waited_for_a_wrong_authority_are_sent_when_it_is_corrected(self):
        collector = self.new_tls_collector()
        trusted = pathlib.Path(self.new_folder()) / "ca.pem"
        shutil.copy(certificate("other-ca.pem"), trusted)
        daemon = self.new_daemon(collector, otlp_certificate=str(trusted))
        self.deliver_run(daemon)
        wait_until(lambda: "unable to get local issuer" in daemon.log, what="the refusal")
        shutil.copy(certificate("ca.pem"), trusted)
        daemon.process.send_signal(signal.SIGHUP)
        collector.wait(lambda c: len(c.ids()) > 3)

    def test_an_https_collector_is_reached_through_a_proxy_which_sees_no_header(self):
        collector = self.new_tls_collector()
        seen = []

        class Tunnel(socketserver.StreamRequestHandler):
            """CONNECT for one tunnel."""
            def handle(self):
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += self.rfile.readline()
                seen.append(head.decode())
                target = socket.create_connection(("127.0.0.1", collector.port))
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=self.copy, args=(target, self.connection), daemon=True)
                back.start()
                self.copy(self.connection, target)

            @staticmethod
            def copy(source, target):
                try:
                    while data := source.recv(65536):
                        target.sendall(data)
                    target.shutdown(socket.SHUT_WR)
                except OSError:
                    pass

        proxy = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel)
        proxy.daemon_threads = True
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        self.addCleanup(proxy.server_close)
        self.addCleanup(proxy.shutdown)
        daemon = self.new_daemon(otlp_endpoint=f"https://collector.test:{collector.port}", otlp_header="X-Key=hidden",
                                 otlp_certificate=certificate("ca.pem"),
                                 otlp_proxy=f"http://me:hidden@127.0.0.1:{proxy.server_address[1]}")
        self.deliver_run(daemon)
        collector.wait(lambda c: len(c.ids()) > 3)
        self.assertTrue(seen[0].startswith(f"CONNECT collector.test:{collector.port} HTTP/1.1\r\n"), seen)
        self.assertIn("Proxy-Authorization: Basic bWU6aGlkZGVu\r\n", seen[0])
        self.assertNotIn("X-Key", seen[0])
        self.assertEqual(collector.requests[0].headers["x-key"], "hidden")
        self.assertNotIn("proxy-authorization", collector.requests[0].headers)
        self.assertNotIn("hidden", daemon.log)

    def test_without_its_client_certificate_a_collector_refuses_us(self):
        collector = self.new_tls_collector("server", "ca.pem")
        daemon = self.new_daemon(collector, otlp_certificate=certificate("ca.pem"))
        self.deliver_run(daemon)
        wait_until(lambda: "level=warn" in daemon.log, what="a warning")
        self.assertEqual(collector.requests, [])


class SettingsOfTls(BlackBoxTest):
    def check(self, *arguments, env=None):
        return run_command("check", "--insecure-no-signature", *arguments, env=env)

    def test_files_that_do_not_match_are_reported_before_anything_starts(self):
        for arguments, reason in (
                (["--tls-cert", certificate("server.pem")], "--tls-cert: set without tls-key"),
                (["--tls-key", certificate("server.key")], "--tls-key: set without tls-cert"),
                (["--tls-client-ca", certificate("ca.pem")], "client certificates need TLS"),
                (["--tls-cert", certificate("server.pem"), "--tls-key", certificate("rsa.key")], "does not belong"),
                (["--tls-cert", "/nowhere.pem", "--tls-key", certificate("rsa.key")], "/nowhere.pem: No such file"),
                (["--otlp-endpoint", "https://x", "--otlp-certificate", "/nowhere.pem"], "/nowhere.pem: No such file"),
                (["--otlp-endpoint", "https://x", "--otlp-client-key", certificate("rsa.key")], "need each other")):
            with self.subTest(arguments=arguments):
                for command in ("check", "serve"):
                    done = run_command(command, "--insecure-no-signature", *arguments)
                    self.assertEqual(done.returncode, 2, done.stderr)
                    self.assertIn(reason, done.stderr)

    def test_certificates_that_fail_every_handshake_are_refused_with_the_reason(self):
        for name, reason in (
                ("ed25519", "a certificate that cannot be read (RSA and ECDSA are, Ed25519 is not)"),
                ("mixed", "1 of the certificates cannot be read"),
                ("curve", "its key is on the curve secp256k1, which clients do not offer"),
                ("long", "the certificates are too long for a handshake"),
                ("chain-of-50", "the certificates are too long for a handshake")):
            files = {"tls-cert": certificate(f"{name}.pem"), "tls-key": certificate(f"{name}.key")}
            arguments = [word for key, path in files.items() for word in (f"--{key}", path)]
            with self.subTest(certificate=name):
                for command in ("check", "serve"):
                    done = run_command(command, "--insecure-no-signature", *arguments)
                    self.assertEqual(done.returncode, 2, done.stderr)
                    self.assertIn(reason, done.stderr)
        done = self.check("--tls-cert", certificate("server.pem"), "--tls-key", certificate("ed25519.key"))
        self.assertIn("ed25519.key: a private key that cannot be read (RSA and ECDSA are", done.stderr)
        done = self.check("--tls-cert", certificate("server.pem"), "--tls-key", certificate("server.key"),
                          "--admin-client-ca", certificate("ed25519.pem"), "--admin-listen", "127.0.0.1:0")
        self.assertEqual(done.returncode, 2)
        self.assertIn("admin-client-ca", done.stderr)

    def test_certificates_that_most_clients_refuse_are_named_once(self):
        for name, reason in (("expired", "it has expired"), ("weak", "its key is weak, RSA of less than 2048 bits")):
            with self.subTest(certificate=name):
                done = self.check("--tls-cert", certificate(f"{name}.pem"), "--tls-key", certificate(f"{name}.key"))
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(done.stderr.count("most clients will refuse"), 1, done.stderr)
                self.assertIn(reason, done.stderr)
                daemon = self.new_daemon(**tls_settings(name), admin_tls="true", ingress_threads="2")
                self.assertEqual(daemon.log.count("most clients will refuse"), 1, daemon.log)
                daemon.process.send_signal(signal.SIGHUP)
                wait_until(lambda: "files read again" in daemon.log, what="the files")
                self.assertEqual(daemon.log.count("most clients will refuse"), 2, daemon.log)

    def test_check_shows_the_files(self):
        done = self.check("--tls-cert", certificate("server.pem"), "--tls-key", certificate("server.key"),
                          "--otlp-endpoint", "https://collector", "--otlp-certificate", certificate("ca.pem"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"tls-cert = {certificate('server.pem')}", done.stdout)
        self.assertIn(f"export: trusting {certificate('ca.pem')}", done.stdout)


class Version3(BlackBoxTest):
    def test_tls_1_3_where_the_library_has_it(self):
        daemon = self.new_daemon(**tls_settings())
        if not has_tls_13(daemon.address):
            self.skipTest("mbedTLS here has no TLS 1.3")
        context = client_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        with TlsClient(daemon.address, context) as client:
            self.assertEqual(client.request("GET", "/health").status, 200)
        self.assertIn("X25519", handshake(daemon.address, "-tls1_3")[1])


if __name__ == "__main__":
    unittest.main()
