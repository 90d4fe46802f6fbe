"""Deliveries for tests of the machine, and what a collector got: bytes of spans, without knowing what they mean."""
import hashlib
import hmac
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "blackbox"))
import otlp  # noqa: E402
import payloads  # noqa: E402
from machine import SECRET  # noqa: E402

SHELLS = (1, 2)  # fields of a request around its spans: resource_spans, scope_spans
SPANS = 2


def headers_of(event, secret=SECRET):
    signature = hmac.new(secret.encode(), event.body, hashlib.sha256).hexdigest()
    return {"Accept": "*/*", "Content-Type": "application/json", "User-Agent": "GitHub-Hookshot/044aadd",
            "X-GitHub-Delivery": event.guid, "X-GitHub-Event": event.type, "X-Hub-Signature-256": f"sha256={signature}"}


def run_with_jobs(started, jobs=3):
    run = payloads.Run(started=started, age=0)
    for number in range(jobs):
        run.job(f"job {number}")
    return run


def messages(data, wanted):
    """The nested messages with this field number."""
    return [data[value[0]:value[1]] for number, value in otlp.fields(data, 0, len(data)) if number == wanted]


def spans_of(requests):
    """The bytes of all spans, each once, in an order that says nothing."""
    spans = set()
    for _, _, _, body in requests:
        for resource in messages(body, SHELLS[0]):
            for scope in messages(resource, SHELLS[1]):
                spans.update(messages(scope, SPANS))
    return sorted(spans)
