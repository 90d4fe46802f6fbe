"""What systemd is notified of (sd_notify(3)), and when its watchdog is fed."""
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid

import faulty
import harness
from harness import BINARY, ROOT, SECRET, wait_until
from payloads import Run

WATCHDOG = 1.0  # seconds: short enough for a test, long enough for a busy machine


class Manager:
    """A service manager's end of NOTIFY_SOCKET: all datagrams, each with the time at which it came."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.environment = {"NOTIFY_SOCKET": address}
        self.received = []
        self.thread = threading.Thread(target=self._receive, daemon=True)
        self.thread.start()

    def _receive(self):
        while text := self.socket.recv(4096).decode():
            self.received.append((time.monotonic(), text))

    def stop(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", self.socket.getsockname())
        self.thread.join()
        self.socket.close()

    @property
    def states(self):
        return [text for _, text in list(self.received) if text != "WATCHDOG=1"]

    def feeds(self):
        return [at for at, text in list(self.received) if text == "WATCHDOG=1"]

    def wait_for(self, text, count=1):
        wait_until(lambda: [received for _, received in list(self.received)].count(text) >= count, what=text)

    def wait_for_feeds(self, more):
        before = len(self.feeds())
        wait_until(lambda: len(self.feeds()) >= before + more, what=f"{more} times WATCHDOG=1")


def free_address():
    with harness.listening_socket() as listener:
        return listener.getsockname()


def new_event():
    return Run().job().queued()


class Notifying(faulty.FaultTest):
    def new_manager(self, address=None):
        manager = Manager(address or self.new_folder() + "/notify")
        self.addCleanup(manager.stop)
        return manager

    def new_watched(self, manager, start=True, watchdog=WATCHDOG, **variables):
        """(daemon, faults)"""
        daemon, faults = self.new_faulty(start=False)
        daemon.env = {**faults.environment, **manager.environment, "WATCHDOG_USEC": str(int(watchdog * 1e6)), **variables}
        return (daemon.start() if start else daemon), faults

    def new_notifying(self, manager, **settings):
        return self.new_daemon(env=manager.environment, **settings)


class States(Notifying):
    def test_ready_is_sent_when_requests_are_answered(self):
        manager = self.new_manager()
        webhook, admin = free_address(), free_address()  # known before the log names them
        daemon = self.new_daemon(start=False, env=manager.environment, listen="%s:%d" % webhook,
                                 admin_listen="%s:%d" % admin)
        answers = []

        def request():
            manager.wait_for("READY=1")
            with harness.Client(webhook) as client:
                answers.append(client.deliver(new_event()).status)
            with harness.Client(admin) as client:
                answers.append(client.request("GET", "/ready").status)
        thread = threading.Thread(target=request)
        thread.start()
        daemon.start()
        thread.join()
        self.assertEqual(answers, [202, 200])
        self.assertEqual(manager.states, ["READY=1"])

    def test_a_notification_socket_may_be_abstract(self):
        manager = self.new_manager(f"@ghatrace-test/{uuid.uuid4()}")
        self.new_notifying(manager)
        manager.wait_for("READY=1")

    def test_a_start_that_fails_is_never_ready(self):
        manager = self.new_manager()
        with harness.listening_socket() as busy:
            done = harness.run_command("serve", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:%d" % busy.getsockname()[1],
                                       f"--db={self.new_folder()}/db",
                                       env={"GITHUB_WEBHOOK_SECRET": SECRET, **manager.environment})
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(manager.received, [])

    def test_a_reload_is_reported_with_its_time_and_its_end(self):
        manager = self.new_manager()
        daemon = self.new_notifying(manager)
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        daemon.process.send_signal(signal.SIGHUP)
        manager.wait_for("READY=1", 2)
        after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.assertEqual(len(manager.states), 3, manager.states)
        reloading, stamp = manager.states[1].split("\n")
        self.assertEqual(reloading, "RELOADING=1")
        name, _, usec = stamp.partition("=")
        self.assertEqual(name, "MONOTONIC_USEC")
        self.assertTrue(before <= int(usec) <= after, (before, usec, after))
        self.assertIn("files read again", daemon.log)

    def test_a_reload_that_fails_is_over_too(self):
        manager = self.new_manager()
        daemon = self.new_notifying(manager)
        daemon.secret_file.unlink()
        daemon.process.send_signal(signal.SIGHUP)
        manager.wait_for("READY=1", 2)
        self.assertEqual([state.split("\n")[0] for state in manager.states], ["READY=1", "RELOADING=1", "READY=1"])
        daemon.accept(new_event())

    def test_stopping_is_sent_while_requests_are_still_answered(self):
        manager = self.new_manager()
        daemon = self.new_notifying(manager)
        event = new_event()
        with daemon.client() as client:
            client.connection.putrequest("POST", "/webhook")
            for name, value in {**harness.delivery_headers(event), "Content-Length": len(event.body)}.items():
                client.connection.putheader(name, value)
            client.connection.endheaders(event.body[:10])
            daemon.process.send_signal(signal.SIGTERM)
            manager.wait_for("STOPPING=1")
            client.connection.send(event.body[10:])
            self.assertEqual(client.connection.getresponse().status, 202)
        daemon.stop()
        self.assertEqual(manager.states, ["READY=1", "STOPPING=1"])

    def test_without_a_usable_socket_it_runs_and_warns(self):
        for address, words in (("/nowhere/notify", "cannot be notified"), ("notify", "neither a path nor")):
            with self.subTest(address=address):
                daemon = self.new_daemon(env={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000"})
                daemon.accept(new_event())
                wait_until(lambda: words in daemon.log, what=words)
                daemon.process.send_signal(signal.SIGHUP)
                wait_until(lambda: "files read again" in daemon.log, what="a reload")
                self.assertEqual(daemon.log.count(words), 1)
                daemon.stop()


class BusyManager:
    """A service manager that does not read its socket until it is asked to."""

    def __init__(self, address):
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)
        self.environment = {"NOTIFY_SOCKET": address}
        self.received = []

    def fill(self):
        """Until no sender can send anything; a sender's own buffer holds less than the queue."""
        for _ in range(8):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                try:
                    while True:
                        sender.sendto(b"full", self.address)
                except BlockingIOError:
                    pass

    def read(self):
        """All states so far, without this class's own."""
        try:
            while True:
                self.received.append((time.monotonic(), self.socket.recv(4096).decode()))
        except BlockingIOError:
            pass
        return [text.split("\n")[0] for _, text in self.received if text != "full"]


