"""Machines and collectors that fail: what was acknowledged stays, answers are honest, and it heals by itself."""
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import harness
from collector import Answer, partial_success
from expect import ids_of, run_spans
from faulty import EIO, ENOMEM, ENOSPC, RANDOM, FaultTest, after_power_cut, read_log
from payloads import Run

YEAR = 365 * 24 * 3600
POWER_CUTS = int(os.environ.get("POWER_CUTS", "16"))


def one_job(**kinds):
    run = Run(**kinds)
    run.job().steps = []
    return run


def wanted(runs):
    return {key for run in runs for key in ids_of(run_spans(run))}


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# Under a sanitizer the daemon's own handlers get what it would report itself, so that it ends as without one; and an
# allocation that is too large fails, as it does elsewhere.
AS_WITHOUT_SANITIZER = ":handle_segv=0:allocator_may_return_null=1"
PAGE_FLAGS, PAGE_HEAD, P_OVERFLOW = 10, 16, 4  # of LMDB's pages
FRAME = re.compile(r"^\s*#\d+ (?:0x[0-9a-f]+ in )?(\S+) .*$", re.M)
SANITIZERS_OWN = re.compile(r"_*(?:interceptor|asan|tsan)_\w+|mem(?:cpy|move|set|cmp)|[mc]alloc|realloc|free")


def is_fault_of_lmdb(report):
    """Whether the code that a sanitizer reports is LMDB's: the first frame that is not of the sanitizer itself."""
    frames = [match.group() for match in FRAME.finditer(report) if not SANITIZERS_OWN.fullmatch(match.group(1))]
    return bool(frames) and "liblmdb.so" in frames[0]


def damage(whole, page):
    """The file with a page of garbage. The head of an overflow page stays: LMDB does not check how many pages it names,
    and frees as many, which takes minutes and gigabytes."""
    start, end = page * 4096, (page + 1) * 4096
    if page > 1 and struct.unpack_from("=H", whole, start + PAGE_FLAGS)[0] & P_OVERFLOW:
        start += PAGE_HEAD
    return whole[:start] + RANDOM.randbytes(end - start) + whole[end:]


class Helper(FaultTest):
    def fill(self, daemon, most=4000):
        """Delivers runs until one delivery is refused. Returns the runs and what is left of the last."""
        runs = []
        for _ in range(most):
            runs.append(one_job())
            events = runs[-1].timeline()
            while events:
                answer = daemon.deliver(events[0])
                if answer.status != 202:
                    self.refused(answer)
                    return runs, events
                events.pop(0)
        raise AssertionError("nothing was refused")

    def refused(self, answer):
        self.assertEqual(answer.status, 503, answer)
        self.assertGreater(int(answer.headers["Retry-After"]), 0)

    def not_ready(self, daemon, *words):
        answer = daemon.admin("/ready")
        self.assertEqual(answer.status, 503, answer)
        for word in words:
            self.assertIn(word, answer.text)
        self.assertEqual(daemon.admin("/health").status, 200, "alive it is")

    def recovers(self, daemon, rest):
        harness.wait_until(lambda: daemon.admin("/ready").status == 200, what="recovery")
        for event in rest:
            self.assertIn(harness.wait_until(lambda e=event: self.taken(daemon, e), what="a 202"), (200, 202))

    @staticmethod
    def taken(daemon, event):
        status = daemon.deliver(event).status
        return status if status != 503 else None

    def all_came(self, collector, runs):
        collector.wait_for_ids(wanted(runs))
        self.assertEqual(collector.ids().keys() - wanted(runs), set(), "spans that were not acknowledged")
        self.check_trace(collector, run_spans(runs[-1]))

    def refuses_to_start(self, daemon, *words):
        """Exit status 1 and a sentence: no signal, no endless wait."""
        done = subprocess.run(daemon.arguments(), capture_output=True, text=True, timeout=harness.PATIENCE,
                              env=harness.clean_environment(daemon.env), check=False)
        self.assertEqual(done.returncode, 1, done.stderr[-2000:])
        for word in words:
            self.assertIn(word, done.stderr)
        return done.stderr


