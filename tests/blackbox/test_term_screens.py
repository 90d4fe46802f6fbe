"""The terminal views in tmux, on a quiet day and during incidents, in narrow and wide windows and while these change.

With SCREENS=FOLDER in the environment the screens are left there as text, to be looked at.
"""
import importlib.util
import os
import pathlib
import shlex
import shutil
import subprocess
import unittest

import harness
from test_term_lists import columns_of

def load_scenes():
    """Those of the page. By its path, as there is another module of that name."""
    path = pathlib.Path(__file__).resolve().parent.parent / "browser/scenes.py"
    spec = importlib.util.spec_from_file_location("page_scenes", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


scenes = load_scenes()

FIRST = {"quiet_day": "No pool is in trouble.", "dead_pool": "gpu-a100 is dead: ", "flood": "acme/monorepo fills ",
         "full_ceiling": 'The ceiling "hosted" (', "incident": ""}
USUAL = ("quiet_day", "flood", "incident")  # the others only for pictures
SIZES = ((40, 24), (60, 24), (80, 24), (200, 50))


@unittest.skipUnless(shutil.which("tmux"), "tmux is not here")
class Screens(harness.BlackBoxTest):
    def setUp(self):
        self.folder, self.opened = pathlib.Path(self.new_folder()), 0

    def tmux(self, *arguments, check=True):
        environment = harness.clean_environment({"LC_ALL": "C.UTF-8", "TERM": "xterm-256color"})
        environment.pop("TMUX", None)
        return subprocess.run(["tmux", "-S", str(self.socket), "-f", "/dev/null", *map(str, arguments)], env=environment, check=check,
                              capture_output=True, text=True, timeout=harness.PATIENCE).stdout

    def open(self, daemon, *arguments, columns=80, rows=24):
        # A server for each: one whose last session has ended is still there for a moment.
        self.opened += 1
        self.socket = self.folder / f"tmux-{self.opened}"
        command = shlex.join([str(harness.BINARY), *arguments, "--db", daemon.settings["db"]])
        ends = arguments[0] != "top"  # what has ended stays on the screen
        self.tmux("new-session", "-d", "-s", "s", "-x", columns, "-y", rows, f"{command}; echo '[end]'; sleep 60" if ends else command)
        return self.wait_for((lambda shown: "[end]" in shown) if ends else (lambda shown: "queued" in shown))

    def shown(self):
        return self.tmux("capture-pane", "-p", "-S", "-", "-t", "s").rstrip("\n")

    def wait_for(self, predicate):
        harness.wait_until(lambda: predicate(self.shown()), what="the picture")
        return self.shown()

    def close(self):
        self.tmux("kill-server", check=False)

    def tearDown(self):
        for self.socket in self.folder.glob("tmux-*"):
            self.close()

    def play(self, name):
        daemon = self.new_daemon(runner_ceiling=scenes.CEILING)
        daemon.accept(*getattr(scenes, name)())
        return daemon

    def keep(self, name, shown):
        if os.environ.get("SCREENS"):
            folder = pathlib.Path(os.environ["SCREENS"])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.txt").write_text(shown + "\n")

    def check(self, shown, columns):
        for line in shown.splitlines():
            self.assertLessEqual(columns_of(line), columns, line)
            self.assertEqual(line, line.rstrip())

    def test_each_view_begins_with_what_matters_at_every_width(self):
        for scene, first in FIRST.items():
            if scene not in USUAL and not os.environ.get("SCREENS"):
                continue
            daemon = self.play(scene)
            ceiling = ("--runner-ceiling", scenes.CEILING)
            for columns, rows in SIZES if scene == "incident" else SIZES[2:]:
                for view in ("top", "pools"):
                    with self.subTest(scene=scene, view=view, columns=columns):
                        shown = self.open(daemon, view, *ceiling, columns=columns, rows=rows)
                        self.close()
                        self.keep(f"{view}-{scene}-{columns}", shown)
                        self.check(shown, columns)
                        self.assertEqual(shown[:len(first)], first)
                        if view == "top":
                            self.assertLessEqual(len(shown.splitlines()), rows)
            daemon.stop()

    def test_runs_and_a_run_fit_every_width(self):
        daemon = self.new_daemon()
        run, events = scenes.finished_run()
        daemon.accept(*scenes.many_finished(20)[1], *events, *scenes.hostile_run().timeline())
        harness.wait_until(lambda: str(run.run_id) in daemon.command("runs", "--limit", "1000").stdout, what="the run")
        for columns, rows in SIZES:
            for view in (("runs",), ("trace", str(run.run_id)), ("trace", str(run.run_id), "--steps")):
                with self.subTest(view, columns=columns):
                    shown = self.open(daemon, *view, columns=columns, rows=rows)
                    self.close()
                    self.keep(f"{'-'.join(view).replace(str(run.run_id), '').replace('---', '-')}-{columns}", shown)
                    self.check(shown, columns)

    def test_a_window_of_another_size_is_filled_at_once_without_garbage(self):
        daemon = self.play("incident")
        self.open(daemon, "top", "--interval", "1h", columns=200, rows=50)
        before = self.shown().splitlines()
        for columns, rows in ((80, 24), (41, 12), (120, 40), (200, 50)):
            self.tmux("resize-window", "-t", "s", "-x", columns, "-y", rows)
            # Cut off by tmux at first, then drawn again: the sentence is whole, in as many lines as it needs.
            shown = self.wait_for(lambda seen: seen.replace("\n", " ").startswith(before[0]) and seen.count("POOL ") == 1
                                  and (len(seen.splitlines()[0]) > 80) == (columns > 100))
            self.check(shown, columns)
            self.assertLessEqual(len(shown.splitlines()), rows)
        self.wait_for(lambda seen: seen.splitlines() == before)  # all are of one moment
        self.tmux("send-keys", "-t", "s", "q")
        harness.wait_until(lambda: not self.tmux("list-sessions", check=False), what="the end")
