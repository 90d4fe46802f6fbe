"""The subcommands, the settings, and how the program starts and ends."""
import hashlib
import json
import os
import pathlib
import re
import socket
import subprocess
import time

import expect
import harness
from harness import run_command
from payloads import Run, iso

RUN, JOB, JOB_NAME, STEP = 33714470481, 100520616165, "build / linux (22.04)", "Run actions/checkout@v4"
VECTORS = {
    "arc": ["9150f2e0b329bcd73a7fa70c540a1776", "00000007d989fe51", "00000017677ee0e5", "b055910c793816c1",
            "43bff11a853954a6", "d9eea5e4be6e7275", "c1ce43452c3f547a"],
    "collector": ["48bf99593b700353bfd3fd5f0c2a0cd2", "ed69109a07eb63f8", "89bac9456426488d", "302823a0cd5b24a6",
                  "b4be8ee340a88258"],
    "runner": ["73fd99136af0a2f17912515626a3a651", "00000007d989fe51", "a9f7c9720f88b47c", "176f40430ba8d49c"],
}
STEPS = {"arc": ("535e44389388ed69", "11a00f9e4663a4c3"), "collector": ("e39dd81fbedd7849", None),
         "runner": ("6c407810d6f7468c", None)}


class Commands(harness.BlackBoxTest):
    def assert_usage_error(self, shown, *words):
        self.assertEqual(shown.returncode, 2, shown.stderr)
        self.assertEqual(shown.stdout, "")
        for word in words:
            self.assertIn(word, shown.stderr)
        self.assertNotIn("Traceback", shown.stderr)

    def test_ids_are_the_published_vectors(self):
        for scheme, vectors in VECTORS.items():
            shown = run_command("ids", RUN, 1, JOB, "--id-scheme", scheme, "--job-name", JOB_NAME)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            for vector in vectors:
                self.assertIn(vector, shown.stdout, scheme)
            self.assertIn(f"00-{vectors[0]}-{vectors[2]}-01", shown.stdout, "the job's traceparent")
            whole = run_command("ids", RUN, "--id-scheme", scheme)
            self.assertIn(f"00-{vectors[0]}-{vectors[1]}-01", whole.stdout, "the run's traceparent")

    def test_ids_of_the_exported_spans_are_the_published_vectors(self):
        for scheme, vectors in VECTORS.items():
            daemon, collector = self.new_pair(id_scheme=scheme)
            run = Run(RUN)
            job = run.job(JOB_NAME, job_id=JOB)
            job.steps[1].name, job.steps[1].number = STEP, 3
            job.steps[3].name, job.steps[3].number = STEP, 7
            job.steps[4].number = 8
            daemon.accept(*run.timeline())
            spans = collector.wait_trace(vectors[0], len(expect.run_spans(run)))
            found = {span["spanId"] for span in spans}
            for vector in [vectors[1], vectors[2], *vectors[4:], *filter(None, STEPS[scheme])]:
                if vector != "b055910c793816c1":
                    self.assertIn(vector, found, scheme)

    def test_ids_default_to_the_first_attempt(self):
        one = run_command("ids", RUN)
        self.assertEqual(one.stdout, run_command("ids", RUN, 1).stdout)
        self.assertIn("1fb03814c832e2d9be0f1a96885be415", run_command("ids", RUN, 2).stdout)

    def test_invalid_ids_are_usage_errors(self):
        for arguments in ((), ("x",), ("-1",), ("99999999999999999999",), (RUN, "x"), (RUN, 1, "x"), (RUN, 1, 2, 3, 4)):
            with self.subTest(arguments):
                self.assert_usage_error(run_command("ids", *arguments))

    def test_usage_errors_exit_with_2(self):
        for arguments in ((), ("dance",), ("serve", "extra"), ("serve", "--listen"), ("trace",), ("trace", "x"),
                          ("serve", "--root-grace", "soon", "--insecure-no-signature"),
                          ("serve", "--max-payload", "much", "--insecure-no-signature"),
                          ("serve", "--id-scheme", "mine", "--insecure-no-signature"),
                          ("serve", "--listen", "nowhere", "--insecure-no-signature"),
                          ("serve", "--otlp-endpoint", "collector:4317", "--insecure-no-signature"),
                          ("serve", "--db-max-size", "5", "--insecure-no-signature"),
                          ("replay",), ("check", "--log-level", "loud")):
            with self.subTest(arguments):
                self.assert_usage_error(run_command(*arguments))

    def test_help_and_version_are_printed(self):
        for flag in ("--help", "help"):
            shown = run_command(flag)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            for name in ("serve", "replay", "trace", "runs", "top", "pools", "ids", "inspect", "requeue", "check"):
                self.assertIn(name, shown.stdout)
        for flag in ("--version", "version", "-V"):
            self.assertRegex(run_command(flag).stdout, r"^ghatrace \d+\.\d+\.\d+\n$")

    def test_help_of_a_command_is_printed_for_any_order_of_the_words(self):
        for command in ("serve", "replay", "trace", "runs", "top", "pools", "ids", "inspect", "requeue", "check"):
            wanted = run_command(command, "--help")
            self.assertEqual(wanted.returncode, 0, wanted.stderr)
            self.assertIn(f"usage: ghatrace {command}", wanted.stdout)
            for words in (("help", command), ("--help", command), ("-h", command), (command, "-h")):
                shown = run_command(*words)
                self.assertEqual((shown.returncode, shown.stdout, shown.stderr), (0, wanted.stdout, ""), words)
        self.assertEqual(run_command("help", "help").stdout, run_command("help").stdout)

    def test_help_uses_words_and_no_names_of_the_code(self):
        for command in ("serve", "check", "ids", "trace", "runs", "requeue", "top", "pools", "replay"):
            found = set(re.findall(r"\b[a-z]+_[a-z_]+\b", run_command("help", command).stdout))
            self.assertLessEqual(found, {"trace_id", "default_branch", "runner_labels", "runner_group"}, command)

    def test_help_of_an_unknown_command_is_a_usage_error(self):
        self.assert_usage_error(run_command("help", "sevre"), "sevre", '"serve"')
        self.assert_usage_error(run_command("--help", "dance"), "dance")
        self.assert_usage_error(run_command("help", "serve", "runs"), "runs")
        self.assert_usage_error(run_command("version", "serve"), "serve")
        self.assert_usage_error(run_command("--version", "serve"), "serve")
        self.assert_usage_error(run_command("versoin"), '"version"')

    def test_an_unknown_setting_is_refused_with_the_nearest_known_name(self):
        self.assert_usage_error(run_command("serve", "--web-hook-path", "/x"), "web-hook-path", "webhook-path")
        self.assert_usage_error(run_command("check", env={"GHATRACE_ROOT_GRACES": "1s"}), "root-grace")
        folder = self.new_folder()
        file = pathlib.Path(folder, "conf")
        file.write_text("listen = 127.0.0.1:0\nrun-idel = 1h\n")
        self.assert_usage_error(run_command("check", "--config", file), "run-idel", "run-idle")

    def test_a_kubernetes_service_of_our_name_is_no_misspelled_setting(self):
        service = {"GHATRACE_SERVICE_HOST": "10.96.12.7", "GHATRACE_SERVICE_PORT": "8080",
                   "GHATRACE_SERVICE_PORT_WEBHOOK": "8080", "GHATRACE_PORT": "tcp://10.96.12.7:8080",
                   "GHATRACE_PORT_8080_TCP": "tcp://10.96.12.7:8080", "GHATRACE_PORT_8080_TCP_ADDR": "10.96.12.7",
                   "GHATRACE_ADMIN_SERVICE_HOST": "10.96.12.8", "GITHUB_WEBHOOK_SECRET": "x"}
        done = harness.run_command("check", env=service)
        self.assertEqual(done.returncode, 0, done.stderr)
        meant_as_setting = harness.run_command("check", env={**service, "GHATRACE_PORT": "8080"})
        self.assertEqual(meant_as_setting.returncode, 2)
        self.assertIn('GHATRACE_PORT: unknown setting "port"', meant_as_setting.stderr)

    def test_check_prints_the_values_in_effect_and_their_sources(self):
        folder = self.new_folder()
        file = pathlib.Path(folder, "conf")
        file.write_text("# a comment\nroot-grace = 11s\njob-grace = 12m\nrun-idle = 13m\n")
        shown = run_command("check", "--config", file, "--run-idle", "17m", "--insecure-no-signature",
                            env={"GHATRACE_JOB_GRACE": "15m", "GHATRACE_RUN_IDLE": "16m"})
        self.assertEqual(shown.returncode, 0, shown.stderr)
        lines = {line.split()[0]: line for line in shown.stdout.splitlines() if line.strip()}
        self.assertIn("11s", lines["root-grace"])
        self.assertIn("15m", lines["job-grace"], "environment beats file")
        self.assertIn("17m", lines["run-idle"], "flag beats environment")

    def test_without_config_the_file_in_the_usual_place_is_read(self):
        home, other = self.new_folder(), self.new_folder() + "/other.conf"
        os.mkdir(f"{home}/ghatrace")
        usual = f"{home}/ghatrace/ghatrace.conf"
        for path, idle in ((usual, "17m"), (other, "18m")):
            with open(path, "w") as file:
                file.write(f"run-idle = {idle}\n")
        unnamed = {"GHATRACE_CONFIG": "", "XDG_CONFIG_HOME": home}
        check = lambda *flags, **env: run_command("check", "--insecure-no-signature", *flags, env={**unnamed, **env})
        for flags, env, idle, config in (((), {}, "17m  (from file)", f"{usual}  (from default path)"),
                                         (("--config", other), {}, "18m  (from file)", f"{other}  (from flag)"),
                                         ((), {"GHATRACE_CONFIG": other}, "18m  (from file)", f"{other}  (from environment)"),
                                         (("--no-config",), {}, None, "(none)  (from flag)"), (("--config=",), {}, None, "(none)  (from flag)")):
            with self.subTest(flags):
                shown = check(*flags, **env)
                self.assertEqual((shown.returncode, shown.stderr), (0, ""))
                self.assertIn(f"\nconfig = {config}\n", shown.stdout)
                self.assertIn(f"\nrun-idle = {idle}\n" if idle else "  (from default)\n", shown.stdout)
                self.assertEqual("17m" in shown.stdout or "18m" in shown.stdout, idle is not None)
        with open(usual, "a") as file:
            file.write("run-idel = 1m\n")
        self.assert_usage_error(check(), usual, "run-idle", "--no-config")
        self.assertEqual(check("--no-config").returncode, 0)

    def test_the_log_says_which_file_of_settings_was_read(self):
        home = self.new_folder()
        os.mkdir(f"{home}/ghatrace")
        usual = f"{home}/ghatrace/ghatrace.conf"
        open(usual, "w").close()
        daemon = self.new_daemon(env={"GHATRACE_CONFIG": "", "XDG_CONFIG_HOME": home})
        line = f'msg=configuration file={usual} named_by="default path"'
        harness.wait_until(lambda: line in daemon.log, what=f"the line {line}")

    def test_check_does_not_show_secrets(self):
        shown = run_command("check", env={
            "GITHUB_WEBHOOK_SECRET": "hunter2hunter2", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20sesame99"})
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertNotIn("hunter2", shown.stdout + shown.stderr)
        self.assertNotIn("sesame99", shown.stdout + shown.stderr)

    def test_trace_shows_the_jobs_of_a_run(self):
        daemon, collector = self.new_pair()
        run = Run()
        run.job("compile everything")
        run.job("publish it", conclusion="failure")
        daemon.accept(*run.timeline())
        self.check_trace(collector, expect.run_spans(run))
        for reference in (run.run_id, f"{run.run_id}/1"):
            shown = daemon.command("trace", reference)
            self.assertEqual(shown.returncode, 0, shown.stderr)
            for word in ("Build and test", "compile everything", "publish it"):
                self.assertIn(word, shown.stdout)
        self.assertNotIn("actions/checkout", shown.stdout, "steps are folded")
        self.assertIn("make \"all\"", daemon.command("trace", run.run_id, "--steps").stdout)
        daemon.stop()
        self.assertIn("compile everything", daemon.command("trace", run.run_id).stdout, "without the daemon, too")

    def test_trace_shows_an_open_run_with_its_jobs(self):
        daemon = self.new_daemon()
        run = Run(age=300)
        done, running, queued = run.job("done with this"), run.job("still at it"), run.job("not yet")
        daemon.accept(run.requested(), *done.timeline(), running.queued(), running.in_progress(), queued.queued())
        shown = daemon.command("trace", run.run_id)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("still open", shown.stdout)
        self.assertIn("trace " + hashlib.md5(f"{run.run_id}-1".encode()).hexdigest(), shown.stdout)
        for mark, name in (("✓|ok", "done with this"), ("▸|run", "still at it"), ("◦|wait", "not yet")):
            self.assertRegex(shown.stdout, rf"(?m)^({mark}) +{name} ")
        daemon.stop()
        self.assertIn("still at it", daemon.command("trace", run.run_id).stdout, "without the daemon, too")

    def test_help_names_no_function_of_the_code(self):
        for name in ("serve", "replay", "trace", "runs", "top", "pools", "ids", "requeue", "check"):
            self.assertNotRegex(run_command(name, "--help").stdout, r"\brun_\w+")
        self.assertNotRegex(run_command("--help").stdout, r"\brun_\w+")

    def test_trace_of_an_unknown_run_is_a_failure(self):
        daemon = self.new_daemon()
        shown = daemon.command("trace", RUN)
        self.assertEqual(shown.returncode, 1)
        self.assertIn(str(RUN), shown.stderr)

    def test_runs_lists_open_runs_oldest_first(self):
        daemon = self.new_daemon()
        old, new, done = Run(age=3000, workflow="Older"), Run(age=300, workflow="Newer"), Run(workflow="Finished")
        job = old.job("still building")
        daemon.accept(new.requested(), old.requested(), job.queued(), job.in_progress())
        daemon.accept(done.requested(), done.completed())
        shown = daemon.command("runs", "--open")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn(str(old.run_id), shown.stdout)
        self.assertIn(str(new.run_id), shown.stdout)
        self.assertLess(shown.stdout.index(str(old.run_id)), shown.stdout.index(str(new.run_id)))
        self.assertNotIn(str(done.run_id), shown.stdout)

    def test_a_run_known_only_from_its_jobs_is_as_old_as_the_first_of_them(self):
        daemon = self.new_daemon()
        run = Run(age=3000)
        early, late, last = run.job("early", offset=0), run.job("late", offset=600), run.job("last", offset=1200)
        daemon.accept(late.queued(), late.in_progress(), late.completed(), last.queued(), early.queued(), early.in_progress())
        shown = daemon.command("runs").stdout
        self.assertEqual([line.split()[0] for line in shown.splitlines()[:1]], ["for"])
        lines = {}
        for line in shown.splitlines()[1:4]:
            length, state = re.match(r"\s*((?:\d+[dhms] ?)+?) +([a-z]+)", line).groups()
            lines[state + (" last" if " last " in line else "")] = length
        self.assertRegex(lines["open"], "^50m")  # as GitHub's clock has it, not since it was heard of
        self.assertRegex(lines["queued last"], "^30m|^29m")
        listed, = json.loads(daemon.admin("/api/runs?state=open").body)["runs"]
        self.assertEqual(listed["started_at"], iso(early.created).replace("Z", ".000Z"))

    def test_commands_on_a_missing_store_fail(self):
        for command in (("trace", RUN), ("runs",), ("inspect", RUN), ("requeue",)):
            with self.subTest(command):
                shown = run_command(*command, "--db", self.new_folder() + "/nothing")
                self.assertEqual(shown.returncode, 1, shown.stderr)
                self.assertIn("nothing", shown.stderr)

    def test_requeue_without_dead_letters_does_nothing(self):
        daemon = self.new_daemon()
        shown = daemon.command("requeue")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("0", shown.stdout)

    def recorded(self, run):
        """A folder with a run's payloads."""
        folder = self.new_folder()
        for number, event in enumerate(run.timeline()):
            pathlib.Path(folder, f"{number}.{event.type}.{event.action}.json").write_bytes(event.body)
        return folder

    def test_replay_sends_signed_deliveries_in_any_order_and_again(self):
        daemon, collector = self.new_pair()
        url = "http://%s:%d/webhook" % daemon.address
        for flags in ((), ("--order", "reverse"), ("--order", "shuffle", "--seed", "7"), ("--form",),
                      ("--repeat", "3", "--connections", "2")):
            run = Run()
            run.job()
            with self.subTest(flags):
                shown = run_command("replay", *flags, "--webhook-secret-file", daemon.secret_file, url,
                                    self.recorded(run))
                self.assertEqual(shown.returncode, 0, shown.stderr)
                self.check_trace(collector, expect.run_spans(run))

    def test_replay_fails_when_it_was_not_accepted(self):
        daemon = self.new_daemon()
        url = "http://%s:%d" % daemon.address
        folder = self.recorded(Run())
        wrong = run_command("replay", url + "/webhook", folder, env={"GITHUB_WEBHOOK_SECRET": "wrong"})
        self.assertEqual(wrong.returncode, 1, wrong.stdout)
        self.assertIn("401", wrong.stdout + wrong.stderr)
        self.assertEqual(run_command("replay", "http://127.0.0.1:1/webhook", folder).returncode, 1)
        self.assertIn(run_command("replay", url + "/webhook", folder + "/nothing").returncode, (1, 2))


class Starting(harness.BlackBoxTest):
    def serve(self, *arguments, env=None):
        return run_command("serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", *arguments, env=env)

    def test_without_a_secret_it_does_not_start(self):
        shown = self.serve("--db", self.new_folder() + "/db")
        self.assertEqual(shown.returncode, 2, shown.stderr)
        self.assertIn("secret", shown.stderr)

    def test_with_an_empty_secret_file_it_does_not_start(self):
        folder = self.new_folder()
        for text in ("", "\n\n"):
            pathlib.Path(folder, "secret").write_text(text)
            shown = self.serve("--db", folder + "/db", "--webhook-secret-file", folder + "/secret")
            self.assertEqual(shown.returncode, 2, shown.stderr)

    def test_a_missing_secret_file_is_named(self):
        shown = self.serve("--db", self.new_folder() + "/db", "--webhook-secret-file", "/nowhere/secret")
        self.assertIn(shown.returncode, (1, 2))
        self.assertIn("/nowhere/secret", shown.stderr)

    def test_the_secret_may_come_from_the_environment(self):
        daemon = self.new_daemon(start=False, webhook_secret_file=None)
        daemon.env = {"GITHUB_WEBHOOK_SECRET": "from the environment"}
        daemon.start()
        self.assertEqual(daemon.deliver(Run().requested(), secret="from the environment").status, 202)
        self.assertEqual(daemon.deliver(Run().requested()).status, 401)

    def test_the_second_daemon_on_a_folder_refuses(self):
        daemon = self.new_daemon()
        shown = self.serve("--db", daemon.settings["db"], "--webhook-secret-file", daemon.secret_file)
        self.assertEqual(shown.returncode, 1, shown.stderr)
        self.assertIn(daemon.settings["db"], shown.stderr)
        daemon.accept(Run().requested())

    def test_a_port_that_is_taken_is_a_failure(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            for flag in ("--listen", "--admin-listen"):
                shown = self.serve("--db", self.new_folder() + "/db", "--insecure-no-signature", flag, address)
                self.assertEqual(shown.returncode, 1, shown.stderr)
                self.assertIn(address, shown.stderr)

    def test_sigterm_and_sigint_end_it_with_0(self):
        for number in (15, 2):
            daemon = self.new_daemon()
            daemon.accept(Run().requested())
            daemon.process.send_signal(number)
            daemon.process.wait(harness.PATIENCE)
            self.assertEqual(daemon.process.returncode, 0)

    def test_signals_right_after_start_are_handled(self):
        daemon = self.new_daemon()
        daemon.process.send_signal(1)
        daemon.stop()

    def test_the_admin_listener_can_be_off(self):
        daemon = self.new_daemon(start=False, admin_listen="off")
        daemon.process = subprocess.Popen(daemon.arguments(), stderr=subprocess.PIPE, env=harness.clean_environment())
        try:
            line = daemon.process.stderr.readline().decode()
            deadline = time.monotonic() + harness.PATIENCE
            while "msg=ready" not in line and time.monotonic() < deadline and line:
                line = daemon.process.stderr.readline().decode()
            self.assertIn("msg=ready", line)
            time.sleep(0.3)  # TSan keeps back a signal that arrives just before the first epoll_wait()
        finally:
            daemon.process.terminate()
            daemon.process.communicate(timeout=harness.PATIENCE)
            daemon.process = None

    def test_log_lines_can_be_json(self):
        daemon = self.new_daemon(start=False, log_format="json")
        daemon.process = subprocess.Popen(daemon.arguments(), stderr=subprocess.PIPE, env=harness.clean_environment())
        time.sleep(0.5)
        daemon.process.terminate()
        _, log = daemon.process.communicate(timeout=harness.PATIENCE)
        daemon.process = None
        import json
        entries = [json.loads(line) for line in log.decode().splitlines()]
        self.assertIn("ready", [entry["msg"] for entry in entries])