class Disk(Helper):
    def test_a_full_disk_refuses_and_when_there_is_room_again_goes_on(self):
        disk = self.small_disk("3m")
        collector = self.new_collector()
        daemon = self.new_daemon(collector, db=str(disk / "db"))
        filler = disk / "filler"
        runs = [one_job() for _ in range(3)]
        daemon.accept(*(event for run in runs for event in run.timeline()))
        file = os.open(filler, os.O_WRONLY | os.O_CREAT)
        try:
            while os.write(file, b"x" * 4096):
                pass
        except OSError:
            pass
        finally:
            os.close(file)
        more, rest = self.fill(daemon)
        self.not_ready(daemon, "store")
        filler.unlink()
        self.recovers(daemon, rest)
        self.all_came(collector, runs + more)

    def test_a_full_disk_and_kill_9_lose_nothing(self):
        disk = self.small_disk("2m")
        collector = self.new_collector()
        daemon = self.new_daemon(collector, db=str(disk / "db"))
        collector.stop()
        runs, rest = self.fill(daemon)
        daemon.restart("kill")
        collector.start()
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        self.recovers(daemon, rest)
        self.all_came(collector, runs)

    def test_a_disk_that_is_full_at_the_start_is_reported(self):
        disk = self.small_disk("8k")
        daemon = self.new_daemon(start=False, db=str(disk / "db"))
        (disk / "filler").write_bytes(b"x" * 4096)
        self.refuses_to_start(daemon, "store")

    def test_each_way_of_failing_to_write_is_survived(self):
        collector = self.new_collector()
        daemon, faults = self.new_faulty(collector)
        runs = [one_job() for _ in range(3)]
        daemon.accept(*(event for run in runs for event in run.timeline()))
        for number, fault in enumerate(({"write": ENOSPC}, {"write": EIO}, {"sync": EIO}, {"meta": EIO},
                                        {"meta": ENOSPC}, {"write": EIO, "sync": EIO, "meta": EIO})):
            with self.subTest(fault):
                faults.set(**fault)
                run = one_job()
                events = run.timeline()
                for _ in range(5):
                    self.refused(daemon.deliver(events[0]))
                self.not_ready(daemon, "store")
                faults.clear()
                self.recovers(daemon, events)
                runs.append(run)
                self.all_came(collector, runs)
                if number % 2:
                    daemon.restart("kill")
        self.all_came(collector, runs)

    def test_faults_that_come_and_go_under_load_lose_nothing(self):
        collector = self.new_collector()
        daemon, faults = self.new_faulty(collector)
        stop, runs, problems = threading.Event(), [], []

        def send():
            with daemon.client() as client:
                while not stop.is_set():
                    run = one_job()
                    runs.append(run)
                    for event in run.timeline():
                        while (status := client.deliver(event).status) == 503:
                            time.sleep(0.01)
                        if status not in (200, 202):
                            problems.append(status)
        senders = [threading.Thread(target=send) for _ in range(3)]
        for sender in senders:
            sender.start()
        for _ in range(15):
            kind = RANDOM.choice(("write", "sync", "meta"))
            faults.set(**{kind: RANDOM.choice((EIO, ENOSPC)), "after": RANDOM.randint(1, 20)})
            time.sleep(0.1)
            faults.clear()
            time.sleep(0.1)
        stop.set()
        for sender in senders:
            sender.join(harness.PATIENCE)
        self.assertEqual(problems, [])
        self.recovers(daemon, [])
        self.all_came(collector, runs)

    def test_a_commit_that_hangs_makes_it_unready_and_nothing_else_hangs(self):
        daemon, faults = self.new_faulty()
        run = one_job()
        events = run.timeline()
        daemon.accept(events.pop(0))
        faults.set(hang=1)
        answers = []
        sender = threading.Thread(target=lambda: answers.append(daemon.deliver(events.pop(0)).outcome))
        sender.start()
        began = time.monotonic()

        def both():
            """/ready on either listener."""
            with daemon.client() as client:
                return daemon.admin("/ready"), client.request("GET", "/ready")
        self.assertEqual([answer.status for answer in both()], [200, 200], "not at once")
        harness.wait_until(lambda: {answer.status for answer in both()} == {503}, what="503")
        self.assertGreater(time.monotonic() - began, 4)
        for answer in both():
            self.assertIn("storing takes too long", answer.text)
        with daemon.client() as client:
            self.assertEqual(client.request("GET", "/health").status, 200)
        self.assertEqual(daemon.admin("/health").status, 200)
        metrics = daemon.admin("/metrics").text
        self.assertIn("\nghatrace_ready 0\n", metrics)
        self.assertGreater(float(re.search(r"^ghatrace_commit_age_seconds (\S+)", metrics, re.M).group(1)), 4)
        self.assertIn("\nghatrace_commit_queue_tasks 0\n", metrics, "the one delivery was taken up")
        status = json.loads(daemon.admin("/api/status").text)
        self.assertEqual(status["ready"], False)
        self.assertIn("storing takes too long", status["reason"])
        harness.wait_until(lambda: "cannot be stored in time" in daemon.log, what="the line in the log")
        self.assertEqual(answers, [], "nothing is promised meanwhile")
        faults.clear()
        sender.join(harness.PATIENCE)
        self.assertEqual(answers, [(202, "accepted")])
        self.recovers(daemon, events)
        harness.wait_until(lambda: "stored in time again" in daemon.log, what="the line in the log")

    def test_memory_refused_for_the_map_is_reported(self):
        daemon, faults = self.new_faulty(start=False)
        faults.set(map=ENOMEM)
        self.refuses_to_start(daemon, "store", "memory")

    def test_a_file_truncated_while_it_is_in_use_ends_the_process_with_a_message(self):
        daemon = self.new_daemon()
        runs = [one_job() for _ in range(30)]
        daemon.accept(*(event for run in runs for event in run.timeline()))
        os.truncate(pathlib.Path(daemon.settings["db"]) / "data.mdb", 8192)
        try:
            for run in runs:
                daemon.deliver(run.timeline()[0])
        except (OSError, http.client.HTTPException):
            pass
        if not daemon.is_running:
            self.assertEqual(daemon.process.returncode, 1, "no signal")
            harness.wait_until(lambda: "store" in daemon.log, what="the sentence")
            daemon.process = None
        else:
            daemon.kill()  # it went on in what the kernel still had


