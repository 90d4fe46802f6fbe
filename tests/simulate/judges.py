"""Compare what the daemon exports, answers, shows, logs and uses with what it must. Input: the deliveries and what is visible of the
daemon from outside, not how the world made the deliveries. Each finding is one line of text."""
import collections
import json
import os
import pathlib
import re

import otlp
from oracle import SECOND

SHOWN = 3  # of each kind
MIB = 1 << 20
# What a daemon may use, whatever happens in a world of this size.
LIMITS = {"memory": 64 * MIB, "descriptors": 120, "store": 192 * MIB, "lines a day": 400}
GROWTH_WARM, GROWTH_PER_DELIVERY = 12_000, 160  # deliveries until memory has its shape; bytes for each one after as many again


# While there is no fault, and has been none for a while.
QUIET = {"ghatrace_outbox_oldest_age_seconds": 60, "ghatrace_dead_letters": 0, "ghatrace_export_quarantined_records": 0, "ghatrace_store_set_aside_total": 0,
         "ghatrace_commit_queue_tasks": 100}


class Findings:
    def __init__(self):
        self.kinds, self.lines = collections.Counter(), []

    def add(self, kind, line):
        self.kinds[kind] += 1
        if self.kinds[kind] <= SHOWN:
            self.lines.append(f"{kind}: {line}")

    def __bool__(self):
        return bool(self.kinds)


class Spans:
    """What the collector has accepted: the last version of each span."""

    def __init__(self):
        self.last, self.count = {}, 0

    def take(self, body):
        for resource, where in otlp.places(body):
            trace, span = otlp.identity(body, where)
            self.last[resource.get("server.address", "github.com"), trace, span] = body[where[0]:where[1]], resource
            self.count += 1

    def judge(self, oracle, findings, may_have_others=False):
        """All spans of the oracle's and no others, field by field."""
        left, count = dict(self.last), 0
        for expected in oracle.spans():
            count += 1
            server, trace, span = expected.key
            found = left.pop((server, bytes.fromhex(trace), bytes.fromhex(span)), None)
            if found is None:
                if not expected.of.may_be_open:
                    findings.add(f"missing {expected.attributes['type']}", f"{expected.name!r} of {expected.of}")
                continue
            decoded = otlp.span_of(found[0], (0, len(found[0])), found[1])
            for difference in () if expected.of.may_be_open else expected.differences(decoded):
                findings.add(f"wrong {expected.attributes['type']}, {difference.split(':')[0]}",
                             f"{expected.name!r} ({expected.span}) of {expected.of}: {difference}")
        for (server, trace, span), (data, resource) in left.items():
            decoded = otlp.span_of(data, (0, len(data)), resource)
            if not may_have_others or (server, decoded.attributes.get("github.run_id")) in {run[:2] for run in oracle.runs}:
                if decoded.attributes.get("type", "").startswith(("runner.", "job.")) and decoded.start == decoded.end:
                    continue  # a phase that was exported and turned out not to exist keeps no length
                findings.add(f"unknown {decoded.attributes.get('type')}", f"{decoded.name!r}, {trace.hex()}/{span.hex()}, "
                             f"{resource.get('cicd.pipeline.run.url.full')}, {decoded.start}..{decoded.end}")
        return count


class Answers:
    """A delivery is answered by what it is; it is a duplicate if and only if it was taken before."""

    def __init__(self):
        self.acknowledged, self.attempted = {}, set()
        self.is_first = False      # the delivery that was judged last was taken for the first time

    def judge(self, delivery, ticket, wanted, findings, is_fault, remembered_for):
        """True if it was taken. False: it must come again."""
        key = delivery.guid, hash(delivery.body)
        status = ticket.status
        if status in (0, None, 503) or (status == 408 and is_fault):
            self.attempted.add(key)
            if not is_fault:
                findings.add(f"answer {status}", f"{delivery} without a fault: {ticket.raw[-120:]!r}")
            return False
        if delivery.kind != "used":
            if status != wanted:
                findings.add("answer", f"{delivery} ({delivery.kind}): {status}, must be {wanted}")
            return True
        before = self.acknowledged.get(key)
        self.is_first = before is None
        if status == 202:
            if before is not None and ticket.at - before < remembered_for and not delivery.is_form:
                findings.add("duplicate not recognized", f"{delivery}, {(ticket.at - before) / SECOND:.1f} s later")
            self.acknowledged[key] = ticket.at
        elif status == 200:
            if before is None and key not in self.attempted:
                findings.add("taken for a duplicate", f"{delivery}: {ticket.raw[-60:]!r}")
            self.acknowledged.setdefault(key, ticket.at)
        else:
            findings.add("answer", f"{delivery}: {status}, must be 202: {ticket.raw[-120:]!r}")
        return True


