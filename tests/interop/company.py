"""What these tests share: deliveries of every kind, the base class, what the binary can do."""
import functools
import json
import pathlib
import subprocess
import tempfile
import time

import collector as standin
import harness
import parts
import payloads
from expect import ids_of, run_spans
from harness import PATIENCE, wait_until
from payloads import Run

GITHUB = harness.ROOT / "tests/fixtures/github"


@functools.lru_cache(maxsize=None)
def knows(setting, value):
    """Whether this binary has a setting, or takes that value of it."""
    return harness.run_command("check", "--insecure-no-signature", f"--{setting}={value}").returncode == 0


def has_curl():
    """The outbound client that knows proxies, all addresses of a name, and replicas behind one."""
    return knows("otlp-proxy", "off")


def has_grpc():
    return knows("otlp-protocol", "grpc")


def full_run(**kinds):
    """One of each: what a job can end as, a wait for an approval, a re-run, names that are hard to write."""
    run = Run(**{"pull_request": (7, "main"), **kinds})
    run.job("build \u2192 \"linux\" \\ \U0001F680")
    for number, conclusion in enumerate(("failure", "cancelled", "timed_out", "neutral")):
        run.job(f"test ({conclusion})", 2 + number, conclusion=conclusion)
    run.job("deploy", 3, environment="production", waited=20)
    run.job("never", 4).skipped()
    repeated = run.job("steps of one name", 5)
    for step in repeated.steps[1:3]:
        step.name = "Run make"
    return run


def made_runs():
    first = full_run(conclusion="failure")
    again = full_run(run_id=first.run_id, attempt=2)
    old = Run(is_old=True, workflow="before 2023")
    old.job("old", queue=3).created = None
    server = Run(repository=payloads.Repository("plant/pump", server="ghe.example.org"))
    server.job("pump")
    return [first, again, old, server]


def fixture_events():
    """The recorded deliveries, each of a run and a job of its own, and with a GUID of its own; not the one without times,
    which takes its arrival's."""
    events = []
    for path in sorted(GITHUB.glob("workflow_*.json")):
        if path.name == "workflow_job.completed.bare.json":
            continue
        text, kind = path.read_text(), path.name.split(".")[0]
        subject = json.loads(text)[kind] or {}
        for number in {subject.get("id"), subject.get("run_id")} - {None}:
            text = text.replace(str(number), str(payloads.new_id()))
        events.append(payloads.event(kind, json.loads(text), time.time() - 100))
    return events


def is_carried_over(job):
    """Whether a re-run delivers it a second time: what ran was created long before."""
    return (job.get("run_attempt") or 1) > 1 and (job.get("completed_at") or "") < (job.get("created_at") or "")


def deliveries():
    """[event]: all of it, in an order that GitHub might have sent."""
    return [event for run in made_runs() for event in run.timeline()] + fixture_events()


def short_run(name="build", **kinds):
    run = Run(**kinds)
    run.job(name).steps = []
    return run


def large_run(steps=60):
    """A run whose job's record takes some 40 KB."""
    run = Run()
    job = run.job("large")
    kind, end = type(job.steps[0]), job.steps[0].end
    job.steps = [kind(f"Step {number} " + "x" * 200, number, end, end + 1) for number in range(1, steps + 1)]
    return run


def expected_ids(runs):
    return [key for run in runs for key in ids_of(run_spans(run))]


class CompanyTest(harness.BlackBoxTest):
    """Daemons, Collectors and proxies that end with the test."""
    protocol = "http/protobuf"

    def id(self):
        return super().id() + (" over grpc" if self.protocol == "grpc" else "")

    def ends(self, part):
        self.addCleanup(lambda: part.stop())
        return part

    def real_collector(self, server=None, **kinds):
        """`server` is what its receiver has beside the address, for the protocol of these tests."""
        if server:
            kinds["grpc" if self.protocol == "grpc" else "http"] = server
        return self.ends(parts.Collector(self.new_folder(), **kinds))

    def port_of(self, collector):
        return collector.port_of(self.protocol)

    def daemon_for(self, collector, host=None, **settings):
        settings.setdefault("otlp_protocol", self.protocol)
        settings.setdefault("otlp_endpoint", collector.endpoint_of(settings["otlp_protocol"], host))
        settings.setdefault("root_grace", "1s")
        return self.new_daemon(**settings)

    def deliver(self, daemon, events):
        """Recorded ones among them may be of a kind that makes no span, and are answered 200 then."""
        for event in events:
            answer = daemon.deliver(event)
            self.assertIn(answer.status, (200, 202), f"{event.type} {event.action}: {answer}")

    def deliver_runs(self, daemon, count, make=short_run):
        runs = [make() for _ in range(count)]
        for run in runs:
            daemon.accept(*run.timeline())
        return runs

    def status(self, daemon):
        return json.loads(daemon.admin("/api/status").body)

    def wait_for_empty_outbox(self, daemon, timeout=PATIENCE):
        wait_until(lambda: self.status(daemon)["outbox"]["records"] == 0, timeout, "an empty outbox")

    def check_nothing_dead(self, daemon):
        status = self.status(daemon)
        self.assertEqual(status["dead_letters"], 0, status)

    def check_once(self, collector, wanted):
        """All of it, and nothing twice."""
        counts = collector.ids()
        self.assertEqual({key: counts.get(key) for key in wanted if counts.get(key) != 1}, {})

    def certificates(self):
        return certificate_folder()


@functools.lru_cache(maxsize=None)
def certificate_folder():
    folder = tempfile.mkdtemp(prefix="ghatrace-test-")
    harness._folders.append(folder)
    subprocess.run([harness.ROOT / "tests/support/make_certificates", folder], check=True)
    return pathlib.Path(folder)


def settle(daemons, quiet=1.5):
    """Until no record waits and no root is due; the fixtures' jobs that stay open never come."""
    since = time.monotonic()
    deadline = since + PATIENCE
    while time.monotonic() - since < quiet:
        if any(json.loads(each.admin("/api/status").body)["outbox"]["records"] for each in daemons):
            since = time.monotonic()
        if time.monotonic() > deadline:
            raise AssertionError("the outbox does not become empty")
        time.sleep(0.05)


def meant(stand_in):
    """{(trace id, span id): span with resource and scope} of the stand-in, which decodes with protoc."""
    return parts.whole_spans(stand_in.groups())


__all__ = [name for name in dir() if not name.startswith("_")] + ["standin"]
