#!/usr/bin/env python3
"""Reads OTLP trace requests, in both encodings, into one normal form, and compares them.

    otlp_compare.py PROTOBUF_FILE JSON_FILE     exits 1 with a diff, 2 if it cannot read them

The protobuf side is read by `protoc --decode` with tests/otlp.proto, so no code of the program
under test takes part. Both readers are strict: unknown fields, values of the wrong type and
duplicate attribute keys raise ValueError.

Normal form: a list with one entry for each scope_spans of each resource_spans, in order:

    {"resource": {attribute key: value}, "resourceSchemaUrl": str,
     "scope": {"name": str, "version": str, "attributes": {}}, "scopeSchemaUrl": str,
     "spans": [{"traceId": hex, "spanId": hex, "parentSpanId": hex or "", "traceState": str,
                "name": str, "kind": int, "startTimeUnixNano": int, "endTimeUnixNano": int,
                "attributes": {key: value}, "events": [...], "links": [...],
                "status": {"code": int, "message": str}, "flags": int}]}

Values are str, bool, int, float, list, dict, bytes, or None (an AnyValue that says nothing).
"""
import base64
import difflib
import json
import pathlib
import pprint
import re
import subprocess
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = "opentelemetry.proto.collector.trace.v1"
KINDS = ["SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT",
         "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"]
CODES = ["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"]


# --- the text format of protoc --decode -----------------------------------------------------------

TOKEN = re.compile(rb'\s*(?:(?P<name>[A-Za-z_][A-Za-z_0-9]*|[0-9]+)\s*(?P<open>\{|:)|(?P<close>\}))')
SCALAR = re.compile(rb'\s*("(?P<text>(?:[^"\\\n]|\\.)*)"|(?P<word>[^\s"]+))')
END = re.compile(rb'\s*\Z')
ESCAPE = re.compile(rb'\\([0-7]{1,3}|x[0-9a-fA-F]{1,2}|.)')
ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b'"': b'"', b"'": b"'", b"\\": b"\\"}


def unescape(text):
    def replace(match):
        code = match.group(1)
        if code in ESCAPES:
            return ESCAPES[code]
        return bytes([int(code[1:], 16) if code[:1] == b"x" else int(code, 8)])
    return ESCAPE.sub(replace, text)


def parse_scalar(text, position):
    match = SCALAR.match(text, position)
    if not match:
        raise ValueError(f"no value at offset {position}")
    if match.group("text") is not None:
        return unescape(match.group("text")), match.end()
    return match.group("word").decode(), match.end()


def parse_message(text, position=0, depth=0):
    """{field name: [values in order]}; strings and bytes as bytes, everything else as a word."""
    fields = {}
    while depth > 0 or END.match(text, position) is None:
        match = TOKEN.match(text, position)
        if not match:
            raise ValueError(f"not protobuf text at offset {position}")
        position = match.end()
        if match.group("close"):
            if depth == 0:
                raise ValueError("a brace too many")
            return fields, position
        name = match.group("name").decode()
        if name.isdigit():
            raise ValueError(f"field {name} is not in the schema")
        if match.group("open") == b"{":
            value, position = parse_message(text, position, depth + 1)
        else:
            value, position = parse_scalar(text, position)
        fields.setdefault(name, []).append(value)
    return fields, position


def decode_protobuf(data, message="ExportTraceServiceRequest"):
    """The message as parse_message gives it. ValueError if protoc refuses the bytes."""
    run = subprocess.run(["protoc", f"-I{TESTS}", f"--decode={PACKAGE}.{message}", "otlp.proto"],
                         input=data, capture_output=True, check=False)
    # protoc complains about invalid UTF-8 on stderr, in some versions without failing.
    if run.returncode != 0 or run.stderr:
        raise ValueError("protoc: " + run.stderr.decode(errors="replace").strip())
    return parse_message(run.stdout)[0]


