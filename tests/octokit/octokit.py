#!/usr/bin/env python3
"""Octokit's example payloads, and payloads made from its schemas, against the real program.

Fetched from the npm registry that `npm` is set up for; nothing of it is kept. Every example, as JSON and as a form, must
be answered 2xx. Of the schemas' payloads of workflow_job and workflow_run, every alternative that they permit is sent
(null, each type, each word, each form of a list, optional fields left out, numbers and texts of odd size: one at a time,
then several at random); all must be taken, but for those whose identity is no positive 64-bit integer, which must be
400.
"""
import argparse
import collections
import itertools
import json
import os
import pathlib
import random
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
os.environ["GHATRACE"] = str(pathlib.Path(os.environ.get("GHATRACE", "build/dev-gcc/ghatrace")).resolve())
sys.path.insert(0, str(HERE.parent / "blackbox"))
import harness  # noqa: E402
from payloads import Event, guid_of_time  # noqa: E402

EXAMPLES, SCHEMAS = "@octokit/webhooks-examples", "@octokit/webhooks-schemas"
IDENTITY = {"workflow_job.id", "workflow_job.run_id", "workflow_run.id"}
INTEGERS = [0, -1, 2 ** 31, 2 ** 53 + 1, 2 ** 63 - 1, 2 ** 63, 10 ** 40, 7.0, 1e22]
TEXTS = ["", " ", "x" * 5000, "caf\u00e9 \U0001F680\0\ud800"]
TIMES = ["2026-09-21T14:13:20.123456789+02:00", "1969-12-31T23:59:59Z", "not a time", ""]
_ids = itertools.count(40_000_000_000)


# --- fetching --------------------------------------------------------------------------------------

