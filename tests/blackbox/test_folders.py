"""Commands that only read, on folders of every kind: they make and change nothing."""
import os
import pathlib
import shutil
import subprocess

import harness
from harness import run_command
from payloads import Run

READING = (("runs",), ("trace", "4711"), ("inspect", "4711"), ("top", "--once"), ("requeue",), ("check", "--insecure-no-signature"))


def contents(folder):
    """What is in a folder: names, bytes, times of change."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(pathlib.Path(folder).iterdir())}


class Folders(harness.BlackBoxTest):
    def check_refusal(self, folder, *words):
        before = contents(folder) if os.path.isdir(folder) else None
        for command in READING:
            with self.subTest(command):
                shown = run_command(*command, "--db", folder)
                if command[0] == "check":
                    self.assertIn("store: ", shown.stdout)
                else:
                    self.assertEqual(shown.returncode, 1, shown.stdout + shown.stderr)
                    self.assertRegex(shown.stderr, r"^ghatrace: .+\n$")
                for word in words:
                    self.assertIn(word, shown.stdout + shown.stderr)
                if before is not None:
                    self.assertEqual(contents(folder), before)

    def test_reading_commands_do_not_change_a_folder_without_a_store(self):
        folder = pathlib.Path(self.new_folder(), "documents")
        folder.mkdir()
        self.check_refusal(folder, str(folder))
        (folder / "letter.txt").write_text("Dear all")
        self.check_refusal(folder, str(folder))
        (folder / "data.mdb").write_bytes(b"")
        self.check_refusal(folder, str(folder))
        (folder / "data.mdb").write_bytes(b"not a database " * 5000)
        self.check_refusal(folder, str(folder))

    def test_reading_commands_do_not_change_the_database_of_another_program(self):
        folder = pathlib.Path(self.new_folder())
        # A page of LMDB's magic and nothing behind it.
        (folder / "data.mdb").write_bytes(bytes(16) + bytes.fromhex("dec0efbe01000000") + bytes(4096 * 4))
        self.check_refusal(folder)

    def test_reading_commands_refuse_what_is_no_folder(self):
        file = pathlib.Path(self.new_folder(), "file")
        file.write_text("text")
        self.check_refusal(file, str(file))
        self.assertEqual(file.read_text(), "text")

    def filled(self):
        daemon = self.new_daemon()
        run = Run(workflow="Opened")
        daemon.accept(run.requested(), run.job("still building").queued())
        return daemon, run

    def test_reading_commands_work_on_a_store_in_use_and_change_no_file_but_the_table_of_readers(self):
        daemon, run = self.filled()
        daemon.accept(Run().requested())
        before = contents(daemon.settings["db"])
        for command in (("runs",), ("top", "--once"), ("check", "--insecure-no-signature")):
            shown = daemon.command(*command)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            after = contents(daemon.settings["db"])
            self.assertEqual({name: after[name] for name in after if name != "lock.mdb"},
                             {name: before[name] for name in before if name != "lock.mdb"})
        self.assertIn(str(run.run_id), daemon.command("runs").stdout)

    def test_reading_commands_make_no_file_beside_a_copied_store(self):
        daemon, run = self.filled()
        daemon.stop()
        copy = pathlib.Path(self.new_folder(), "copy")
        copy.mkdir()
        shutil.copy(pathlib.Path(daemon.settings["db"], "data.mdb"), copy)
        before = contents(copy)
        shown = run_command("runs", "--db", copy)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn(str(run.run_id), shown.stdout)
        self.assertEqual(run_command("top", "--once", "--db", copy).returncode, 0)
        self.assertEqual(contents(copy), before)

    def test_reading_commands_work_on_read_only_media(self):
        daemon, run = self.filled()
        daemon.stop()
        folder = daemon.settings["db"]
        # A mount of its own, in a namespace of its own; not everybody may make one.
        script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && ! touch "$1/x" 2>/dev/null && exec "$2" runs --db "$1"'
        shown = subprocess.run(["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", folder, harness.BINARY],
                               capture_output=True, text=True, timeout=harness.PATIENCE, env=harness.clean_environment(), check=False)
        if shown.returncode and "ghatrace" not in shown.stderr:
            self.skipTest(f"no read-only mount here: {shown.stderr.strip()}")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn(str(run.run_id), shown.stdout)
