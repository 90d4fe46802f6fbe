"""What the pages show in tests and pictures: deliveries of invented runs."""
import random
import time

from payloads import Repository, Run

HOSTILE = '<img src=x onerror=alert(1)>'
REPOSITORIES = ["rocket_engine", "launchpad", "telemetry", "ground-control", "website"]
POOLS = [(["ubuntu-latest", "x64"], "GitHub Actions"), (["self-hosted", "linux", "x64"], "build farm"),
         (["self-hosted", "linux", "arm64", "gpu"], "gpu"), (["macos-15"], "GitHub Actions"), (["windows-2022"], "GitHub Actions")]


def set_pool(job, pool):
    job.labels, job.runner_group = list(POOLS[pool][0]), POOLS[pool][1]
    return job


def forty_runs(jobs=20, seed=7):
    """Forty runs in progress: jobs finished, running, queued."""
    dice = random.Random(seed)
    events = []
    for number in range(40):
        run = Run(age=dice.randrange(60, 1500), workflow=dice.choice(["CI", "Release", "Nightly", "Docs"]),
                  repository=Repository("acme/" + dice.choice(REPOSITORIES)))
        run.run_number = 100 + number
        run.display_title = dice.choice(["Retry uploads that were cut short", "Bump the engine to 4.2", "Say why a launch was scrubbed"])
        events.append(run.requested())
        elapsed = time.time() - run.started
        for i in range(jobs):
            job = set_pool(run.job(f"test ({dice.choice(['linux', 'macos', 'windows'])}, 3.{i})", offset=1 + i,
                                   queue=dice.randrange(2, 300), duration=dice.randrange(30, 900),
                                   conclusion=dice.choice(["success"] * 8 + ["failure"])), dice.randrange(len(POOLS)))
            if job.created > time.time():
                continue
            events.append(job.queued())
            if job.started < run.started + elapsed:
                events.append(job.in_progress())
            if job.completed_at < run.started + elapsed:
                events.append(job.completed())
    return events


def finished_run(attempts=2, repository=None, workflow="CI", job_names=("lint", "test (3.12)", "test (3.13)", "package", "deploy"),
                 age=900, conclusion="success"):
    """A run whose first attempt failed in one job, and the re-run of that; jobs that wait for each other."""
    run = Run(age=age, workflow=workflow, conclusion="failure" if attempts > 1 else conclusion, repository=repository)
    at = 1
    for i, title in enumerate(job_names):
        parallel = 0 < i < 3
        is_last = i == len(job_names) - 1
        result = "failure" if attempts > 1 and i == 2 else conclusion if is_last else "success"
        run.job(title, offset=at, queue=5 + 7 * i, duration=40 + 15 * i, conclusion=result)
        set_pool(run.jobs[-1], i % 2)
        if not parallel or i == 2:
            at = run.jobs[-1].completed_at - run.started + 1
    run.updated = max(job.completed_at for job in run.jobs) + 1
    events = run.timeline()
    if attempts > 1:
        again = Run(run_id=run.run_id, attempt=2, started=run.updated + 60, workflow=workflow, repository=run.repository)
        again.created = run.created
        for i, job in enumerate(run.jobs):
            fresh = set_pool(again.job(job.name, offset=2, queue=6, duration=50), i % 2)
            if job.conclusion != "failure":
                fresh.carried_over(job.started, job.completed_at)
        again.updated = again.started + 70
        events += again.timeline()
    return run, events


def many_finished(count=60, seed=3):
    """Runs of several repositories, workflows, branches and results."""
    dice = random.Random(seed)
    events, runs = [], []
    for number in range(count):
        run = Run(age=dice.randrange(120, 3500), workflow=["CI", "Release", "Docs"][number % 3],
                  repository=Repository("acme/" + REPOSITORIES[number % len(REPOSITORIES)]),
                  head_branch="main" if number % 4 else f"feature/{number}", conclusion="failure" if number % 7 == 0 else "success")
        run.run_number = number + 1
        set_pool(run.job("build", queue=dice.randrange(1, 400), duration=dice.randrange(20, 60), conclusion=run.conclusion), number % len(POOLS))
        run.updated = run.jobs[0].completed_at + 1
        runs.append(run)
        events += run.timeline()
    return runs, events


