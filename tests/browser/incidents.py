#!/usr/bin/env python3
"""An incident to be found by somebody who does not know it: a daemon with some hours of a company's runs, which go on.

    incidents.py --incident dead|ceiling|flood [--minutes 20] [--hours 4] [--port 9400] [--truth FILE]

Prints where the page, the metrics and the settings are, and ends after so many minutes or with Ctrl-C. What is wrong is
written to FILE alone, by default build/incidents/PORT.json. The webhook listens on the next port; of port 0 both are free ones. GHATRACE names the binary.
"""
import argparse
import concurrent.futures
import dataclasses
import datetime
import json
import pathlib
import shutil
import signal
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE.parent / "blackbox")]

import harness  # noqa: E402
import organization  # noqa: E402
from collector import Collector  # noqa: E402
from payloads import ping  # noqa: E402

INCIDENTS = ("dead", "ceiling", "flood")
CONNECTIONS = 6


class Company:
    """A daemon, by a file of settings, that gets an organization's deliveries. `folder` is its own, `more` are further settings."""

    def __init__(self, folder, what, port=0, **more):
        self.organization, self.folder = what, pathlib.Path(folder)
        self.waiting = sorted(what.deliveries(), key=lambda delivery: delivery.due, reverse=True)
        self.collector = Collector()
        self.config = self.folder / "ghatrace.conf"
        (self.folder / "secret").write_text(harness.SECRET + "\n")
        (self.folder / "secret").chmod(0o600)
        settings = {"listen": f"127.0.0.1:{port + 1 if port else 0}", "admin-listen": f"127.0.0.1:{port}", "db": self.folder / "db",
                    "webhook-secret-file": self.folder / "secret", "otlp-endpoint": self.collector.endpoint,
                    "trace-url": "https://traces.example.com/{trace_id}", "runner-ceiling": organization.CEILING,
                    **{name.replace("_", "-"): value for name, value in more.items()}}
        self.config.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        self.daemon = harness.Daemon(folder, config=self.config, **dict.fromkeys(("listen", "admin_listen", "db", "webhook_secret_file")))

    def start(self):
        """Delivers all that has happened up to now."""
        self.daemon.start()
        self.daemon.deliver(ping())
        self.deliver_due()
        return self

    def deliver_due(self, before=0):
        """What happened up to `before` seconds ago: the events of a run in their order, those of several at once."""
        due = [[] for _ in range(CONNECTIONS)]
        while self.waiting and self.waiting[-1].due <= time.time() - before:
            delivery = self.waiting.pop()
            due[getattr(delivery.subject, "run", delivery.subject).number % CONNECTIONS].append(delivery)
        with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as threads:
            for done in [threads.submit(self.deliver, part) for part in due if part]:
                done.result()

    def deliver(self, some):
        """What a busy daemon answers 503 is tried again."""
        with self.daemon.client() as client:
            for delivery in some:
                event = delivery.make()
                for _ in range(100):
                    answer = client.deliver(event)
                    if 200 <= answer.status < 300:
                        break
                    time.sleep(0.1)
                else:
                    raise AssertionError(f"{delivery} was answered {answer}")

    def go_on(self, seconds):
        """As things happen, for so long."""
        end = time.time() + seconds
        while (left := end - time.time()) > 0:
            self.deliver_due()
            time.sleep(min(0.2, max(left, 0)))

    def stop(self):
        self.daemon.stop()
        self.collector.stop()


def write_truth(path, what):
    truth = dataclasses.asdict(what.truth)
    for key in ("since", "seen"):
        truth[key] = datetime.datetime.fromtimestamp(truth[key], datetime.timezone.utc).isoformat()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(truth, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--incident", required=True, choices=INCIDENTS)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--hours", type=float, default=4, help="of history")
    parser.add_argument("--port", type=int, default=9400)
    parser.add_argument("--seed", type=int, default=15)
    parser.add_argument("--truth", type=pathlib.Path)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    folder = tempfile.mkdtemp(prefix="ghatrace-company-")
    # The minutes that the deliveries of the past may take, too.
    what = organization.Organization(options.incident, time.time(), options.hours, int(options.minutes) + 5, options.seed)
    write_truth(options.truth or harness.ROOT / f"build/incidents/{options.port}.json", what)
    company = Company(folder, what, options.port)
    try:
        company.start()
        page = "http://{}:{}/".format(*company.daemon.admin_address)
        print(f"page      {page}\nmetrics   {page}metrics\n"
              f"settings  {company.config}\nterminal  {harness.BINARY} pools --config {company.config}", flush=True)
        company.go_on(options.minutes * 60)
    except KeyboardInterrupt:
        pass
    finally:
        company.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
