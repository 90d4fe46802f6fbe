"""Histograms of jobs, runs and steps: their labels and bounds by choice, and which sets of labels are kept."""
import re
import time

import harness
from payloads import Repository, Run
from test_admin import metrics, value

JOBS, RUNS = "ghatrace_job_queue_seconds", "ghatrace_run_duration_seconds"


def labels_of(found, family):
    """The names of the labels that the sets of a family have."""
    return {frozenset(name for name, _ in labels) for (name, labels) in found if name == family + "_count"}


def sum_over_sets(found, name, **wanted):
    return sum(number for (one, labels), number in found.items() if one == name and set(wanted.items()) <= labels)


def deliver(daemon, number=0, labels=("ubuntu-latest",), **kinds):
    run = Run(age=1000, repository=Repository(f"acme/service-{number}"), workflow=f"Workflow {number % 7}", **kinds)
    job = run.job("build", queue=8, duration=50)
    job.labels = list(labels)
    daemon.accept(*run.timeline())
    return run


class Labels(harness.BlackBoxTest):
    def test_by_default_sets_do_not_grow_with_repositories_and_workflows(self):
        daemon = self.new_daemon()
        for number in range(60):
            deliver(daemon, number, ["Self-Hosted", "gpu"] if number % 2 else ["ubuntu-latest"],
                    event="push" if number % 3 else "schedule", head_branch="main" if number % 5 else "topic")
        found = metrics(daemon)
        self.assertEqual(labels_of(found, JOBS), {frozenset(("pool", "runner_labels", "result"))})
        self.assertEqual(labels_of(found, RUNS), {frozenset(("event", "default_branch", "result"))})
        self.assertEqual(labels_of(found, "ghatrace_step_duration_seconds"), set())
        self.assertEqual(value(found, JOBS + "_count", pool="gpu,self-hosted", runner_labels="Self-Hosted,gpu", result="success"), 30)
        self.assertEqual(value(found, RUNS + "_count", event="schedule", default_branch="true", result="success"), 16)
        self.assertEqual(value(found, RUNS + "_count", event="push", default_branch="false", result="success"), 8)
        self.assertEqual([value(found, "ghatrace_series", kind=kind) for kind in ("job", "run", "step")], [2, 4, 0])

    def test_the_whole_duration_of_jobs_is_queue_start_up_and_execution_together(self):
        daemon = self.new_daemon()
        run = Run(age=1000)
        run.job("build", queue=8, duration=50)
        run.job("deploy", queue=4, duration=20, environment="production", waited=60)
        run.job("refused").refused(after=4)
        run.job("none").skipped()
        daemon.accept(*run.timeline())
        found = metrics(daemon)
        phases = sum(sum_over_sets(found, f"ghatrace_job_{phase}_seconds_sum") for phase in ("queue", "startup", "execution"))
        self.assertEqual(sum_over_sets(found, "ghatrace_job_duration_seconds_sum"), phases)
        self.assertEqual(sum_over_sets(found, "ghatrace_job_duration_seconds_count"), 3)

    def test_other_labels_keep_all_sums_and_are_logged(self):
        daemon = self.new_daemon(metrics_labels=harness.LABELS_BEFORE)
        for number in range(6):
            deliver(daemon, number)
        before = metrics(daemon)
        self.assertEqual(value(before, "ghatrace_series", kind="job"), 6)
        names = [name for family in (JOBS, RUNS, "ghatrace_job_execution_seconds") for name in (family + "_sum", family + "_count")]
        for chosen, sets in (("job: workflow; run: repository; step: off", 6), ("job: pool result; run: result", 1),
                             ("job: pool result repository; run: result event", 1), (harness.LABELS_BEFORE, 1)):
            daemon.settings["metrics-labels"] = chosen
            daemon.restart("kill")
            found = metrics(daemon)
            self.assertEqual({name: sum_over_sets(found, name) for name in names}, {name: sum_over_sets(before, name) for name in names})
            self.assertEqual(value(found, "ghatrace_series", kind="job"), sets)
            self.assertIn("their sums were added up by those that remain", daemon.log)
        daemon.restart()
        self.assertNotIn("their sums were added up by those that remain", daemon.log)
        deliver(daemon, 3)
        found = metrics(daemon)
        self.assertEqual(value(found, JOBS + "_count", repository="acme/service-3"), 1)
        self.assertEqual(sum_over_sets(found, JOBS + "_count"), 7)

    def test_without_labels_of_a_kind_nothing_of_it_is_shown(self):
        daemon = self.new_daemon(metrics_labels="job: off; run: off; step: off")
        deliver(daemon)
        found = metrics(daemon)
        self.assertEqual([name for name, _ in found if name.startswith(("ghatrace_job_", "ghatrace_run_", "ghatrace_step_"))], [])
        self.assertEqual(value(found, "ghatrace_pool_queue_wait_seconds_count", pool="ubuntu-latest"), 1)


class Bounds(harness.BlackBoxTest):
    def bounds_in(self, daemon, family):
        return re.findall(family + r'_bucket\{.*?le="([^"]+)"\}', daemon.admin("/metrics").text)

    def test_buckets_have_the_chosen_bounds_and_begin_anew_with_others(self):
        daemon = self.new_daemon()
        deliver(daemon)
        daemon.settings["metrics-bounds"] = "250ms, 8 1m"
        daemon.restart()
        self.assertIn("histograms had other bounds than metrics-bounds has; they begin anew", daemon.log)
        found = metrics(daemon)
        for name in (JOBS, RUNS, "ghatrace_pool_queue_wait_seconds"):
            self.assertEqual(sum_over_sets(found, name + "_count"), 0)
        deliver(daemon, 1)
        for _ in range(2):
            for family in (JOBS, RUNS, "ghatrace_pool_queue_wait_seconds"):
                self.assertEqual(self.bounds_in(daemon, family), ["0.25", "8.0", "60.0", "+Inf"])
            found = metrics(daemon)
            self.assertEqual([value(found, JOBS + "_bucket", le=bound) for bound in ("0.25", "8.0", "+Inf")], [0, 1, 1])
            daemon.restart("kill")
            self.assertNotIn("they begin anew", daemon.log)


class Idle(harness.BlackBoxTest):
    def test_a_set_that_is_not_used_leaves_and_the_others_are_unchanged(self):
        daemon = self.new_daemon()
        deliver(daemon, 1, ["idle"])
        deliver(daemon, 2, ["used"])
        self.assertEqual(value(metrics(daemon), "ghatrace_series", kind="job"), 2)
        time.sleep(2)
        deliver(daemon, 2, ["used"])
        daemon.settings["metrics-idle"] = "1500ms"
        daemon.restart()
        deliver(daemon, 3, ["used"])  # all sets are looked at soon after a start, and then every ten minutes
        harness.wait_until(lambda: value(metrics(daemon), "ghatrace_series", kind="job") == 1, what="the end of the idle set")
        found = metrics(daemon)
        self.assertEqual(value(found, JOBS + "_count", pool="used"), 3)
        self.assertEqual(sum_over_sets(found, JOBS + "_count"), 3)
        self.assertEqual(value(found, "ghatrace_series_overflow_total", kind="job"), 0)
        deliver(daemon, 1, ["idle"])
        self.assertEqual(value(metrics(daemon), JOBS + "_count", pool="idle"), 1)


if __name__ == "__main__":
    import unittest
    unittest.main()
