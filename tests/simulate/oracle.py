"""What must have been exported, made from the deliveries alone: the rules written down a second time. No code is shared with
the daemon, nor with the world: it reads the bodies.

take() notes a delivery that was acknowledged; spans() are the last versions of all spans, in the form that otlp.py decodes,
as Expected, whose attributes may be AnyOf. The order of take() does not matter."""
import datetime
import hashlib
import json

SECOND = 1_000_000_000
FAILURES = ("failure", "timed_out", "startup_failure")
RESULTS = {"cancelled": "cancellation", "skipped": "skip", "timed_out": "timeout", "startup_failure": "error", "neutral": "success"}
# From the best to the worst: of a run of which only jobs are known.
SEVERITY = ("skipped", "neutral", "success", "cancelled", "action_required", "timed_out", "failure", "startup_failure")
PREPARATION = ("Set up job", "Set up runner", "Initialize containers")
GREGORIAN = 0x01B21DD213814000
SAMPLED_LOCAL = 0x101


class AnyOf:
    """The rules leave open which."""

    def __init__(self, values):
        self.values = set(values)

    def __eq__(self, other):
        return isinstance(other, str) and other in self.values

    def __repr__(self):
        return f"one of {sorted(self.values)}"

    __hash__ = None


def time_of(value, cache={}):
    """Nanoseconds, or None."""
    if not value:
        return None
    found = cache.get(value)
    if found is None:
        if len(cache) > 200_000:
            cache.clear()
        found = cache[value] = int(datetime.datetime.fromisoformat(value).timestamp()) * SECOND
    return found


def time_of_guid(guid):
    """Of a version-1 UUID, else None."""
    parts = guid.split("-")
    if len(parts) != 5 or parts[2][:1] != "1":
        return None
    ticks = int(parts[2][1:] + parts[1] + parts[0], 16)
    return (ticks - GREGORIAN) * 100


def md5(value):
    return hashlib.md5(value.encode()).hexdigest()


def earliest(*times):
    return min((time for time in times if time is not None), default=None)


def latest(*times):
    return max((time for time in times if time is not None), default=None)


def result_of(conclusion):
    return RESULTS.get(conclusion, conclusion)


class Repository:
    def __init__(self, body):
        self.full_name, self.name, self.owner = body["full_name"], body["name"], body["owner"]["login"]
        self.url, self.default = body["html_url"], body["default_branch"]
        service = (body.get("custom_properties") or {}).get("service_name") or self.name
        self.service = service.lower().replace("_", "-")
        self.server = self.url.split("/")[2]


class Step:
    def __init__(self, body):
        self.name, self.number, self.status = body["name"], body["number"], body["status"]
        self.conclusion = body["conclusion"]
        self.start, self.end = time_of(body["started_at"]), time_of(body["completed_at"])


