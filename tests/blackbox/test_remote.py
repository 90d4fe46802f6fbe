"""`ghatrace top`, `pools`, `runs` and `trace` with --url: as from the store, and what they say if nobody answers as expected."""
import http.server
import json
import os
import pathlib
import signal
import socket
import socketserver
import subprocess
import threading
import time

import harness
import test_top
from payloads import Repository, Run
from test_admin import get_json
from tls import certificate, tls_settings

TOKEN = "0123456789abcdef-token-of-somebody"
TRIES = 8  # ages are shown in seconds, so two pictures are compared within one


def url_of(daemon, scheme="http", host="127.0.0.1"):
    return f"{scheme}://{host}:{daemon.admin_address[1]}"


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers as its server's `status`, `fields` and `body` say, or passes requests below `prefix` on to `back`."""

    def do_GET(self):
        server = self.server
        status, fields, body = server.status, server.fields, server.body
        if server.back is not None:
            with harness.Client(server.back) as client:
                passed = None if not self.path.startswith(server.prefix) else client.request(
                    "GET", self.path[len(server.prefix):], headers={"Host": f"localhost:{server.back[1]}"})
            status, fields, body = (404, {}, b"no such place") if passed is None else (passed.status, {}, passed.body)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **fields}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:  # the client has seen enough
            pass

    def log_message(self, *arguments):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


