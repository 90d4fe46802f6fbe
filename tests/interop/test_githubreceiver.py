"""Side by side with the Collector's githubreceiver: the same deliveries to both, with id-scheme = collector.

The tables below are the differences, each with its reason. The tests fail for a difference that no row explains, and for
a row that explains nothing. What was counted is written to build/interop/githubreceiver.md.
"""
import collections
import json

import build
import company
import harness
import parts
import payloads
from company import CompanyTest

Difference = collections.namedtuple("Difference", "field applies reason")


def is_queue(theirs):
    return theirs["name"].startswith("queue-")


def is_root(theirs):
    return not theirs["parentSpanId"]


def is_step(theirs):
    return "cicd.pipeline.task.name" in theirs["attributes"]


def is_disguised(job):
    return "/actions/runs/" not in job.get("html_url", "")


def step_of(theirs, job):
    names = {theirs["name"], theirs["name"].rpartition("-")[0]}
    return next((step for step in job.get("steps") or [] if (step["name"] or "") in names), {})


# A span of theirs that ours lack. `applies` is asked (theirs, the job of the delivery).
MISSING = [
    Difference("span", lambda theirs, job: is_disguised(job),
               "a check run that a step made is delivered as a job, and is none"),
    Difference("span", lambda theirs, job: is_queue(theirs) and job.get("conclusion") == "skipped",
               "a skipped job waits for no runner"),
    Difference("span", lambda theirs, job: company.is_carried_over(job) and (is_queue(theirs) or is_step(theirs)),
               "a job that a re-run carried over ran in the attempt before: its phases and steps are there"),
    Difference("span", lambda theirs, job: is_step(theirs) and not step_of(theirs, job).get("started_at"),
               "a step without times is not known to have run; theirs begins in the year 2339"),
    Difference("span", lambda theirs, job: is_step(theirs) and not theirs["name"],
               "a step without a name has its number for one, and an ID made of that"),
]

# A field of a span that differs. `applies` is asked (theirs, ours, the job of the delivery).
FIELDS = [
    Difference("name", lambda theirs, ours, job: is_queue(theirs),
               "`queue-JOB` there; here `runner.queue`, one name for the phase over all jobs"),
    Difference("name", lambda theirs, ours, job: is_root(theirs),
               "the run's title there; here `RUN` and the workflow's own name, which is the same for all its runs"),
    Difference("name", lambda theirs, ours, job: is_repeat(theirs, job),
               "a repeated step is `NAME-1` there, under the ID of the first; here it has its name and an ID of its own"),
    Difference("startTimeUnixNano", lambda theirs, ours, job: is_repeat(theirs, job),
               "the repeated step has the ID of the first there, and the two are compared"),
    Difference("endTimeUnixNano", lambda theirs, ours, job: is_repeat(theirs, job),
               "the repeated step has the ID of the first there, and the two are compared"),
    Difference("startTimeUnixNano", lambda theirs, ours, job: theirs["startTimeUnixNano"] > 1 << 63,
               "without `created_at` (before 2023) theirs begins in the year 2339; here with what is known"),
    Difference("startTimeUnixNano",
               lambda theirs, ours, job: is_queue(theirs) and ours["startTimeUnixNano"] > theirs["startTimeUnixNano"],
               "the wait for an approval is no wait for a runner: it is `job.waiting` here"),
    Difference("endTimeUnixNano", lambda theirs, ours, job: is_queue(theirs) and not job.get("runner_name"),
               "a job that never got a runner waited until its end"),
    Difference("endTimeUnixNano",
               lambda theirs, ours, job: is_step(theirs) and not step_of(theirs, job).get("completed_at"),
               "a step that is open when the job ends (the runner was lost) ends with the job; there where it began"),
    Difference("endTimeUnixNano",
               lambda theirs, ours, job: theirs["startTimeUnixNano"] >= theirs["endTimeUnixNano"] == ours["endTimeUnixNano"] - 1,
               "a span of no length ends 1 ns later here, since Jaeger warns of it"),
    Difference("status", lambda theirs, ours, job: theirs["status"]["code"] == 1 and ours["status"]["code"] == 0,
               "OK is left to people, as the conventions ask"),
    Difference("status", lambda theirs, ours, job: is_step(theirs) and theirs["status"]["message"] == job["conclusion"],
               "a step's message is the job's conclusion there"),
    Difference("status", lambda theirs, ours, job: ours["status"]["code"] == 2 and theirs["status"]["code"] == 0,
               "timed_out and startup_failure are errors here"),
    Difference("status",
               lambda theirs, ours, job: ours["status"] == {"code": 0, "message": ""} and theirs["status"]["code"] == 0,
               "a message is set for errors only, as the protocol asks"),
    Difference("links", lambda theirs, ours, job: theirs["links"] and not theirs["links"][0]["spanId"],
               "the link to the attempt before has an empty span ID there; here the root's"),
    Difference("flags", lambda theirs, ours, job: theirs["flags"] == 0,
               "here the flags say that the span is sampled and its parent known to be of this process"),
]


