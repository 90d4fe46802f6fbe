#!/usr/bin/env python3
"""Runs the black-box tests against the real binary.

    run.py [NAME…]     all tests, or those whose module, class or sentence contains a NAME

Several modules run at the same time, each in a process of its own, since most tests wait: TEST_JOBS of them (one more
than there are processors; 1 shows each test as it ends). A module that sets RUNS_ALONE = True runs beside no other.
GHATRACE names the binary, by default build/dev-gcc/ghatrace. CRASH_ROUNDS sets how often kill -9 strikes.
"""
import collections
import concurrent.futures
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import traceback
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ONE_MODULE = "GHATRACE_TEST_MODULE"    # in the environment of a process that runs one module for another
PORTS, PORTS_EACH = (20000, 32000), 400    # that the tests' servers listen on, of all modules and of one
LONGEST = ("test_notify", "test_old_store", "test_lifecycle", "test_export_refusals", "test_grpc", "test_faults")
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True


class Result(unittest.TestResult):
    """A line for each test as it ends."""

    def __init__(self):
        super().__init__()
        self.passed, self.failed, self.started = 0, 0, 0.0
        self.broken = set()

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()

    def addSuccess(self, test):
        super().addSuccess(test)
        if test not in self.broken:
            self.passed += 1
            self.say("ok  ", test)

    def addFailure(self, test, fault):
        self.fault(test, fault)

    def addError(self, test, fault):
        self.fault(test, fault)

    def addSubTest(self, test, subtest, fault):
        if fault is not None:
            self.broken.add(test)
            self.fault(subtest, fault)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.say("skip", test, reason)

    def fault(self, test, fault):
        self.failed += 1
        self.say("FAIL", test)
        text = "".join(traceback.format_exception(*fault))
        print("    " + text[-8000:].replace("\n", "\n    "), flush=True)

    def say(self, verdict, test, remark=""):
        print(f"{verdict} {sentence(test)} ({time.monotonic() - self.started:.1f} s) {remark}".rstrip(), flush=True)


def sentence(test):
    parts = test.id().split(".")
    if len(parts) < 3 or not parts[0].startswith("test_"):
        return test.id()
    return f"{parts[0].removeprefix('test_')}: {'.'.join(parts[2:]).removeprefix('test_').replace('_', ' ')}"


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def run_here(tests):
    """Runs the tests in this process, one after the other."""
    import harness
    result = Result()
    # A time limit that ends the suite must not leave its daemons behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        unittest.TestSuite(tests).run(result)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        result.failed += 1
    finally:
        harness.end_all()
    return result.passed, result.failed


class Modules:
    """Runs modules in processes of their own, several at a time."""

    def __init__(self, names, jobs):
        self.names, self.jobs = names, jobs
        self.passed, self.failed = 0, 0
        self.running = set()
        self.first_port = PORTS[0]

    def next_ports(self):
        """A range that no module has that runs at the same time."""
        first = self.first_port if self.first_port + PORTS_EACH <= PORTS[1] else PORTS[0]
        self.first_port = first + PORTS_EACH
        return f"{first}-{first + PORTS_EACH - 1}"

    def run_one(self, module, ports):
        command = [sys.executable, sys.argv[0], *self.names]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True, errors="replace", env={**os.environ, ONE_MODULE: module, "TEST_PORTS": ports})
        self.running.add(process)
        output = process.communicate()[0]
        self.running.discard(process)
        return process.returncode, output

    def take(self, module, status, output):
        """Prints what a module printed, when it has ended, and adds up its tests."""
        counts = re.search(r"^(\d+) passed, (\d+) failed\n\Z", output, re.M)
        print(output[:counts.start()] if counts else output, end="", flush=True)
        passed, failed = map(int, counts.groups()) if counts else (0, 0)
        if not counts or (status != 0 and failed == 0):
            how = f"with exit status {status}" if counts else f"without counts, with exit status {status}"
            print(f"FAIL {module.removeprefix('test_')}: the module ends {how} (0.0 s)", flush=True)
            failed += 1
        self.passed, self.failed = self.passed + passed, self.failed + failed

    def run(self, modules, jobs):
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            waiting = {pool.submit(self.run_one, module, self.next_ports()): module for module in modules}
            try:
                for future in concurrent.futures.as_completed(waiting):
                    self.take(waiting[future], *future.result())
            except KeyboardInterrupt:
                for future in waiting:
                    future.cancel()
                for process in self.running.copy():
                    process.terminate()
                raise

    def run_all(self, modules):
        """The longest first, then those that run alone."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        alone = [module for module in modules if getattr(sys.modules[module], "RUNS_ALONE", False)]
        beside = [module for module in modules if module not in alone]
        try:
            self.run(beside, self.jobs)
            self.run(alone, 1)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            self.failed += 1
        return self.passed, self.failed


def sort_modules(tests):
    """The modules of the tests: the longest first, then those with the most tests."""
    sizes = collections.Counter(test.id().split(".")[0] for test in tests)
    return sorted(sizes, key=lambda name: (LONGEST.index(name) if name in LONGEST else len(LONGEST), -sizes[name]))


def main(names, folder=HERE):
    """Runs the tests of `folder`."""
    import harness
    if not os.access(harness.BINARY, os.X_OK):
        print(f"{harness.BINARY} is not there: run `make` first, or name one in GHATRACE", file=sys.stderr)
        return 2
    one = os.environ.pop(ONE_MODULE, None)
    tests = list(flatten(unittest.defaultTestLoader.discover(str(folder), f"{one or 'test_*'}.py", str(folder))))
    if names:
        tests = [test for test in tests if any(name in f"{test.id()} {sentence(test)}" for name in names)]
    if not one:
        print(f"{len(tests)} tests", flush=True)
    modules = sort_modules(tests)
    jobs = int(os.environ.get("TEST_JOBS") or (os.cpu_count() or 1) + 1)
    # One that cannot be imported is a test that fails, but no module: only here it is reported.
    if jobs > 1 and len(modules) > 1 and not unittest.defaultTestLoader.errors:
        passed, failed = Modules(names, jobs).run_all(modules)
    else:
        passed, failed = run_here(tests)
    if passed + failed == 0 and not one:
        print("no test has run", file=sys.stderr)
        return 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
