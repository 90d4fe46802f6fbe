"""What each kind of request is answered."""
import json
import threading
import time

import expect
import harness
from harness import Client, delivery_headers, form_of, sign
from payloads import Event, Repository, Run, disguised_check_run, encode, guid_of_time, ping


def new_event():
    return Run().requested()


def without(*path):
    def change(document):
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]
    return change


def with_value(value, *path):
    def change(document):
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value
    return change


class SecretsThatChange(harness.BlackBoxTest):
    def test_a_delivery_repeated_under_another_secret_is_a_duplicate(self):
        daemon = self.new_daemon(start=False)
        daemon.secret_file.write_text("the old one\nthe new one\n")
        daemon.start()
        event = new_event()
        self.assertEqual(daemon.deliver(event, secret="the old one").outcome, (202, "accepted"))
        self.assertEqual(daemon.deliver(event, secret="the new one").outcome, (200, "duplicate"))
        daemon.secret_file.write_text("the new one\n")
        daemon.restart("kill")
        self.assertEqual(daemon.deliver(event, secret="the new one").outcome, (200, "duplicate"))
        self.assertEqual(daemon.deliver(event, secret="the old one").status, 401)

    def test_guids_of_any_kind_name_a_delivery(self):
        daemon, body = self.new_daemon(), new_event()
        guids = ["x", "a" * 128, "9a0e8ab8-6c1e-4c6f-9f5a-2f0f1d6a9c11", "00000000-0000-1000-8000-000000000000",
                 "ffffffff-ffff-1fff-bfff-ffffffffffff", "5b1f1d00-4a5e-11ee-8b1f-5b1f1d004a5e", guid_of_time(1),
                 guid_of_time(time.time() + 10 ** 9)]
        for how in ("accepted", "duplicate", "duplicate"):
            for guid in guids:
                self.assertEqual(daemon.deliver(body.with_guid(guid)).outcome[1], how, guid)
            daemon.restart("kill")