class Figures:
    """Jobs that are open, by pool; nothing waits that could go on. Deadlines pass within TOLERANCE."""
    TOLERANCE = 120 * SECOND

    def __init__(self, settings, pools, is_upgraded):
        """`pools`: their names. `is_upgraded`: an older store may have other pools, and dead letters."""
        self.is_upgraded = is_upgraded
        self.grace, self.timeout, self.pools = settings["job-grace"], settings["job-timeout"], pools

    def state_of(self, run, job, now):
        """waiting, queued, running; None: it is not open; "?": that may change at this moment."""
        if job.is_completed:
            return "?" if now - job.last_received < self.TOLERANCE else None
        if run.completed_received is not None:
            given_up = max(run.completed_received, job.last_received) + self.grace
        else:
            given_up = job.last_received + (self.timeout if not job.is_waiting else 40 * 86400 * SECOND)
        if now > given_up + self.TOLERANCE or job.was_given_up or job.silent_at is not None:
            job.was_given_up = True
            return None
        if now > given_up - self.TOLERANCE:
            return "?"
        return "running" if job.has_run else "waiting" if job.is_waiting else "queued"

    def truth(self, open_runs, now):
        """{pool: {state: (least, most)}} of these runs, and those that are over."""
        pools, over = collections.defaultdict(lambda: collections.defaultdict(lambda: [0, 0])), []
        for run in open_runs:
            is_over = True
            for job in run.jobs.values():
                state = self.state_of(run, job, now)
                if state is None:
                    continue
                is_over = False
                if not job.body["labels"]:
                    continue
                pool = pools[pool_of(job.body["labels"])]
                if state == "?":
                    for one in ("waiting", "queued", "running"):
                        pool[one][1] += 1
                else:
                    pool[state][0] += 1
                    pool[state][1] += 1
            if is_over:
                over.append(run)
        return pools, over

    def judge(self, machine, open_runs, now, findings):
        pools, over = self.truth(open_runs, now)
        status, _, body = machine.get("/api/pools")
        if status != 200:
            findings.add("figures", f"/api/pools answers {status}")
            return over
        figures = metrics_of(machine.get("/metrics")[2].decode())
        for name, most in QUIET.items():
            if figures[name] > most and not (name == "ghatrace_dead_letters" and self.is_upgraded):
                findings.add("not quiet", f"{name} is {figures[name]:.0f}, at most {most}")
        shown = {pool["pool"]: pool for pool in json.loads(body)["pools"]}
        for name in (shown.keys() & self.pools) | pools.keys():
            for state in ("waiting", "queued", "running"):
                least, most = pools[name][state]
                pool = shown.get(name, {})
                # A runner has one job at a time: one that began another is not counted as running any more.
                value = pool.get(state, 0) + (pool.get("ended_unknown", 0) if state == "running" else 0)
                if not least <= value <= most:
                    findings.add(f"figures {state}", f"pool {name}: {value}, must be {least}" + (f" to {most}" if most != least else ""))
                other = int(figures.get(f'ghatrace_pool_{state}{{pool="{name}"}}', 0))
                if other != pool.get(state, 0):
                    findings.add("figures differ", f"{state} in pool {name}: /metrics has {other}, /api/pools {pool.get(state, 0)}")
        return over


def pool_of(labels):
    return ",".join(sorted(label.lower() for label in labels))


