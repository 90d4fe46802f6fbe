"""Beside actions-runner-controller: what its recorder sends, by the formulas of its PR 4465 on the real SDK, and ghatrace's
spans are one trace. First ARC sends to the collector itself; what it cannot do so is said by a test each. Then it sends to
`otlp-listen`, as do programs inside jobs."""
import datetime
import itertools
import json
import urllib.parse
import uuid

import company
import parts
import sending
from company import CompanyTest
from expect import PHASES, RUNNER_PHASES, SCHEMES, assigned_spans, ids_of, job_spans, root_span, run_spans, sha256
from harness import wait_until
from payloads import Run
from test_jaeger import parent_of

FIRST, SECOND = 1, 2  # the proposal's revisions
_runners = itertools.count(1)


def on_arc(job):
    """Each job has a runner of its own."""
    number = next(_runners)
    job.labels, job.runner_group = ["arc-linux"], "Default"
    job.runner_id, job.runner_name = 4000 + number, f"arc-linux-x7k2p-runner-{number:05}"
    return job


def arc_run(*names, **kinds):
    """A run with a job on ARC's runners for each name."""
    run = Run(**kinds)
    for number, name in enumerate(names):
        on_arc(run.job(name, 1 + number, queue=9 + number))
    return run


def utc(at):
    return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).isoformat() if at is not None else None


def assigned_at(job):
    """When ARC took the job for its scale set: some time before GitHub says that it started."""
    return (job.released or job.created) + 2.5


def message(job, **changes):
    """What the scale set's message says of a completed job, unless `changes` say otherwise; None: it lacks it."""
    run = job.run
    said = {"jobId": str(job.job_id), "workflowRunId": run.run_id, "jobDisplayName": job.name,
            "ownerName": run.repository.owner, "repositoryName": run.repository.name,
            "jobWorkflowRef": f"{run.repository.full_name}/{run.path}@refs/heads/{run.head_branch}", "eventName": run.event,
            "runnerId": job.runner_id, "runnerName": job.runner_name,
            "result": {"success": "succeeded", "failure": "failed", "cancelled": "canceled"}[job.conclusion],
            "queueTime": utc(job.created), "scaleSetAssignTime": utc(assigned_at(job)),
            "runnerAssignTime": utc(job.started + 0.25), "finishTime": utc(job.completed_at), **changes}
    return {key: value for key, value in said.items() if value is not None}


def guid(job):
    return str(uuid.uuid5(uuid.NAMESPACE_URL, job.html_url))


def phase_ids(job, phases=RUNNER_PHASES, scheme="arc"):
    """ARC's spans, if it knew the attempt."""
    ids = SCHEMES[scheme](job.run.run_id, job.run.attempt)
    return [(ids.trace, ids.phase(phase, job.job_id, job.name)) for phase in phases]


def own_ids(run, scheme="arc"):
    """What ghatrace sends of a run with `runner-spans-off = arc-*`."""
    spans = [root_span(run, scheme=scheme)]
    for job in run.jobs:
        spans += job_spans(job, scheme=scheme, phases=job.labels != ["arc-linux"])
    return ids_of(spans)


class ArcTest(CompanyTest):
    def arc(self, endpoint, messages, revision=FIRST, server="https://github.com", **environment):
        """ARC's part; it must be answered as a success."""
        said = parts.send_spans("arc", {"revision": revision, "server": server, "jobs": messages}, endpoint, **environment)
        self.assertEqual([said["remarks"], [each["Error"] for each in said["answer"]]], [[], [""] * len(messages)])
        return said["answer"]

    def check_whole(self, collector, run, wanted, scheme="arc"):
        """The run's trace consists of these spans, each taken once; every parent is there."""
        collector.wait_for_ids(wanted)
        trace_id = SCHEMES[scheme](run.run_id, run.attempt).trace
        counts = {key: count for key, count in collector.ids().items() if key[0] == trace_id}
        self.assertEqual(counts, {key: 1 for key in wanted if key[0] == trace_id})
        self.assertEqual(orphans(collector, trace_id), [])

    def check_shown(self, jaeger, run, wanted, scheme="arc"):
        """Jaeger has one trace with these spans, each once, and complains of none."""
        trace, = jaeger.traces("/" + SCHEMES[scheme](run.run_id, run.attempt).trace)
        self.assertEqual(sorted(each["spanID"] for each in trace["spans"]), sorted(span for _, span in wanted))
        known = {each["spanID"] for each in trace["spans"]} | {""}
        for each in trace["spans"]:
            self.assertIn(parent_of(each), known, each["operationName"])
            self.assertEqual(each["warnings"] or [], [], each["operationName"])


