#!/usr/bin/env python3
"""Makes a store in which labels are spelled in several ways, with a version to which these were different pools.

    GHATRACE=path/to/ghatrace make_labels_store.py FOLDER
"""
import json
import pathlib
import sys
import tempfile

import harness
from make_store import CENTURY, compact, run_of, zip_to
from payloads import Repository

OPEN = (["self-hosted", "linux", "x64"], ["self-hosted", "Linux", "X64"], ["SELF-HOSTED", "x64", "linux"], ["Linux", "x64", "self-hosted"])
ONE_LABEL = ["self-hosted,linux,x64"]
QUEUE_SECONDS = 8


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ghatrace-test-") as place:
        daemon = harness.Daemon(place, job_timeout=CENTURY, run_idle=CENTURY, history=CENTURY, linger=CENTURY)
        daemon.start()
        for labels in (*OPEN, ONE_LABEL):
            job = run_of().job("build")
            job.labels = labels
            daemon.accept(job.queued())
        for i, labels in enumerate((*OPEN, *OPEN)):
            run = run_of(repository=Repository(("acme/rocket_engine", "acme/telemetry")[i // len(OPEN)]))
            run.job("build", queue=QUEUE_SECONDS).labels = labels
            daemon.accept(*run.timeline())
        daemon.stop()
        target = pathlib.Path(place, "copy")
        target.mkdir()
        compact(daemon.settings["db"], target)
        zip_to(folder / "data.mdb.gz", (target / "data.mdb").read_bytes())
    story = {"open": len(OPEN), "finished": 2 * len(OPEN), "queue_seconds": 2 * len(OPEN) * QUEUE_SECONDS}
    (folder / "story.json").write_text(json.dumps(story) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
