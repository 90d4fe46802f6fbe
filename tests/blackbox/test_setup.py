"""What is not set up right at GitHub is said: in the log, in /api/status, by `ghatrace check --live`."""
import json
import pathlib

import harness
from harness import Client, delivery_headers, run_command, wait_until
from payloads import Run, ping


class SetUp(harness.BlackBoxTest):
    def ask(self, daemon, *arguments):
        """(exit status, {name: (state, message)}, /api/status) """
        url = "http://%s:%d" % daemon.admin_address
        shown = run_command("check", "--live", url, *arguments)
        self.assertEqual(shown.stderr, "")
        found = {}
        for line in shown.stdout.splitlines():
            subject, state, message = line.split(None, 2)
            found[subject] = state, message
        self.assertEqual(list(found), ["daemon", "secret", "path", "events", "delivery", "export"])
        status = json.loads(daemon.admin("/api/status").body)
        for item in status["setup"]["items"]:
            self.assertEqual(found[item["name"]], (item["state"], item["message"]), "the same words everywhere")
        self.assertEqual(status["setup"]["ok"], not any(state == "wrong" for state, _ in found.values()))
        return shown.returncode, found, status

    def state(self, daemon, subject):
        return self.ask(daemon)[1][subject][0]

    def item(self, status, name):
        return next(item for item in status["setup"]["items"] if item["name"] == name)

    def said(self, daemon, subject, state):
        return [line for line in daemon.lines if f"msg=set-up subject={subject} state={state}" in line]

    def lines(self, daemon, words, count):
        """Those with these words, once there are so many: the log is written by a thread of its own."""
        def found():
            return [line for line in daemon.lines if words in line]
        wait_until(lambda: len(found()) >= count, what=f"lines with {words}")
        return found()

    def test_nothing_is_wrong_before_the_first_request(self):
        code, found, status = self.ask(self.new_daemon())
        self.assertEqual(code, 0)
        self.assertEqual({subject: state for subject, (state, _) in found.items()},
                         {"daemon": "ok", "secret": "unknown", "path": "unknown", "events": "unknown", "delivery": "unknown",
                          "export": "ok"})
        self.assertEqual(found["delivery"][1], "No delivery was received yet.")
        self.assertEqual(status["deliveries"]["other_path"], 0)

    def test_a_wrong_secret_is_reported_until_a_delivery_is_accepted(self):
        daemon = self.new_daemon()
        for _ in range(12):
            self.assertEqual(daemon.deliver(Run().requested(), secret="not the one").status, 401)
        code, found, status = self.ask(daemon)
        self.assertEqual(code, 1)
        state, message = found["secret"]
        self.assertEqual(state, "wrong")
        for word in ("12 deliveries were refused since 20", "from 127.0.0.1", "does not match", "webhook-secret-file",
                     "None was accepted yet"):
            self.assertIn(word, message)
        item = self.item(status, "secret")
        self.assertEqual((item["refused"], item["addresses"]), (12, ["127.0.0.1"]))
        self.assertLessEqual(item["since"], item["last_at"])
        self.assertEqual(found["delivery"], ("unknown", "None was accepted yet; 12 refused."))
        self.assertEqual(found["path"][0], "ok")
        wait_until(lambda: self.said(daemon, "secret", "wrong"), what="a line in the log")
        self.assertIn("refused since", self.said(daemon, "secret", "wrong")[0])
        daemon.accept(Run().requested())
        code, found, status = self.ask(daemon)
        self.assertEqual((code, found["secret"][0], found["delivery"][0]), (0, "ok", "ok"))
        self.assertIn("12 were refused", found["secret"][1])

    def test_a_webhook_without_a_secret_is_reported_in_other_words(self):
        daemon = self.new_daemon()
        self.assertEqual(daemon.deliver(Run().requested(), secret=None).status, 401)
        code, found, _ = self.ask(daemon)
        self.assertEqual((code, found["secret"][0]), (1, "wrong"))
        self.assertIn("1 delivery was refused at", found["secret"][1])
        self.assertIn("The webhook at GitHub has no secret", found["secret"][1])
        # Requests without GitHub's fields indicate nothing.
        other = self.new_daemon()
        with other.client() as client:
            answer = client.request("POST", "/webhook", b"{}", {"Content-Type": "application/json"})
            self.assertEqual(answer.status, 401)
            self.assertEqual(client.request("POST", "/hook", b"{}").status, 404)
        self.assertEqual(self.state(other, "secret"), "unknown")
        self.assertEqual(self.state(other, "path"), "unknown")

    def test_a_secret_that_was_right_before_is_distinguished_from_unknown_senders_by_how_often_it_fails(self):
        daemon = self.new_daemon()
        daemon.accept(Run().requested())
        for number, state in enumerate(("warning", "warning", "wrong")):
            daemon.deliver(Run().requested(), secret="rotated")
            self.assertEqual(self.state(daemon, "secret"), state, number)
        self.assertIn("The last accepted one was received at", self.ask(daemon)[1]["secret"][1])
        # A body that is no JSON was signed all the same.
        self.assertEqual(daemon.deliver(Run().requested().with_body(b"{")).status, 400)
        self.assertEqual(self.state(daemon, "secret"), "ok")

    def test_a_wrong_path_is_reported_with_the_right_one(self):
        for given in ("/", "/webhook/", "/hooks/github", "/Webhook", "/webhook%20?x=secret"):
            daemon = self.new_daemon()
            with self.subTest(given), daemon.client() as client:
                self.assertEqual(client.deliver(Run().requested(), path=given).status, 404)
                code, found, status = self.ask(daemon)
                self.assertEqual((code, found["path"][0]), (1, "wrong"))
                self.assertIn(f"was for {given.split('?')[0]}. At GitHub, the payload URL must lead to /webhook ", found["path"][1])
                self.assertNotIn("x=secret", json.dumps(status))
                self.assertEqual(status["deliveries"]["other_path"], 1)
                self.assertIn("\nghatrace_deliveries_to_other_paths_total 1", daemon.admin("/metrics").text)
                lost = self.lines(daemon, "another path than webhook-path", 1)
                self.assertEqual(len(lost), 1)
                self.assertIn("webhook_path=/webhook", lost[0])
                daemon.accept(Run().requested())
                self.assertEqual(self.state(daemon, "path"), "ok")

    def test_lines_about_wrong_paths_are_limited_whoever_causes_them(self):
        daemon = self.new_daemon(ingress_threads=1)
        with daemon.client() as client:
            for _ in range(200):
                client.request("POST", "/x", b"", {"User-Agent": "GitHub-Hookshot/1"})
        self.assertEqual(len(self.lines(daemon, "another path than webhook-path", 10)), 10)
        wait_until(lambda: self.said(daemon, "path", "wrong"), what="a line about the path")
        self.assertEqual(len(self.said(daemon, "path", "wrong")), 1)
        self.assertEqual(self.item(self.ask(daemon)[2], "path")["refused"], 200)

    def test_a_ping_reports_once_whether_the_webhook_is_set_up_right(self):
        def hook(**changes):
            return lambda document: document["hook"].update(changes)
        config = {"content_type": "json", "url": "https://user:hidden@hooks.example.com/webhook?key=hidden"}
        cases = [(hook(), "ok", None), (hook(events=["*"]), "ok", None), (hook(events=["workflow_job"]), "wrong", "tick Workflow runs"),
                 (hook(events=["workflow_run", "push"]), "wrong", "tick Workflow jobs"),
                 (hook(events=[]), "wrong", "tick Workflow jobs; tick Workflow runs"), (hook(active=False), "wrong", "tick Active"),
                 (hook(config={**config, "insecure_ssl": "1"}), "warning", "enable SSL verification"),
                 (hook(config={**config, "insecure_ssl": 1}), "warning", "enable SSL verification"),
                 (hook(config={"url": "http://hooks.example.com/webhook"}), "warning", "use an https URL"),
                 (hook(config=config), "ok", None)]
        for change, state, words in cases:
            daemon = self.new_daemon()
            with self.subTest(words, state=state):
                self.assertEqual(daemon.deliver(ping().edited(change)).outcome, (200, "pong"))
                code, found, status = self.ask(daemon)
                self.assertEqual((code, found["events"][0]), (1 if state == "wrong" else 0, state), found["events"])
                lines = self.lines(daemon, "msg=\"ping: ", 1)
                self.assertEqual(len(lines), 1, daemon.log)
                self.assertIn("is set up right" if words is None else "is not set up right", lines[0])
                if words:
                    self.assertIn(words, lines[0])
                self.assertNotIn("hidden", daemon.log + json.dumps(status))
                self.assertEqual(found["delivery"][0], "ok")
                self.assertIn("none of a job or run yet", found["delivery"][1])

    def test_a_ping_of_any_form_is_answered(self):
        for change in (lambda d: {"zen": "x"}, lambda d: d.update(hook=None), lambda d: d.update(hook=[1]),
                       lambda d: d["hook"].update(events="workflow_job"), lambda d: d["hook"].update(events=[1, None, {}], config=7),
                       lambda d: d["hook"].update(active="no", config={"url": 5, "insecure_ssl": [1]}),
                       lambda d: d.update(hook_id="x"), lambda d: d["hook"]["config"].update(url="https://" + "x" * 9000)):
            daemon = self.new_daemon()
            self.assertEqual(daemon.deliver(ping().edited(change)).outcome, (200, "pong"))
            self.ask(daemon)

    def test_deliveries_show_which_events_are_ticked_after_the_ping(self):
        daemon = self.new_daemon()
        daemon.deliver(ping().edited(lambda document: document["hook"]["events"].remove("workflow_run")))
        self.assertEqual(self.state(daemon, "events"), "wrong")
        daemon.accept(Run().requested())
        self.assertEqual(self.state(daemon, "events"), "ok")

    def test_many_deliveries_of_one_kind_and_none_of_the_other_are_reported(self):
        jobs = [event for _ in range(17) for job in [Run().job()] for event in (job.queued(), job.in_progress(), job.completed())]
        runs = [event for _ in range(17) for run in [Run()] for event in (run.requested(), run.in_progress(), run.completed())]
        for events, other, come, missing in ((jobs, runs, "Workflow jobs", "Workflow runs"), (runs, jobs, "Workflow runs", "Workflow jobs")):
            daemon = self.new_daemon()
            daemon.deliver(ping())
            daemon.accept(*events[:49])
            self.assertEqual(self.state(daemon, "events"), "ok", "too few to judge")
            daemon.accept(*events[49:])
            code, found, _ = self.ask(daemon)
            self.assertEqual((code, found["events"][0]), (1, "wrong"))
            self.assertIn(f"51 deliveries of {come} were received since the start, and none of {missing}", found["events"][1])
            wait_until(lambda: self.said(daemon, "events", "wrong"), what="a line about the events")
            daemon.accept(other[0])
            self.assertEqual(self.state(daemon, "events"), "ok")

    def test_the_state_of_the_collector_is_reported(self):
        def is_shown(daemon, state):
            return self.item(json.loads(daemon.admin("/api/status").body), "export")["state"] == state
        daemon = self.new_daemon(otlp_endpoint="http://127.0.0.1:1")
        self.assertEqual(self.state(daemon, "export"), "unknown")
        daemon.accept(*Run().timeline())
        wait_until(lambda: is_shown(daemon, "wrong"), what="trouble with the collector")
        code, found, _ = self.ask(daemon)
        self.assertEqual((code, found["export"][0]), (1, "wrong"))
        daemon, collector = self.new_pair()
        daemon.accept(*Run().timeline())
        wait_until(lambda: is_shown(daemon, "ok"), what="records at the collector")
        self.assertEqual(self.ask(daemon)[0], 0)