def orphans(collector, trace_id):
    spans = collector.trace(trace_id)
    known = {span["spanId"] for span in spans} | {""}
    return sorted(span["name"] for span in spans if span["parentSpanId"] not in known)


class Beside(ArcTest):
    """ARC and ghatrace send to the same collector; `runner-spans-off` leaves the phases of ARC's jobs to it."""

    def beside(self, scheme="arc"):
        collector = self.real_collector()
        return self.daemon_for(collector, runner_spans_off="arc-*", id_scheme=scheme), collector

    def run_with_hosted_job(self):
        run = arc_run("build", "test (\u2192 1)", "test (2)")
        run.jobs[1].conclusion = run.conclusion = "failure"
        run.jobs[1].steps = run.jobs[1].usual_steps()
        run.job("hosted", 4)
        return run

    def sent(self, run, endpoint, daemon, **kinds):
        self.arc(endpoint, [message(job) for job in run.jobs if job.labels == ["arc-linux"]], **kinds)
        daemon.accept(*run.timeline())

    def test_of_first_attempts_with_numeric_ids_each_phase_is_there_once(self):
        daemon, collector = self.beside()
        run = self.run_with_hosted_job()
        self.sent(run, collector.endpoint, daemon)
        phases = [key for job in run.jobs[:3] for key in phase_ids(job)]
        self.check_whole(collector, run, own_ids(run) + phases)

    def test_jaeger_shows_one_trace_without_complaints(self):
        jaeger = self.ends(parts.Jaeger(self.new_folder()))
        daemon = self.daemon_for(jaeger, runner_spans_off="arc-*")
        run = self.run_with_hosted_job()
        self.sent(run, jaeger.endpoint, daemon)
        company.settle([daemon])
        phases = [key for job in run.jobs[:3] for key in phase_ids(job)]
        self.check_shown(jaeger, run, own_ids(run) + phases)
        # One question finds the phases of both.
        wanted = urllib.parse.quote(json.dumps({"type": "runner.queue", "github.run_id": str(run.run_id)}))
        services = jaeger.get("/api/services")["data"]
        found = [each for service in services
                 for trace in jaeger.traces(f"?service={service}&tags={wanted}&lookback=2d&limit=20")
                 for each in trace["spans"] if each["operationName"] == "runner.queue"]
        self.assertEqual(len({each["spanID"] for each in found}), 4)

    def test_the_second_revision_does_so_with_the_runners_ids(self):
        daemon, collector = self.beside("runner")
        run = self.run_with_hosted_job()
        self.sent(run, collector.endpoint, daemon, revision=SECOND)
        ids = SCHEMES["runner"](run.run_id)
        phases = [(ids.trace, sha256(f"{phase}-{ids.job(0, job.name)}")[:16])
                  for job in run.jobs[:3] for phase in RUNNER_PHASES]
        self.check_whole(collector, run, own_ids(run, "runner") + phases, "runner")

    def check_limit(self, run, messages, expected_phases, expected_orphans=(), revision=FIRST):
        """The run's own trace has these phases; these spans of it have a parent that never comes."""
        daemon, collector = self.beside()
        self.arc(collector.endpoint, messages, revision=revision)
        daemon.accept(*run.timeline())
        collector.wait_for_ids(own_ids(run))
        trace_id = SCHEMES["arc"](run.run_id, run.attempt).trace
        spans = collector.trace(trace_id)
        self.assertEqual(sorted(span["name"] for span in spans if span["name"] in PHASES), sorted(expected_phases))
        self.assertEqual(orphans(collector, trace_id), sorted(expected_orphans))
        return collector

    def test_limit_of_a_rerun_the_phases_are_in_the_first_attempts_trace(self):
        run = arc_run("build", attempt=2)
        collector = self.check_limit(run, [message(run.jobs[0])], [])
        self.assertEqual(orphans(collector, SCHEMES["arc"](run.run_id, 1).trace), sorted(RUNNER_PHASES))

    def test_limit_with_a_guid_the_phases_have_no_parent(self):
        run = arc_run("build")
        self.check_limit(run, [message(run.jobs[0], jobId=guid(run.jobs[0]))], RUNNER_PHASES, RUNNER_PHASES)

    def test_limit_without_a_run_id_the_jobs_of_all_runs_are_in_one_trace(self):
        run, other = arc_run("build"), arc_run("build")
        collector = self.check_limit(run, [message(each.jobs[0], workflowRunId=0) for each in (run, other)], [])
        self.assertEqual(orphans(collector, SCHEMES["arc"](0).trace), sorted(2 * RUNNER_PHASES))

    def test_limit_without_a_queue_time_the_wait_is_in_no_span(self):
        run = arc_run("build")
        self.check_limit(run, [message(run.jobs[0], queueTime=None)], RUNNER_PHASES[1:])

    def test_limit_a_wait_for_an_approval_counts_as_a_wait_for_a_runner(self):
        run = Run()
        job = on_arc(run.job("deploy", environment="production", waited=40))
        collector = self.check_limit(run, [message(job)], RUNNER_PHASES)
        queue, = (span for span in collector.trace() if span["name"] == "runner.queue")
        self.assertGreater(queue["endTimeUnixNano"] - queue["startTimeUnixNano"], 40_000_000_000)

    def test_limit_the_second_revision_is_not_in_the_traces_of_scheme_arc(self):
        run = arc_run("build")
        collector = self.check_limit(run, [message(run.jobs[0])], [], revision=SECOND)
        self.assertEqual(orphans(collector, SCHEMES["runner"](run.run_id).trace), sorted(RUNNER_PHASES))

    def test_limit_in_the_second_revision_jobs_of_one_name_have_one_id(self):
        run = arc_run("build", "build")
        daemon, collector = self.beside("runner")
        self.sent(run, collector.endpoint, daemon, revision=SECOND)
        ids = SCHEMES["runner"](run.run_id)
        phase = ids.trace, sha256(f"runner.queue-{ids.job(0, 'build')}")[:16]
        collector.wait(lambda c: c.ids().get(phase) == 2)


