"""An organization that uses GitHub Actions, and what GitHub delivers of it. From the same seed the same bytes.

It has runs, jobs, pools, and the deliveries that they cause; traces are the oracle's. Which of the recorded facts about GitHub's
webhooks (numbers as in the notes on them) are options here:

    1-3   failed deliveries come again: by hand, with the same GUID     redelivery, always
    4     an exact copy comes days later                                 copies_days_later
    5     two bodies under one GUID                                      two_apps
    6     a GUID has the time of its event                               always (random ones: the black-box tests)
    7, 8  order is not guaranteed; deliveries take minutes                late, scrambled
    9-12  headers, signatures, forms                                     forms
    14    sizes                                                          matrix_max, many_steps
    18,19 events and actions that are not known, `ping`                  noise
    20,21 the same job arrives from several hooks                        several_hooks
    23    only workflow_job events                                       jobs_only
    25-27 gates: queued, waiting, queued; queued twice                   gates, queued_twice
    28-33 events that are lost or never sent                             missing, skipped, cancelled_in_queue, stuck
    34    a job runs on the runner made for another                      own pools: runners are taken by order
    35-37 check runs disguised as jobs                                   disguised
    38-40 what started_at means                                          always
    41    payloads from before 2023                                      old_payloads (of an Enterprise Server)
    42,43 ends before starts, starts before creations                    odd_times
    44    cancelled before a runner                                      cancelled_in_queue
    45,46 steps beyond their job, times of whole seconds                 odd_times, always
    47    fractions                                                      fractions
    49,50 gaps and repeats in steps                                      always
    51-54 steps that are open, pending, cancelled                        lost_runners, pending_steps, cancelled
    55    names of steps are free text                                   always
    58-61 several in_progress of a run, its end before its jobs'          run_in_progress_many, early_end
    62    action_required                                                first_contributors
    63    no `requested` of a re-run                                     always
    64,65 runs without jobs                                              startup_failures, concurrency
    66,67 times of runs                                                  always
    68    time-outs are `cancelled`                                      cancelled
    69,70 names of runs, forks                                           always
    72    referenced workflows                                           reusable
    73-77 re-runs: new ids, carried-over jobs                            reruns
    78,80 sizes of ids; null, 0 and ""                                   always
    81,82 ids next to each other, jobs of one name                       always
    83,84 names of jobs in matrices                                      always
    86,87 steps that overlap                                             parallel_steps
    92    a lost runner is noticed late                                  lost_runners
Not made: 15 (never seen), 56 (one odd status), 71 (never seen), 88-91, 93 (no such deliveries).
"""
import dataclasses
import functools
import hashlib
import heapq
import hmac
import itertools
import json
import math
import random
import time
import urllib.parse

SECOND = 1_000_000_000
MINUTE, HOUR, DAY = 60, 3600, 86400
SECRET = "It's a Secret to Everybody"
GREGORIAN = 0x01B21DD213814000  # of a version-1 UUID: 100 ns since 1582
USED, IGNORED, PONG, BAD, UNSIGNED = "used", "ignored", "pong", "bad", "unsigned"
STATUS_OF = {USED: 202, IGNORED: 200, PONG: 200, BAD: 400, UNSIGNED: 401}


@dataclasses.dataclass
class Options:
    """How a world is; drawn from its seed. Shares are of runs, of jobs, or of deliveries."""
    repositories: int = 20
    deliveries_a_day: int = 300
    hosted_pools: int = 2
    own_pools: int = 2
    matrix_max: int = 8
    reruns: float = 0.05
    gates: float = 0.03
    queued_twice: float = 0.02
    skipped: float = 0.08
    cancelled_in_queue: float = 0.02
    cancelled: float = 0.02
    failures: float = 0.1
    lost_runners: float = 0.01
    stuck: float = 0.005
    parallel_steps: float = 0.1
    many_steps: float = 0.01
    pending_steps: float = 0.01
    disguised: float = 0.03
    reusable: float = 0.1
    startup_failures: float = 0.01
    concurrency: float = 0.02
    first_contributors: float = 0.01
    early_end: float = 0.1
    run_in_progress_many: bool = True
    odd_times: bool = True
    fractions: bool = False
    old_payloads: bool = False
    second_server: bool = False
    jobs_only: bool = False
    forms: bool = False
    missing: float = 0.0
    late: float = 0.01
    scrambled: float = 0.02
    copies: float = 0.02
    copies_days_later: float = 0.0
    two_apps: float = 0.0
    several_hooks: bool = False
    noise: float = 0.02
    outages: float = 0.0      # of GitHub, a day: nothing arrives for a while, then all at once

    def __str__(self):
        return " ".join(f"{field.name}={getattr(self, field.name):.4g}" if isinstance(getattr(self, field.name), float)
                        else f"{field.name}={getattr(self, field.name)}" for field in dataclasses.fields(self))


