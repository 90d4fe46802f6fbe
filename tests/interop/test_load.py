"""How much a span costs to send. Only with LOAD=1 in the environment; the figures are lines that begin with `load:`."""
import os
import pathlib
import unittest

from company import CompanyTest
from harness import wait_until
from payloads import Run
from test_collector import needs_grpc

SPANS, STEPS = 200_000, 500


def cpu_seconds(process):
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(process):
    line = next(line for line in open(f"/proc/{process.pid}/status", encoding="ascii") if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def long_run():
    """A run of STEPS spans."""
    run = Run()
    job = run.job()
    kind, end = type(job.steps[0]), job.steps[0].end
    job.steps = [kind(f"Run step {number}", number, end, end + 1) for number in range(1, STEPS - 3)]
    return run


@unittest.skipUnless(os.environ.get("LOAD"), "LOAD=1 is not set")
class Load(CompanyTest):
    def test_two_hundred_thousand_spans_arrive_and_what_one_costs(self):
        collector = self.real_collector()
        collector.stop()
        daemon = self.daemon_for(collector)
        while_stopped = SPANS // STEPS
        self.deliver_runs(daemon, while_stopped, long_run)
        before = cpu_seconds(daemon.process)
        collector.start()
        wait_until(lambda: self.status(daemon)["outbox"]["records"] == 0, 300, "an empty outbox")
        cost = cpu_seconds(daemon.process) - before
        total = len(collector.ids())
        self.assertGreaterEqual(total, SPANS)
        self.check_nothing_dead(daemon)
        self.check_once(collector, collector.ids())
        print(f"load: {self.protocol}: {total} spans, {cost:.2f} s of CPU, {cost / total * 1e6:.2f} us a span, "
              f"{resident_mib(daemon.process):.0f} MiB resident after", flush=True)


@needs_grpc
class LoadOverGrpc(Load):
    protocol = "grpc"
