"""The spans that a run must become: the rules written a second time, in Python, from the run's own times."""
import hashlib

PREPARATION = ("Set up job", "Set up runner", "Initialize containers")
FAILURES = ("failure", "timed_out", "startup_failure")
RESULTS = {"cancelled": "cancellation", "skipped": "skip", "timed_out": "timeout", "startup_failure": "error",
           "neutral": "success"}
PHASES = ("job.waiting", "runner.queue", "runner.startup", "runner.execution")
RUNNER_PHASES = PHASES[1:]
SAMPLED_LOCAL = 0x101


# --- identities ------------------------------------------------------------------------------------

def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Ids:
    """Scheme `arc`."""

    def __init__(self, run_id, attempt=1):
        self.run_id, self.attempt = run_id, attempt
        self.trace = md5(f"{run_id}-{attempt}")
        self.root = f"{run_id:016x}"

    def job(self, job_id, name=""):
        return f"{job_id:016x}"

    def phase(self, phase, job_id, name=""):
        return md5(f"{phase}-{self.job(job_id, name)}")[:16]

    def step(self, job_id, step_name, number, repeat=False, job_name=""):
        return md5(f"{job_id}-{step_name}-{number}" if repeat else f"{job_id}-{step_name}")[:16]


class CollectorIds(Ids):
    def __init__(self, run_id, attempt=1):
        super().__init__(run_id, attempt)
        self.trace = sha256(f"{run_id}{attempt}t")[:32]
        self.root = sha256(f"{run_id}{attempt}s")[16:32]

    def job(self, job_id, name=""):
        return sha256(f"{job_id}-j")[16:32]

    def phase(self, phase, job_id, name=""):
        if phase == "runner.queue":
            return sha256(f"{job_id}-q")[16:32]
        return super().phase(phase, job_id, name)

    def step(self, job_id, step_name, number, repeat=False, job_name=""):
        return sha256(f"{job_id}-{step_name}-{number}-s" if repeat else f"{job_id}-{step_name}-s")[16:32]


class RunnerIds(Ids):
    def __init__(self, run_id, attempt=1):
        super().__init__(run_id, attempt)
        self.trace = sha256(f"{run_id}-{attempt}")[:32]

    def job(self, job_id, name=""):
        return sha256(f"job-{self.run_id}-{self.attempt}-{name}")[:16]

    def step(self, job_id, step_name, number, repeat=False, job_name=""):
        return sha256(f"step-{self.run_id}-{self.attempt}-{job_name}-{number}-{step_name}")[:16]


SCHEMES = {"arc": Ids, "collector": CollectorIds, "runner": RunnerIds}


# --- spans -----------------------------------------------------------------------------------------

def ns(seconds):
    """Milliseconds are kept; GitHub's bodies have whole seconds, its GUIDs milliseconds."""
    return round(seconds * 1000) * 1_000_000



def dotted(pairs):
    """Absent data means an absent attribute."""
    return {key: value for key, value in pairs.items() if value is not None and value != "" and value != []}


def result_of(conclusion):
    return RESULTS.get(conclusion, conclusion)


def run_url(run):
    return run.url if run.attempt == 1 else f"{run.url}/attempts/{run.attempt}"


def never_ran(job):
    return not job.runner_name and not job.runner_id and not job.steps and job.conclusion != "success"


def fault_of(job):
    """What is an error of the system, and not of what ran: the runner was lost, or there never was one."""
    if job.conclusion not in FAILURES:
        return None
    if never_ran(job):
        return "not_started"
    return "runner_lost" if any(step.start is not None and step.end is None for step in job.steps) else None


def job_result(job):
    return "error" if fault_of(job) else result_of(job.conclusion)


def lengthened(start, end, of_type, parent=None):
    """Runs, jobs and steps of no length get 1 ns, since Jaeger warns of spans without; at their job's end, in front."""
    end = max(start, end)
    if start != end or of_type not in ("workflow", "job", "step"):
        return start, end
    if of_type == "step" and parent and parent[0] < parent[1] == end:
        return start - 1, end
    return start, end + 1


def span(ids, span_id, parent, name, start, end, attributes, resource, conclusion=None, kind=1, links=(), fault=None,
         within=None):
    start, end = lengthened(start, end, attributes.get("type"), within)
    failed = conclusion in FAILURES
    if failed and attributes.get("type") in ("workflow", "job", "step"):
        attributes = dict(attributes, **{"error.type": fault or conclusion})
    return {"traceId": ids.trace, "spanId": span_id, "parentSpanId": parent, "traceState": "", "name": name,
            "kind": kind, "startTimeUnixNano": start, "endTimeUnixNano": end,
            "attributes": dotted(attributes), "events": [], "links": list(links),
            "status": {"code": 2, "message": conclusion} if failed else {"code": 0, "message": ""},
            "flags": SAMPLED_LOCAL, "resource": resource}


