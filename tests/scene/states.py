"""Whether pools keep up with their queue, by the rules that the daemon documents, from the jobs themselves."""
from truth import DAY, MINUTE

SHORT_WAIT, REACHED_GAP, DEAD_AFTER = 60, 300, 900


def changes_of(truths, now):
    """{second: (change of queued jobs, change of running jobs)} of pools."""
    found = {}

    def add(at, queued, running):
        have = found.get(int(at), (0, 0))
        found[int(at)] = (have[0] + queued, have[1] + running)

    for truth in truths:
        for known in truth.all():
            if known.ready is not None:
                add(known.ready, 1, 0)
                if known.started is None and known.ended is not None:
                    add(known.ended, -1, 0)
            if known.started is not None:
                add(known.started, -1 if known.ready is not None else 0, 1)
                ended = known.left_at(now)
                if ended is not None:
                    add(ended, 0, -1)
    return found


def stretches(truths, now):
    """[(begin, end, queued, running)], the oldest first."""
    found, queued, running, begin = [], 0, 0, 0
    changes = changes_of(truths, now)
    for at in sorted(changes):
        if at > now:
            break
        found.append((begin, at, queued, running))
        queued, running, begin = queued + changes[at][0], running + changes[at][1], at
    found.append((begin, now, queued, running))
    return [stretch for stretch in found if stretch[1] > now - DAY - 3600]


def queued_since(course):
    since = None
    for begin, _, queued, _ in course:
        if queued <= 0:
            since = None
        elif since is None:
            since = begin
    return since


def waited(course, since):
    """Whether jobs were queued for a minute without a break since then."""
    begun = None
    for begin, end, queued, _ in course:
        if queued <= 0:
            begun = None
        elif end > since:
            begun = max(begin, since) if begun is None else begun
            if end - begun >= SHORT_WAIT:
                return True
    return False


def reached_since(course, least, gap, now):
    """Since when so many ran at least once in each `gap` while jobs were queued."""
    since, last = None, None
    for begin, end, queued, running in course:
        if queued <= 0:
            since = None
        elif running >= least:
            if since is None or begin - last > gap:
                since = begin
            last = end
    return None if since is None or now - last > gap else since


class Assessment:
    """`now`: when it is asked for. `limit`, `members`: of the ceiling above the pool."""

    def __init__(self, truth, now, members=None, limit=None):
        self.truth, self.now = truth, now
        self.course = stretches([truth], now)
        self.oldest = min(truth.queued_since(), default=None)
        self.ceiling_since = None
        if limit is not None and any(self.waits(member) for member in members):
            self.ceiling_since = reached_since(stretches(members, now), limit, REACHED_GAP, now)
        self.state, self.since = self.assess()

    def waits(self, truth):
        oldest = min(truth.queued_since(), default=None)
        return oldest is not None and self.now - oldest >= SHORT_WAIT

    def last_activity(self):
        """When a job started or ended for the last time."""
        times = [at for known in self.truth.all() for at in (known.started, known.started and known.ended) if at]
        return max(times, default=None)

    def waits_since(self):
        if not self.waits(self.truth):
            return None
        short = [known.started for known in self.truth.all() if known.started is not None and known.ready is not None
                 and known.started - known.ready < SHORT_WAIT]
        since = queued_since(self.course)
        return min(max([since] + [at + MINUTE for at in short]), self.oldest)

    def dead_since(self):
        if self.oldest is None or self.course[-1][3] > 0:
            return None
        since = max(queued_since(self.course), self.last_activity() or 0)
        return since if self.now - since >= DEAD_AFTER else None

    def busy_since(self):
        most = self.truth.busy_max(self.now - 7 * DAY, self.now)
        if most <= 0 or reached_since(self.course, most, REACHED_GAP, self.now) is None:
            return None
        return reached_since(self.course, most - most // 10, REACHED_GAP, self.now)

    def assess(self):
        waits, dead = self.waits_since(), self.dead_since()
        trouble = waits if waits is not None else dead
        if trouble is None:
            return "ok", None
        if self.ceiling_since is not None:
            return "ceiling", max(trouble, self.ceiling_since)
        if dead is not None:
            return "dead", dead
        busy = self.busy_since()
        return ("waiting", waits) if busy is None else ("busy", max(waits, busy))
