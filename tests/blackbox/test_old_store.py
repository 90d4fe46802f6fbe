"""Stores that earlier versions wrote: all that is in them is read, and goes on. See tests/fixtures/store/README.md."""
import base64
import gzip
import http.client
import json
import pathlib
import re
import threading
import time

import expect
import harness
from make_store import CENTURY
from payloads import Event, Run

FIXTURES = harness.ROOT / "tests/fixtures/store"
# The fixtures grow older each day. With these nothing in them is past its time.
PATIENT = {"root_grace": CENTURY, "job_grace": CENTURY, "job_timeout": CENTURY, "run_idle": CENTURY, "linger": CENTURY,
           "history": CENTURY}


VERSIONS = (harness.ROOT / "include/ghatrace/store/versions.h").read_text()
FORMAT = int(re.search(r"define STORE_FORMAT_VERSION (\d+)", VERSIONS)[1])
# Today's layout of each kind of record, by its letter.
LAYOUTS = {letter: int(layout) for letter, layout in re.findall(r"^    X\(.*'(\w)', .* (\d+)\)", VERSIONS, re.M)}


def versions_in(data):
    """The format of a store, and the layout of each kind of record when it was created: the first, if it names none."""
    version = int.from_bytes(data[data.index(b"format") + len(b"format"):][:4], "big")
    layouts = dict.fromkeys(LAYOUTS, 1)
    at = data.find(b"layouts")
    if at >= 0:
        rows = data[at + len(b"layouts") + 4:][:3 * len(LAYOUTS)]
        layouts.update((chr(rows[i]), rows[i + 1]) for i in range(0, len(rows), 3) if chr(rows[i]) in LAYOUTS)
    return version, layouts


def load(folder, name):
    return json.loads(gzip.decompress((folder / name).read_bytes()))


def current(spans):
    """As this version sends them: stories of older ones lack the source of the phases."""
    for span in spans:
        if span["name"] in expect.RUNNER_PHASES:
            span["attributes"].setdefault("github.phase_source", "webhook")
    return spans


OPEN_JOBS = re.compile(r'ghatrace_jobs\{state="(\w+)",runner_labels="(.*)",runner_group="(.*)"\} (\d+)')


def without_unused_pools(figures):
    """Without the gauges of pools that have no open jobs: such a pool is dropped after some days."""
    used = {found.group(2, 3) for found in map(OPEN_JOBS.fullmatch, figures) if found and found.group(4) != "0"}
    return [line for line in figures if not line.startswith('ghatrace_series{kind="pool"}') and
            (not OPEN_JOBS.fullmatch(line) or OPEN_JOBS.fullmatch(line).group(2, 3) in used)]


def one_pool_for_all_groups(figures):
    """As figures 3 has them: the jobs of a set of labels are one gauge, whose group is the one that was seen."""
    kept, jobs, groups = [], {}, {}
    for line in figures:
        found = OPEN_JOBS.fullmatch(line)
        if found:
            state, labels, group, count = found.groups()
            jobs[state, labels] = jobs.get((state, labels), 0) + int(count)
            groups[labels] = group or groups.get(labels, "")
        elif not line.startswith('ghatrace_series{kind="pool"}'):
            kept.append(line)
    kept += [f'ghatrace_jobs{{state="{state}",runner_labels="{labels}",runner_group="{groups[labels]}"}} {count}'
             for (state, labels), count in jobs.items()]
    return kept + [f'ghatrace_series{{kind="pool"}} {len(groups)}']


def one_row_for_all_groups(pools):
    """Its group may be one that only pools without open jobs had, which were not listed."""
    rows = {}
    for pool in pools:
        row = rows.setdefault(tuple(pool["runner_labels"]), {})
        for name, value in pool.items():
            if isinstance(value, int):
                row[name] = row.get(name, 0) + value
            elif name != "runner_group":
                row[name] = row.get(name) or value
    return list(rows.values())


def events_of(deliveries):
    return [Event(one["type"], base64.b64decode(one["body"]), one["guid"], one["action"]) for one in deliveries]


