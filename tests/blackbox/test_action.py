"""The composite action conf/action/traceparent: its own script, run as a runner does, gives what `ghatrace ids` prints."""
import os
import pathlib
import re
import shutil
import subprocess
import textwrap

import harness
from harness import run_command

ACTION = harness.ROOT / "conf/action/traceparent/action.yml"
RUN, JOB, JOB_NAME = 33714470481, 100520616165, "build / linux (22.04), \"é\" $x `y` 'z' \\"
SHELLS = [shell for shell in ("sh", "dash", "bash", "busybox") if shutil.which(shell)]


def script_of(text):
    """The block of the only `run: |`."""
    head, body = text.split("      run: |\n")
    lines = []
    for line in body.splitlines():
        if line.strip() and not line.startswith(" " * 8):
            break
        lines.append(line)
    return textwrap.dedent("\n".join(lines) + "\n")


def inputs_of(text):
    """Each input with its default."""
    block = text.split("\ninputs:\n")[1].split("\noutputs:\n")[0]
    return dict(re.findall(r'^  ([a-z-]+):\n    description: .*\n    default: "?(.*?)"?$', block, re.M))


def variables_of(text):
    """The script's variables, each with the input that it is."""
    return dict(re.findall(r"^        ([A-Z_]+): \$\{\{ inputs\.([a-z-]+) \}\}$", text, re.M))


class Outcome:
    def __init__(self, process, folder):
        self.status, self.log = process.returncode, process.stdout + process.stderr
        self.variables = self.read(folder / "env")
        self.outputs = self.read(folder / "output")

    @staticmethod
    def read(path):
        return dict(line.split("=", 1) for line in path.read_text().splitlines())


