"""Whatever text is received, the exported text is valid, in both encodings."""
import json

import expect
import harness
from expect import Ids
from payloads import Run

PLACE = "@@name@@"

# As raw bytes of a JSON string, and what must come out.
CASES = {
    "invalid byte": (b"a\xffb", "a\ufffdb"),
    "cut sequence": (b"a\xe2\x82", "a\ufffd\ufffd"),
    "overlong slash": (b"\xc0\xaf", "\ufffd\ufffd"),
    "surrogate in UTF-8": (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
    "beyond Unicode": (b"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"),
    "lone high surrogate": (b"a\\ud800b", "a\ufffdb"),
    "lone low surrogate": (b"\\udfff", "\ufffd"),
    "surrogates swapped": (b"\\udc00\\ud800", "\ufffd\ufffd"),
    "high and letter": (b"\\ud83d\\u0041", "\ufffdA"),
    "pair": (b"\\ud83d\\ude80", "\U0001F680"),
    "NUL": (b"a\\u0000b", "a\ufffdb"),
    "control characters": (b"\\u0001\\u001f\\u007f\\u0085", "\x01\x1f\x7f\x85"),
    "quotes and backslash": (b'say \\"hi\\" \\\\', 'say "hi" \\'),
    "trailing backslash": (b"ends in \\\\", "ends in \\"),
    "line ends": (b"a\\r\\n\\tb\\u2028", "a\r\n\tb\u2028"),
    "escaped slash": (b"a\\/b", "a/b"),
    "noncharacter": (b"\xef\xbf\xbf", "\uffff"),
    "right to left": ("\u202eabc\u05d0".encode(), "\u202eabc\u05d0"),
    "script": (b"</script><script>alert(1)</script>", "</script><script>alert(1)</script>"),
    "format": (b"%s%n%x ${{ secrets.X }}", "%s%n%x ${{ secrets.X }}"),
    "long ASCII": (b"x" * 100_000, "x" * 4096),
    "long, cut between characters": ("\u20ac".encode() * 30_000, "\u20ac" * 1365),
    "long, four bytes each": ("x".encode() + "\U0001F680".encode() * 30_000, "x" + "\U0001F680" * 1023),
}


def spelled(event, raw):
    return event.with_body(event.body.replace(PLACE.encode(), raw))


class HostileText(harness.BlackBoxTest):
    def check_protocol(self, **settings):
        daemon, collector = self.new_pair(**settings)
        runs = {}
        for name, (raw, wanted) in CASES.items():
            run = Run(workflow=PLACE, head_branch=PLACE)
            job = run.job(PLACE, conclusion="failure")
            job.steps[2].name = PLACE
            job.runner_name, job.labels = PLACE, [PLACE, "x"]
            run.display_title = run.actor = PLACE
            for event in run.timeline():
                answer = daemon.deliver(spelled(event, raw))
                self.assertEqual(answer.status, 202, f"{name}: {answer}")
            runs[name] = (run, job, wanted)
        for name, (run, job, wanted) in runs.items():
            with self.subTest(name):
                ids = Ids(run.run_id)
                spans = collector.wait_trace(ids.trace, 10)
                self.assertEqual(len(spans), 10)
                self.check_spans(expect.by_id(spans), ids, job, wanted)
        return collector

    def check_spans(self, spans, ids, job, wanted):
        root, span = spans[ids.root], spans[ids.job(job.job_id)]
        self.assertEqual(span["name"], wanted)
        self.assertEqual(span["attributes"]["cicd.pipeline.task.name"], wanted)
        self.assertEqual(span["attributes"]["github.runner_labels"], [wanted, "x"])
        self.assertEqual(span["attributes"]["cicd.worker.name"], wanted)
        self.assertEqual(root["attributes"]["github.display_title"], wanted)
        self.assertEqual(root["resource"]["vcs.ref.head.name"], wanted)
        self.assertIn(wanted, [s["name"] for s in spans.values() if s["attributes"]["type"] == "step"])
        for one in spans.values():
            for value in [one["name"], *one["attributes"].values(), *one["resource"].values()]:
                if isinstance(value, str):
                    self.assertLessEqual(len(value.encode()), 4096)
                    self.assertNotIn("\0", value)
                    self.assertNotEqual(value, "")

    def test_hostile_text_is_exported_as_valid_protobuf(self):
        self.check_protocol()

    def test_hostile_text_is_exported_as_valid_json(self):
        collector = self.check_protocol(otlp_protocol="http/json")
        for request in collector.requests:
            json.loads(request.body.decode("utf-8"))

    def test_hostile_text_is_shown_in_the_terminal_without_escapes(self):
        daemon = self.new_daemon()
        run = Run(workflow="w\x1b]0;owned\x07")
        run.job("evil \x1b[2J\x9b31m \x07 job")
        daemon.accept(*run.timeline())
        shown = daemon.command("trace", run.run_id)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("evil", shown.stdout)
        for sign in ("\x1b[2J", "\x1b]0", "\x07", "\x9b"):
            self.assertNotIn(sign, shown.stdout)

    def test_hostile_headers_stay_out_of_the_log(self):
        daemon = self.new_daemon()
        event = Run().requested().with_guid("x\tlevel=error msg=\"owned\"")
        daemon.deliver(event)
        daemon.deliver(event.with_body(b"{}"))
        for line in daemon.log.splitlines():
            self.assertNotRegex(line, r'^[^"]*level=error msg="owned"')

    def test_hostile_settings_are_exported_as_valid_text_too(self):
        for protocol in ("http/protobuf", "http/json"):
            collector = self.new_collector()
            daemon = self.new_daemon(collector, start=False, otlp_protocol=protocol)
            daemon.env = {"OTEL_RESOURCE_ATTRIBUTES": "team=a%ff%00b", "OTEL_SERVICE_NAME": "c\udcffi"}
            run = Run()
            daemon.start().accept(run.completed())
            for span in collector.wait_trace(Ids(run.run_id).trace, 1):
                self.assertIn(span["resource"]["service.name"], ("c\ufffdi", run.repository.service_name))
                self.assertIn(span["resource"].get("team"), ("a\ufffd\ufffdb", None))

    def test_repositories_with_odd_names_do_not_break_urls(self):
        daemon, collector = self.new_pair()
        run = Run()

        def change(document):
            document["repository"]["html_url"] = "https://ghe.example.com:8443/a b/\u00e9\"x"
        daemon.accept(*(event.edited(change) for event in run.timeline()))
        span = collector.wait_trace(Ids(run.run_id).trace, 1)[0]
        self.assertTrue(span["resource"]["vcs.repository.url.full"].startswith("https://ghe.example.com:8443/"))