def log_uniform(rng, low, high):
    return int(math.exp(rng.uniform(math.log(low), math.log(high + 1))))


def draw_options(rng):
    made = Options(repositories=log_uniform(rng, 20, 3000), deliveries_a_day=log_uniform(rng, 50, 2000),
                   hosted_pools=rng.randint(1, 4), own_pools=rng.randint(0, 5),
                   matrix_max=rng.choice((4, 8, 16, 64, 256)))
    for field in dataclasses.fields(Options):
        usual = field.default
        if isinstance(usual, bool):
            setattr(made, field.name, rng.random() < 0.3)
        elif isinstance(usual, float):
            setattr(made, field.name, rng.choice((0.0, usual, usual, 3 * usual)))
    made.missing = rng.choice((0.0, 0.0, 0.003, 0.02))
    made.copies_days_later = rng.choice((0.0, 0.0, 0.01))
    made.two_apps = rng.choice((0.0, 0.0, 0.02))
    made.outages = rng.choice((0.0, 0.0, 0.2))
    return made


# --- texts -----------------------------------------------------------------------------------------

@functools.lru_cache(1 << 16)
def iso(at):
    return "null" if at is None else time.strftime('"%Y-%m-%dT%H:%M:%SZ"', time.gmtime(at))


@functools.lru_cache(1 << 14)
def text(value):
    return json.dumps(value, ensure_ascii=False)


def guid_of(at_ms, rng):
    ticks = at_ms * 10_000 + GREGORIAN
    noise = rng.getrandbits(62)
    return (f"{ticks & 0xFFFFFFFF:08x}-{ticks >> 32 & 0xFFFF:04x}-{ticks >> 48 & 0xFFF | 0x1000:04x}-"
            f"{0x8000 | noise & 0x3FFF:04x}-{noise >> 14 & 0xFFFFFFFFFFFF:012x}")


class Delivery:
    """`at`: when it happens, `due`: when it arrives (ns). `kind`: what must be answered. `run`, `job`, `action` for people."""
    __slots__ = ("at", "due", "event", "guid", "body", "kind", "run", "action", "is_form", "secret")

    def __init__(self, at, event, guid, body, kind, run=None, action=""):
        self.at = self.due = at
        self.event, self.guid, self.body, self.kind, self.run, self.action = event, guid, body, kind, run, action
        self.is_form, self.secret = False, SECRET

    def copy(self, due):
        made = Delivery(self.at, self.event, self.guid, self.body, self.kind, self.run, self.action)
        made.due, made.is_form = due, self.is_form
        return made

    def wire(self):
        """What is posted: body, headers."""
        body = self.body.encode()
        content = "application/json"
        if self.is_form:
            body, content = b"payload=" + urllib.parse.quote_plus(body).encode(), "application/x-www-form-urlencoded"
        headers = {"Accept": "*/*", "Content-Type": content, "User-Agent": "GitHub-Hookshot/044aadd",
                   "X-GitHub-Delivery": self.guid, "X-GitHub-Event": self.event}
        if self.secret is not None:
            headers["X-Hub-Signature-256"] = "sha256=" + hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()
        return body, headers

    def __repr__(self):
        return f"<{self.event} {self.action} of {self.run} at {self.at / SECOND:.3f}>"


# --- what there is ---------------------------------------------------------------------------------

WORDS = ("rocket", "Flux_Engine", "site", "api", "Door-Bell", "data_lake", "infra", "mobile", "docs", "ledger")
WORKFLOWS = ("Build and test", "CI", "release \u2192 prod", "Nightly \U0001F319", "lint \"all\"", "pages build and deployment")
STEP_NAMES = ("Run actions/checkout@v4", "Run actions/setup-node@v4", "make \"all\" \\", "Run tests", "Run tests", "Upload",
              "Run echo 18c32d2df2b89d5f0f83b0e5dff9ef2b8a53d3a1", "d\u00e9ploy")