# What may be said of a job otherwise than in the best case: {what: the message's changes}.
KINDS = {
    "numeric IDs": lambda job: {},
    "GUIDs": lambda job: {"jobId": guid(job)},
    "no run ID": lambda job: {"jobId": guid(job), "workflowRunId": 0},
    "no queue time": lambda job: {"jobId": guid(job), "queueTime": None},
    "no start of the runner": lambda job: {"jobId": guid(job), "runnerAssignTime": None},
}


def spans_with_assignment(run, scheme="arc"):
    """What ghatrace makes of the run's deliveries and of ARC's times."""
    assigned = {job: assigned_at(job) for job in run.jobs if job.labels == ["arc-linux"]}
    return assigned_spans(run, assigned, scheme)


class Through(ArcTest):
    """ARC sends to `otlp-listen`: ghatrace sends the phases, with the times that ARC reports."""
    def receiver(self, collector, **settings):
        tokens = sending.token_file(self.new_folder())
        return self.daemon_for(collector, otlp_listen="127.0.0.1:0", otlp_token_file=str(tokens), arc_runners="arc-*",
                               **settings)

    @staticmethod
    def way_to(daemon, token=sending.ARC):
        host, port = daemon.otlp_address
        return {"endpoint": f"http://{host}:{port}", "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{token}"}

    def in_every_order(self, daemon, make, kind, **more):
        """[run]: ARC's report before the run's deliveries, after them, and twice in their middle."""
        runs = []
        for order in ("before", "after", "between"):
            run = make()
            runs.append(run)
            messages = [message(job, **kind(job)) for job in run.jobs if job.labels == ["arc-linux"]]
            events = run.timeline()
            half = {"before": 0, "after": len(events), "between": len(events) // 2}[order]
            daemon.accept(*events[:half])
            for _ in range(2 if order == "between" else 1):
                self.arc(messages=messages, **self.way_to(daemon), **more)
            daemon.accept(*events[half:])
        return runs

    def check_runs(self, collector, runs, scheme="arc"):
        """Each run's trace is what the rules say, attribute for attribute, and nothing was taken twice."""
        for run in runs:
            wanted = spans_with_assignment(run, scheme)
            self.check_trace(collector, wanted)
            self.check_once(collector, ids_of(wanted))
            self.assertEqual(orphans(collector, wanted[0]["traceId"]), [])

    def test_whatever_arc_knows_of_a_job_its_trace_is_whole(self):
        collector = self.real_collector()
        daemon = self.receiver(collector)
        for name, kind in KINDS.items():
            with self.subTest(name):
                runs = self.in_every_order(daemon, self.run_with_hosted_job, kind)
                self.check_runs(collector, runs)

    def run_with_hosted_job(self):
        run = arc_run("build", "test (\u2192 1)")
        run.job("hosted", 4)
        return run

    def test_the_attempt_is_the_true_one(self):
        collector = self.real_collector()
        daemon = self.receiver(collector)
        for kind in (KINDS["numeric IDs"], KINDS["GUIDs"], KINDS["no run ID"]):
            first = arc_run("build", conclusion="failure")
            again = arc_run("build", run_id=first.run_id, attempt=2, started=first.updated + 60)
            for run in (first, again):
                daemon.accept(*run.timeline())
            self.arc(messages=[message(run.jobs[0], **kind(run.jobs[0])) for run in (again, first)], **self.way_to(daemon))
            self.check_runs(collector, [first, again])

    def test_the_wait_for_an_approval_stays_a_phase_of_its_own(self):
        collector = self.real_collector()
        daemon = self.receiver(collector)
        run = Run()
        on_arc(run.job("deploy", environment="production", waited=40))
        daemon.accept(*run.timeline())
        self.arc(messages=[message(run.jobs[0], jobId=guid(run.jobs[0]))], **self.way_to(daemon))
        self.check_runs(collector, [run])

    def test_the_later_revision_is_understood_with_either_ids(self):
        for scheme in ("arc", "runner"):
            with self.subTest(scheme):
                collector = self.real_collector()
                daemon = self.receiver(collector, id_scheme=scheme)
                runs = self.in_every_order(daemon, self.run_with_hosted_job, KINDS["no queue time"], revision=SECOND)
                self.check_runs(collector, runs, scheme)

    def test_jobs_of_one_name_differ_by_their_runners(self):
        collector = self.real_collector()
        daemon = self.receiver(collector)
        for revision in (FIRST, SECOND):
            kind = KINDS["GUIDs"]
            runs = self.in_every_order(daemon, lambda: arc_run("build", "build"), kind, revision=revision)
            self.check_runs(collector, runs)

    def test_jobs_of_an_enterprise_server_get_their_times_too(self):
        collector = self.real_collector()
        daemon = self.receiver(collector)
        repository = company.payloads.Repository("plant/pump", server="ghe.example.org")
        runs = self.in_every_order(daemon, lambda: arc_run("pump", repository=repository), KINDS["GUIDs"], revision=SECOND,
                                   server="https://ghe.example.org")
        self.check_runs(collector, runs)

    def test_jaeger_shows_whole_traces_without_complaints(self):
        jaeger = self.ends(parts.Jaeger(self.new_folder()))
        daemon = self.receiver(jaeger)
        runs = [run for kind in KINDS.values() for run in self.in_every_order(daemon, self.run_with_hosted_job, kind)]
        company.settle([daemon])
        for run in runs:
            self.check_shown(jaeger, run, ids_of(spans_with_assignment(run)))

    def test_what_was_answered_survives_a_kill(self):
        collector = self.real_collector()
        daemon = self.receiver(collector)
        run = self.run_with_hosted_job()
        self.arc(messages=[message(job, jobId=guid(job)) for job in run.jobs[:2]], **self.way_to(daemon))
        daemon.restart("kill")
        daemon.accept(*run.timeline())
        self.check_runs(collector, [run])

    def test_over_tls_with_an_authority_of_ones_own(self):
        folder = self.certificates()
        collector = self.real_collector()
        daemon = self.receiver(collector, otlp_tls="on", tls_cert=folder / "server.pem", tls_key=folder / "server.key")
        way = {**self.way_to(daemon), "OTEL_EXPORTER_OTLP_CERTIFICATE": str(folder / "ca.pem")}
        way["endpoint"] = way["endpoint"].replace("http://127.0.0.1", "https://localhost")
        self.arc(messages=[message(arc_run("build").jobs[0])], **way)
        wait_until(lambda: self.status(daemon)["arc"]["reports"]["held"] == 1, what="a held report")

    def test_over_gzip_each_of_a_hundred_reports_finds_its_job(self):
        collector = self.real_collector()
        daemon = self.receiver(collector)
        runs = [arc_run(*(f"test ({number})" for number in range(10))) for _ in range(10)]
        for run in runs:
            daemon.accept(*run.timeline())
        self.arc(messages=[message(job, jobId=guid(job)) for run in runs for job in run.jobs], **self.way_to(daemon),
                 OTEL_EXPORTER_OTLP_COMPRESSION="gzip")
        self.check_runs(collector, runs)

    def test_a_program_in_a_job_puts_its_spans_into_the_jobs_trace(self):
        for scheme in ("arc", "collector", "runner"):
            for when in ("before", "after"):
                with self.subTest(f"{scheme}, {when} the job's deliveries"):
                    collector, direct = self.real_collector(), self.real_collector()
                    daemon = self.receiver(collector, id_scheme=scheme)
                    run = arc_run("build")
                    job = run.jobs[0]
                    if when == "after":
                        daemon.accept(*run.timeline())
                    sent = self.job_program(daemon, self.traceparent(run, job, scheme), direct)
                    if when == "before":
                        daemon.accept(*run.timeline())
                    self.arc(messages=[message(job, jobId=guid(job))], **self.way_to(daemon))
                    self.check_below_job(collector, direct, run, job, sent, scheme)

    @staticmethod
    def traceparent(run, job, scheme):
        said = company.harness.run_command("ids", run.run_id, run.attempt, job.job_id, f"--id-scheme={scheme}",
                                           f"--job-name={job.name}")
        return said.stdout.rpartition("traceparent: ")[2].strip()

    def job_program(self, daemon, traceparent, direct):
        """It sends the same spans to a collector, too."""
        tests = {"tests": ["TestFlux", "TestThrust", "TestNozzle"], "also": direct.endpoint}
        said = parts.send_spans("job", tests, **self.way_to(daemon, sending.JOB), TRACEPARENT=traceparent,
                                OTEL_SERVICE_NAME="go-test", OTEL_RESOURCE_ATTRIBUTES="test.host=here")
        self.assertEqual(said["remarks"], [])
        self.assertEqual(len(said["answer"]), 4)
        return said["answer"]

    def check_below_job(self, collector, direct, run, job, sent, scheme):
        """The job's trace has the program's spans, field by field as its SDK sent them."""
        ids = SCHEMES[scheme](run.run_id, run.attempt)
        keys = [(each["TraceID"], each["SpanID"]) for each in sent]
        self.check_whole(collector, run, ids_of(spans_with_assignment(run, scheme)) + keys, scheme)
        self.assertEqual([each["ParentID"] for each in sent if each["Name"] == "unit tests"], [ids.job(job.job_id, job.name)])
        found, meant = collector.spans(), direct.spans()
        self.assertEqual(sorted(meant), sorted(keys))
        self.assertEqual({key: found[key] for key in keys}, meant)

    def test_with_a_jobs_token_nothing_can_be_said_about_a_job(self):
        collector = self.real_collector()
        daemon = self.receiver(collector, arc_grace="1s")
        run = arc_run("build")
        daemon.accept(*run.timeline())
        said = parts.send_spans("arc", {"revision": FIRST, "server": "", "jobs": [message(run.jobs[0])]},
                                **self.way_to(daemon, sending.JOB))
        self.assertIn("3 spans", said["remarks"][0] if said["remarks"] else said["answer"][0]["Error"])
        self.check_trace(collector, run_spans(run))

    def test_a_wrong_token_is_an_error_in_the_sdk(self):
        collector = self.real_collector()
        daemon = self.receiver(collector)
        said = parts.send_spans("arc", {"revision": FIRST, "server": "", "jobs": [message(arc_run("build").jobs[0])]},
                                **self.way_to(daemon, "wrong"))
        self.assertIn("401", said["answer"][0]["Error"])
