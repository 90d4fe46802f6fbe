"""What holds on each view of the page, on a wide screen and on a phone."""
import test_page
import test_shell
from ended_runs import ended_run
from payloads import Repository, Run
from scenes import CEILING, finished_run, incident, many_finished
from webdriver import Browser

SIZES = {1300: 900, 390: 844}
LONG = "integration tests of the payment service (3.14, postgresql, arm64)"
SHA, ALIKE = "9" * 40, ("abcdef10".ljust(40, "0"), "abcdef11".ljust(40, "0"))

# By view: its address, and what is there when it is loaded.
VIEWS = {
    "now": ("", "svg.spark path"),
    "runs": ("#/runs", "#main tbody tr"),
    "search without a match": ("#/runs?q=nothing-is-called-so", "#main .empty strong"),
    "failures": ("#/failures", ".failure-group"),
    "run": ("#/runs/{failed}/1", ".job-box .bar"),
    "attempts": ("#/runs/{twice}/2", ".compare"),
    "run in progress": ("#/runs/{going}/1", ".job-box .bar"),
    "dead pool": ("#/pools/gpu-a100", ".pool-page .time-chart path"),
    "pool at the ceiling": ("#/pools/ubuntu-latest", ".pool-page .time-chart path"),
    "no pool": ("#/pools/none", "#main .empty p"),
    "commit": ("#/commits/{commit}", ".commit-run"),
    "several commits": ("#/commits/abcdef1", "#main li code"),
    "no commit": ("#/commits/0123456789", "#main .empty p"),
    "latency": ("#/latency", "article.pool .time-chart path"),
    "no view": ("#/nothing", "#main li a"),
}
SHOWN = "const found = document.querySelector(arguments[0]); return found && found.checkVisibility() && document.querySelector('#health').innerText !== ''"
# Tables that are wider than their place; texts that are cut.
SIDEWAYS = "return [...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth + 1).map((box) => box.innerText.slice(0, 80))"
CUT = """
    const pen = document.createElement("canvas").getContext("2d");
    const cut = [...document.querySelectorAll(".row .name, .row .total, .row .queue-time")].filter((one) => one.checkVisibility() && (one.scrollWidth > one.clientWidth + 1 || one.scrollHeight > one.clientHeight + 1))
        .map((one) => one.textContent);
    return cut.concat([...document.querySelectorAll("input[placeholder]")].filter((input) => {
        const style = getComputedStyle(input);
        pen.font = style.font;
        return pen.measureText(input.placeholder).width > input.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    }).map((input) => input.placeholder));"""
# Of what can have the focus: what something else covers then.
COVERED = """
    const covered = [], frame = () => new Promise(requestAnimationFrame);
    scrollTo(0, document.body.scrollHeight);
    for (const part of [...document.querySelectorAll("main :is(a, button, input, summary, [tabindex='0'])")].filter((one) => one.checkVisibility()).reverse().slice(0, 60)) {
        part.focus();
        await frame(); // boxes that are seen for the first time get their heights
        await frame();
        const box = part.getClientRects()[0], top = document.elementFromPoint(box.left + Math.min(box.width, 40) / 2, box.top + Math.min(box.height, 16) / 2);
        if (top && top.closest("header, .axis, .newer-place") && !top.closest(".axis")?.contains(part)) covered.push(`${part.outerHTML.slice(0, 100)} by ${top.outerHTML.slice(0, 60)}`);
    }
    scrollTo(0, 0);
    return covered;"""


class Views(test_page.PageTest):
    @classmethod
    def setUpClass(cls):
        cls.share_pair(runner_ceiling=CEILING, root_grace="0s")
        twice, more = finished_run()
        failed, going = Run(age=900, conclusion="failure", repository=Repository("acme/shop")), Run(age=30)
        for number in range(4):
            failed.job(f"{LONG} {number}", conclusion="failure" if number == 2 else "success")
            going.job(f"{LONG} {number}")
        failed.head_sha = SHA
        alike = [Run(age=800 + i) for i in range(2)]
        for run, run.head_sha in zip(alike, ALIKE):
            run.job("build")
        old = ended_run(3 * 86400, conclusion="timed_out")
        cls.daemon.accept(*incident(), *many_finished()[1], *more, *failed.timeline(), going.requested(), *(job.queued() for job in going.jobs),
                          *(event for run in (*alike, old) for event in run.timeline()))
        cls.places = {"twice": twice.run_id, "failed": failed.run_id, "going": going.run_id, "commit": SHA}

    def each_view(self, browser, check):
        for i, (view, (address, sign)) in enumerate(VIEWS.items()):
            with self.subTest(view=view):
                browser.open(f"http://127.0.0.1:{self.daemon.admin_address[1]}/?{i}{address.format(**self.places)}")
                browser.wait(SHOWN, sign, what=view)
                check()

    def browser(self, width):
        browser = Browser(width=width, height=SIZES[width])
        self.addCleanup(browser.quit)
        return browser

    def test_nothing_jumps_while_a_view_loads_slowly_and_all_of_it_is_readable(self):
        for width in SIZES:
            browser = self.browser(width)
            browser.command("Network.enable")
            browser.command("Network.emulateNetworkConditions", offline=False, latency=60, downloadThroughput=400_000, uploadThroughput=400_000)

            def check():
                self.assertLessEqual(browser.run(test_shell.SHIFT), 0.1)
                for theme in ("dark", "light"):
                    browser.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
                    self.assertEqual(browser.run(test_page.PALE_TEXTS), [], theme)
                self.assertEqual(browser.run(test_page.SKIPPED_HEADINGS), [])
                self.assertLessEqual(browser.run("return document.documentElement.scrollWidth"), width)
                self.assertEqual(browser.run(SIDEWAYS), [])
                self.assertEqual(browser.run(CUT), [])

            self.each_view(browser, check)
            browser.quit()

    def test_the_head_covers_nothing_that_has_the_focus(self):
        browser = self.browser(390)
        browser.command("Emulation.setDeviceMetricsOverride", width=390, height=500, deviceScaleFactor=1, mobile=True)
        self.each_view(browser, lambda: self.assertEqual(browser.run(f"return (async () => {{{COVERED}}})()"), []))

    def test_on_a_phone_long_names_of_jobs_have_a_line_of_their_own(self):
        daemon = self.new_daemon()
        run = Run(age=30)
        daemon.accept(run.requested(), *(run.job(f"{LONG} {number}").queued() for number in range(3)))
        browser = self.page(daemon, width=390)
        browser.wait("return document.querySelector('.run .bar')")
        name, track = browser.run("""
            const [name, track] = document.querySelector(".run .row").children;
            return [name, track].map((part) => part.getBoundingClientRect()).map((box) => ({top: box.top, bottom: box.bottom, width: box.width}));""")
        self.assertGreaterEqual(track["top"], name["bottom"] - 1)
        self.assertGreater(track["width"], 250)
        self.assertLess(name["bottom"] - name["top"], 50)
