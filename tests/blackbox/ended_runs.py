"""Runs that have ended, each at its time, whenever they are delivered."""
from harness import wait_until
from payloads import Run
from test_admin import get_json


def ended_run(age, took=60, **kinds):
    """Its end is `age` seconds ago."""
    run = Run(age=age + took, **kinds)
    run.job("build", duration=took - 20)
    run.updated = run.created + took
    return run


def failed_run(age, branch="main", step="Run tests", job="test", **kinds):
    run = Run(age=age + 60, head_branch=branch, conclusion="failure", **kinds)
    failed = run.job(job, duration=40, conclusion="failure")
    failed.steps[2].name = step
    run.updated = run.created + 60
    return run


def finish(daemon, *runs):
    """They are in the list when this returns, whenever they ended."""
    before = get_json(daemon, "/api/status")["store"]["finished_runs"]
    daemon.accept(*(event for run in runs for event in run.timeline()))
    wait_until(lambda: get_json(daemon, "/api/status")["store"]["finished_runs"] >= before + len(runs), what="the runs' ends")
