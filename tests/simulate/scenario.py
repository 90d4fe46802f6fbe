#!/usr/bin/env python3
"""Runs scenarios: what is delivered, what else happens, what must be exported and shown, in one readable file a case.

    scenario.py [--verbose] FILE…

A line is a comment (#), or a statement, with the time at its front at which it happens (12s, 1h30m, 2d; without one at once).
Values with spaces are quoted as in a shell. Times are since the scenario's begin.

    settings NAME=VALUE…                      before anything else
    run NAME [FIELD=VALUE…]                   a run; fields: begin, end (0s), attempt, of (the run whose attempt it is), conclusion,
                                              workflow, branch, event, pull (number), old (payloads of before 2023), server
    job NAME RUN [FIELD=VALUE…]               a job of it; fields: created, started, ended, conclusion, labels (a,b), environment,
                                              released, runner (number, `none`), id, carried (the job of an earlier attempt),
                                              lost, skipped, parallel
    deliver ACTION NAME [at=TIME] [guid=TEXT] [answer=STATUS] [conclusion=C] [status=S]
                                              a job's queued, waiting, released, in_progress, completed; a run's requested,
                                              in_progress, completed; `at`: when it happened, if not as the run or job says;
                                              `again`: the same delivery as before
    post EVENT GUID BODY [STATUS]             a delivery as it is; `any`: whatever is answered
    collector accepts|refuses|unavailable|hangs|cuts|slow
                                              slow: what comes now is taken 5 s later
    kill | stop | start | restart | hup | leap TIME | disk full|well | sync fails|works
    expect all                                what was exported is what the oracle makes of the deliveries
    expect none NAME                          no span of this run or job was exported (a run: its root)
    expect sent NAME [times]                  its span was exported, so many times
    expect span NAME[/SPAN] [FIELD=VALUE…]    it was, like this; fields: start, end, and attributes; `-`: it has none
    expect figure 'NAME' VALUE                a line of /metrics
"""
import argparse
import dataclasses
import hashlib
import os
import pathlib
import re
import shlex
import shutil
import sys
import tempfile
import uuid
import zlib

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "blackbox")]
import judges  # noqa: E402
import otlp  # noqa: E402
import payloads  # noqa: E402
from machine import BEGIN, ROOT, SECOND, Machine, Response  # noqa: E402
from oracle import Oracle  # noqa: E402
from world import Delivery  # noqa: E402

BINARY = os.path.abspath(os.environ.get("GHATRACE") or ROOT / "build/dev-gcc/ghatrace")
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
START = BEGIN // SECOND
SLOW = 5 * SECOND
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
TIME = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
PHASES = ("job.waiting", "runner.queue", "runner.startup", "runner.execution")


class Wrong(Exception):
    """A line that cannot be read, or an expectation that is not met."""