def fetch(package, folder):
    """The package's files, unpacked."""
    packed = subprocess.run(["npm", "pack", package, "--silent"], cwd=folder, capture_output=True, text=True, check=False)
    if packed.returncode != 0:
        sys.exit(f"npm pack {package}: {packed.stderr.strip() or packed.stdout.strip()}")
    target = folder / package.replace("/", "-")
    with tarfile.open(folder / packed.stdout.split()[-1]) as archive:
        archive.extractall(target, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(target)
    root = target / "package"
    return root, json.loads((root / "package.json").read_text())["version"]


# --- payloads from a schema ------------------------------------------------------------------------

class Chooser:
    """Which alternative is taken where. Told which and how many there are, for those who try the others."""

    def __init__(self, chosen=None, dice=None):
        self.chosen, self.dice, self.points = chosen or {}, dice, {}

    def pick(self, path, count):
        self.points[path] = count
        if path in self.chosen:
            return min(self.chosen[path], count - 1)
        return self.dice.randrange(count) if self.dice and self.dice.random() < 0.2 else 0


class Maker:
    def __init__(self, definitions, chooser):
        self.definitions, self.chooser = definitions, chooser

    def resolved(self, schema):
        while "$ref" in schema:
            schema = self.definitions[schema["$ref"].rsplit("/", 1)[1]]
        if "allOf" not in schema:
            return schema
        whole = {"type": "object", "properties": {}, "required": []}
        for part in map(self.resolved, schema["allOf"]):
            for key, value in part.get("properties", {}).items():
                whole["properties"][key] = value
            whole["required"] += part.get("required", [])
        return whole

    def one_of(self, path, alternatives):
        return alternatives[self.chooser.pick(path, len(alternatives))]

    def make(self, schema, path):
        schema = self.resolved(schema)
        if "oneOf" in schema or "anyOf" in schema:
            return self.make(self.one_of(path + "|", schema.get("oneOf") or schema["anyOf"]), path)
        if "enum" in schema:
            return self.one_of(path + "=", schema["enum"])
        kinds = schema.get("type", "object")
        kind = self.one_of(path + ":", kinds) if isinstance(kinds, list) else kinds
        return getattr(self, "make_" + kind)(schema, path)

    def make_object(self, schema, path):
        made = {}
        for key, part in schema.get("properties", {}).items():
            inner = f"{path}.{key}" if path else key
            if key in schema.get("required", []) or self.chooser.pick(inner + "?", 2) == 0:
                made[key] = self.make(part, inner)
        return made

    def make_array(self, schema, path):
        count = self.one_of(path + "#", [1, 0, 3])
        return [self.make(schema.get("items", {"type": "string"}), f"{path}[{i}]") for i in range(count)]

    def make_integer(self, schema, path):
        return self.one_of(path, [next(_ids) if path in IDENTITY else 1, *INTEGERS])

    def make_number(self, schema, path):
        return self.one_of(path, [1, 1.5, *INTEGERS])

    def make_string(self, schema, path):
        if schema.get("format") == "date-time":
            return self.one_of(path, ["2026-09-21T14:13:20Z", *TIMES])
        return self.one_of(path, ["https://github.com/acme/widgets" if schema.get("format") == "uri" else "word", *TEXTS])

    def make_boolean(self, schema, path):
        return self.one_of(path, [False, True])

    def make_null(self, schema, path):
        return None


def payloads_of(definitions, name, random_ones):
    """(what is chosen, payload) for all single choices, then for many at random."""
    schema, usual = definitions[name], Chooser()
    yield "as usual", Maker(definitions, usual).make(schema, "")
    todo, seen = list(usual.points.items()), set(usual.points)
    while todo:
        path, count = todo.pop()
        for choice in range(1, count):
            chooser = Chooser({path: choice})
            yield f"{path} {choice}", Maker(definitions, chooser).make(schema, "")
            todo += [(key, value) for key, value in chooser.points.items() if key not in seen]
            seen |= set(chooser.points)
    for seed in range(random_ones):
        yield f"seed {seed}", Maker(definitions, Chooser(dice=random.Random(f"{name} {seed}"))).make(schema, "")


def has_identity(kind, payload):
    ids = [payload["workflow_run"]["id"]] if kind == "workflow_run" else [payload["workflow_job"][key]
                                                                           for key in ("id", "run_id")]
    return all(number == int(number) and 0 < number < 2 ** 63 for number in ids)


# --- the two parts ---------------------------------------------------------------------------------

def deliver(daemon, kind, payload, as_form=False):
    event = Event(kind, json.dumps(payload).encode(), guid_of_time(time.time()))
    if as_form:
        return daemon.deliver(harness.form_of(event), content_type="application/x-www-form-urlencoded")
    return daemon.deliver(event)


def run_examples(daemon, root):
    answers, wrong = collections.Counter(), []
    for index in sorted(root.glob("*/index.json")):
        for entry in json.loads(index.read_text()):
            for (number, example), as_form in itertools.product(enumerate(entry["examples"]), (False, True)):
                answer = deliver(daemon, entry["name"], example, as_form)
                ours = entry["name"] if entry["name"] in ("workflow_job", "workflow_run", "ping") else "other"
                answers[ours, *answer.outcome] += 1
                if not 200 <= answer.status < 300:
                    wrong.append(f"{index.parent.name} {entry['name']} example {number}: {answer}")
    for (kind, status, word), count in sorted(answers.items()):
        print(f"  {count:6} {kind}: {status} {word}")
    return sum(answers.values()), wrong


def run_schemas(daemon, root, random_ones):
    definitions = json.loads((root / "schema.json").read_text())["definitions"]
    answers, wrong = collections.Counter(), []
    for name in sorted(definitions):
        kind = name.split("$")[0]
        if "$" not in name or kind not in ("workflow_job", "workflow_run"):
            continue
        for what, payload in payloads_of(definitions, name, random_ones):
            answer = deliver(daemon, kind, payload)
            answers[name.replace("$", " "), answer.status] += 1
            if answer.outcome != (202, "accepted") if has_identity(kind, payload) else answer.status != 400:
                wrong.append(f"{name} with {what}: {answer}")
    for (name, status), count in sorted(answers.items()):
        print(f"  {count:6} {name}: {status}")
    return sum(answers.values()), wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--random", type=int, default=500, help="random payloads of each action (500)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ghatrace-octokit-") as name:
        folder = pathlib.Path(name)
        daemon = harness.Daemon(folder, db=str(folder / "db")).start()
        try:
            root, version = fetch(EXAMPLES, folder)
            print(f"{EXAMPLES} {version}")
            count, wrong = run_examples(daemon, root)
            root, version = fetch(SCHEMAS, folder)
            print(f"{SCHEMAS} {version}")
            made, more = run_schemas(daemon, root, options.random)
        finally:
            daemon.stop()
    wrong += more
    for line in wrong[:20]:
        print("WRONG", line)
    print(f"{count} examples, {made} payloads from schemas, {len(wrong)} answered otherwise than they should")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
