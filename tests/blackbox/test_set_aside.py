"""One entry that cannot be read, or hardly be written, and all the others."""
import json
import os
import pathlib
import shutil

import harness
from expect import run_spans
from harness import wait_until
from payloads import Run, Step
from sending import varint

STEP_MARK = b"\x04type\x12\x06\x0a\x04step"
JOB_MARK = b"\x04type\x12\x05\x0a\x03job"


def listing(folder):
    """But for LMDB's table of readers, which one that reads beside a daemon must be in."""
    return {path.name: path.name == "lock.mdb" or (path.stat().st_size, path.stat().st_mtime_ns)
            for path in pathlib.Path(folder).iterdir()}


class SetAside(harness.BlackBoxTest):
    def damage(self, daemon, text):
        """The length in front of a text of an open job's state, in every page that holds it."""
        file = pathlib.Path(daemon.settings["db"], "data.mdb")
        data = file.read_bytes()
        wanted = varint(2 * len(text)) + text.encode()  # lengths are zigzag numbers
        self.assertIn(wanted, data)
        file.write_bytes(data.replace(wanted, varint(2 * len(text) + 40) + text.encode()))

    def queue(self, daemon):
        answer = daemon.admin("/api/queue")
        self.assertEqual(answer.status, 200, answer)
        return json.loads(answer.text)

    def test_a_damaged_job_stops_nothing_else_and_is_counted_logged_once_and_listed(self):
        daemon, collector = self.new_pair()
        lost, other = Run(age=200), Run(age=200)
        lost.job("the-damaged-job")
        other.job("another job")
        daemon.accept(*lost.jobs[0].timeline()[:2], *other.jobs[0].timeline()[:2])
        self.assertEqual(self.queue(daemon)["unreadable"], 0)
        daemon.stop()
        self.damage(daemon, "the-damaged-job")
        daemon.start()
        queue = self.queue(daemon)
        self.assertEqual([job["name"] for job in queue["jobs"]], ["another job"])
        self.assertEqual(queue["unreadable"], 1)
        for path in ("/api/runs", "/api/runs?state=open", f"/api/runs/{lost.run_id}/1", f"/api/runs/{other.run_id}/1",
                     "/api/latency", "/metrics", "/api/status"):
            self.assertEqual(daemon.admin(path).status, 200, path)
        for command in (("runs",), ("top", "--once")):
            shown = daemon.command(*command)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            self.assertIn("another job", shown.stdout)
        self.assertIn("1 stored entry could not be read", daemon.command("runs").stderr)

        daemon.accept(other.jobs[0].completed(), lost.jobs[0].completed())
        collector.wait(lambda _: sum(r.body.count(JOB_MARK) for r in collector.requests) == 2)
        self.assertEqual(daemon.log.count("were set aside"), 1, daemon.log)
        self.assertEqual(self.queue(daemon)["unreadable"], 0)
        self.assertEqual(json.loads(daemon.admin("/api/status").text)["store"]["set_aside"], 1)
        self.assertIn("ghatrace_store_set_aside_total 1", daemon.admin("/metrics").text)
        self.assert_listed(daemon, 1)
        daemon.restart()
        self.assertEqual(daemon.admin("/ready").status, 200)
        self.assertNotIn("were set aside", daemon.log)
        daemon.stop()
        self.assert_listed(daemon, 1)

    def assert_listed(self, daemon, count):
        before = listing(daemon.settings["db"])
        shown = daemon.command("check", "--insecure-no-signature", "--otlp-endpoint", "")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        lines = [line for line in shown.stdout.splitlines() if line.startswith("store: ")]
        self.assertIn(f"{count} entries that could not be read or written", lines[0])
        self.assertEqual(len(lines), 1 + count, shown.stdout)
        for line in lines[1:]:
            self.assertRegex(line, "set aside 20.* from spans, key [0-9a-f]{48}, [0-9]+ bytes: stored job is damaged")
        after = listing(daemon.settings["db"])
        if not daemon.is_running:
            self.assertEqual(before, after)

    def test_check_makes_no_file_and_needs_no_daemon(self):
        daemon = self.new_daemon()
        daemon.stop()
        copy = pathlib.Path(self.new_folder(), "db")
        copy.mkdir()
        shutil.copy(pathlib.Path(daemon.settings["db"], "data.mdb"), copy)
        os.chmod(copy / "data.mdb", 0o400)
        os.chmod(copy, 0o500)
        before = listing(copy)
        shown = harness.run_command("check", "--insecure-no-signature", "--db", copy)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("store: 0 entries", shown.stdout)
        self.assertEqual(listing(copy), before)
        os.chmod(copy, 0o700)
        missing = copy / "none"
        shown = harness.run_command("check", "--insecure-no-signature", "--db", missing)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn(f"store: none in {missing} yet", shown.stdout)
        self.assertFalse(missing.exists())

    def test_a_job_with_very_many_steps_is_accepted_and_all_of_them_are_exported(self):
        for protocol, steps in (("http/protobuf", 16500), ("http/json", 3000)):
            with self.subTest(protocol=protocol):
                daemon, collector = self.new_pair(otlp_protocol=protocol)
                run = Run(age=200)
                job = run.job()
                job.steps = [Step("s", i + 1, job.started, job.completed_at) for i in range(steps)]
                event = job.completed().edited(
                    lambda document: document["workflow_job"].update(html_url="https://github.com/" + 4077 * "u"))
                daemon.accept(event)
                mark = STEP_MARK if protocol == "http/protobuf" else b'"type","value":{"stringValue":"step"}'
                collector.wait(lambda _: sum(r.body.count(mark) for r in collector.requests) == steps)
                self.assertLess(max(len(r.body) for r in collector.requests), 16 << 20)
                if "asan" not in harness.BINARY and "tsan" not in harness.BINARY:
                    self.assertLess(daemon.own_kib(), 100 << 10)
                # The waterfall joins spans that were sent separately.
                shown = daemon.command("trace", run.run_id, "--steps")
                self.assertEqual(shown.returncode, 0, shown.stderr)
                self.assertGreaterEqual(len(shown.stdout.splitlines()), steps)
                daemon.stop()

    def test_a_job_with_the_id_of_its_run_is_a_job_like_any_other(self):
        daemon, collector = self.new_pair(id_scheme="collector")
        run = Run(age=200)
        job = run.job(job_id=run.run_id)
        daemon.accept(job.queued(), run.requested())
        queue = self.queue(daemon)
        self.assertEqual([j["job_id"] for j in queue["jobs"]], [str(run.run_id)])
        self.assertEqual(queue["unreadable"], 0)
        self.assertEqual(daemon.admin("/api/runs?state=open").status, 200)
        daemon.accept(job.in_progress(), job.completed(), run.completed())
        collector.wait(lambda _: sum(r.body.count(JOB_MARK) for r in collector.requests) == 1)
        found = wait_until(lambda: (answer := daemon.admin(f"/api/runs/{run.run_id}/1")).status == 200 and
                           json.loads(answer.text), what="the run")
        self.assertEqual([j["name"] for j in found["jobs"]], [job.name])
        self.assertEqual(found["run"]["result"], "success")

    def test_a_body_that_decodes_to_too_much_is_refused_with_a_message_and_the_next_is_accepted(self):
        daemon, collector = self.new_pair()
        run = Run(age=200)
        job = run.job()
        job.steps = [Step("@", 1, job.started, job.completed_at)]
        event = job.completed()
        step = b'{"name":"' + 1365 * b"\xff" + b'"}'
        head, _, tail = event.body.partition(b'"steps":[')
        body = head + b'"steps":[' + b",".join([step] * ((25 << 20) // len(step) - 100)) + tail[tail.index(b"]"):]
        answer = daemon.deliver(event.with_body(body))
        self.assertEqual(answer.status, 413, answer)
        self.assertIn("when decoded", answer.text)
        job.steps = job.usual_steps()
        daemon.accept(*run.timeline())
        self.check_trace(collector, run_spans(run))