def metrics_of(text):
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def sum_of(figures, family):
    return sum(value for name, value in figures.items() if name.partition("{")[0] == family)


def judge_measurements(machine, oracle, findings):
    """What was counted once for each job, at its end, and for each run: of jobs of which more became known later, it may be either."""
    figures = metrics_of(machine.get("/metrics")[2].decode())
    jobs = [job for run in oracle.runs.values() for job in run.jobs.values()
            if job.is_completed and not job.is_carried_over and not job.is_skipped]
    lengths = [(job, job.lengths(None)[2]) for job in jobs]
    unsure = sum(not job.was_known_at_its_end for job in jobs)
    for family, phase in (("execution", "runner.execution"), ("startup", "runner.startup"), ("queue", "runner.queue"), ("waiting", "job.waiting")):
        may_differ = unsure if family in ("queue", "waiting") else 0
        times = [times[phase] for job, times in lengths if phase in times and (not may_differ or job.was_known_at_its_end)]
        count, total = sum_of(figures, f"ghatrace_job_{family}_seconds_count"), sum_of(figures, f"ghatrace_job_{family}_seconds_sum")
        wanted = sum(end - begin for begin, end in times) / SECOND
        if not len(times) <= count <= len(times) + may_differ:
            findings.add("figures measured", f"ghatrace_job_{family}_seconds counts {count:.0f}, must be {len(times)}"
                         + (f" to {len(times) + may_differ}" if may_differ else ""))
        elif not may_differ and abs(total - wanted) > 1e-6 * wanted + 0.01:
            findings.add("figures measured", f"ghatrace_job_{family}_seconds sums up to {total}, must be {wanted}")
    runs, count = sum(run.is_completed for run in oracle.runs.values()), sum_of(figures, "ghatrace_run_duration_seconds_count")
    if count != runs:
        findings.add("figures measured", f"ghatrace_run_duration_seconds counts {count:.0f}, must be {runs}")


class Process:
    """Memory, descriptors, store, log, in one life of the process."""

    def __init__(self, folder):
        self.folder, self.deliveries, self.warm = pathlib.Path(folder), 0, None
        self.worst = collections.Counter()

    def restarted(self):
        self.deliveries, self.warm = 0, None

    def judge(self, machine, findings):
        try:
            status = pathlib.Path(f"/proc/{machine.pid}/status").read_text()
            descriptors = len(os.listdir(f"/proc/{machine.pid}/fd"))
        except OSError:
            return
        memory = int(re.search(r"RssAnon:\s+(\d+)", status)[1]) * 1024
        store = sum(entry.stat().st_blocks * 512 for entry in (self.folder / "db").iterdir())
        for name, value in (("memory", memory), ("descriptors", descriptors), ("store", store)):
            self.worst[name] = max(self.worst[name], value)
            if value > LIMITS[name]:
                findings.add(name, f"{value}, at most {LIMITS[name]}")
        if self.deliveries < GROWTH_WARM:
            return
        if self.warm is None:
            self.warm = self.deliveries, memory
            return
        more, growth = self.deliveries - self.warm[0], memory - self.warm[1]
        if more >= GROWTH_WARM and growth > more * GROWTH_PER_DELIVERY + MIB // 4:
            findings.add("growth", f"{growth // more} bytes for each of {more} deliveries")


class Log:
    LEVEL = re.compile(r"level=(\w+)")
    # What the world does on purpose. Dead letters are those of an older store; of a new one Figures allows none.
    OF_SENDERS = re.compile(r"signature|msg=request status=400|msg=set-up|the clock was set|dead letters were dropped")

    def __init__(self):
        self.read = 0

    def judge(self, machine, findings, is_fault, days):
        fresh, self.read = machine.log[self.read:], len(machine.log)
        for line in fresh:
            level = self.LEVEL.search(line)
            if level is None or level[1] in ("error", "warn") and not is_fault and not self.OF_SENDERS.search(line):
                findings.add("log", line[:300])
        if self.read > LIMITS["lines a day"] * (days + 2):
            findings.add("log", f"{self.read} lines in {days} days")
