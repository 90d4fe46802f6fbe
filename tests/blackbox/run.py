#!/usr/bin/env python3
"""Runs the black-box tests against the real binary.

    run.py [NAME…]     all tests, or those whose module, class or sentence contains a NAME

GHATRACE names the binary, by default build/dev-gcc/ghatrace. CRASH_ROUNDS sets how often kill -9 strikes.
"""
import os
import pathlib
import signal
import sys
import time
import traceback
import unittest

HERE = pathlib.Path(__file__).resolve().parent
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


def main(names, folder=HERE):
    """Runs the tests of `folder`."""
    import harness
    if not os.access(harness.BINARY, os.X_OK):
        print(f"{harness.BINARY} is not there: run `make` first, or name one in GHATRACE", file=sys.stderr)
        return 2
    tests = list(flatten(unittest.defaultTestLoader.discover(str(folder), "test_*.py", str(folder))))
    if names:
        tests = [test for test in tests if any(name in f"{test.id()} {sentence(test)}" for name in names)]
    print(f"{len(tests)} tests", flush=True)
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
    if result.passed + result.failed == 0:
        print("no test has run", file=sys.stderr)
        return 1
    print(f"{result.passed} passed, {result.failed} failed")
    return 1 if result.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