class Asking(harness.BlackBoxTest):
    """`ghatrace check --live`: where it asks, and what it makes of answers."""

    def refused(self, code, *arguments, env=None):
        shown = run_command("check", *arguments, env=env)
        self.assertEqual(shown.returncode, code, shown.stdout + shown.stderr)
        self.assertRegex(shown.stderr, r"^ghatrace: check.*\n$")
        return shown.stderr

    def test_it_asks_at_the_url_or_at_admin_listen(self):
        daemon = self.new_daemon()
        port = daemon.admin_address[1]
        for arguments in (("--live", f"http://127.0.0.1:{port}/"), (f"--live=http://localhost:{port}",), ("--live", f"127.0.0.1:{port}"),
                          ("--live", "--admin-listen", f"127.0.0.1:{port}"), ("--admin-listen", f":{port}", "--live")):
            shown = run_command("check", *arguments)
            self.assertEqual(shown.returncode, 0, (arguments, shown.stderr))
            self.assertIn("takes deliveries at 127.0.0.1:%d/webhook" % daemon.address[1], shown.stdout)
        shown = run_command("check", "--live", env={"GHATRACE_ADMIN_LISTEN": f"127.0.0.1:{port}"})
        self.assertEqual(shown.returncode, 0, shown.stderr)

    def test_it_sends_a_token(self):
        token = pathlib.Path(self.new_folder(), "token")
        token.write_text("a token of many characters\nanother token of characters\n")
        daemon = self.new_daemon(admin_token_file=token)
        url = "http://127.0.0.1:%d" % daemon.admin_address[1]
        self.assertIn("admin-token-file", self.refused(1, "--live", url))
        self.assertEqual(run_command("check", "--live", url, "--admin-token-file", token).returncode, 0)
        self.assertIn("No such file", self.refused(2, "--live", url, "--admin-token-file", "/nowhere/token"))

    def test_a_missing_daemon_or_another_server_is_a_failure(self):
        daemon = self.new_daemon()
        self.assertIn("refused", self.refused(1, "--live", "http://127.0.0.1:1"))
        self.assertIn("admin-listen", self.refused(1, "--live", "http://127.0.0.1:%d" % daemon.address[1]))
        collector = self.new_collector()
        self.refused(1, "--live", collector.endpoint)

    def test_bad_usage(self):
        self.assertIn("off", self.refused(2, "--live", "--admin-listen", "off"))
        self.assertIn("port 0", self.refused(2, "--live", "--admin-listen", "127.0.0.1:0"))
        self.assertIn("https", self.refused(2, "--live", "--admin-tls=on", "--admin-listen", "127.0.0.1:1"))
        self.assertIn("scheme", self.refused(2, "--live", "ftp://127.0.0.1:1"))
        self.assertIn("--live", self.refused(2, "http://127.0.0.1:1"))

    def test_addresses_are_those_of_clients_behind_trusted_proxies(self):
        daemon = self.new_daemon(trusted_proxies="127.0.0.0/8")
        event = Run().requested()
        for number in range(1, 7):
            with Client(daemon.address) as client:
                headers = {**delivery_headers(event, secret="wrong"), "X-Forwarded-For": f"192.0.2.{number}"}
                self.assertEqual(client.request("POST", "/webhook", event.body, headers).status, 401)
        status = json.loads(daemon.admin("/api/status").body)
        item = status["setup"]["items"][0]
        self.assertEqual(item["addresses"], [f"192.0.2.{number}" for number in range(3, 7)])
        self.assertIn("from 192.0.2.3, 192.0.2.4, 192.0.2.5, 192.0.2.6 and others", item["message"])
