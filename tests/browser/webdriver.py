"""A browser, driven by the WebDriver protocol (W3C) through Debian's chromedriver. As much of it as the tests need."""
import atexit
import base64
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's own name for references
PATIENCE = float(os.environ.get("PATIENCE", "60"))
KEYS = {"Enter": "\ue007", "Tab": "\ue004", "Escape": "\ue00c", "ArrowDown": "\ue015", "ArrowUp": "\ue013", "ArrowLeft": "\ue012", "ArrowRight": "\ue014", "Home": "\ue011", "End": "\ue010", "Space": " "}


class Browser:
    """One headless Chromium with a profile of its own. `dark` and `width` as a user would have them."""

    def __init__(self, width=1280, height=900, dark=False):
        if not shutil.which("chromedriver"):
            raise RuntimeError("chromedriver is not here: scripts/bootstrap --all installs it")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = tempfile.mkdtemp(prefix="ghatrace-browser-")
        self.process = subprocess.Popen(["chromedriver", f"--port={self.port}"], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        self.session = None
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                            "--disable-background-networking", "--disable-component-update", "--force-color-profile=srgb",
                            f"--user-data-dir={self.folder}", f"--window-size={width},{height}"]}
        wanted = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options,
                                  "goog:loggingPrefs": {"browser": "ALL"}, "unhandledPromptBehavior": "ignore"}}
        deadline = time.monotonic() + PATIENCE
        while self.session is None:
            try:
                self.session = self._call("POST", "/session", {"capabilities": wanted})["sessionId"]
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.quit()
                    raise
                time.sleep(0.1)
        self.kind, self.is_altered = (width, height, dark), False
        # Windows have a least width; what a page sees has none.
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        if dark:
            self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        self.is_altered = False

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, method=method,
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise AssertionError(f"{value['error']}: {value['message'].splitlines()[0]}") from None

    def _session(self, method, path, body=None):
        return self._call(method, f"/session/{self.session}{path}", body)

    def command(self, name, **parameters):
        """A command of Chromium's own protocol."""
        self.is_altered = True
        return self._session("POST", "/goog/cdp/execute", {"cmd": name, "params": parameters})

    def open(self, url):
        self._session("POST", "/url", {"url": url})

    def open_tab(self, url, kind="tab"):
        """A new tab, or a new window, which is shown; returns its handle."""
        self.is_altered = True
        handle = self._session("POST", "/window/new", {"type": kind})["handle"]
        self.switch(handle)
        self.open(url)
        return handle

    def switch(self, handle):
        """To another tab or window, which is shown."""
        self._session("POST", "/window", {"handle": handle})

    def close_tab(self):
        """The handles of those that are left."""
        return self._session("DELETE", "/window")

    @property
    def handle(self):
        return self._session("GET", "/window")

    def set_window(self, state):
        """"minimized" hides all tabs of the window, "normal" shows them."""
        window = self.command("Browser.getWindowForTarget")["windowId"]
        self.command("Browser.setWindowBounds", windowId=window, bounds={"windowState": state})

    def before_each_page(self, script):
        """Runs the script in each page that is opened from now on, before the page's own."""
        self.command("Page.addScriptToEvaluateOnNewDocument", source=script)

    def back(self):
        self._session("POST", "/back", {})

    def reload(self):
        self._session("POST", "/refresh", {})

    def run(self, script, *arguments):
        """The value that a function body returns."""
        return self._session("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, script, *arguments, what=None):
        """Until the script returns something true; returns that."""
        deadline = time.monotonic() + PATIENCE
        while True:
            value = self.run(script, *arguments)
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"timed out waiting for {what or script}\n" + self.text()[:2000])
            time.sleep(0.05)

    def text(self, selector="body"):
        return self.run("const e = document.querySelector(arguments[0]); return e ? e.innerText : ''", selector)

    def wait_for_text(self, text, selector="body"):
        return self.wait("const e = document.querySelector(arguments[1]); return e && e.innerText.includes(arguments[0])", text,
                         selector, what=f"the text {text!r} in {selector}")

    def find(self, selector):
        return self._session("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector):
        self._session("POST", f"/element/{self.find(selector)}/click", {})

    def type(self, selector, text):
        self._session("POST", f"/element/{self.find(selector)}/value", {"text": text})

    def press(self, *keys):
        """Keys, to whatever has the focus."""
        actions = []
        for key in keys:
            value = KEYS.get(key, key)
            actions += [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        self._session("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def focused(self):
        return self.run("return (document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || "
                        "document.activeElement.name || '').trim()")

    def has_alert(self):
        try:
            self._session("GET", "/alert/text")
        except AssertionError:
            return False
        return True

    def complaints(self):
        """What the console has: errors, violations of the page's policy."""
        entries = self._session("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self._session("GET", "/screenshot")))

    def quit(self):
        try:
            if self.session:
                self._session("DELETE", "")
        except (AssertionError, OSError):
            pass
        finally:
            self.process.terminate()
            self.process.wait()
            shutil.rmtree(self.folder, True)


# --- a browser takes a second to start: tests that alter nothing in it have one after another ---

MOST_IDLE = 2
idle = []


def borrow(width=1280, height=900, dark=False):
    """A browser with nothing open; give_back() takes it."""
    kind = (width, height, dark)
    for browser in idle:
        if browser.kind == kind:
            idle.remove(browser)
            browser.may_complain = False
            return browser
    return Browser(width, height, dark)


def give_back(browser):
    """Quits it if commands have altered it, or if there are enough."""
    if browser.process.poll() is not None:
        return
    try:
        if not browser.is_altered:
            browser.open("about:blank")
            browser.complaints()
            idle.append(browser)
        if len(idle) > MOST_IDLE:
            browser = idle.pop(0)
        elif not browser.is_altered:
            return
    except (AssertionError, OSError):
        pass
    browser.quit()


@atexit.register
def quit_idle():
    while idle:
        idle.pop().quit()
