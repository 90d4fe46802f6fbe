"""What GitHub leaves out, or sends in another form than ever: it costs no event, and nothing else in it."""
import json
import time

import harness
from expect import Ids, by_id, job_spans, run_spans
from payloads import Event, Run, guid_of_time

ODD = [None, True, -1, 7, 1.5, 10 ** 30, "", " ", "yesterday", "\ud800\0", [], [None, 3], {}, {"a": [1]}]
IDENTITY = {("workflow_job", "id"), ("workflow_job", "run_id"), ("workflow_run", "id")}
PATH = ".github/workflows/audit.yml"


def put(document, path, value):
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


def delivery(kind, document):
    return Event(kind, json.dumps(document).encode(), guid_of_time(time.time()))


class OddFields(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair(root_grace="1s")

    def metric(self, series):
        lines = self.daemon.admin("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(series + " "))

    def status(self):
        return json.loads(self.daemon.admin("/api/status").body)["deliveries"]

    def test_an_event_with_an_odd_field_is_used(self):
        run = Run(pull_request=(12, "main"))
        job = run.job(environment="production")
        for event, name in ((job.completed(), "workflow_job"), (run.completed(), "workflow_run")):
            document = json.loads(event.body)
            fields = [(key,) for key in document if key not in ("action", name, "repository")]
            fields += [(name, key) for key in document[name]] + [("repository", key) for key in document["repository"]
                                                                 if not key.endswith("_url") or key == "html_url"]
            for path in fields:
                for value in ODD if path not in IDENTITY else []:
                    with self.subTest(path=path, value=value):
                        changed = json.loads(event.body)
                        put(changed, path, value)
                        self.assertEqual(self.daemon.deliver(delivery(name, changed)).outcome, (202, "accepted"))

    def test_a_job_of_odd_fields_only_is_exported(self):
        for value in ODD:
            with self.subTest(value=value):
                run = Run()
                job = run.job()
                changed = json.loads(job.completed().body)
                for key in changed["workflow_job"]:
                    if key not in ("id", "run_id", "conclusion"):
                        changed["workflow_job"][key] = 1 if key == "run_attempt" and value == 7 else value
                changed["repository"] = value if value is not None else 7
                changed["sender"] = changed["organization"] = value
                self.daemon.accept(delivery("workflow_job", changed))
                ids = Ids(run.run_id)
                self.collector.wait_for_ids([(ids.trace, ids.job(job.job_id))])
                span = by_id(self.collector.trace(ids.trace))[ids.job(job.job_id)]
                self.assertEqual(span["attributes"]["github.conclusion"], job.conclusion)
                self.assertEqual(span["resource"]["service.name"], "unknown_service:ghatrace")

    def test_a_step_without_a_name_is_sent_by_its_number(self):
        run = Run()
        job = run.job()
        job.steps[2].name = None
        self.daemon.accept(job.completed())
        job.steps[2].name = "step 3"
        ids = Ids(run.run_id)
        spans = job_spans(job)
        self.collector.wait_for_ids([(ids.trace, span["spanId"]) for span in spans])
        self.assertEqual(by_id(self.collector.trace(ids.trace)), by_id(spans))

    def test_null_where_the_object_should_be_is_ignored_and_counted(self):
        run = Run()
        cases = [("workflow_job", run.job().queued(), "workflow_job"), ("workflow_run", run.requested(), "workflow_run"),
                 ("workflow_job", run.job().completed(), "repository"), ("workflow_run", run.completed(), "repository")]
        for kind, event, field in cases:
            with self.subTest(kind=kind, field=field):
                series = f'ghatrace_deliveries_total{{event="{kind}",outcome="malformed"}}'
                before, counted_before = self.metric(series), self.status()["malformed"]
                changed = json.loads(event.body)
                changed[field] = None
                self.assertEqual(self.daemon.deliver(delivery(kind, changed)).outcome, (200, "ignored"))
                self.assertEqual(self.metric(series), before + 1)
                self.assertEqual(self.status()["malformed"], counted_before + 1)

    def test_an_event_without_a_repository_is_taken(self):
        run = Run()
        job = run.job()
        for event, kind in ((job.completed(), "workflow_job"), (run.completed(), "workflow_run")):
            changed = json.loads(event.body)
            del changed["repository"]
            self.daemon.accept(delivery(kind, changed))
        ids = Ids(run.run_id)
        self.collector.wait_for_ids([(ids.trace, ids.root), (ids.trace, ids.job(job.job_id))])
        for span in self.collector.trace(ids.trace):
            self.assertEqual(span["resource"]["service.name"], "unknown_service:ghatrace")
            self.assertNotIn("vcs.repository.name", span["resource"])


class NamelessWorkflows(harness.BlackBoxTest):
    """The path of a workflow's file is used where a workflow has no name."""
    @classmethod
    def setUpClass(cls):
        cls.share_pair(root_grace="2s", metrics_labels=harness.LABELS_BEFORE)

    def api(self, path):
        return json.loads(self.daemon.admin(path).body)

    @staticmethod
    def nameless(event, name, path):
        changed = json.loads(event.body)
        if "workflow_job" in changed:
            changed["workflow_job"]["workflow_name"] = name
        else:
            changed["workflow_run"].update(name=name, path=path)
            changed["workflow"].update(name=name, path=path)
        return event.with_body(json.dumps(changed).encode())

    def test_the_path_names_root_resource_api_and_series(self):
        for name, path in (("", PATH), (None, PATH + "@refs/heads/main"), ("  ", PATH), (7, PATH)):
            for order in ("in order", "jobs first"):
                with self.subTest(name=name, path=path, order=order):
                    run = Run(workflow=PATH)
                    run.path = path
                    run.job()
                    events = [self.nameless(event, name, path) for event in run.timeline()]
                    if order == "jobs first":
                        events.sort(key=lambda event: event.type)
                    self.daemon.accept(*events)
                    self.check_trace(self.collector, run_spans(run))
                    self.assertEqual(self.api(f"/api/runs/{run.run_id}/1")["run"]["workflow"], PATH)
        self.assertIn(PATH, {run["workflow"] for run in self.api("/api/runs?limit=50")["runs"]})
        series = [line for line in self.daemon.admin("/metrics").text.splitlines() if 'workflow="' in line]
        self.assertTrue(any(f'workflow="{PATH}"' in line for line in series))
        self.assertEqual([line for line in series if 'workflow=""' in line or 'workflow="unknown"' in line], [])

    def test_the_queue_and_the_list_of_open_runs_name_the_path(self):
        daemon = self.new_daemon()
        for order in (1, -1):
            run = Run()
            job = run.job()
            daemon.accept(*[self.nameless(event, None, PATH) for event in (run.requested(), job.queued())][::order])
            queue = json.loads(daemon.admin("/api/queue").body)["jobs"]
            self.assertEqual([entry["workflow"] for entry in queue if entry["job_id"] == str(job.job_id)], [PATH])
        shown = daemon.command("runs")
        self.assertEqual(shown.stdout.count(PATH), 4, shown)

    def test_without_a_workflow_name_the_series_is_labelled_unknown(self):
        run = Run()
        job = run.job()
        daemon, collector = self.new_pair(root_grace="1s", run_idle="2s", metrics_labels=harness.LABELS_BEFORE)
        daemon.accept(self.nameless(job.completed(), "", PATH))
        ids = Ids(run.run_id)
        collector.wait_for_ids([(ids.trace, ids.root)])
        root = by_id(collector.trace(ids.trace))[ids.root]
        self.assertEqual(root["name"], "RUN")
        self.assertNotIn("cicd.pipeline.name", root["resource"])
        metrics = daemon.admin("/metrics").text
        self.assertIn('workflow="unknown"', metrics)
        self.assertNotIn('workflow=""', metrics)

    def test_any_job_that_names_the_workflow_names_a_run_made_of_jobs(self):
        run = Run()
        jobs = [run.job("a"), run.job("b"), run.job("c")]
        daemon, collector = self.new_pair(root_grace="1s", run_idle="2s")
        daemon.accept(*[self.nameless(job.completed(), "Build and test" if job is jobs[1] else None, PATH)
                        for job in jobs])
        ids = Ids(run.run_id)
        collector.wait_for_ids([(ids.trace, ids.root)])
        self.assertEqual(by_id(collector.trace(ids.trace))[ids.root]["name"], "RUN Build and test")
