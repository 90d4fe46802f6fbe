#!/usr/bin/env python3
"""Makes a store to keep as a fixture: what one version of the program wrote, for later versions to read.

    GHATRACE=path/to/ghatrace make_store.py FOLDER

The binary is driven as GitHub and a collector would drive it. Into FOLDER go

    data.mdb.gz     the store, a compacting copy
    expected.json   what is in it, to be read by people too
    story.json.gz   deliveries that were made before, deliveries that are still to come, and the spans that each
                    part must lead to (computed by expect.py, not by the program)
"""
import base64
import ctypes
import gzip
import json
import os
import pathlib
import re
import sys
import tempfile
import time

import expect
import harness
from collector import Collector, refuse_marker, unavailable
from expect import Ids, job_spans, root_span, run_spans
from payloads import Repository, Run

CENTURY = "36500d"
START = 1_720_000_000  # 2024-07-03: whatever the clock says when the store is opened, this is past
# The families whose figures are stored; others count from the start of the process or depend on the clock.
STORED = re.compile(r"^ghatrace_(jobs|runs_open|series|series_overflow_total|finished_runs|outbox_records|outbox_bytes|"
                    r"dead_letters|(job_waiting|job_queue|job_startup|job_execution|job_duration|run_duration|"
                    r"step_duration)_seconds_(bucket|sum|count))[ {]")


def stored_figures(daemon):
    return sorted(line for line in daemon.admin("/metrics").text.splitlines() if STORED.match(line))


def without_times(value):
    """Ages and the time of the answer differ each time; what is stored does not."""
    if isinstance(value, dict):
        is_open = value.get("state") == "open"
        return {key: without_times(item) for key, item in value.items()
                if key not in ("now", "age_seconds") and not (is_open and key == "duration_seconds")}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def open_things(daemon):
    """The queue and the open runs, as the API lists them."""
    return {"queue": without_times(json.loads(daemon.admin("/api/queue").body)),
            "runs": without_times(json.loads(daemon.admin("/api/runs").body))}


def plain(event):
    return {"type": event.type, "action": event.action, "guid": event.guid,
            "body": base64.b64encode(event.body).decode()}


def compact(source, target):
    """mdb_env_copy2() with MDB_CP_COMPACT: what was freed stays behind."""
    lmdb = ctypes.CDLL("liblmdb.so.0")
    env = ctypes.c_void_p()
    for code in (lmdb.mdb_env_create(ctypes.byref(env)), lmdb.mdb_env_open(env, os.fsencode(source), 0, 0o600),
                 lmdb.mdb_env_copy2(env, os.fsencode(target), 1)):
        if code != 0:
            raise OSError(f"LMDB says {code}")
    lmdb.mdb_env_close(env)


def zip_to(path, data):
    with open(path, "wb") as raw, gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=raw, mtime=0) as out:
        out.write(data)


def run_of(**kinds):
    return Run(started=START, **kinds)


class Story:
    """What is delivered, in four parts: closed with short graces, closed, refused, not sent."""

    def __init__(self):
        rocket, site = Repository(), Repository("Acme-Web/site.example", properties={"service_name": "website"})
        big = ["self-hosted", "linux", "x64", "gpu-large"]
        # Given up: a job whose end is missing, and a run that only its jobs spoke of.
        self.lost = run_of(conclusion="failure")
        self.lost.updated = self.lost.started + 63
        self.lost_job = self.lost.job("lost and found", duration=40)
        self.jobs_only = run_of(repository=site, workflow="Nightly")
        self.jobs_only.job("alone").labels = ["windows-latest"]
        # Closed: only notes are left, and the history.
        self.closed = run_of()
        self.closed.job("build")
        self.closed.job("test \u00fc \U0001F680", offset=60, conclusion="failure", duration=33).labels = big
        self.rerun = run_of(run_id=self.closed.run_id, attempt=2, conclusion="success")
        self.rerun.job("build")
        self.skipped = run_of(repository=site, workflow="Nightly")
        self.skipped.job("not today").skipped()
        # Refused for good.
        self.poisoned = run_of(workflow="poisoned workflow")
        self.poisoned.job("poisoned job")
        # Finished, and the collector is down.
        self.waiting = run_of(repository=site, workflow="Deploy", pull_request=(1347, "main"), head_branch="feature/x")
        self.waiting.job("build").labels = ["windows-latest"]
        self.waiting.job("publish", offset=62, conclusion="cancelled", duration=20)
        # Open.
        self.open = run_of(workflow="Long")
        self.queued = self.open.job("queued")
        self.queued.labels = big
        self.running = self.open.job("running", offset=2)
        self.held = self.open.job("held", offset=3, environment="production", waited=20)
        self.fresh = run_of(repository=site, workflow="Nightly")
        self.silent = run_of(workflow="Silent")  # only its job spoke
        self.silent_job = self.silent.job("unspoken")
        # Settling: completed, and what its spans are made of has not been said.
        self.unreleased = run_of(workflow="Release")
        self.gate = self.unreleased.job("gate", environment="staging", waited=20)
        self.nameless = run_of(is_old=True, workflow="Old")
        self.old_job = self.nameless.job("of 2022")

    def given_up(self):
        run, job = self.lost, self.lost_job
        return [run.requested(), job.queued(), job.in_progress(), run.completed(), *self.jobs_only.jobs[0].timeline()]

    def exported(self):
        return [event for run in (self.closed, self.rerun, self.skipped) for event in run.timeline()]

    def kept(self):
        return [*self.waiting.timeline(), self.open.requested(), self.queued.queued(), self.running.queued(),
                self.running.in_progress(), self.held.queued(), self.held.waiting(), self.fresh.requested(),
                self.silent_job.queued(), self.unreleased.requested(), self.gate.queued(), self.gate.waiting(),
                self.gate.in_progress(), self.gate.completed(), self.old_job.queued(), self.old_job.completed()]

    def late(self):
        """Of what is closed, under GUIDs of their own: recognized, and nothing comes of them."""
        return [self.closed.jobs[0].in_progress(), self.closed.jobs[1].completed(), self.closed.in_progress(),
                self.closed.completed(), self.rerun.jobs[0].queued(), self.rerun.completed(),
                self.skipped.jobs[0].completed()]

    def continuations(self):
        """What is still to come, and the spans that must leave then (the last: once root-grace is over)."""
        yield "a job given up completes after all", [self.lost_job.completed()], job_spans(self.lost_job)
        yield ("a run that only its jobs spoke of completes", [self.jobs_only.completed()],
               [root_span(self.jobs_only, self.jobs_only.jobs[0].completed_at)])
        yield ("open jobs complete", [self.queued.in_progress(), self.queued.completed(), self.running.completed(),
                                      self.held.requeued(), self.held.in_progress(), self.held.completed(),
                                      self.open.completed()], run_spans(self.open))
        yield "a run of which only its request was known", [self.fresh.completed()], run_spans(self.fresh)
        yield ("a run of which only a queued job was known",
               [self.silent_job.completed(), self.silent.completed()], run_spans(self.silent))
        yield ("a release that settles a job", [self.gate.requeued(), self.unreleased.completed()],
               run_spans(self.unreleased))
        yield "the run that names the workflow of an old job", [self.nameless.completed()], run_spans(self.nameless)