class Answers(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair(max_payload="1MiB")

    def answer(self, event, **kinds):
        return self.daemon.deliver(event, **kinds).outcome

    def assert_refused_for(self, event, field):
        answer = self.daemon.deliver(event)
        self.assertEqual(answer.status, 400, answer)
        self.assertIn(field, answer.text)
        self.assertLessEqual(answer.text.rstrip("\n").count("\n"), 0, "the reason is one line")

    def test_a_valid_event_is_accepted(self):
        run = Run()
        run.job()
        for event in run.timeline():
            self.assertEqual(self.answer(event), (202, "accepted"), event.action)

    def test_the_same_delivery_again_is_a_duplicate(self):
        event = new_event()
        self.assertEqual(self.answer(event), (202, "accepted"))
        for _ in range(3):
            self.assertEqual(self.answer(event), (200, "duplicate"))

    def test_one_guid_with_two_bodies_is_two_deliveries(self):
        event = new_event()
        other = event.edited(with_value({"id": 23154469, "node_id": "MDIz"}, "installation"))
        self.assertEqual(self.answer(event), (202, "accepted"))
        self.assertEqual(self.answer(other), (202, "accepted"))
        self.assertEqual(self.answer(other), (200, "duplicate"))

    def test_one_body_under_two_guids_is_two_deliveries(self):
        event = new_event()
        self.assertEqual(self.answer(event), (202, "accepted"))
        self.assertEqual(self.answer(event.with_guid(guid_of_time(time.time()))), (202, "accepted"))

    def test_a_delivery_is_recognized_after_a_restart(self):
        event = new_event()
        daemon, _ = self.new_pair()
        for how in ("stop", "kill"):
            self.assertEqual(daemon.deliver(event).status, 202 if how == "stop" else 200)
            daemon.restart(how)
        self.assertEqual(daemon.deliver(event).outcome, (200, "duplicate"))

    def test_ping_is_answered_pong(self):
        for event in (ping(), ping(with_repository=False)):
            self.assertEqual(self.answer(event), (200, "pong"))

    def test_other_events_and_actions_are_ignored(self):
        run, guid = Run(), guid_of_time(time.time())
        cases = {
            "push": Event("push", b'{"ref":"refs/heads/main"}', guid),
            "check_run": Event("check_run", encode({"action": "completed", "check_run": {}}), guid),
            "workflow_job started": run.job().queued().edited(with_value("started", "action")),
            "workflow_run cancelled": run.requested().edited(with_value("rerequested", "action")),
            "no job": run.job().queued().edited(with_value(None, "workflow_job")),
            "no run": run.requested().edited(with_value(None, "workflow_run")),
            "no repository": run.job().queued().edited(with_value(None, "repository")),
            "no repository of a run": run.completed().edited(with_value(None, "repository")),
            "check run": disguised_check_run(run),
            "successful check run": disguised_check_run(run, conclusion="success"),
        }
        for name, event in cases.items():
            with self.subTest(name):
                self.assertEqual(self.answer(event), (200, "ignored"))

    def test_a_body_that_is_not_json_is_refused(self):
        bodies = [b"", b"{", b"hello", b'{"action":"queued",}', b'{"action":queued}', b"{'action':'queued'}", b"[1,2",
                  b'{"action":"queued"} {}', b'{"action":"que\x01ued"}', b'{"a":01}', b'{"a":"\\x"}', b"\x00"]
        for body in bodies:
            for kind in ("workflow_job", "workflow_run"):
                with self.subTest(body=body, kind=kind):
                    answer = self.daemon.deliver(Event(kind, body, guid_of_time(time.time())))
                    self.assertEqual(answer.status, 400, answer)

    def test_a_body_of_another_shape_is_refused(self):
        for body in (b"[]", b"null", b"1", b'"workflow_job"', b"{}"):
            with self.subTest(body=body):
                answer = self.daemon.deliver(Event("workflow_job", body, guid_of_time(time.time())))
                self.assertEqual(answer.status, 400, answer)

    def test_what_identifies_an_event_is_named_when_it_is_missing_or_mistyped(self):
        run = Run()
        job = run.job()
        cases = [
            (job.queued(), without("workflow_job", "id"), "workflow_job.id"),
            (job.queued(), without("workflow_job", "run_id"), "workflow_job.run_id"),
            (job.queued(), with_value("12", "workflow_job", "run_id"), "workflow_job.run_id"),
            (job.queued(), with_value(1.5, "workflow_job", "id"), "workflow_job.id"),
            (job.queued(), with_value(2 ** 63, "workflow_job", "id"), "workflow_job.id"),
            (job.queued(), with_value([], "workflow_job"), "workflow_job"),
            (job.queued(), without("action"), "action"),
            (run.requested(), without("workflow_run"), "workflow_run"),
            (run.requested(), without("workflow_run", "id"), "workflow_run.id"),
            (run.requested(), with_value(True, "workflow_run", "id"), "workflow_run.id"),
        ]
        for event, change, field in cases:
            with self.subTest(field=field, change=change):
                self.assert_refused_for(event.edited(change), field)

    def test_deep_nesting_is_refused_and_not_parsed_for_long(self):
        body = b'{"action":"queued","workflow_job":' + b"[" * 400_000 + b"]" * 400_000 + b"}"
        answer = self.daemon.deliver(Event("workflow_job", body, guid_of_time(time.time())))
        self.assertIn(answer.status, (400, 413))

    def test_a_missing_or_wrong_signature_is_refused(self):
        event = new_event()
        right = sign(event.body)
        cases = {
            "none": None, "empty": "", "other secret": sign(event.body, "another"), "other body": sign(b"x"),
            "no prefix": right.removeprefix("sha256="), "short": right[:-2], "long": right + "00",
            "sha1": "sha1=" + right.removeprefix("sha256="), "not hex": right[:-1] + "g", "blank": right[:-1] + " ",
        }
        for name, signature in cases.items():
            with self.subTest(name):
                headers = delivery_headers(event)
                del headers["X-Hub-Signature-256"]
                if signature is not None:
                    headers["X-Hub-Signature-256"] = signature
                with self.daemon.client() as client:
                    self.assertEqual(client.request("POST", "/webhook", event.body, headers).status, 401)
        self.assertEqual(self.answer(event), (202, "accepted"), "none of that left a trace")

    def test_two_signatures_are_not_one(self):
        event = new_event()
        head = (f"POST /webhook HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
                f"X-GitHub-Event: workflow_run\r\nX-GitHub-Delivery: {event.guid}\r\n"
                f"X-Hub-Signature-256: {sign(b'x')}\r\nX-Hub-Signature-256: {sign(event.body)}\r\n"
                f"Content-Length: {len(event.body)}\r\n\r\n")
        answer = harness.raw_exchange(self.daemon.address, head.encode() + event.body)
        self.assertIn(harness.parse_responses(answer)[0][0], (400, 401))

    def test_the_signature_is_checked_before_the_body_is_parsed(self):
        event = Event("workflow_job", b"{not json", guid_of_time(time.time()))
        self.assertEqual(self.daemon.deliver(event, secret="another").status, 401)
        self.assertEqual(self.daemon.deliver(event).status, 400)

    def test_ping_needs_a_signature_too(self):
        self.assertEqual(self.daemon.deliver(ping(), secret=None).status, 401)

    def test_form_bodies_are_read_and_their_signature_covers_the_received_bytes(self):
        event = new_event()
        form = form_of(event)
        kind = "application/x-www-form-urlencoded"
        self.assertEqual(self.answer(form, content_type=kind), (202, "accepted"))
        self.assertEqual(self.answer(form, content_type=kind), (200, "duplicate"))
        wrong = form.with_body(form.body + b"&x=1")
        with self.daemon.client() as client:
            headers = delivery_headers(form, content_type=kind)
            self.assertEqual(client.request("POST", "/webhook", wrong.body, headers).status, 401)

    def test_a_form_without_payload_is_refused(self):
        kind = "application/x-www-form-urlencoded"
        for body in (b"", b"body=1", b"payload", b"payload=%zz", b"payload=%7"):
            event = Event("workflow_job", body, guid_of_time(time.time()))
            with self.subTest(body=body):
                self.assertEqual(self.daemon.deliver(event, content_type=kind).status, 400)

    def test_content_types_may_have_parameters_and_capitals(self):
        for kind in ("application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"):
            with self.subTest(kind):
                self.assertEqual(self.answer(new_event(), content_type=kind), (202, "accepted"))

    def test_other_content_types_are_refused(self):
        for kind in ("text/plain", "application/jsonx", "application/xml", "multipart/form-data; boundary=x"):
            with self.subTest(kind):
                self.assertEqual(self.daemon.deliver(new_event(), content_type=kind).status, 415)

    def test_other_paths_are_not_found(self):
        for path in ("/", "/webhook/", "/webhooks", "/WEBHOOK", "//webhook", "/webhook/x", "/metrics"):
            with self.subTest(path):
                self.assertEqual(self.daemon.deliver(new_event(), path=path).status, 404)

    def test_a_query_does_not_change_the_path(self):
        self.assertEqual(self.daemon.deliver(new_event(), path="/webhook?source=github").status, 202)

    def test_the_answer_to_another_method_names_the_allowed_one(self):
        for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
            with self.subTest(method), self.daemon.client() as client:
                answer = client.request(method, "/webhook")
                self.assertEqual(answer.status, 405)
                self.assertIn("POST", answer.headers["Allow"])

    def test_head_is_answered_without_a_body(self):
        with self.daemon.client() as client:
            self.assertIn(client.request("HEAD", "/webhook").status, (404, 405))
            self.assertEqual(client.deliver(new_event()).status, 202, "the connection is still in step")

    def test_a_body_over_the_limit_is_refused(self):
        event = new_event().edited(with_value("x" * (1 << 20), "padding"))
        with self.daemon.client() as client:
            self.assertEqual(client.deliver(event).status, 413)

    def test_a_body_just_under_the_limit_is_accepted(self):
        event = new_event()
        event = event.edited(with_value("x" * ((1 << 20) - len(event.body) - 100), "padding"))
        self.assertEqual(self.answer(event), (202, "accepted"))

    def test_health_and_readiness_are_served_on_both_listeners(self):
        for address in (self.daemon.address, self.daemon.admin_address):
            with self.subTest(address=address), Client(address) as client:
                health = client.request("GET", "/health")
                self.assertEqual(health.outcome, (200, "healthy"))
                self.assertEqual(health.headers.get_content_type(), "application/json")
                self.assertEqual(client.request("GET", "/ready").status, 200)

    def test_an_event_without_a_guid_is_used(self):
        event = new_event()
        headers = delivery_headers(event)
        del headers["X-GitHub-Delivery"]
        with self.daemon.client() as client:
            self.assertIn(client.request("POST", "/webhook", event.body, headers).status, (202, 400))

    def test_an_event_without_a_type_is_refused(self):
        event = new_event()
        headers = delivery_headers(event)
        del headers["X-GitHub-Event"]
        with self.daemon.client() as client:
            self.assertEqual(client.request("POST", "/webhook", event.body, headers).status, 400)

    def test_unknown_fields_and_numbers_of_any_size_do_no_harm(self):
        def change(document):
            document["workflow_run"].update(surprise=[{"a": 10 ** 400}, None, 1e308, -0.0], score=2 ** 80)
        self.assertEqual(self.answer(new_event().edited(change)), (202, "accepted"))

    def test_json_may_be_spelled_with_escapes_and_blanks(self):
        document = json.loads(new_event().body)
        body = json.dumps(document, ensure_ascii=True, indent=2).replace('"action"', '"\\u0061ction"').encode()
        event = Event("workflow_run", b"\r\n\t " + body + b" \n", guid_of_time(time.time()))
        self.assertEqual(self.answer(event), (202, "accepted"))


class Settings(harness.BlackBoxTest):
    def test_any_of_several_secrets_signs(self):
        daemon = self.new_daemon(start=False)
        daemon.secret_file.write_text("first\nsecond secret\n")
        daemon.start()
        for secret, status in (("first", 202), ("second secret", 202), ("third", 401), ("", 401), ("first\n", 401)):
            self.assertEqual(daemon.deliver(new_event(), secret=secret).status, status, secret)

    def test_secrets_are_read_again_on_sighup(self):
        daemon = self.new_daemon()
        self.assertEqual(daemon.deliver(new_event(), secret="fresh").status, 401)
        daemon.secret_file.write_text("fresh\n")
        daemon.process.send_signal(1)
        harness.wait_until(lambda: daemon.deliver(new_event(), secret="fresh").status == 202, what="the new secret")
        self.assertEqual(daemon.deliver(new_event()).status, 401, "the old one is gone")

    def test_a_bad_secret_file_on_sighup_keeps_the_old_secrets_in_use(self):
        daemon = self.new_daemon()
        daemon.secret_file.write_text("\n")
        daemon.process.send_signal(1)
        time.sleep(0.3)
        self.assertEqual(daemon.deliver(new_event()).status, 202)
        self.assertEqual(daemon.deliver(new_event(), secret="").status, 401, "never an empty secret")

    def test_the_webhook_path_can_be_chosen(self):
        daemon = self.new_daemon(webhook_path="/hooks/github")
        self.assertEqual(daemon.deliver(new_event(), path="/hooks/github").status, 202)
        self.assertEqual(daemon.deliver(new_event()).status, 404)

    def test_repositories_can_be_chosen(self):
        daemon, collector = self.new_pair(repos="acme/*,!acme/secret*")
        cases = {"acme/rocket": "accepted", "acme/secrets": "ignored", "other/rocket": "ignored"}
        for name, outcome in cases.items():
            with self.subTest(name):
                event = Run(repository=Repository(name)).requested()
                self.assertEqual(daemon.deliver(event).outcome[1], outcome)

    def test_of_repositories_the_last_glob_that_matches_decides_in_any_case(self):
        daemon = self.new_daemon(repos="[af]*/*, !acme/Secret-*, ACME/secret-santa")
        cases = {"acme/rocket": "accepted", "Foo/Bar": "accepted", "beta/rocket": "ignored", "Acme/secret-plans": "ignored",
                 "acme/Secret-Santa": "accepted", "[af]x/rocket": "ignored"}
        for name, outcome in cases.items():
            with self.subTest(name):
                self.assertEqual(daemon.deliver(Run(repository=Repository(name)).requested()).outcome[1], outcome)

    def test_a_glob_with_a_bracket_left_open_is_refused_at_the_start(self):
        shown = harness.run_command("check", "--insecure-no-signature", "--repos", "[af*/x")
        self.assertEqual(shown.returncode, 2)
        self.assertIn('"[af*/x" has a [ without its ]', shown.stderr)

    def test_unsigned_deliveries_are_accepted_only_with_the_setting_for_it(self):
        daemon = self.new_daemon(webhook_secret_file=None, insecure_no_signature="on")
        self.assertEqual(daemon.deliver(new_event(), secret=None).status, 202)

    def test_a_full_store_is_reported_and_nothing_answered_2xx_is_lost(self):
        daemon, collector = self.new_pair(db_max_size="1MiB")
        collector.stop()
        accepted, refused = [], None
        for _ in range(4000):
            run = Run()
            event = run.completed()
            answer = daemon.deliver(event)
            if answer.status != 202:
                refused = answer
                break
            accepted.append((expect.Ids(run.run_id).trace, expect.Ids(run.run_id).root))
        self.assertIsNotNone(refused, "1 MiB took 4,000 runs")
        self.assertEqual(refused.status, 503, refused)
        self.assertGreater(int(refused.headers["Retry-After"]), 0)
        self.assertEqual(daemon.admin("/ready").status, 503)
        self.assertEqual(daemon.admin("/health").status, 200)
        collector.start()
        collector.wait_for_ids(accepted)
        harness.wait_until(lambda: daemon.deliver(new_event()).status == 202, what="room in the store")
        harness.wait_until(lambda: daemon.admin("/ready").status == 200, what="readiness")


class SlowClients(harness.BlackBoxTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair()

    def read_late(self, first, found, key):
        found[key] = harness.raw_exchange(self.daemon.address, first, timeout=180)

    def test_requests_that_never_end_are_given_up_while_others_are_served(self):
        event = new_event()
        head = (f"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                f"X-GitHub-Event: workflow_run\r\nX-GitHub-Delivery: {event.guid}\r\n"
                f"X-Hub-Signature-256: {sign(event.body)}\r\nContent-Length: {len(event.body)}\r\n\r\n").encode()
        found = {}
        beginnings = {"line": b"POST /webh", "head": head[:60], "body": head + event.body[:100]}
        threads = [threading.Thread(target=self.read_late, args=(data, found, key), daemon=True)
                   for key, data in beginnings.items()]
        for thread in threads:
            thread.start()
        for _ in range(50):
            self.assertEqual(self.daemon.deliver(new_event()).status, 202)
        for thread in threads:
            thread.join(200)
        for key in beginnings:
            with self.subTest(key):
                self.assertIn(b"408", found[key].split(b"\r\n")[0])
