"""A company's runs and runners, for pictures and for trying the page: forty repositories, twelve pools, some hours of
ordinary work, and perhaps an incident, which goes on until the end. What happens is decided by tests/scene/world.py, so a
job waits because of the runners that there are; times are those of the payloads, up to now and beyond.
"""
import dataclasses
import hashlib
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE.parent / "scene"), str(HERE.parent / "blackbox")]

import deliveries  # noqa: E402
from payloads import Step  # noqa: E402
from world import HOUR, MINUTE, Outage, Pool, World  # noqa: E402

DAY = 24 * HOUR
LIMIT = 40
CEILING = f"hosted: {LIMIT}: ubuntu-* windows-* macos-* !self-hosted"
X64, LARGE, ARM, MAC, WIN, A100, L4, SIGN = range(8)
UBUNTU, UBUNTU24, WINDOWS, MACOS = range(8, 12)
POOLS = [Pool(["self-hosted", "linux", "x64"], "build farm", 24), Pool(["self-hosted", "linux", "x64", "large"], "build farm", 18),
         Pool(["self-hosted", "linux", "arm64"], "arm", 14), Pool(["self-hosted", "macos", "m2"], "mac minis", 10),
         Pool(["self-hosted", "windows", "vs2022"], "windows farm", 10), Pool(["gpu-a100"], "gpu", 14), Pool(["gpu-l4"], "gpu", 10),
         Pool(["self-hosted", "signing"], "signing", 5)] + [
         Pool([label], "GitHub Actions", 0, "hosted") for label in ("ubuntu-latest", "ubuntu-24.04", "windows-2022", "macos-15")]

# Of a workflow: its jobs (name, pool, usual length, offset), and how many times it runs in four hours.
WORKFLOWS = {
    "CI": ([("lint", UBUNTU, 60, 1), ("test (3.12)", X64, 240, 1), ("test (3.13)", X64, 250, 1), ("build", UBUNTU, 150, 2)], 15),
    "Service": ([("unit", UBUNTU24, 120, 1), ("integration", LARGE, 400, 1), ("image", UBUNTU24, 180, 2)], 15),
    "Mobile": ([("build", MAC, 500, 1), ("ui tests", MACOS, 420, 2)], 14),
    "Desktop": ([("build (windows)", WIN, 420, 1), ("installer", WINDOWS, 240, 2)], 14),
    "Training": ([("train", A100, 700, 1), ("evaluate", L4, 300, 3)], 26),
    "Cross build": ([("arm64", ARM, 300, 1), ("x64", LARGE, 280, 1)], 14),
    "Release": ([("package", UBUNTU24, 100, 1), ("sign", SIGN, 60, 130)], 8),
    "Docs": ([("pages", UBUNTU, 50, 1)], 10),
}
STEPS = {"lint": "Run ruff check", "pages": "Build the pages", "sign": "Sign the packages", "train": "Train", "evaluate": "Evaluate the model",
         "integration": "Run integration tests", "unit": "Run unit tests", "ui tests": "Run UI tests"}
TITLES = ["Retry uploads that were cut short", "Bump the base image", "Say why an order was refused", "Cache the price list",
          "Remove the old endpoint", "Time out after 30 s", "Translate the checkout", "Use the new client"]
ACTORS = ["mona", "octocat", "hubot", "ada", "grace", "linus"]
NAMES = """monorepo checkout basket catalog search prices orders payments invoices refunds shipping returns accounts login mail push
ios-app android-app kiosk website blog handbook design-system api-gateway edge-proxy metrics-agent log-shipper terraform images
desktop-client print-server ml-ranking ml-vision ml-forecast ml-speech data-lake reports fraud-rules sdk-python sdk-go""".split()
KINDS = {"ml": ["Training"], "ios": ["Mobile"], "android": ["Mobile", "CI"], "kiosk": ["Desktop", "Mobile"], "desktop": ["Desktop"],
         "print": ["Desktop"], "sdk": ["CI", "Cross build", "Release"], "edge": ["Cross build"], "log": ["Cross build"], "metrics": ["Cross build", "CI"],
         "blog": ["Docs"], "handbook": ["Docs"], "website": ["CI", "Docs"], "images": ["Cross build", "Release"], "monorepo": ["CI", "Release"]}