class Traceparent(harness.BlackBoxTest):
    text = ACTION.read_text()

    def run_action(self, shell="sh", run=RUN, attempt="1", job=JOB, path=None, **inputs):
        """`job`: what the expression job.check_run_id gives, empty where GitHub does not have it."""
        folder = pathlib.Path(self.new_folder())
        given = dict(inputs_of(self.text), **{name.replace("_", "-"): value for name, value in inputs.items()})
        given = {name: str(job) if value == "${{ job.check_run_id }}" else value for name, value in given.items()}
        environment = {"PATH": path or os.environ["PATH"], "GITHUB_ACTIONS": "true", "CI": "true",
                       "GITHUB_ENV": str(folder / "env"), "GITHUB_OUTPUT": str(folder / "output")}
        environment.update({"GITHUB_RUN_ID": str(run)} if run is not None else {})
        environment.update({"GITHUB_RUN_ATTEMPT": attempt} if attempt is not None else {})
        environment.update({name: given[of] for name, of in variables_of(self.text).items()})
        (folder / "script.sh").write_text(script_of(self.text))
        (folder / "env").write_text("EARLIER=1\n")
        (folder / "output").write_text("")
        command = [shutil.which(shell), *(["sh"] if shell == "busybox" else []), "-e", str(folder / "script.sh")]
        process = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False,
                                 timeout=harness.PATIENCE)
        return Outcome(process, folder)

    def wanted(self, scheme, attempt, *job, job_name=None):
        named = ("--job-name", job_name) if job_name else ()
        shown = run_command("ids", RUN, attempt, *job, "--id-scheme", scheme, *named)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        return re.search(r"^traceparent: (\S+)$", shown.stdout, re.M).group(1)

    def test_traceparent_is_the_one_of_ids_in_every_scheme(self):
        for scheme in ("arc", "collector", "runner"):
            for attempt in (1, 2, 13):
                for shell in SHELLS:
                    with self.subTest(scheme=scheme, attempt=attempt, shell=shell):
                        ran = self.run_action(shell, attempt=str(attempt), id_scheme=scheme, job_name=JOB_NAME)
                        self.assertEqual(ran.status, 0, ran.log)
                        wanted = self.wanted(scheme, attempt, JOB, job_name=JOB_NAME)
                        self.assertEqual(ran.variables, {"EARLIER": "1", "TRACEPARENT": wanted})
                        self.assertEqual(ran.outputs, {"traceparent": wanted, "trace-id": wanted.split("-")[1],
                                                       "span-id": wanted.split("-")[2]})
                        self.assertNotIn("::", ran.log)

    def test_without_the_jobs_number_the_run_is_the_parent_and_the_log_says_so(self):
        for scheme, missing, inputs in (("arc", "check_run_id", {"job": ""}), ("collector", "check_run_id", {"job": ""}),
                                        ("runner", "job-name", {})):
            ran = self.run_action(id_scheme=scheme, **inputs)
            self.assertEqual(ran.status, 0, ran.log)
            self.assertEqual(ran.variables["TRACEPARENT"], self.wanted(scheme, 1))
            self.assertRegex(ran.log, rf"::notice [^\n]*{missing}[^\n]*children of the run")

    def test_no_attempt_is_the_first(self):
        for attempt in (None, "", "0"):
            self.assertEqual(self.run_action(attempt=attempt).variables["TRACEPARENT"], self.wanted("arc", 1, JOB))

    def test_the_largest_number_is_an_id(self):
        ran = self.run_action(run=2**63 - 1, job=2**63 - 1)
        shown = run_command("ids", 2**63 - 1, 1, 2**63 - 1)
        self.assertIn(ran.variables["TRACEPARENT"], shown.stdout)

    def test_what_is_no_number_is_refused_and_exports_nothing(self):
        for inputs, word in (({"run": None}, "GITHUB_RUN_ID"), ({"run": ""}, "GITHUB_RUN_ID"), ({"run": "012"}, "GITHUB_RUN_ID"),
                             ({"run": 2**63}, "GITHUB_RUN_ID"), ({"attempt": "x"}, "GITHUB_RUN_ATTEMPT"),
                             ({"job": "1.00520616165E+11"}, "check-run-id"), ({"job": "$(id)"}, "check-run-id"),
                             ({"id_scheme": "mine"}, "id-scheme")):
            with self.subTest(inputs):
                ran = self.run_action(**inputs)
                self.assertNotEqual(ran.status, 0)
                self.assertRegex(ran.log, rf"^::error [^\n]*{word}")
                self.assertEqual(ran.variables, {"EARLIER": "1"})

    def test_an_endpoint_and_its_headers_are_exported_and_the_headers_masked(self):
        ran = self.run_action(endpoint="https://collector.example.org:4318", headers="Authorization=Bearer%20abc=")
        self.assertEqual(ran.status, 0, ran.log)
        self.assertEqual(ran.variables["OTEL_EXPORTER_OTLP_ENDPOINT"], "https://collector.example.org:4318")
        self.assertEqual(ran.variables["OTEL_EXPORTER_OTLP_PROTOCOL"], "http/protobuf")
        self.assertEqual(ran.variables["OTEL_EXPORTER_OTLP_HEADERS"], "Authorization=Bearer%20abc=")
        self.assertEqual(re.findall(r".*Bearer.*", ran.log), ["::add-mask::Authorization=Bearer%20abc="])

    def test_no_input_can_set_another_variable(self):
        for name in ("endpoint", "headers", "protocol"):
            for end in ("\n", "\r\n"):
                ran = self.run_action(**{"endpoint": "http://x", name: f"http://x{end}PATH=/tmp"})
                self.assertNotEqual(ran.status, 0)
                self.assertNotIn("PATH", ran.variables)

    def test_macos_has_other_names_for_the_digests(self):
        folder = pathlib.Path(self.new_folder())
        for program in ("cut", "sort", "head"):
            (folder / program).symlink_to(shutil.which(program))
        for name, code in (("md5", 'test "$1" = -q && exec {md5sum}'),
                           ("shasum", 'test "$*" = "-a 256" && exec {sha256sum}')):
            code = code.format(md5sum=shutil.which("md5sum"), sha256sum=shutil.which("sha256sum"))
            (folder / name).write_text(f"#!/bin/sh\n{code}\n")
            (folder / name).chmod(0o755)
        for scheme in ("arc", "collector", "runner"):
            ran = self.run_action(path=str(folder), id_scheme=scheme, job_name=JOB_NAME)
            self.assertEqual(ran.status, 0, ran.log)
            self.assertEqual(ran.variables["TRACEPARENT"], self.wanted(scheme, 1, JOB, job_name=JOB_NAME))

    def test_without_a_program_for_digests_it_fails_and_exports_nothing(self):
        folder = pathlib.Path(self.new_folder())
        for program in ("cut", "sort", "head"):
            (folder / program).symlink_to(shutil.which(program))
        ran = self.run_action(path=str(folder))
        self.assertNotEqual(ran.status, 0)
        self.assertIn("md5sum or sha256sum is missing", ran.log)
        self.assertEqual(ran.variables, {"EARLIER": "1"})

    def test_inputs_reach_the_script_as_variables_only(self):
        # An expression in a script would be run as shell code.
        self.assertNotIn("${{", script_of(self.text))
        self.assertEqual(sorted(variables_of(self.text).values()), sorted(inputs_of(self.text)))
        self.assertEqual(set(re.findall(r"INPUT_[A-Z_]+", script_of(self.text))), set(variables_of(self.text)))
