"""The console in headless Chromium: every page on real data, its actions, keyboard, three widths, light and dark, a path prefix,
a token that may only read. Fails on any message in the browser's console and on what axe-core finds.

ROOST_SHOTS names a folder for screenshots; AXE the path of axe.min.js (test use only), else found in the environment."""

import base64, glob, http.server, json, os, re, shutil, subprocess, sys, tempfile, threading, time, urllib.error, urllib.request
from roosting import BINARY, TOKEN, Redis, Roost, Sink, call, die_with_parent

SHOTS = os.environ.get("ROOST_SHOTS")
AXE = os.environ.get("AXE") or next(iter(glob.glob(sys.prefix + "/lib/python*/site-packages/axe_core_python/axe.min.js")), None)


class Browser:
    """Chromium over its debugging pipe: messages end with a zero byte."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="roost-chromium-")
        out_read, self.write = os.pipe()
        self.read, in_write = os.pipe()

        def plumb():
            # Descriptors 3 and 4 are the pipe's; moved out of the way first.
            a, b = os.dup2(out_read, 60, inheritable=True), os.dup2(in_write, 61, inheritable=True)
            os.dup2(a, 3, inheritable=True), os.dup2(b, 4, inheritable=True)
            die_with_parent()

        self.process = subprocess.Popen(
            ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
             "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--user-data-dir=" + self.folder, "about:blank"],
            preexec_fn=plumb, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(out_read), os.close(in_write)
        self.number, self.buffer, self.faults, self.session = 0, b"", [], None
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(domain + ".enable")

    def message(self):
        while b"\0" not in self.buffer:
            part = os.read(self.read, 1 << 16)
            assert part, "chromium ended"
            self.buffer += part
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def do(self, method, **parameters):
        self.number += 1
        order = dict(id=self.number, method=method, params=parameters)
        if self.session:
            order["sessionId"] = self.session
        os.write(self.write, json.dumps(order).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]
            self.note(answer)

    def note(self, event):
        name, p = event.get("method"), event.get("params", {})
        if name == "Runtime.exceptionThrown":
            self.faults.append(json.dumps(p["exceptionDetails"])[:400])
        elif name == "Runtime.consoleAPICalled" and p["type"] in ("error", "warning"):
            self.faults.append(json.dumps(p["args"])[:400])
        elif name == "Log.entryAdded" and p["entry"]["level"] in ("error", "warning"):
            self.faults.append(p["entry"]["text"] + " " + p["entry"].get("url", ""))

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self.do("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=dict(Tab=9, Enter=13, End=35)[key])

    def js(self, text):
        result = self.do("Runtime.evaluate", expression=text, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, (text[:200], result["exceptionDetails"].get("exception", {}).get("description"))
        return result["result"].get("value")

    def wait(self, text, seconds=20):
        end = time.monotonic() + seconds
        while not self.js("!!(" + text + ")"):
            assert time.monotonic() < end, "in vain: %s\n%s" % (text, self.js("document.body.innerText")[:1500])
            time.sleep(0.05)

    def open(self, url):
        self.do("Page.navigate", url=url)

    def go(self, page, heading):
        self.js("location.hash = %s" % json.dumps("#/" + page))
        self.wait("document.querySelector('main h1')?.textContent.includes(%s)" % json.dumps(heading))

    def click(self, text, within="document"):
        script = "(() => { const b = [...%s.querySelectorAll('button, a, summary')].find(b => b.textContent.startsWith(%s) && !b.disabled); b?.click(); return !!b })()" % (within, json.dumps(text))
        assert self.js(script), "no button " + text
    def confirm(self, text):
        self.wait("document.querySelector('dialog').open")
        said = self.js("document.querySelector('dialog').innerText")
        assert text in said, said
        self.js("document.querySelector('dialog button[type=submit]').click()")

    def fill(self, name, value):
        self.js("(() => { const i = document.querySelector('[name=%s]'); i.value = %s; i.dispatchEvent(new Event('input', {bubbles: true})) })()" % (name, json.dumps(value)))

    def size(self, width, dark):
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.do("Emulation.setEmulatedMedia", features=[dict(name="prefers-color-scheme", value="dark" if dark else "light"), dict(name="prefers-reduced-motion", value="reduce")])

    def shot(self, name):
        if SHOTS:
            data = self.do("Page.captureScreenshot", format="png", captureBeyondViewport=False)["data"]
            with open("%s/%s.png" % (SHOTS, name), "wb") as file:
                file.write(base64.b64decode(data))

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Prefix:
    """A reverse proxy that serves the API below /x."""

    def __init__(self, upstream):
        class Handler(http.server.BaseHTTPRequestHandler):
            def serve(self):
                if not self.path.startswith("/x/"):
                    return self.send_error(404)
                length = int(self.headers.get("Content-Length") or 0)
                request = urllib.request.Request(
                    upstream + self.path[2:], data=self.rfile.read(length) if length else None, method=self.command,
                    headers={k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length")})
                class Stay(urllib.request.HTTPRedirectHandler):
                    def redirect_request(self, *_):
                        return None
                try:
                    answer = urllib.request.build_opener(Stay).open(request)
                except urllib.error.HTTPError as error:
                    answer = error
                body = answer.read()
                self.send_response(answer.status if hasattr(answer, "status") else answer.code)
                for k, v in answer.headers.items():
                    if k.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(k, v)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = serve

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/x" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def data(roost, sink):
    """One of each kind; answers the id of a message that failed."""
    def post(path, headers=None, body=b"{}"):
        status, answer = call("POST", roost.url + path, headers={"Content-Type": "application/json", **(headers or {})}, body=body)
        assert status < 300, (path, answer)
        return json.loads(answer or b"{}")
    for i in range(12):
        post("/v2/publish/%s/ok?i=%d" % (sink.url, i), {"Upstash-Label": "order"}, b'{"order": %d}' % i)
    failed = post("/v2/publish/%s/fail" % sink.url, {"Upstash-Retries": "0", "Upstash-Callback": sink.url + "/callback", "Upstash-Failure-Callback": sink.url + "/failed"}, b'{"card": 7}')["messageId"]
    for i in range(3):
        post("/v2/publish/%s/fail?n=%d" % (sink.url, i), {"Upstash-Retries": "0"})
    delayed = post("/v2/publish/%s/later?it's=so" % sink.url, {
        "Upstash-Delay": "2h", "Upstash-Method": "PUT", "Upstash-Retries": "0", "Upstash-Retry-Delay": "1000 * (1 + retried)", "Upstash-Timeout": "9s",
        "Upstash-Callback": sink.url + "/callback", "Upstash-Callback-Forward-X-Trace": "t 1", "Upstash-Failure-Callback": sink.url + "/failed",
        "Upstash-Label": "order,mail", "Upstash-Forward-X-Tenant": "o'acme"}, b"{\"it's\": 1}")["messageId"]
    post("/v2/queues", body=b'{"queueName":"invoices","parallelism":1,"paused":true}')
    queued = post("/v2/enqueue/invoices/%s/q" % sink.url)["messageId"]
    post("/v2/publish/%s/f" % sink.url, {"Upstash-Flow-Control-Key": "tenant-acme", "Upstash-Flow-Control-Value": "rate=1, period=1h"})
    limited = post("/v2/publish/%s/f" % sink.url, {"Upstash-Flow-Control-Key": "tenant-acme", "Upstash-Flow-Control-Value": "rate=1, period=1h"})["messageId"]
    post("/v2/topics/orders/endpoints", body=json.dumps({"endpoints": [{"name": "mail", "url": sink.url + "/mail"}, {"url": sink.url + "/stock"}]}).encode())
    post("/v2/schedules/%s/daily" % sink.url, {"Upstash-Cron": "0 4 * * *", "Upstash-Schedule-Id": "daily-report"})
    post("/v2/publish/%s/retry" % sink.url, {"Upstash-Retries": "5", "Upstash-Retry-Delay": "3600000"})
    sink.wait(lambda r: sum(x["path"].startswith(("/ok", "/fail?", "/failed", "/retry", "/f")) for x in r) >= 18)
    return failed, delayed, queued, limited


def axe(browser, name):
    assert AXE, "axe.min.js is missing: ops/test --all installs it"
    browser.js(open(AXE).read() + "\n;0")
    found = browser.js("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations.map(v => v.id + ': ' + v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + ' ' + (n.any[0]?.message || '')).join(' | ')))")
    assert not found, "%s: %s" % (name, "\n".join(found))


def main():
    sink = Sink(lambda r: (500, {"X-Why": "broken"}, b"it broke") if r["path"].startswith(("/fail?", "/retry")) or r["path"] == "/fail" else (200, {}, b"ok"))
    folder = tempfile.mkdtemp(prefix="roost-console-")
    roost = Roost("dev", "--data=" + folder)
    browser = Browser()
    try:
        failed, delayed, queued, limited = data(roost, sink)
        base = roost.url + "/console"
        browser.size(1280, False)
        browser.open(base)
        browser.wait("document.querySelector('.cards .card') && location.pathname === '/console/'")
        browser.wait("document.querySelectorAll('.plot').length === 3")
        pages = [("", "Overview"), ("messages", "Messages"), ("messages/" + failed, failed), ("topics", "Topics"), ("queues", "Queues"), ("flows", "Flow control"),
                 ("schedules", "Schedules"), ("dead", "Dead letters"), ("logs", "Logs"), ("publish", "Publish"), ("keys", "Keys")]
        for width in (1280, 360, 2560):
            for dark in (False, True):
                browser.size(width, dark)
                for page, heading in pages:
                    browser.go(page, heading)
                    name = "%s-%d-%s" % ((page or "overview").split("/")[0] + ("-one" if "/" in page else ""), width, "dark" if dark else "light")
                    browser.shot(name)
                    over = browser.js("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                    assert over <= 0, "%s is %d px too wide" % (name, over)
                    if width != 2560:
                        axe(browser, name)
        browser.size(1280, False)
        # Why it waits, in one sentence.
        for id, sentence in ((delayed, "Waits for its time until "), (queued, "queue invoices is paused"), (limited, "flow key tenant-acme has used up its rate until "), (failed, "Failed")):
            browser.go("messages/" + id, id)
            said = browser.js("document.querySelector('.why').textContent")
            assert sentence in said, said
        browser.go("messages/" + failed, failed)
        text = browser.js("document.querySelector('main').textContent")
        assert "it broke" in text and '{"card": 7}' in text and "Its callbacks" in text and "curl -X POST" in text, text
        # The curl line of a message publishes the same once more.
        for id in (delayed, queued, limited):
            browser.go("messages/" + id, id)
            line = browser.js("document.querySelector('pre[aria-label=\"As curl\"]').textContent")
            done = subprocess.run(["sh", "-c", line.replace("curl ", "curl -sS ", 1)], env=dict(os.environ, QSTASH_TOKEN=TOKEN), capture_output=True, text=True)
            copied = json.loads(done.stdout)["messageId"]
            before, after = (json.loads(call("GET", roost.url + "/v2/messages/" + which)[1]) for which in (id, copied))
            assert abs(before["notBefore"] - after["notBefore"]) < (1000 if id == delayed else 600_000), (before, after)
            assert {k: v for k, v in before.items() if k not in ("messageId", "createdAt", "notBefore")} == {
                k: v for k, v in after.items() if k not in ("messageId", "createdAt", "notBefore")}, (before, after)
            assert call("DELETE", roost.url + "/v2/messages/" + copied)[0] == 200
        # Cancel one; all that match, counted first.
        browser.go("messages/" + delayed, delayed)
        browser.click("Cancel…")
        browser.confirm("Cancel 1 message?")
        browser.wait("document.querySelector('.why')?.textContent.startsWith('Cancelled')")
        browser.go("messages?queueName=invoices", "Messages")
        browser.wait("document.querySelectorAll('tbody tr').length === 1")
        browser.click("Cancel all that match…")
        browser.confirm("Cancel 1 messages?")
        browser.wait("document.querySelector('.empty')")
        # Queues, flow keys, schedules.
        browser.go("queues", "Queues")
        browser.click("Resume")
        browser.wait("document.querySelector('tbody .state.on')")
        browser.click("Pause…")
        browser.confirm("Pause invoices?")
        browser.wait("document.querySelector('tbody .state.paused')")
        browser.go("flows", "Flow control")
        browser.click("Pin…")
        browser.wait("document.querySelector('dialog').open")
        browser.js("document.querySelector('#ask-parallelism').value = '3'")
        browser.confirm("Pin tenant-acme")
        browser.wait("document.querySelector('tbody').textContent.includes('of 3 at once')")
        browser.click("Edit pin…")
        browser.wait("document.querySelector('dialog').open && document.querySelector('#ask-parallelism').value === '3'")
        browser.js("document.querySelector('#ask-parallelism').value = '4'")
        browser.confirm("Pin tenant-acme")
        browser.wait("document.querySelector('tbody').textContent.includes('of 4 at once')")
        browser.click("Unpin")
        browser.wait("![...document.querySelectorAll('tbody button')].some(b => b.textContent === 'Unpin')")
        # Two use up its rate and wait; the counts anew, one goes.
        for _ in range(2):
            call("POST", roost.url + "/v2/publish/" + sink.url + "/f", headers={"Upstash-Flow-Control-Key": "tenant-acme", "Upstash-Flow-Control-Value": "rate=1, period=1h"}, body=b"f")
        browser.go("topics", "Topics")
        browser.go("flows", "Flow control")
        browser.wait("/ago|now/.test(document.querySelector('tbody [data-label=\"Oldest due\"]')?.textContent)")
        seen = len([x for x in sink.wait(lambda r: True) if x["path"] == "/f"])
        browser.click("Reset counts…")
        browser.confirm("Reset the counts of tenant-acme?")
        sink.wait(lambda r: sum(x["path"] == "/f" for x in r) == seen + 1)
        browser.go("schedules", "Schedules")
        browser.click("Pause")
        browser.wait("document.querySelector('tbody .state.paused')")
        browser.click("Run now…")
        browser.confirm("Publish 1 message now?")
        sink.wait(lambda r: [x for x in r if x["path"] == "/daily"])
        # Dead letters: the count before the act, then none is left.
        browser.go("dead", "Dead letters")
        browser.wait("document.querySelector('main').textContent.includes('4 match.')")
        browser.click("Delete all 4…")
        browser.confirm("Delete 4 dead letters?")
        browser.wait("document.querySelector('main').textContent.includes('0 match.')")
        # The log over time: all that matches is in the bars, and a click narrows the range to one of them.
        browser.go("logs?state=FAILED", "Logs")
        browser.wait("document.querySelector('.plot svg')?.getAttribute('aria-label').includes(': 4 failed;')")
        browser.js("document.querySelectorAll('.column')[59].dispatchEvent(new MouseEvent('click', {bubbles: true}))")
        browser.wait("location.hash.includes('fromDate=') && location.hash.includes('toDate=') && document.querySelector('[name=fromDate]')?.value")
        # The same by keyboard: one stop for all bars, arrows from one to the next.
        browser.go("logs", "Logs")
        browser.wait("document.querySelectorAll('.column[role=button]').length > 1")
        assert browser.js("document.querySelectorAll('.plot [tabindex=\"0\"]').length") == 1
        browser.js("document.querySelector('.column[tabindex=\"0\"]').focus()")
        browser.press("End")
        last = "[...document.querySelectorAll('.column[role=button]')].at(-1)"
        assert browser.js("document.activeElement === %s && %s.getAttribute('tabindex') === '0'" % (last, last))
        browser.press("Enter")
        browser.wait("location.hash.includes('fromDate=') && document.querySelector('[name=fromDate]')?.value")
        browser.go("logs?state=FAILED&toDate=1000", "Logs")
        browser.wait("document.querySelector('main').textContent.includes('Nothing matches.')")
        browser.go("messages", "Messages")
        browser.js("document.querySelector('[name=fromDate]').value = '2000-01-01T00:00:00'; document.querySelector('[name=toDate]').value = '2000-01-02T00:00:00'")
        browser.click("Show")
        browser.wait("location.hash.includes('toDate=946') && document.querySelector('.empty')")
        # Live tail.
        browser.go("logs", "Logs")
        browser.click("Live tail")
        browser.wait("document.querySelector('.empty')")
        call("POST", roost.url + "/v2/publish/" + sink.url + "/tail", body=b"t")
        browser.wait("[...document.querySelectorAll('tbody tr')].some(r => r.textContent.includes('/tail') && r.textContent.includes('DELIVERED'))")
        browser.click("Stop the tail")
        # Publish by the form.
        browser.go("publish", "Publish")
        browser.fill("destination", sink.url + "/form")
        browser.fill("headers", "X-Tenant: acme")
        browser.fill("body", "it's me")
        browser.js("for (const d of document.querySelectorAll('main details')) d.open = true")
        browser.fill("Callback-", sink.url + "/form-back")
        browser.fill("Callback-delay", "0s")
        browser.fill("Callback-headers", "X-From: form")
        line = browser.js("document.querySelector('main pre').textContent")
        assert "Upstash-Callback-Forward-X-From: form" in line and "Upstash-Callback-Delay: 0s" in line, line
        browser.js("document.querySelector('main button[type=submit]').click()")
        browser.wait("document.querySelector('main .good a')")
        request = sink.wait(lambda r: [x for x in r if x["path"] == "/form"])
        first = next(x for x in request if x["path"] == "/form")
        assert first["body"] == b"it's me" and first["headers"].get("X-Tenant") == "acme", first
        done = subprocess.run(["bash", "-c", line], env={**os.environ, "QSTASH_TOKEN": TOKEN}, capture_output=True, text=True)
        assert "messageId" in done.stdout, (line, done.stderr)
        sink.wait(lambda r: sum(x["path"] == "/form" for x in r) == 2)
        back = sink.wait(lambda r: [x for x in r if x["path"] == "/form-back"])
        assert next(x for x in back if x["path"] == "/form-back")["headers"].get("X-From") == "form"
        # The checker: a real signature, then another body.
        browser.go("keys", "Keys")
        browser.fill("signature", first["headers"]["Upstash-Signature"])
        browser.fill("body", "it's me")
        browser.js("document.querySelector('main button[type=submit]').click()")
        browser.wait("document.querySelector('main .good')")
        browser.fill("body", "it's you")
        browser.js("document.querySelector('main button[type=submit]').click()")
        browser.wait("document.querySelector('main .bad')?.textContent.includes('the body is not the one')")
        # The plots survive a reload, the token does too, and it stays out of localStorage.
        browser.go("", "Overview")
        browser.wait("/delivered [1-9]|delivered 0 a minute last, [1-9]/.test(document.querySelector('.plot svg').getAttribute('aria-label'))")
        browser.do("Page.reload")
        browser.wait("/delivered [1-9]|delivered 0 a minute last, [1-9]/.test(document.querySelector('.plot svg')?.getAttribute('aria-label'))")
        assert browser.js("localStorage.length === 0 && sessionStorage.length === 1")
        # By keyboard: the first stop is the skip link.
        browser.press("Tab")
        assert browser.js("document.activeElement.id") == "skip"
        assert not browser.faults, browser.faults
        # The server goes away and comes again: the tail goes on, with nothing lost and nothing twice.
        browser.go("logs", "Logs")
        browser.click("Live tail")
        browser.wait("document.querySelector('.empty')")
        call("POST", roost.url + "/v2/publish/" + sink.url + "/before", body=b"t")
        browser.wait("[...document.querySelectorAll('tbody tr')].some(r => r.textContent.includes('/before') && r.textContent.includes('DELIVERED'))")
        port = roost.url.rsplit(":", 1)[1]
        assert roost.stop() == 0, roost.output()
        browser.wait("document.querySelector('main').textContent.includes('The connection broke.')")
        roost = Roost("dev", "--data=" + folder, port=int(port))
        call("POST", roost.url + "/v2/publish/" + sink.url + "/after", body=b"t")
        browser.wait("[...document.querySelectorAll('tbody tr')].some(r => r.textContent.includes('/after') && r.textContent.includes('DELIVERED'))")
        rows = browser.js("[...document.querySelectorAll('tbody tr')].map(r => r.textContent).filter(t => /before|after/.test(t)).map(t => t.replace(/^.*Z/, '')).length")
        assert rows == 6, rows
        browser.click("Stop the tail")
        browser.faults.clear()  # refused connections while the server was away
        # Behind a prefix; another origin, so the token is asked for unless dev gives it.
        proxy = Prefix(roost.url)
        browser.open(proxy.url + "/console")
        browser.wait("document.querySelector('.cards .card') && location.pathname === '/x/console/'")
        browser.go("queues", "Queues")
        browser.wait("document.querySelector('tbody')")
        assert not browser.faults, browser.faults
        assert not roost.stop(), roost.output()
        reader(browser)
    finally:
        browser.close()
        if roost.process.poll() is None:
            roost.kill()
        shutil.rmtree(folder, ignore_errors=True)


def reader(browser):
    """A production server: the token is asked for, a wrong one is refused, a reader's offers no change."""
    redis = Redis()
    roost = Roost("serve", env={
        "ROOST_REDIS_URL": "unix://" + redis.socket, "QSTASH_TOKEN": "long-enough-a-token",
        "ROOST_TOKENS": json.dumps([{"name": "reader", "secret": "another-long-secret", "scopes": ["read"]}])})
    try:
        browser.open(roost.url + "/console/")
        browser.wait("document.querySelector('#token')")
        browser.faults.clear()  # the development token is not there: 401 is what the browser notes
        browser.js("document.querySelector('#token').value = 'wrong'; document.querySelector('form button').click()")
        browser.wait("document.querySelector('.login .bad').textContent")
        browser.js("document.querySelector('#token').value = 'another-long-secret'; document.querySelector('form button').click()")
        browser.wait("document.querySelector('.cards .card')")
        assert "read only" in browser.js("document.querySelector('#who').textContent")
        browser.faults.clear()
        browser.go("queues", "Queues")
        assert browser.js("[...document.querySelectorAll('main .actions button')].filter(b => b.textContent.startsWith('New')).every(b => b.disabled)")
        browser.go("keys", "Keys")
        assert not browser.faults, browser.faults
        assert roost.stop() == 0, roost.output()
    finally:
        if roost.process.poll() is None:
            roost.kill()
        redis.close()


main()
