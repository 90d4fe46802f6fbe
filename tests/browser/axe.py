#!/usr/bin/env python3
"""Each view of the live page by the rules of axe-core: axe.py [VIEW…]

At 1,300 and 390 pixels, light and dark. axe-core is fetched once by npm into build/axe. Printed are the rules that each view
violates, and those that axe cannot decide, with the first elements. Fails if a rule is violated.
"""
import collections
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE.parent / "blackbox")]

import harness  # noqa: E402
from incidents import Company  # noqa: E402
from organization import Organization  # noqa: E402
from payloads import Run  # noqa: E402
from scenes import finished_run, hostile_run, large_run  # noqa: E402
from webdriver import Browser  # noqa: E402

PACKAGE = "axe-core@4"
FOLDER = HERE.parent.parent / "build/axe"
WIDTHS = {1300: 1000, 390: 844}
MOST_NODES = 3  # of a rule, that are printed

TROUBLES, POOL = "#main .pools-now[data-scope]", ".pool-page .summary[data-state]"
CHARTS = "#main article.pool .time-chart svg path"
# What is shown: (the day, its address, what is there when it is loaded, what is done then).
VIEWS = {
    "now: empty": ("empty", "", "#main .setup", None),
    "now: quiet": ("quiet", "", TROUBLES, "unfold"),
    "now: dead pool": ("dead", "", TROUBLES, "unfold"),
    "now: ceiling": ("ceiling", "", TROUBLES, "unfold"),
    "now: flood": ("flood", "", TROUBLES, "unfold"),
    "runs": ("quiet", "#/runs", "#main tbody tr", None),
    "search: a run": ("quiet", "#/runs?q={failed}", "#main .go a", None),
    "search: no match": ("quiet", "#/runs?q=nothing-is-called-so", "#main .empty strong", None),
    "failures": ("quiet", "#/failures", "#main .failure-group", None),
    "run: failed": ("quiet", "#/runs/{failed}/1", ".job-box", None),
    "run: two attempts": ("quiet", "#/runs/{twice}/2", ".job-box", "compare"),
    "run: in progress": ("quiet", "#/runs/{going}/1", ".job-box", None),
    "run: 500 jobs": ("quiet", "#/runs/{large}/1", ".step-row", None),
    "run: hostile names": ("quiet", "#/runs/{hostile}/1", ".job-box", None),
    "run: unknown": ("quiet", "#/runs/1/1", "#main .empty, #main [role=alert]", None),
    "pool: ok": ("quiet", "#/pools/{pool}", POOL, None),
    "pool: dead": ("dead", "#/pools/{pool}", POOL, None),
    "pool: ceiling": ("ceiling", "#/pools/{pool}", POOL, None),
    "pool: busy": ("flood", "#/pools/{pool}", POOL, "what-if"),
    "pool: gone": ("quiet", "#/pools/there-is-none", "#main p", None),
    "commit": ("quiet", "#/commits/{commit}", ".commit-run", None),
    "commit: ambiguous": ("quiet", "#/commits/abcdef1", "#main li code", None),
    "commit: unknown": ("quiet", "#/commits/0123456789abcdef", "#main [role=alert], #main .empty, #main p", None),
    "latency": ("quiet", "#/latency", CHARTS, "readout"),
    "unknown address": ("quiet", "#/nothing", "#main li a", None),
}
ACTIONS = {
    "unfold": "for (const part of document.querySelectorAll('#main details')) part.open = true",
    "compare": "document.querySelector('#main [href*=compare], #main .tabs a:last-child')?.click()",
    "readout": "document.querySelector('#main .plot').focus()",
    "what-if": "[...document.querySelectorAll('#main button')].find((button) => /what|ask|if/i.test(button.innerText))?.click()",
}
# [[kind, rule, help, [where and why]]]
CHECK = """
    return axe.run(document, {resultTypes: ["violations", "incomplete"]}).then((found) => ["violations", "incomplete"].flatMap((kind) =>
        found[kind].map((rule) => [kind, rule.id, rule.help, rule.nodes.map((node) => `${node.target.flat().join(" ")}: `
            + [...node.any, ...node.all, ...node.none].map((check) => check.message).join("; "))])));"""