class Job:
    """What all events of a job say together."""

    def __init__(self, number):
        self.number = number
        self.created = self.queued_at = self.queued = self.waiting = None
        self.version, self.body, self.repository, self.statuses = None, None, None, set()
        self.runner = (None, None, None, None)  # version, id, name, group
        self.deployment = (None, None, None)
        self.last_received, self.was_given_up = 0, False
        self.completed_received = self.silent_at = None
        self.queueing_received = 0

    def take(self, action, body, deployment, repository, occurred):
        times = [time_of(body.get(name)) for name in ("created_at", "started_at", "completed_at")]
        self.created = earliest(self.created, times[0])
        if action in ("queued", "waiting"):
            self.queued_at = earliest(self.queued_at, times[1])
        if action == "queued":
            self.queued = latest(self.queued, occurred)
        if action == "waiting":
            self.waiting = latest(self.waiting, occurred)
        steps = [Step(step) for step in body["steps"]]
        rank = {"queued": 0, "waiting": 0, "in_progress": 1, "completed": 2}[action]
        version = rank, latest(*times, *(step.start for step in steps), *(step.end for step in steps))
        if self.version is None or version > self.version:
            self.version, self.body, self.steps, self.repository = version, body, steps, repository
            self.statuses = {body["status"]}
        elif version == self.version:
            self.statuses.add(body["status"])
        runner = body["runner_id"] or None, body["runner_name"] or None, body["runner_group_name"] or None
        if rank >= 1 and (runner[0] or runner[1]) and (self.runner[0] is None or version >= self.runner[0]):
            self.runner = (version, *runner)
        if deployment and (self.deployment[0] is None or version >= self.deployment[0]):
            self.deployment = version, deployment.get("id"), deployment.get("environment")

    @property
    def is_completed(self):
        return self.version[0] == 2

    @property
    def conclusion(self):
        return self.body["conclusion"] if self.is_completed else None

    @property
    def started(self):
        return time_of(self.body["started_at"]) if self.version[0] >= 1 else None

    @property
    def completed(self):
        return time_of(self.body["completed_at"])

    @property
    def first(self):
        return self.created if self.created is not None else self.queued_at

    @property
    def is_waiting(self):
        return self.version[0] == 0 and not self.is_released

    @property
    def was_known_at_its_end(self):
        """Nothing that came after its end changed when it queued."""
        may_change = self.waiting is not None or self.created is None
        return not may_change or self.queueing_received < self.completed_received

    @property
    def is_skipped(self):
        return self.conclusion == "skipped"

    @property
    def is_released(self):
        return self.waiting is None or (self.queued is not None and self.queued > self.waiting)

    @property
    def is_carried_over(self):
        return (self.is_completed and self.body["run_attempt"] > 1 and not self.is_skipped and self.created is not None
                and self.started is not None and self.started < self.created - SECOND)

    @property
    def has_run(self):
        if not self.is_completed:
            return self.version[0] >= 1
        return bool(self.runner[1] or self.runner[2] or self.steps or self.conclusion in ("success", "neutral"))

    @property
    def fault(self):
        if not self.is_completed or self.conclusion not in FAILURES or self.is_skipped:
            return None
        if not self.has_run:
            return "not_started" if self.is_released else None
        return "runner_lost" if any(step.start is not None and step.end is None for step in self.steps) else None

    @property
    def result(self):
        return "error" if self.fault else result_of(self.conclusion)

    def last_evidence(self):
        times = [self.created, self.queued_at, self.started, self.completed, self.queued, self.waiting]
        return latest(*times, *(step.start for step in self.steps), *(step.end for step in self.steps))

    def lengths(self, end_of_run):
        """Start, end, {phase: (start, end)}."""
        if self.is_carried_over:
            return self.created, self.created, {}
        start = self.first if self.first is not None else self.started
        if self.is_completed:
            end = self.completed
            if end is None:
                end = latest(*(step.end for step in self.steps)) or self.started
        else:
            end = end_of_run if end_of_run is not None else self.last_evidence()
        end = max(start, end)
        return start, end, {} if self.is_skipped else self.phases(start, end)

    def phases(self, start, end):
        def clamp(at, low=start):
            return min(max(at, low), end)
        found = {}
        started = clamp(self.started) if self.has_run and self.started is not None else end
        # An in_progress event may still have the time of queueing as its start: no proof of a queue without length.
        is_known = not self.has_run or self.is_completed or self.started > (self.first or 0)
        ready = start
        if self.waiting is not None and is_known:
            ready = clamp(min(self.queued, started)) if self.is_released else started
            found["job.waiting"] = start, ready
        if self.first is not None and self.is_released and is_known:
            found["runner.queue"] = ready, started
        if not self.has_run:
            return found
        started = max(started, ready)
        prepared = self.end_of_preparation(end)
        if prepared is not None:
            prepared = clamp(prepared, started)
            found["runner.startup"] = started, prepared
            started = prepared
        found["runner.execution"] = started, end
        return found

    def end_of_preparation(self, end):
        steps, lead = sorted(self.steps, key=lambda step: step.number), 0
        while lead < len(steps) and steps[lead].name in PREPARATION:
            lead += 1
        if not lead:
            return None
        begun = earliest(*(step.start for step in steps[lead:]))
        if begun is not None:
            return begun
        ends = [step.end for step in steps[:lead]]
        if None not in ends:
            return max(ends)
        return end if self.is_completed else None


