"""Charts: axes, the readout by pointer and keyboard; and the view of runner latency, which is made of them."""
import json
import time

from payloads import Run, iso
from scenes import dead_pool, set_pool
import test_page

LEFT, RIGHT, HOME, END = "\ue012", "\ue014", "\ue011", "\ue010"
LINES = [{"key": "queued_max", "title": "queued", "kind": "area"}, {"key": "running_max", "title": "running", "kind": "line"}]

# Puts a chart of the page's own module in the place of its view.
DRAW = """
    const module = performance.getEntriesByType("resource").map((entry) => entry.name).find((name) => /chart[^/]*\\.js$/.test(name));
    return import(module).then(({timeChart}) => {
        window.chart = timeChart(arguments[0]);
        document.querySelector("main").replaceChildren(window.chart);
        window.chart.show(arguments[0].slots, arguments[0].most); // now, not in the next frame
    });"""
TEXTS = "return [...document.querySelectorAll('.time-chart svg text' + arguments[0])].map((text) => text.textContent)"
# Pairs of texts of the axes that cover each other, and those beyond the chart.
OVERLAPS = """
    const found = [];
    for (const plot of document.querySelectorAll(".plot")) {
        const edge = plot.getBoundingClientRect(), boxes = [...plot.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
        boxes.forEach(([words, a], i) => {
            if (a.left < edge.left - 1 || a.right > edge.right + 1 || a.bottom > edge.bottom + 1) found.push(words);
            for (const [other, b] of boxes.slice(i + 1)) if (a.left < b.right && b.left < a.right && a.top < b.bottom - 3 && b.top < a.bottom - 3) found.push(words + " " + other);
        });
    }
    return found;"""
# The least contrast of lines, dots and words of charts with what is behind them.
CONTRAST = """
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const colour = parse(getComputedStyle(e).backgroundColor);
            if (colour.length === 3 || colour[3] === 1) return colour;
        }
        return [255, 255, 255];
    };
    const least = (selector, property) => Math.min(...[...document.querySelectorAll(selector)].map((element) => {
        const [a, b] = [light(parse(getComputedStyle(element)[property])), light(behind(element))];
        return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    }));
    return {words: least(".time-chart text", "fill"), lines: least(".time-chart .stroke, .time-chart line.base", "stroke")};"""


def slots(first, count, step, values):
    return [{"start": iso(first + i * step), **{key: of(i) for key, of in values.items()}} for i in range(count)]


