"""The stand-ins themselves: a collector or a payload that is wrong would prove nothing."""
import json
import time
import unittest
import urllib.request
import uuid

import collector as standin
import expect
import harness
import payloads


def post(collector, body, kind=standin.PROTOBUF):
    request = urllib.request.Request(collector.endpoint + "/v1/traces", body, {"Content-Type": kind, "User-Agent": "t"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.status, answer.read()


def field(number, data):
    return bytes([number << 3 | 2, len(data)]) + data


def request_of(name):
    span = field(1, b"T" * 16) + field(2, b"S" * 8) + field(5, name) + b"\x30\x01"
    return field(1, field(2, field(2, span)))


class StandIns(harness.BlackBoxTest):
    def test_signatures_are_those_of_githubs_documentation(self):
        self.assertEqual(harness.sign(b"Hello, World!"),
                         "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")

    def test_a_guid_carries_the_time_of_its_event(self):
        at = time.time()
        guid = uuid.UUID(payloads.guid_of_time(at))
        self.assertEqual(guid.version, 1)
        self.assertAlmostEqual((guid.time - 0x01B21DD213814000) / 1e7, at, delta=0.001)

    def test_payloads_have_the_size_of_githubs(self):
        run = payloads.Run()
        run.job()
        for event in run.timeline():
            json.loads(event.body)
            self.assertIn(len(event.body) // 1000, range(6, 23), event.action)

    def test_the_collector_decodes_what_it_gets(self):
        collector = self.new_collector()
        self.assertEqual(post(collector, request_of(b"one"))[0], 200)
        self.assertEqual([span["name"] for span in collector.trace()], ["one"])
        self.assertEqual(collector.ids(), {("54" * 16, "53" * 8): 1})

    def test_the_collector_refuses_invalid_text_and_cut_messages(self):
        for body in (request_of(b"\xff"), request_of(b"one")[:-2] + b"\x30"):
            with self.subTest(body=body):
                collector = self.new_collector()
                post(collector, body)
                with self.assertRaises((ValueError, IndexError)):
                    collector.trace()

    def test_the_collector_notices_one_span_in_two_versions(self):
        collector = self.new_collector()
        post(collector, request_of(b"one"))
        post(collector, request_of(b"two"))
        with self.assertRaisesRegex(AssertionError, "two versions"):
            collector.trace()

    def test_a_stopped_collector_refuses_and_comes_back_at_its_port(self):
        collector = self.new_collector()
        port = collector.port
        collector.stop()
        with self.assertRaises(OSError):
            post(collector, request_of(b"one"))
        collector.start()
        self.assertEqual(collector.port, port)
        self.assertEqual(post(collector, request_of(b"one"))[0], 200)

    def test_the_second_implementation_of_the_rules_makes_the_published_ids(self):
        ids = expect.Ids(33714470481)
        self.assertEqual(ids.trace, "9150f2e0b329bcd73a7fa70c540a1776")
        self.assertEqual(ids.phase("runner.queue", 100520616165), "43bff11a853954a6")
        self.assertEqual(expect.CollectorIds(33714470481).phase("runner.startup", 100520616165), "b4be8ee340a88258")


if __name__ == "__main__":
    unittest.main()
