"""Headers of the export requests from a file that something else renews."""
import os
import signal
import time
import json

import harness
from collector import Answer
from harness import wait_until
from test_export import expected_ids, short_run


def replace(path, text):
    """As it is done right: another file, renamed."""
    other = path.with_suffix(".new")
    other.write_text(text)
    other.chmod(0o600)
    other.rename(path)


class HeaderFile(harness.BlackBoxTest):
    def start(self, text, script=None, **settings):
        self.collector = self.new_collector()
        if script:
            self.collector.script = script
        self.daemon = self.new_daemon(self.collector, start=False, **settings)
        self.file = self.daemon.folder / "headers"
        replace(self.file, text)
        self.daemon.settings["otlp-header-file"] = str(self.file)
        return self.daemon.start()

    def send(self):
        run = short_run()
        self.daemon.accept(*run.timeline())
        return run

    def status(self):
        return json.loads(self.daemon.admin("/api/status").body)

    def test_headers_of_the_file_are_sent_and_win(self):
        self.start("\ufeff# who we are\r\nAuthorization: Bearer from-file\r\n\r\nX-More: a:b=%20\r\n",
                   otlp_header="authorization=Bearer%20configured,x-tenant=acme")
        self.collector.wait_for_ids(expected_ids([self.send()]))
        request = self.collector.requests[0]
        self.assertEqual(request.headers["authorization"], "Bearer from-file")
        self.assertEqual(request.headers["x-more"], "a:b=%20")
        self.assertEqual(request.headers["x-tenant"], "acme")
        self.assertNotIn("from-file", self.daemon.log)

    def test_a_file_that_was_replaced_counts_for_the_next_request(self):
        self.start("Authorization: Bearer 1\n")
        self.collector.wait_for_ids(expected_ids([self.send()]))
        for number in (2, 3):
            time.sleep(1.1)  # it is looked at once a second
            replace(self.file, f"Authorization: Bearer {number}\n")
            before = len(self.collector.requests)
            self.collector.wait_for_ids(expected_ids([self.send()]))
            self.assertEqual({request.headers["authorization"] for request in self.collector.requests[before:]},
                             {f"Bearer {number}"})

    def test_an_expired_token_is_replaced_after_401_and_nothing_is_lost(self):
        valid = ["Bearer old"]

        def answer(request):
            if request.headers.get("authorization") in valid:
                return Answer()
            return Answer(401, {"Content-Type": "text/plain"}, b"no: " + request.headers["authorization"].encode())

        self.start("Authorization: Bearer old\n", answer)
        self.collector.wait_for_ids(expected_ids([self.send()]))
        valid[:] = ["Bearer renewed-token"]
        runs = [self.send()]
        self.collector.wait(lambda c: any(r.status == 401 for r in c.requests), what="an answer 401")
        replace(self.file, "Authorization: Bearer renewed-token\n")
        runs.append(self.send())
        self.collector.wait_for_ids(expected_ids(runs))
        wait_until(lambda: not self.status()["export"]["failures_in_a_row"], what="the end of the trouble")
        self.assertEqual(self.status()["dead_letters"], 0)
        self.assertNotIn("renewed-token", self.daemon.log)

    def test_after_SIGHUP_the_file_is_read_and_the_next_try_is_not_waited_for(self):
        def answer(request):
            good = request.headers.get("authorization") == "Bearer good"
            return Answer() if good else Answer(503, {"Retry-After": "300"}, b"later")

        self.start("Authorization: Bearer bad\n", answer)
        run = self.send()
        self.collector.wait(lambda c: c.requests, what="a first request")
        replace(self.file, "Authorization: Bearer good\n")
        self.daemon.process.send_signal(signal.SIGHUP)
        self.collector.wait_for_ids(expected_ids([run]))

    def test_a_key_that_was_replaced_while_a_request_was_under_way_is_masked_in_its_answer(self):
        old = "Bearer old-0123456789abcdef"

        def answer(request):
            if request.headers.get("authorization") != old:
                return Answer(503, {}, b"later")
            return Answer(401, {"Content-Type": "text/plain"}, f"who is {old}?".encode(), hang=True)

        self.start(f"Authorization: {old}\n", answer)
        arrived = self.collector.arrived = []
        script = self.collector.script
        self.collector.script = lambda request: arrived.append(request) or script(request)
        self.send()
        wait_until(lambda: arrived, what="a request")
        replace(self.file, "Authorization: Bearer new-0123456789abcdef\n")
        self.daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "headers read again" in self.daemon.log, what="the new headers")
        self.collector.release()
        # The new headers are tried at once, so the status may say already what became of them.
        wait_until(lambda: "who is" in self.daemon.log, what="the answer")
        self.assertNotIn("old-0123456789abcdef", json.dumps(self.status()) + self.daemon.log)

    def test_a_file_that_cannot_be_used_keeps_the_last_good_headers_in_use(self):
        self.start("Authorization: Bearer good\n")
        self.collector.wait_for_ids(expected_ids([self.send()]))
        for text in ("", "hidden-token\n", "Authorization: Bearer hidden-token\x00\n"):
            replace(self.file, text)
            self.daemon.process.send_signal(signal.SIGHUP)
            time.sleep(0.1)
            self.collector.wait_for_ids(expected_ids([self.send()]))
        os.unlink(self.file)
        self.daemon.process.send_signal(signal.SIGHUP)
        self.collector.wait_for_ids(expected_ids([self.send()]))
        self.assertEqual({request.headers["authorization"] for request in self.collector.requests}, {"Bearer good"})
        logged = [line for line in self.daemon.lines if "headers not read again" in line]
        self.assertEqual(len(logged), 1, logged)
        file = wait_until(lambda: "No such file" in ((f := self.status()["export"]["header_file"])["reason"] or "") and f,
                          what="the missing file to be noticed")
        self.assertFalse(file["usable"])
        self.assertIsNotNone(file["since"])
        self.assertNotIn("hidden-token", self.daemon.log + json.dumps(self.status()))
        replace(self.file, "Authorization: Bearer newest\n")
        self.daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.status()["export"]["header_file"]["usable"], what="the file to be usable again")
        self.assertIsNone(self.status()["export"]["header_file"]["reason"])

    def test_SIGHUP_replaces_secrets_and_headers_or_neither(self):
        def send(secret):
            return self.daemon.deliver(short_run().timeline()[0], secret=secret).status

        def reload(line):
            before = self.daemon.log.count(line)
            self.daemon.process.send_signal(signal.SIGHUP)
            wait_until(lambda: self.daemon.log.count(line) > before, what=line)

        self.start("Authorization: Bearer 1\n")
        self.daemon.secret_file.write_text("renewed\n")
        replace(self.file, "no header\n")
        reload("files not read again: all secrets, certificates and headers stay as they were")
        self.assertIn("line 1: no ':'", self.daemon.log)
        self.assertEqual((send(harness.SECRET), send("renewed")), (202, 401))

        replace(self.file, "Authorization: Bearer 2\n")
        reload("files read again")
        self.assertEqual((send(harness.SECRET), send("renewed")), (401, 202))
        self.daemon.secret_file.write_text("\n")
        replace(self.file, "Authorization: Bearer 3\n")
        reload("files not read again")
        self.assertEqual(send("renewed"), 202)