class Repository:
    def __init__(self, number, server, rng):
        self.name = f"{rng.choice(WORDS)}_{number}"
        self.owner = "acme"
        self.server = server
        self.url = f"https://{server}/acme/{self.name}"
        api = "https://api.github.com" if server == "github.com" else f"https://{server}/api/v3"
        self.api = f"{api}/repos/acme/{self.name}"
        self.default = rng.choice(("main", "main", "master", "trunk"))
        properties = {"service_name": f"Svc_{number}"} if rng.random() < 0.2 else {}
        links = "".join(f',"{link}_url":"{self.api}/{link}"' for link in
                        ("forks", "keys", "hooks", "events", "branches", "tags", "languages", "contributors", "commits"))
        owner = f'{{"login":"acme","id":107110653,"type":"Organization","url":"{api}/users/acme"}}'
        self.short = (f'{{"id":{591427149 + number},"node_id":"R_{number}","name":{text(self.name)},"full_name":'
                      f'{text("acme/" + self.name)},"private":true,"owner":{owner},"html_url":"{self.url}","url":"{self.api}"{links}}}')
        body = self.short[:-1] + (f',"created_at":"2023-01-20T18:23:59Z","default_branch":"{self.default}","stargazers_count":0,'
                                  f'"custom_properties":{json.dumps(properties)}}}')
        self.tail = f',"repository":{body},"organization":{{"login":"acme","id":107110653}},"sender":{{"login":"octocat","id":1}}'


class Pool:
    def __init__(self, labels, group, capacity):
        self.labels, self.group, self.capacity = labels, group, capacity
        self.text = json.dumps(labels)
        self.free = [(0, number) for number in range(capacity)] if capacity else None

    def take(self, ready, service, rng):
        """(start, runner) of a job that is ready then."""
        if self.free is None:
            return ready + rng.randint(1, 20), None
        at, runner = heapq.heappop(self.free)
        start = max(at, ready) + rng.randint(0, 3)
        heapq.heappush(self.free, (start + service, runner))
        return start, runner


class Run:
    __slots__ = ("number", "attempt", "repository", "workflow", "path", "branch", "sha", "event", "created", "started", "updated",
                 "conclusion", "jobs", "run_number", "title", "pull", "referenced", "is_old", "has_own_events", "actor")

    def __str__(self):
        return f"{self.repository.server}/{self.number}/{self.attempt}"

    @property
    def url(self):
        return f"{self.repository.url}/actions/runs/{self.number}"


@dataclasses.dataclass
class Job:
    number: int
    run: Run
    name: str
    pool: Pool
    created: int
    waiting: float = None
    released: float = None
    started: int = None      # None: no runner ever
    ended: int = None        # None: never completes
    conclusion: str = "success"
    runner: tuple = None     # id, name
    steps: str = ""
    first_steps: str = ""
    environment: str = None
    is_carried: bool = False


# --- the world -------------------------------------------------------------------------------------