def axe():
    """The text of axe-core."""
    path = FOLDER / "node_modules/axe-core/axe.min.js"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / "package.json").write_text('{"private": true}')
        fetched = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent", PACKAGE], cwd=FOLDER, capture_output=True, text=True, check=False)
        if fetched.returncode != 0:
            sys.exit(f"npm install {PACKAGE}: {fetched.stderr.strip() or fetched.stdout.strip()}")
    return path.read_text()


def quiet_day(company):
    """All kinds of runs, beside those of a quiet day; returns what addresses are made of."""
    large, (twice, events), hostile, going = large_run(), finished_run(), hostile_run(), Run(age=60)
    going.job("build")
    alike = [Run(age=3000 + i) for i in range(2)]
    for i, run in enumerate(alike):
        run.head_sha = f"abcdef1{i}".ljust(40, "0")
        run.job("build")
    company.daemon.accept(*large.timeline(), *events, *hostile.timeline(), going.requested(), going.jobs[0].queued(),
                          *(event for run in alike for event in run.timeline()))
    return {"large": large.run_id, "twice": twice.run_id, "hostile": hostile.run_id, "going": going.run_id}


class Inspector:
    """The browsers, and what was found."""

    def __init__(self):
        self.source = axe()
        self.browsers = {width: Browser(width=width, height=height) for width, height in WIDTHS.items()}
        self.sums = {}                                      # by view: how many of each kind
        self.found = collections.defaultdict(lambda: [[], []])  # by kind, rule, help: where it was found, elements

    def inspect(self, view, page, address, sign, action):
        sums = self.sums[view] = collections.Counter()
        for width, browser in self.browsers.items():
            browser.open("about:blank")
            browser.open(page + address)
            browser.wait("const found = document.querySelector(arguments[0]); return found && found.checkVisibility() && document.querySelector('#health').innerText !== ''", sign, what=view)
            time.sleep(0.4)
            if action:
                browser.run(ACTIONS[action])
                if action == "readout":
                    browser.press("ArrowLeft")
                time.sleep(0.8)
            browser.run(self.source + ";window.axe = axe")
            for theme in ("light", "dark"):
                browser.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
                time.sleep(0.1)
                for kind, rule, words, nodes in browser.run(CHECK):
                    sums[kind] += len(nodes)
                    where, elements = self.found[kind, rule, words]
                    where.append(f"{view} {width} {theme}")
                    elements += nodes

    def report(self):
        print(f"{'view':24} violations  undecided")
        for view, sums in self.sums.items():
            print(f"{view:24} {sums['violations']:10}  {sums['incomplete']:9}")
        for (kind, rule, words), (where, elements) in sorted(self.found.items(), reverse=True):
            print(f"\n{kind}: {rule}, {words}\n  on {len(where)}: {', '.join(where[:8])}")
            for element in list(dict.fromkeys(elements))[:MOST_NODES]:
                print(f"  {element[:500]}")
        return sum(sums["violations"] for sums in self.sums.values())

    def quit(self):
        for browser in self.browsers.values():
            browser.quit()


def inspect_day(inspector, day, views):
    with tempfile.TemporaryDirectory() as folder:
        if day == "empty":
            daemon, places = harness.Daemon(folder).start(), {}
            stop = daemon.stop
        else:
            what = Organization(day, time.time(), hours=1.5, minutes=30)
            company = Company(folder, what)
            stop = company.stop
        try:
            if day != "empty":
                company.start()
                daemon, failed = company.daemon, what.payloads.of_run(what.failed)
                places = {"failed": failed.run_id, "commit": failed.head_sha, "pool": urllib.parse.quote((what.truth.pools or what.names)[0], safe="")}
                places |= quiet_day(company) if day == "quiet" else {}
            for view in views:
                _, address, sign, action = VIEWS[view]
                inspector.inspect(view, "http://{}:{}/".format(*daemon.admin_address), address.format(**places), sign, action)
        finally:
            stop()


def main():
    chosen = [view for view in VIEWS if not sys.argv[1:] or any(word in view for word in sys.argv[1:])]
    if not chosen:
        sys.exit(f"no such view; there are: {', '.join(VIEWS)}")
    inspector = Inspector()
    try:
        for day in dict.fromkeys(VIEWS[view][0] for view in chosen):
            inspect_day(inspector, day, [view for view in chosen if VIEWS[view][0] == day])
    finally:
        inspector.quit()
    count = inspector.report()
    print(f"\n{len(chosen)} views, {count} violations")
    sys.exit(1 if count else 0)


if __name__ == "__main__":
    main()
