"""The incidents: what is queued and what runs in which pool, and what goes wrong.

Each has a quiet day first, whose deliveries come late and all at once; then `LIVE` seconds by the clock, of which the first
`QUIET` are quiet, too.
"""
from world import HOUR, MINUTE, Outage, Pool, World

QUIET, LIVE = 40 * MINUTE, 170 * MINUTE
GPU, UBUNTU, WINDOWS, X64, MACOS, ARM64 = range(6)
QUEUED, RUNNING = (9, 10, 4, 8, 6, 3), (7, 8, 3, 4, 2, 1)  # 40 and 25


def pools(hosted="hosted"):
    return [Pool(["gpu-a100"], "gpu farm", 7, rate=8, length=700),
            Pool(["ubuntu-latest"], "GitHub Actions", 0, hosted, rate=20, length=240),
            Pool(["windows-latest"], "GitHub Actions", 0, hosted, rate=5, length=400),
            Pool(["self-hosted", "linux", "x64"], "Default", 4, rate=9, length=240),
            Pool(["macos-14"], "GitHub Actions", 0, hosted, rate=4, length=400),
            Pool(["self-hosted", "arm64"], "arm, small", 1, rate=1.5, length=200)]


class Scene:
    """`more`: how many runners more `whatif` is asked for. `unexplained`: pools whose waits have another reason."""
    unexplained = ()
    has_rule, ceiling_name = True, "hosted"  # else the ceiling is inferred

    def __init__(self, start, seed, quiet, live, before, limit):
        self.start, self.incident, self.end = start, start + quiet, start + live
        self.pools = pools()
        self.names = [pool.name for pool in self.pools]
        self.limit = limit
        self.world = World(self.pools, {"hosted": limit}, start - before, self.end, seed)
        self.before = before
        self.fill()
        self.world.settle()

    def settings(self):
        """Of the daemon."""
        rule = f"hosted: {self.limit}: ubuntu-* windows-* macos-*"
        return {"runner_ceiling": rule} if self.has_rule else {}

    def explains(self, name):
        """Whether a constant number of runners explains the waits of the incident."""
        return name not in self.unexplained

    def capacity(self, name):
        pool = self.world.pools[name]
        return self.limit if pool.ceiling else pool.runners

    def batch(self, at, repository, counts, service, offset=0):
        """A run with so many jobs of each pool, one a second in turn, so that the order is known."""
        run = self.world.run(at, repository)
        for place, (name, count) in enumerate(zip(self.names, counts)):
            for number in range(count):
                self.world.job(run, name, f"{name} ({number})", service(number), offset + number, startup=1)
        return run

    def quiet_until(self, end):
        self.world.quiet(self.start - self.before, end)


class Jam(Scene):
    """Long jobs take all runners of six pools; 40 jobs wait for 45 minutes while 25 run."""
    more = {"gpu-a100": 4, "linux,self-hosted,x64": 3}

    def __init__(self, start, seed, quiet=QUIET, live=LIVE, before=20 * HOUR, length=55 * MINUTE):
        self.length = length
        super().__init__(start, seed, quiet, live, before, limit=13)

    def fill(self):
        # No job is begun that might still run when the incident begins.
        self.world.still = (self.incident - 30 * MINUTE, self.incident + self.length + 12 * MINUTE)
        self.quiet_until(self.incident - 30 * MINUTE)
        self.batch(self.incident, "acme/monorepo", RUNNING, lambda number: self.length + 7 * number)
        self.batch(self.incident, "acme/rocket_engine", QUEUED, lambda number: 200 + 11 * number, offset=20)
        self.world.quiet(self.incident + self.length + 12 * MINUTE, self.end)


class Dead(Scene):
    """All runners of a pool die, and come back after an hour and a half. Elsewhere work goes on."""
    unexplained = ("gpu-a100",)
    more = {"gpu-a100": 4, "linux,self-hosted,x64": 3}

    def __init__(self, start, seed, quiet=QUIET, live=LIVE, before=20 * HOUR):
        super().__init__(start, seed, quiet, live, before, limit=60)

    def fill(self):
        self.quiet_until(self.end)
        self.world.outages = [Outage("gpu-a100", self.incident, self.incident + 90 * MINUTE)]


class Ceiling(Scene):
    """The limit of 60 hosted jobs is reached by one repository."""
    more = {"linux,self-hosted,x64": 3, "ubuntu-latest": 30}
    unexplained = ("ubuntu-latest",)

    def __init__(self, start, seed, quiet=QUIET, live=LIVE, before=20 * HOUR):
        super().__init__(start, seed, quiet, live, before, limit=60)

    def fill(self):
        self.quiet_until(self.end)
        self.batch(self.incident, "acme/monorepo", (0, 90, 30, 0, 30, 0), lambda number: 1400 + 13 * number)


class Flood(Scene):
    """One repository floods one pool."""
    more = {"gpu-a100": 4, "linux,self-hosted,x64": 3}

    def __init__(self, start, seed, quiet=QUIET, live=LIVE, before=20 * HOUR):
        super().__init__(start, seed, quiet, live, before, limit=60)

    def fill(self):
        self.quiet_until(self.end)
        self.batch(self.incident, "acme/monorepo", (0, 0, 0, 60, 0, 0), lambda number: 240 + 3 * number)


class Unreported(Flood):
    """The same, and a job of this pool has ended before it without a word: its `completed` never comes, but its run's does."""

    def __init__(self, *arguments, **kinds):
        super().__init__(*arguments, **kinds)
        candidates = [job for job in self.world.jobs if job.pool == self.names[X64] and job.started is not None
                      and job.run.ended is not None and job.run.ended < self.incident - 5 * MINUTE]
        self.job = max(candidates, key=lambda job: job.ended)
        self.job.is_unreported = True


class Silent(Unreported):
    """The same, and the `completed` of its run never comes either."""

    def __init__(self, *arguments, **kinds):
        super().__init__(*arguments, **kinds)
        self.job.run.is_unreported = True


class Inferred(Ceiling):
    """The ceiling, and no rule names it. Deliveries that are minutes late look like one job more than the limit."""
    has_rule, ceiling_name = False, "(GitHub Actions)"


SCENES = {"jam": Jam, "dead": Dead, "ceiling": Ceiling, "flood": Flood, "unreported": Unreported, "silent": Silent,
          "inferred": Inferred}