def resource_of(run):
    repository = run.repository
    return dotted({
        "service.name": repository.service_name, "cicd.pipeline.name": run.workflow,
        "cicd.pipeline.run.id": str(run.run_id), "cicd.pipeline.run.url.full": run_url(run),
        "vcs.provider.name": "github",
        "server.address": repository.server if repository.server != "github.com" else None, "vcs.owner.name": repository.owner, "vcs.repository.name": repository.name,
        "vcs.repository.url.full": repository.url, "vcs.ref.head.name": run.head_branch,
        "vcs.ref.head.revision": run.head_sha,
        "vcs.ref.head.type": "branch" if run.head_branch == repository.default_branch else None})


def root_span(run, end=None, scheme="arc"):
    """`end` in seconds, where a job ended after the run's updated_at."""
    ids = SCHEMES[scheme](run.run_id, run.attempt)
    number, base = run.pull_request or (None, None)
    links = []
    if run.attempt > 1:
        before = SCHEMES[scheme](run.run_id, run.attempt - 1)
        links = [{"traceId": before.trace, "spanId": before.root, "traceState": "", "attributes": {},
                  "flags": SAMPLED_LOCAL}]
    attributes = {
        "cicd.pipeline.name": run.workflow, "cicd.pipeline.run.id": str(run.run_id),
        "cicd.pipeline.run.url.full": run_url(run), "cicd.pipeline.result": result_of(run.conclusion),
        "type": "workflow", "github.run_id": run.run_id, "github.run_attempt": run.attempt,
        "github.run_number": run.run_number, "github.event_name": run.event, "github.conclusion": run.conclusion,
        "github.actor": run.actor, "github.triggering_actor": run.triggering_actor,
        "github.workflow_path": run.path, "github.display_title": run.display_title,
        "github.referenced_workflows": [f"{path.split('@')[0]}@{sha}" for path, sha in run.referenced],
        "vcs.change.id": str(number) if number else None, "vcs.ref.base.name": base}
    return span(ids, ids.root, "", f"RUN {run.workflow}", ns(run.started), ns(max(run.updated, end or 0)), attributes,
                resource_of(run), run.conclusion, kind=2, links=links)


class JobModel:
    """The boundaries of a completed job's phases, in nanoseconds."""

    def __init__(self, job, released=None, saw_waiting=None):
        self.job = job
        created = job.created if not job.run.is_old else None
        first = created if created is not None else job.queued_at
        self.has_queue = first is not None
        if first is None:
            first = job.started
        self.start = ns(first)
        self.end = max(self.start, ns(job.completed_at))
        self.waited = job.waiting_at is not None if saw_waiting is None else saw_waiting
        released = released if released is not None else job.released
        self.released = self.clamp(ns(released)) if self.waited and released else self.start
        self.started = max(self.released, self.clamp(ns(job.started)))
        steps = sorted(job.steps, key=lambda step: step.number)
        lead = 0
        while lead < len(steps) and steps[lead].name in PREPARATION:
            lead += 1
        self.prepared = None
        if lead:
            begun = [step.start for step in steps[lead:] if step.start is not None]
            ends = [step.end for step in steps[:lead]]
            boundary = min(begun) if begun else job.completed_at if None in ends else max(ends)
            self.prepared = max(self.started, self.clamp(ns(boundary)))

    def clamp(self, at):
        return min(max(at, self.start), self.end)

    def phases(self):
        job = self.job
        if job.conclusion == "skipped":
            return
        if self.waited:
            yield "job.waiting", self.start, self.released
        if never_ran(job):
            yield "runner.queue", self.released, self.end
            return
        if self.has_queue:
            yield "runner.queue", self.released, self.started
        if self.prepared is not None:
            yield "runner.startup", self.started, self.prepared
        yield "runner.execution", self.prepared or self.started, self.end