class Check(harness.BlackBoxTest):
    def check(self, text, mode=0o600, **env):
        folder = self.new_folder()
        path = os.path.join(folder, "headers")
        if text is not None:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(path, mode)
        return harness.run_command("check", "--insecure-no-signature", "--otlp-header-file", path, "--otlp-endpoint",
                                   "http://user:hidden@collector:4318?key=hidden", "--otlp-header", "authorization=hidden",
                                   env=env)

    def test_names_are_shown_and_values_never(self):
        shown = self.check("Authorization: Bearer hidden\nX-Tenant: hidden\n")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertRegex(shown.stdout, r"headers: Authorization X-Tenant\n")
        self.assertIn("(2 headers)", shown.stdout)
        self.assertNotIn("hidden", shown.stdout + shown.stderr)
        self.assertNotIn("readable", shown.stdout)

    def test_a_file_that_others_may_read_is_warned_of(self):
        for mode, words in ((0o644, "readable by all users"), (0o640, "readable by its group")):
            self.assertIn(words, self.check("A: 1\n", mode).stdout)

    def test_a_file_that_cannot_be_used_is_refused(self):
        for text in (None, "hidden\n", "Host: hidden\n", "A: hidden\n B: hidden\n"):
            shown = self.check(text)
            self.assertEqual(shown.returncode, 2)
            self.assertIn("otlp-header-file", shown.stderr)
            self.assertNotIn("hidden", shown.stdout + shown.stderr)

    def test_the_proxy_in_use_is_shown_without_its_password(self):
        shown = self.check("A: 1\n", http_proxy="http://user:hidden@proxy:3128", https_proxy="http://other:3128")
        self.assertIn("export: through the proxy http://proxy:3128  (from http_proxy)\n", shown.stdout)
        self.assertNotIn("other", shown.stdout)
        self.assertNotIn("hidden", shown.stdout)
        shown = self.check("A: 1\n", http_proxy="http://proxy:3128", no_proxy="collector")
        self.assertNotIn("through the proxy", shown.stdout)
        shown = self.check("A: 1\n", http_proxy="http://proxy:3128", GHATRACE_OTLP_PROXY="off")
        self.assertNotIn("through the proxy", shown.stdout)
        self.assertIn("otlp-proxy = off  (from", shown.stdout)
        shown = self.check("A: 1\n", GHATRACE_OTLP_PROXY="https://user:hidden@proxy")
        self.assertIn("through the proxy https://proxy:443  (from GHATRACE_OTLP_PROXY)", shown.stdout)
        self.assertIn("otlp-proxy = https://proxy:443  (from", shown.stdout)
        self.assertNotIn("hidden", shown.stdout)

    def test_no_error_about_a_url_shows_part_of_a_password(self):
        for url in ("http://bob:sek/ret@host", "http://bob:sek", "http://bob:p@sek/ret@host", "bob:sek/ret@host"):
            with self.subTest(url):
                for shown in (harness.run_command("replay", url, os.devnull), harness.run_command("check", "--live", url),
                              harness.run_command("check", url), self.check("A: 1\n", http_proxy=url),
                              self.check("A: 1\n", GHATRACE_OTLP_PROXY=url),
                              harness.run_command("check", "--insecure-no-signature", "--otlp-endpoint", url)):
                    self.assertEqual(shown.returncode, 2)
                    self.assertNotRegex(shown.stdout + shown.stderr, "sek|ret@")

    def test_off_in_any_case_is_no_proxy_and_a_word_is_refused(self):
        shown = self.check("A: 1\n", http_proxy="http://proxy:3128", GHATRACE_OTLP_PROXY="OFF")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertNotIn("through the proxy", shown.stdout)
        shown = self.check("A: 1\n", GHATRACE_OTLP_PROXY="none")
        self.assertEqual(shown.returncode, 2)
        self.assertIn("not the URL of a proxy: write http://proxy:3128", shown.stderr)


