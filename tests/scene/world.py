"""An organization with pools of known capacities: its jobs, and when each was ready, had a runner and ended.

Pure: from the same seed the same jobs. All times are whole seconds but those of approvals, as GitHub's. Jobs are served in
the order in which they became ready, by the runners of their pool or, of pools under one ceiling, by as many as that allows.
A job is ready when it was created or approved; its runner takes it at once, but GitHub says that it started `startup`
later. What is decided for a job beforehand (when it is created, how long it runs) does not depend on the runners, so the
same jobs can be served by another number of them.
"""
import dataclasses
import heapq
import itertools
import random

MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclasses.dataclass
class Pool:
    labels: list
    group: str
    runners: int = 0      # of its own; 0: those of its ceiling
    ceiling: str | None = None
    rate: float = 6.0     # runs per hour on a quiet day
    length: float = 200.0  # median, of jobs

    @property
    def name(self):
        return ",".join(sorted(self.labels)).lower()


@dataclasses.dataclass(eq=False)
class Job:
    """`started`, `ended`: None if it never had a runner, or did not end."""
    run: object
    pool: str
    name: str
    created: int
    service: int
    startup: int = 1
    gate: float | None = None      # how long it waits for an approval
    patience: int | None = None    # cancelled if it has not started by then
    conclusion: str = "success"
    carried_from: object = None    # the job of an earlier attempt that was not run again
    is_skipped: bool = False
    number: int = 0                # in the order in which they were made
    started: int | None = None
    ended: int | None = None
    is_lost: bool = False
    is_unreported: bool = False    # its `completed` never comes
    runner: int | None = None

    @property
    def released(self):
        return None if self.gate is None else self.created + self.gate

    @property
    def ready(self):
        return self.created if self.gate is None else self.released

    @property
    def is_counted(self):
        return not self.is_skipped and self.carried_from is None

    @property
    def was_cancelled_in_queue(self):
        return self.is_counted and self.ended is not None and self.started is None


@dataclasses.dataclass(eq=False)
class Run:
    number: int
    repository: str
    created: int
    attempt: int = 1
    first: object = None   # the first attempt
    is_unreported: bool = False  # its `completed` never comes
    jobs: list = dataclasses.field(default_factory=list)

    @property
    def ended(self):
        ends = [job.ended for job in self.jobs]
        return max(ends) if ends and None not in ends else None


@dataclasses.dataclass
class Outage:
    """All runners of a pool die, and come back. What ran there is lost: GitHub ends it `notice` seconds later."""
    pool: str
    begin: int
    end: int
    notice: int = 600


# --- serving --------------------------------------------------------------------------------------

END, UP, DOWN, CANCEL, READY = range(5)  # in this order at the same time


class Servers:
    """The runners of a pool, or those that a ceiling allows to several pools."""

    def __init__(self, count):
        self.count, self.is_up = count, True
        self.free = list(range(count))
        self.queue = []
        self.running = set()


class Service:
    """One pass through all jobs: who gets which runner when. Does not change the jobs."""

    def __init__(self, pools, limits, outages, more):
        self.servers = {name: Servers(limit + more.get(name, 0)) for name, limit in limits.items()}
        self.of_pool = {}
        for pool in pools:
            if not pool.ceiling:
                self.servers[pool.name] = Servers(pool.runners + more.get(pool.name, 0))
            self.of_pool[pool.name] = self.servers[pool.ceiling or pool.name]
        self.started, self.ended, self.runner, self.lost = {}, {}, {}, set()
        self.events = []
        self.order = itertools.count()
        for outage in outages:
            self.add(outage.begin, DOWN, outage)
            self.add(outage.end, UP, outage)

    def add(self, at, kind, what):
        heapq.heappush(self.events, (at, kind, next(self.order), what))

    def serve(self, jobs):
        for job in jobs:
            if job.is_counted:
                self.add(job.ready, READY, job)
                if job.patience is not None:
                    self.add(int(job.ready) + job.patience, CANCEL, job)
        actions = {END: self.end, UP: self.go_up, DOWN: self.go_down, CANCEL: self.cancel, READY: self.become_ready}
        while self.events:
            at, kind, _, what = heapq.heappop(self.events)
            actions[kind](at, what)
        return self

    def become_ready(self, at, job):
        servers = self.of_pool[job.pool]
        heapq.heappush(servers.queue, (at, job.number, job))
        self.dispatch(at, servers)

    def cancel(self, at, job):
        if job not in self.started and job not in self.ended:
            servers = self.of_pool[job.pool]
            servers.queue = [entry for entry in servers.queue if entry[2] is not job]
            heapq.heapify(servers.queue)
            self.ended[job] = at

    def dispatch(self, at, servers):
        while servers.is_up and servers.free and servers.queue:
            job = heapq.heappop(servers.queue)[2]
            self.runner[job] = heapq.heappop(servers.free)
            servers.running.add(job)
            self.started[job] = int(at) + job.startup
            self.ended[job] = self.started[job] + job.service
            self.add(self.ended[job], END, job)

    def end(self, at, job):
        servers = self.of_pool[job.pool]
        if job in servers.running:
            servers.running.remove(job)
            heapq.heappush(servers.free, self.runner[job])
            self.dispatch(at, servers)

    def go_down(self, at, outage):
        servers = self.of_pool[outage.pool]
        servers.is_up = False
        for job in servers.running:
            self.lost.add(job)
            self.ended[job] = max(at, self.started[job]) + outage.notice
        servers.running.clear()

    def go_up(self, at, outage):
        servers = self.of_pool[outage.pool]
        servers.is_up = True
        servers.free = list(range(servers.count))
        self.dispatch(at, servers)