# --- one description of the messages, two ways of reading a field ----------------------------------

class Text:
    """A parsed text message: field names in snake_case, lists of raw values."""

    def __init__(self, fields):
        self.fields = dict(fields)

    def take(self, name):
        return self.fields.pop(re.sub("([A-Z])", lambda m: "_" + m.group(1).lower(), name), None)

    def one(self, name, convert, default):
        values = self.take(name)
        if values is None:
            return default
        if len(values) != 1:
            raise ValueError(f"{name} given {len(values)} times")
        return convert(values[0])

    def many(self, name, read):
        return [read(Text(value)) for value in self.take(name) or []]

    def message(self, name, read):
        return self.one(name, lambda value: read(Text(value)), None)

    def string(self, name, default=""):
        return self.one(name, lambda value: value.decode("utf-8"), default)

    def identity(self, name):
        return self.one(name, lambda value: value.hex(), "")

    def data(self, name):
        return self.one(name, bytes, None)

    def number(self, name, default=0):
        return self.one(name, int, default)

    wide = number

    def enum(self, name, names):
        return self.one(name, lambda word: names.index(word) if word in names else int(word), 0)

    def boolean(self, name):
        return self.one(name, {"true": True, "false": False}.__getitem__, None)

    def double(self, name):
        return self.one(name, float, None)


class Json(Text):
    """A JSON object: lowerCamelCase names, and the types that OTLP/JSON prescribes."""

    def take(self, name):
        return self.fields.pop(name, None)

    def typed(self, name, kind, default, convert=lambda value: value):
        value = self.take(name)
        if value is None:
            return default
        if type(value) is not kind:
            raise ValueError(f"{name}: {value!r} is not of type {kind.__name__}")
        return convert(value)

    def many(self, name, read):
        return [read(Json(value)) for value in self.typed(name, list, [])]

    def message(self, name, read):
        return self.typed(name, dict, None, lambda value: read(Json(value)))

    def string(self, name, default=""):
        return self.typed(name, str, default)

    def identity(self, name):
        def check(value):
            if not re.fullmatch("([0-9a-f]{2})*", value):
                raise ValueError(f"{name}: {value!r} is not lower-case hex")
            return value
        return self.typed(name, str, "", check)

    def data(self, name):
        return self.typed(name, str, None, lambda value: base64.b64decode(value, validate=True))

    def number(self, name, default=0):
        return self.typed(name, int, default)

    def wide(self, name, default=0):
        def check(value):
            if not re.fullmatch("0|-?[1-9][0-9]*", value):
                raise ValueError(f"{name}: {value!r} is not a decimal string")
            return int(value)
        return self.typed(name, str, default, check)

    def enum(self, name, names):
        return self.typed(name, int, 0)

    def boolean(self, name):
        return self.typed(name, bool, None)

    def double(self, name):
        value = self.take(name)
        if isinstance(value, str):
            if value not in ("NaN", "Infinity", "-Infinity"):
                raise ValueError(f"{name}: {value!r}")
            return float(value)
        return None if value is None else float(value)


def done(source, value):
    if source.fields:
        raise ValueError(f"unknown fields {sorted(source.fields)}")
    return value


def read_value(source):
    members = {
        "string": source.string("stringValue", None), "bool": source.boolean("boolValue"),
        "int": source.wide("intValue", None), "double": source.double("doubleValue"),
        "array": source.message("arrayValue", lambda s: done(s, s.many("values", read_value))),
        "kvlist": source.message("kvlistValue", lambda s: done(s, read_attributes(s, "values"))),
        "bytes": source.data("bytesValue"),
    }
    given = [value for value in members.values() if value is not None]
    if len(given) > 1:
        raise ValueError(f"more than one member of a value: {members}")
    return done(source, given[0] if given else None)


