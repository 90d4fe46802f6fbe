"""How long jobs waited for a runner, over any time of the last 35 days, against the jobs themselves."""
import math
import random
import time

import harness
from payloads import Run, iso
from test_admin import get, get_json, unix

LONGEST = {"exact": 15, "slow": 9000}  # waits below 16 s are counted exactly, longer ones to an eighth


def percentile(waits, percent):
    return sorted(waits)[max(0, math.ceil(len(waits) * percent / 100) - 1)] if waits else None


class Latency(harness.BlackBoxTest):
    def jobs(self, seed, count=120, hours=20):
        """With waits that ended in the last hours, and events that come in any order."""
        dice, jobs = random.Random(seed), []
        for number in range(count):
            label = dice.choice(list(LONGEST))
            wait = dice.randint(1, LONGEST[label])
            age = dice.randint(120, 3600 * (1 if number % 3 == 0 else hours)) + wait
            job = Run(age=age).job(f"job {number}", queue=wait, duration=dice.randint(10, 60))
            job.labels = [label]
            jobs.append(job)
        events = [event for job in jobs for event in job.timeline()]
        dice.shuffle(events)
        return jobs, events

    def check_figures(self, figures, waits, of):
        self.assertEqual(figures["count"], len(waits), of)
        for name, percent in (("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)):
            wanted = percentile(waits, percent)
            if wanted is None or wanted < 16:
                self.assertEqual(figures[name], wanted, (of, name))
            else:
                self.assertAlmostEqual(figures[name], wanted, delta=wanted / 8, msg=(of, name))

    def check_window(self, daemon, query, jobs, slots):
        answer = get_json(daemon, f"/api/latency?order=p90&{query}")
        first, length, end = unix(answer["from"]), answer["slot_seconds"], unix(answer["to"])
        self.assertEqual((answer["window_seconds"], answer["more"], answer["unreadable"]), (end - first, False, 0))
        self.assertEqual(answer["pool_count"], len(answer["pools"]))
        p90 = [pool["p90"] for pool in answer["pools"]]
        self.assertEqual(p90, sorted(p90, reverse=True))
        seen = {pool["pool"] for pool in answer["pools"]}
        self.assertEqual(seen, {job.labels[0] for job in jobs if first <= job.started < end}, query)
        for pool in answer["pools"]:
            of = {job: job.started - job.created for job in jobs if job.labels == [pool["pool"]]}
            within = [wait for job, wait in of.items() if first <= job.started < end]
            self.check_figures(pool, within, (query, pool["pool"]))
            self.assertEqual(len(pool["slots"]), slots, query)
            for number, slot in enumerate(pool["slots"]):
                start = first + number * length
                self.assertEqual(unix(slot["start"]), start)
                self.check_figures(slot, [wait for job, wait in of.items() if start <= job.started < min(start + length, end)], (query, slot))
        return answer

    def test_any_time_has_the_waits_that_ended_in_it_whatever_the_order_of_events(self):
        for seed in range(3):
            daemon = self.new_daemon()
            jobs, events = self.jobs(seed)
            daemon.accept(*events)
            now = int(time.time())
            for query, slots in (("window=1h", 12), ("window=2h", 24), ("window=6h", 24), ("window=24h", 24), ("window=25h", 25),
                                 ("window=7d", 84), ("window=35d", 70)):
                self.check_window(daemon, query, jobs, slots)
            begin = (now - 19 * 3600) // 3600 * 3600
            self.check_window(daemon, f"from={iso(begin)}&to={iso(begin + 8 * 3600)}", jobs, 96)
            self.check_window(daemon, f"from={begin}&to={begin + 95 * 60}", jobs, 95)
            self.check_window(daemon, f"from={begin}&to={begin + 97 * 60}", jobs, 49)
            self.check_window(daemon, f"window=3d&to={begin}", jobs, 72)
            daemon.stop()

    def test_a_list_that_was_cut_short_says_so(self):
        daemon = self.new_daemon()
        daemon.accept(*self.jobs(7, count=20)[1])
        answer = get_json(daemon, "/api/latency?window=24h&order=p90&limit=1")
        self.assertEqual([pool["pool"] for pool in answer["pools"]], ["slow"])
        self.assertEqual((answer["pool_count"], answer["more"]), (2, True))
        self.assertEqual(get(daemon, "/api/latency?limit=-1").status, 400)
