"""`ghatrace top`: in a terminal, and into a pipe."""
import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time

import harness
from payloads import Run


def has_terminals():
    try:
        for end in pty.openpty():
            os.close(end)
        return True
    except OSError:
        return False


class Screen(harness.BlackBoxTest):
    """`ghatrace top` in a terminal."""

    def start(self, *arguments, rows=24, columns=100, env=None):
        if not has_terminals():
            self.skipTest("no pseudo-terminals here")
        environment = harness.clean_environment({"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(env or {})})
        process, terminal = pty.fork()
        if process == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execve(harness.BINARY, ["ghatrace", "top", "--interval", "100ms", *arguments], environment)
        self.addCleanup(os.close, terminal)
        self.process, self.terminal, self.seen = process, terminal, b""

    def read_until(self, predicate, what):
        deadline = time.monotonic() + harness.PATIENCE
        while not predicate(self.seen):
            self.assertLess(time.monotonic(), deadline, f"waited in vain for {what}: {self.seen[-2000:]!r}")
            if select.select([self.terminal], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.terminal, 65536)
                except OSError:  # the other side is closed
                    break

    def end(self, expect=0):
        self.read_until(lambda seen: b"\x1b[?1049l" in seen, "the usual screen")
        _, status = os.waitpid(self.process, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), expect)
        self.assertTrue(self.seen.rstrip().endswith(b"\x1b[?7h\x1b[?25h\x1b[?1049l"), self.seen[-100:])


class Top(Screen):
    def setUp(self):
        self.daemon = self.new_daemon()
        run = Run(age=300)
        self.job = run.job("build (3.12)")
        self.daemon.accept(run.requested(), self.job.queued())

    def start(self, *arguments, **kinds):
        super().start("--db", self.daemon.settings["db"], *arguments, **kinds)

    def test_it_refreshes_and_ends_on_q(self):
        self.start()
        self.read_until(lambda seen: b"build (3.12)" in seen and b"1 queued" in seen, "the job")
        self.daemon.accept(self.job.in_progress())
        self.read_until(lambda seen: b"1 running" in seen and b"0 queued" in seen, "the news")
        os.write(self.terminal, b"q")
        self.end()

    def test_the_terminal_is_restored_on_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number):
                self.start()
                self.read_until(lambda seen: b"build (3.12)" in seen, "the job")
                os.kill(self.process, number)
                self.end()

    def test_no_line_is_longer_than_the_terminal_is_wide(self):
        self.start(rows=10, columns=60)
        self.read_until(lambda seen: seen.count(b"\x1b[H") >= 3, "some pictures")
        os.write(self.terminal, b"q")
        self.end()
        last = self.seen.split(b"\x1b[H")[-1]
        self.assertLessEqual(last.count(b"\n"), 10)

    def test_without_colours_it_moves_the_cursor_only(self):
        self.start(env={"NO_COLOR": "1"})
        self.read_until(lambda seen: seen.count(b"\x1b[H") >= 2, "some pictures")
        os.write(self.terminal, b"q")
        self.end()
        self.assertNotRegex(self.seen.decode(), r"\x1b\[[0-9;]*m")

    def test_where_the_cursor_cannot_be_moved_it_prints_one_picture(self):
        for env in ({"TERM": "dumb"}, {"TERM": ""}):
            self.start(env=env)
            self.read_until(lambda seen: b"build (3.12)" in seen, "the job")
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1]), 0)
            self.assertNotIn(b"\x1b", self.seen)

    def test_a_terminal_that_is_gone_ends_it(self):
        self.start()
        self.read_until(lambda seen: b"build (3.12)" in seen, "the job")
        os.dup2(os.open("/dev/null", os.O_RDWR), self.terminal)  # the other end of the terminal is closed
        begun = time.monotonic()
        os.waitpid(self.process, 0)
        self.assertLess(time.monotonic() - begun, harness.PATIENCE)

    def test_into_a_pipe_it_prints_one_picture_without_colour(self):
        shown = self.daemon.command("top")
        self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        self.assertIn("1 queued", shown.stdout)
        self.assertIn("build (3.12)", shown.stdout)
        self.assertNotIn("\x1b", shown.stdout)
        for columns in ("80", "200"):
            lines = self.daemon.command("top", env={"COLUMNS": columns}).stdout.splitlines()
            self.assertLessEqual(max(map(len, lines)), int(columns))

    def test_an_invalid_interval_is_refused(self):
        for interval in ("0", "1ms", "x"):
            refused = self.daemon.command("top", "--interval", interval)
            self.assertEqual(refused.returncode, 2)
            self.assertIn("--interval", refused.stderr)
