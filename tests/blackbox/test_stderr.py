"""Standard error that is not read, is closed or breaks: no delivery, scrape or stop waits for it."""
import os
import re
import signal
import socket
import subprocess
import time

import harness
from faulty import FaultTest
from payloads import Run


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def value_of(daemon, name):
    match = re.search(rf"^{name} (\S+)$", daemon.admin("/metrics").text, re.M)
    return float(match.group(1))


class StandardError(FaultTest):
    def start_on(self, stderr, preexec=None, **settings):
        """A daemon whose standard error is the caller's business; no line says that it is ready."""
        daemon = self.new_daemon(start=False, **settings)
        ports = [free_port(), free_port()]
        daemon.settings["listen"], daemon.settings["admin-listen"] = (f"127.0.0.1:{port}" for port in ports)
        daemon.address, daemon.admin_address = (("127.0.0.1", port) for port in ports)
        process = subprocess.Popen(daemon.arguments(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=stderr, env=harness.clean_environment(daemon.env), preexec_fn=preexec)

        def end():
            if process.poll() is None:
                process.kill()
                process.wait()
        self.addCleanup(end)
        self.wait_ready(daemon, process)
        return daemon, process

    @staticmethod
    def wait_ready(daemon, process):
        def is_ready():
            if process.poll() is not None:
                raise AssertionError(f"it ended with {process.returncode}")
            try:
                return daemon.admin("/ready").status == 200
            except OSError:
                return False
        harness.wait_until(is_ready, what="/ready")

    def full_pipe(self):
        """A pipe that takes nothing more."""
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        filled = 0
        try:
            while True:
                filled += os.write(writing, b"x" * 4096)
        except BlockingIOError:
            pass
        os.set_blocking(writing, True)
        return reading, writing, filled

    def test_a_pipe_that_is_not_read_delays_nothing_and_the_loss_is_reported(self):
        reading, writing, filled = self.full_pipe()
        daemon, process = self.start_on(writing, log_level="debug", max_connections_per_address="1",
                                         ingress_threads="1")
        os.close(writing)
        run = Run()
        run.job()
        events = run.timeline()
        daemon.accept(events[0])
        harness.wait_until(lambda: self.drops_lines(daemon), what="lines to be dropped")
        daemon._forget_client()
        daemon.accept(*events[1:])
        self.assertEqual(daemon.admin("/ready").status, 200)
        while filled > 0:
            filled -= len(os.read(reading, filled))
        text = b""
        while b"log lines were dropped" not in text:
            text += os.read(reading, 65536)
        self.assertRegex(text.decode(), r"log lines were dropped.* lines=[1-9]")
        self.assertIn("msg=ready", text.decode(), "what came before the loss is there")
        process.send_signal(signal.SIGTERM)
        while os.read(reading, 65536):
            pass
        os.close(reading)
        self.assertEqual(process.wait(harness.PATIENCE), 0)

    @staticmethod
    def drops_lines(daemon):
        """A line for each connection that is one too many."""
        for _ in range(500):
            socket.create_connection(daemon.address, timeout=harness.PATIENCE).close()
        return value_of(daemon, "ghatrace_log_lines_dropped_total") > 0

    def test_it_ends_in_good_order_although_the_pipe_is_not_read(self):
        reading, writing, _ = self.full_pipe()
        daemon, process = self.start_on(writing)
        os.close(writing)
        run = Run()
        run.job()
        daemon.accept(*run.timeline())
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(harness.PATIENCE), 0)
        os.close(reading)

    def test_a_start_that_fails_ends_although_the_pipe_is_not_read(self):
        reading, writing, _ = self.full_pipe()
        daemon = self.new_daemon(start=False, db="/proc/nothing/here")
        process = subprocess.Popen(daemon.arguments(), stderr=writing, env=harness.clean_environment())
        os.close(writing)
        self.assertEqual(process.wait(harness.PATIENCE), 1)
        os.close(reading)

    def test_a_pipe_that_broke_holds_up_nothing(self):
        reading, writing = os.pipe()
        daemon, process = self.start_on(writing)
        os.close(writing)
        os.close(reading)
        process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: value_of(daemon, "ghatrace_log_lines_dropped_total") > 0, what="a dropped line")
        run = Run()
        run.job()
        daemon.accept(*run.timeline())
        before = self.cpu(process)
        time.sleep(0.3)
        self.assertLess(self.cpu(process) - before, 0.2, "it does not spin")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(harness.PATIENCE), 0)

    @staticmethod
    def cpu(process):
        with open(f"/proc/{process.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_the_store_never_gets_the_descriptor_number_of_a_closed_standard_error(self):
        daemon, process = self.start_on(None, preexec=lambda: [os.close(fd) for fd in (0, 1, 2)])
        for fd in (0, 1, 2):
            self.assertEqual(os.readlink(f"/proc/{process.pid}/fd/{fd}"), "/dev/null")
        run = Run()
        run.job()
        events = run.timeline()
        daemon.accept(*events)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(harness.PATIENCE), 0)
        daemon.settings.update({"listen": "127.0.0.1:0", "admin-listen": "127.0.0.1:0"})
        daemon._forget_client()
        daemon.start()
        self.assertEqual(daemon.deliver(events[0]).outcome, (200, "duplicate"))

    def test_a_terminal_of_the_parent_stays_blocking(self):
        reading, writing = os.pipe()
        daemon, process = self.start_on(writing)
        self.assertTrue(os.get_blocking(writing))
        os.close(writing)
        process.send_signal(signal.SIGTERM)
        while os.read(reading, 65536):
            pass
        os.close(reading)
        self.assertEqual(process.wait(harness.PATIENCE), 0)
