"""Every attribute that is sent is in the registry of OpenTelemetry's semantic conventions, with its type, or is known to be
our own. What is sent is taken from what a daemon exported, of all recorded deliveries."""
import re
import unittest

import build
import company
import harness
from company import CompanyTest

TYPES = {str: "string", bool: "boolean", int: "int", float: "double"}

# Names that are in no registry: GitHub's own below `github.`, and two that ARC's recorder or otel-explorer has too.
OURS = {"type", "queue_time_ms"}
OUR_NAMESPACE = "github."

# Attributes of which the registry lists some values, and any other is allowed.
OPEN = {"error.type"}

NAMESPACES = ("cicd.", "vcs.", "deployment.", "error.")


def type_of(value):
    if isinstance(value, list):
        return TYPES[type(value[0])] + "[]"
    return TYPES[type(value)]


def go_registry():
    """{name: type}, {name: listed values}"""
    text = build.registry().read_text()
    keys = re.findall(r"((?:\t//.*\n)+)\t(\w+)Key = attribute\.Key\(\"([^\"]+)\"\)", text)
    types = {name: re.search(r"// Type: (\S+)", comment).group(1) for comment, _, name in keys}
    names = {key: name for _, key, name in keys}
    values = {}
    for key, value in re.findall(r"= (\w+)Key\.String\(\"([^\"]*)\"\)", text):
        values.setdefault(names[key], set()).add(value)
    return types, values


def newest_registry():
    """{name: whether it is deprecated}"""
    found = re.findall(r"/\*\*((?:(?!\*/)[\s\S])*)\*/\ndeclare const ATTR_\w+: \"([^\"]+)\";", build.newest().read_text())
    return {name: "@deprecated" in comment for comment, name in found}


class Conventions(CompanyTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.share_pair(root_grace="1s")
        for event in company.deliveries():
            answer = cls.daemon.deliver(event)
            assert answer.status in (200, 202), answer
        company.settle([cls.daemon])
        cls.types, cls.values = go_registry()
        cls.sent = {}
        for span in cls.collector.trace():
            for name, value in {**span["resource"], **span["attributes"]}.items():
                cls.sent.setdefault(name, []).append(value)

    def type_in_registry(self, name):
        """Enumerations are of strings."""
        return {"Enum": "string"}.get(self.types[name], self.types[name])

    def test_what_is_sent_is_all_that_can_be(self):
        """A name in the source that no delivery led to would not be checked."""
        text = "".join(path.read_text() for path in (harness.ROOT / "src/trace").glob("*.c"))
        names = set(re.findall(r'"((?:cicd|vcs|deployment|error)\.[a-z._]+)"', text))
        self.assertGreater(len(names), 20)
        self.assertEqual(names - self.sent.keys(), set())

    def test_attributes_of_the_conventions_exist_with_their_type(self):
        for name, values in self.sent.items():
            if name.startswith(NAMESPACES):
                self.assertIn(name, self.types)
                self.assertEqual({type_of(value) for value in values}, {self.type_in_registry(name)}, name)

    def test_all_others_are_of_the_conventions_too_or_ours(self):
        for name, values in self.sent.items():
            if name in self.types:
                self.assertEqual({type_of(value) for value in values}, {self.type_in_registry(name)}, name)
            else:
                self.assertTrue(name in OURS or name.startswith(OUR_NAMESPACE), name)
        self.assertEqual(OURS - self.sent.keys(), set(), "listed, and never sent")
        self.assertEqual([name for name in self.types if name in OURS or name.startswith(OUR_NAMESPACE)], [],
                         "the registry has it now")

    def test_an_attribute_of_ours_has_one_type(self):
        for name, values in self.sent.items():
            kinds = sorted({type_of(value) for value in values})
            # ARC's recorder has the number of a job as text, and so have its three spans here.
            self.assertEqual(kinds, ["int", "string"] if name == "github.job_id" else kinds[:1], name)

    def test_values_are_those_that_the_registry_lists(self):
        listed = [name for name in self.sent if name in self.values and name not in OPEN]
        self.assertLessEqual({"cicd.pipeline.result", "cicd.pipeline.task.run.result", "vcs.provider.name",
                              "vcs.ref.head.type"}, set(listed))
        for name in listed:
            self.assertEqual(set(self.sent[name]) - self.values[name], set(), name)

    @unittest.skipUnless(build.newest().exists(), "npm is not here: the newest release of the conventions is not looked at")
    def test_the_newest_release_has_them_too_and_deprecates_none(self):
        newest = newest_registry()
        self.assertGreater(len(newest), 500)
        self.assertEqual({name: newest.get(name) for name in self.sent if name in self.types},
                         {name: False for name in self.sent if name in self.types})