class Charts(test_page.PageTest):
    def blank(self, zone="Europe/Berlin", **kinds):
        browser = self.page(self.new_daemon(), "#/latency", **kinds)
        browser.command("Emulation.setTimezoneOverride", timezoneId=zone)
        return browser

    def draw(self, browser, rows, lines=LINES, unit="count", **more):
        browser.run(DRAW, {"slots": rows, "lines": lines, "unit": unit, "label": "Queue of gpu", **more})

    def readout(self, browser):
        return browser.run("const e = document.querySelector('.readout'); return e.hidden ? null : e.innerText.split('\\n')")

    def spoken(self, browser):
        return browser.run("return document.querySelector('.plot').getAttribute('aria-valuetext')")

    def point(self, browser, share, kind="mouse"):
        """At a part of the width of the axis."""
        x, y = browser.run("""
            const axis = document.querySelector(".time-chart line.base").getBoundingClientRect();
            return [axis.left + arguments[0] * axis.width, axis.top - 20].map(Math.round)""", share)
        press = [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}] if kind == "touch" else []
        browser._session("POST", "/actions", {"actions": [{"type": "pointer", "id": kind, "parameters": {"pointerType": kind},
                                                           "actions": [{"type": "pointerMove", "x": x, "y": y, "duration": 0}, *press]}]})

    def test_axes_have_round_ticks(self):
        browser = self.blank()
        at = 1774735200  # 2026-03-28T22:00:00Z, in Berlin 23:00; there the clock is set forward two hours later
        wait = [{"key": "p90", "title": "90 %", "kind": "line"}]
        for most, ticks in ((0, ["0s", "1s"]), (3, ["0s", "1s", "2s", "3s"]), (75, ["0s", "30s", "1m", "1m 30s"]), (240, ["0s", "1m", "2m", "3m", "4m"]),
                            (1500, ["0s", "10m", "20m", "30m"]), (30000, ["0s", "3h", "6h", "9h"]), (300000, ["0s", "1d", "2d", "3d", "4d"])):
            self.draw(browser, slots(at, 12, 300, {"p90": lambda i, most=most: most if i == 5 else 0}), wait, "seconds")
            self.assertEqual(browser.run(TEXTS, ":not(.time)"), ticks)
        for most, ticks in ((0, ["0", "1"]), (1, ["0", "1"]), (7, ["0", "2", "4", "6", "8"]), (100000, ["0", "50,000", "100,000"])):
            self.draw(browser, slots(at, 12, 300, {"queued_max": lambda i, most=most: most, "running_max": lambda i: 0}))
            self.assertEqual(browser.run(TEXTS, ":not(.time)"), ticks)
        self.draw(browser, slots(at, 12, 300, {"p90": lambda i: 20}), wait, "seconds", most=1000)
        self.assertEqual(browser.run(TEXTS, ":not(.time)"), ["0s", "5m", "10m", "15m", "20m"])
        none = {"p90": lambda i: 1}
        self.draw(browser, slots(at + 420, 12, 300, none), wait, "seconds")
        self.assertEqual(browser.run(TEXTS, ".time"), [f"23:{m:02}" for m in range(10, 60, 5)] + ["29 Mar", "00:05"])
        self.draw(browser, slots(at, 12, 3600, none), wait, "seconds")
        self.assertEqual(browser.run(TEXTS, ".time"), ["23:00", "29 Mar", "01:00", "03:00", "04:00", "05:00", "06:00", "07:00", "08:00", "09:00", "10:00", "11:00", "12:00"])
        self.draw(browser, slots(at, 70, 43200, none), wait, "seconds")
        self.assertEqual(browser.run(TEXTS, ".time")[:3], ["30 Mar", "1 Apr", "3 Apr"])
        browser.command("Emulation.setTimezoneOverride", timezoneId="UTC")
        browser.open(browser.run("return location.href").replace("#", "?utc#"))
        self.draw(browser, slots(at, 4, 3600, none), wait, "seconds")
        self.assertEqual(browser.run(TEXTS, ".time")[0], "22:00")

    def test_unknown_slots_are_gaps_and_single_ones_dots(self):
        browser = self.blank()
        gaps = {3, 4, 8, 10}
        self.draw(browser, slots(1774735200, 14, 60, {"queued_max": lambda i: None if i in gaps else i, "running_max": lambda i: 2}))
        count = "return document.querySelectorAll('.plot ' + arguments[0]).length"
        self.assertEqual(browser.run(count, ".stroke.queued_max"), 3)
        self.assertEqual(browser.run(count, ".fill.queued_max"), 3)
        self.assertEqual(browser.run(count, "circle.queued_max"), 1)
        self.assertEqual(browser.run(count, ".stroke.running_max"), 1)
        self.assertEqual(browser.run(count, ".fill.running_max"), 0)
        self.assertEqual(browser.text(".chart-key").split(), ["queued", "running"])
        dashes = browser.run("return [...document.querySelectorAll('.chart-key .stroke')].map((path) => getComputedStyle(path).strokeDasharray)")
        self.assertEqual(len(set(dashes)), 2)
        self.draw(browser, [])
        self.assertEqual(self.spoken(browser), "no figures")

    def test_values_are_read_by_pointer_by_touch_and_by_keyboard(self):
        browser = self.blank()
        self.draw(browser, slots(1774735200, 10, 60, {"queued_max": lambda i: None if i == 4 else 10 * i, "running_max": lambda i: 3}))
        plot = "return ['role', 'aria-label', 'aria-valuenow', 'aria-valuemin', 'aria-valuemax'].map((name) => document.querySelector('.plot').getAttribute(name))"
        self.assertEqual(browser.run(plot), ["slider", "Queue of gpu", "9", "0", "9"])
        self.assertIsNone(self.readout(browser))
        self.point(browser, 0.25)
        self.assertEqual(self.readout(browser), ["28 Mar, 23:02–23:03", "queued 20", "running 3"])
        self.point(browser, 0.45)
        self.assertEqual(self.readout(browser), ["28 Mar, 23:04–23:05", "queued –", "running 3"])
        self.assertEqual(browser.run("return document.querySelectorAll('.cross circle').length"), 1)
        browser._session("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": [{"type": "pointerMove", "x": 1, "y": 1, "duration": 0}]}]})
        self.assertIsNone(self.readout(browser))
        browser.run("document.querySelector('.plot').focus()")
        self.assertEqual(self.readout(browser), ["28 Mar, 23:09–23:10", "queued 90", "running 3"])
        browser.press(LEFT, LEFT)
        self.assertEqual(self.spoken(browser), "28 Mar, 23:07–23:08: queued 70, running 3")
        browser.press(HOME, LEFT)
        self.assertEqual(self.readout(browser)[0], "28 Mar, 23:00–23:01")
        browser.press(RIGHT, RIGHT, RIGHT, RIGHT)
        self.assertEqual(self.spoken(browser), "28 Mar, 23:04–23:05: queued no figure, running 3")
        # Other figures, as each view gets them every few seconds, leave the chosen slot where it is.
        browser.run("window.chart.show(arguments[0])", slots(1774735200 + 120, 10, 60, {"queued_max": lambda i: 5, "running_max": lambda i: 1}))
        self.assertEqual(self.readout(browser), ["28 Mar, 23:04–23:05", "queued 5", "running 1"])
        self.assertEqual(browser.run("return document.activeElement.className"), "plot")
        browser.press("Escape")
        self.assertIsNone(self.readout(browser))
        browser.press(END, "Tab")
        self.assertIsNone(self.readout(browser))
        self.point(browser, 0.15, "touch")
        self.assertEqual(self.readout(browser), ["28 Mar, 23:03–23:04", "queued 5", "running 1"])

    def test_a_narrow_chart_is_drawn_for_its_width(self):
        browser = self.blank(width=390, height=700, dark=True)
        for count, step in ((60, 60), (24, 3600), (84, 7200), (70, 43200)):
            self.draw(browser, slots(1774735200, count, step, {"p99": lambda i: 100000 + i}), [{"key": "p99", "title": "99 %", "kind": "line"}], "seconds")
            self.assertEqual(browser.run(OVERLAPS), [])
            texts = browser.run(TEXTS, ".time")
            self.assertGreaterEqual(len(texts), 2)
            browser.run("document.querySelector('.plot').focus()")
            browser.press(HOME)
            for _ in range(2):
                box = browser.run("const b = document.querySelector('.readout').getBoundingClientRect(); return [b.left, b.right]")
                self.assertTrue(0 <= box[0] < box[1] <= 390, box)
                browser.press(END)
        self.assertEqual(texts, ["30 Mar", "13 Apr", "27 Apr"])
        self.assertLessEqual(browser.run("return document.documentElement.scrollWidth"), 390)


