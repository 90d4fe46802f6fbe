"""What is set up from the project: installed files, units, the image's packages, secrets that systemd passes."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import unittest

import harness
from harness import BINARY, ROOT, run_command, wait_until
from payloads import Run


def unit_lines(name):
    """{section: [(key, value)...]}: keys may repeat, which configparser does not take."""
    found, section = {}, None
    for line in (ROOT / "conf" / name).read_text().splitlines():
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), [])
        elif line and line[0] not in "#;":
            section.append(tuple(line.split("=", 1)))
    return found


class Installing(harness.BlackBoxTest):
    def install(self, folder, *variables):
        subprocess.run(["make", "-s", "-C", str(ROOT), "install-files", f"DESTDIR={folder}", f"INSTALLED={BINARY}",
                        *variables], check=True, capture_output=True, env=harness.clean_environment())
        return {str(path.relative_to(folder)) for path in pathlib.Path(folder).rglob("*") if path.is_file()}

    def test_make_install_honours_destdir_and_prefix(self):
        for prefix, variables in (("usr/local", ()), ("usr", ("PREFIX=/usr",)), ("opt/x", ("PREFIX=/opt/x",))):
            files = self.install(self.new_folder(), *variables)
            wanted = {"bin/ghatrace", "lib/systemd/system/ghatrace.service", "lib/systemd/system/ghatrace.socket",
                      "lib/sysusers.d/ghatrace.conf", "lib/tmpfiles.d/ghatrace.conf",
                      "share/doc/ghatrace/LICENSE", "share/doc/ghatrace/NOTICE", "share/doc/ghatrace/README.md",
                      "share/doc/ghatrace/ghatrace.conf", "share/ghatrace/prometheus/ghatrace-rules.yml",
                      "share/ghatrace/grafana/runner-latency.json", "share/ghatrace/grafana/datasource.yml"}
            self.assertLessEqual({f"{prefix}/{name}" for name in wanted}, files)
            self.assertEqual({name for name in files if not name.startswith(prefix + "/")}, {"etc/ghatrace/ghatrace.conf"})

    def test_the_units_name_the_program_and_the_configuration_where_they_were_installed(self):
        folder = pathlib.Path(self.new_folder())
        self.install(folder, "PREFIX=/opt/x", "SYSCONFDIR=/opt/etc")
        unit = (folder / "opt/x/lib/systemd/system/ghatrace.service").read_text()
        self.assertIn("\nExecStart=/opt/x/bin/ghatrace serve --config=/opt/etc/ghatrace/ghatrace.conf\n", unit)
        for name in ("systemd/system/ghatrace.service", "systemd/system/ghatrace.socket", "tmpfiles.d/ghatrace.conf"):
            text = (folder / "opt/x/lib" / name).read_text()
            self.assertNotIn("/usr/local", text)
            self.assertNotIn(" /etc/ghatrace", text)

    def test_a_configuration_that_is_there_is_left_alone(self):
        folder = pathlib.Path(self.new_folder())
        self.install(folder)
        config = folder / "etc/ghatrace/ghatrace.conf"
        shown = run_command("check", "--config", config, "--webhook-secret-file", "/etc/hostname")
        self.assertIn("/var/lib/ghatrace", shown.stdout)
        self.assertIn("\nwebhook-secret-file = /etc/ghatrace/secret\n", config.read_text())
        config.write_text("steps = off\n")
        self.install(folder)
        self.assertEqual(config.read_text(), "steps = off\n")

    def test_files_are_readable_whatever_the_umask(self):
        folder = pathlib.Path(self.new_folder())
        before = os.umask(0o077)
        try:
            self.install(folder)
        finally:
            os.umask(before)
        modes = {path.name: path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()}
        self.assertEqual({mode for name, mode in modes.items() if name != "ghatrace"}, {0o644})
        self.assertEqual(modes["ghatrace"], 0o755)


class Shipping(unittest.TestCase):
    def test_the_licence_of_what_is_compiled_in_is_in_the_notice(self):
        def words(text):
            return re.sub(r"[\s*/]+", " ", text).strip()

        header = pathlib.Path("/usr/include/jsmn.h").read_text()
        licence = header[header.index("MIT License"):header.index("*/")]
        self.assertIn(words(licence), words((ROOT / "conf/NOTICE").read_text()))

    @unittest.skipUnless(shutil.which("dpkg-query"), "no dpkg here")
    def test_every_library_of_the_program_has_its_package(self):
        done = subprocess.run([ROOT / "scripts/runtime-packages", shutil.which("openssl")], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLessEqual({"libc6", "libssl3" if "libssl3\n" in done.stdout else "libssl3t64"}, set(done.stdout.split()))
        done = subprocess.run([ROOT / "scripts/runtime-packages", BINARY], capture_output=True, text=True)
        if "is no package's" in done.stderr:
            self.skipTest("the program was linked with libraries that were not installed by dpkg")
        packages = done.stdout.split()
        self.assertEqual(done.returncode, 0, done.stderr)
        for wanted in ("libc6", "zlib1g", "libevent-core-2.1-7", "liblmdb0", "libinih1", "libmbedtls", "libcurl4"):
            self.assertTrue(any(package.startswith(wanted) for package in packages), (wanted, packages))

    def test_a_program_whose_libraries_belong_to_no_package_is_refused(self):
        for program in ("/etc/passwd", str(ROOT / "README.md")):
            done = subprocess.run([ROOT / "scripts/runtime-packages", program], capture_output=True, text=True)
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(done.stdout, "")


class Unit(harness.BlackBoxTest):
    def test_a_wrong_configuration_is_not_started_again_and_again(self):
        service = dict(unit_lines("ghatrace.service")["Service"])
        self.assertEqual(service["RestartPreventExitStatus"], "2")
        self.assertEqual(run_command("serve", "--config", "/nowhere").returncode, 2)
        self.assertEqual(run_command("serve", "--webhook-secret-file", "/nowhere").returncode, 2)

    def test_the_unit_reads_secrets_where_a_reload_finds_them_changed(self):
        keys = [key for key, _ in unit_lines("ghatrace.service")["Service"]]
        self.assertNotIn("LoadCredential", keys)
        self.assertNotIn("DynamicUser", keys)

    def test_a_reload_that_cannot_see_a_new_secret_logs_what_to_do(self):
        folder = pathlib.Path(self.new_folder())
        secret = folder / "secret"
        secret.write_text("old\n")
        daemon = self.new_daemon(env={"CREDENTIALS_DIRECTORY": str(folder)}, webhook_secret_file=str(secret))

        def warnings_after(reloads):
            daemon.process.send_signal(signal.SIGHUP)
            wait_until(lambda: daemon.log.count("files read again") == reloads, what="a reload")
            daemon.admin("/health")  # the same loop: the line after it is out, too
            return [line for line in daemon.lines if "restart the service" in line]

        warnings = warnings_after(1)
        self.assertEqual(len(warnings), 1, daemon.log)
        self.assertIn("settings=webhook-secret-file", warnings[0])
        fresh = folder / "fresh"
        fresh.write_text("new\n")
        fresh.rename(secret)  # systemd 260 does so where it is configured
        self.assertEqual(len(warnings_after(2)), 1, daemon.log)
        self.assertEqual(daemon.deliver(Run().job().queued(), secret="new").status, 202)

    def test_secrets_that_are_roots_and_the_daemons_groups_are_no_reason_for_a_warning(self):
        if os.geteuid() != 0:
            self.skipTest("not root")
        secret = pathlib.Path(self.new_folder()) / "secret"
        secret.write_text("hidden\n")
        secret.chmod(0o640)
        os.chown(secret, 0, 1)
        self.assertNotIn("readable", run_command("check", "--webhook-secret-file", secret).stdout)
        for owner, group, mode in ((0, 0, 0o640), (1, 1, 0o640), (0, 1, 0o644)):
            os.chown(secret, owner, group)
            secret.chmod(mode)
            self.assertIn("readable by", run_command("check", "--webhook-secret-file", secret).stdout)
