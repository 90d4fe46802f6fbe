"""Notices of pools in trouble: what receivers get, good ones and bad ones, and what is never shown."""
import json
import os
import pathlib
import random
import re
import signal
import time

import harness
from collector import Answer
from harness import run_command, wait_until
from payloads import Run
from test_admin import get_json, metrics, value

PATH, TOKEN, TOPIC = "/services/T0SECRET/B0SECRET/xSECRETx", "tk_s3cr3t", "topic-s3cr3t"
FIELDS = {"id", "condition", "event", "pool", "ceiling", "since", "ended_at", "state", "queued", "running",
          "oldest_wait_seconds", "limit", "text"}


def notices_of(receiver, accepted_only=False):
    """All notices in our own form that came, in their order."""
    return [notice for request in list(receiver.requests) if request.status == 200 or not accepted_only
            for notice in json.loads(request.body)["notices"]]


def what(notice):
    return notice["pool"] or notice["ceiling"], notice["condition"], notice["event"]


class NotifyTest(harness.BlackBoxTest):
    def write(self, path, *lines):
        pathlib.Path(path).write_text("# receivers\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
        os.chmod(path, 0o600)

    def new_notifier(self, *lines, start=True, **settings):
        """A daemon that looks at its pools twice a second."""
        path = f"{self.new_folder()}/urls"
        self.write(path, *lines)
        settings = {"notify_url_file": path, "notify_hold": "1s", "log_level": "debug", **settings}
        return self.new_daemon(start=start, **settings)

    def queue(self, daemon, labels=("gpu",), jobs=2, age=1200, running=0):
        """Jobs of a pool that have waited for 20 minutes; without running ones it is dead."""
        run = Run(age=age)
        found = [run.job(f"job {i}", queue=1) for i in range(jobs + running)]
        for job in found:
            job.labels = list(labels)
        for job in found[:running]:  # not queued before: the daemon may look at its pools in between, when the pool is dead
            daemon.accept(job.in_progress())
        daemon.accept(*(job.queued() for job in found[running:]))
        return found[running:]

    def start_jobs(self, daemon, jobs):
        daemon.accept(*(job.in_progress() for job in jobs))

    def wait_for(self, receiver, count, accepted_only=False):
        receiver.wait(lambda c: len(notices_of(c, accepted_only)) >= count, what=f"{count} notices")
        return notices_of(receiver, accepted_only)

    def status(self, daemon):
        return get_json(daemon, "/api/status")["notices"]

    def check_secrets(self, daemon, *secrets):
        """They are neither in the log, nor in the API, nor in the metrics."""
        texts = {"log": daemon.log, "status": daemon.admin("/api/status").text, "metrics": daemon.admin("/metrics").text}
        for name, text in texts.items():
            for secret in secrets or (PATH, "SECRET", TOKEN, TOPIC):
                self.assertNotIn(secret, text, name)


class Sent(NotifyTest):
    def test_a_receiver_gets_the_begin_and_the_end_of_a_trouble(self):
        receiver = self.new_collector()
        daemon = self.new_notifier(f"json {receiver.endpoint}{PATH} {TOKEN}")
        jobs = self.queue(daemon, ["gpu", "A100"], jobs=3)
        began, = self.wait_for(receiver, 1)
        self.assertEqual(began.keys(), FIELDS)
        self.assertEqual(what(began), ("a100,gpu", "dead", "began"))
        self.assertEqual((began["state"], began["queued"], began["running"], began["ended_at"], began["limit"]),
                         ("dead", 3, 0, None, None))
        self.assertAlmostEqual(began["oldest_wait_seconds"], 1200, delta=120)
        self.assertRegex(began["text"], r"^a100,gpu: no job runs or starts since \S+Z\. 3 queued, the oldest for \d+\w \d+\w, 0 running\.$")
        request = receiver.requests[0]
        self.assertEqual((request.path, request.headers["authorization"]), (PATH, f"Bearer {TOKEN}"))
        self.assertEqual(json.loads(request.body)["source"], "ghatrace")
        self.start_jobs(daemon, jobs)
        ended = self.wait_for(receiver, 2)[1]
        self.assertEqual(what(ended), ("a100,gpu", "dead", "ended"))
        self.assertEqual((ended["since"], ended["queued"], ended["running"]), (began["since"], 0, 3))
        self.assertIsNotNone(ended["ended_at"])
        self.assertNotEqual(ended["id"], began["id"])
        self.assertRegex(ended["text"], r"^Over: a100,gpu: no job runs or starts, after \d+\w \d+\w\. 0 queued, 3 running\.$")
        self.assertEqual(len(receiver.requests), 2)
        wait_until(lambda: self.status(daemon)["sent"] == 2, what="the answer")
        found = self.status(daemon)
        self.assertEqual((found["pending"], found["failures"]), (0, 0))
        self.assertEqual([(one["form"], one["host"], one["state"]) for one in found["receivers"]],
                         [("json", receiver.endpoint[7:], "ok")])
        self.assertEqual(value(metrics(daemon), "ghatrace_notices_sent_total"), 2)
        self.check_secrets(daemon)

    def test_a_pool_whose_jobs_wait_long_while_others_run_is_queued_not_dead(self):
        receiver = self.new_collector()
        daemon = self.new_notifier(f"json {receiver.endpoint}")
        jobs = self.queue(daemon, running=2)
        began, = self.wait_for(receiver, 1)
        self.assertEqual((what(began), began["running"]), (("gpu", "queued", "began"), 2))
        self.start_jobs(daemon, jobs)
        self.assertEqual(what(self.wait_for(receiver, 2)[1]), ("gpu", "queued", "ended"))

    def test_a_ceiling_is_one_trouble_and_its_pools_are_none(self):
        receiver = self.new_collector()
        daemon = self.new_notifier(f"json {receiver.endpoint}", runner_ceiling="hosted: 3: ubuntu-* windows-*")
        waiting = self.queue(daemon, ["ubuntu-24.04"], running=2, jobs=3)
        waiting += self.queue(daemon, ["windows-2025"], running=1, jobs=2)
        began, = self.wait_for(receiver, 1)
        self.assertEqual((what(began), began["running"], began["limit"], began["queued"], began["state"]),
                         (("hosted", "ceiling", "began"), 3, 3, 5, None))
        self.assertRegex(began["text"], r"^hosted: at the limit of concurrent jobs since \S+Z\. 5 queued, 3 of 3 running\.$")
        time.sleep(1.5)
        self.assertEqual([what(notice) for notice in notices_of(receiver)], [("hosted", "ceiling", "began")])

    def test_nothing_is_sent_of_short_waits_and_of_conditions_that_are_off(self):
        receiver = self.new_collector()
        daemon = self.new_notifier(f"json {receiver.endpoint}", notify_queued_after="0", notify_dead_after="1h")
        self.queue(daemon, ["long"])
        self.queue(daemon, ["short"], age=30)
        time.sleep(2)
        self.assertEqual(receiver.requests, [])

    def test_a_trouble_that_comes_and_goes_within_the_hold_is_one(self):
        receiver = self.new_collector()
        # The short time has it look at the pools twice a second.
        daemon = self.new_notifier(f"json {receiver.endpoint}", notify_hold="1h", notify_ceiling_after="1s")
        for number in range(3):
            jobs = self.queue(daemon, running=1)
            self.wait_for(receiver, 1)
            wait_until(lambda: self.status(daemon)["cancelled"] == number, what="the end that is cancelled")
            self.start_jobs(daemon, jobs)
            time.sleep(1.2)  # so that it is looked at
        self.queue(daemon)
        wait_until(lambda: self.status(daemon)["cancelled"] == 3, what="the last that is cancelled")
        self.assertEqual([what(notice) for notice in notices_of(receiver)], [("gpu", "queued", "began")])

    def test_many_troubles_at_once_are_one_request(self):
        receiver, slack = self.new_collector(), self.new_collector()
        daemon = self.new_notifier(f"json {receiver.endpoint}", f"slack {slack.endpoint}/x", start=False)
        daemon.settings["notify-dead-after"] = "1h"
        daemon.start()
        for i in range(40):
            self.queue(daemon, [f"pool-{i}"], jobs=1, age=3000)
        daemon.settings["notify-dead-after"] = "15m"
        daemon.restart()
        self.wait_for(receiver, 40)
        slack.wait(lambda c: c.requests)
        self.assertEqual((len(receiver.requests), len(slack.requests)), (1, 1))
        lines = json.loads(slack.requests[0].body)["text"].split("\n")
        self.assertEqual((len(lines), lines[-1]), (16, "and 25 more."))

    def test_silence_is_reported_where_it_is_asked_for(self):
        receiver = self.new_collector()
        daemon = self.new_notifier(f"json {receiver.endpoint}", notify_deliveries_stopped_after="3s")
        daemon.accept(Run(age=0).requested())
        began, = self.wait_for(receiver, 1)
        self.assertEqual(what(began), (None, "deliveries_stopped", "began"))
        self.assertTrue(began["text"].startswith("No deliveries from GitHub since "))
        self.assertEqual((began["queued"], began["state"]), (None, None))


class Forms(NotifyTest):
    HOSTILE = ["<!channel>", "@all", "*a*", "`b`", "</pre>&amp;", "new\r\nX-Injected: 1", "\u202egnp.exe", "[x](http://evil)"]

    def test_slack_gets_text_without_markup_and_mentions(self):
        receiver = self.new_collector()
        daemon = self.new_notifier(f"slack {receiver.endpoint}{PATH}")
        self.queue(daemon, self.HOSTILE)
        receiver.wait(lambda c: c.requests)
        body = json.loads(receiver.requests[0].body)
        self.assertEqual((body["mrkdwn"], body["parse"], body["link_names"], body["unfurl_links"], body["unfurl_media"]),
                         (False, "none", 0, False, False))
        text = body["text"]
        for fragment in ("<", ">", "`", "*", "@", "[", "\r", "\u202e"):
            self.assertNotIn(fragment, text)
        self.assertIn("&lt;!channel&gt;", text)
        self.assertEqual(text.count("\n"), 0)
        self.assertEqual(re.sub("&(amp|lt|gt);", "", text).count("&"), 0)

    def test_ntfy_gets_json_at_its_root_with_nothing_in_header_fields(self):
        receiver = self.new_collector()
        daemon = self.new_notifier(f"ntfy {receiver.endpoint}/{TOPIC} {TOKEN}")
        jobs = self.queue(daemon, self.HOSTILE)
        receiver.wait(lambda c: c.requests)
        request = receiver.requests[0]
        body = json.loads(request.body)
        self.assertEqual((request.path, body["topic"], body["priority"], body["tags"]), ("/", TOPIC, 4, ["warning"]))
        self.assertEqual(request.headers["authorization"], f"Bearer {TOKEN}")
        self.assertTrue(body["title"].endswith(": no job runs or starts"))
        self.assertNotIn("x-injected", request.headers)
        for name in ("title", "message"):
            self.assertNotRegex(body[name], "[\x00-\x1f\u202e]")
        self.start_jobs(daemon, jobs)
        receiver.wait(lambda c: len(c.requests) > 1)
        body = json.loads(receiver.requests[1].body)
        self.assertEqual((body["priority"], body["tags"]), (3, ["white_check_mark"]))
        self.assertTrue(body["title"].startswith("Over: "))
        self.check_secrets(daemon)


class Bad(NotifyTest):
    def check_recovers(self, receiver, daemon, state="trouble"):
        """While it fails its status is trouble; afterwards the notice is there."""
        wait_until(lambda: self.status(daemon)["receivers"][0]["state"] == state, what="the trouble in the status")
        found = self.status(daemon)["receivers"][0]
        self.assertEqual((found["pending"], found["accepted_at"]), (1, None))
        self.assertIsNotNone(found["message"])
        receiver.script = lambda request: Answer()
        receiver.release()
        self.wait_for(receiver, 1, accepted_only=True)
        wait_until(lambda: self.status(daemon)["receivers"][0]["state"] == "ok", what="the end of the trouble")
        wait_until(lambda: "notices are accepted again" in daemon.log, what="the line")
        self.check_secrets(daemon)
        return found

    def test_what_may_pass_is_tried_again(self):
        for name, answer in (("500", Answer(500, body=PATH.encode())), ("429", Answer(429, {"Retry-After": "1"})),
                             ("reset", Answer(reset=True)), ("cut", Answer(cut=True))):
            with self.subTest(name):
                receiver = self.new_collector()
                receiver.script = lambda request, answer=answer: answer
                daemon = self.new_notifier(f"json {receiver.endpoint}{PATH} {TOKEN}")
                self.queue(daemon)
                found = self.check_recovers(receiver, daemon)
                self.assertEqual(found["http_status"], answer.status if answer.status != 200 else None)
                daemon.stop()

    def test_one_that_refuses_connections_gets_it_later(self):
        receiver = self.new_collector()
        receiver.stop()
        daemon = self.new_notifier(f"json {receiver.endpoint}{PATH} {TOKEN}")
        self.queue(daemon)
        wait_until(lambda: "notices are not accepted" in daemon.log, what="the warning")
        receiver.start()
        self.wait_for(receiver, 1, accepted_only=True)
        self.check_secrets(daemon)

    def test_errors_of_the_network_show_nothing_of_the_url(self):
        plain = self.new_collector()
        for form, server in (("slack", f"https://127.0.0.1:{plain.port}"), ("slack", "http://receiver.invalid"),
                             ("slack", "http://user:pa55@127.0.0.1:1"), ("ntfy", f"https://user:pa55@127.0.0.1:{plain.port}")):
            with self.subTest(server):
                daemon = self.new_notifier(f"{form} {server}{PATH if form == 'slack' else '/' + TOPIC}")
                self.queue(daemon)
                wait_until(lambda: "notices are not accepted" in daemon.log, what="the warning")
                self.assertRegex(daemon.log, r'error="no answer: [^"]+"')
                self.check_secrets(daemon, PATH, "xSECRETx", TOPIC, "pa55", "user:")
                daemon.stop()
        self.assertEqual(plain.requests, [])

    def test_a_redirect_is_not_followed_and_the_notice_is_dropped_after_five_tries(self):
        receiver, other = self.new_collector(), self.new_collector()
        receiver.script = lambda request: Answer(302, {"Location": f"{other.endpoint}/elsewhere", "Retry-After": "1"})
        daemon = self.new_notifier(f"json {receiver.endpoint}{PATH}")
        jobs = self.queue(daemon)
        wait_until(lambda: self.status(daemon)["dropped"]["refused"] == 1, what="the drop")
        self.assertEqual(len(receiver.requests), 5)
        wait_until(lambda: "answered 302: redirects are not followed" in daemon.log, what="the warning")
        self.start_jobs(daemon, jobs)  # its end is not sent
        time.sleep(2.5)
        self.assertEqual((len(receiver.requests), other.requests, self.status(daemon)["pending"]), (5, [], 0))
        self.check_secrets(daemon)

    def test_a_dead_receiver_holds_up_neither_the_others_nor_deliveries_nor_the_stop(self):
        for name, answer in (("hang", Answer(hang=True)), ("slow", Answer(piece_delay=1))):
            with self.subTest(name):
                dead, good = self.new_collector(), self.new_collector()
                dead.script = lambda request, answer=answer: answer
                daemon = self.new_notifier(f"slack {dead.endpoint}{PATH}", f"json {good.endpoint}{PATH}")
                jobs = self.queue(daemon)
                self.wait_for(good, 1)
                begun = time.monotonic()
                self.start_jobs(daemon, jobs)
                self.assertEqual(daemon.admin("/ready").status, 200)
                self.assertLess(time.monotonic() - begun, 5)
                self.wait_for(good, 2)
                begun = time.monotonic()
                daemon.stop()
                self.assertLess(time.monotonic() - begun, 5)
                dead.release()

    def test_a_begin_that_was_not_sent_when_it_is_over_is_not_sent(self):
        receiver = self.new_collector()
        receiver.stop()
        daemon = self.new_notifier(f"json {receiver.endpoint}")
        jobs = self.queue(daemon)
        wait_until(lambda: self.status(daemon)["pending"] == 1, what="the notice")
        self.start_jobs(daemon, jobs)
        wait_until(lambda: self.status(daemon)["cancelled"] == 1, what="the begin that is cancelled")
        receiver.start()
        time.sleep(3)
        self.assertEqual((receiver.requests, self.status(daemon)["pending"]), ([], 0))


class Kept(NotifyTest):
    def test_a_crash_or_a_restart_between_begin_and_end_changes_nothing(self):
        for how in ("kill", "stop"):
            with self.subTest(how):
                receiver = self.new_collector()
                daemon = self.new_notifier(f"json {receiver.endpoint}{PATH}")
                jobs = self.queue(daemon)
                self.wait_for(receiver, 1)
                time.sleep(0.5)  # it is stored
                stored = (pathlib.Path(daemon.settings["db"]) / "data.mdb").read_bytes()
                self.assertNotIn(b"xSECRETx", stored)
                daemon.restart(how)
                time.sleep(2)
                self.assertEqual(len(receiver.requests), 1)
                self.start_jobs(daemon, jobs)
                self.assertEqual([what(notice)[2] for notice in self.wait_for(receiver, 2)], ["began", "ended"])
                daemon.stop()

    def test_what_is_pending_is_sent_after_a_crash(self):
        receiver = self.new_collector()
        receiver.stop()
        daemon = self.new_notifier(f"json {receiver.endpoint}{PATH}")
        jobs = self.queue(daemon)
        wait_until(lambda: self.status(daemon)["failures"] >= 1, what="a try")
        daemon.kill()
        receiver.start()
        daemon.start()
        self.wait_for(receiver, 1)
        self.start_jobs(daemon, jobs)
        self.wait_for(receiver, 2)
        self.assertEqual([what(notice)[2] for notice in notices_of(receiver)], ["began", "ended"])

    def test_begins_and_ends_alternate_however_often_it_is_killed(self):
        receiver = self.new_collector()
        receiver.script = lambda request: Answer(500) if random.random() < 0.3 else Answer()
        daemon = self.new_notifier(f"json {receiver.endpoint}{PATH}")
        for _ in range(8):
            jobs = self.queue(daemon)
            time.sleep(random.uniform(0, 1.5))
            daemon.restart("kill")
            self.start_jobs(daemon, jobs)
            time.sleep(random.uniform(0, 3))
            daemon.restart("kill")
        receiver.script = lambda request: Answer()
        jobs = self.queue(daemon)
        self.wait_for(receiver, 1, accepted_only=True)
        self.start_jobs(daemon, jobs)
        wait_until(lambda: all(events[-1] == "ended" for events in self.events(receiver).values()), what="the ends")
        for condition, events in self.events(receiver).items():
            self.assertEqual(events, ["began", "ended"] * (len(events) // 2), condition)

    def events(self, receiver):
        """What was accepted of each condition, without repeats: a crash after the answer repeats a notice."""
        seen, found = set(), {}
        for notice in notices_of(receiver, accepted_only=True):
            if notice["id"] not in seen:
                found.setdefault(notice["condition"], []).append(notice["event"])
            seen.add(notice["id"])
        return found

    def test_the_file_is_read_again_on_sighup(self):
        first, second = self.new_collector(), self.new_collector()
        daemon = self.new_notifier(f"json {first.endpoint}{PATH}")
        path = daemon.settings["notify-url-file"]
        jobs = self.queue(daemon)
        self.wait_for(first, 1)
        self.write(path, f"json {second.endpoint}{PATH} {TOKEN}")
        daemon.process.send_signal(signal.SIGHUP)
        self.assertEqual(what(self.wait_for(second, 1)[0]), ("gpu", "dead", "began"))  # which it has not got yet
        self.assertEqual([one["host"] for one in self.status(daemon)["receivers"]], [second.endpoint[7:]])
        self.write(path, "json not-a-url-s3cr3t")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "files not read again" in daemon.log, what="the refusal")
        self.assertIn("line 3: has no usable URL", daemon.log)
        self.start_jobs(daemon, jobs)
        self.wait_for(second, 2)
        self.assertEqual(len(first.requests), 1)
        self.check_secrets(daemon, "s3cr3t", "SECRET")

    def test_a_receiver_that_is_no_longer_named_gets_nothing(self):
        gone, other = self.new_collector(), self.new_collector()
        gone.stop()
        daemon = self.new_notifier(f"json {gone.endpoint}{PATH}", f"json {other.endpoint}{PATH}")
        self.queue(daemon)
        self.wait_for(other, 1)
        wait_until(lambda: self.status(daemon)["sent"] == 1, what="the answer")  # one without an answer is sent again
        self.write(daemon.settings["notify-url-file"], f"json {other.endpoint}{PATH}")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.status(daemon)["dropped"]["receiver"] == 1, what="the drop")
        self.assertEqual((self.status(daemon)["pending"], len(other.requests)), (0, 1))


class File(NotifyTest):
    def check(self, *lines):
        path = f"{self.new_folder()}/urls"
        self.write(path, *lines)
        return run_command("check", "--insecure-no-signature", "--notify-url-file", path, "--db", self.new_folder())

    def test_check_shows_receivers_by_form_and_host(self):
        shown = self.check(f"slack https://hooks.slack.com{PATH}", f"ntfy https://user:pa55@ntfy.sh/{TOPIC}",
                           f"json http://[::1]:8080/x {TOKEN}")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertEqual(re.findall("^notices: .*$", shown.stdout, re.M),
                         ["notices: slack to hooks.slack.com", "notices: ntfy to ntfy.sh", "notices: json to [::1]:8080"])
        for secret in (PATH, "xSECRETx", TOPIC, TOKEN, "pa55", "user:"):
            self.assertNotIn(secret, shown.stdout + shown.stderr)

    def test_a_file_that_cannot_be_used_is_refused_without_a_word_of_it(self):
        for line, words in (("https://hooks.slack.com/s3cr3t", "line 3: does not begin with json, slack or ntfy"),
                            ("slack", "line 3: has no URL"), ("json ftp://s3cr3t/", "line 3: has no usable URL"),
                            ("json s3cr3t.example:80", "line 3: has no usable URL"), ("ntfy https://s3cr3t/", "line 3: the URL does not end"),
                            ("json https://a/ s3cr3t more", "line 3: has more than"),
                            ("json https://u:s3cr3t@a/ token", "line 3: a token and a password"),
                            ("json https://a/ s3cr3t\u00e9", "line 3: the token has a character"),
                            ("json https://a/s3cr3t\njson https://a/s3cr3t", "line 4: names a receiver"),
                            ("# s3cr3t", "holds no receiver"),
                            ("\n".join(f"json https://a/{i}" for i in range(9)), "line 11: more than 8 receivers")):
            with self.subTest(line):
                shown = self.check(line)
                self.assertEqual(shown.returncode, 2, shown.stdout)
                self.assertIn(words, shown.stderr)
                self.assertNotIn("s3cr3t", shown.stdout + shown.stderr)
        self.assertEqual(run_command("check", "--insecure-no-signature", "--notify-url-file", "/nonexistent").returncode, 2)

    def test_a_proxy_of_the_environment_is_used(self):
        proxy = self.new_collector()
        daemon = self.new_notifier(f"json http://receiver.invalid{PATH}", env={"http_proxy": f"http://me:pa55@127.0.0.1:{proxy.port}"})
        self.queue(daemon)
        proxy.wait(lambda c: c.requests)
        self.assertEqual(proxy.requests[0].path, f"http://receiver.invalid{PATH}")
        self.check_secrets(daemon, "pa55", "SECRET")