class Remote(harness.BlackBoxTest):
    def ask(self, url, *arguments, **kinds):
        return harness.run_command(*arguments, "--url", url, **kinds)

    def serve(self, status=200, body=b"", fields=None, back=None, prefix=""):
        server = Server(("127.0.0.1", 0), Answer)
        server.status, server.body, server.fields, server.back, server.prefix = status, body, fields or {}, back, prefix
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}"

    def refused(self, url, *words, arguments=("pools",), code=1, **kinds):
        shown = self.ask(url, *arguments, **kinds)
        self.assertEqual((shown.returncode, shown.stdout), (code, ""), shown.stderr)
        self.assertEqual(shown.stderr.count("\n"), 1)
        for word in words:
            self.assertIn(word, shown.stderr)
        return shown.stderr

    def queue(self, daemon, label, age, started=False, name="build", repository="acme/shop"):
        run = Run(age=age, repository=Repository(repository))
        job = run.job(name, offset=0)
        job.labels, job.started = [label], run.created + 5
        daemon.accept(run.requested(), job.queued(), *([job.in_progress()] if started else []))

    def incident(self, **settings):
        """A dead pool, one at its limit, names that would control a terminal; a finished run that failed, in two attempts."""
        daemon = self.new_daemon(**settings)
        for i in range(4):
            self.queue(daemon, "gpu", 1800 + 60 * i, repository="acme/shop" if i else "acme/site")
        self.queue(daemon, "ubuntu-latest", 300, started=True, name="größe 日本語 \x1b[2J")
        self.queue(daemon, "ubuntu-latest", 240)
        self.queue(daemon, "odd\x1b]0;x\x07\u202e", 20)
        self.run = Run(age=900, conclusion="failure", workflow="Nightly")
        job = self.run.job("test (3.12)")
        job.conclusion = "failure"
        self.run.updated = self.run.created + 70
        daemon.accept(self.run.requested(), job.queued(), job.in_progress(), job.completed(), self.run.completed())
        harness.wait_until(lambda: json.loads(daemon.command("runs", "--failed", "--json").stdout)["runs"], what="the finished run")
        return daemon

    # --- what is shown ---

    def check_same(self, daemon, *arguments, url=None, env=None):
        flags = ("--pool-dead-after", daemon.settings["pool-dead-after"]) if "pool-dead-after" in daemon.settings else ()
        env = {"LC_ALL": "C.UTF-8", **(env or {})}
        for _ in range(TRIES):
            here = daemon.command(*arguments, *(flags if arguments[0] in ("top", "pools") else ()), env=env)
            there = self.ask(url or url_of(daemon), *arguments, env=env)
            self.assertEqual([(shown.returncode, shown.stderr) for shown in (here, there)], [(0, "")] * 2)
            if here.stdout == there.stdout:
                break
        self.assertEqual(here.stdout, there.stdout)
        self.assertGreater(len(here.stdout), 20)
        return there.stdout

    def test_what_is_shown_is_the_same_as_from_the_store(self):
        daemon = self.incident(pool_dead_after="20m")
        for columns in ({}, {"COLUMNS": "60"}, {"CLICOLOR_FORCE": "1", "COLUMNS": "200"}, {"LC_ALL": "C"}):
            for arguments in (("pools",), ("top",), ("top", "--once"), ("runs",), ("runs", "--open"), ("runs", "--failed"),
                              ("pools", "gpu"), ("pools", "GPU", "--limit", "3"), ("pools", "ubuntu-latest"), ("pools", "odd\x1b]0;x\x07\u202e"),
                              ("runs", "--repo", "SITE"), ("runs", "--since", "1h", "--workflow", "night"), ("runs", "--workflow", "none"),
                              ("trace", str(self.run.run_id)), ("trace", f"{self.run.run_id}/1", "--steps")):
                with self.subTest(arguments, **columns):
                    self.check_same(daemon, *arguments, env=columns)
        self.assertIn("1 dead", self.ask(url_of(daemon), "pools").stdout)

    def test_json_is_the_answer_of_the_daemon(self):
        daemon = self.incident()
        printed = json.loads(self.ask(url_of(daemon), "pools", "--json").stdout)
        self.assertEqual(printed.keys(), get_json(daemon, "/api/pools").keys())
        self.assertEqual(printed["summary"]["kind"], "pools")
        for flags in ((), ("--failed",), ("--open",), ("--limit", "1"), ("--repo", "rocket")):
            here, there = (json.loads(shown.stdout) for shown in (daemon.command("runs", "--json", *flags),
                                                                  self.ask(url_of(daemon), "runs", "--json", *flags)))
            here.pop("now"), there.pop("now")
            self.assertEqual(here, there)

    def test_one_pool_is_shown_with_who_fills_it_and_its_jobs(self):
        daemon = self.incident(pool_dead_after="20m", runner_ceiling="farm: 1: ubuntu-latest")
        url = url_of(daemon)
        shown = self.ask(url, "pools", "gpu", "--limit", "3", env={"LC_ALL": "C.UTF-8", "COLUMNS": "160"}).stdout
        self.assertRegex(shown, r"^gpu is dead: 4 jobs wait, none has started in 7 days\.\ndead: See whether its runners")
        self.assertRegex(shown, r"4 queued, the oldest for 33m[^·]* · half for at most [^·]+, 90 % for [^·]+, 99 % for [^·]+ · 0 running")
        self.assertRegex(shown, r"QUEUED +RUNNING +REPOSITORY\n +3 +0 +acme/shop\n +1 +0 +acme/site\n")
        self.assertRegex(shown, r"QUEUED +RUNNING +WORKFLOW +REPOSITORY\n +3 +0 +Build and test +acme/shop\n")
        self.assertEqual(len([line for line in shown.splitlines() if " queued  build " in line]), 3)
        self.assertTrue(shown.endswith("These are 3 of 4 open jobs: see --limit.\n"), shown)
        held = self.ask(url, "pools", "ubuntu-latest").stdout
        self.assertRegex(held, r"^ubuntu-latest is held back by the ceiling \"farm\" since .* UTC: \d+ jobs? waits?, 1 runs\.\n")
        self.assertIn('ceiling "farm" (configured): 1 of 1 run, ', held)
        self.assertNotIn("\x1b", held)
        narrow = self.ask(url, "pools", "ubuntu-latest", env={"COLUMNS": "40", "LC_ALL": "C.UTF-8"}).stdout
        self.assertLessEqual(max(map(len, narrow.splitlines())), 40)
        for arguments in (("pools", "gpu", "--json"), ("pools", "odd\x1b]0;x\x07\u202e", "--json")):
            here, there = (json.loads(shown.stdout) for shown in (daemon.command(*arguments), self.ask(url, *arguments)))
            self.assertEqual(here.keys(), there.keys())
            self.assertEqual((here["pool"], here["by_workflow"]), (there["pool"], there["by_workflow"]))
        for arguments, code, words in ((("none",), 1, "there is no such pool"), (("gpu", "--limit", "0"), 2, "--limit"), (("--limit", "3"), 2, "--limit"),
                                       (("a", "b"), 2, "unexpected")):
            self.refused(url, words, arguments=("pools", *arguments), code=code)
            here = daemon.command("pools", *arguments)
            self.assertEqual((here.returncode, here.stdout), (code, ""), here.stderr)

    def test_on_a_screen_the_users_of_a_pool_leave_room_for_its_jobs(self):
        daemon = self.new_daemon()
        for i in range(12):
            self.queue(daemon, "gpu", 1800 + 60 * i, repository=f"acme/shop-{i}")
        for env, rows in (({"COLUMNS": "80"}, 8), ({}, 12)):  # into a pipe, all that are known
            shown = self.check_same(daemon, "pools", "gpu", "--limit", "1", env=env)
            users = shown.split("\n\n")[1].splitlines()[1:]
            self.assertEqual((len(users), sum(int(line.split()[0]) for line in users)), (rows, 12), shown)
        self.assertNotIn("others", shown)

    def test_neither_a_store_nor_a_file_of_settings_is_needed(self):
        daemon = self.incident()
        shown = self.ask(url_of(daemon), "pools", env={"GHATRACE_CONFIG": "/none/at/all", "GHATRACE_DB": "/none", "HOME": "/none"})
        self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        environment = {"GHATRACE_URL": url_of(daemon) + "/#/pools"}
        self.assertIn("gpu", harness.run_command("pools", env=environment).stdout)
        # The store, if it is named; and the daemon is not confused by the variable.
        self.assertIn("No pool is known", harness.run_command("pools", "--db", self.new_daemon(env=environment).settings["db"], env=environment).stdout)

    def test_more_runs_than_a_page_has_are_listed(self):
        daemon, runs = self.new_daemon(), []
        for i in range(230):
            run = Run(age=(5000 if i < 20 else 3000) - i, conclusion="success" if i % 100 else "failure")
            run.updated = run.created + 60
            runs.append(run)
            daemon.accept(run.requested(), run.completed())
        harness.wait_until(lambda: get_json(daemon, "/api/status")["store"]["finished_runs"] == 230, what="all runs")
        self.assertEqual(self.check_same(daemon, "runs", "--failed").count("failure"), 3)
        self.assertEqual(self.check_same(daemon, "runs", "--limit", "1000").count("success"), 227)
        self.assertIn("There are more", self.check_same(daemon, "runs", "--limit", "7"))
        self.assertNotIn("There are more", self.check_same(daemon, "runs", "--since", "4000s", "--limit", "1000"))
        url = url_of(daemon)
        for flags in (("--limit", "1000"), ("--limit", "201"), ("--since", "4000s", "--limit", "500"), ("--failed", "--limit", "2")):
            here, there = (json.loads(shown.stdout) for shown in (daemon.command("runs", "--json", *flags),
                                                                  self.ask(url, "runs", "--json", *flags)))
            self.assertEqual([run["run_id"] for run in here["runs"]], [run["run_id"] for run in there["runs"]], flags)
            self.assertEqual(here["more"], there["more"], flags)
            self.assertEqual(len(there["runs"]), {"1000": 230, "201": 201, "500": 210, "2": 2}[flags[-1]])

    def test_a_job_that_is_over_is_not_open_although_its_spans_are_not_made(self):
        daemon, run = self.new_daemon(root_grace="1h"), Run(age=300)
        going, done = run.job("going", duration=3000), run.job("finished", waited=60, environment="production")
        daemon.accept(run.requested(), going.queued(), going.in_progress(), done.waiting(), done.completed())  # when it was released may follow
        self.assertEqual([job["name"] for job in get_json(daemon, "/api/queue")["jobs"]], ["going"])
        shown = self.check_same(daemon, "runs", "--open")
        self.assertIn("going", shown)
        self.assertNotIn("finished", shown)

    def test_a_place_in_the_list_that_no_daemon_gives_is_refused(self):
        page = {"now": "2026-11-30T02:14:00Z", "runs": [], "next": "x" * 5000, "unreadable": 0}
        self.refused(self.serve(body=json.dumps(page).encode()), "no usable `next`", arguments=("runs", "--failed"))

    # --- how it is reached ---

    def test_a_token_is_read_from_a_file_and_never_shown(self):
        folder = pathlib.Path(self.new_folder())
        good, bad = folder / "token", folder / "other"
        good.write_text(TOKEN + "\n")
        bad.write_text("another-" + TOKEN + "\n")
        daemon = self.incident(admin_token_file=str(good))
        url = url_of(daemon)
        self.refused(url, "it wants a token", "--token-file")
        self.assertNotIn(TOKEN, self.refused(url, "does not accept the token", str(bad), arguments=("pools", "--token-file", bad)))
        self.refused(url, "token", arguments=("pools", "--token-file", folder / "none"), code=2)
        for arguments in (("pools",), ("top",), ("runs",), ("trace", self.run.run_id)):
            shown = self.ask(url, *arguments, "--token-file", good)
            self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        shown = harness.run_command("pools", env={"GHATRACE_URL": url, "GHATRACE_TOKEN_FILE": str(good)})
        self.assertIn("gpu", shown.stdout)
        refused = self.refused(f"http://somebody:{TOKEN}@127.0.0.1:1", "--token-file", code=2)
        self.assertNotIn(TOKEN, refused)

    def test_a_proxy_may_have_it_below_a_path(self):
        daemon = self.incident()
        url = self.serve(back=daemon.admin_address, prefix="/ghatrace")
        for place in ("/ghatrace", "/ghatrace/", "/ghatrace/#/runs?q=x"):
            self.check_same(daemon, "trace", str(self.run.run_id), url=url + place)
        self.check_same(daemon, "runs", url=url + "/ghatrace/")
        self.refused(url, "no ghatrace at this address (404)", "proxy's path")
        self.refused(url + "/ghatrace", "run 77: nothing of it is in the store", arguments=("trace", "77"))

    def test_by_tls_the_authority_must_be_known(self):
        daemon = self.incident()
        daemon.settings.update({name.replace("_", "-"): value for name, value in tls_settings(admin_tls="on").items()})
        daemon.restart()
        url = url_of(daemon, "https", "localhost")
        self.assertIn("gpu", self.ask(url, "pools", "--ca-file", certificate("ca.pem")).stdout)
        self.assertIn("gpu", harness.run_command("pools", env={"GHATRACE_URL": url, "GHATRACE_CA_FILE": certificate("ca.pem")}).stdout)
        self.refused(url, "certificate", "--ca-file")
        self.refused(url, "No such file", arguments=("pools", "--ca-file", "/none/at/all"), code=2)
        daemon.settings["admin-client-ca"] = certificate("ca.pem")
        daemon.restart()
        self.refused(url_of(daemon, "https", "localhost"), "client certificate", arguments=("pools", "--ca-file", certificate("ca.pem")))
        self.refused(url_of(daemon, "http", "localhost"), "https:// instead of http://")
        self.refused("http://localhost:1", "only for an https", arguments=("pools", "--ca-file", certificate("ca.pem")), code=2)

    # --- answers that are none ---

    def test_errors_say_what_to_do(self):
        daemon = self.incident()
        url = url_of(daemon)
        self.refused("http://127.0.0.1:1", "refused", "is the daemon running")
        self.refused("http://no-such-host.invalid", "no-such-host.invalid")
        self.refused("https" + url[4:], "http:// instead of https://")
        self.refused(url, "run 77: nothing of it is in the store", arguments=("trace", "77"))
        self.refused(f"http://127.0.0.1:{daemon.address[1]}", "no ghatrace at this address (404)")
        for bad in ("ftp://x", "http://", "http://x:99999", ""):
            self.refused(bad, "--url", code=2)
        for flags in (("--db", "/tmp"), ("--config", "/dev/null"), ("--job-grace", "1s")):
            self.refused(url, flags[0], "not with --url", arguments=("pools", *flags), code=2)
        self.assertIn("unknown setting", harness.run_command("whatif", "--url", url).stderr)

    def test_what_is_not_an_answer_is_refused(self):
        pools = get_json(self.incident(), "/api/pools")
        old = {key: value for key, value in pools.items() if key not in ("now", "summary")}
        wrong = {**pools, "pools": [{**pools["pools"][0], "queued": "many"}]}
        for status, body, word in ((200, b"<html>", "not one of ghatrace"), (200, b"[]", "not one of ghatrace"), (200, b"{}", "another version"),
                                   (200, json.dumps(old).encode(), "`now`"), (200, json.dumps(wrong).encode(), "`queued`"),
                                   (200, json.dumps(pools).encode()[:-9], "not one of ghatrace"), (403, b"{}", "denies access"),
                                   (503, b'{"error":"busy \\u001b[2J"}', "503: busy"), (500, b"\x1b[2J", "500")):
            with self.subTest(status=status, body=body[:40]):
                self.assertNotIn("\x1b", self.refused(self.serve(status, body), word))
        self.refused(self.serve(302, b"", {"Location": "https://elsewhere.example/\x1b[2J"}), "redirects (302) to https://elsewhere.example/")
        self.refused(self.serve(200, b" " * (65 << 20)), "longer than")
        cut = self.serve(200, b"{", {"Content-Length": "1000", "Connection": "close"})
        self.refused(cut, "closed the connection")

    def test_pages_that_do_not_end_are_refused(self):
        page = {"now": "2026-09-03T04:17:00Z", "runs": [], "unreadable": 0}
        for following in ("e1", "e" * 10000):
            with self.subTest(length=len(following)):
                url = self.serve(body=json.dumps({**page, "next": following}).encode())
                self.refused(url, "no usable `next`", arguments=("runs", "--failed"))

    def test_a_server_that_does_not_answer_is_given_up(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            begun = subprocess.Popen([harness.BINARY, "pools", "--url", f"http://127.0.0.1:{silent.getsockname()[1]}"],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=harness.clean_environment(), text=True)
            self.assertIn("within 10s", begun.communicate(timeout=harness.PATIENCE)[1])
            self.assertEqual(begun.returncode, 1)

    def test_a_reader_that_is_gone_ends_it(self):
        daemon = self.incident()
        for arguments in (("pools",), ("top",), ("runs",), ("trace", str(self.run.run_id))):
            read, write = os.pipe()
            os.close(read)
            begun = subprocess.Popen([harness.BINARY, *arguments, "--url", url_of(daemon)], stdin=subprocess.DEVNULL, stdout=write,
                                     stderr=subprocess.DEVNULL, env=harness.clean_environment())
            os.close(write)
            self.assertNotEqual(begun.wait(harness.PATIENCE), 0)


class RemoteTop(test_top.Screen):
    """In a terminal."""

    def setUp(self):
        self.daemon = self.new_daemon()
        self.run = Run(age=300)
        self.daemon.accept(self.run.requested(), self.run.job("build (3.12)").queued())

    def test_a_daemon_that_starts_again_is_asked_again(self):
        self.daemon.settings["admin-listen"] = f"127.0.0.1:{self.daemon.admin_address[1]}"
        self.start("--url", url_of(self.daemon))
        self.read_until(lambda seen: b"build (3.12)" in seen, "the job")
        self.daemon.stop()
        self.read_until(lambda seen: b"This is as of 20" in seen and b"refused" in seen, "why it is old")
        self.assertIn(b"build (3.12)", self.seen.split(b"\x1b[H")[-2])
        self.daemon.start()
        self.daemon.accept(self.run.job("another one").queued())
        self.read_until(lambda seen: b"another one" in seen, "the news")
        os.write(self.terminal, b"q")
        self.end()

    def test_while_an_answer_is_waited_for_keys_and_signals_end_it(self):
        def ends_by(action):
            with socket.create_server(("127.0.0.1", 0)) as back:
                # Two rounds through this process, then silence.
                def pass_on(rounds):
                    for _ in range(rounds):
                        connection, _ = back.accept()
                        threading.Thread(target=pipe, args=(connection,), daemon=True).start()

                def pipe(connection):
                    with connection, socket.create_connection(self.daemon.admin_address) as daemon:
                        for _ in range(3):
                            daemon.sendall(connection.recv(65536))
                            answer = daemon.recv(65536)
                            while b"\r\n\r\n" not in answer or len(answer.split(b"\r\n\r\n", 1)[1]) < int(
                                    answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0]):
                                answer += daemon.recv(65536)
                            connection.sendall(answer)
                        connection.recv(65536)
                        time.sleep(harness.PATIENCE)
                threading.Thread(target=pass_on, args=(1,), daemon=True).start()
                self.start("--url", f"http://127.0.0.1:{back.getsockname()[1]}")
                self.read_until(lambda seen: b"build (3.12)" in seen, "the job")
                time.sleep(0.3)  # the next answer is waited for
                action()
                begun = time.monotonic()
                self.end()
                self.assertLess(time.monotonic() - begun, 5)  # the request would take 10 s
        ends_by(lambda: os.write(self.terminal, b"q"))
        ends_by(lambda: os.kill(self.process, signal.SIGINT))
