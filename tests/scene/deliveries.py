"""The webhooks that GitHub sends of a world's runs, and when each arrives: late, repeated, out of order."""
import random
import uuid

from payloads import Job, Repository, Run

USUAL, MOST = 0.3, 4.0        # seconds that a delivery takes
LATE, REPEATED = 0.01, 0.03   # the share of those that take minutes, and of those that come twice
WAITS_AT_GATE_AFTER = 1.5     # seconds after the job was made


class Delivery:
    """`at`: when it happened, by GitHub. `due`: when it arrives. `kind`: what it says of `job`."""

    def __init__(self, at, due, kind, subject, make):
        self.at, self.due, self.kind, self.subject, self.make = at, due, kind, subject, make
        self.is_late = due > at + MOST + 1

    def __repr__(self):
        return f"<{self.kind} {getattr(self.subject, 'number', '')} at {self.at:.2f}>"


class Payloads:
    """GitHub's objects of a world's."""

    def __init__(self):
        self.runs, self.jobs = {}, {}

    def of_run(self, run):
        if run not in self.runs:
            first = self.of_run(run.first) if run.first else None
            made = Run(run_id=first.run_id if first else None, attempt=run.attempt, started=run.created,
                       repository=Repository(run.repository))
            if run.ended is not None:
                made.updated = run.ended + 1
            self.runs[run] = made
        return self.runs[run]

    def of_job(self, job, pool):
        if job not in self.jobs:
            made = Job(self.of_run(job.run), job.name, job.created, conclusion=job.conclusion)
            made.labels, made.runner_group = list(pool.labels), pool.group
            if job.runner is not None:
                made.runner_id = 10_000 + job.runner if not pool.ceiling else 1_000_000 + job.number
                made.runner_name = f"{pool.group} {made.runner_id}"
            self.set_times(job, made)
            self.jobs[job] = made
        return self.jobs[job]

    def set_times(self, job, made):
        if job.is_skipped:
            made.skipped()
        elif job.carried_from is not None:
            made.carried_over(job.carried_from.started or job.carried_from.ended, job.carried_from.ended)
        elif job.was_cancelled_in_queue:
            made.cancelled_in_queue(job.ended)
        elif job.started is not None:
            made.started, made.completed_at = job.started, job.ended
            made.steps = made.usual_steps()
            if job.is_lost:
                made.lost("make")
        if job.gate is not None:
            made.waiting_at, made.released, made.environment = job.created + WAITS_AT_GATE_AFTER, job.released, "production"
            made.deployment_id = 3_192_898_954


def of_world(world, until, seed, payloads=None, late=LATE):
    """All, in the order in which they arrive; what happens at `until` or later is left out."""
    rng, payloads, found = random.Random(seed), payloads or Payloads(), []

    def add(at, kind, subject, make):
        if at >= until:
            return
        due = at + min(MOST, rng.expovariate(1 / USUAL))
        if rng.random() < late and kind in ("in_progress", "completed"):
            due = at + rng.uniform(60, 240)
        found.append(Delivery(at, due, kind, subject, make))
        if rng.random() < REPEATED:
            found.append(Delivery(at, due + rng.uniform(1, 20), "repeated", subject, make))

    for run in world.runs:
        body = payloads.of_run(run)
        if run.attempt == 1:
            add(run.created + 0.1, "run", run, body.requested)
        if run.ended is not None and not run.is_unreported:
            add(run.ended + 1.4, "run over", run, body.completed)
    for job in world.jobs:
        for at, kind, make in events_of(job, payloads.of_job(job, world.pools[job.pool])):
            add(at, kind, job, make)
    return sorted(found, key=lambda delivery: delivery.due)


def events_of(job, body):
    """(when GitHub sends it, what, how to make it). Its GUID has the same time, as GitHub's have."""
    if not job.is_counted:
        return [(job.created + 1, "completed", lambda: body.completed(job.created + 1))]
    found = [(job.created + 0.25, "queued", lambda: body.queued(job.created + 0.25))]
    if job.gate is not None:
        found += [(job.created + 2, "waiting", lambda: body.waiting(job.created + 2)), (job.released, "released", body.requeued)]
    if job.started is not None:
        found.append((job.started + 0.75, "in_progress", body.in_progress))
    if job.ended is not None and not job.is_unreported:
        found.append((job.ended + 0.5, "completed", body.completed))
    return found


class Sent:
    """A delivery's event, made once, so that a repeated one has the same GUID and body."""

    def __init__(self):
        self.made = {}

    def event_of(self, delivery):
        key = (delivery.subject, delivery.make)
        if key not in self.made:
            event = delivery.make()
            self.made[key] = event
            assert uuid.UUID(event.guid).version == 1
        return self.made[key]