FLOOD, FAILED, HELD = "acme/monorepo", "acme/website", "acme/payments"


def workflows_of(repository):
    return KINDS.get(repository, KINDS.get(repository.split("-")[0], ["Service", "CI"] if len(repository) % 2 else ["Service"]))


@dataclasses.dataclass
class Truth:
    """What is wrong. `since`: when it began; `seen`: by when it must show. GitHub ends the jobs of lost runners later."""
    kind: str
    since: int | None
    seen: int | None
    pools: list
    what: str
    do: str
    distractors: list


class Organization:
    """Up to `now` and for `minutes` after it. `kind`: quiet, dead, ceiling, flood, or after (a dead pool that works again)."""

    def __init__(self, kind, now, hours=4, minutes=0, seed=15):
        self.kind, self.now, self.end = kind, int(now), int(now) + minutes * MINUTE
        self.world = World([dataclasses.replace(pool) for pool in POOLS], {"hosted": LIMIT}, self.now - int(hours * HOUR), self.end, seed)
        self.words, self.commits = {}, {}  # of a run: its workflow; its head_sha, if it shares one
        self.names = [pool.name for pool in POOLS]
        self.ordinary_work()
        self.distractors = self.distract()
        self.truth = getattr(self, kind)()
        self.world.settle()

    def run(self, at, repository, workflow, attempt=1, first=None):
        run = self.world.run(at, repository, attempt, first)
        self.words[run] = workflow
        return run

    def job(self, run, name, pool, length, offset, **kinds):
        return self.world.job(run, self.names[pool], name, length, offset, startup=self.world.rng.choice((2, 3, 5, 8, 12, 20)), **kinds)

    def ordinary_run(self, at, repository, workflow):
        run = self.run(at, repository, workflow)
        for name, pool, length, offset in WORKFLOWS[workflow][0]:
            seconds = max(15, int(length * self.world.rng.lognormvariate(0, 0.3)))
            conclusion = "failure" if self.world.rng.random() < 0.01 else "success"
            self.job(run, name, pool, seconds, offset, conclusion=conclusion)
        return run

    def ordinary_work(self):
        for name in NAMES:
            for workflow in workflows_of(name):
                at, between = self.world.begin, 4 * HOUR / WORKFLOWS[workflow][1]
                while (at := at + self.world.rng.expovariate(1 / between)) < self.end:
                    self.ordinary_run(at, f"acme/{name}", workflow)

    def distract(self):
        """What looks bad and is not the trouble: a failed run, and a job that waits for an approval. In a pool of no incident."""
        self.failed = self.run(self.now - 9 * MINUTE, FAILED, "CI")
        self.job(self.failed, "lint", LARGE, 25, 1)
        self.job(self.failed, "test (3.12)", LARGE, 190, 1)
        self.job(self.failed, "test (3.13)", LARGE, 70, 1, conclusion="failure")
        docs = self.run(self.now - 9 * MINUTE, FAILED, "Docs")
        self.job(docs, "pages", LARGE, 45, 1)
        self.commits = dict.fromkeys((self.failed, docs), hashlib.sha1(FAILED.encode()).hexdigest())
        held = self.run(self.now - 100 * MINUTE, HELD, "Deploy")
        self.job(held, "build", LARGE, 150, 1)
        self.job(held, "deploy", SIGN, 60, 170, gate=9 * HOUR + 0.25)
        return [f"{FAILED}: test (3.13) failed a few minutes ago", f"{HELD}: deploy waits for an approval"]

    # --- what is wrong ------------------------------------------------------------------------------------------

    def quiet(self):
        return Truth("quiet", None, None, [], "nothing", "nothing", self.distractors)

    def dead(self, begin=38, end=None):
        since = self.now - begin * MINUTE
        self.world.outages = [Outage(self.names[A100], since, self.end + DAY if end is None else self.now - end * MINUTE)]
        return Truth("dead", since, since + Outage.notice, [self.names[A100]], "All runners of the pool gpu-a100 have stopped; its jobs wait, nothing starts. One pool.",
                     "Look at the runners of gpu-a100 (are they online?), restart them.", self.distractors)

    def after(self):
        return dataclasses.replace(self.dead(95, 50), kind="after")

    def ceiling(self, begin=41):
        """Ordinary pushes of many repositories at once, so that none of them is to blame."""
        since = self.now - begin * MINUTE
        span = (self.end - since) / 60
        for number in range(int(3.2 * span / 6)):
            repository = NAMES[1 + number % (len(NAMES) - 1)]
            run = self.run(since + min(240, number * 7) + max(0, number - 24) * 100, f"acme/{repository}", "Rebuild")
            for place, (pool, offset) in enumerate([(UBUNTU, 1), (UBUNTU, 1), (UBUNTU24, 1), (UBUNTU24, 2), (WINDOWS, 2), (MACOS, 2)]):
                self.job(run, f"rebuild ({place + 1})", pool, int(720 * self.world.rng.lognormvariate(0, 0.2)), offset)
        return Truth("ceiling", since, since + 4 * MINUTE, self.names[UBUNTU:], f"The limit of {LIMIT} hosted jobs at once is reached; four hosted pools wait. Many repositories, none of them alone.",
                     "Raise the limit at GitHub, or move jobs to self-hosted runners; more runners of one pool do not help.", self.distractors)

    def flood(self, begin=33):
        since = self.now - begin * MINUTE
        run = self.run(since, FLOOD, "Rebuild everything")
        run_again = self.run(since + 100, FLOOD, "Rebuild everything")
        for number in range(300):
            self.job(run if number < 180 else run_again, f"rebuild ({number + 1})", X64, int(420 * self.world.rng.lognormvariate(0, 0.2)), 1 + number // 60)
        return Truth("flood", since, since + 4 * MINUTE, [self.names[X64]], f"{FLOOD} fills the pool linux,self-hosted,x64 with 300 jobs of \"Rebuild everything\"; others wait behind it.",
                     f"Cancel or slow down the runs of {FLOOD}, talk to its owners; or add runners to this pool.", self.distractors)

    # --- as GitHub sends it -------------------------------------------------------------------------------------

    def deliveries(self):
        """None is minutes late, as a job would then seem to wait."""
        self.payloads = Payloads(self)
        return deliveries.of_world(self.world, self.end, self.world.rng.randrange(1000), self.payloads, late=0)


class Payloads(deliveries.Payloads):
    """With the names that people would give."""

    def __init__(self, organization):
        super().__init__()
        self.organization = organization

    def of_run(self, run):
        known = run in self.runs
        made = super().of_run(run)
        if not known:
            number = run.number
            made.workflow, made.run_number = self.organization.words[run], 1000 + number
            made.display_title, made.actor = TITLES[number % len(TITLES)], ACTORS[number % len(ACTORS)]
            made.triggering_actor, made.head_sha = made.actor, self.organization.commits.get(run, made.head_sha)
            made.head_branch = "main" if number % 3 else f"fix-{number}"
            made.conclusion = "failure" if any(job.conclusion == "failure" for job in run.jobs) else "success"
        return made

    def set_times(self, job, made):
        super().set_times(job, made)
        made.steps = [self.renamed(step, job) for step in made.steps]

    def renamed(self, step, job):
        if not step.name.startswith("make"):
            return step
        name = STEPS.get(job.name, "Run tests" if job.name.startswith("test") else "Build")
        return Step(name, step.number, step.start, step.end, step.conclusion, step.status)
