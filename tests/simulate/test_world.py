"""Simulated worlds, in short: scenarios, some days with fixed seeds, and that the judges notice what is wrong."""
import copy
import hashlib
import os
import pathlib
import random
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "blackbox")]
import expect  # noqa: E402
import judges  # noqa: E402
import otlp  # noqa: E402
import payloads  # noqa: E402
import scenario  # noqa: E402
import simulate  # noqa: E402
from machine import BEGIN, SECOND  # noqa: E402
from oracle import Oracle  # noqa: E402
from world import DAY, Options, World, draw_options  # noqa: E402

HOUR = 3600 * SECOND
QUIET = Options(deliveries_a_day=120)
BUSY = Options(deliveries_a_day=250, reruns=0.15, gates=0.06, missing=0.02, lost_runners=0.03, stuck=0.02, late=0.03, copies=0.05, two_apps=0.02,
               second_server=True, old_payloads=True, several_hooks=True, jobs_only=True)


class Scenarios(unittest.TestCase):
    def test_each_scenario_ends_as_it_says(self):
        for path in sorted((HERE / "scenarios").glob("*.txt")):
            with self.subTest(path.stem):
                try:
                    scenario.Scenario(path).run()
                except scenario.Wrong as wrong:
                    self.fail(str(wrong))

    def run_text(self, text):
        path = pathlib.Path(self.enterContext(_folder())) / "made.txt"
        path.write_text(text)
        scenario.Scenario(path).run()

    def test_an_expectation_that_is_not_met_names_its_line(self):
        with self.assertRaisesRegex(scenario.Wrong, r"made.txt:4: .*\n    end is 59.0, must be 58.0"):
            self.run_text("run R end=60s\njob build R created=1s ended=59s\n60s deliver completed build\nexpect span build end=58s\n")

    def test_what_was_not_exported_is_noticed(self):
        with self.assertRaisesRegex(scenario.Wrong, "missing workflow: 'RUN Build and test'"):
            self.run_text("run R end=60s\njob build R\n60s deliver completed build\nexpect all\n")


def _folder():
    return tempfile.TemporaryDirectory(prefix="ghatrace-scenario-")


class Worlds(unittest.TestCase):
    def live(self, seed, days, options=None, without=()):
        story = simulate.live(seed, days, without, copy.copy(options) if options else None)
        findings = story.live()
        self.assertFalse(findings, f"seed {seed}: " + "\n".join(findings.lines))
        self.assertGreater(story.counts["spans"], 100)
        return story

    def test_days_without_faults_pass(self):
        story = self.live(1, 2, QUIET, simulate.COLLECTOR_FAULTS + simulate.DISK_FAULTS + simulate.PROCESS_FAULTS)
        self.assertEqual(story.counts["starts"], 1)
        self.check_the_judge_of_spans(story)

    def check_the_judge_of_spans(self, story):
        """Of spans that are as they must be, one is left out, one changed, one added."""
        last, keys = story.spans.last, sorted(story.spans.last)
        data, resource = last[keys[1]]
        span = otlp.span_of(data, (0, len(data)), resource)
        last[keys[1]] = data.replace(span.end.to_bytes(8, "little"), (span.end + SECOND).to_bytes(8, "little")), resource
        last[("github.com", bytes(16), bytes(8))] = data, resource
        del last[keys[0]]
        findings = judges.Findings()
        story.spans.judge(story.oracle, findings)
        self.assertEqual(sorted(kind.split(" ")[0] for kind in findings.kinds), ["missing", "unknown", "wrong"], findings.lines)

    def test_days_with_all_faults_pass(self):
        story = self.live(FAULTY, 3, BUSY)
        self.assertGreater(story.counts["starts"], 1)

    def test_the_same_seed_gives_the_same_deliveries(self):
        def digest(seed):
            made = hashlib.sha256()
            for delivery in World(seed, BEGIN).take(BEGIN + DAY * SECOND):
                body, headers = delivery.wire()
                made.update(repr((delivery.due, headers)).encode() + body)
            return made.hexdigest()
        self.assertEqual(digest(5), digest(5))
        self.assertNotEqual(digest(5), digest(6))


class Judges(unittest.TestCase):
    def oracle_of(self, deliveries):
        oracle = Oracle(HOUR, DAY * SECOND)
        for delivery in deliveries:
            if delivery.kind == "used":
                oracle.take(delivery.event, delivery.guid, delivery.body, delivery.due)
        return oracle

    def test_the_oracle_does_not_depend_on_the_order(self):
        deliveries = list(World(3, BEGIN, copy.copy(QUIET)).take(BEGIN + DAY * SECOND))
        def of(entries):
            return {span.key: (span.name, span.start, span.end, sorted(map(str, span.attributes.items()))) for span in self.oracle_of(entries).spans()
                    if not span.of.jobs or all(job.is_completed for job in span.of.jobs.values())}
        self.assertEqual(of(deliveries), of(deliveries[::-1]))

    def test_two_oracles_agree(self):
        """This one and that of the black-box tests, written apart, of which one reads the bodies, the other the run."""
        run = payloads.Run(started=BEGIN // SECOND, conclusion="failure", pull_request=(7, "main"))
        run.job("build"), run.job("deploy", waited=30.5, queue=20, environment="production"), run.job("lost").lost("make")
        run.job("steps", conclusion="failure").overlapping(), run.job("never").cancelled_in_queue(run.started + 40), run.job("skip").skipped()
        oracle = Oracle(HOUR, DAY * SECOND)
        for event in run.timeline():
            oracle.take(event.type, event.guid, event.body.decode(), (BEGIN // SECOND + 10_000) * SECOND)
        mine = {span.span: span for span in oracle.spans()}
        theirs = expect.by_id(expect.run_spans(run))
        self.assertEqual(mine.keys(), theirs.keys())
        for span_id, wanted in theirs.items():
            span = mine[span_id]
            self.assertEqual((span.trace, span.parent, span.name, span.kind, span.start, span.end, span.status),
                             (wanted["traceId"], wanted["parentSpanId"], wanted["name"], wanted["kind"], wanted["startTimeUnixNano"],
                              wanted["endTimeUnixNano"], (wanted["status"]["code"], wanted["status"]["message"])))
            self.assertEqual(span.attributes, wanted["attributes"], span.name)
            self.assertEqual(span.resource, wanted["resource"])

    def test_a_duplicate_that_was_never_taken_is_noticed(self):
        delivery = next(World(3, BEGIN).take(BEGIN + DAY * SECOND))
        findings, answers = judges.Findings(), judges.Answers()
        answers.judge(delivery, Answered(200), 202, findings, False, HOUR)
        self.assertEqual(dict(findings.kinds), {"taken for a duplicate": 1})

    def test_a_span_that_is_cut_is_an_error(self):
        with self.assertRaises(ValueError):
            list(otlp.places(b"\x0a\x05\x12\x7f"))


class Answered:
    at, raw = BEGIN, b""

    def __init__(self, status):
        self.status = status


class Generator(unittest.TestCase):
    def test_options_are_drawn_from_their_whole_range(self):
        drawn = [draw_options(random.Random(seed)) for seed in range(300)]
        self.assertLess(min(one.deliveries_a_day for one in drawn), 60)
        self.assertGreater(max(one.deliveries_a_day for one in drawn), 1700)
        for name in ("second_server", "old_payloads", "forms"):
            self.assertEqual({getattr(one, name) for one in drawn}, {True, False})


# A seed whose plan has faults of all sorts in its first days.
FAULTY = int(os.environ.get("SEED", "315"))

if __name__ == "__main__":
    unittest.main()