def is_repeat(theirs, job):
    name, _, number = theirs["name"].rpartition("-")
    return number.isdigit() and any(step["name"] == name for step in job.get("steps") or [])


# Attributes of theirs that ours have, maybe by another name and elsewhere: {name: what ours say}.
SAME = {
    "service.name": lambda ours: ours["resource"]["service.name"],
    "vcs.repository.name": lambda ours: ours["resource"].get("vcs.repository.name", ""),
    "vcs.provider.name": lambda ours: ours["resource"]["vcs.provider.name"],
    "vcs.ref.head": lambda ours: ours["resource"].get("vcs.ref.head.name", ""),
    "vcs.ref.head.revision": lambda ours: ours["resource"].get("vcs.ref.head.revision", ""),
    "cicd.pipeline.run.id": lambda ours: int(ours["resource"]["cicd.pipeline.run.id"]),
    "cicd.pipeline.run.url.full":
        lambda ours: ours["resource"]["cicd.pipeline.run.url.full"].partition("/attempts/")[0],
    "cicd.pipeline.task.run.id": lambda ours: ours["attributes"].get("github.job_id"),
    "cicd.pipeline.task.run.url.full": lambda ours: ours["attributes"].get("cicd.pipeline.task.run.url.full", ""),
    "cicd.pipeline.worker.id": lambda ours: ours["attributes"].get("github.runner_id", 0),
    "cicd.pipeline.worker.name": lambda ours: ours["attributes"].get("cicd.worker.name", ""),
    "cicd.pipeline.worker.group.name": lambda ours: ours["attributes"].get("github.runner_group_name", ""),
    "cicd.pipeline.worker.labels":
        lambda ours: [label.lower() for label in ours["attributes"].get("github.runner_labels", [])],
}
OF_JOBS = {name for name in SAME if ".worker." in name or ".task.run." in name}

# Results, which have other words: {theirs: ours}; what is not here is the same word.
RESULTS = {"timed_out": "timeout", "startup_failure": "error", "neutral": "success"}

# Attributes of theirs that ours lack or that mean something else: {name, or its beginning: why}.
THEIRS = {
    "vcs.ref.type": "always `branch` there; here `vcs.ref.head.type`, for the default branch only: GitHub does not say what "
                    "another ref is",
    "cicd.pipeline.name": "the run's title, or the job's name, there; here the workflow's name on all spans",
    "cicd.pipeline.run.status": "here `cicd.pipeline.result` of the run's span",
    "cicd.pipeline.run.task.status": "here `cicd.pipeline.task.run.result`, on the span that it is about",
    "cicd.pipeline.task.name": "the same for steps; a repeated one has a number there",
    "cicd.pipeline.run.sender.login": "who caused the delivery; here `github.actor` and `github.triggering_actor` of the run",
    "cicd.pipeline.task.run.sender.login": "as `cicd.pipeline.run.sender.login`",
    "cicd.pipeline.run.previous_attempt.url.full": "here the link to the attempt before",
    "cicd.pipeline.run.queue.duration": "a number of nanoseconds there; here `queue_time_ms` of the job",
    "cicd.pipeline.worker.group.id": "not exported",
    "cicd.pipeline.worker.node.id": "the job's node ID there, by a runner's name",
    "vcs.ref.head.revision.author.": "name and address of a person, from the commit: not exported",
    "github.reference.workflow.": "a name for each workflow there; here one list, `github.referenced_workflows`",
    "github.repository.custom_properties.": "not exported yet",
}

