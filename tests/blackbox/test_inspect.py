"""`ghatrace inspect`: all that is stored of a run, in plain text, without a change to the store."""
import gzip
import pathlib
import re

import harness
from collector import refuse_marker, unavailable
from expect import Ids
from payloads import Repository, Run


class Inspect(harness.BlackBoxTest):
    def inspect(self, daemon, *arguments):
        file = pathlib.Path(daemon.settings["db"]) / "data.mdb"
        before = None if daemon.is_running else file.read_bytes()
        done = daemon.command("inspect", *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        if before is not None:
            self.assertEqual(file.read_bytes(), before)
        return done.stdout

    def part(self, text, head):
        """The lines below this one, by the name in front; several of one name are a list."""
        parts = [part.split("\n") for part in text.strip("\n").split("\n\n")]
        found = [part[1:] for part in parts if re.match(head, part[0])]
        self.assertEqual(len(found), 1, f"{head} in\n{text}")
        fields, name = {}, None
        for line in found[0]:
            name = line[2:24].rstrip() or name
            fields.setdefault(name, []).append(line[25:])
        return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}

    def test_open_states_are_printed_field_by_field_with_what_they_wait_for(self):
        daemon = self.new_daemon(self.new_collector())
        run = Run()
        queued, running, held = run.job("queued"), run.job("running"), run.job("held", environment="production", waited=20)
        daemon.accept(run.requested(), queued.queued(), running.queued(), running.in_progress(), held.queued(), held.waiting())
        text = self.inspect(daemon, run.run_id)
        self.assertTrue(text.startswith(f"run {run.run_id} attempt 1 of github.com, stored under {Ids(run.run_id).trace}\n"))
        shown = self.part(text, r"run: state, layout \d+, \d+ bytes$")
        self.assertEqual((shown["phase"], shown["events seen"], shown["open jobs"]), ("open", "requested", "3"))
        self.assertEqual((shown["repository"], shown["title"]), (run.repository.full_name, run.display_title))
        self.assertRegex(shown["deadline"], r"^20\d\d-.*Z \(in \d+d \d+h\)$")
        self.assertIn("its open jobs and its `completed`", shown["waits for"])
        jobs = {job.name: self.part(text, rf"job {job.job_id}: state, layout \d+, \d+ bytes$") for job in run.jobs}
        self.assertEqual(jobs["running"]["events seen"], "queued, in_progress")
        self.assertEqual(jobs["running"]["labels"], running.labels if len(running.labels) > 1 else running.labels[0])
        self.assertEqual(jobs["running"]["runner"], running.runner_name)
        self.assertEqual(len(jobs["running"]["steps"]), 2)
        self.assertEqual(jobs["held"]["environment"], "production")
        self.assertTrue(jobs["held"]["waits for"].startswith("approval; "))
        self.assertTrue(jobs["queued"]["waits for"].startswith("its next event; given up at the deadline (job-timeout)"))
        self.assertNotIn("not in the index", text)
        daemon.stop()
        self.assertEqual(self.part(self.inspect(daemon, run.run_id), "run: state")["open jobs"], "3")

    def test_for_a_settling_job_the_missing_event_is_named(self):
        daemon = self.new_daemon(self.new_collector(), root_grace="1h")
        run = Run()
        job = run.job("gate", environment="production")
        daemon.accept(job.queued(), job.completed())
        shown = self.part(self.inspect(daemon, run.run_id), f"job {job.job_id}: state")
        self.assertEqual(shown["phase"], "completed, settling")
        self.assertIn("how long it waited for approval", shown["waits for"])

    def test_notes_and_records_of_sent_spans_are_printed(self):
        daemon, collector = self.new_pair()
        run = Run()
        job = run.job("build")
        daemon.accept(*run.timeline())
        collector.wait_for_ids({(Ids(run.run_id).trace, Ids(run.run_id).root)})
        harness.wait_until(lambda: "\nghatrace_outbox_records 0\n" in daemon.admin("/metrics").text, what="an empty outbox")
        text = self.inspect(daemon, f"{run.run_id}/1")
        self.assertIn("\nrun: no state\n", text)
        note = self.part(text, "run: note that its root was made$")
        self.assertEqual((note["phase"], note["closed jobs"]), ("root sent", "1"))
        self.part(text, r"run: note that it had a root")
        self.assertEqual(self.part(text, rf"job {job.job_id}: note that its spans were made$")["phase"], "closed")
        records = re.findall(r"\nrecord (\d+): \d+ bytes\n  of +(.*)\n  spans +(\d+)\n  finished .*\n  export +(.*)\n", text)
        self.assertEqual(sorted(name for _, name, _, _ in records), ["RUN " + run.workflow, "build"])
        self.assertEqual({fate for *_, fate in records}, {"does not wait: it was sent, or there is no collector"})

    def test_waiting_records_and_dead_letters_are_printed_with_the_reason(self):
        collector = self.new_collector()
        collector.script = refuse_marker(b"poisoned")
        daemon = self.new_daemon(collector)
        bad = Run(workflow="poisoned")
        bad.job()
        daemon.accept(*bad.timeline())

        def is_dead():  # a record becomes a dead letter only once the collector has accepted another since
            good = Run()
            good.job()
            daemon.accept(*good.timeline())
            return daemon.command("inspect", bad.run_id).stdout.count("dead letter since") == 2
        harness.wait_until(is_dead, what="dead letters")
        text = self.inspect(daemon, bad.run_id)
        self.assertEqual(len(re.findall(r"  export +dead letter since 20.*Z \(.* ago\): .*bad data", text)), 2)
        collector.script = lambda request: unavailable()
        waiting = Run()
        waiting.job()
        daemon.accept(*waiting.timeline())
        self.assertEqual(self.inspect(daemon, waiting.run_id).count("waits in the outbox"), 2)

    def test_a_record_that_was_replaced_by_a_newer_one_is_printed_while_it_waits(self):
        daemon = self.new_daemon(otlp_endpoint="http://127.0.0.1:9")
        run = Run()
        run.job()
        daemon.accept(*run.timeline())
        daemon.accept(run.completed(at=run.updated + 60, conclusion="failure"))
        self.assertEqual(self.inspect(daemon, run.run_id).count("waits in the outbox"), 3)

    def test_the_newest_attempt_is_shown_and_another_when_it_is_named(self):
        daemon = self.new_daemon(self.new_collector())
        first = Run()
        second = Run(run_id=first.run_id, attempt=2)
        daemon.accept(first.requested(), second.requested())
        self.assertIn(f"run {first.run_id} attempt 2 of", self.inspect(daemon, first.run_id))
        self.assertIn(f"run {first.run_id} attempt 1 of", self.inspect(daemon, f"{first.run_id}/1"))
        page = f"https://github.com/acme/rocket_engine/actions/runs/{first.run_id}/attempts/1"
        self.assertIn(f"run {first.run_id} attempt 1 of", self.inspect(daemon, page))

    def test_a_missing_run_is_a_failure_with_a_message(self):
        daemon = self.new_daemon(self.new_collector())
        for run, words in (("4711", "run 4711: nothing of it is in the store"),
                           ("4711/3", "run 4711 attempt 3: nothing of it is in the store")):
            done = daemon.command("inspect", run)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertEqual(done.stderr, f"ghatrace: {words}\n")
        self.assertEqual(daemon.command("inspect", "seven").returncode, 2)

    def test_names_cannot_steer_the_terminal(self):
        daemon = self.new_daemon(self.new_collector())
        evil = "\x1b]0;owned\x07\u202e\r\nphase   closed"
        run = Run(workflow=evil, head_branch=evil)
        job = run.job(evil, environment=evil)
        job.labels, job.steps[0].name, job.runner_name, run.display_title, run.actor = [evil], evil, evil, evil, evil
        daemon.accept(run.requested(), job.queued(), job.in_progress())
        text = self.inspect(daemon, run.run_id)
        self.assertEqual([c for c in text if (ord(c) < 32 and c != "\n") or c in "\x7f\u202e"], [])
        self.assertEqual(len(re.findall("^ *phase +", text, re.M)), 2)

    def test_runs_of_several_servers_with_the_same_number_are_distinguished(self):
        daemon = self.new_daemon(self.new_collector())
        usual = Run()
        other = Run(run_id=usual.run_id, repository=Repository(server="ghe.example"))
        daemon.accept(usual.requested(), other.requested())
        both = self.inspect(daemon, usual.run_id)
        self.assertRegex(both, r"(?s)^run \d+ attempt 1 of github\.com, .*\n\nrun \d+ attempt 1 of ghe\.example, ")
        one = self.inspect(daemon, usual.run_id, "--server", "ghe.example")
        self.assertNotIn("of github.com,", one)

    def test_states_of_an_older_layout_are_read_and_left_as_they_are(self):
        daemon = self.new_daemon(start=False)
        database = pathlib.Path(daemon.settings["db"])
        database.mkdir()
        fixture = harness.ROOT / "tests/fixtures/store/dea6e4c/data.mdb.gz"
        (database / "data.mdb").write_bytes(gzip.decompress(fixture.read_bytes()))
        for run in {line.split()[-1] for line in daemon.command("runs", "--open").stdout.split("\n") if re.search(r" \d+/1$", line)}:
            self.assertRegex(self.inspect(daemon, run), r"\nrun: state, layout 1, \d+ bytes\n  phase +open\n")
        self.assertEqual([file.name for file in database.iterdir()], ["data.mdb"])


if __name__ == "__main__":
    import unittest
    unittest.main()