def waits(pool, seconds, age=600, count=3):
    """Jobs of one run that waited so long, up to then."""
    run = Run(age=age + seconds)
    for number in range(count):
        job = run.job(f"job {number}", queue=seconds - number, duration=20)
        job.labels = [pool]
    return [event for job in run.jobs for event in job.timeline()]


class Latency(test_page.PageTest):
    def view(self, daemon, query="", **kinds):
        browser = self.page(daemon, f"#/latency{query}", **kinds)
        browser.wait("return document.querySelector('article.pool .time-chart .stroke, article.pool .time-chart circle')")
        return browser

    def names(self, browser):
        return browser.run("return [...document.querySelectorAll('article.pool h2 a')].map((a) => a.innerText)")

    def tops(self, browser):
        """The last tick of the value axis of each chart."""
        return browser.run("return [...document.querySelectorAll('article.pool svg')].map((svg) => [...svg.querySelectorAll('text:not(.time)')]).filter((of) => of.length > 0).map((of) => of.pop().textContent)")

    def test_the_worst_pool_is_first_and_all_charts_have_one_scale_unless_another_is_wanted(self):
        daemon = self.new_daemon()
        daemon.accept(*waits("fast", 5), *waits("slow", 1500), *waits("middle", 70))
        browser = self.view(daemon)
        self.assertEqual(self.names(browser), ["slow", "middle", "fast"])
        self.assertEqual(self.tops(browser), ["30m"] * 3)
        self.assertEqual(browser.run("return [...document.querySelectorAll('article.pool h2 a')].map((a) => a.hash)"), [f"#/pools/{name}" for name in ("slow", "middle", "fast")])
        browser.click("input[name=scale]")
        browser.wait("return location.hash.includes('scale=own')")
        self.assertEqual(self.tops(browser), ["30m", "1m 30s", "6s"])
        browser.click(".tabs a:nth-child(4)")
        browser.wait("return location.hash.includes('window=7d')")
        browser.wait("return document.querySelectorAll('article.pool').length === 3")
        self.assertTrue(browser.run("return document.querySelector('input[name=scale]').checked"))
        browser.wait_for_text("in slots of 2h", ".when")
        browser.click("input[name=scale]")
        self.assertEqual(browser.run("return location.hash"), "#/latency?window=7d")
        self.assertEqual(self.tops(browser), ["30m"] * 3)

    def test_any_time_can_be_chosen_and_is_in_the_address(self):
        daemon = self.new_daemon()
        daemon.accept(*waits("old", 40, age=5 * 3600), *waits("new", 20))
        browser = self.view(daemon)
        self.assertEqual(self.names(browser), ["new"])
        browser.command("Emulation.setTimezoneOverride", timezoneId="Asia/Kolkata")
        until = int(time.time()) // 60 * 60 - 3600
        browser.open(f"http://127.0.0.1:{daemon.admin_address[1]}/?zone#/latency?from={iso(until - 6 * 3600)}&to={iso(until)}")
        browser.wait_for_text("old", "article.pool")
        self.assertEqual(self.names(browser), ["old"])
        self.assertEqual(browser.run("return [...document.querySelectorAll('form.between input')].map((input) => new Date(input.value).getTime() / 1000)"), [until - 6 * 3600, until])
        self.assertIsNone(browser.run("return document.querySelector('.tabs a[aria-current]')"))
        browser.run("""
            const [from, to] = document.querySelectorAll("form.between input");
            to.value = "";
            document.querySelector("form.between button").click();""")
        browser.wait("return document.querySelectorAll('article.pool').length === 2")
        self.assertEqual(browser.run("return new URLSearchParams(location.hash.split('?')[1]).get('from')"), iso(until - 6 * 3600))
        browser.may_complain = True  # about the 400
        browser.run("location.hash = '#/latency?from=yesterday'")
        browser.wait_for_text("from: want a time", "[role=alert]")

    def test_jobs_that_still_wait_are_counted_beside_and_a_dead_pool_is_named_first(self):
        daemon = self.new_daemon()
        daemon.accept(*dead_pool())
        browser = self.view(daemon)
        queue = json.loads(daemon.admin("/api/queue").body)
        dead = queue["pools"][0]["pool"]
        browser.wait("return document.querySelector('.stuck:not([hidden]) li a')")
        self.assertEqual(browser.run("return [...document.querySelectorAll('.stuck li a')].map((a) => [a.innerText, a.hash])"), [[dead, f"#/pools/{dead}"]])
        self.assertRegex(browser.text(".stuck li"), rf"{dead}: {queue['pools'][0]['queued']}, the oldest for \d+m")
        self.assertIn(f"not in these figures: {queue['totals']['queued']}, the oldest for", browser.text("main"))
        for daemon in (self.new_daemon(),):  # a pool of which no wait has ever ended
            run = Run(age=100)
            daemon.accept(set_pool(run.job("build"), 1).queued())
            browser = self.page(daemon, "#/latency")
            browser.wait_for_text("linux,self-hosted,x64: 1, the oldest for", ".stuck li")
            browser.wait_for_text("No job was taken by a runner in the last hour.")

    def test_twenty_pools_are_drawn_and_more_on_demand(self):
        daemon = self.new_daemon()
        daemon.accept(*(event for number in range(23) for event in waits(f"pool-{number:02}", 10 + number, count=1)))
        browser = self.view(daemon)
        self.assertEqual(self.names(browser), [f"pool-{number:02}" for number in range(22, 2, -1)])
        browser.click("main > div > p:last-child button")
        browser.wait("return document.querySelectorAll('article.pool').length === 23")
        self.assertTrue(browser.run("return document.querySelector('main > div > p:last-child button').hidden"))

    def test_the_view_is_readable_in_light_and_dark_and_on_a_phone_and_nothing_moves(self):
        daemon = self.new_daemon()
        daemon.accept(*(event for number in range(6) for event in waits(f"pool-{number}", 10 + 200 * number)), Run(age=900).job("build").queued())
        for kinds in ({"width": 1280}, {"width": 390, "dark": True}):
            with self.subTest(**kinds):
                browser = self.view(daemon, **kinds)
                self.expect_readable(browser, kinds["width"])
                self.assertEqual(browser.run(OVERLAPS), [])
                contrast = browser.run(CONTRAST)
                self.assertGreaterEqual(contrast["words"], 4.5)
                self.assertGreaterEqual(contrast["lines"], 3)