class Proxies(harness.BlackBoxTest):
    def test_a_proxy_and_a_password_of_the_endpoint_are_used_and_in_no_log(self):
        """The proxy is the collector itself: a plain request through a proxy differs in its target alone."""
        collector = self.new_collector()
        daemon = self.new_daemon(start=False, otlp_endpoint="http://u:hid%64en@collector.test:4318")
        daemon.env = {"HTTP_PROXY": f"http://me:hidden2@127.0.0.1:{collector.port}"}
        daemon.start()
        daemon.accept(*short_run().timeline())
        collector.wait(lambda c: len(c.ids()) > 3)
        request = collector.requests[0]
        self.assertEqual(request.path, "http://collector.test:4318/v1/traces")
        self.assertEqual(request.headers["host"], "collector.test:4318")
        self.assertEqual(request.headers["authorization"], "Basic dTpoaWRkZW4=")
        self.assertEqual(request.headers["proxy-authorization"], "Basic bWU6aGlkZGVuMg==")
        self.assertIn(f"proxy=http://127.0.0.1:{collector.port}", daemon.log)
        self.assertNotIn("hid", daemon.log)

    def test_credentials_that_a_collector_or_a_proxy_repeats_are_masked(self):
        """Both send back what they got, which is base64."""
        collector = self.new_collector()
        names = ("authorization", "proxy-authorization")
        collector.script = lambda request: Answer(
            403, {"Content-Type": "text/plain"}, " and ".join(request.headers[name] for name in names).encode())
        daemon = self.new_daemon(start=False, otlp_endpoint="http://alice:hunter2secret@collector.test:4318")
        daemon.env = {"HTTP_PROXY": f"http://bob:proxysecret1@127.0.0.1:{collector.port}"}
        daemon.start()
        daemon.accept(*short_run().timeline())
        wait_until(lambda: "403 Forbidden: " in daemon.log, what="the refusal in the log")
        shown = daemon.log + daemon.admin("/api/status").text
        self.assertEqual(collector.requests[0].headers["authorization"], "Basic YWxpY2U6aHVudGVyMnNlY3JldA==")
        self.assertIn("403 Forbidden: Basic **", shown)
        for secret in ("YWxpY2", "hunter2", "Ym9iOn", "proxysecret"):
            self.assertNotIn(secret, shown)