class OldStores(harness.BlackBoxTest):
    folders = sorted(path for path in FIXTURES.iterdir() if path.is_dir())

    def test_there_are_old_stores(self):
        self.assertIn("dea6e4c", [folder.name for folder in self.folders])

    def open_copy(self, folder, collector, metrics_labels=harness.LABELS_BEFORE, **settings):
        daemon = self.new_daemon(collector, start=False, metrics_labels=metrics_labels, **settings)
        database = pathlib.Path(daemon.settings["db"])
        database.mkdir()
        (database / "data.mdb").write_bytes(gzip.decompress((folder / "data.mdb.gz").read_bytes()))
        return daemon.start()

    def assert_holds(self, found, wanted, where=""):
        """All that is wanted is there; a later version may say more."""
        if isinstance(wanted, dict):
            for key, value in wanted.items():
                self.assertIn(key, found, where)
                self.assert_holds(found[key], value, f"{where}.{key}")
        elif isinstance(wanted, list):
            self.assertEqual(len(found), len(wanted), where)
            for i, value in enumerate(wanted):
                self.assert_holds(found[i], value, f"{where}[{i}]")
        else:
            self.assertEqual(found, wanted, where)

    def wait_for_records(self, collector, spans):
        collector.wait_for_ids(expect.ids_of(spans))

    def test_figures_and_lists_are_unchanged(self):
        for folder in self.folders:
            expected, story = json.loads((folder / "expected.json").read_text()), load(folder, "story.json.gz")
            daemon = self.open_copy(folder, self.new_collector(), **PATIENT, otlp_endpoint=None)
            shown = daemon.admin("/metrics").text.splitlines()
            figures = story["figures"]
            if versions_in(gzip.decompress((folder / "data.mdb.gz").read_bytes()))[1]["F"] < 3:
                figures = one_pool_for_all_groups(figures)
                expected["open"]["queue"]["pools"] = one_row_for_all_groups(expected["open"]["queue"]["pools"])
            self.assertEqual([line for line in without_unused_pools(figures) if line not in shown], [])
            self.assertGreater(len(figures), 100)
            for name, wanted in expected["open"].items():
                found = json.loads(daemon.admin(f"/api/{name}").body)
                if name == "runs":  # older versions listed them by when they were sent
                    ends = [run["ended_at"] for run in found["runs"]]
                    self.assertEqual(ends, sorted(ends, reverse=True))
                    for answer in (found, wanted):
                        answer["runs"].sort(key=lambda run: run["trace_id"])
                self.assert_holds(found, wanted, name)
            self.assertEqual(daemon.admin("/ready").status, 200)

    def test_by_other_labels_all_sums_are_those_of_before(self):
        """Of each family with the same bounds: over all sets, and over those of the same runner labels and result."""
        sample = re.compile(r"(ghatrace_(?:job|run)_\w+_seconds_(?:bucket|sum|count))\{(.*)\} (\S+)")

        def sums(lines):
            found = {}
            for name, labels, number in (match.groups() for match in map(sample.fullmatch, lines) if match):
                labels = dict(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', labels))
                for key in (), ("result",), ("runner_labels", "result"):
                    place = (name, labels.get("le"), tuple(labels.get(label) for label in key))
                    found[place] = found.get(place, 0) + float(number)
            return {place: round(number, 6) for place, number in found.items() if number}
        for folder in self.folders:
            wanted = sums(load(folder, "story.json.gz")["figures"])
            daemon = self.open_copy(folder, self.new_collector(), metrics_labels="job: pool runner_labels result",
                                    **PATIENT, otlp_endpoint=None)
            self.assertIn("their sums were added up", daemon.log)
            for _ in range(2):
                self.assertEqual(sums(daemon.admin("/metrics").text.splitlines()), wanted)
                daemon.restart("kill")
            self.assertNotIn("repository=", daemon.admin("/metrics").text)

    def test_waiting_records_are_exported_and_dead_letters_can_be_requeued(self):
        for folder in self.folders:
            story, collector = load(folder, "story.json.gz"), self.new_collector()
            daemon = self.open_copy(folder, collector, **PATIENT)
            self.wait_for_records(collector, story["outbox"])
            self.check_spans(collector, story["outbox"])
            status = json.loads(daemon.admin("/api/status").body)
            self.assertEqual(status["dead_letters"], 2)
            self.assertEqual(daemon.command("requeue").stdout.split()[0], "2")
            self.wait_for_records(collector, story["dead_letters"])
            self.check_spans(collector, story["outbox"] + story["dead_letters"])

    def check_spans(self, collector, wanted):
        """These spans came, and no others."""
        key = [(span["traceId"], span["spanId"]) for span in wanted]
        found = {(span["traceId"], span["spanId"]): span for span in collector.trace()}
        self.assertEqual(sorted(found), sorted(key))
        for one, span in zip(key, wanted):
            self.assertEqual(found[one], span)

    def test_stored_deliveries_are_recognized(self):
        for folder in self.folders:
            story, collector = load(folder, "story.json.gz"), self.new_collector()
            daemon = self.open_copy(folder, collector, **PATIENT)
            self.wait_for_records(collector, story["outbox"])
            before = daemon.admin("/metrics").text
            delivered, late = events_of(story["delivered"]), events_of(story["late"])
            self.assertGreater(len(delivered), 30)
            for event in delivered:
                self.assertEqual(daemon.deliver(event).outcome, (200, "duplicate"), event.action)
            for event in late:  # other GUIDs, of spans that are closed: taken, and nothing comes of them
                daemon.accept(event)
            self.assertIn("ghatrace_events_late_total 0", before)
            self.assertIn(f"ghatrace_events_late_total {len(late)}", daemon.admin("/metrics").text)
            daemon.restart()
            for event in delivered + late:
                self.assertEqual(daemon.deliver(event).outcome, (200, "duplicate"), event.action)
            self.check_spans(collector, story["outbox"])

    def test_open_runs_and_jobs_lead_to_the_same_spans(self):
        for folder in self.folders:
            story, collector = load(folder, "story.json.gz"), self.new_collector()
            daemon = self.open_copy(folder, collector, **PATIENT)
            *parts, last = story["continuations"]
            for part in parts:
                daemon.accept(*events_of(part["deliveries"]))
                self.check_trace(collector, current(part["spans"]))
            daemon.accept(*events_of(last["deliveries"]))
            daemon.settings.update((name.replace("_", "-"), "1s") for name in PATIENT)
            daemon.restart()
            self.check_trace(collector, current(last["spans"]))

            def is_over():
                queue = json.loads(daemon.admin("/api/queue").body)
                return (queue["jobs"], queue["totals"]["open_runs"]) == ([], 0)
            harness.wait_until(is_over, what="an empty queue")

    def test_everything_is_exported_in_the_end(self):
        for folder in self.folders:
            story, collector = load(folder, "story.json.gz"), self.new_collector()
            daemon = self.open_copy(folder, collector, **{name: "1s" for name in PATIENT})
            self.wait_for_records(collector, story["outbox"])
            open_run = next(part for part in story["continuations"] if part["what"] == "open jobs complete")
            # One of its jobs waits for approval, and would for 35 days; with its run's end it is given up, too.
            daemon.accept(events_of(open_run["deliveries"])[-1])
            collector.wait_for_ids(expect.ids_of(open_run["spans"][:1]))

            def is_empty():
                status = json.loads(daemon.admin("/api/status").body)
                return (status["store"]["open_runs"], status["store"]["finished_runs"]) == (0, 0)
            # The history is kept for an hour after a start at which the last delivery is long past by its GUID: the clock
            # may be ahead. After one of today it is not.
            recent = Run()
            daemon.accept(recent.completed())
            collector.wait_for_ids(expect.ids_of(expect.run_spans(recent)))
            daemon.restart()
            harness.wait_until(is_empty, what="an empty store")
            self.assertEqual(daemon.admin("/ready").status, 200)

    def test_the_start_logs_the_version_found_and_what_will_be_upgraded(self):
        for folder in self.folders:
            version, layouts = versions_in(gzip.decompress((folder / "data.mdb.gz").read_bytes()))
            older = {letter for letter in LAYOUTS if layouts[letter] < LAYOUTS[letter]}
            to_upgrade = [words for is_older, words in (("J" in older, r"\d+ jobs"), ("R" in older, r"\d+ runs"),
                                                        (version == 1, r"\d+ deliveries"), ("F" in older, "figures"))
                          if is_older] or ["nothing"]
            daemon = self.open_copy(folder, self.new_collector(), **PATIENT)
            line = next(line for line in daemon.lines if "store opened" in line)
            self.assertIn(f"format={version} ", line)
            self.assertRegex(line, f'to_upgrade="?{", ".join(to_upgrade)}"?$')
            daemon.restart()
            line = next(line for line in daemon.lines if "store opened" in line)
            self.assertIn(f"format={FORMAT} ", line)
            self.assertNotIn("figures", line)  # which are upgraded at once, states as they are touched

    def test_under_load_nothing_is_lost(self):
        """New runs arrive from four sides while what was stored goes on and the daemon is killed twice."""
        for folder in self.folders:
            story, collector = load(folder, "story.json.gz"), self.new_collector()
            daemon = self.open_copy(folder, collector, **PATIENT)
            parts = story["continuations"][:-1]
            runs, is_over, faults = [], threading.Event(), []

            def send(event):
                """As a sender that delivers again until the answer says that the delivery is stored."""
                while not faults:
                    try:
                        with daemon.client() as client:
                            answer = client.deliver(event)
                        if answer.status in (200, 202):
                            return
                        if answer.status != 503:
                            faults.append(f"{event.type} {event.action}: {answer}")
                    except (OSError, http.client.HTTPException):
                        time.sleep(0.01)

            def send_runs():
                while not is_over.is_set() and not faults:
                    run = Run()
                    run.job()
                    runs.append(run)
                    for event in run.timeline():
                        send(event)
            senders = [threading.Thread(target=send_runs) for _ in range(4)]
            for sender in senders:
                sender.start()
            try:
                for i, part in enumerate(parts):
                    for event in events_of(part["deliveries"]):
                        send(event)
                    if i in (1, 3):
                        daemon.restart("kill")
                time.sleep(0.5)
            finally:
                is_over.set()
                for sender in senders:
                    sender.join()
            self.assertEqual(faults, [])
            self.assertGreater(len(runs), 20)
            for part in parts:
                self.check_trace(collector, current(part["spans"]))
            for run in runs:
                self.check_trace(collector, expect.run_spans(run))
            self.wait_for_records(collector, story["outbox"])
            self.assertEqual(daemon.command("requeue").stdout.split()[0], "2")
            self.wait_for_records(collector, story["dead_letters"])
            for event in events_of(story["delivered"]):
                self.assertEqual(daemon.deliver(event).outcome, (200, "duplicate"), event.action)

    def test_a_store_of_a_newer_version_is_refused_with_a_message_and_not_changed(self):
        daemon = self.new_daemon(self.new_collector())
        run = Run()
        run.job()
        daemon.accept(*run.timeline())
        daemon.stop()
        file = pathlib.Path(daemon.settings["db"]) / "data.mdb"
        ours = file.read_bytes()
        rows = ours[ours.index(b"layouts") + len(b"layouts") + 4:][:3 * len(LAYOUTS)]
        jobs = LAYOUTS["J"]

        def layouts(rows):
            total = 2166136261  # FNV-1a, as store/versions.h has it
            for byte in rows:
                total = (total ^ byte) * 16777619 % 2**32
            return b"layouts" + total.to_bytes(4, "big") + rows
        for known, newer, words in (
                (b"format\0\0\0\2", b"format\0\0\0\3", "the store has format version 3, this ghatrace reads versions 1 to 2"),
                (layouts(rows), layouts(rows.replace(bytes((74, jobs, jobs)), bytes((74, jobs, jobs + 1)))),
                 f"the store has jobs of layout {jobs + 1}, this ghatrace reads layouts 1 to {jobs}"),
                (layouts(rows), layouts(rows.replace(b"J", b"X")), "the store has records of a kind that this ghatrace does not know")):
            self.assertIn(known, ours)
            theirs = ours.replace(known, newer)
            file.write_bytes(theirs)
            with self.assertRaisesRegex(AssertionError, words + ".*: use the version that made it, or move the folder away"):
                daemon.start()
            self.assertEqual(daemon.process.returncode, 1)
            for command in (["runs"], ["trace", str(run.run_id)], ["inspect", str(run.run_id)], ["requeue"]):
                done = daemon.command(*command)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn(words, done.stderr)
            self.assertEqual(file.read_bytes(), theirs)
        file.write_bytes(ours)
        daemon.start()
        self.assertEqual(daemon.command("trace", str(run.run_id)).returncode, 0)


class OldStoresOfEnterpriseServers(harness.BlackBoxTest):
    """Versions before there was a server in the keys stored all runs under the keys of github.com."""
    folder = harness.ROOT / "tests/fixtures/enterprise_store/dea6e4c"
    server = "git.example.com"

    def open_copy(self, **settings):
        self.story, self.collector = load(self.folder, "story.json.gz"), self.new_collector()
        self.daemon = self.new_daemon(self.collector, start=False,
                                      **{**PATIENT, "root_grace": "1s", **settings})
        database = pathlib.Path(self.daemon.settings["db"])
        database.mkdir()
        (database / "data.mdb").write_bytes(gzip.decompress((self.folder / "data.mdb.gz").read_bytes()))
        self.daemon.start()

    def deliver(self, part):
        self.daemon.accept(*events_of(self.story[part]))

    def get(self, path):
        return json.loads(self.daemon.admin(path).body)

    def assert_exported(self, spans):
        """Each once; those of two servers have the same IDs."""
        self.collector.wait(lambda c: len(c.versions()) >= len(spans), harness.PATIENCE, f"{len(spans)} spans")

        def key(span):
            return json.dumps(span, sort_keys=True)
        self.assertEqual(sorted(map(key, current(self.collector.versions()))), sorted(map(key, current(spans))))

    def test_open_runs_continue_and_events_of_closed_ones_are_late(self):
        self.open_copy()
        self.deliver("late")
        self.deliver("to_come")
        self.assert_exported(self.story["spans"])
        self.assertIn(f"ghatrace_events_late_total {len(self.story['late'])}", self.daemon.admin("/metrics").text)
        self.daemon.restart()
        for event in events_of(self.story["to_come"] + self.story["late"]):
            self.assertEqual(self.daemon.deliver(event).outcome, (200, "duplicate"), event.action)
        self.assertEqual(self.get("/api/queue")["totals"]["open_runs"], 0)
        self.assert_exported(self.story["spans"])

    def test_a_run_of_github_com_with_the_same_ids_is_another_run(self):
        for order in (("twin", "to_come"), ("to_come", "twin")):
            self.open_copy()
            for part in order:
                self.deliver(part)
                self.daemon.restart()
            self.assert_exported(self.story["spans"] + self.story["twin_spans"])
            self.assertEqual(self.get("/api/queue")["totals"], {"waiting": 0, "queued": 0, "running": 0, "open_runs": 0})
            number = self.story["run_id"]
            for server in ("github.com", self.server):
                answer = self.get(f"/api/runs/{number}/1?server={server}")
                self.assertEqual((answer["run"]["server"], answer["run"]["state"]), (server, "finished"))
                self.assertEqual([job["state"] for job in answer["jobs"]], ["finished"] * 3)
                self.assertEqual({job["url"].split("/")[2] for job in answer["jobs"]}, {server})
            listed = [run["server"] for run in self.get(f"/api/runs?q={number}")["runs"]]
            self.assertEqual(sorted(listed), [self.server, "github.com"])

    def test_two_runs_with_the_same_ids_stay_apart_when_their_events_alternate(self):
        self.open_copy()
        twin, mine = events_of(self.story["twin"]), events_of(self.story["to_come"])
        while twin or mine:
            self.daemon.accept(*twin[:2], *mine[:1])
            twin, mine = twin[2:], mine[1:]
        self.assert_exported(self.story["spans"] + self.story["twin_spans"])

    def test_stored_runs_are_shown_under_their_server(self):
        self.open_copy()
        number = self.story["run_id"]
        self.assertEqual({job["server"] for job in self.get("/api/queue")["jobs"]}, {self.server})
        self.assertEqual({run["server"] for run in self.get("/api/runs")["runs"]}, {self.server})
        for question in ("", f"?server={self.server}"):
            answer = self.get(f"/api/runs/{number}/1{question}")
            self.assertEqual((answer["run"]["server"], answer["servers"]), (self.server, [self.server]))
            self.assertEqual(sorted(job["state"] for job in answer["jobs"]), ["finished", "queued", "running"])
            closed = self.get(f"/api/runs/{self.story['closed_run_id']}/1{question}")
            self.assertEqual((closed["run"]["server"], closed["run"]["state"]), (self.server, "finished"))
        self.assertEqual(self.daemon.admin(f"/api/runs/{number}/1?server=github.com").status, 404)
        self.assertIn(f"{self.server}/acme/", self.daemon.command("runs").stdout)

    def test_runs_without_further_events_are_given_up_under_their_server(self):
        self.open_copy(**{name: "1s" for name in PATIENT if name != "history"})
        number = self.story["run_id"]

        def is_over():
            return self.get("/api/queue")["totals"] == {"waiting": 0, "queued": 0, "running": 0, "open_runs": 0}
        harness.wait_until(is_over, what="an empty queue")
        self.collector.wait(lambda c: {"queued", "running", "straggler", "RUN Long"} <= {span["name"] for span in c.versions()},
                            harness.PATIENCE, "what was given up")
        self.assertEqual({span["resource"]["server.address"] for span in self.collector.versions()}, {self.server})
        answer = self.get(f"/api/runs/{number}/1")
        self.assertEqual((answer["servers"], len(answer["jobs"])), ([self.server], 3))
        self.deliver("twin")
        self.collector.wait(lambda c: "RUN Twin" in {span["name"] for span in c.versions()}, harness.PATIENCE, "the twin")
        self.assertEqual(self.get(f"/api/runs/{number}/1")["servers"], ["github.com", self.server])

    def test_a_continued_run_is_shown_completely(self):
        self.open_copy()
        number = self.story["run_id"]
        self.deliver("to_come")
        self.assert_exported(self.story["spans"])
        self.assertEqual(len(self.get(f"/api/runs/{number}/1?server={self.server}")["jobs"]), 3)


if __name__ == "__main__":
    import unittest
    unittest.main()
