"""The scripts that people run: the demo leaves nothing behind, the tests show how far they are, nothing needless is installed."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import harness
from harness import wait_until

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE, signal.SIGKILL)


def processes_with(text):
    """Process IDs whose command line holds this."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and text in (entry / "cmdline").read_bytes().decode("utf-8", "replace"):
                found.append(int(entry.name))
        except OSError:
            pass  # it has ended
    return found


def heed_signals():
    """The process that runs the tests may ignore some, as nohup and a shell's background do, and a shell cannot trap those."""
    for number in SIGNALS:
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)


class Demo(harness.BlackBoxTest):
    def start(self, **kinds):
        folder = self.new_folder() + "/demo"
        env = harness.clean_environment({"GHATRACE": harness.BINARY, "DEMO_FOLDER": folder})
        process = subprocess.Popen([harness.ROOT / "scripts/demo"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, env=env, start_new_session=True, **kinds)
        self.addCleanup(lambda: [os.kill(number, signal.SIGKILL) for number in processes_with(folder)])
        self.addCleanup(process.stdout.close)
        return process, folder

    def daemons(self, folder):
        return [number for number in processes_with(folder + "/ghatrace.db") if "serve" in
                pathlib.Path(f"/proc/{number}/cmdline").read_text(errors="replace")]

    def assert_nothing_is_left(self, folder):
        wait_until(lambda: not processes_with(folder), what="the end of what the demo has started")

    def test_it_shows_two_traces_and_ends_all_its_processes(self):
        process, folder = self.start()
        output = process.communicate(timeout=harness.PATIENCE)[0].decode()
        self.assertEqual(process.returncode, 0, output)
        self.assertIn("RUN CI", output)
        self.assertIn("attempt 2", output)
        self.assertIn("how to go on", output)
        self.assert_nothing_is_left(folder)

    def test_it_ends_its_daemon_when_its_output_is_not_read(self):
        # What meets the closed pipe is a program in one case and the shell itself in the other.
        for last in (b"listening on", b"202"):
            process, folder = self.start()
            while last not in process.stdout.readline():
                pass
            self.assertEqual(len(self.daemons(folder)), 1)
            process.stdout.close()
            process.wait(harness.PATIENCE)
            self.assertNotEqual(process.returncode, 0)
            with self.subTest(last):
                self.assert_nothing_is_left(folder)

    def test_it_ends_its_daemon_also_where_sigpipe_is_ignored(self):
        process, folder = self.start(restore_signals=False)
        process.stdout.readline()
        process.stdout.close()
        process.wait(harness.PATIENCE)
        self.assert_nothing_is_left(folder)

    def test_it_ends_its_daemon_on_every_signal(self):
        for number in SIGNALS:
            with self.subTest(number.name):
                process, folder = self.start(preexec_fn=heed_signals)
                while b"replaying" not in process.stdout.readline():
                    pass
                self.assertEqual(len(self.daemons(folder)), 1)
                process.send_signal(number)
                process.wait(harness.PATIENCE)
                self.assertEqual(process.returncode, -9 if number == signal.SIGKILL else 128 + number)
                self.assert_nothing_is_left(folder)


class Tests(harness.BlackBoxTest):
    """scripts/run-tests, on stand-ins for programs."""

    def program(self, folder, name, seconds, passes=True):
        path = pathlib.Path(folder, name)
        path.write_text(f"#!/bin/sh\nsleep {seconds}\necho '[  {'PASSED' if passes else 'FAILED'}  ] 2 test(s)"
                        f"{'.' if passes else ', listed below:'}'\nexit {0 if passes else 1}\n")
        path.chmod(0o755)
        return str(path)

    def run_tests(self, *arguments, env=None):
        """[(seconds, line)]"""
        start = time.monotonic()
        process = subprocess.Popen([sys.executable, harness.ROOT / "scripts/run-tests", *arguments], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, cwd=harness.ROOT, env=harness.clean_environment(env))
        with process.stdout:
            lines = [(time.monotonic() - start, line.rstrip("\n")) for line in process.stdout]
        return process.wait(), lines

    def test_each_program_is_reported_when_it_ends(self):
        folder = self.new_folder()
        status, lines = self.run_tests(self.program(folder, "slow", 3), self.program(folder, "quick", 0))
        self.assertEqual(status, 0)
        results = [(when, line) for when, line in lines if line.startswith("ok")]
        self.assertIn("quick", results[0][1])
        self.assertLess(results[0][0], results[1][0] - 1)
        self.assertEqual(lines[-1][1], "4 passed, 0 failed")

    def test_a_failure_is_reported_with_its_output(self):
        folder = self.new_folder()
        status, lines = self.run_tests(self.program(folder, "good", 0), self.program(folder, "bad", 0, passes=False))
        text = "\n".join(line for _, line in lines)
        self.assertEqual(status, 1)
        self.assertRegex(text, r"FAIL +\S+/bad .* 2 failed")
        self.assertIn("    | [  FAILED  ] 2 test(s)", text)
        self.assertIn("2 passed, 2 failed", text)

    def test_a_program_that_takes_long_is_reported_while_it_runs(self):
        folder = self.new_folder()
        status, lines = self.run_tests(self.program(folder, "slow", 4), env={"PROGRESS_SECONDS": "1"})
        self.assertEqual(status, 0)
        self.assertRegex(lines[0][1], r"^\.\.\.  0 of 1 programs .*slow")
        self.assertLess(lines[0][0], 3)

    def test_black_box_tests_are_reported_by_module_and_by_number(self):
        status, lines = self.run_tests("--blackbox", harness.BINARY, env={"BLACKBOX_NAMES": "test_help test_a_port_that"})
        text = "\n".join(line for _, line in lines)
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r"(?m)^ok    tests/blackbox/test_commands +\d passed +0 failed")
        self.assertTrue(re.fullmatch(r"\d passed, 0 failed", lines[-1][1]), text)


class Bootstrap(harness.BlackBoxTest):
    """scripts/bootstrap, where nothing is installed and apt-get only writes down what it is asked for."""

    def asked_for(self, *arguments):
        folder = pathlib.Path(self.new_folder())
        for name, text in (("dpkg-query", "exit 1"), ("apt-get", f'echo "$*" >>{folder}/asked'), ("id", "echo 0")):
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)
        env = harness.clean_environment({"PATH": f"{folder}:/usr/bin:/bin"})
        subprocess.run([harness.ROOT / "scripts/bootstrap", *arguments], check=True, env=env, stdout=subprocess.DEVNULL)
        return (folder / "asked").read_text().split()

    def test_the_demo_needs_no_compiler_but_one_and_nothing_of_the_tests(self):
        asked = self.asked_for("--demo")
        for name in ("gcc", "make", "libevent-dev", "python3"):
            self.assertIn(name, asked)
        for name in asked:
            self.assertNotRegex(name, "clang|cmocka|protobuf|chromium|prometheus")

    def test_building_needs_no_python(self):
        asked = self.asked_for("--build-only")
        self.assertIn("gcc", asked)
        self.assertNotIn("python3", asked)
        self.assertNotRegex(" ".join(asked), "clang")

    def test_the_tests_need_both_compilers(self):
        asked = self.asked_for()
        for name in ("gcc", "clang", "libcmocka-dev", "python3"):
            self.assertIn(name, asked)
        self.assertNotIn("chromium", asked)
        self.assertIn("chromium", self.asked_for("--all"))
