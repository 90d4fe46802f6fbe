"""Spans for `otlp-listen`, in protobuf and JSON: ARC's about a job, and those of programs inside jobs."""
import gzip
import json
import pathlib
import struct
import time

from expect import Ids, md5, ns
from harness import Client, wait_until

PATH = "/v1/traces"
PROTOBUF, JSON = "application/x-protobuf", "application/json"
ARC, JOB = "arc-0123456789abcdef", "job-0123456789abcdef"  # tokens


def token_file(folder, text=f"arc {ARC}\njob {JOB}\n"):
    """A file for otlp-token-file."""
    path = pathlib.Path(folder) / "otlp-tokens"
    path.write_text(text)
    path.chmod(0o600)
    return path


# --- encoding --------------------------------------------------------------------------------------

def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


def fixed(number, value):
    return varint(number << 3 | 1) + struct.pack("<Q", value)


def attribute(key, value):
    inner = field(1, value.encode()) if isinstance(value, str) else varint(3 << 3) + varint(value)
    return field(1, key.encode()) + field(2, inner)


def encode_span(span):
    parent = bytes.fromhex(span["parentSpanId"])
    return b"".join([field(1, bytes.fromhex(span["traceId"])), field(2, bytes.fromhex(span["spanId"])),
                     field(4, parent) if parent else b"", field(5, span["name"].encode()), varint(6 << 3) + varint(1),
                     fixed(7, span["start"]), fixed(8, span["end"]),
                     *(field(9, attribute(*pair)) for pair in span["attributes"].items())])


def protobuf(spans, resource=None):
    head = b"".join(field(1, attribute(*pair)) for pair in (resource or {}).items())
    scope = field(1, field(1, b"tests")) + b"".join(field(2, encode_span(span)) for span in spans)
    return field(1, field(1, head) + field(2, scope)) if spans else b""


def json_attributes(attributes):
    return [{"key": key, "value": {"stringValue": value} if isinstance(value, str) else {"intValue": str(value)}}
            for key, value in attributes.items()]


def json_text(spans, resource=None):
    return json.dumps({"resourceSpans": [{
        "resource": {"attributes": json_attributes(resource or {})},
        "scopeSpans": [{"scope": {"name": "tests"}, "spans": [
            {"traceId": span["traceId"], "spanId": span["spanId"], "parentSpanId": span["parentSpanId"],
             "name": span["name"], "kind": 1, "startTimeUnixNano": str(span["start"]),
             "endTimeUnixNano": str(span["end"]), "attributes": json_attributes(span["attributes"])}
            for span in spans]}]}]}).encode()


# --- spans -----------------------------------------------------------------------------------------

def span(trace_id, span_id, parent, name="pytest", start=None, end=None, **attributes):
    start = time.time() if start is None else start
    return {"traceId": trace_id, "spanId": span_id, "parentSpanId": parent, "name": name, "start": ns(start),
            "end": ns(start + 1 if end is None else end),
            "attributes": {key.replace("__", "."): value for key, value in attributes.items()}}


def arc_spans(job, assigned, job_id=None, run_id=None, queue=True, startup=True):
    """What ARC's recorder sends of a completed job. It counts every attempt as the first."""
    run = job.run
    run_id = run.run_id if run_id is None else run_id
    job_id = str(job.job_id) if job_id is None else job_id
    own = f"{int(job_id):016x}" if job_id.isdigit() else md5(job_id)[:16]
    attributes = {"github.run_id": run_id, "github.job_id": job_id, "github.job_name": job.name,
                  "github.repository": run.repository.full_name, "github.runner_name": job.runner_name,
                  "github.runner_id": job.runner_id, "vcs.repository.url.full": run.repository.url}
    times = {"runner.queue": (job.created, assigned) if queue else None,
             "runner.startup": (assigned, job.started) if startup else None,
             "runner.execution": (job.started, job.completed_at)}
    return [{"traceId": md5(f"{run_id}-1"), "spanId": md5(f"{name}-{own}")[:16], "parentSpanId": own, "name": name,
             "start": ns(pair[0]), "end": ns(pair[1]), "attributes": {"type": name, **attributes}}
            for name, pair in times.items() if pair]


def job_span(job, number=1, name="pytest", **kinds):
    """A span of a program inside the job, with its TRACEPARENT."""
    ids = Ids(job.run.run_id, job.run.attempt)
    return span(ids.trace, md5(f"program-{job.job_id}-{number}")[:16], ids.job(job.job_id), name, job.started + 4,
                job.started + 5, **kinds)


# --- sending ---------------------------------------------------------------------------------------

TRIES = 10


def request_headers(token=None, content_type=PROTOBUF, **more):
    headers = {"Content-Type": content_type, **{name.replace("_", "-"): value for name, value in more.items()}}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return headers


def send(daemon, spans, token=None, encoding=PROTOBUF, zipped=False, resource=None, client=None, tries=TRIES):
    body = (protobuf if encoding == PROTOBUF else json_text)(spans, resource)
    headers = request_headers(token, encoding)
    if zipped:
        body, headers["Content-Encoding"] = gzip.compress(body), "gzip"
    return post(daemon, body, headers, client, tries)


def post(daemon, body, headers, client=None, tries=TRIES):
    """Without a client of the caller's, it sends again what is answered 503, as exporters do: on a busy machine the
    receiver may be late."""
    if client is not None:
        return client.request("POST", PATH, body, headers)
    for left in reversed(range(tries)):
        with Client(daemon.otlp_address) as own:
            answer = own.request("POST", PATH, body, headers)
        if answer.status != 503 or left == 0:
            return answer
        time.sleep(0.5)


def status(daemon):
    return json.loads(daemon.admin("/api/status").body)


def wait_for_outcome(daemon, kind, outcome, count=1):
    """Until /api/status counts so many: kind is "arc" or "otlp"."""
    name = "reports" if kind == "arc" else "forwarded"
    wait_until(lambda: status(daemon)[kind][name][outcome] >= count, what=f"{count} {outcome}")
