"""The operator's side: who may see it, metrics, the API, the live stream; and that all of it survives kill -9."""
import base64
import datetime
import gzip
import http.client
import json
import re
import shutil
import socket
import subprocess
import unittest

import expect
import harness
from harness import wait_until
from payloads import Event, Repository, Run, disguised_check_run, ping
from tls import certificate, tls_settings

TOKEN = "correct-horse-battery-staple"
SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*?)\})? (\S+)(?: # \{.*\} \S+ \S+)?$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
# Gauges that depend on the time or the process, not on what is stored.
MOVING = re.compile(r"age_seconds|(oldest|open)_wait_seconds|^process_|^ghatrace_(store|last_delivery|deliveries|commit|connections|requests|events|export|outbox)")


def get(daemon, path, headers=None):
    with harness.Client(daemon.admin_address) as client:
        return client.request("GET", path, headers={"Host": "localhost", **(headers or {})})


def get_json(daemon, path):
    answer = get(daemon, path)
    assert answer.status == 200, answer
    return json.loads(answer.body)


def read_metrics(text):
    """{(name, frozenset of labels): value}"""
    found = {}
    for line in text.splitlines():
        if line.startswith("#") or not line:
            continue
        match = SAMPLE.match(line)
        assert match, line
        labels = frozenset((key, value.replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\"))
                           for key, value in LABEL.findall(match.group(2) or ""))
        key = (match.group(1), labels)
        assert key not in found, f"twice: {line}"
        found[key] = float(match.group(3))
    return found


def metrics(daemon):
    answer = get(daemon, "/metrics")
    assert answer.status == 200, answer
    return read_metrics(answer.text)


def unix(text):
    """Seconds since 1970, whole if they are, of a time of the API; None: it has none."""
    if text is None:
        return None
    seconds = datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    return int(seconds) if seconds.is_integer() else seconds


def value(found, name, **labels):
    matches = [number for (key, have), number in found.items() if key == name and set(labels.items()) <= have]
    assert len(matches) == 1, (name, labels, matches)
    return matches[0]


def some_of_everything(daemon):
    """A finished run, one that waits, queues and runs; returns them."""
    finished = Run(age=400)
    finished.job("build", queue=8, duration=50)
    finished.job("deploy", queue=4, duration=20, environment="production", waited=60)
    finished.updated = max(job.completed_at for job in finished.jobs) + 1
    daemon.accept(*finished.timeline())
    opened = Run(age=300, repository=Repository("acme/telemetry"), workflow="Nightly")
    queued, running, waiting = opened.job("queued"), opened.job("running"), opened.job("waiting", environment="production", waited=900)
    queued.labels = ["self-hosted", "linux", "gpu"]
    daemon.accept(opened.requested(), queued.queued(), running.queued(), running.in_progress(), waiting.queued(), waiting.waiting())
    return finished, opened


class Access(harness.BlackBoxTest):
    def statuses(self, daemon, headers, paths=("/", "/v/0/page.js", "/metrics", "/api/queue", "/api/live?x")):
        found = set()
        for path in paths:
            if path.startswith("/api/live"):
                found.add(self.stream_status(daemon, headers))
            else:
                status = get(daemon, path, headers).status
                found.add(200 if status == 404 and path.startswith("/v/") else status)  # no such version
        return found

    def stream_status(self, daemon, headers):
        fields = "".join(f"{name}: {text}\r\n" for name, text in {"Host": "localhost", **headers}.items())
        with socket.create_connection(daemon.admin_address, timeout=harness.PATIENCE) as connection:
            connection.sendall(f"GET /api/live HTTP/1.1\r\n{fields}\r\n".encode())
            return int(connection.recv(12)[9:12])

    def test_on_loopback_only_requests_that_name_it_are_answered(self):
        daemon = self.new_daemon()
        self.assertEqual(self.statuses(daemon, {}), {200})
        self.assertEqual(self.statuses(daemon, {"Host": "evil.example"}), {403})
        self.assertEqual(get(daemon, "/health", {"Host": "evil.example"}).status, 200)

    def test_beyond_loopback_only_health_is_served_without_a_token_or_a_certificate(self):
        daemon = self.new_daemon(admin_listen="0.0.0.0:0")
        daemon.admin_address = ("127.0.0.1", daemon.admin_address[1])
        self.assertEqual(self.statuses(daemon, {}), {403})
        self.assertEqual(get(daemon, "/ready").status, 200)
        self.assertIn("beyond loopback only /health and /ready", daemon.log)

    def test_a_token_gives_access_and_can_be_replaced(self):
        daemon = self.new_daemon(admin_listen="0.0.0.0:0", start=False)
        tokens = daemon.folder / "tokens"
        tokens.write_text(TOKEN + "\n")
        tokens.chmod(0o600)
        daemon.settings["admin-token-file"] = str(tokens)
        daemon.start()
        daemon.admin_address = ("127.0.0.1", daemon.admin_address[1])
        basic = "Basic " + base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
        self.assertEqual(self.statuses(daemon, {}), {401})
        self.assertEqual(self.statuses(daemon, {"Authorization": "Bearer wrong"}), {401})
        self.assertEqual(self.statuses(daemon, {"Authorization": f"Bearer {TOKEN}"}), {200})
        self.assertEqual(self.statuses(daemon, {"Authorization": basic, "Host": "any.example"}), {200})
        tokens.write_text("another-token-of-many-letters\n")
        daemon.process.send_signal(1)
        wait_until(lambda: "files read again" in daemon.log, what="the new token")
        self.assertEqual(self.statuses(daemon, {"Authorization": f"Bearer {TOKEN}"}), {401})
        self.assertEqual(self.statuses(daemon, {"Authorization": "Bearer another-token-of-many-letters"}), {200})
        self.assertNotIn(TOKEN, daemon.log)

    def test_a_short_token_is_refused_at_the_start(self):
        daemon = self.new_daemon(start=False)
        tokens = daemon.folder / "tokens"
        tokens.write_text("short\n")
        result = harness.run_command("serve", "--insecure-no-signature", f"--db={daemon.folder}/db", "--listen=127.0.0.1:0",
                                     "--admin-listen=127.0.0.1:0", f"--admin-token-file={tokens}")
        self.assertEqual(result.returncode, 2)
        self.assertIn("a token has fewer than 16 characters", result.stderr)
        self.assertNotIn("short\n", result.stderr)

    @staticmethod
    def status_by_curl(daemon, path, *options):
        """"000": no answer."""
        done = subprocess.run(["curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", *options,
                               f"https://127.0.0.1:{daemon.admin_address[1]}{path}"], capture_output=True, text=True, check=False)
        return done.stdout

    def test_with_an_authority_only_clients_with_its_certificate_have_access(self):
        daemon = self.new_daemon(**tls_settings(admin_listen="0.0.0.0:0", admin_client_ca=certificate("ca.pem")))
        self.assertEqual(self.status_by_curl(daemon, "/api/status"), "000")
        shown = "--cert", certificate("client.pem"), "--key", certificate("client.key")
        self.assertEqual(self.status_by_curl(daemon, "/api/status", *shown), "200")

    def test_a_certificate_of_another_authority_gives_no_access(self):
        daemon = self.new_daemon(**tls_settings(admin_listen="0.0.0.0:0", admin_client_ca=certificate("other-ca.pem")))
        for name, expected in (("client", "000"), ("foreign", "200")):  # "foreign" is signed by other-ca
            shown = "--cert", certificate(f"{name}.pem"), "--key", certificate(f"{name}.key")
            self.assertEqual(self.status_by_curl(daemon, "/api/status", *shown), expected)

    def test_by_https_the_rules_are_the_same(self):
        daemon = self.new_daemon(**tls_settings(admin_tls="on"))
        self.assertEqual(self.status_by_curl(daemon, "/metrics"), "200")
        self.assertEqual(self.status_by_curl(daemon, "/metrics", "-H", "Host: evil.example"), "403")
        with self.assertRaises((OSError, http.client.HTTPException)):
            get(daemon, "/metrics")

    def test_the_webhook_listener_does_not_serve_the_admin_paths(self):
        daemon = self.new_daemon()
        with daemon.client() as client:
            for path in ("/", "/metrics", "/v/0/page.js", "/api/queue", "/api/runs", "/api/status", "/api/live"):
                self.assertEqual(client.request("GET", path, headers={"Host": "localhost"}).status, 404)


class Figures(harness.BlackBoxTest):
    def test_gauges_and_histograms_are_those_of_before_after_kill_9(self):
        daemon = self.new_daemon()
        some_of_everything(daemon)
        before = metrics(daemon)
        daemon.restart("kill")
        after = metrics(daemon)
        kept = {key: number for key, number in before.items() if not MOVING.search(key[0])}
        self.assertGreater(len(kept), 100)
        self.assertEqual({key: number for key, number in after.items() if not MOVING.search(key[0])}, kept)

    def test_open_jobs_and_latencies_are_what_was_delivered(self):
        daemon = self.new_daemon(metrics_labels=harness.LABELS_BEFORE)
        finished, _ = some_of_everything(daemon)
        found = metrics(daemon)
        self.assertEqual(value(found, "ghatrace_jobs", state="queued", runner_labels="gpu,linux,self-hosted"), 1)
        self.assertEqual(value(found, "ghatrace_jobs", state="running", runner_labels="ubuntu-latest,x64", runner_group="GitHub Actions"), 1)
        self.assertEqual(value(found, "ghatrace_jobs", state="waiting", runner_labels="ubuntu-latest,x64", runner_group="GitHub Actions"), 1)
        self.assertGreater(value(found, "ghatrace_jobs_oldest_age_seconds", state="queued", runner_labels="gpu,linux,self-hosted"), 100)
        self.assertEqual(value(found, "ghatrace_runs_open"), 1)
        labels = {"repository": finished.repository.full_name, "workflow": finished.workflow, "result": "success"}
        self.assertEqual(value(found, "ghatrace_job_queue_seconds_count", **labels), 2)
        self.assertEqual(value(found, "ghatrace_job_queue_seconds_sum", **labels), 8 + 4)
        self.assertEqual(value(found, "ghatrace_job_waiting_seconds_sum", **labels), 60)
        self.assertEqual(value(found, "ghatrace_job_queue_seconds_bucket", le="5.0", **labels), 1)
        self.assertEqual(value(found, "ghatrace_job_queue_seconds_bucket", le="+Inf", **labels), 2)
        self.assertEqual(value(found, "ghatrace_run_duration_seconds_count", **labels), 1)
        self.assertEqual(value(found, "ghatrace_deliveries_total", event="workflow_job", outcome="accepted"), 13)

    def test_figures_page_and_trace_agree_on_refused_jobs_and_lost_runners(self):
        daemon = self.new_daemon(metrics_labels=harness.LABELS_BEFORE)
        run = Run(age=1000, conclusion="failure")
        run.job("refused").refused(after=4)
        run.job("hung", queue=5, duration=600).lost("Set up job")
        run.job("lost", queue=9, duration=90).lost("database", "unit")
        run.job("parallel", queue=9, duration=90).overlapping()
        run.updated = run.jobs[1].completed_at + 1
        daemon.accept(*run.timeline())
        found = metrics(daemon)
        labels = {"repository": run.repository.full_name, "workflow": run.workflow}

        def sums(result, group="GitHub Actions"):
            one = dict(labels, result=result, runner_group=group)
            return [sum(number for (name, have), number in found.items()
                        if name == f"ghatrace_job_{phase}_seconds_sum" and set(one.items()) <= have)
                    for phase in ("queue", "startup", "execution")]
        self.assertEqual(sums("error", ""), [4, 0, 0])
        self.assertEqual(sums("error"), [5 + 9, 600 + 4, 90 - 4])
        self.assertEqual(sums("failure"), [9, 3, 87])

        jobs = {job["name"]: job for job in get_json(daemon, f"/api/runs/{run.run_id}/1")["jobs"]}
        shown = {name: (job["result"], job["error_type"], job["failed_step"], [phase["name"] for phase in job["phases"]])
                for name, job in jobs.items()}
        ran = ["queue", "startup", "execution"]
        self.assertEqual(shown, {"refused": ("error", "not_started", None, ["queue"]),
                                "hung": ("error", "runner_lost", None, ran),
                                "lost": ("error", "runner_lost", None, ran),
                                "parallel": ("failure", "failure", "unit", ran)})
        self.assertIsNone(jobs["refused"]["started_at"])
        shown = {line.split()[1]: line for line in daemon.command("trace", run.run_id).stdout.splitlines()
                 if line.split()[1:2] and line.split()[1] in jobs}
        self.assertRegex(shown["refused"], r"not started .* 4s +4s$")
        self.assertRegex(shown["lost"], r"runner lost .* 9s ")
        self.assertRegex(shown["parallel"], r"failed in unit .* 9s ")
        self.assertRegex(shown["hung"], r" 5s +10m 5s$")
        self.assertIn("first failure: refused: not started", daemon.command("trace", run.run_id).stdout)

    def test_a_repeated_or_late_delivery_counts_once(self):
        daemon = self.new_daemon()
        run = Run()
        job = run.job()
        last = job.completed()
        daemon.accept(job.queued(), last)
        self.assertEqual(daemon.deliver(last).outcome[1], "duplicate")
        self.assertEqual(daemon.deliver(job.in_progress()).outcome[1], "accepted")  # late
        found = metrics(daemon)
        self.assertEqual(value(found, "ghatrace_job_execution_seconds_count"), 1)
        self.assertEqual(value(found, "ghatrace_events_late_total"), 1)
        self.assertEqual(value(found, "ghatrace_deliveries_total", event="workflow_job", outcome="duplicate"), 1)
        self.assertEqual(sum(number for (name, _), number in found.items() if name == "ghatrace_jobs"), 0)

    def test_beyond_the_bound_what_was_unused_for_longest_goes_to_other(self):
        daemon = self.new_daemon(metrics_max_series="5",
                                 metrics_labels="job: repository runner_labels result; run: off; step: off")

        def deliver(name):
            run = Run(repository=Repository(f"acme/{name}"))
            run.job()
            daemon.accept(*run.timeline())

        def counts():
            found, sums = metrics(daemon), {}
            for (name, labels), number in found.items():
                if name == "ghatrace_job_queue_seconds_count":
                    sums[dict(labels)["repository"]] = sums.get(dict(labels)["repository"], 0) + number
            self.assertEqual(value(found, "ghatrace_series_overflow_total", kind="job"), sums.get("other", 0))
            return sums
        for number in range(12):
            deliver(f"early-{number}")
        deliver("later")
        found = counts()
        self.assertEqual(found["acme/later"], 1, "a set of its own")
        early = sum(number for name, number in found.items() if name.startswith("acme/early-"))
        self.assertEqual(found["other"] + early, 12)
        self.assertLessEqual(early, 5)
        status = json.loads(get(daemon, "/api/status").body)["series_overflow"]
        self.assertGreater(status["sets"], 7)
        self.assertNotEqual(status["example"], "")
        wait_until(lambda: "since_start=" in daemon.log, what="the line in the log")
        self.assertRegex(daemon.log, r'metrics-max-series.* kind=job example="acme/early-\d+.*since_start=\d+')
        self.assertEqual(daemon.log.count("metrics-max-series; "), 1, "limited")
        daemon.restart("kill")
        self.assertEqual(counts(), found)

    def test_more_series_than_metrics_can_carry_are_refused(self):
        done = harness.run_command("check", "--insecure-no-signature", "--metrics-max-series=5001")
        self.assertEqual(done.returncode, 2)
        self.assertIn("the most is 5000, beyond which /metrics would take", done.stderr)

    def test_strange_labels_are_escaped(self):
        daemon = self.new_daemon(metrics_labels=harness.LABELS_BEFORE)
        run = Run(workflow='CI "quoted" \\ back\nslash \U0001F680')
        run.job()
        daemon.accept(*run.timeline())
        self.assertEqual(value(metrics(daemon), "ghatrace_job_queue_seconds_count", workflow=run.workflow), 1)

    @unittest.skipUnless(shutil.which("promtool"), "promtool is not here")
    def test_promtool_reports_no_problem(self):
        daemon = self.new_daemon(metrics_labels=harness.LABELS_BEFORE)
        some_of_everything(daemon)
        result = subprocess.run(["promtool", "check", "metrics"], input=get(daemon, "/metrics").body, capture_output=True, check=False)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, b"", b""))

    def test_openmetrics_is_sent_on_request_and_has_exemplars(self):
        daemon = self.new_daemon()
        finished, _ = some_of_everything(daemon)
        accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        answer = get(daemon, "/metrics", {"Accept": accept})
        self.assertTrue(answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0"))
        self.assertTrue(answer.text.endswith("# EOF\n"))
        self.assertIn(f'# {{trace_id="{expect.Ids(finished.run_id).trace}"}}', answer.text)
        plain = get(daemon, "/metrics", {"Accept": "text/plain"})
        self.assertTrue(plain.headers["Content-Type"].startswith("text/plain; version=0.0.4"))
        self.assertNotIn("trace_id", plain.text)
        self.assertIn("# TYPE ghatrace_deliveries_total counter", plain.text)
        self.assertIn("# TYPE ghatrace_deliveries counter", answer.text)


class Api(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair(trace_url="https://traces.example/{trace_id}")
        cls.finished, cls.opened = some_of_everything(cls.daemon)

    def test_the_queue_has_the_oldest_jobs_first_and_can_be_narrowed(self):
        queue = get_json(self.daemon, "/api/queue")
        self.assertEqual(queue["totals"], {"waiting": 1, "queued": 1, "running": 1, "open_runs": 1})
        self.assertEqual([job["state"] for job in queue["jobs"]], ["queued", "waiting", "running"])
        self.assertEqual(queue["jobs"][0]["runner_labels"], ["self-hosted", "linux", "gpu"])
        self.assertFalse(queue["more"])
        narrow = get_json(self.daemon, "/api/queue?runner_labels=linux,gpu,self-hosted")
        self.assertEqual([job["name"] for job in narrow["jobs"]], ["queued"])
        self.assertEqual([job["name"] for job in get_json(self.daemon, "/api/queue?state=running")["jobs"]], ["running"])
        self.assertTrue(get_json(self.daemon, "/api/queue?limit=1")["more"])
        self.assertEqual(get(self.daemon, "/api/queue?limit=many").status, 400)

    def test_runs_are_listed_filtered_and_paged(self):
        runs = get_json(self.daemon, "/api/runs")["runs"]
        self.assertEqual([run["run_id"] for run in runs], [str(self.finished.run_id)])
        self.assertEqual(runs[0]["trace_url"], f"https://traces.example/{runs[0]['trace_id']}")
        self.assertEqual(runs[0]["url"], self.finished.url)
        self.assertEqual(get_json(self.daemon, "/api/runs?repository=ROCKET&result=Success&branch=mai")["runs"], runs)
        for nothing in ("result=failure", "repository=telemetry", "q=no+such+thing", "workflow=nightly"):
            self.assertEqual(get_json(self.daemon, f"/api/runs?{nothing}")["runs"], [])
        page = get_json(self.daemon, "/api/runs?limit=1")
        self.assertEqual(get_json(self.daemon, f"/api/runs?cursor={page['next']}")["runs"], [])
        self.assertEqual(get(self.daemon, "/api/runs?cursor=x").status, 400)
        self.assertEqual(get(self.daemon, "/api/runs?state=x").status, 400)

    def test_open_runs_come_with_their_jobs(self):
        run, = get_json(self.daemon, "/api/runs?state=open")["runs"]
        self.assertEqual((run["run_id"], run["state"], run["job_count"]), (str(self.opened.run_id), "open", 3))
        phases = {job["name"]: [(phase["name"], phase["end"] is None) for phase in job["phases"]] for job in run["jobs"]}
        self.assertEqual(phases["queued"], [("queue", True)])
        self.assertEqual(phases["waiting"], [("waiting", True)])
        self.assertEqual(phases["running"], [("queue", False), ("startup", False), ("execution", True)])
        run, = get_json(self.daemon, "/api/runs?state=open&jobs=2")["runs"]
        self.assertEqual((run["job_count"], len(run["jobs"])), (3, 2))
        self.assertEqual(get(self.daemon, "/api/runs?state=open&jobs=0").status, 400)
        self.assertEqual(len(get_json(self.daemon, "/api/queue?pools=1")["pools"]), 1)
        self.assertEqual(get(self.daemon, "/api/queue?pools=none").status, 400)

    def test_one_run_is_shown_as_its_spans_are(self):
        path = f"/api/runs/{self.finished.run_id}/1"
        detail = get_json(self.daemon, path)
        jobs = {job["name"]: job for job in detail["jobs"]}
        self.assertEqual(detail["attempts"], [1])
        self.assertEqual([phase["name"] for phase in jobs["deploy"]["phases"]], ["waiting", "queue", "startup", "execution"])
        self.assertEqual([phase["name"] for phase in jobs["build"]["phases"]], ["queue", "startup", "execution"])
        self.assertEqual([step["name"] for step in jobs["build"]["steps"]], [step.name for step in self.finished.jobs[0].steps])
        self.assertEqual(jobs["deploy"]["environment"], "production")
        self.assertIn(jobs["deploy"]["job_id"], detail["critical_path"])
        otlp = get_json(self.daemon, path + "?format=otlp")
        names = [span["name"] for resource in otlp["resourceSpans"] for scope in resource["scopeSpans"] for span in scope["spans"]]
        self.assertIn(f"RUN {self.finished.workflow}", names)
        self.assertEqual(names.count("runner.queue"), 2)
        for unknown in ("/api/runs/1/1", "/api/runs/x/1", f"/api/runs/{self.finished.run_id}/2", "/api/runs/", "/api/runs/1"):
            self.assertEqual(get(self.daemon, unknown).status, 404)

    def test_of_a_run_the_failed_steps_or_one_job_can_be_asked_for(self):
        daemon = self.new_daemon()
        run = Run(age=300, conclusion="failure")
        plain, failed = run.job("build"), run.job("test", conclusion="failure")
        daemon.accept(*run.timeline())
        path = f"/api/runs/{run.run_id}/1"
        whole, part = get_json(daemon, path), get_json(daemon, path + "?steps=failed")
        self.assertEqual([[step["conclusion"] for step in job["steps"]] for job in part["jobs"]], [[], ["failure"]])
        self.assertEqual([job["step_count"] for job in part["jobs"]], [5, 5])
        for job in part["jobs"] + whole["jobs"]:
            del job["steps"]
        self.assertEqual(part["jobs"], whole["jobs"])
        one = get_json(daemon, f"{path}?job={failed.job_id}")
        self.assertEqual([(job["name"], len(job["steps"])) for job in one["jobs"]], [("test", 5)])
        self.assertEqual(one["run"], whole["run"])
        self.assertEqual(get(daemon, f"{path}?job={plain.job_id + 10 ** 6}").status, 404)
        for wrong in ("?job=x", "?job=-1", "?steps=none"):
            self.assertEqual(get(daemon, path + wrong).status, 400)

    def test_a_run_without_an_attempt_is_its_newest_and_for_a_missing_attempt_the_stored_ones_are_named(self):
        daemon = self.new_daemon()
        first = Run(age=600)
        first.job("build")
        again = Run(run_id=first.run_id, attempt=2, repository=first.repository)
        job = again.job("build again")
        daemon.accept(*first.timeline())
        path = f"/api/runs/{first.run_id}"
        self.assertEqual(get_json(daemon, path)["run"]["run_attempt"], 1)
        daemon.accept(again.requested(), job.queued(), job.in_progress())
        self.assertEqual(get_json(daemon, path)["run"], get_json(daemon, path + "/2")["run"])
        self.assertEqual(get_json(daemon, path)["attempts"], [1, 2])
        message = f"run {first.run_id} attempt 7: no such attempt is in the store; there are attempts 1, 2"
        self.assertIn(message, get(daemon, path + "/7").body.decode())
        shown = daemon.command("trace", f"{first.run_id}/7")
        self.assertEqual((shown.returncode, shown.stderr), (1, f"ghatrace: {message}\n"))

    def test_latency_has_the_time_in_the_queue(self):
        pools = get_json(self.daemon, "/api/latency")["pools"]
        # Two jobs have completed, and one runs.
        self.assertEqual([(pool["runner_labels"], pool["count"], pool["p50"], pool["max"]) for pool in pools], [(["ubuntu-latest", "x64"], 3, 8, 8)])
        self.assertEqual(len(pools[0]["slots"]), 12)
        self.assertEqual(sum(slot["count"] for slot in pools[0]["slots"]), 3)
        self.assertEqual(len(get_json(self.daemon, "/api/latency?window=24h")["pools"][0]["slots"]), 24)
        self.assertEqual(get_json(self.daemon, "/api/latency?window=35d")["pools"][0]["count"], 3)
        for wrong in ("window=36d", "window=0s", "window=x", "window=1h&from=1", "from=x", "order=x", "limit=x"):
            self.assertEqual(get(self.daemon, f"/api/latency?{wrong}").status, 400, wrong)

    def test_status_reports_health_and_losses(self):
        status = get_json(self.daemon, "/api/status")
        self.assertTrue(status["ready"])
        self.assertEqual(status["deliveries"]["accepted"], 17)
        self.assertEqual(status["dead_letters"], 0)
        self.assertIsNotNone(status["last_delivery_at"])

    def test_deliveries_are_counted_by_event_whatever_their_outcome(self):
        daemon = self.new_daemon(repos="acme/*")
        run, foreign = Run(), Run(repository=Repository("other/rocket"))
        unknown = run.job().queued().edited(lambda document: document.update(action="started"))
        null = run.job().queued().edited(lambda document: document.update(workflow_job=None))
        rerequested = run.requested().edited(lambda document: document.update(action="rerequested"))
        accepted = run.job().queued()
        for event, outcome in ((accepted, "accepted"), (accepted, "duplicate"), (run.requested(), "accepted"), (ping(), "pong"),
                               (foreign.job().queued(), "ignored"), (foreign.requested(), "ignored"), (unknown, "ignored"),
                               (null, "ignored"), (disguised_check_run(run), "ignored"), (rerequested, "ignored"),
                               (Event("push", b"{}", ping().guid), "ignored")):
            self.assertEqual(daemon.deliver(event).outcome[1], outcome, event.action)
        wanted = {"workflow_job": {"accepted": 1, "duplicate": 1, "ignored": 3, "malformed": 1},
                  "workflow_run": {"accepted": 1, "ignored": 2},
                  "ping": {"pong": 1}, "other": {"ignored": 1}}
        found = metrics(daemon)
        counted = {}
        for (name, labels), number in found.items():
            labels = dict(labels)
            if name == "ghatrace_deliveries_total" and number > 0:
                counted.setdefault(labels["event"], {})[labels["outcome"]] = number
        self.assertEqual(counted, wanted)
        shown = get_json(daemon, "/api/status")["deliveries"]
        self.assertEqual(shown["ignored"], 6)
        self.assertEqual({event: {key: number for key, number in outcomes.items() if number > 0}
                          for event, outcomes in shown["by_event"].items()}, wanted)

    def test_the_status_names_what_is_counted_as_the_metrics_do(self):
        daemon = self.new_daemon()
        with harness.Client(daemon.address) as client:
            client.request("GET", "/nowhere")
        found, status = metrics(daemon), get_json(daemon, "/api/status")
        def named(name, label):
            return {dict(labels)[label]: number for (metric, labels), number in found.items() if metric == name}
        self.assertEqual(status["deliveries"]["requests_refused"], named("ghatrace_requests_refused_total", "reason"))
        self.assertEqual(status["deliveries"]["requests_refused"]["not_allowed"], 1)
        self.assertEqual(status["dead_letters_dropped"], named("ghatrace_dead_letters_dropped_total", "reason"))
        outcomes = set(named("ghatrace_deliveries_total", "outcome"))
        self.assertEqual(set(status["deliveries"]["by_event"]), set(named("ghatrace_deliveries_total", "event")))
        for event in status["deliveries"]["by_event"].values():
            self.assertEqual(set(event), outcomes)
        self.assertLessEqual(outcomes, set(status["deliveries"]))

    def test_other_methods_are_refused(self):
        with harness.Client(self.daemon.admin_address) as client:
            answer = client.request("POST", "/api/queue", headers={"Host": "localhost"})
            self.assertEqual((answer.status, answer.headers["Allow"]), (405, "GET, HEAD"))
        with harness.Client(self.daemon.admin_address) as client:
            answer = client.request("HEAD", "/metrics", headers={"Host": "localhost"})
            self.assertEqual((answer.status, answer.body), (200, b""))

    def test_the_page_is_kept_by_the_browser_until_it_changes(self):
        first = get(self.daemon, "/")
        self.assertEqual(first.headers["Cache-Control"], "no-cache")
        self.assertIn("default-src 'none'", first.headers["Content-Security-Policy"])
        self.assertIn("worker-src 'self'", first.headers["Content-Security-Policy"])
        tag = first.headers["ETag"]
        for known in (tag, tag.removeprefix("W/"), f'"another", {tag}', "*"):
            self.assertEqual(get(self.daemon, "/", {"If-None-Match": known}).status, 304)
        self.assertEqual(get(self.daemon, "/", {"If-None-Match": '"another"'}).status, 200)

    def test_the_files_of_the_page_are_named_by_their_hash_and_kept_for_good(self):
        index = get(self.daemon, "/").text
        version = get_json(self.daemon, "/api/status")["page"]
        paths = set(re.findall(r'(?:src|href)="(v/[^"]+)"', index))
        self.assertGreater(len(paths), 5)
        self.assertNotIn("@", index)
        for path in sorted(paths) + [f"v/{version}/worker.js"]:
            self.assertTrue(path.startswith(f"v/{version}/"), path)
            answer = get(self.daemon, f"/{path}")
            self.assertEqual((answer.status, answer.headers["Cache-Control"]), (200, "public, max-age=31536000, immutable"))
            self.assertIn(answer.headers["Content-Type"], ("text/javascript; charset=utf-8", "text/css; charset=utf-8"))
        for path in ("/v/0123456789abcdef/page.js", f"/v/{version}/nothing.js", f"/v/{version}", f"/v/{version}page.js", "/v/", "/page.js"):
            answer = get(self.daemon, path)
            self.assertEqual((path, answer.status, answer.headers["Cache-Control"]), (path, 404, "no-store"))

    def test_the_page_is_compressed_for_those_who_accept_that(self):
        version = get_json(self.daemon, "/api/status")["page"]
        for path in ("/", f"/v/{version}/page.js"):
            plain, small = get(self.daemon, path, {"Accept-Encoding": "identity"}), get(self.daemon, path, {"Accept-Encoding": "gzip, br"})
            self.assertNotIn("Content-Encoding", plain.headers)
            self.assertEqual(small.headers["Content-Encoding"], "gzip")
            self.assertEqual(gzip.decompress(small.body), plain.body)
            self.assertEqual((plain.headers["Vary"], small.headers["Vary"]), ("Accept-Encoding", "Accept-Encoding"))
            self.assertEqual(plain.headers["ETag"], small.headers["ETag"])
            for accepted, wanted in (("gzip", small), ("identity", plain)):
                with harness.Client(self.daemon.admin_address) as client:
                    answer = client.request("HEAD", path, headers={"Host": "localhost", "Accept-Encoding": accepted})
                self.assertEqual((answer.status, answer.body), (200, b""))
                self.assertEqual(answer.headers["Content-Length"], str(len(wanted.body)))


class Live(harness.BlackBoxTest):
    def open_stream(self, daemon):
        connection = socket.create_connection(daemon.admin_address, timeout=harness.PATIENCE)
        self.addCleanup(connection.close)
        connection.sendall(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return connection, connection.makefile("rb")

    def next_event(self, stream):
        event, data = None, None
        while line := stream.readline():
            line = line.decode().rstrip("\r\n")
            if line.startswith("event: "):
                event = line[7:]
            elif line.startswith("data: "):
                data = line[6:]
            elif not line and event:
                return event, json.loads(data)
        raise AssertionError("the stream ended")

    def test_events_have_the_header_that_makes_proxies_forward_them_at_once(self):
        daemon = self.new_daemon()
        _, stream = self.open_stream(daemon)
        head = [line.decode().strip().lower() for line in iter(stream.readline, b"\r\n")]
        for line in ("x-accel-buffering: no", "cache-control: no-store, no-transform", "content-encoding: identity"):
            self.assertEqual(head.count(line), 1, head)

    def test_an_event_is_sent_at_intervals_when_nothing_changes(self):
        daemon = self.new_daemon()
        _, stream = self.open_stream(daemon)
        stream.raw._sock.settimeout(30)
        self.assertEqual([self.next_event(stream)[0] for _ in range(4)], ["queue", "runs", "status", "quiet"])

    def test_events_are_sent_at_once_and_after_each_change(self):
        daemon = self.new_daemon()
        _, stream = self.open_stream(daemon)
        self.assertEqual([self.next_event(stream)[0] for _ in range(3)], ["queue", "runs", "status"])
        run = Run(age=20)
        daemon.accept(run.requested(), run.job("fresh").queued())

        def sees_the_job():
            event, data = self.next_event(stream)
            return event == "queue" and [job["name"] for job in data["jobs"]] == ["fresh"]
        wait_until(sees_the_job, what="the event")

    def test_clients_that_disconnect_or_do_not_read_do_not_slow_others(self):
        daemon = self.new_daemon()
        for _ in range(20):
            connection, _ = self.open_stream(daemon)
            connection.close()
        self.open_stream(daemon)  # and never reads
        _, stream = self.open_stream(daemon)
        for _ in range(3):
            self.next_event(stream)
        run = Run()
        daemon.accept(*[run.job(f"job {i}").queued() for i in range(50)])
        wait_until(lambda: self.next_event(stream)[0] == "queue", what="an event")

    def test_the_status_counts_the_clients_of_the_stream(self):
        daemon = self.new_daemon()
        self.assertEqual(get_json(daemon, "/api/status")["live_streams"], 0)
        opened = [self.open_stream(daemon) for _ in range(3)]
        for _, stream in opened:
            self.next_event(stream)
        self.assertEqual(get_json(daemon, "/api/status")["live_streams"], 3)
        for connection, stream in opened[:2]:
            stream.close()
            connection.close()
        wait_until(lambda: get_json(daemon, "/api/status")["live_streams"] == 1, what="the end of two streams")

    def test_stopping_ends_streams(self):
        daemon = self.new_daemon()
        _, stream = self.open_stream(daemon)
        self.next_event(stream)
        daemon.stop()
        stream.read()  # to the end
