#!/usr/bin/env python3
"""Pictures of the live page, to be looked at: screenshots.py FOLDER [DAY|VIEW…]

Each view on a quiet day, during three incidents and after one; at 1,300 and 390 pixels, light and dark: FOLDER/DAY-VIEW-WIDTH.png
and …-dark.png. Of a view or a day that is named, only that.
"""
import pathlib
import signal
import sys
import tempfile
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE.parent / "blackbox")]

import harness  # noqa: E402
from incidents import Company  # noqa: E402
from organization import Organization  # noqa: E402
from payloads import new_id  # noqa: E402
from scenes import hostile_run, large_run  # noqa: E402
from webdriver import Browser  # noqa: E402

DAYS = ("quiet", "dead", "ceiling", "flood", "after")
SIZES = ((1300, 1000), (390, 844))
MOST = 2600  # pixels of height: a picture shows a whole view, if that is not longer

# Its address, of the places of a day.
VIEWS = {
    "now": "",
    "runs": "#/runs",
    "run-failed": "#/runs/{failed}/1",
    "run-large": "#/runs/{large}/1",
    "latency": "#/latency",
    "pool": "#/pools/{pool}",
    "commit": "#/commits/{commit}",
    "failures": "#/failures",
}
IS_UNKNOWN = """return location.hash.length > 2 &&
    (document.title === arguments[0] || document.getElementById('main').innerText.includes('There is no page at'))"""


class Photographer:
    """A browser of one width, and the daemon whose page it shows."""

    def __init__(self, folder, width, height):
        self.folder, self.width, self.height = folder, width, height
        self.browser = Browser(width=width, height=height)
        self.page, self.first_title = None, None

    def see(self, dark, height=None):
        self.browser.command("Emulation.setDeviceMetricsOverride", width=self.width, height=height or self.height, deviceScaleFactor=1,
                             mobile=self.width < 600)
        self.browser.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def show(self, page):
        """The first screen of another daemon."""
        self.page = page
        self.browser.open(page)
        self.browser.wait("return document.getElementById('main').innerText.length > 20")
        self.first_title = self.browser.run("return document.title")

    def take(self, name, address):
        """Light and dark. A view that this page has not got is left out; returns whether it has."""
        self.see(dark=False)
        self.browser.open("about:blank")
        self.browser.open(self.page + address)
        self.browser.wait("return document.getElementById('main').innerText.length > 20")
        time.sleep(1.5)
        if self.browser.run(IS_UNKNOWN, self.first_title):
            return False
        height = min(MOST, max(self.height, self.browser.run("return document.documentElement.scrollHeight")))
        for dark in (False, True):
            self.see(dark, height)
            time.sleep(0.4)
            self.browser.screenshot(self.folder / f"{name}-{self.width}{'-dark' if dark else ''}.png")
        return True


def places_of(what, large):
    """What the addresses of views are made of."""
    failed = what.payloads.of_run(what.failed)
    pool = (what.truth.pools or what.names)[0]
    return {"failed": failed.run_id, "large": large.run_id, "commit": failed.head_sha, "pool": urllib.parse.quote(pool, safe="")}


def take_day(day, views, photographers):
    what, large = Organization(day, time.time(), hours=2, minutes=30), large_run()
    with tempfile.TemporaryDirectory() as folder:
        company = Company(folder, what)
        try:
            company.start()
            company.daemon.accept(*large.timeline())
            places = places_of(what, large)
            for photographer in photographers:
                photographer.show("http://{}:{}/".format(*company.daemon.admin_address))
                for view in views:
                    company.deliver_due()  # or jobs would seem to wait
                    if not photographer.take(f"{day}-{view}", VIEWS[view].format(**places)):
                        print(f"{view}: the page has no such view")
        finally:
            company.stop()


def take_others(photographers):
    """Before the first delivery; names that are markup; an address that leads nowhere."""
    with tempfile.TemporaryDirectory() as folder:
        daemon = harness.Daemon(folder).start()
        page, run = "http://{}:{}/".format(*daemon.admin_address), hostile_run()
        for photographer in photographers:
            photographer.show(page)
            photographer.take("empty-now", "")
        daemon.accept(*run.timeline())
        for photographer in photographers:
            photographer.take("hostile-run", f"#/runs/{run.run_id}/1")
            photographer.take("no-such-run", f"#/runs/{new_id()}/1")
        daemon.stop()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # ends the browsers, too
    folder, chosen = pathlib.Path(sys.argv[1]), sys.argv[2:]
    folder.mkdir(parents=True, exist_ok=True)
    days, views = ([name for name in names if name in chosen] or list(names) for names in (DAYS, VIEWS))
    unknown = set(chosen) - set(DAYS) - set(VIEWS)
    if unknown:
        sys.exit(f"neither a day nor a view: {', '.join(sorted(unknown))}\n{__doc__}")
    photographers = [Photographer(folder, *size) for size in SIZES]
    try:
        for day in days:
            take_day(day, views, photographers)
        if not chosen:
            take_others(photographers)
    finally:
        for photographer in photographers:
            photographer.browser.quit()


if __name__ == "__main__":
    main()