# Attributes of ours that theirs lack by any name.
OURS = {
    "type", "error.type", "queue_time_ms", "github.run_id", "github.run_attempt", "github.run_number", "github.event_name",
    "github.job_id", "github.job_name", "github.status", "github.conclusion", "github.repository", "github.runner_name",
    "github.runner_id", "github.runner_group_name", "github.runner_labels", "github.step_number", "github.incomplete",
    "github.actor", "github.triggering_actor", "github.workflow_path", "github.display_title",
    "github.referenced_workflows", "cicd.pipeline.result", "cicd.pipeline.task.run.result", "cicd.worker.id",
    "cicd.worker.name", "vcs.change.id", "vcs.ref.base.name", "vcs.ref.head.name", "vcs.ref.head.type", "vcs.owner.name",
    "vcs.repository.url.full", "deployment.environment.name", "deployment.id", "server.address", "github.carried_over",
    "github.phase_source",
}


FIELDS_OF_A_SPAN = ("parentSpanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano", "status", "links", "events",
                    "traceState", "flags")


class SideBySide(CompanyTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.port = parts.free_port()
        webhook = {"endpoint": f"127.0.0.1:{cls.port}", "secret": harness.SECRET}
        receiver = {"scrapers": {"scraper": {}}, "webhook": webhook}
        cls.theirs = parts.Collector(cls.new_folder(), receivers={"github": receiver})
        cls.addClassCleanup(cls.theirs.stop)
        cls.share_pair(id_scheme="collector", root_grace="1s")
        cls.rows = collections.Counter()
        cls.pairs, cls.unhandled = [], []
        events = cls.events()
        for event in events:
            cls.deliver_to_both(event)
        cls.deliveries = len(events)
        company.settle([cls.daemon])
        cls.ours = {(span["traceId"], span["spanId"]): span for span in cls.collector.trace()}

    @classmethod
    def events(cls):
        properties = payloads.Repository("acme/tank", properties={"team": "rockets", "service_name": "fuel_tank"})
        more = [company.full_run(), company.full_run(repository=properties, head_branch="feature/x", pull_request=None)]
        return company.deliveries() + [event for run in more for event in run.timeline()]

    @classmethod
    def deliver_to_both(cls, event):
        before = len(cls.theirs._groups)
        try:
            with harness.Client(("127.0.0.1", cls.port)) as client:
                status = client.request("POST", "/events", event.body, harness.delivery_headers(event)).status
        except (OSError, harness.http.client.HTTPException):
            status = None  # it has no answer
        answer = cls.daemon.deliver(event)
        assert answer.status in (200, 202), answer
        if status not in (200, 204):
            cls.unhandled.append((event, status))
            return
        cls.theirs.read()
        document = json.loads(event.body)
        for group in cls.theirs._groups[before:]:
            for span in group["spans"]:
                cls.pairs.append((dict(span, resource=group["resource"]), document.get("workflow_job") or {}))

    def our(self, theirs):
        return self.ours.get((theirs["traceId"], theirs["spanId"]))

    def explain(self, table, field, *evidence):
        for row in table:
            if row.field == field and row.applies(*evidence):
                self.rows[field, row.reason] += 1
                return True
        return False

    def test_trace_root_job_queue_and_step_ids_are_equal_for_all_that_it_can_handle(self):
        compared = 0
        for theirs, job in self.pairs:
            if self.our(theirs) is None:
                self.assertTrue(self.explain(MISSING, "span", theirs, job), theirs)
            else:
                compared += 1
        self.assertGreater(compared, 150)
        type(self).compared = compared
        for row in MISSING:
            self.assertIn((row.field, row.reason), self.rows)

    def test_every_difference_of_a_span_has_its_reason(self):
        for theirs, job in self.pairs:
            ours = self.our(theirs)
            for field in FIELDS_OF_A_SPAN if ours else ():
                if theirs[field] != ours[field]:
                    self.assertTrue(self.explain(FIELDS, field, theirs, ours, job),
                                    f"{field} of {theirs['name']}: {theirs[field]} there, {ours[field]} here")
        for row in FIELDS:
            self.assertIn((row.field, row.reason), self.rows)

    def test_every_attribute_is_the_same_or_has_its_reason(self):
        seen, names = set(), set()
        for theirs, _ in self.pairs:
            ours = self.our(theirs)
            if ours is None:
                continue
            names |= ours["attributes"].keys() | ours["resource"].keys()
            for name, value in {**theirs["resource"], **theirs["attributes"]}.items():
                if name in SAME:
                    seen.add(name)
                    # Theirs has a job's attributes in the resource of its phases and steps too.
                    if name in OF_JOBS and ours["attributes"].get("type") != "job":
                        continue
                    if value == "" and SAME[name](ours) != "":
                        self.rows[name, "a job's delivery lacks it (before 2023); here it is known from the run's"] += 1
                    else:
                        self.assertEqual(SAME[name](ours), value, f"{name} of {theirs['name']}")
                    continue
                row = next((row for row in THEIRS if name == row or row.endswith(".") and name.startswith(row)), None)
                self.assertIsNotNone(row, f"{name} = {value!r} of {theirs['name']}")
                seen.add(row)
        self.assertEqual((SAME.keys() | THEIRS.keys()) - seen, set(), "rows that explain nothing")
        self.assertEqual(names - OURS - SAME.keys() - THEIRS.keys(), set())

    def test_results_are_the_same_but_for_their_words(self):
        for theirs, job in self.pairs:
            ours = self.our(theirs)
            if ours is None or is_step(theirs) or is_queue(theirs):
                continue
            if is_root(theirs):
                there = theirs["resource"]["cicd.pipeline.run.status"]
                here = ours["attributes"]["cicd.pipeline.result"]
            else:
                there = theirs["resource"].get("cicd.pipeline.run.task.status",
                                               theirs["resource"].get("cicd.pipeline.run.status"))
                here = ours["attributes"]["cicd.pipeline.task.run.result"]
            if here == "error":  # a runner that was lost, a job that GitHub did not start: there a failure
                self.assertIn(there, ("failure", "startup_failure"))
            else:
                self.assertEqual(RESULTS.get(there, there), here, theirs["name"])

    def test_what_it_cannot_handle_makes_spans_here(self):
        for event, status in self.unhandled:
            self.assertIn(status, (None, 400))
        self.assertGreater(len(self.unhandled), 0)
        reason = "it answers 400, or not at all where a path in `referenced_workflows` has no `@`"
        self.rows["delivery", reason] = len(self.unhandled)

    @classmethod
    def tearDownClass(cls):
        lines = [f"{cls.deliveries} deliveries. {getattr(cls, 'compared', 0)} of {len(cls.pairs)} spans of githubreceiver "
                 "have ours under the same IDs; why the others have none is below.", "",
                 "| what | how often | why |", "|---|---|---|"]
        lines += [f"| {field} | {count} | {reason} |" for (field, reason), count in cls.rows.items()]
        lines += [f"| `{name}` | | {reason} |" for name, reason in THEIRS.items()]
        (build.CACHE / "githubreceiver.md").write_text("\n".join(lines) + "\n")
        super().tearDownClass()