def read_attributes(source, name="attributes"):
    pairs = source.many(name, lambda s: done(s, (s.string("key"), s.message("value", read_value))))
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError(f"duplicate attribute keys: {sorted(key for key, _ in pairs)}")
    return result


def with_dropped(source, result, *names):
    """Dropped counts are included only if they are not 0."""
    for name in names:
        count = source.number(name)
        if count:
            result[name] = count
    return done(source, result)


def read_event(source):
    return with_dropped(source, {
        "timeUnixNano": source.wide("timeUnixNano"), "name": source.string("name"),
        "attributes": read_attributes(source)}, "droppedAttributesCount")


def read_link(source):
    return with_dropped(source, {
        "traceId": source.identity("traceId"), "spanId": source.identity("spanId"),
        "traceState": source.string("traceState"), "attributes": read_attributes(source),
        "flags": source.number("flags")}, "droppedAttributesCount")


def read_status(source):
    return done(source, {"code": source.enum("code", CODES), "message": source.string("message")})


def read_span(source):
    return with_dropped(source, {
        "traceId": source.identity("traceId"), "spanId": source.identity("spanId"),
        "parentSpanId": source.identity("parentSpanId"), "traceState": source.string("traceState"),
        "name": source.string("name"), "kind": source.enum("kind", KINDS),
        "startTimeUnixNano": source.wide("startTimeUnixNano"),
        "endTimeUnixNano": source.wide("endTimeUnixNano"),
        "attributes": read_attributes(source), "events": source.many("events", read_event),
        "links": source.many("links", read_link),
        "status": source.message("status", read_status) or {"code": 0, "message": ""},
        "flags": source.number("flags"),
    }, "droppedAttributesCount", "droppedEventsCount", "droppedLinksCount")


def read_scope(source):
    return with_dropped(source, {
        "name": source.string("name"), "version": source.string("version"),
        "attributes": read_attributes(source)}, "droppedAttributesCount")


def read_scope_spans(source):
    return done(source, {
        "scope": source.message("scope", read_scope)
        or {"name": "", "version": "", "attributes": {}},
        "scopeSchemaUrl": source.string("schemaUrl"), "spans": source.many("spans", read_span)})


def read_resource(source):
    return with_dropped(source, {"resource": read_attributes(source)}, "droppedAttributesCount")


def read_resource_spans(source):
    resource = source.message("resource", read_resource) or {"resource": {}}
    resource["resourceSchemaUrl"] = source.string("schemaUrl")
    return done(source, [{**resource, **scope}
                         for scope in source.many("scopeSpans", read_scope_spans)])


def read_request(source):
    return done(source, sum(source.many("resourceSpans", read_resource_spans), []))


# --- for the tests -------------------------------------------------------------------------------

def parse_protobuf(data):
    """The normal form of an ExportTraceServiceRequest in protobuf (bytes)."""
    return read_request(Text(decode_protobuf(data)))


def parse_json(data):
    """The normal form of an ExportTraceServiceRequest in JSON (bytes or str)."""
    def without_repeats(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError(f"a key twice in one object: {[key for key, _ in pairs]}")
        return dict(pairs)

    def refuse(word):
        raise ValueError(f"{word} is not JSON")
    text = data.decode("utf-8") if isinstance(data, bytes) else data
    return read_request(Json(json.loads(text, object_pairs_hook=without_repeats, parse_constant=refuse)))


def load_protobuf(path):
    return parse_protobuf(pathlib.Path(path).read_bytes())


def load_json(path):
    return parse_json(pathlib.Path(path).read_bytes())


def main(arguments):
    if len(arguments) != 2:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    texts = []
    for load, path in zip((load_protobuf, load_json), arguments):
        try:
            texts.append(pprint.pformat(load(path), width=100).splitlines(keepends=True))
        except (OSError, ValueError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 2
    difference = "".join(difflib.unified_diff(*texts, fromfile=arguments[0], tofile=arguments[1]))
    sys.stdout.write(difference)
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
