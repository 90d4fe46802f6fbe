#!/usr/bin/env python3
"""Reads OTLP metrics requests, in both encodings, into one normal form, and compares them.

    otlp_metrics.py PROTOBUF_FILE JSON_FILE     exits 1 if they differ, 2 if it cannot read them

The protobuf side is read by `protoc --decode` with tests/otlp_metrics.proto. Both readers are strict: an unknown field, a
value of the wrong type and a repeated attribute raise ValueError.

Normal form: {"resource": {key: value}, "scope": (name, version), "schemas": (resource's, scope's),
              "metrics": {name: {"unit", "description", "kind": gauge|updown|counter|histogram, "points": [point]}}}
A point: {"attributes": {key: value}, "start": int, "time": int} and "value", or "count", "sum", "buckets", "bounds",
"exemplars": [(time, value, trace ID)].
"""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from otlp_compare import TESTS, parse_message  # noqa: E402

PACKAGE = "opentelemetry.proto.collector.metrics.v1"


def take(fields, name, default=None):
    """A field of a message, which is then read."""
    return fields.pop(name, default)


def nothing_left(fields, what):
    if fields:
        raise ValueError(f"{what} has unknown fields: {sorted(fields)}")


# --- protobuf -> the same structure as the JSON ------------------------------------------------------

REPEATED = {"resource_metrics", "scope_metrics", "metrics", "attributes", "data_points", "bucket_counts",
            "explicit_bounds", "exemplars", "values"}
TEXTS = {"name", "version", "unit", "description", "schema_url", "key", "string_value"}
# In JSON these are strings, since they have 64 bits.
WIDE = {"time_unix_nano", "start_time_unix_nano", "count", "bucket_counts", "as_int", "int_value"}
DOUBLES = {"sum", "as_double", "explicit_bounds"}
ENUMS = {"AGGREGATION_TEMPORALITY_CUMULATIVE": 2, "AGGREGATION_TEMPORALITY_DELTA": 1}


def camel(name):
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def as_json(fields):
    """What parse_message() gave, as the JSON of the same message."""
    found = {}
    for name, values in fields.items():
        converted = [value_as_json(name, value) for value in values]
        if name not in REPEATED and len(converted) != 1:
            raise ValueError(f"{name} given {len(converted)} times")
        found[camel(name)] = converted if name in REPEATED else converted[0]
    return found


def value_as_json(name, value):
    if isinstance(value, dict):
        return as_json(value)
    if name in TEXTS:
        return value.decode("utf-8")
    if name in ("trace_id", "span_id"):
        return value.hex()
    if name in DOUBLES:
        return float(value)
    if name in WIDE:
        return str(int(value))
    if value in ("true", "false"):
        return value == "true"
    return ENUMS[value] if value in ENUMS else int(value)


def decode_protobuf(data):
    run = subprocess.run(["protoc", f"-I{TESTS}", f"--decode={PACKAGE}.ExportMetricsServiceRequest", "otlp_metrics.proto"],
                         input=data, capture_output=True, check=False)
    if run.returncode != 0 or run.stderr:
        raise ValueError("protoc: " + run.stderr.decode(errors="replace").strip())
    return as_json(parse_message(run.stdout)[0])


# --- the normal form ---------------------------------------------------------------------------------

def wide(value):
    if not isinstance(value, str):
        raise ValueError(f"{value!r}: a number of 64 bits is a string in JSON")
    return int(value)


def attributes_of(items):
    found = {}
    for item in items or []:
        key, value = item["key"], dict(item["value"])
        (kind, content), = value.items()
        if key in found:
            raise ValueError(f"attribute {key} is repeated")
        found[key] = {"stringValue": str, "intValue": wide, "boolValue": bool}[kind](content)
    return found


def exemplar_of(item):
    item = dict(item)
    found = wide(take(item, "timeUnixNano")), float(take(item, "asDouble")), take(item, "traceId")
    nothing_left(item, "an exemplar")
    return found


def point_of(item):
    item = dict(item)
    point = {"attributes": attributes_of(take(item, "attributes")), "time": wide(take(item, "timeUnixNano")),
             "start": wide(take(item, "startTimeUnixNano", "0"))}
    if "asInt" in item:
        point["value"] = wide(take(item, "asInt"))
    elif "asDouble" in item:
        point["value"] = float(take(item, "asDouble"))
    else:
        point.update(count=wide(take(item, "count")), sum=float(take(item, "sum")),
                     buckets=[wide(value) for value in take(item, "bucketCounts")],
                     bounds=[float(value) for value in take(item, "explicitBounds")],
                     exemplars=[exemplar_of(value) for value in take(item, "exemplars", [])])
    nothing_left(item, "a point")
    return point


def metric_of(item):
    item = dict(item)
    metric = {"unit": take(item, "unit", ""), "description": take(item, "description", "")}
    name = take(item, "name")
    (kind, data), = item.items()
    data = dict(data)
    metric["points"] = [point_of(point) for point in take(data, "dataPoints", [])]
    if kind != "gauge" and take(data, "aggregationTemporality") != 2:
        raise ValueError(f"{name}: not cumulative")
    is_monotonic = take(data, "isMonotonic", False)
    metric["kind"] = {"gauge": "gauge", "histogram": "histogram", "sum": "counter" if is_monotonic else "updown"}[kind]
    nothing_left(data, name)
    return name, metric


def normal(request):
    """The request's JSON, as an object, in normal form."""
    (resource,) = request["resourceMetrics"]
    (scope,) = resource["scopeMetrics"]
    metrics = {}
    for name, metric in map(metric_of, scope["metrics"]):
        if name in metrics:
            raise ValueError(f"{name} is there twice")
        metrics[name] = metric
    return {"resource": attributes_of(resource["resource"]["attributes"]),
            "scope": (scope["scope"]["name"], scope["scope"]["version"]),
            "schemas": (resource["schemaUrl"], scope["schemaUrl"]), "metrics": metrics}


def parse(body, is_json):
    return normal(json.loads(body) if is_json else decode_protobuf(body))


def main():
    protobuf, text = (pathlib.Path(name).read_bytes() for name in sys.argv[1:])
    try:
        found = parse(protobuf, False), parse(text, True)
    except (ValueError, KeyError, TypeError) as fault:
        print(fault)
        return 2
    if found[0] != found[1]:
        print(f"{found[0]}\n{found[1]}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
