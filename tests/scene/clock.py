"""One clock for the generator and the daemon: the daemon's runs faster by Debian's libfaketime, and the generator computes
it from its own, by what the daemon says of its time. libfaketime changes the wall clock and the monotonic one, and the times that
epoll_wait() and waits for conditions take."""
import calendar
import glob
import json
import os
import time

LIBRARIES = sorted(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"))


def is_available():
    return bool(LIBRARIES)


def parse(text):
    """Seconds since 1970 of a time as the API writes it; None: unknown."""
    if text is None:
        return None
    whole, _, part = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + (float("0." + part) if part else 0)


class Clock:
    def __init__(self, start, speed):
        self.start, self.speed = start, speed
        self.base = (start, time.monotonic())

    def environment(self, at=None):
        """For a process that begins now, or whose clock is to begin at a time."""
        text = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(self.now() if at is None else at))
        return {"LD_PRELOAD": LIBRARIES[0], "FAKETIME": f"@{text} x{self.speed:g}", "TZ": "UTC", "FAKETIME_DISABLE_SHM": "1",
                "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    def now(self):
        return self.base[0] + (time.monotonic() - self.base[1]) * self.speed

    def follow(self, ask, tries=40):
        """Sets it by the daemon's, by the quickest of several answers. `ask()` returns the daemon's time, in milliseconds; if
        it has whole seconds, it is asked until they change."""
        best = None
        last = ask()
        while best is None or tries > 0:
            before = time.monotonic()
            at = ask()
            after = time.monotonic()
            tries -= 1
            if at != last and (best is None or after - before < best[0]):
                best = (after - before, at, (before + after) / 2)
            last = at
        self.base = (best[1], best[2])
        self.uncertainty = best[0] / 2 * self.speed
        return self

    def sleep_until(self, at):
        while (left := at - self.now()) > 0:
            time.sleep(min(left / self.speed, 1))


def daemon_time(client):
    def ask():
        answer = client.request("GET", "/api/queue?limit=1", headers={"Host": "localhost"})
        return parse(json.loads(answer.body)["now"])
    return ask