def seconds(text):
    parts = TIME.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise Wrong(f"no time: {text}")
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def is_time(word):
    return bool(re.fullmatch(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+", word))


def at(text):
    value = START + seconds(text)
    return int(value) if value == int(value) else value


class Scenario:
    def __init__(self, path, binary=BINARY, seed=1):
        self.path, self.binary, self.seed = pathlib.Path(path), binary, seed
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ghatrace-scenario-", dir=MEMORY))
        self.settings, self.machine = {}, None
        self.runs, self.jobs, self.sent = {}, {}, {}
        self.oracle, self.spans = None, judges.Spans()
        self.times = {}            # how often each span was exported
        self.mode, self.late = "accepts", []
        self.tickets = []          # (ticket, delivery, status)

    def run(self):
        """Raises Wrong, with the line."""
        try:
            for number, line in enumerate(self.path.read_text().splitlines(), 1):
                try:
                    self.line(shlex.split(line, comments=True))
                except Wrong as wrong:
                    raise Wrong(f"{self.path.name}:{number}: {line.strip()}\n    {wrong}") from None
            self.settle()
            if self.machine and self.machine.is_running and self.machine.stop() != 0:
                raise Wrong(f"{self.path.name}: it ended with {self.machine.exit_status}")
        finally:
            if self.machine:
                self.machine.close()
            shutil.rmtree(self.folder, True)

    def line(self, words):
        if not words:
            return
        if is_time(words[0]):
            self.settle(START + seconds(words.pop(0)))
        name, *rest = words
        known = getattr(self, f"do_{name}", None)
        if known is None:
            raise Wrong(f"no statement: {name}")
        known(*rest)

    @property
    def now(self):
        return self.machine.now if self.machine else BEGIN

    def ready(self):
        if self.machine is None:
            self.machine = Machine(self.folder, self.seed, {"root-grace": "10s", **self.settings}, self.binary)
            self.machine.collector = self
            self.oracle = Oracle(*(int(seconds(self.settings.get(name, usual)) * SECOND) for name, usual in (("job-grace", "10m"), ("job-timeout", "6d"))))
            self.machine.start()
        return self.machine

    def settle(self, until=None):
        """Lets everything happen until then, at least until all is answered."""
        machine = self.ready()
        machine.run_until(max(int(until * SECOND) if until else 0, machine.now))
        while machine.is_running and any(ticket.status is None for ticket, _, _ in self.tickets):
            machine.run_until(machine.now + SECOND // 100)
        for ticket, delivery, wanted in self.tickets:
            if wanted not in ("any", ticket.status):
                raise Wrong(f"{delivery} was answered {ticket.status}, must be {wanted}: {ticket.raw[-200:]!r}")
            if ticket.status == 202:
                self.oracle.take(delivery.event, delivery.guid, delivery.body, ticket.at + machine.wall_ahead)
        self.tickets = []

    def on_request(self, at, path, headers, body):
        if self.mode == "hangs":
            return Response(mode="hang")
        if self.mode == "cuts":
            return Response(mode="cut")
        if self.mode == "unavailable":
            return Response(503, {}, b"later")
        if headers.get("content-encoding") == "gzip":
            body = zlib.decompress(body, 31)
        delay = SLOW if self.mode == "slow" else 0
        self.late.append((at + delay, len(self.late), body))
        return Response(200, {"Content-Type": "application/x-protobuf"}, delay_ns=delay)

    def take_late(self):
        """What the collector has taken by now."""
        done = sorted(entry for entry in self.late if entry[0] <= self.machine.now)
        self.late = [entry for entry in self.late if entry[0] > self.machine.now]
        for _, _, body in done:
            self.take(body)

    def take(self, body):
        self.spans.take(body)
        for _, where in otlp.places(body):
            key = otlp.identity(body, where)
            self.times[key] = self.times.get(key, 0) + 1

    # --- statements

    def do_settings(self, *words):
        self.settings.update(word.split("=", 1) for word in words)

    def do_run(self, name, *words):
        fields = fields_of(words, "begin end attempt of conclusion workflow branch event pull old server")
        first = self.runs.get(fields.get("of"))
        run = payloads.Run(first.run_id if first else 33_714_000_000 + 100 * len(self.runs), int(fields.get("attempt", 1)),
                           started=at(fields.get("begin", "0s")), workflow=fields.get("workflow", "Build and test"),
                           conclusion=fields.get("conclusion", "success"), head_branch=fields.get("branch", "main"),
                           is_old="old" in fields, event=fields.get("event", "push"),
                           repository=payloads.Repository(server=fields.get("server", "github.com")),
                           pull_request=(int(fields["pull"]), "main") if "pull" in fields else None)
        if first:
            run.created = first.created
        run.updated = at(fields["end"]) if "end" in fields else run.started + 100
        self.runs[name] = run

    def do_job(self, name, run, *words):
        fields = fields_of(words, "created started ended conclusion labels environment released runner id carried lost skipped parallel")
        run = self.runs[run]
        number = int(fields.get("id", run.run_id + 50 * run.attempt + len(self.jobs)))
        job = payloads.Job(run, name.partition("@")[0], at(fields["created"]) if "created" in fields else run.started + 1, job_id=number,
                           conclusion=fields.get("conclusion", "success"), environment=fields.get("environment"))
        if "released" in fields:
            job.waiting_at, job.released = job.created + 1, at(fields["released"])
            job.environment, job.deployment_id = job.environment or "production", 3_192_898_954
        job.started = at(fields["started"]) if "started" in fields else int(job.released or job.created) + 8
        job.completed_at = at(fields["ended"]) if "ended" in fields else job.started + 50
        job.labels = fields.get("labels", "ubuntu-latest").split(",")
        if "carried" in fields:
            old = self.jobs[fields["carried"]]
            job.started, job.completed_at = old.started, old.completed_at
        job.steps = job.usual_steps()
        for kind in ("skipped", "parallel", "lost"):
            if kind in fields:
                {"skipped": job.skipped, "parallel": job.overlapping, "lost": lambda: job.lost("make")}[kind]()
        if fields.get("runner") == "none":
            job.runner_id, job.runner_name, job.runner_group, job.steps = 0, "", "", []
        elif "runner" in fields:
            job.runner_id, job.runner_name, job.runner_group = int(fields["runner"]), f"runner-{fields['runner']}", "Default"
        run.jobs.append(job)
        self.jobs[name] = job

    def do_deliver(self, action, name, *words):
        fields = fields_of(words, "at guid answer again conclusion status")
        when = START + seconds(fields["at"]) if "at" in fields else None
        if "again" in fields:
            event = self.sent[name, action]
        elif name in self.jobs:
            event = getattr(self.jobs[name], {"released": "requeued"}.get(action, action))(when)
        elif action == "completed":
            event = self.runs[name].completed(when, fields.get("conclusion"), fields.get("status", "completed"))
        else:
            event = getattr(self.runs[name], action)(when)
        if "guid" in fields:
            event = dataclasses.replace(event, guid=str(uuid.UUID(int=int(fields["guid"]))) if fields["guid"].isdigit() else fields["guid"])
        self.sent[name, action] = event
        self.put(event.type, event.guid, event.body.decode(), int(fields.get("answer", 200 if "again" in fields else 202)), f"{action} {name}")

    def put(self, event, guid, body, wanted, what):
        machine = self.ready()
        delivery = Delivery(machine.now, event, guid, body, "used", None, what)
        self.tickets.append((machine.post(machine.now, *delivery.wire()), delivery, wanted))
        self.settle()

    def do_post(self, event, guid, body, answer="202"):
        self.put(event, guid, body, answer if answer == "any" else int(answer), event)

    def do_collector(self, mode):
        self.ready().refuse_connections = mode == "refuses"
        self.mode = mode

    def do_kill(self):
        self.ready().kill()

    def do_stop(self):
        self.ready().stop()

    def do_start(self):
        if not self.ready().is_running:
            self.machine.start()
        if not self.machine.is_running:
            raise Wrong(f"it does not start: {self.machine.log[-2:]}")

    def do_restart(self):
        self.do_stop()
        self.do_start()

    def do_hup(self):
        self.ready().hup()

    def do_leap(self, time):
        self.ready().leap(int(seconds(time) * SECOND))

    def do_disk(self, state):
        self.ready().faults.disk_full = state == "full"

    def do_sync(self, state):
        self.ready().faults.sync_fails = state == "fails"

    # --- expectations

    def do_expect(self, what, *words):
        self.settle(self.now / SECOND)
        if what not in ("none", "figure"):
            self.machine.run_until(self.machine.now + 2 * SECOND)  # what was finished is exported within this time
        self.take_late()
        getattr(self, f"expect_{what}")(*words)

    def expect_all(self):
        findings = judges.Findings()
        self.spans.judge(self.oracle, findings)
        if findings:
            raise Wrong("\n    ".join(findings.lines))

    def key_of(self, name):
        """The identity of a span: run, job, job/phase, job/step."""
        name, _, inner = name.partition("/")
        subject = self.jobs.get(name) or self.runs.get(name)
        if subject is None:
            raise Wrong(f"no run, no job: {name}")
        run = subject.run if name in self.jobs else subject
        trace = oracle_trace(run)
        if name in self.runs:
            return trace, run.run_id.to_bytes(8, "big")
        number = subject.job_id
        if not inner:
            return trace, number.to_bytes(8, "big")
        text = f"{inner}-{number:016x}" if inner in PHASES else f"{number}-{inner}"
        return trace, bytes.fromhex(md5(text)[:16])

    def expect_none(self, name):
        if self.times.get(self.key_of(name)):
            raise Wrong("it was exported")

    def expect_sent(self, name, times=None):
        found = self.times.get(self.key_of(name), 0)
        if found == 0 or (times is not None and found != int(times)):
            raise Wrong(f"it was exported {found} times")

    def expect_span(self, name, *words):
        key = self.key_of(name)
        found = next((entry for (_, *other), entry in self.spans.last.items() if tuple(other) == key), None)
        if found is None:
            raise Wrong("it was not exported")
        span = otlp.span_of(found[0], (0, len(found[0])), found[1])
        for word in words:
            field, _, value = word.partition("=")
            if field in ("start", "end"):
                mine, wanted = getattr(span, field) / SECOND - START, seconds(value)
                wrong = abs(mine - wanted) > 1e-6
            else:
                mine = span.name if field == "name" else span.attributes.get(field)
                wanted, wrong = value, value != ("-" if mine is None else str(mine).lower() if isinstance(mine, bool) else str(mine))
            if wrong:
                raise Wrong(f"{field} is {mine}, must be {wanted}")

    def expect_figure(self, name, value):
        found = judges.metrics_of(self.machine.get("/metrics")[2].decode()).get(name)
        if found != float(value):
            raise Wrong(f"it is {found}")


def oracle_trace(run):
    return bytes.fromhex(md5(f"{run.run_id}-{run.attempt}"))


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def fields_of(words, known):
    found = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in known.split():
            raise Wrong(f"no field {name}; there are {known}")
        found[name] = value
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("files", nargs="*", default=sorted(map(str, (HERE / "scenarios").glob("*.txt"))))
    chosen = parser.parse_args()
    failed = 0
    for path in chosen.files:
        scenario = Scenario(path)
        try:
            scenario.run()
            print(f"ok   {pathlib.Path(path).name}")
        except Wrong as wrong:
            failed += 1
            print(f"FAIL {wrong}")
            if chosen.verbose:
                print("\n".join(scenario.machine.log[-20:]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