class World:
    """Deliveries in the order in which they arrive: take(until)."""

    def __init__(self, seed, begin, options=None):
        self.rng = random.Random(f"world {seed}")
        self.options = options or draw_options(self.rng)
        rng, chosen = self.rng, self.options
        self.begin = begin // SECOND
        # Each server counts for itself, so that ids of one are ids of the other.
        self.ids = {name: itertools.count(33_714_000_000 + seed % 1000 * 1_000_000) for name in ("github.com", "ghe.acme.example")}
        self.servers = ["github.com"] + (["ghe.acme.example"] if chosen.second_server or chosen.old_payloads else [])
        self.repositories = [Repository(number, "github.com", rng) for number in range(chosen.repositories)]
        self.elsewhere = [Repository(number, self.servers[-1], rng) for number in range(10)]
        self.pools = [Pool([label], "GitHub Actions", 0) for label in
                      ("ubuntu-latest", "windows-2022", "macos-15", "ubuntu-24.04-arm")[:chosen.hosted_pools]]
        for number in range(chosen.own_pools):
            self.pools.append(Pool(["self-hosted", "Linux", f"size-{number}"], rng.choice(("Default", "build farm")), log_uniform(rng, 1, 40)))
        self.queue, self.order = [], itertools.count()
        self.outage = None             # of GitHub: begin, length
        self.day = 0
        self.deliveries = 0

    def take(self, until):
        """All that arrives before `until` (ns)."""
        while self.begin + self.day * DAY < until // SECOND + 1:
            self.make_day(self.day)
            self.day += 1
        while self.queue and self.queue[0][0] < until:
            yield heapq.heappop(self.queue)[2]

    def is_over(self):
        return not self.queue

    def next_before(self, until):
        """Of the rest, without new days; None: that was all."""
        return heapq.heappop(self.queue)[2] if self.queue and self.queue[0][0] < until else None

    def make_day(self, day):
        rng, begin = self.rng, self.begin + day * DAY
        if rng.random() < self.options.outages:
            self.outage = (begin + rng.randrange(DAY), rng.randrange(5 * MINUTE, 2 * HOUR))
        else:
            self.outage = None
        # Each run adds what it causes, so the day has the wanted number of deliveries whatever its runs look like.
        target = self.options.deliveries_a_day
        before = self.deliveries
        while self.deliveries - before < target:
            at = begin + int(rng.betavariate(2.5, 2.5) * DAY)
            self.make_run(at)

    # --- deliveries of an event

    def send(self, at, event, body, run=None, action="", kind=USED):
        """`at` in seconds: when it happens."""
        rng, chosen = self.rng, self.options
        self.deliveries += 1
        at_ms = int(at * 1000)
        delivery = Delivery(at_ms * 1_000_000, event, guid_of(at_ms, rng), body, kind, run, action)
        if chosen.forms:
            delivery.is_form = True
        delivery.due = delivery.at + int(rng.expovariate(3) * SECOND)
        luck = rng.random()
        if luck < chosen.late:
            delivery.due += rng.randrange(MINUTE, 2 * HOUR) * SECOND
        elif luck < chosen.late + chosen.scrambled:
            delivery.due += int(rng.uniform(1, 30) * SECOND)
        if self.outage and self.outage[0] <= delivery.due // SECOND < sum(self.outage):
            delivery.due = sum(self.outage) * SECOND + int(rng.uniform(0, 120) * SECOND)
        if kind == USED and rng.random() < chosen.missing:
            return
        self.push(delivery)
        if kind != USED:
            return
        luck = rng.random()
        if luck < chosen.copies:
            self.push(delivery.copy(delivery.due + int(rng.uniform(0.0, 20) * SECOND)))
        elif luck < chosen.copies + chosen.two_apps:
            other = delivery.copy(delivery.due + int(rng.uniform(0.1, 5) * SECOND))
            other.body = other.body[:-1] + ',"installation":{"id":77,"node_id":"x"}}'
            self.push(other)
        elif luck < chosen.copies + chosen.two_apps + chosen.copies_days_later:
            self.push(delivery.copy(delivery.due + rng.randrange(DAY // 2, 2 * DAY) * SECOND))
        if chosen.several_hooks and rng.random() < 0.3:
            other = delivery.copy(delivery.due + int(rng.uniform(0.01, 2) * SECOND))
            other.guid = guid_of(at_ms, rng)
            self.push(other)

    def push(self, delivery):
        heapq.heappush(self.queue, (delivery.due, next(self.order), delivery))

    def make_noise(self, at):
        """Nothing of this is a run or a job."""
        rng = self.rng
        repository = rng.choice(self.repositories)
        which = rng.randrange(8)
        if which == 0:
            self.send(at, "push", '{"ref":"refs/heads/main"' + repository.tail + "}", None, "push", IGNORED)
        elif which == 1:
            self.send(at, "ping", '{"zen":"Keep it logically awesome.","hook_id":1,"hook":{"type":"Organization","id":1,"active":true,"events":["workflow_job","workflow_run"],'
                      '"config":{"content_type":"json","insecure_ssl":"0","secret":"********","url":"https://hooks.example/webhook"}}}', None, "ping", PONG)
        elif which == 2:
            self.send(at, "workflow_job", '{"action":"completed","workflow_job":{"id":1', None, "torn", BAD)
        elif which == 3:
            self.send(at, "workflow_job", '{"action":"completed","workflow_job":{"run_id":1}' + repository.tail + "}", None, "no id", BAD)
        elif which == 4:
            self.send(at, "workflow_job", '{"action":"started","workflow_job":{"id":5,"run_id":4}' + repository.tail + "}", None, "odd action", IGNORED)
        elif which == 5:
            self.send(at, "workflow_run", '{"action":"completed","workflow_run":null' + repository.tail + "}", None, "null", IGNORED)
        elif which == 6:
            body = '{"action":"queued","workflow_job":{"id":5,"run_id":4}' + repository.tail + "}"
            delivery = Delivery(int(at) * SECOND, "workflow_job", guid_of(int(at) * 1000, rng), body, UNSIGNED, None, "unsigned")
            delivery.secret = rng.choice((None, "guess"))
            self.deliveries += 1
            self.push(delivery)
        else:
            self.send(at, "check_run", "[]", None, "a list", BAD)

    def next_id(self, run):
        return next(self.ids[run.repository.server])

    # --- runs

    def make_run(self, at):
        rng, chosen = self.rng, self.options
        if rng.random() < chosen.noise:
            self.make_noise(at)
        run = Run()
        run.is_old = chosen.old_payloads and rng.random() < 0.3
        run.repository = rng.choice(self.elsewhere if run.is_old or (chosen.second_server and rng.random() < 0.2) else self.repositories)
        run.number = self.next_id(run)
        if rng.random() < 0.5:
            self.next_id(run)
        run.attempt = 1
        run.workflow = rng.choice(WORKFLOWS)
        run.path = f".github/workflows/w{rng.randrange(5)}.yml"
        run.branch = run.repository.default if rng.random() < 0.4 else f"feature/{rng.randrange(1000)}"
        run.sha = f"{rng.getrandbits(160):040x}"
        run.event = rng.choice(("push", "pull_request", "schedule", "workflow_dispatch", "dynamic"))
        run.created = run.started = at
        run.run_number = rng.randrange(1, 5000)
        run.title = rng.choice((f"Fix \u201cthe\u201d flux #{run.run_number}", "", "Merge branch", run.workflow))
        run.pull = (rng.randrange(1, 9999), run.repository.default) if run.event == "pull_request" and rng.random() < 0.7 else None
        run.referenced = rng.random() < chosen.reusable
        run.has_own_events = not (chosen.jobs_only and rng.random() < 0.5)
        run.actor = rng.choice(("octocat", "hubot", "dependabot[bot]"))
        run.conclusion, run.jobs, run.updated = "success", [], at
        luck = rng.random()
        if luck < chosen.startup_failures:
            return self.end_without_jobs(run, "startup_failure", at + rng.randint(0, 3))
        if luck < chosen.startup_failures + chosen.concurrency:
            return self.end_without_jobs(run, "cancelled", at + rng.randint(10, 3 * HOUR))
        self.send_run(run, "requested", "queued", None, at, at + 0.1)
        if rng.random() < chosen.first_contributors and run.has_own_events:
            self.send_run(run, "completed", "completed", "action_required", at, at + 0.3)
            if rng.random() < 0.3:
                return None
            at += rng.randrange(MINUTE, 5 * HOUR)
        self.make_jobs(run, at)
        self.finish_run(run)
        if rng.random() < chosen.reruns and run.updated:
            self.rerun(run, run.updated + rng.randrange(MINUTE, 6 * HOUR))
        return None

    def end_without_jobs(self, run, conclusion, at):
        self.send_run(run, "requested", "queued", None, run.created, run.created + 0.1)
        run.conclusion, run.updated = conclusion, at
        self.send_run(run, "completed", "completed", conclusion, at, at + 0.4)

    def finish_run(self, run):
        rng, chosen = self.rng, self.options
        ends = [job.ended for job in run.jobs]
        begun = sorted(job.started for job in run.jobs if job.started is not None and not job.is_carried)
        for start in begun[:5 if chosen.run_in_progress_many else 1]:
            self.send_run(run, "in_progress", "in_progress", None, start, start + 0.9)
        stuck = None in ends
        if stuck and rng.random() < 0.4:
            run.updated = None
            return  # it never ends
        known = [end for end in ends if end is not None]
        last = max(known + [run.started])
        run.updated = last + rng.randint(0, 3)
        if rng.random() < chosen.early_end:
            run.updated = max(run.started, last - rng.randint(0, 5))
        results = {job.conclusion for job in run.jobs if job.ended is not None}
        run.conclusion = next((one for one in ("failure", "cancelled") if one in results), "success")
        self.send_run(run, "completed", "completed", run.conclusion, run.updated, run.updated + 0.4)

    def rerun(self, first, at):
        rng = self.rng
        run = Run()
        for name in Run.__slots__:
            setattr(run, name, getattr(first, name))
        run.attempt, run.started, run.jobs, run.actor = first.attempt + 1, at, [], "hubot"
        kind = rng.choice(("all", "failed", "single"))
        again = [job for job in first.jobs if job.conclusion == "failure"]
        if kind == "all" or not again:
            again = first.jobs
        elif kind == "single":
            again = again[:1]
        for job in first.jobs:
            if job in again:
                self.make_job(run, job.name, job.pool, at + rng.randint(0, 2))
            elif job.ended is not None and (job.started is not None and job.conclusion != "skipped") and job.ended + 5 < at:
                self.carry_over(run, job, at + rng.randint(0, 1))
        self.finish_run(run)
        if rng.random() < 0.2 and run.updated:
            self.rerun(run, run.updated + rng.randrange(MINUTE, 3 * HOUR))

    def make_jobs(self, run, at):
        rng, chosen = self.rng, self.options
        prefix = "call / " if run.referenced else ""
        pool = rng.choice(self.pools)
        legs = rng.choice((1, 1, 2, 3, 4)) if rng.random() < 0.9 else min(rng.randint(1, chosen.matrix_max), max(4, chosen.deliveries_a_day // 4))
        for leg in range(legs):
            name = f"{prefix}test ({leg}, {pool.labels[-1]})" if legs > 1 else prefix + "build"
            self.make_job(run, name, pool, at + rng.randint(0, 2))
        if rng.random() < 0.3:
            ends = [job.ended for job in run.jobs if job.ended is not None]
            if ends:
                self.make_job(run, prefix + "deploy", rng.choice(self.pools), max(ends) + 2, may_wait=True)
        if rng.random() < chosen.skipped:
            self.skip_job(run, rng.choice(("publish", "native (${{ matrix.os }})", prefix + "build")), at + rng.randint(1, 5))
        if rng.random() < chosen.disguised:
            self.send_disguised(run, at + rng.randint(5, 60))

    # --- jobs

    def skip_job(self, run, name, created):
        ended = created - (self.rng.choice((0, 1, 1000)) if self.options.odd_times else 0)
        job = Job(self.next_id(run), run, name, Pool([], "", 0), created, conclusion="skipped", ended=ended)
        run.jobs.append(job)
        self.send_job(job, "completed", "completed", created + 0.5, ended, ended, "null", "[]")

    def make_job(self, run, name, pool, created, may_wait=False):
        rng, chosen = self.rng, self.options
        job = Job(self.next_id(run), run, name, pool, created)
        run.jobs.append(job)
        ready = created
        if may_wait and rng.random() < 10 * chosen.gates:
            job.environment = "production"
            job.waiting, job.released = created + 1.5, created + rng.randint(20, 3 * HOUR) + rng.randrange(1000) / 1000
            ready = int(job.released) + 1
        self.send_job(job, "queued", "queued", created + 0.25, created, None, "null", "[]")
        if job.waiting is not None:
            self.send_job(job, "waiting", "waiting", job.waiting, created, None, "null", "[]")
            if rng.random() < 0.1:  # rejected
                job.released, job.conclusion, job.ended = None, "failure", int(created) + rng.randint(30, 3 * HOUR)
                self.send_job(job, "completed", "completed", job.ended + 0.5, job.ended, job.ended, "none", "[]")
                return job
            self.send_job(job, "queued", "queued", job.released, created, None, "null", "[]")
        elif rng.random() < chosen.queued_twice:
            self.send_job(job, "queued", "queued", created + 2.1, created, None, "null", "[]")
        luck = rng.random()
        if luck < chosen.cancelled_in_queue:
            job.conclusion, job.ended = rng.choice(("cancelled", "cancelled", "failure")), int(ready) + rng.randint(3, HOUR)
            self.send_job(job, "completed", "completed", job.ended + 0.5, job.ended, job.ended, "none", "[]")
            return job
        if luck < chosen.cancelled_in_queue + chosen.stuck / 2:
            return job  # nothing comes any more
        service = max(4, min(4 * HOUR, int(rng.lognormvariate(0, 1.0) * 120)))
        job.started, runner = pool.take(ready, service, rng)
        number = 1_000_000_000 + job.number % 100_000_000 if runner is None else 20 + runner
        job.runner = (number, f"{pool.group} {number}")
        job.ended = job.started + service
        self.decide_end(job)
        self.send_job(job, "in_progress", "in_progress", job.started + 0.75, job.started, None, "runner", job.first_steps)
        if rng.random() < chosen.stuck:
            job.ended = None
            return job
        self.send_job(job, "completed", "completed", job.ended + 0.5, job.started, job.ended, "runner", job.steps)
        return job

    def decide_end(self, job):
        rng, chosen = self.rng, self.options
        luck = rng.random()
        if luck < chosen.lost_runners:
            job.conclusion = "failure"
            job.ended += 600
            return self.make_steps(job, "lost")
        if luck < chosen.lost_runners + chosen.failures:
            job.conclusion = "failure"
        elif luck < chosen.lost_runners + chosen.failures + chosen.cancelled:
            job.conclusion = "cancelled"
        return self.make_steps(job, "parallel" if rng.random() < chosen.parallel_steps else "")

    def step(self, name, number, start, end, status="completed", conclusion="success"):
        if self.options.fractions:
            times = f'{iso(start)[:-2]}.000Z"' if start is not None else "null", f'{iso(end)[:-2]}.000Z"' if end is not None else "null"
        else:
            times = iso(start), iso(end)
        result = "null" if conclusion is None else f'"{conclusion}"'
        return (f'{{"name":{text(name)},"status":"{status}","conclusion":{result},"number":{number},"started_at":{times[0]},'
                f'"completed_at":{times[1]}}}')

    def make_steps(self, job, kind):
        rng, chosen = self.rng, self.options
        start, end = job.started, job.ended
        odd = chosen.odd_times and rng.random() < 0.3
        steps = [self.step("Set up job", 1, start - odd, start + 1)]
        job.first_steps = "[" + self.step("Set up job", 1, start, None, "in_progress", None) + "]"
        at, number = start + 1, 2
        if rng.random() < 0.1:
            steps.append(self.step("Initialize containers", 2, at, at + 1))
            at, number = at + 1, 3
        count = rng.randint(1, 6) if rng.random() >= chosen.many_steps else 200
        last = max(at, end - 2)
        for place in range(count):
            begin = at + (last - at) * place // count
            close = at + (last - at) * (place + 1) // count
            if kind == "parallel" and rng.random() < 0.5:
                begin, close = at, rng.randint(begin, last)
            result = "success"
            if place == count - 1 and job.conclusion in ("failure", "cancelled"):
                result = job.conclusion
            if kind == "lost" and place == count - 1:
                steps.append(self.step(rng.choice(STEP_NAMES), number, begin, None, "in_progress", None))
                steps.append(self.step("never begun", number + 5, None, None, "queued", None))
                job.steps = "[" + ",".join(steps) + "]"
                return
            steps.append(self.step(rng.choice(STEP_NAMES), number, begin, close, "completed", result))
            number += 1
        number += rng.randint(0, 4)
        skipped = job.conclusion == "cancelled"
        steps.append(self.step("Post Run actions/checkout@v4", number, last, last + (not skipped), "completed", "skipped" if skipped else "success"))
        if rng.random() < chosen.pending_steps:
            steps.append(self.step("Complete job", number + 1, None, None, "pending", None))
        else:
            steps.append(self.step("Complete job", number + 1, max(last, end - 1), end + odd))
        job.steps = "[" + ",".join(steps) + "]"

    def carry_over(self, run, old, created):
        job = dataclasses.replace(old, number=self.next_id(run), run=run, created=created, is_carried=True, waiting=None, released=None, environment=None)
        run.jobs.append(job)
        self.send_job(job, "completed", "completed", created + 0.5, job.started, job.ended, "runner" if job.runner else "none", job.steps or "[]")
        job.ended = created

    # --- bodies

    def send_job(self, job, action, status, at, started, completed, runner, steps):
        run, repository = job.run, job.run.repository
        fields = {"runner": lambda: f'"runner_id":{job.runner[0]},"runner_name":"{job.runner[1]}","runner_group_id":1,"runner_group_name":"{job.pool.group}"',
                  "none": lambda: '"runner_id":0,"runner_name":"","runner_group_id":0,"runner_group_name":""',
                  "null": lambda: '"runner_id":null,"runner_name":null,"runner_group_id":null,"runner_group_name":null'}[runner]()
        conclusion = f'"{job.conclusion}"' if action == "completed" else "null"
        names = "" if run.is_old else f'"workflow_name":{text(run.workflow)},"head_branch":"{run.branch}",'
        created = "" if run.is_old else f'"created_at":{iso(job.created)},'
        deployment = "" if job.environment is None else f',"deployment":{{"id":3192898954,"environment":"{job.environment}","task":"deploy"}}'
        body = (f'{{"action":"{action}","workflow_job":{{"id":{job.number},"run_id":{run.number},{names}"run_url":"{repository.api}/actions/runs/{run.number}",'
                f'"run_attempt":{run.attempt},"node_id":"CR_{job.number:x}","head_sha":"{run.sha}","url":"{repository.api}/actions/jobs/{job.number}",'
                f'"html_url":"{run.url}/job/{job.number}","status":"{status}","conclusion":{conclusion},{created}"started_at":{iso(started)},'
                f'"completed_at":{iso(completed)},"name":{text(job.name)},"steps":{steps},"check_run_url":"{repository.api}/check-runs/{job.number}",'
                f'"labels":{job.pool.text},{fields}}}{deployment}{repository.tail}}}')
        self.send(at, "workflow_job", body, str(run), f"{action} {job.number}")

    def send_disguised(self, run, at):
        repository, number = run.repository, self.next_id(run)
        if run.is_old:
            return
        body = (f'{{"action":"completed","workflow_job":{{"id":{number},"run_id":{run.number},"workflow_name":{text(run.workflow)},"head_branch":"{run.branch}",'
                f'"run_attempt":{run.attempt},"head_sha":"{run.sha}","html_url":"{repository.url}/runs/{number}","status":"completed",'
                f'"conclusion":"{self.rng.choice(("success", "failure"))}","created_at":{iso(int(at))},"started_at":{iso(int(at))},"completed_at":{iso(int(at) + 1)},'
                f'"name":"JUnit Test Report","steps":[],"labels":[],"runner_id":null,"runner_name":null,"runner_group_id":null,"runner_group_name":null}}{repository.tail}}}')
        self.send(at + 1.5, "workflow_job", body, str(run), f"disguised {number}", IGNORED)

    def send_run(self, run, action, status, conclusion, updated, at):
        if not run.has_own_events:
            return
        repository = run.repository
        api = f"{repository.api}/actions/runs/{run.number}"
        result = "null" if conclusion is None else f'"{conclusion}"'
        pulls = "[]" if run.pull is None else f'[{{"id":1,"number":{run.pull[0]},"head":{{"ref":"{run.branch}","sha":"{run.sha}"}},"base":{{"ref":"{run.pull[1]}","sha":"f95f"}}}}]'
        referenced = '[{"path":"acme/shared/.github/workflows/t.yml@v2","sha":"18c32d2df2b89d5f0f83b0e5dff9ef2b8a53d3a1","ref":"refs/tags/v2"}]' if run.referenced else "[]"
        previous = f'"{api}/attempts/{run.attempt - 1}"' if run.attempt > 1 else "null"
        body = (f'{{"action":"{action}","workflow_run":{{"id":{run.number},"name":{text(run.title)},"node_id":"WFR_{run.number:x}","head_branch":"{run.branch}",'
                f'"head_sha":"{run.sha}","path":"{run.path}","display_title":{text(run.title)},"run_number":{run.run_number},"event":"{run.event}","status":"{status}",'
                f'"conclusion":{result},"workflow_id":31403384,"check_suite_id":{run.number + 7},"url":"{api}","html_url":"{run.url}","pull_requests":{pulls},'
                f'"created_at":{iso(run.created)},"updated_at":{iso(updated)},"actor":{{"login":"octocat","id":1}},"run_attempt":{run.attempt},'
                f'"referenced_workflows":{referenced},"run_started_at":{iso(run.started)},"triggering_actor":{{"login":"{run.actor}","id":2}},'
                f'"jobs_url":"{api}/jobs","previous_attempt_url":{previous},"head_repository":{repository.short},"repository":{repository.short}}},'
                f'"workflow":{{"id":31403384,"name":{text(run.workflow)},"path":"{run.path}","state":"active","created_at":"2022-08-01T02:29:06.000Z"}}{repository.tail}}}')
        self.send(at, "workflow_run", body, str(run), action)