class NotReadInTime(Notifying):
    def new_busy(self):
        manager = BusyManager(self.new_folder() + "/notify")
        self.addCleanup(manager.socket.close)
        return manager

    def test_ready_is_sent_again_until_it_is_taken_and_after_a_reload_too(self):
        manager = self.new_busy()
        manager.fill()
        daemon = self.new_notifying(manager)
        wait_until(lambda: "does not read its socket" in daemon.log, what="the line in the log")
        self.assertEqual(manager.read(), [])
        wait_until(lambda: manager.read() == ["READY=1"], what="READY=1")
        wait_until(lambda: "notified again" in daemon.log, what="the line in the log")
        manager.fill()
        daemon.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "files read again" in daemon.log, what="a reload")
        wait_until(lambda: daemon.log.count("does not read its socket") == 2, what="the line in the log")
        wait_until(lambda: manager.read().count("READY=1") == 2, what="READY=1 again")
        daemon.stop()
        self.assertEqual([state for state in manager.read() if state != "RELOADING=1"], ["READY=1", "READY=1", "STOPPING=1"])

    def test_a_feed_that_was_not_taken_is_repeated_soon(self):
        manager = self.new_busy()
        watchdog = 4.0
        daemon = self.new_daemon(env={**manager.environment, "WATCHDOG_USEC": str(int(watchdog * 1e6))})
        wait_until(lambda: manager.read() == ["READY=1"], what="READY=1")
        manager.fill()
        wait_until(lambda: "does not read its socket" in daemon.log, what="a feed that fails")
        began = time.monotonic()
        wait_until(lambda: "WATCHDOG=1" in manager.read(), what="WATCHDOG=1")
        self.assertLess(time.monotonic() - began, watchdog / 2 * 0.75)
        self.assertNotIn("stuck", daemon.log)


