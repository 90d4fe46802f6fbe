"""What a power cut may leave at each moment of a run: the short form of `make crash`, and that it finds planted faults."""
import os
import pathlib
import sys

import harness

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "crash"))
import crash  # noqa: E402

# A state takes a sanitizer's build ten times as long.
IS_SLOW = any(name in harness.BINARY for name in ("asan", "tsan"))
NUMBERS = {"seed": os.environ.get("CRASH_SEED", "1"), "states": 1 if IS_SLOW else 4, "exhaustive": 2 if IS_SLOW else 4,
           "sample": 300}


class EveryCrash(harness.BlackBoxTest):
    def check(self, **kinds):
        with crash.memory_folder() as folder:
            status, text = crash.Recording(folder, runs=4 if IS_SLOW else 8, **kinds).explore(**NUMBERS)
        print("    " + "; ".join(text.splitlines()[-2:]))
        self.assertEqual(status, 0, text)

    def test_each_state_after_a_power_cut_has_all_that_was_acknowledged_and_nothing_half(self):
        self.check()

    def test_so_has_each_state_while_records_are_taken_by_a_collector_and_the_daemon_is_killed_and_started(self):
        self.check(has_collector=True, restarts=1)

    def test_a_fault_that_is_planted_is_found(self):
        for name in crash.PLANTED:
            with self.subTest(name):
                is_found, text = crash.find_planted(name, seed=NUMBERS["seed"])
                self.assertTrue(is_found, text)


