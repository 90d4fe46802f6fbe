"""`ghatrace pools` and `ghatrace runs`: in a terminal, into a pipe, and as JSON."""
import fcntl
import json
import os
import pty
import re
import struct
import termios
import time
import unicodedata

import harness
from payloads import Repository, Run
from test_admin import get_json
from test_top import has_terminals

STYLE = re.compile(r"\x1b\[[0-9;]*m")


def columns_of(line):
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


class TerminalLists(harness.BlackBoxTest):
    def in_terminal(self, daemon, *arguments, columns=80, env=None):
        """What a command that ends by itself writes to a terminal."""
        if not has_terminals():
            self.skipTest("no pseudo-terminals here")
        environment = harness.clean_environment({"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(env or {})})
        environment.pop("COLUMNS", None)
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = os.posix_spawn(harness.BINARY, ["ghatrace", *arguments, "--db", daemon.settings["db"]], environment,
                                 file_actions=[(os.POSIX_SPAWN_DUP2, follower, 1)])
        os.close(follower)
        seen = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            seen += piece
        os.close(leader)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), 0)
        return seen.decode().replace("\r\n", "\n")

    def check_widths(self, daemon, *arguments):
        for columns in (40, 60, 80, 200):
            shown = self.in_terminal(daemon, *arguments, columns=columns)
            self.assertIn("\x1b[", shown)
            for line in STYLE.sub("", shown).splitlines():
                self.assertLessEqual(columns_of(line), columns, line)
                self.assertNotIn("\x1b", line)
        for plain in ({"NO_COLOR": "0"}, {"TERM": "dumb"}):
            self.assertNotIn("\x1b", self.in_terminal(daemon, *arguments, env=plain))
        self.assertIn("\x1b[", self.in_terminal(daemon, *arguments, env={"NO_COLOR": ""}))

    def queue(self, daemon, labels, age, started=False):
        job = Run(started=int(time.time()) - age).job("build", offset=0)
        job.labels = list(labels)
        job.started = int(time.time()) - age + 5
        daemon.accept(job.queued(), *([job.in_progress()] if started else []))

    def open_pools(self):
        daemon = self.new_daemon()
        self.long = "self-hosted-" + "x" * 150
        self.queue(daemon, ["gpu"], 1800)
        self.queue(daemon, ["gpu"], 1700)
        self.queue(daemon, [self.long], 300, started=True)
        self.queue(daemon, [self.long], 240)
        self.queue(daemon, ["evil\x1b[2J\x1b]0;x\x07"], 20)
        return daemon

    def test_pools_show_one_row_each_the_worst_first(self):
        daemon = self.open_pools()
        shown = daemon.command("pools", env={"LC_ALL": "C.UTF-8"})
        self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        lines = shown.stdout.splitlines()
        self.assertRegex(lines[0], r"^2 of 3 pools with jobs are in trouble: 1 dead, 1 busy; the worst is gpu, where nothing has started in 7 days\.$")
        self.assertEqual(lines[1], "gpu: See whether its runners are online (GitHub: Settings, Actions, Runners).")
        self.assertIn("1 pool dead", lines[2])
        self.assertIn("4 jobs queued", lines[2])
        head = next(i for i, line in enumerate(lines) if line.startswith("POOL "))
        self.assertRegex("\n".join(lines[3:head]), r"^dead: If they are, see whether[^|]*\nbusy: Add runners, or cancel runs that are not needed\. As many")
        rows = [line.split() for line in lines[head + 1:head + 4]]
        self.assertEqual([row[:2] for row in rows[:2]], [["gpu", "dead"], [self.long, "busy"]])
        self.assertIn("RUNNING  MOST", lines[head])
        self.assertRegex(lines[head + 2], r" 1 +1 ")
        self.assertLessEqual(max(map(len, lines[1:head])), 100)
        self.assertNotIn("\x1b", shown.stdout)
        self.assertEqual({len(row) > 1 and row[1] for row in rows[2:]}, {"ok"})

    def test_pools_fit_the_terminal_but_are_whole_in_a_pipe(self):
        daemon = self.open_pools()
        self.check_widths(daemon, "pools")
        self.assertNotIn(self.long, self.in_terminal(daemon, "pools"))
        self.assertIn(self.long, daemon.command("pools").stdout)
        self.assertLessEqual(max(map(len, daemon.command("pools", env={"COLUMNS": "80"}).stdout.splitlines())), 80)

    def test_pools_as_json_are_what_the_api_answers(self):
        daemon = self.open_pools()
        printed = daemon.command("pools", "--json")
        self.assertEqual((printed.returncode, printed.stderr), (0, ""))
        answered = get_json(daemon, "/api/pools")
        def steady(answer):
            del answer["now"]
            for pool in answer["pools"]:
                del pool["oldest_wait_seconds"], pool["open_wait_seconds"]
            return answer
        self.assertEqual(steady(json.loads(printed.stdout)), steady(answered))
        self.assertEqual([pool["state"] for pool in answered["pools"]], ["dead", "busy", "ok"])

    def test_pools_follow_the_settings_of_the_daemon(self):
        daemon = self.open_pools()
        states = lambda *settings: {pool["pool"]: pool["state"] for pool in
                                    json.loads(daemon.command("pools", "--json", *settings).stdout)["pools"]}
        self.assertEqual(states("--pool-dead-after", "2h")["gpu"], "waiting")
        shown = daemon.command("pools", "--runner-ceiling", "all: 1: self-hosted*").stdout
        self.assertRegex(shown, r'\nceiling "all" \(configured\): 1 of 1 run, 1 queued . acme/rocket_engine runs 1\n')
        self.assertIn("ceiling", shown)

    def test_where_there_is_no_store_a_daemon_can_be_asked_if_the_command_can(self):
        nowhere = self.new_folder() + "/nothing"
        for command, can in ((["pools"], True), (["top"], True), (["inspect", "1"], False)):
            with self.subTest(command=command):
                refused = harness.run_command(*command, "--db", nowhere)
                self.assertEqual(refused.returncode, 1)
                self.assertIn(f"there is no store in {nowhere}: name it with --db", refused.stderr)
                self.assertEqual(", or ask a running daemon with --url URL" in refused.stderr, can)

    def test_without_pools_it_is_said_when_there_will_be_some(self):
        shown = self.new_daemon().command("pools")
        self.assertEqual((shown.returncode, shown.stdout), (0, "No pool is known: one shows up here with its first job.\n"))

    def test_one_picture_of_top_fits_the_terminal_but_is_whole_in_a_pipe(self):
        daemon = self.open_pools()
        self.check_widths(daemon, "top", "--once")
        self.assertNotIn(self.long, self.in_terminal(daemon, "top", "--once"))
        self.assertIn(self.long, daemon.command("top").stdout)

    def test_a_run_fits_the_terminal_but_is_whole_in_a_pipe(self):
        daemon, name = self.new_daemon(), "größe 日本語 e\u0301 \x1b[2J " + "x" * 150
        run = Run(age=300)
        job = run.job(name)
        run.updated = run.created + 60
        daemon.accept(run.requested(), job.queued(), job.in_progress(), job.completed(), run.completed())
        self.check_widths(daemon, "trace", str(run.run_id))
        self.check_widths(daemon, "trace", str(run.run_id), "--steps")
        self.assertNotIn("x" * 100, self.in_terminal(daemon, "trace", str(run.run_id)))
        self.assertEqual(daemon.command("trace", run.run_id).stdout.count("x" * 150), 3)  # row, longest wait, critical path

    # --- runs ---

    def finish(self, daemon, name, ended, conclusion="success", repository="acme/shop", workflow="CI"):
        """A run of one minute that ended so long ago."""
        run = Run(age=ended + 60, workflow=workflow, conclusion=conclusion, repository=Repository(repository), head_branch=name)
        run.updated = run.created + 60
        daemon.accept(run.requested(), run.completed())
        return run

    def finished_runs(self):
        daemon = self.new_daemon()
        open_run = Run(age=500, workflow="Still open")
        daemon.accept(open_run.requested())
        runs = {"b": self.finish(daemon, "b", 600, "failure"), "a": self.finish(daemon, "a", 60),
                "d": self.finish(daemon, "d", 90000, "failure", "acme/site", "Evil \x1b[2J"),
                "c": self.finish(daemon, "c", 3000, "cancelled", "acme/site", "Nightly " + "x" * 120)}
        names = {f"{run.run_id}/1": name for name, run in runs.items()} | {f"{open_run.run_id}/1": "open"}
        harness.wait_until(lambda: len(get_json(daemon, "/api/runs")["runs"]) == 4, what="four finished runs")
        return daemon, names

    def listed(self, names, shown):
        self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        return "".join(names[word] + " " for line in shown.stdout.splitlines() for word in line.split() if word in names)

    def test_runs_lists_what_is_open_and_then_finished_runs_by_their_ends(self):
        daemon, names = self.finished_runs()
        for flags, expected in (((), "open a b c d "), (("--open",), "open "), (("--failed",), "b d "), (("--since", "1h"), "a b c "),
                                (("--repo", "SITE"), "c d "), (("--workflow", "nightly"), "c "), (("--failed", "--since", "1h"), "b "),
                                (("--repo", "acme/", "--workflow", "ci"), "a b "), (("--limit", "2"), "open a b "),
                                (("--workflow", "still"), "open ")):
            with self.subTest(flags):
                shown = daemon.command("runs", *flags)
                self.assertEqual(self.listed(names, shown), expected)
                printed = daemon.command("runs", "--json", *flags)
                self.assertEqual((printed.returncode, printed.stderr), (0, ""))
                answer = json.loads(printed.stdout)
                self.assertEqual("".join(names[f"{run['run_id']}/1"] + " " for run in answer["runs"]), expected)
                self.assertEqual(answer["more"], "--limit" in flags)
                self.assertEqual("There are more" in shown.stdout, "--limit" in flags)
        for flags in (("--failed", "--repo", "none"), ("--workflow", "none")):
            self.assertEqual(daemon.command("runs", *flags).stdout, "No finished run matches.\n")
        self.assertTrue(daemon.command("runs", "--workflow", "nightly").stdout.lstrip().startswith("ended"))
        self.assertTrue(daemon.command("runs", "--open", "--workflow", "nightly").stdout.startswith("Nothing is open."))

    def test_runs_as_json_are_those_of_the_api(self):
        daemon, _ = self.finished_runs()
        printed = json.loads(daemon.command("runs", "--json").stdout)["runs"]
        answered = get_json(daemon, "/api/runs?state=open")["runs"] + get_json(daemon, "/api/runs")["runs"]
        by_id = lambda runs: sorted(runs, key=lambda run: run["run_id"])
        self.assertEqual(by_id(printed), by_id(answered))

    def test_runs_fit_the_terminal_but_are_whole_in_a_pipe(self):
        daemon, names = self.finished_runs()
        self.check_widths(daemon, "runs")
        self.check_widths(daemon, "runs", "--failed")
        at_80 = self.in_terminal(daemon, "runs", "--repo", "site")
        self.assertNotIn("x" * 120, at_80)
        self.assertEqual([name in at_80 for name in names].count(True), 2)
        self.assertIn("x" * 120, daemon.command("runs").stdout)

    def test_flags_of_runs_that_make_no_sense_are_refused(self):
        daemon = self.new_daemon()
        for flags in (("--open", "--failed"), ("--open", "--since", "1h"), ("--limit", "0"), ("--limit", "x"), ("--since", "soon")):
            with self.subTest(flags):
                refused = daemon.command("runs", *flags)
                self.assertEqual((refused.returncode, refused.stdout), (2, ""))
                self.assertIn("--" + flags[-2 if flags[-1][0] != "-" else -1].lstrip("-"), refused.stderr)