class WatchdogTest(Notifying):
    def test_it_is_fed_at_half_of_its_time(self):
        manager = self.new_manager()
        self.new_watched(manager)
        manager.wait_for_feeds(6)
        feeds = manager.feeds()
        gaps = [later - earlier for earlier, later in zip(feeds, feeds[1:])]
        self.assertGreater(min(gaps), WATCHDOG / 2 * 0.5, gaps)
        self.assertLess(sorted(gaps)[len(gaps) // 2], WATCHDOG, gaps)

    def test_it_is_fed_under_load_and_through_a_reload(self):
        manager = self.new_manager()
        daemon, _ = self.new_watched(manager)
        for _ in range(100):
            daemon.accept(new_event())
        daemon.process.send_signal(signal.SIGHUP)
        manager.wait_for("READY=1", 2)
        manager.wait_for_feeds(2)
        self.assertNotIn("stuck", daemon.log)

    def test_without_a_watchdog_or_for_another_process_it_is_not_fed(self):
        for variables in ({"WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": ""}):
            with self.subTest(variables=variables):
                manager = self.new_manager()
                daemon, _ = self.new_watched(manager, watchdog=0.1, **variables)
                time.sleep(1)
                daemon.process.send_signal(signal.SIGHUP)
                manager.wait_for("READY=1", 2)
                self.assertEqual(manager.feeds(), [])

    def test_it_is_fed_if_its_process_id_is_the_own_one(self):
        manager = self.new_manager()
        listener = harness.listening_socket()
        self.addCleanup(listener.close)
        daemon, _ = self.new_watched(manager, start=False)
        daemon.sockets = {"webhook": listener}  # what passes them sets WATCHDOG_PID, as systemd does
        daemon.start()
        manager.wait_for_feeds(2)

    def test_a_commit_that_hangs_is_no_reason_to_restart(self):
        manager = self.new_manager()
        daemon, faults = self.new_watched(manager)
        faults.set(hang=1)
        outcomes = []
        thread = threading.Thread(target=lambda: outcomes.append(daemon.deliver(new_event()).status))
        thread.start()
        wait_until(lambda: daemon.admin("/metrics").text.find("\nghatrace_commit_age_seconds 0\n") < 0, what="a commit")
        manager.wait_for_feeds(4)
        faults.clear()
        thread.join()
        self.assertEqual(outcomes, [202])

    def check_stuck(self, thread, fault):
        """`thread`, a pattern, is stuck: that is logged, and the feeding ends until it moves again."""
        manager = self.new_manager()
        daemon, faults = self.new_watched(manager)
        manager.wait_for_feeds(1)
        faults.set(stuck=fault)
        wait_until(lambda: "watchdog is not fed" in daemon.log, what="the line in the log")
        self.assertRegex(daemon.log, rf"level=error msg=.*watchdog is not fed, and restarts .* thread={thread} restart_in=\d")
        count = len(manager.feeds())
        time.sleep(2 * WATCHDOG)
        self.assertEqual(len(manager.feeds()), count)
        if thread != "main":
            self.assertEqual(daemon.admin("/health").status, 200, "the main thread is not stuck")
        faults.clear()
        manager.wait_for_feeds(2)
        wait_until(lambda: "moves again" in daemon.log, what="the line in the log")
        self.assertRegex(daemon.log, rf"level=info msg=.*moves again: the watchdog is fed.* thread={thread}")
        self.assertEqual(daemon.log.count("watchdog is not fed"), 1)

    def test_a_webhook_thread_that_is_stuck_is_logged_and_ends_the_feeding_until_it_moves(self):
        self.check_stuck(r"ingress-\d", fault=1)

    def test_a_main_thread_that_is_stuck_is_logged_too(self):
        self.check_stuck("main", fault=2)

    def test_long_upkeep_on_a_slow_disk_is_no_reason_to_restart(self):
        manager = self.new_manager()
        daemon, faults = self.new_watched(manager, start=False)
        daemon.settings["job-timeout"] = "1s"
        daemon.start()
        runs = [Run() for _ in range(200)]
        jobs = [run.job() for run in runs]
        daemon.accept(*[event for job in jobs for event in (job.queued(), job.in_progress())])
        daemon.stop()
        manager.received.clear()
        time.sleep(1.1)
        faults.set(slow=5000)
        daemon.start()
        wait_until(lambda: daemon.admin("/metrics").text.find("\nghatrace_commit_age_seconds 0\n") < 0, what="upkeep")
        manager.wait_for_feeds(8)  # of half a second each
        faults.clear()
        self.assertNotIn("stuck", daemon.log)
        feeds = manager.feeds()
        self.assertLess(max(later - earlier for earlier, later in zip(feeds, feeds[1:])), 2 * WATCHDOG)

    def test_a_long_answer_on_a_slow_disk_is_no_reason_to_restart(self):
        manager = self.new_manager()
        daemon, faults = self.new_watched(manager)
        daemon.accept(*[new_event() for _ in range(300)])
        before = len(manager.feeds())
        began = time.monotonic()
        faults.set(slow=5000)
        self.assertEqual(daemon.admin("/api/queue?limit=1000").status, 200)
        took = time.monotonic() - began
        faults.clear()
        self.assertGreater(took, 2 * WATCHDOG)
        self.assertGreaterEqual(len(manager.feeds()) - before, int(took / WATCHDOG))
        self.assertNotIn("stuck", daemon.log)


class Stop(Notifying):
    def test_a_commit_that_hangs_at_the_stop_is_logged_once(self):
        daemon, faults = self.new_faulty()
        faults.set(hang=1)
        outcomes = []
        thread = threading.Thread(target=lambda: outcomes.append(daemon.deliver(new_event()).status))
        thread.start()
        wait_until(lambda: daemon.admin("/metrics").text.find("\nghatrace_commit_age_seconds 0\n") < 0, what="a commit")
        daemon.process.send_signal(signal.SIGTERM)
        wait_until(lambda: "waiting for a commit" in daemon.log, what="the line in the log")
        time.sleep(2.5)
        self.assertEqual(daemon.log.count("waiting for a commit"), 1)
        faults.clear()
        thread.join()
        self.assertEqual(outcomes, [202])
        self.assertEqual(daemon.process.wait(harness.PATIENCE), 0)


class Unit(harness.BlackBoxTest):
    def setUp(self):
        lines = (ROOT / "conf/ghatrace.service").read_text().splitlines()
        self.service = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    def test_the_unit_waits_for_notifications_and_lets_them_through(self):
        self.assertEqual(self.service["Type"], "notify")
        self.assertEqual(self.service["WatchdogSec"], "60s")
        self.assertIn("AF_UNIX", self.service["RestrictAddressFamilies"].split())

    def test_systemd_finds_no_fault_in_the_units(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("no systemd-analyze here")
        folder = pathlib.Path(self.new_folder())
        for name in ("ghatrace.service", "ghatrace.socket"):
            text = (ROOT / "conf" / name).read_text()
            (folder / name).write_text(text.replace("/usr/local/bin/ghatrace", str(pathlib.Path(BINARY).resolve())))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", folder / "ghatrace.service", folder / "ghatrace.socket"],
                              capture_output=True, text=True, check=False, timeout=harness.PATIENCE)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
