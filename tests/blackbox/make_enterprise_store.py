#!/usr/bin/env python3
"""Makes a store of an Enterprise Server's runs to keep as a fixture, as make_store.py does of github.com's.

    GHATRACE=path/to/ghatrace make_enterprise_store.py FOLDER
"""
import json
import pathlib
import sys
import tempfile

import expect
import harness
from collector import Collector
from expect import Ids, job_spans, run_spans
from make_store import CENTURY, compact, plain, run_of, zip_to
from payloads import Repository, guid_of_time

SERVER = "git.example.com"


def another(event, number):
    """The same under another GUID, as a second hook sends it."""
    return event.with_guid(guid_of_time(1_720_000_900 + number))


class Story:
    def __init__(self):
        here = Repository(server=SERVER)
        self.open = run_of(repository=here, workflow="Long")
        self.queued, self.running, self.done = (self.open.job(name) for name in ("queued", "running", "done"))
        self.closed = run_of(repository=here)
        self.closed.job("build")
        self.sent = run_of(repository=here, workflow="Sent")  # the root left before its job
        self.straggler = self.sent.job("straggler")
        # Of github.com, with the ids of the open run and of its jobs.
        self.twin = run_of(run_id=self.open.run_id, workflow="Twin")
        for job in self.open.jobs:
            self.twin.job(job.name + " twin", job_id=job.job_id)
        self.made = self.delivered()  # GUIDs are random: each event is made once

    def delivered(self):
        return [self.open.requested(), self.queued.queued(), self.running.queued(), self.running.in_progress(),
                *self.done.timeline(), self.closed.requested(), *self.closed.jobs[0].timeline(),
                self.closed.completed(), self.straggler.queued(), self.sent.completed()]

    def document(self):
        late = [self.done.completed(), self.closed.jobs[0].completed(), self.closed.completed()]
        to_come = [self.queued.in_progress(), self.queued.completed(), self.running.completed(),
                   self.straggler.completed(), self.open.completed()]
        spans = [*job_spans(self.queued), *job_spans(self.running), *job_spans(self.straggler),
                 expect.root_span(self.open)]
        return {"run_id": self.open.run_id, "closed_run_id": self.closed.run_id,
                "late": [plain(another(event, i)) for i, event in enumerate(late)],
                "to_come": [plain(event) for event in to_come], "spans": spans,
                "twin": [plain(event) for event in (self.twin.requested(), *self.twin.jobs[0].timeline(),
                                                    *self.twin.jobs[1].timeline(), *self.twin.jobs[2].timeline(),
                                                    self.twin.completed())],
                "twin_spans": run_spans(self.twin)}


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    story, collector = Story(), Collector()
    with tempfile.TemporaryDirectory(prefix="ghatrace-test-") as scratch:
        daemon = harness.Daemon(scratch, otlp_endpoint=collector.endpoint, root_grace="1s", job_grace=CENTURY,
                                job_timeout=CENTURY, run_idle=CENTURY, linger=CENTURY, history=CENTURY).start()
        daemon.accept(*story.made)
        sent = Ids(story.sent.run_id)
        collector.wait_for_ids([(sent.trace, sent.root), *expect.ids_of(run_spans(story.closed))])
        harness.wait_until(lambda: json.loads(daemon.admin("/api/status").body)["outbox"]["records"] == 0,
                           what="an empty outbox")
        daemon.stop()
        collector.stop()
        target = pathlib.Path(scratch) / "copy"
        target.mkdir()
        compact(scratch + "/db", target)
        zip_to(folder / "data.mdb.gz", (target / "data.mdb").read_bytes())
    zip_to(folder / "story.json.gz", json.dumps(story.document(), ensure_ascii=False).encode())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