class FullStore(Helper):
    def test_a_full_map_refuses_and_recovers_when_records_are_sent(self):
        collector = self.new_collector()
        daemon = self.new_daemon(collector, db_max_size="1MiB", history="1s", linger="5s")
        collector.stop()
        runs, rest = self.fill(daemon)
        self.not_ready(daemon, "db-max-size")
        collector.start()
        self.recovers(daemon, rest)
        self.all_came(collector, runs)

    def test_a_full_outbox_refuses_and_recovers_when_the_collector_accepts_it(self):
        collector = self.new_collector()
        daemon = self.new_daemon(collector, outbox_max_size="24KiB")
        collector.stop()
        runs, rest = self.fill(daemon)
        self.not_ready(daemon, "outbox-max-size")
        daemon.restart("kill")
        self.refused(daemon.deliver(rest[0]))
        self.not_ready(daemon, "outbox-max-size")
        collector.start()
        self.recovers(daemon, rest)
        self.all_came(collector, runs)
        self.assertEqual(set(collector.ids().values()), {1})


class Files(Helper):
    def stopped_daemon(self):
        daemon = self.new_daemon()
        runs = [one_job() for _ in range(20)]
        daemon.accept(*(event for run in runs for event in run.timeline()))
        daemon.stop()
        return daemon, pathlib.Path(daemon.settings["db"]) / "data.mdb"

    def run_until_ready(self, daemon):
        """Starts it, terminates it once it is ready, and returns its status and what it wrote."""
        environment = {name: os.environ.get(name, "") + AS_WITHOUT_SANITIZER for name in ("ASAN_OPTIONS", "TSAN_OPTIONS")}
        process = subprocess.Popen(daemon.arguments(), stderr=subprocess.PIPE, text=True, errors="replace",
                                   env=harness.clean_environment(environment))
        limit = threading.Timer(harness.PATIENCE, process.kill)
        limit.start()
        lines = []
        with process.stderr:
            for line in process.stderr:
                lines.append(line)
                if harness.READY.search(line):
                    time.sleep(0.1)  # TSan keeps back a signal that arrives just before the first epoll_wait()
                    process.terminate()
        status = process.wait()
        limit.cancel()
        return status, "".join(lines)

    def check_damage(self, page, status, log):
        """Refused with a line that says what to do, or the page was not needed. Returns whether it was refused."""
        reported = [line for line in log.splitlines() if harness.SANITIZER.search(line) and "failed to allocate" not in line]
        if reported:
            self.assertTrue(is_fault_of_lmdb(log), f"page {page}: {log[-4000:]}")
            return False
        self.assertIn(status, (0, 1), f"page {page}: {log[-4000:]}")
        if status == 1:
            self.assertRegex(log, "restore|move|choose another --db", f"page {page}")
        return "damaged" in log or "not an LMDB file" in log

    def test_a_damaged_file_is_refused_with_a_message(self):
        daemon, path = self.stopped_daemon()
        whole = path.read_bytes()
        refused = 0
        others = RANDOM.sample(range(2, len(whole) // 4096), len(whole) // 4096 - 2)
        for count, page in enumerate([0, 1] + others, 1):
            path.write_bytes(damage(whole, page))
            refused += self.check_damage(page, *self.run_until_ready(daemon))
            if count >= 12 and refused > 2:
                break  # only one page in eight is read at the start, so twelve may hold none of them
        self.assertGreater(refused, 2)
        path.write_bytes(whole)
        daemon.start()

    def test_a_truncated_file_is_refused_with_a_message(self):
        daemon, path = self.stopped_daemon()
        os.truncate(path, 5 * 4096)
        self.refuses_to_start(daemon, "cut off", "data.mdb")
        os.truncate(path, 100)
        self.refuses_to_start(daemon, "data.mdb")

    def test_a_file_that_is_no_database_is_refused_with_a_message(self):
        daemon, path = self.stopped_daemon()
        path.write_text("This is a letter to my mother.\n" * 1000)
        self.refuses_to_start(daemon, "not an LMDB file")
        self.assertIn("letter", path.read_text(), "and left alone")

    def test_the_error_of_a_second_daemon_names_the_process_that_holds_the_folder(self):
        first = self.new_daemon()
        second = self.new_daemon(start=False, db=first.settings["db"])
        self.refuses_to_start(second, "held by another ghatrace", str(first.process.pid))
        first.accept(*one_job().timeline())


class Clock(Helper):
    def check_jump(self, offset):
        collector = self.new_collector()
        daemon, faults = self.new_faulty(collector, root_grace="1s")
        runs = [one_job() for _ in range(2)]
        before = [event for run in runs for event in run.timeline()]
        daemon.accept(*before)
        half = one_job()  # its root has to wait for a deadline: a job of it stays open
        half.job("open")
        events = half.timeline()
        completed = [event for event in events if event.type == "workflow_run" and event.action == "completed"]
        opened = [event for event in events if event.action == "queued"]
        faults.set(clock=offset)
        daemon.accept(*opened, *completed)
        self.assertEqual(daemon.deliver(opened[0]).outcome, (200, "duplicate"))
        self.assertEqual(daemon.deliver(before[0]).outcome, (200, "duplicate"),
                         "what was received before the clock was set is recognized")
        used = cpu_seconds(daemon.process.pid)
        time.sleep(2)
        self.assertLess(cpu_seconds(daemon.process.pid) - used, 1, "no busy loop")
        collector.wait(lambda c: any(key[1] == f"{half.run_id:016x}" for key in c.ids()), 30, "the root after its grace")
        faults.clear()
        later = one_job()
        daemon.accept(*later.timeline())
        collector.wait_for_ids(wanted(runs + [later]))
        used = cpu_seconds(daemon.process.pid)
        time.sleep(2)
        self.assertLess(cpu_seconds(daemon.process.pid) - used, 1, "no busy loop")
        self.assertEqual(daemon.admin("/ready").status, 200)

    def test_a_clock_set_a_year_ahead_and_back_does_no_harm(self):
        self.check_jump(YEAR)

    def test_a_clock_set_back_a_year_and_ahead_does_no_harm(self):
        self.check_jump(-YEAR)

    def test_a_daemon_that_starts_while_the_clock_is_a_year_ahead_deletes_nothing(self):
        collector = self.new_collector()
        daemon, faults = self.new_faulty(collector, root_grace="1s")
        run = one_job()
        events = run.timeline()
        daemon.accept(*events)
        collector.wait_for_ids(wanted([run]))
        daemon.stop()
        faults.set(clock=YEAR)
        daemon.start()
        for _ in range(3):
            daemon.accept(one_job().timeline()[0])
            time.sleep(1)
        daemon.stop()
        faults.clear()
        daemon.start()
        for event in events:
            self.assertEqual(daemon.deliver(event).outcome, (200, "duplicate"))

    def test_a_process_stopped_and_continued_answers_requests_received_meanwhile(self):
        daemon, collector = self.new_pair()
        run = one_job()
        events = run.timeline()
        daemon.accept(events[0])
        daemon.process.send_signal(signal.SIGSTOP)
        answers = []
        sender = threading.Thread(target=lambda: answers.append(daemon.deliver(events[1]).status))
        sender.start()
        time.sleep(3)
        self.assertEqual(answers, [])
        daemon.process.send_signal(signal.SIGCONT)
        sender.join(harness.PATIENCE)
        self.assertEqual(answers, [202])
        daemon.accept(*events[2:])
        self.all_came(collector, [run])


class PowerCut(Helper):
    def test_after_a_power_failure_at_any_write_acknowledged_deliveries_are_stored(self):
        daemon, faults = self.new_faulty(with_log=True, otlp_endpoint="http://127.0.0.1:1")
        acknowledged = []  # (length of the log by then, event, run)
        for _ in range(12):
            run = one_job()
            for event in run.timeline():
                daemon.accept(event)
                acknowledged.append((faults.log.stat().st_size, event, run))
        daemon.stop()
        events = read_log(faults.log.read_bytes())
        syncs = [i + 1 for i, event in enumerate(events) if event[0] == "S"]
        self.assertGreater(len(syncs), len(acknowledged), "each answer has its sync")
        self.assertEqual(after_power_cut(events, len(events), RANDOM)[4096 * 2:],
                         (pathlib.Path(daemon.settings["db"]) / "data.mdb").read_bytes()[4096 * 2:],
                         "the log has all that was written")
        cuts = [RANDOM.choice(syncs[3:]) for _ in range(POWER_CUTS // 2)]
        cuts += [RANDOM.randrange(syncs[3], len(events) + 1) for _ in range(POWER_CUTS - len(cuts))]
        for cut in cuts:
            with self.subTest(cut=cut):
                self.check_cut(events, cut, acknowledged)

    def check_cut(self, events, cut, acknowledged):
        collector = self.new_collector()
        daemon = self.new_daemon(collector, start=False)
        folder = pathlib.Path(daemon.settings["db"])
        folder.mkdir()
        (folder / "data.mdb").write_bytes(after_power_cut(events, cut, RANDOM))
        position = events[cut - 1][3]
        daemon.start()
        kept = [entry for entry in acknowledged if entry[0] <= position]
        for _, event, _ in kept:
            self.assertEqual(daemon.deliver(event).outcome, (200, "duplicate"), "acknowledged, so recognized")
        for _, event, _ in acknowledged[len(kept):]:
            self.assertIn(daemon.deliver(event).status, (200, 202))
        collector.wait_for_ids(wanted({entry[2].run_id: entry[2] for entry in acknowledged}.values()), timeout=20)
        daemon.stop()


class FailingCollector(Helper):
    def keeps_ingesting(self, daemon, count=40):
        """Deliveries are answered; none waits for the collector."""
        runs = [one_job() for _ in range(count)]
        slowest = 0.0
        for run in runs:
            for event in run.timeline():
                start = time.monotonic()
                daemon.accept(event)
                slowest = max(slowest, time.monotonic() - start)
        self.assertLess(slowest, 10)
        return runs

    def test_one_that_accepts_and_never_answers_is_left_for_a_better_one(self):
        with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
            daemon = self.new_daemon(otlp_endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", otlp_timeout="1s")
            runs = self.keeps_ingesting(daemon)
            daemon.stop()
        collector = self.new_collector()
        daemon.settings["otlp-endpoint"] = collector.endpoint
        daemon.start()
        self.all_came(collector, runs)

    def test_huge_and_senseless_answers_are_not_swallowed_whole(self):
        daemon, collector = self.new_pair(otlp_timeout="5s")
        faults = [Answer(200, {}, b"\0" * (64 << 20)), Answer(200, {}, RANDOM.randbytes(100_000)),
                  Answer(503, {}, b"x" * (64 << 20)), Answer(200, {"X-Long": "y" * 200_000}), Answer(999)]
        collector.script = lambda request: faults.pop() if faults else Answer()
        runs = []
        deadline = time.monotonic() + harness.PATIENCE
        while faults and time.monotonic() < deadline:
            runs += self.keeps_ingesting(daemon, 1)
        self.assertEqual(faults, [])
        peak = int(next(line for line in pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines()
                        if line.startswith("VmHWM")).split()[1])
        if "asan" not in harness.BINARY and "tsan" not in harness.BINARY:
            self.assertLess(peak, 64 << 10, "KiB")
        harness.wait_until(lambda: wanted(runs) <= {key for request in list(collector.requests)
                                                    for key in scan(request)}, what="all spans, sent")

    def test_byte_by_byte_and_partial_answers_do_not_stall_anything(self):
        daemon, collector = self.new_pair()
        answers = [Answer(piece_delay=0.02), partial_success(1, "meh"), Answer(cut=True), Answer(piece_delay=0.05)]
        collector.script = lambda request: answers.pop() if answers else Answer()
        runs = self.keeps_ingesting(daemon)
        self.all_came(collector, runs)

    def test_a_name_that_means_nothing_is_tried_again_and_ingestion_goes_on(self):
        daemon = self.new_daemon(otlp_endpoint="http://collector.invalid:4318")
        runs = self.keeps_ingesting(daemon)
        harness.wait_until(lambda: "collector.invalid" in daemon.log, what="a line about the name")
        used = cpu_seconds(daemon.process.pid)
        time.sleep(2)
        self.assertLess(cpu_seconds(daemon.process.pid) - used, 1, "no busy loop")
        daemon.stop()
        collector = self.new_collector()
        daemon.settings["otlp-endpoint"] = collector.endpoint
        daemon.start()
        self.all_came(collector, runs)


def scan(request):
    from collector import scan_ids
    return scan_ids(request)


class Secrets(Helper):
    def test_secrets_are_in_no_log_no_error_and_no_listing(self):
        secrets = ["hook-secret-4711", "header-secret-4711", "user-secret-4711", "env-secret-4711"]
        folder = pathlib.Path(self.new_folder())
        (folder / "secret").write_text(secrets[0] + "\n")
        (folder / "secret").chmod(0o600)
        settings = {"webhook-secret-file": str(folder / "secret"), "log-level": "debug",
                    "otlp-header": f"authorization={secrets[1]}",
                    "otlp-endpoint": f"http://joe:{secrets[2]}@127.0.0.1:1/"}
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        said = ""
        for extra in ([], ["--otlp-timeout=wrong"], ["--otlp-protocol=grpc"], ["--otlp-header=" + secrets[1]],
                      ["--webhook-secret-file=" + str(folder)]):
            done = harness.run_command("check", *arguments, *extra, env={"GITHUB_WEBHOOK_SECRET": secrets[3]})
            said += done.stdout + done.stderr
        daemon = harness.Daemon(folder, env={"GITHUB_WEBHOOK_SECRET": secrets[3]}, **settings)
        daemon.settings["otlp-endpoint"] = "http://127.0.0.1:1/"
        self.addCleanup(daemon.stop)
        daemon.start()
        run = one_job()
        for secret in (secrets[0], "wrong"):
            for event in run.timeline():
                daemon.deliver(event, secret=secret)
        daemon.process.send_signal(signal.SIGHUP)
        harness.wait_until(lambda: "files read again" in daemon.log, what="SIGHUP")
        said += daemon.log
        for secret in secrets:
            self.assertNotIn(secret, said)

    def test_no_core_is_written(self):
        daemon = self.new_daemon()
        limits = pathlib.Path(f"/proc/{daemon.process.pid}/limits").read_text()
        line = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
        self.assertEqual(line.split()[4], "0")

    def test_check_warns_of_what_is_unsafe(self):
        folder = pathlib.Path(self.new_folder())
        secret = folder / "secret"
        secret.write_text("x" * 32 + "\n")
        for mode, words in ((0o600, None), (0o640, "its group"), (0o644, "all users")):
            secret.chmod(mode)
            done = harness.run_command("check", f"--webhook-secret-file={secret}")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual("readable" in done.stdout and str(words) in done.stdout, words is not None, done.stdout)
        secret.chmod(0o600)
        done = harness.run_command("check", f"--webhook-secret-file={secret}", "--listen=0.0.0.0:8080")
        self.assertIn("plain HTTP on an address", done.stdout)
        done = harness.run_command("check", f"--webhook-secret-file={secret}", "--listen=127.0.0.1:8080")
        self.assertNotIn("plain HTTP on an address", done.stdout)
        done = harness.run_command("check", "--insecure-no-signature")
        self.assertIn("accepted from any client", done.stdout)
