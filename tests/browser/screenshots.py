#!/usr/bin/env python3
"""Pictures of the live page, to be looked at: screenshots.py FOLDER"""
import pathlib
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "blackbox")]

import harness  # noqa: E402
from scenes import CEILING, dead_pool, finished_run, flood, forty_runs, hostile_run, incident, many_finished, quiet_day  # noqa: E402
from webdriver import Browser  # noqa: E402


def picture(daemon, folder, name, path, before=None, **kinds):
    browser = Browser(**kinds)
    try:
        browser.open(f"http://127.0.0.1:{daemon.admin_address[1]}/{path}")
        browser.wait("return document.querySelector('article, tbody tr, .job-box, .empty:not([hidden])')")
        if before:
            browser.run(before)
        time.sleep(1.2)
        browser.screenshot(folder / f"{name}.png")
    finally:
        browser.quit()


def pools(folder):
    """The first screen on a quiet day and during incidents, wide and narrow, light and dark."""
    for name, scene in (("quiet", quiet_day), ("incident", incident), ("dead", dead_pool), ("flood", flood)):
        with tempfile.TemporaryDirectory() as store:
            daemon = harness.Daemon(store, runner_ceiling=CEILING).start()
            daemon.accept(*scene())
            for width in (1300, 390):
                for dark in (False, True) if name in ("quiet", "incident") else (False,):
                    picture(daemon, folder, f"{name}-{width}{'-dark' if dark else ''}", "", width=width, height=1000, dark=dark)
            daemon.stop()


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    pools(folder)
    with tempfile.TemporaryDirectory() as store:
        daemon = harness.Daemon(store, trace_url="https://traces.example.com/{trace_id}").start()
        picture(daemon, folder, "empty", "")
        run, events = finished_run()
        daemon.accept(*forty_runs(), *many_finished()[1], *events, *hostile_run().timeline())
        unfold = "document.querySelectorAll('button.job')[1].click()"
        picture(daemon, folder, "now", "", height=1400)
        picture(daemon, folder, "now-dark", "", dark=True, height=1400)
        picture(daemon, folder, "now-390", "", width=390, height=1200)
        picture(daemon, folder, "run", f"#/runs/{run.run_id}/1", unfold, height=1100)
        picture(daemon, folder, "run-dark", f"#/runs/{run.run_id}/1", dark=True, height=1000)
        picture(daemon, folder, "run-390", f"#/runs/{run.run_id}/1", unfold, width=390, height=1200)
        picture(daemon, folder, "runs", "#/runs", height=1000)
        picture(daemon, folder, "runs-390", "#/runs", width=390, height=900)
        picture(daemon, folder, "latency", "#/latency", height=900)
        picture(daemon, folder, "latency-390", "#/latency", width=390, height=900)
        daemon.stop()


if __name__ == "__main__":
    main()
