"""How the files that are configured are read: marks in front, blanks at ends, who may read them, a folder for the store."""
import base64
import os
import pathlib
import shutil
import subprocess
import unittest.mock

import harness
from harness import SECRET, Client, delivery_headers, run_command, wait_until
from payloads import Run

MARK = b"\xef\xbb\xbf"
OTHERS = {"UTF-16 little": b"\xff\xfe" + SECRET.encode("utf-16-le"), "UTF-16 big": b"\xfe\xff" + SECRET.encode("utf-16-be"),
          "UTF-32": b"\xff\xfe\0\0" + SECRET.encode("utf-32-le")}
TOKEN = "a-token-of-22-characters"


class Secrets(harness.BlackBoxTest):
    def file(self, content, name="secret-file", mode=0o600):
        path = pathlib.Path(self.new_folder(), name)
        path.write_bytes(content)
        path.chmod(mode)
        return str(path)

    def check(self, *arguments):
        shown = run_command("check", "--db", self.new_folder() + "/db", *arguments)
        self.assertNotIn(SECRET, shown.stdout + shown.stderr)
        return shown

    def test_a_byte_order_mark_is_no_part_of_a_secret(self):
        for content in (MARK + SECRET.encode(), MARK + SECRET.encode() + b"\r\n", MARK + b"old\n" + MARK + SECRET.encode() + b"\n"):
            path = self.file(content)
            daemon = self.new_daemon(webhook_secret_file=path)
            daemon.accept(Run().requested())
            shown = self.check("--webhook-secret-file", path)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            self.assertNotIn(f"warning: {path}", shown.stdout)
            # The tools read it alike.
            folder = self.new_folder()
            pathlib.Path(folder, "1.workflow_run.requested.json").write_bytes(Run().requested().body)
            if b"old" not in content:
                sent = run_command("replay", "--secret-file", path, "http://%s:%d/webhook" % daemon.address, folder)
                self.assertEqual(sent.returncode, 0, sent.stdout + sent.stderr)

    def test_a_byte_order_mark_is_no_part_of_the_secret_in_the_environment(self):
        daemon = self.new_daemon(start=False, webhook_secret_file=None)
        daemon.env = {"GITHUB_WEBHOOK_SECRET": "\ufeff" + SECRET}
        daemon.start()
        daemon.accept(Run().requested())

    def test_a_byte_order_mark_is_no_part_of_a_token_a_header_or_a_setting(self):
        token = self.file(MARK + TOKEN.encode() + b"\r\n", "token")
        headers = self.file(MARK + b"X-Own: value\r\n", "headers")
        config = self.file(MARK + f"  admin-token-file = {token}\r\nroot-grace = 11s\r\n".encode(), "config")
        shown = self.check("--insecure-no-signature", "--config", config, "--otlp-header-file", headers,
                           "--otlp-endpoint", "http://127.0.0.1:1")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("root-grace = 11s  (from file)", shown.stdout)
        self.assertIn("headers: X-Own", shown.stdout)
        daemon = self.new_daemon(admin_token_file=token)
        with Client(daemon.admin_address) as client:
            self.assertEqual(client.request("GET", "/api/status").status, 401)
            self.assertEqual(client.request("GET", "/api/status", headers={"Authorization": f"Bearer {TOKEN}"}).status, 200)

    def test_utf_16_is_refused_with_a_message(self):
        for name, content in OTHERS.items():
            for setting in ("webhook-secret-file", "admin-token-file", "otlp-header-file", "config"):
                path = self.file(content)
                arguments = [f"--{setting}", path, "--otlp-endpoint", "http://127.0.0.1:1"]
                if setting != "webhook-secret-file":
                    arguments.append("--insecure-no-signature")
                with self.subTest(setting, name=name):
                    shown = self.check(*arguments)
                    self.assertEqual(shown.returncode, 2, shown.stdout)
                    self.assertRegex(shown.stderr, r"^ghatrace: .*secret-file: is in UTF-16: save it as UTF-8\n$")
                    started = run_command("serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
                                          "--db", self.new_folder() + "/db", *arguments)
                    self.assertEqual((started.returncode, "UTF-16" in started.stderr), (2, True), started.stderr)

    def test_blanks_at_the_end_of_a_secret_count_and_are_warned_of(self):
        for end, words in ((" ", "ends with a blank"), ("\t", "ends with a tab"), ("\r", "ends with a carriage return")):
            path = self.file(f"first\n\n{SECRET}{end}\r\n".encode())
            daemon = self.new_daemon(webhook_secret_file=path)
            self.assertEqual(daemon.deliver(Run().requested(), secret=SECRET + end).status, 202)
            self.assertEqual(daemon.deliver(Run().requested(), secret=SECRET).status, 401)
            self.assertIn(f"{path}, line 3: this secret {words}", daemon.log)
            self.assertNotIn(SECRET, daemon.log)
            self.assertIn(f"warning: {path}, line 3: this secret {words}", self.check("--webhook-secret-file", path).stdout)
        pathlib.Path(path).write_text(f"\"{SECRET}\"\n")
        before = len(daemon.lines)
        daemon.process.send_signal(1)
        wait_until(lambda: "is enclosed in quotes" in "\n".join(daemon.lines[before:]), what="the warning after SIGHUP")

    def test_blanks_at_the_ends_of_a_token_are_warned_of(self):
        path = self.file(f"{TOKEN} \n".encode(), "token")
        daemon = self.new_daemon(admin_token_file=path)
        self.assertIn(f"{path}, line 1: this secret ends with a blank", daemon.log)
        self.assertIn(f"{path}, line 1", self.check("--insecure-no-signature", "--admin-token-file", path).stdout)
        with Client(daemon.admin_address) as client:
            basic = base64.b64encode(f"me:{TOKEN} ".encode()).decode()
            self.assertEqual(client.request("GET", "/api/status", headers={"Authorization": f"Basic {basic}"}).status, 200)

    def test_check_reads_the_tokens(self):
        for content, words in ((b"short\n", "fewer than 16"), (b"", "holds no secret")):
            path = self.file(content, "token")
            shown = self.check("--insecure-no-signature", "--admin-token-file", path)
            self.assertEqual(shown.returncode, 2, shown.stdout)
            self.assertIn(words, shown.stderr)