class Run:
    def __init__(self, server, number, attempt):
        self.server, self.number, self.attempt = server, number, attempt
        self.jobs = {}
        self.version = self.body = self.repository = self.workflow = None
        self.end = self.completed_received = None

    def __str__(self):
        return f"{self.server}/{self.number}/{self.attempt}"

    @property
    def may_be_open(self):
        """A job that waits for an approval is kept for 35 days, and its run with it."""
        return self.end is None and any(job.is_waiting for job in self.jobs.values())

    def take(self, action, body, workflow, repository):
        is_final = action == "completed" and body["conclusion"] != "action_required"
        # `requested` and `completed` can have one time: what has a conclusion says more.
        version = is_final, time_of(body["updated_at"]), SEVERITY.index(body["conclusion"]) if body["conclusion"] else -1
        if self.version is None or version > self.version:
            self.version, self.body, self.workflow, self.repository = version, body, workflow, repository
        if is_final:
            self.end = latest(self.end, version[1])

    @property
    def is_completed(self):
        return self.end is not None


class Oracle:
    """`job_grace`, `job_timeout`: when jobs of a run that is over, and silent ones, are given up (ns)."""

    def __init__(self, job_grace, job_timeout):
        self.runs, self.job_grace, self.job_timeout = {}, job_grace, job_timeout

    def take(self, event, guid, body, received):
        """`received`: the daemon's wall clock when it arrived."""
        document = json.loads(body)
        repository = Repository(document["repository"])
        if event == "workflow_run":
            inner = document["workflow_run"]
            run = self.run_of(repository.server, inner["id"], inner.get("run_attempt") or 1)
            run.take(document["action"], inner, document["workflow"], repository)
            if run.is_completed and run.completed_received is None:
                run.completed_received = received
            return run
        inner = document["workflow_job"]
        run = self.run_of(repository.server, inner["run_id"], inner.get("run_attempt") or 1)
        job = run.jobs.get(inner["id"])
        if job is None:
            job = run.jobs[inner["id"]] = Job(inner["id"])
        occurred = time_of_guid(guid)
        created = time_of(inner.get("created_at")) or time_of(inner.get("started_at")) or 0
        if occurred is None or not created - SECOND <= occurred <= received:
            occurred = received
        self.note_silence(run, job, received)
        job.take(document["action"], inner, document.get("deployment"), repository, occurred)
        job.last_received = max(job.last_received, received)
        if document["action"] == "completed":
            job.completed_received = earliest(job.completed_received, received)
        elif document["action"] != "in_progress":
            job.queueing_received = max(job.queueing_received, received)
        return run

    def note_silence(self, run, job, now):
        """Whether the job had been given up before: nothing was heard of it, or its run was over."""
        silent_at = job.last_received + self.job_timeout
        is_open = job.version is not None and not job.is_completed and not job.is_waiting
        if is_open and job.silent_at is None and silent_at < now and (run.completed_received or now) > silent_at:
            job.silent_at = silent_at
        if job.version is not None and not job.is_completed and run.completed_received is not None:
            job.was_given_up |= now > max(run.completed_received, job.last_received) + self.job_grace

    def end_of_given_up(self, run, job):
        """It ends with its run, which ends with the last job whose end is known by then; if the run is not over by then, with the
        last that is known of the job."""
        if not run.is_completed or job.is_completed:
            return None
        self.note_silence(run, job, 1 << 63)
        given_up = max(run.completed_received, job.last_received) + self.job_grace
        if job.silent_at is not None:
            given_up = max(job.silent_at, job.last_received)
            if run.completed_received > given_up:
                return None
        return max([run.end] + [one.lengths(None)[1] for one in run.jobs.values() if one.is_completed and one.completed_received <= given_up])

    def run_of(self, *key):
        run = self.runs.get(key)
        if run is None:
            run = self.runs[key] = Run(*key)
        return run

    def spans(self):
        for run in self.runs.values():
            yield from spans_of_run(run, self.end_of_given_up)


# --- spans -----------------------------------------------------------------------------------------

class Expected:
    __slots__ = ("trace", "span", "parent", "name", "kind", "start", "end", "attributes", "links", "status", "resource", "of")

    @property
    def key(self):
        return self.resource.get("server.address", "github.com"), self.trace, self.span

    def differences(self, found):
        """What a decoded span (otlp.Span) says otherwise, as texts."""
        wrong = []
        for name in ("parent", "name", "kind", "start", "end", "links", "status"):
            if getattr(self, name) != getattr(found, name):
                wrong.append(f"{name}: {getattr(found, name)!r}, must be {getattr(self, name)!r}")
        for what, mine, theirs in (("", self.attributes, found.attributes), ("resource ", self.resource, found.resource)):
            for name in mine.keys() | theirs.keys():
                one, other = mine.get(name), theirs.get(name)
                # True == 1, and an attribute without a value is not one that is absent.
                if one != other or isinstance(one, bool) != isinstance(other, bool) or (name in theirs and other is None):
                    wrong.append(f"{what}{name}: {theirs.get(name)!r}, must be {mine.get(name)!r}")
        if found.flags != SAMPLED_LOCAL or found.extra:
            wrong.append(f"flags {found.flags:#x}, fields {found.extra}")
        return wrong


