"""Notices that the daemon sends, and when they have to come."""
import http.server
import json
import pathlib
import threading

from truth import MINUTE

AFTER, HOLD, INTERVAL = 15 * MINUTE, 5 * MINUTE, 15  # the settings' defaults; how often pools are looked at


class Receiver:
    """Takes notices, and notes when they came by the clock: [(time, condition, pool or ceiling, event, notice)]."""

    def __init__(self, folder, now):
        self.found, self.ids, receiver = [], set(), self
        self.now = now

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                at = receiver.now()
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                # One that was not answered in time, by the fast clock, comes again.
                for notice in body["notices"]:
                    if notice["id"] in receiver.ids:
                        continue
                    receiver.ids.add(notice["id"])
                    receiver.found.append((at, notice["condition"], notice["pool"] or notice["ceiling"], notice["event"], notice))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.file = pathlib.Path(folder) / "notify-urls"
        self.file.write_text(f"json http://127.0.0.1:{self.server.server_port}/hook\n")
        self.file.chmod(0o600)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def presences(assessments, ceiling, ceiling_since, now):
    """{(condition, name): True (it is there), None (another has its place), False} at one time."""
    found = {}
    for name, of in assessments.items():
        dead = of.state == "dead" and now - of.since >= AFTER
        queued = of.oldest is not None and now - of.oldest >= AFTER
        found["dead", name] = dead
        found["queued", name] = (None if dead or of.state == "ceiling" else True) if queued else False
    found["ceiling", ceiling] = ceiling_since is not None and now - ceiling_since >= AFTER
    return found


def expected(seen):
    """Of [(time, presences)]: [(time, condition, name, event)]. Each happens between the minute before and that time."""
    events, begun, absent = [], set(), {}
    for at, presence in seen:
        for key, is_there in presence.items():
            if key not in begun:
                if is_there:
                    begun.add(key)
                    events.append((at, *key, "began"))
            elif is_there is not False:
                absent.pop(key, None)
            elif at - absent.setdefault(key, at) >= HOLD:
                begun.discard(key)
                events.append((at, *key, "ended"))
                del absent[key]
    return events


def compare(note, found, true, place):
    """Each that has to come comes, within the minute, the interval and what the request takes; no other does."""
    left = list(found)
    for at, condition, name, event in true:
        match = next((entry for entry in left if entry[1:4] == (condition, name, event)), None)
        kind = f"notice {condition} {event}"
        if match is None:
            note.compared[kind] += 1
            note.note(kind, f"{place(at)} {name}", None, "is sent")
            continue
        left.remove(match)
        note.near(kind, f"{place(at)} {name}", match[0], at - MINUTE, at + INTERVAL, 30)
    for at, condition, name, event, notice in left:
        note.compared["notice"] += 1
        note.note("notice", f"{place(at)} {name}", f"{condition} {event}: {notice['text']}", "is not sent")