class Keys(harness.BlackBoxTest):
    def test_a_key_that_others_may_read_is_warned_of(self):
        folder = pathlib.Path(self.new_folder())
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-subj", "/CN=localhost", "-days", "30", "-keyout", folder / "key", "-out", folder / "cert"],
                       check=True, capture_output=True)
        (folder / "headers").write_text("X-Own: value\n")
        (folder / "token").write_text(TOKEN + "\n")
        (folder / "secret").write_text(SECRET + "\n")
        arguments = ["--tls-cert", folder / "cert", "--tls-key", folder / "key", "--otlp-header-file", folder / "headers",
                     "--admin-token-file", folder / "token", "--webhook-secret-file", folder / "secret",
                     "--otlp-endpoint", "https://127.0.0.1:1", "--otlp-client-key", folder / "key",
                     "--otlp-client-certificate", folder / "cert"]
        for name in ("key", "headers", "token", "secret"):
            for mode, words in ((0o600, None), (0o604, "readable by all users"), (0o602, "is writable by all users"),
                                (0o640, None if name == "key" else "readable by its group")):
                for other in ("key", "headers", "token", "secret"):
                    (folder / other).chmod(0o600)
                (folder / name).chmod(mode)
                shown = run_command("check", "--db", self.new_folder() + "/db", *arguments)
                self.assertEqual(shown.returncode, 0, shown.stderr)
                warned = [line for line in shown.stdout.splitlines() if line.startswith(f"warning: {folder / name} ")]
                with self.subTest(name, mode=oct(mode)):
                    self.assertEqual(len(warned), 0 if words is None else 2 if name == "key" else 1, shown.stdout)
                    if words:
                        self.assertIn(words, warned[0])


class StoreFolder(harness.BlackBoxTest):
    """What the daemon would refuse at its start, `check` refuses, and makes nothing."""

    def both(self, db, *words, prefix=()):
        commands = {"check": ("check",), "serve": ("serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")}
        for name, command in commands.items():
            shown = subprocess.run([*prefix, harness.BINARY, *command, "--insecure-no-signature", "--db", db],
                                   capture_output=True, text=True, timeout=harness.PATIENCE, env=harness.clean_environment(),
                                   check=False)
            with self.subTest(name, db=db):
                self.assertEqual(shown.returncode, 2 if name == "check" else 1, shown.stdout + shown.stderr)
                if name == "check":
                    self.assertRegex(shown.stderr, r"^ghatrace: .+\n$")
                    for word in (db.rstrip("/"), *words):
                        self.assertIn(word, shown.stderr)

    def test_a_parent_that_is_missing(self):
        folder = self.new_folder()
        self.both(folder + "/a/b", f"{folder}/a: No such file")
        self.both(folder + "/a/b/", f"{folder}/a: No such file")
        self.assertEqual(os.listdir(folder), [])

    def test_a_file_in_the_way(self):
        folder = pathlib.Path(self.new_folder())
        (folder / "file").write_text("")
        (folder / "link").symlink_to(folder / "nothing")
        self.both(str(folder / "file"), "is not a folder")
        self.both(str(folder / "link"), "is not a folder")
        self.both(str(folder / "file" / "db"), "Not a directory")
        (folder / "db").mkdir()
        (folder / "db" / "data.mdb").mkdir()
        self.both(str(folder / "db"), "data.mdb is not a file")

    def test_a_folder_that_may_not_be_written(self):
        if os.getuid() != 0:
            self.skipTest("only root can act as somebody else")
        folder = pathlib.Path(self.new_folder())
        folder.chmod(0o755)
        other_user = ("setpriv", "--reuid=65534", "--clear-groups")
        copy = folder / "ghatrace"
        shutil.copy(harness.BINARY, copy)
        with unittest.mock.patch.object(harness, "BINARY", str(copy)):
            self.both(str(folder / "db"), "Permission denied", prefix=other_user)
            (folder / "db").mkdir(mode=0o755)
            self.both(str(folder / "db"), "Permission denied", prefix=other_user)
            (folder / "db").chmod(0o777)
            (folder / "db" / "data.mdb").write_bytes(b"")
            (folder / "db" / "data.mdb").chmod(0o600)
            self.both(str(folder / "db"), "data.mdb: Permission denied", prefix=other_user)

    def test_a_folder_that_can_be_made_is_not_made(self):
        folder = self.new_folder()
        for db in (folder + "/db", folder + "/db/", "db"):
            shown = run_command("check", "--insecure-no-signature", "--db", db)
            self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertEqual(os.listdir(folder), [])

    def test_a_store_in_use_is_fine(self):
        daemon = self.new_daemon()
        self.assertEqual(daemon.command("check", "--insecure-no-signature").returncode, 0)