def large_run(jobs=500, at_once=80):
    """A matrix, some of which failed."""
    run = Run(age=3 * 3600, workflow="Nightly", conclusion="failure", repository=Repository("acme/launchpad"))
    run.display_title = "Nightly tests on all platforms"
    for number in range(jobs):
        job = run.job(f"test ({['linux', 'macos', 'windows'][number % 3]}, shard {number // 3 + 1})", queue=4 + number // at_once * 400,
                      duration=120 + number * 37 % 270, conclusion="failure" if number % 71 == 40 else "success")
        job.labels, job.runner_group, job.runner_name = ["self-hosted", "batch"], "batch", f"batch-{number % at_once + 1}"
        job.steps = job.usual_steps()
    run.updated = max(job.completed_at for job in run.jobs) + 1
    return run


def hostile_run():
    run = Run(workflow=HOSTILE, repository=Repository("acme/rocket_engine"))
    run.display_title = HOSTILE + " \u202egnissorc \u2066"
    run.job(HOSTILE)
    run.job("\"><script>alert(2)</script>")
    run.job("javascript:alert(3)")
    for job in run.jobs:
        job.runner_name, job.labels, job.runner_group = HOSTILE, [HOSTILE], HOSTILE
        job.steps[2].name = HOSTILE
    return run


# --- pools that keep up, and pools that do not ---

CEILING = "hosted: 12: ubuntu-* windows-* macos-* !self-hosted"


def worked_off(labels, runners, arrivals, length=300, stops=None, repositories=("acme/shop",), name="build", workflow="CI", group="Default"):
    """Jobs, first come first served: `arrivals` are seconds before now, `labels` one list of labels for each job in turn.
    Nothing starts once `stops` seconds before now have passed. The events of what happened up to now."""
    now, events = int(time.time()), []
    free = {f"{labels[0][-1]}-{number}": now - 100000 for number in range(runners)}
    for i, before in enumerate(sorted(arrivals, reverse=True)):
        run = Run(started=now - before - 2, workflow=workflow, repository=Repository(repositories[i % len(repositories)]))
        job = run.job(name, offset=2)
        job.labels, job.runner_group = list(labels[i % len(labels)]), group
        runner = min(free, key=free.get)
        begin = max(job.created + 3, free[runner] + 2)
        events += [run.requested(), job.queued()]
        if begin >= now or stops is not None and begin >= now - stops:
            continue
        job.started, job.completed_at, free[runner] = begin, begin + length, begin + length
        job.runner_name, job.runner_id, job.steps = runner, sum(map(ord, runner)), job.usual_steps()
        events.append(job.in_progress())
        if job.completed_at < now:
            run.updated = job.completed_at + 1
            events += [job.completed(), run.completed()]
    return events


def quiet_day():
    return [*worked_off([["self-hosted", "linux", "x64"]], 8, range(20, 3500, 90)),
            *worked_off([["ubuntu-latest"], ["macos-15"]], 20, range(30, 3500, 60), group="GitHub Actions", repositories=("acme/shop", "acme/website")),
            *worked_off([["gpu-a100"]], 8, range(200, 3500, 400), length=900, repositories=("acme/ml",), name="train", workflow="Training")]


def dead_pool():
    """Forty jobs wait for runners that started nothing for 40 minutes."""
    return worked_off([["gpu-a100"]], 8, [*range(2420, 7000, 200), *range(60, 2400, 60)], length=200, stops=2400, repositories=("acme/ml",),
                      name="train", workflow="Training")


def full_ceiling():
    """Three labels of hosted runners, twelve jobs at once (CEILING)."""
    return worked_off([["ubuntu-latest"], ["windows-2022"], ["ubuntu-latest"], ["macos-15"]], 12, range(60, 4800, 20), length=360,
                      repositories=("acme/shop", "acme/shop", "acme/website", "acme/shop", "acme/launchpad"), group="GitHub Actions")


def flood():
    """One repository fills the runners of all."""
    return [*worked_off([["self-hosted", "linux", "x64"]], 6, [*range(60, 2400, 30), *range(3000, 5000, 100)], length=400,
                        repositories=("acme/monorepo",) * 8 + ("acme/shop", "acme/website")), *quiet_day()[-30:]]


def incident():
    """A dead pool, one that is busy, and the ceiling, beside pools that keep up."""
    return [*dead_pool(), *full_ceiling(), *worked_off([["self-hosted", "linux", "x64"]], 6, range(60, 4800, 40), length=300,
                                                       repositories=("acme/shop", "acme/launchpad", "acme/telemetry")),
            *worked_off([["self-hosted", "linux", "arm64"]], 6, range(20, 3600, 120), repositories=("acme/launchpad",))]