def wait_for_dead_letters(daemon, collector, count):
    """Refusals are only believed of an endpoint that takes other records meanwhile."""
    next_at = time.monotonic()

    def are_dead():
        nonlocal next_at
        status = json.loads(daemon.admin("/api/status").body)
        if status["dead_letters"] < count and time.monotonic() >= next_at:
            next_at = time.monotonic() + 1
            daemon.accept(run_of(workflow="Other").completed())
        return status["dead_letters"] == count and status["outbox"]["records"] == 0
    harness.wait_until(are_dead, what="dead letters")


def deliver_story(daemon, collector, story):
    """Returns what was delivered."""
    made = story.given_up()
    daemon.start().accept(*made)
    ids = Ids(story.lost.run_id)
    alone = Ids(story.jobs_only.run_id)
    collector.wait_for_ids([(ids.trace, ids.root), (ids.trace, ids.job(story.lost_job.job_id)),
                            (alone.trace, alone.root)])
    daemon.stop()
    for name in ("root-grace", "job-grace", "run-idle"):
        daemon.settings[name] = CENTURY
    daemon.start().accept(*story.exported())
    made += story.exported()
    collector.wait_for_ids(expect.ids_of(run_spans(story.closed) + run_spans(story.rerun) + run_spans(story.skipped)))
    collector.script = refuse_marker(b"poisoned")
    daemon.accept(*story.poisoned.timeline())
    made += story.poisoned.timeline()
    wait_for_dead_letters(daemon, collector, 2)
    collector.script = lambda request: unavailable(retry_after=600)
    kept = story.kept()
    daemon.accept(*kept)
    return made + kept


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    collector, story = Collector(), Story()
    with tempfile.TemporaryDirectory(prefix="ghatrace-test-") as scratch:
        daemon = harness.Daemon(scratch, otlp_endpoint=collector.endpoint, root_grace="1s", job_grace="1s",
                                run_idle="1s", metrics_labels=harness.LABELS_BEFORE)
        # GUIDs are random: each event is made once.
        story.exported = lambda events=story.exported(): events
        timeline = story.poisoned.timeline()
        story.poisoned.timeline = lambda: timeline
        made = deliver_story(daemon, collector, story)
        figures = stored_figures(daemon)
        expected = {"version": harness.run_command("--version").stdout.strip(), "open": open_things(daemon),
                    "figures": [line for line in figures if "_bucket{" not in line]}
        daemon.stop()
        collector.stop()
        target = pathlib.Path(scratch) / "copy"
        target.mkdir()
        compact(scratch + "/db", target)
        zip_to(folder / "data.mdb.gz", (target / "data.mdb").read_bytes())
    recorded = {"figures": figures, "delivered": [plain(event) for event in made], "late": [plain(event) for event in story.late()],
            "outbox": run_spans(story.waiting), "dead_letters": run_spans(story.poisoned),
            "continuations": [{"what": what, "deliveries": [plain(event) for event in events], "spans": spans}
                              for what, events, spans in story.continuations()]}
    zip_to(folder / "story.json.gz", json.dumps(recorded, ensure_ascii=False).encode())
    (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
