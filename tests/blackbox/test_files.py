"""How the files that are configured are read: marks in front, blanks at ends, who may read them, a folder for the store."""
import base64
import os
import pathlib

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

    def test_utf_16_is_refused_with_a_sentence(self):
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
        wait_until(lambda: "stands in quotes" in "\n".join(daemon.lines[before:]), what="the warning after SIGHUP")

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