def make(ids, parent, name, times, attributes, resource, of, conclusion=None, kind=1, links=(), fault=None, within=None):
    """`ids`: trace and span."""
    made = Expected()
    made.trace, made.span = ids
    made.parent, made.name, made.kind, made.links, made.resource, made.of = parent, name, kind, list(links), resource, of
    start, end = times[0], max(times)
    type_ = attributes["type"]
    # Runs, jobs and steps of no length get 1 ns, at their job's end in front.
    if start == end and type_ in ("workflow", "job", "step"):
        if type_ == "step" and within[0] < within[1] == end:
            start -= 1
        else:
            end += 1
    made.start, made.end = start, end
    made.status = (0, "")
    if conclusion in FAILURES and type_ in ("workflow", "job", "step"):
        attributes["error.type"] = fault or conclusion
        made.status = (2, conclusion)
    made.attributes = {key: value for key, value in attributes.items() if value is not None and value != "" and value != []}
    return made


def resource_of(run, repository, workflow, branch, sha):
    url = f"{repository.url}/actions/runs/{run.number}" + (f"/attempts/{run.attempt}" if run.attempt > 1 else "")
    values = {"service.name": repository.service, "cicd.pipeline.name": workflow, "cicd.pipeline.run.id": str(run.number),
              "cicd.pipeline.run.url.full": url, "vcs.provider.name": "github",
              "server.address": repository.server if repository.server != "github.com" else None, "vcs.owner.name": repository.owner,
              "vcs.repository.name": repository.name, "vcs.repository.url.full": repository.url, "vcs.ref.head.name": branch,
              "vcs.ref.head.revision": sha, "vcs.ref.head.type": "branch" if branch == repository.default else None}
    return {key: value for key, value in values.items() if value}


def spans_of_run(run, end_of_given_up):
    trace = md5(f"{run.number}-{run.attempt}")
    spans, lengths = [], []
    for job in run.jobs.values():
        lengths.append(job.lengths(end_of_given_up(run, job)))
        spans += spans_of_job(run, job, trace, lengths[-1])
    return [root_of(run, trace, lengths), *spans]


def root_of(run, trace, lengths):
    # Of a job that was carried over without a creation time only the times of an earlier attempt are known.
    first = earliest(*(times[0] for job, times in zip(run.jobs.values(), lengths) if run.attempt == 1 or job.first is not None))
    last = latest(*(end for _, end, _ in lengths))
    values = {"type": "workflow", "github.run_id": run.number, "github.run_attempt": run.attempt}
    if run.body is not None:
        body = run.body
        first = earliest(first, time_of(body["run_started_at"]))
        last = latest(last, time_of(body["updated_at"]))
        conclusion, repository = body["conclusion"], run.repository
        workflow = run.workflow["name"]
        pulls = body["pull_requests"]
        values.update({
            "github.run_number": body["run_number"], "github.event_name": body["event"], "github.actor": body["actor"]["login"],
            "github.triggering_actor": body["triggering_actor"]["login"], "github.workflow_path": body["path"],
            "github.display_title": body["display_title"],
            "github.referenced_workflows": [f"{one['path'].split('@')[0]}@{one['sha']}" for one in body["referenced_workflows"]],
            "vcs.change.id": str(pulls[0]["number"]) if pulls else None, "vcs.ref.base.name": pulls[0]["base"]["ref"] if pulls else None})
        resource = resource_of(run, repository, workflow, body["head_branch"], body["head_sha"])
    else:
        source = run.jobs[min(run.jobs)]
        repository, workflow = source.repository, source.body.get("workflow_name")
        known = [job.conclusion for job in run.jobs.values() if job.is_completed]
        conclusion = max(known, key=SEVERITY.index) if known else None
        resource = resource_of(run, repository, workflow, source.body.get("head_branch"), source.body["head_sha"])
    values.update({"cicd.pipeline.name": workflow, "cicd.pipeline.run.id": str(run.number), "github.conclusion": conclusion,
                   "cicd.pipeline.run.url.full": resource["cicd.pipeline.run.url.full"], "cicd.pipeline.result": result_of(conclusion),
                   "github.incomplete": None if run.is_completed else True})
    links = []
    if run.attempt > 1:
        links = [(md5(f"{run.number}-{run.attempt - 1}"), f"{run.number:016x}", SAMPLED_LOCAL)]
    name = f"RUN {workflow}" if workflow else "RUN"
    return make((trace, f"{run.number:016x}"), "", name, (first, last), values, resource, run, conclusion, 2, links)