# --- the organization -----------------------------------------------------------------------------

class World:
    def __init__(self, pools, limits, begin, end, seed):
        self.pools = {pool.name: pool for pool in pools}
        self.limits = limits
        self.begin, self.end = begin, end
        self.rng = random.Random(seed)
        self.outages, self.runs, self.jobs = [], [], []
        self.still = (0, 0)  # no run is repeated in this time

    def run(self, created, repository, attempt=1, first=None):
        run = Run(len(self.runs), repository, int(created), attempt, first)
        self.runs.append(run)
        return run

    def job(self, run, pool, name, service, offset=0, **kinds):
        kinds.setdefault("startup", self.rng.choice((1, 1, 2, 3)))
        job = Job(run, pool, name, run.created + offset, int(service), number=len(self.jobs), **kinds)
        run.jobs.append(job)
        self.jobs.append(job)
        return job

    def service_time(self, pool):
        return max(20, min(1500, int(self.rng.lognormvariate(0, 0.7) * pool.length)))

    def quiet(self, begin, end):
        """Ordinary work: runs with a matrix of jobs in one pool, approvals, cancelled and skipped jobs, re-runs."""
        for pool in self.pools.values():
            at = begin
            while (at := at + self.rng.expovariate(pool.rate / HOUR)) < end:
                self.quiet_run(at, pool)

    def quiet_run(self, at, pool):
        rng = self.rng
        run = self.run(at, f"acme/r{rng.randrange(12)}")
        for number in range(rng.choice((1, 1, 1, 2, 3, 4))):
            kinds = {}
            if rng.random() < 0.04:
                kinds["gate"] = rng.randrange(90, 900) + 0.25
            elif rng.random() < 0.04:
                kinds["patience"] = rng.randrange(30, 400)
            if rng.random() < 0.1:
                kinds["conclusion"] = "failure"
            self.job(run, pool.name, f"test ({number})", self.service_time(pool), rng.randrange(3), **kinds)
        if rng.random() < 0.1:
            self.job(run, pool.name, "publish", 0, 5, is_skipped=True)
        if rng.random() < 0.06:
            self.rerun(run, pool, rng.randrange(3 * HOUR, 4 * HOUR))

    def rerun(self, first, pool, after):
        """The failed ones, or else the first, run again; the others are carried over."""
        if self.still[0] <= first.created + after < self.still[1]:
            return
        again = self.run(first.created + after, first.repository, 2, first)
        failed = [job for job in first.jobs if job.conclusion == "failure"] or first.jobs[:1]
        for job in first.jobs:
            if job in failed:
                self.job(again, pool.name, job.name, self.service_time(pool))
            elif job.is_counted and job.gate is None and job.patience is None:
                self.job(again, pool.name, job.name, 0, carried_from=job)

    def serve(self, more=None):
        """What happens with `more` runners: {pool or ceiling: number}."""
        return Service(list(self.pools.values()), self.limits, self.outages, more or {}).serve(self.jobs)

    def settle(self):
        """Decides what happens. Jobs whose old attempt had not ended yet are not carried over."""
        done = self.serve()
        for job in self.jobs:
            job.started, job.ended = done.started.get(job), done.ended.get(job)
            job.is_lost, job.runner = job in done.lost, done.runner.get(job)
            if job.is_lost:
                job.conclusion = "failure"
        for job in list(self.jobs):
            old = job.carried_from
            if job.is_skipped:
                job.ended = job.created
            elif old is not None and (old.ended is None or old.ended > job.created - 60):
                self.jobs.remove(job)
                job.run.jobs.remove(job)
            elif old is not None:
                job.ended = job.created
        self.runs = [run for run in self.runs if run.jobs]
        return self