def job_spans(job, resource=None, scheme="arc", released=None, saw_waiting=None, steps=True, phases=True):
    """The job's span, its phases and its steps."""
    run = job.run
    ids = SCHEMES[scheme](run.run_id, run.attempt)
    resource = resource or resource_of(run)
    model = JobModel(job, released, saw_waiting)
    job_span = ids.job(job.job_id, job.name)
    phase_times = list(model.phases())
    queue = next(((end - start) // 1_000_000 for name, start, end in phase_times if name == "runner.queue"), None)
    runner_id = job.runner_id or None
    attributes = {
        "cicd.pipeline.task.name": job.name, "cicd.pipeline.task.run.id": str(job.job_id),
        "cicd.pipeline.task.run.url.full": job.html_url, "cicd.pipeline.task.run.result": job_result(job),
        "cicd.worker.id": str(runner_id) if runner_id else None, "cicd.worker.name": job.runner_name, "type": "job",
        "github.job_id": job.job_id, "github.run_id": run.run_id, "github.run_attempt": run.attempt,
        "github.status": job.status, "github.conclusion": job.conclusion,
        "github.repository": run.repository.full_name, "github.runner_name": job.runner_name,
        "github.runner_id": runner_id, "github.runner_group_name": job.runner_group,
        "github.runner_labels": job.labels, "queue_time_ms": queue, "deployment.environment.name": job.environment,
        "deployment.id": str(job.deployment_id) if job.deployment_id else None}
    spans = [span(ids, job_span, ids.root, job.name, model.start, model.end, attributes, resource, job.conclusion,
                  fault=fault_of(job))]
    if phases:
        spans += [phase_span(ids, job, name, start, end, resource) for name, start, end in phase_times]
    return spans + (step_spans(ids, job, model, resource) if steps else [])


def phase_span(ids, job, name, start, end, resource):
    run, runner_id = job.run, job.runner_id or None
    attributes = {
        "type": name, "github.run_id": run.run_id, "github.job_id": str(job.job_id), "github.job_name": job.name,
        "github.repository": run.repository.full_name, "github.runner_name": job.runner_name,
        "github.runner_id": runner_id, "cicd.pipeline.run.id": str(run.run_id), "cicd.pipeline.task.name": job.name,
        "cicd.pipeline.task.run.id": str(job.job_id), "cicd.worker.name": job.runner_name,
        "cicd.worker.id": str(runner_id) if runner_id else None, "vcs.repository.url.full": run.repository.url}
    if name == "runner.execution":
        attributes["github.conclusion"] = job.conclusion
        attributes["cicd.pipeline.task.run.result"] = job_result(job)
    if name != "job.waiting":
        attributes["github.phase_source"] = "webhook"
    return span(ids, ids.phase(name, job.job_id, job.name), ids.job(job.job_id, job.name), name, start, end, attributes,
                resource)


def step_spans(ids, job, model, resource):
    spans, seen = [], set()
    for step in job.steps:
        repeat = step.name in seen
        seen.add(step.name)
        if step.start is None:
            continue
        is_open = step.end is None
        end = model.end if is_open else model.clamp(ns(step.end))
        attributes = {
            "cicd.pipeline.task.name": step.name, "cicd.pipeline.task.run.id": f"{job.job_id}/{step.number}",
            "cicd.pipeline.task.run.url.full": f"{job.html_url}#step:{step.number}:1",
            "cicd.pipeline.task.run.result": result_of(step.conclusion), "type": "step",
            "github.step_number": step.number, "github.status": step.status, "github.conclusion": step.conclusion,
            "github.incomplete": True if is_open else None}
        spans.append(span(ids, ids.step(job.job_id, step.name, step.number, repeat, job.name),
                          ids.job(job.job_id, job.name), step.name, model.clamp(ns(step.start)), end, attributes,
                          resource, step.conclusion, within=(model.start, model.end)))
    return spans


def run_spans(run, scheme="arc", **kinds):
    spans = [root_span(run, max((job.completed_at for job in run.jobs), default=0), scheme)]
    for job in run.jobs:
        spans += job_spans(job, scheme=scheme, **kinds)
    return spans


def assigned_spans(run, assigned, scheme="arc"):
    """run_spans() where ARC assigned these jobs: {job: seconds}."""
    spans, ids = run_spans(run, scheme), SCHEMES[scheme](run.run_id, run.attempt)
    found = by_id(spans)
    for job, at in assigned.items():
        phases = {name: found[ids.phase(name, job.job_id, job.name)] for name in RUNNER_PHASES}
        phases["runner.queue"]["endTimeUnixNano"] = phases["runner.startup"]["startTimeUnixNano"] = ns(at)
        for phase in phases.values():
            phase["attributes"]["github.phase_source"] = "arc"
    return spans


def ids_of(spans):
    return [(one["traceId"], one["spanId"]) for one in spans]


def by_id(spans):
    return {one["spanId"]: one for one in sorted(spans, key=lambda one: one["spanId"])}