def spans_of_job(run, job, trace, lengths):
    body, repository = job.body, job.repository
    start, end, phases = lengths
    job_span, job_id = f"{job.number:016x}", str(job.number)
    workflow, branch = body.get("workflow_name"), body.get("head_branch")
    if not workflow and run.body is not None:
        workflow, branch = run.workflow["name"], branch or run.body["head_branch"]
    resource = resource_of(run, repository, workflow, branch, body["head_sha"])
    _, runner_id, runner_name, group = job.runner
    queue = phases.get("runner.queue")
    values = {
        "cicd.pipeline.task.name": body["name"], "cicd.pipeline.task.run.id": job_id, "cicd.pipeline.task.run.url.full": body["html_url"],
        "cicd.pipeline.task.run.result": job.result, "cicd.worker.id": str(runner_id) if runner_id else None, "cicd.worker.name": runner_name,
        "type": "job", "github.job_id": job.number, "github.run_id": run.number, "github.run_attempt": run.attempt,
        "github.status": AnyOf(job.statuses) if len(job.statuses) > 1 else body["status"], "github.conclusion": job.conclusion,
        "github.repository": repository.full_name, "github.runner_name": runner_name, "github.runner_id": runner_id,
        "github.runner_group_name": group, "github.runner_labels": body["labels"],
        "queue_time_ms": (queue[1] - queue[0]) // 1_000_000 if queue else None,
        "deployment.environment.name": job.deployment[2], "deployment.id": str(job.deployment[1]) if job.deployment[1] else None,
        "github.carried_over": job.is_carried_over or None, "github.incomplete": None if job.is_completed else True}
    spans = [make((trace, job_span), f"{run.number:016x}", body["name"], (start, end), values, resource, run, job.conclusion, fault=job.fault)]
    for name, times in phases.items():
        values = {"type": name, "github.run_id": run.number, "github.job_id": job_id, "github.job_name": body["name"],
                  "github.repository": repository.full_name, "github.runner_name": runner_name, "github.runner_id": runner_id,
                  "cicd.pipeline.run.id": str(run.number), "cicd.pipeline.task.name": body["name"], "cicd.pipeline.task.run.id": job_id,
                  "cicd.worker.name": runner_name, "cicd.worker.id": str(runner_id) if runner_id else None, "vcs.repository.url.full": repository.url,
                  "github.phase_source": "webhook" if name != "job.waiting" else None}
        if name == "runner.execution":
            values.update({"github.conclusion": job.conclusion, "cicd.pipeline.task.run.result": job.result})
        spans.append(make((trace, md5(f"{name}-{job_span}")[:16]), job_span, name, times, values, resource, run))
    if not job.is_carried_over:
        spans += steps_of_job(run, job, trace, (start, end), resource)
    return spans


def steps_of_job(run, job, trace, within, resource):
    seen, job_span = set(), f"{job.number:016x}"

    def clamp(at):
        return min(max(at, within[0]), within[1])
    for step in sorted(job.steps, key=lambda step: step.number):
        repeat = f"-{step.number}" if step.name in seen else ""
        seen.add(step.name)
        if step.start is None:
            continue
        values = {"cicd.pipeline.task.name": step.name, "cicd.pipeline.task.run.id": f"{job.number}/{step.number}",
                  "cicd.pipeline.task.run.url.full": f"{job.body['html_url']}#step:{step.number}:1",
                  "cicd.pipeline.task.run.result": result_of(step.conclusion), "type": "step", "github.step_number": step.number,
                  "github.status": step.status, "github.conclusion": step.conclusion, "github.incomplete": True if step.end is None else None}
        end = within[1] if step.end is None else clamp(step.end)
        yield make((trace, md5(f"{job.number}-{step.name}{repeat}")[:16]), job_span, step.name, (clamp(step.start), end), values, resource, run,
                   step.conclusion, within=within)
