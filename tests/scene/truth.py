"""What is true of a pool at a time, counted from its jobs one by one, in the plainest way."""
import math

MINUTE, DAY = 60, 86400
JOB_GRACE = 600
BOUNDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600)  # of /metrics


def rank(values, percent):
    """Nearest rank."""
    values = sorted(values)
    return values[max(1, -(-len(values) * percent // 100)) - 1]


class Known:
    """A job, as far as deliveries said so: when it was ready, started and ended, None if that is not known."""

    def __init__(self, job):
        self.job, self.kinds = job, set()
        self.ready = self.started = self.ended = None
        self.is_waiting = self.is_queued = self.is_running = False
        self.superseded_at = None  # when its runner took another job
        self.over_at = None        # when it had ended at the latest, as was known when it was given up

    def add(self, kind):
        self.kinds.add(kind)
        job, kinds = self.job, self.kinds
        if kind == "given up":
            self.over_at = min(at for at in (self.superseded_at, job.run.ended + 1) if at is not None)
        has_started = job.started is not None and bool(kinds & {"in_progress", "completed"})
        self.started = job.started if has_started else None
        self.ended = job.ended if "completed" in kinds else self.over_at
        was_released = "released" in kinds
        self.ready = job.created if not kinds & {"waiting", "released"} else job.released if was_released else None
        is_open = self.ended is None
        self.is_waiting = not has_started and is_open and "waiting" in kinds and not was_released
        self.is_queued = not has_started and is_open and not self.is_waiting
        self.is_running = has_started and is_open
        if not is_open:
            self.superseded_at = None

    @property
    def is_given_up(self):
        return "given up" in self.kinds and "completed" not in self.kinds

    def has_left(self, now):
        """Its runner has taken another job, long ago: it has ended, though no delivery said so."""
        return self.superseded_at is not None and self.superseded_at <= now - JOB_GRACE

    def left_at(self, now):
        """When it left its runner, as far as is known by then."""
        return self.ended if not self.has_left(now) else self.superseded_at


class PoolTruth:
    """Of one pool: its jobs in the order of their numbers."""

    def __init__(self):
        self.jobs = {}
        self.counted_waits = {}  # as each was first known

    def add(self, job, kind):
        known = self.jobs.setdefault(job, Known(job))
        known.add(kind)
        if kind == "in_progress":
            self.supersede(job)
        if job not in self.counted_waits and known.started is not None and known.ready is not None:
            self.counted_waits[job] = known.started - known.ready

    def supersede(self, job):
        for known in self.all():
            if known.is_running and known.superseded_at is None and known.job.runner == job.runner and known.job.started < job.started:
                known.superseded_at = job.started

    def all(self):
        return self.jobs.values()

    def first(self):
        """When a job was ready or started for the first time."""
        return min(at for known in self.all() for at in (known.ready, known.started) if at is not None)

    def counts(self, now):
        """(waiting, queued, running)"""
        waiting, queued = (sum(getattr(known, name) for known in self.all()) for name in ("is_waiting", "is_queued"))
        return waiting, queued, sum(known.is_running and not known.has_left(now) for known in self.all())

    def ended_unknown(self, now):
        return sum(known.is_running and known.has_left(now) for known in self.all())

    def queued_since(self):
        return sorted(known.ready for known in self.all() if known.is_queued)

    def open_waits(self, now):
        """(p50, p90, p99, oldest), or None."""
        waits = [max(0, now - since) for since in self.queued_since()]
        return tuple(rank(waits, percent) for percent in (50, 90, 99, 100)) if waits else None

    def busy_max(self, since, now):
        """The most that ran at once, at the end of a second."""
        changes = {}
        for known in self.all():
            if known.started is not None:
                changes[known.started] = changes.get(known.started, 0) + 1
                ended = known.left_at(now)
                if ended is not None:
                    changes[ended] = changes.get(ended, 0) - 1
        level, most, at_begin = 0, 0, 0
        for at in sorted(changes):
            if at > now:
                break
            level += changes[at]
            if at <= since:
                at_begin = level
            else:
                most = max(most, level)
        return max(most, at_begin)

    def last_start(self, since, now):
        """Its minute."""
        starts = [known.started for known in self.all() if known.started is not None and since <= known.started <= now]
        return max(starts) // MINUTE * MINUTE if starts else None

    def histogram(self):
        """(count, sum, numbers at most each bound) of the waits that ended."""
        waits = list(self.counted_waits.values())
        return len(waits), sum(waits), [sum(wait <= bound for wait in waits) for bound in BOUNDS]

    def waits_of(self, since, until):
        """Of those that became ready in the window: ended, and so far."""
        ended, so_far = [], []
        for known in self.all():
            if known.ready is None or not since <= known.ready < until or (known.ended is not None and known.started is None):
                continue
            if known.is_waiting or known.is_given_up:
                continue
            if known.started is not None and known.started < until:
                ended.append(known.started - known.ready)
            else:
                so_far.append(until - known.ready)
        return ended, so_far

    def minutes(self, begin, count, now):
        """The minutes from `begin` on, each a dict as the API has it, percentiles apart: `waits`."""
        end = begin + count * MINUTE
        queued, running = [0] * (count * MINUTE + 1), [0] * (count * MINUTE + 1)
        found = [{"arrivals": 0, "starts": 0, "waits": []} for _ in range(count)]

        def change(levels, since, until):
            first = max(math.floor(since), begin) - begin
            last = (min(math.floor(until), end) if until is not None else end) - begin
            if first < last:
                levels[first] += 1
                levels[last] -= 1

        for known in self.all():
            ready, started, ended = known.ready, known.started, known.ended
            if ready is not None:
                change(queued, ready, started if started is not None else ended)
                if begin <= ready < end:
                    found[int(ready - begin) // MINUTE]["arrivals"] += 1
            if started is not None:
                change(running, started, known.left_at(now))
                if begin <= started < end:
                    slot = found[(started - begin) // MINUTE]
                    slot["starts"] += 1
                    if ready is not None:
                        slot["waits"].append(started - ready)
        for name, levels in (("queued", queued), ("running", running)):
            level = 0
            for number in range(count):
                values = []
                for second in range(number * MINUTE, (number + 1) * MINUTE):
                    level += levels[second]
                    values.append(level)
                found[number][name + "_max"] = max(values)
                found[number][name + "_mean"] = sum(values) / MINUTE
        return found


def bucket_width(seconds):
    """Of the stored histogram around a value."""
    return 1 if seconds < 16 else 2 ** (math.floor(math.log2(seconds)) - 3)
