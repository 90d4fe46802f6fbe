"""The virtual machine itself: it is deterministic, fast, and dies where it is asked to."""
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from deliveries import headers_of, run_with_jobs, spans_of  # noqa: E402
from machine import ADMIN, BEGIN, POLICIES, ROOT, SECOND, Machine, Response  # noqa: E402

BINARY = os.path.abspath(os.environ.get("GHATRACE") or ROOT / "build/dev-gcc/ghatrace")
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
HOUR = 3600 * SECOND
RUNS = [run_with_jobs(BEGIN // SECOND + 20 * number) for number in range(10)]
EVENTS = [event for run in RUNS for event in run.timeline()]


class MachineTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ghatrace-simulate-", dir=MEMORY))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.made = 0

    def machine(self, seed=1, policy=None, folder=None, **settings):
        self.made += 1
        machine = Machine(folder or self.folder / f"machine-{self.made}", seed, settings, BINARY, policy)
        self.addCleanup(machine.close)
        return machine

    def deliver(self, machine, events, gap=SECOND // 20):
        return [machine.post(machine.now + number * gap, event.body, headers_of(event))
                for number, event in enumerate(events)]

    def assert_ended_well(self, machine):
        self.assertEqual(machine.stop(), 0, "\n".join(machine.log[-10:]))


class Determinism(MachineTest):
    def history(self, seed, policy=None, has_fibers=True):
        """Deliveries with restarts, a kill, faults and requests of the admin side between them."""
        machine = self.machine(seed, policy, root_grace="10s")
        machine.has_fibers = has_fibers
        machine.start()
        tickets = self.deliver(machine, EVENTS)
        machine.run_until(machine.now + SECOND)
        self.assertEqual(machine.get("/metrics")[0], 200)
        machine.stop()
        machine.start()
        machine.kill_at(200)
        machine.run_until(machine.now + SECOND // 2)
        self.assertFalse(machine.is_running)
        machine.start()
        machine.faults.sync_fails = True
        machine.run_until(machine.now + SECOND)
        machine.faults.sync_fails = False
        machine.refuse_connections = True
        machine.run_until(machine.now + 20 * SECOND)
        machine.refuse_connections = False
        machine.leap(HOUR)
        machine.hup()
        machine.run_until(machine.now + 120 * SECOND)
        self.assert_ended_well(machine)
        return machine, [ticket.status for ticket in tickets]

    def test_the_same_seed_gives_the_same_bytes(self):
        for seed, policy in enumerate(POLICIES, 1):
            with self.subTest(policy=policy):
                first, statuses = self.history(seed, policy)
                second, again = self.history(seed, policy)
                self.assertEqual((first.fingerprint(), first.steps, statuses),
                                 (second.fingerprint(), second.steps, again))
                self.assertEqual(first.log, second.log)

    def test_threads_of_the_kernel_run_in_the_same_order_as_fibers(self):
        self.assertEqual(self.history(2, "random")[0].fingerprint(), self.history(2, "random", False)[0].fingerprint())

    def test_other_seeds_give_another_order_and_the_same_spans(self):
        fingerprints, spans = set(), []
        for seed in range(1, 7):
            machine = self.machine(seed, root_grace="10s").start()
            tickets = self.deliver(machine, EVENTS)
            machine.run_until(machine.now + 60 * SECOND)
            self.assertEqual({ticket.status for ticket in tickets}, {202})
            self.assert_ended_well(machine)
            fingerprints.add(machine.fingerprint())
            spans.append(spans_of(machine.collector.requests))
        self.assertEqual(len(fingerprints), 6)
        self.assertGreater(len(spans[0]), 10 * len(RUNS))
        for other in spans[1:]:
            self.assertEqual(other, spans[0])


class Time(MachineTest):
    def test_hours_of_grace_pass_between_two_events(self):
        machine = self.machine(root_grace="6h", job_grace="6h").start()
        run = run_with_jobs(machine.now // SECOND, jobs=2)
        events = [event for event in run.timeline() if event.action != "completed" or event.type == "workflow_run"]
        self.deliver(machine, events)
        machine.run_until(machine.now + 5 * HOUR)
        before = len(spans_of(machine.collector.requests))
        machine.run_until(machine.now + 2 * HOUR)
        self.assertGreater(len(spans_of(machine.collector.requests)), before)
        self.assertGreaterEqual(machine.now, BEGIN + 7 * HOUR)
        self.assert_ended_well(machine)

    def test_the_log_has_the_virtual_time(self):
        machine = self.machine().start()
        machine.run_until(BEGIN + HOUR)
        machine.stop()
        self.assertIn("time=2026-01-01T00:00:00", machine.log[0])
        self.assertIn("time=2026-01-01T01:00:00", machine.log[-1])

    def test_the_wall_clock_leaps_without_the_other(self):
        machine = self.machine().start()
        machine.leap(24 * HOUR)
        machine.run_until(machine.now + 60 * SECOND)
        self.assertTrue(any("the clock was set" in line and "2026-01-02" in line for line in machine.log))
        self.assertLess(machine.now, BEGIN + HOUR)


class Faults(MachineTest):
    def one(self, machine, number):
        ticket = machine.post(machine.now, EVENTS[number].body, headers_of(EVENTS[number]))
        machine.run_until(machine.now + 30 * SECOND)
        return ticket

    def test_a_disk_that_is_full_and_a_sync_that_fails_are_answered_503_and_pass(self):
        machine = self.machine().start()
        for number, name in enumerate(("disk_full", "sync_fails", "write_fails")):
            with self.subTest(name):
                setattr(machine.faults, name, True)
                machine.faults.part = number == 2
                self.assertEqual(self.one(machine, number).status, 503)
                self.assertEqual(machine.get("/ready")[0], 503)
                setattr(machine.faults, name, False)
                machine.run_until(machine.now + 60 * SECOND)
                self.assertEqual(machine.get("/ready")[0], 200)
                self.assertEqual(self.one(machine, number).status, 202)

    @unittest.skipIf(b"__asan_init" in pathlib.Path(BINARY).read_bytes(), "the sanitizer has its own allocations")
    def test_an_allocation_that_fails_loses_nothing(self):
        machine = self.machine().start()
        statuses = []
        for number in range(1, 30):
            machine.faults.allocation = number
            statuses.append(self.one(machine, 0).status)
            machine.faults.allocation = 0
            machine.run_until(machine.now + 60 * SECOND)
            self.assertEqual(machine.get("/ready")[0], 200)
        self.assertTrue(machine.is_running)
        self.assertEqual(statuses.count(202), 1, "stored once, known afterwards")
        before = statuses[:statuses.index(202)]
        self.assertTrue(set(before) and set(before) <= {0, 503}, before)

    def test_without_descriptors_deliveries_wait_for_one(self):
        machine = self.machine().start()
        machine.faults.no_descriptors = True
        ticket = machine.post(machine.now, EVENTS[0].body, headers_of(EVENTS[0]))
        machine.run_until(machine.now + 5 * SECOND)
        self.assertIsNone(ticket.status)
        machine.faults.no_descriptors = False
        machine.run_until(machine.now + 5 * SECOND)
        self.assertEqual(ticket.status, 202)
        self.assert_ended_well(machine)

    def test_a_client_that_does_not_read_is_left_alone(self):
        machine = self.machine().start()
        connection = machine.connect(port=ADMIN)
        connection.give_room(100)
        connection.send(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        machine.run_until(machine.now + SECOND)
        self.assertEqual(len(connection.received), 100)
        connection.give_room(1 << 30)
        machine.run_until(machine.now + SECOND)
        self.assertTrue(connection.has_ended)
        self.assertTrue(connection.received.endswith(b"\r\n0\r\n\r\n"))

    def test_a_sender_gives_up_after_ten_seconds(self):
        machine = self.machine().start()
        machine.sync_ns = 100 * SECOND
        ticket = self.one(machine, 0)
        self.assertEqual((ticket.status, (ticket.answered_at - ticket.at) // (SECOND // 1000)), (0, 10_000))

    def test_nothing_is_answered_while_the_daemon_is_down(self):
        machine = self.machine().start()
        machine.kill()
        ticket = self.one(machine, 0)
        self.assertEqual((ticket.status, machine.exit_status), (0, -9))

    def collected_with(self, answers):
        """Spans of the first run when the collector answers so first, then well."""
        machine = self.machine(root_grace="10s")
        usual = machine.collector.on_request
        rest = list(answers)
        machine.collector.on_request = lambda *request: rest.pop(0) if rest else usual(*request)
        machine.start()
        self.deliver(machine, RUNS[0].timeline())
        machine.run_until(machine.now + 600 * SECOND)
        self.assertEqual(rest, [])
        self.assert_ended_well(machine)
        return spans_of(machine.collector.requests)

    def test_a_collector_may_fail_in_each_way(self):
        expected = self.collected_with([])
        self.assertGreater(len(expected), 10)
        for mode in ("hang", "cut", "cut-after-status"):
            with self.subTest(mode):
                self.assertEqual(self.collected_with([Response(200, mode=mode)] * 2), expected)
        self.assertEqual(self.collected_with([Response(503)] * 3), expected)

    def test_a_collector_may_be_slow(self):
        machine = self.machine(root_grace="10s")
        usual = machine.collector.on_request
        machine.collector.on_request = lambda *request: dataclasses.replace(usual(*request), delay_ns=5 * SECOND)
        machine.start()
        self.deliver(machine, RUNS[0].timeline())
        machine.run_until(machine.now + 600 * SECOND)
        self.assert_ended_well(machine)
        bodies = [body for *_, body in machine.collector.requests]
        self.assertEqual(len(bodies), len(set(bodies)), "sent twice, although it was taken")
        self.assertEqual(spans_of(machine.collector.requests), self.collected_with([]))

    def test_a_connection_may_be_half_a_request(self):
        machine = self.machine().start()
        connection = machine.connect()
        connection.send(b"POST /webhook HT")
        machine.run_until(machine.now + SECOND)
        self.assertFalse(connection.has_ended)
        machine.run_until(machine.now + 600 * SECOND)
        self.assertTrue(connection.has_ended)

    def test_without_a_listener_a_connection_ends(self):
        machine = self.machine(admin_listen="off").start()
        connection = machine.connect(port=ADMIN)
        machine.run_until(machine.now + SECOND)
        self.assertTrue(connection.has_ended)


class Kills(MachineTest):
    def test_a_kill_at_each_step_around_a_delivery_loses_nothing_that_was_acknowledged(self):
        first, last = EVENTS_OF_ONE_JOB
        template = self.folder / "template"
        machine = self.machine(folder=template, root_grace="10s").start()
        self.deliver(machine, first)
        machine.run_until(machine.now + SECOND)
        machine.stop()
        begin = machine.now

        def attempt(step):
            folder = self.folder / f"step-{step}"
            shutil.copytree(template, folder)
            machine = Machine(folder, 1, {"root-grace": "10s"}, BINARY, "random", begin)
            self.addCleanup(machine.close)
            machine.start()
            before = machine.steps
            if step is not None:
                machine.kill_at(step)
            ticket = machine.post(machine.now, last.body, headers_of(last))
            machine.run_until(machine.now + SECOND // 10)
            taken = machine.steps - before
            status = ticket.status
            if step is not None:
                self.assertFalse(machine.is_running, step)
                machine.start()
            machine.run_until(machine.now + 60 * SECOND)
            machine.kill()
            shutil.rmtree(folder)
            return status, spans_of(machine.collector.requests), taken

        status, expected, steps = attempt(None)
        self.assertEqual((status, len(expected) > 3), (202, True))
        statuses = []
        for step in range(1, steps + 1):
            status, spans, _ = attempt(step)
            statuses.append(status)
            if status == 202:
                self.assertTrue(spans == expected, f"killed at step {step}: {len(spans)} of {len(expected)} spans")
            else:
                self.assertTrue(spans in ([], expected), f"killed at step {step}: half of it")
        self.assertEqual(set(statuses), {0, 202})
        self.assertEqual(statuses, sorted(statuses), "the answer comes once")


    def test_a_kill_anywhere_in_a_life_leaves_a_store_that_opens_and_loses_nothing(self):
        """From the making of the store to the stop; every step was once tried so, here some are. What was not acknowledged
        is delivered again."""
        events = RUNS[0].timeline()

        def live(step):
            machine = self.machine(1, "random", root_grace="10s")
            if step is not None:
                machine.kill_at(step)
            machine.start()
            tickets = self.deliver(machine, events)
            machine.run_until(machine.now + 20 * SECOND)
            machine.stop()
            self.assertEqual(machine.exit_status, 0 if step is None else -9, step)
            steps = machine.steps
            machine.start()
            self.assertTrue(machine.is_running, f"killed at step {step}: " + "\n".join(machine.log[-3:]))
            self.deliver(machine, [event for event, ticket in zip(events, tickets) if ticket.status != 202])
            machine.run_until(machine.now + 60 * SECOND)
            self.assertEqual(machine.get("/ready")[0], 200)
            self.assert_ended_well(machine)
            return spans_of(machine.collector.requests), steps

        expected, steps = live(None)
        for step in range(1, steps, 97):
            missing = set(expected) - set(live(step)[0])
            self.assertFalse(missing, f"killed at step {step}: {len(missing)} of {len(expected)} spans")


class Tls(MachineTest):
    @classmethod
    def setUpClass(cls):
        cls.certificates = tempfile.TemporaryDirectory(prefix="ghatrace-simulate-", dir=MEMORY)
        cls.addClassCleanup(cls.certificates.cleanup)
        for name in ("server", "renewed"):
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-subj", f"/CN={name}", "-days", "3650", "-out", f"{name}.pem", "-keyout", f"{name}.key"],
                           cwd=cls.certificates.name, check=True, capture_output=True)

    def use(self, machine, name):
        for end in (".pem", ".key"):
            shutil.copy(pathlib.Path(self.certificates.name) / (name + end), machine.folder / ("tls" + end))

    def history(self, seed):
        machine = self.machine(seed, tls_cert="tls.pem", tls_key="tls.key")
        self.use(machine, "server")
        machine.start()
        tickets = self.deliver(machine, EVENTS[:10])
        machine.run_until(machine.now + SECOND)
        self.use(machine, "renewed")
        machine.hup()
        machine.run_until(machine.now + SECOND)
        tickets += [machine.post(machine.now, event.body, headers_of(event), "192.0.2.7") for event in EVENTS[10:20]]
        machine.run_until(machine.now + SECOND)
        self.assertEqual({ticket.status for ticket in tickets}, {202})
        self.assert_ended_well(machine)
        return machine

    def test_a_certificate_is_replaced_while_deliveries_come(self):
        machine = self.history(1)
        seen = [certificate for _, certificate in machine.certificates]
        self.assertEqual(len(set(seen)), 2)
        self.assertEqual(seen, sorted(seen, key=seen.index), "the old one after the new one")

    def test_it_is_deterministic_too(self):
        self.assertEqual(self.history(2).fingerprint(), self.history(2).fingerprint())


class Races(MachineTest):
    def test_two_deliveries_with_one_guid_at_the_same_time_are_stored_once(self):
        event = EVENTS_OF_ONE_JOB[1]
        for seed in range(1, 21):
            machine = self.machine(seed).start()
            tickets = [machine.post(machine.now, event.body, headers_of(event), f"192.0.2.{number}")
                       for number in range(1, 5)]
            machine.run_until(machine.now + SECOND)
            self.assertEqual(sorted(ticket.status for ticket in tickets), [200, 200, 200, 202], f"seed {seed}")
            machine.kill()

    def test_bursts_are_answered_at_once_whatever_thread_runs(self):
        """A wake-up that is lost between two threads is noticed here: nothing else wakes them for a second."""
        for seed in range(1, 21):
            machine = self.machine(seed).start()
            tickets = [machine.post(machine.now + number // 8 * SECOND // 5, event.body, headers_of(event),
                                    f"192.0.2.{number % 7}") for number, event in enumerate(EVENTS)]
            machine.run_until(machine.now + 10 * SECOND)
            late = [ticket.number for ticket in tickets
                    if ticket.status != 202 or ticket.answered_at - ticket.at > SECOND // 20]
            self.assertEqual(late, [], f"seed {seed}")
            machine.kill()

    def test_a_stop_at_any_moment_loses_nothing_that_was_acknowledged(self):
        begin, last = EVENTS_OF_ONE_JOB
        left = 0
        for seed in range(1, 21):
            machine = self.machine(seed, root_grace="10s").start()
            self.deliver(machine, begin)
            machine.run_until(machine.now + SECOND)
            ticket = machine.post(machine.now, last.body, headers_of(last))
            machine.stop(machine.now + seed * 30_000)
            self.assertEqual(machine.exit_status, 0)
            left += ticket.status == 202 and not machine.collector.requests
            machine.start()
            machine.run_until(machine.now + 60 * SECOND)
            spans = spans_of(machine.collector.requests)
            self.assertEqual(bool(spans), ticket.status == 202, f"seed {seed}: {ticket.status}")
            machine.kill()
        self.assertGreater(left, 0, "no stop between answer and export")


EVENTS_OF_ONE_JOB = ([event for event in RUNS[0].timeline()[:3] if event.action != "completed"],
                     next(event for event in RUNS[0].timeline()
                          if event.action == "completed" and event.type == "workflow_job"))


if __name__ == "__main__":
    unittest.main()
