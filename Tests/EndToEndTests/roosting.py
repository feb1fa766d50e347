"""What the end-to-end scenarios share: a sink that remembers, and servers that never stay behind."""

import base64, ctypes, http.client, http.server, json, os, random, re, shutil, signal, socket, ssl, subprocess, sys, tempfile, threading, time
import urllib.request

BINARY = os.environ["ROOST_TEST_BINARY"]
TOKEN = "eyJVc2VySUQiOiJkZWZhdWx0VXNlciIsIlBhc3N3b3JkIjoiZGVmYXVsdFBhc3N3b3JkIn0="
CURRENT, NEXT = "sig_7kYjw48mhY7kAjqNGcy6cr29RJ6r", "sig_5ZB6DVzB1wjE8S6rZ7eenA8Pdnhs"


class Sink:
    """Remembers every request; `answer(request)` may return (status, headers, body)."""

    def __init__(self, answer=None):
        self.requests, self.changed, self.answer = [], threading.Condition(), answer
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = dict(method=self.command, path=self.path, headers=dict(self.headers.items()), body=body, at=time.time())
                with sink.changed:
                    sink.requests.append(request)
                    sink.changed.notify_all()
                status, headers, text = sink.answer(request) if sink.answer else (200, {}, b"ok")
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)
                except OSError:
                    pass

            do_POST = do_GET = do_PUT = do_PATCH = do_DELETE = serve

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 1024

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, condition, seconds=30):
        """Until condition(requests) holds; answers the requests."""
        end = time.monotonic() + seconds
        with self.changed:
            while not condition(self.requests):
                left = end - time.monotonic()
                assert left > 0, "the sink waited in vain; it has %d requests: %s" % (
                    len(self.requests), [(r["path"], r["body"][:60]) for r in self.requests[-5:]])
                self.changed.wait(left)
            return list(self.requests)


def until(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "in vain: " + what
        time.sleep(0.01)


reserved = []


def free_port():
    """For a server that is started, perhaps more than once. Nobody else gets it meanwhile: it lies below the ports that the kernel gives to whoever
    wants any, and all scenarios see what one has reserved, by a name that goes with its process."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind("\0roost-e2e-port-%d" % port)
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
        except OSError:
            name.close()
            continue
        reserved.append(name)
        return port


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Roost:
    """`roost dev` or `roost serve` as a child process."""

    def __init__(self, *words, env=None, port=None, scheme="http"):
        self.port = port or free_port()
        self.url = "%s://127.0.0.1:%d" % (scheme, self.port)
        anyone = ssl.create_default_context()
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        self.log = tempfile.TemporaryFile("w+")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("ROOST_", "QSTASH_"))}
        environment.update(env or {})
        self.process = subprocess.Popen(
            [BINARY, *words, "-port=%d" % self.port], env=environment, stdout=self.log, stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent)
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(self.url + "/ready", timeout=2, context=anyone).read()
                return
            except OSError:
                assert self.process.poll() is None, "roost ended: " + self.output()
                assert time.monotonic() < end, "roost does not get ready: " + self.output()
                time.sleep(0.02)

    def output(self):
        self.log.seek(0)
        return self.log.read()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=30):
        self.process.terminate()
        return self.process.wait(seconds)


def call(method, url, token=TOKEN, headers=None, body=None):
    request = urllib.request.Request(url, data=body, method=method, headers={**(headers or {})})
    if token:
        request.add_header("Authorization", "Bearer " + token)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def callbacks(requests, path="/callback"):
    """Of each source message the ids of its callback messages, as they arrived."""
    sources = {}
    for r in requests:
        if r["path"] == path:
            sources.setdefault(json.loads(r["body"])["sourceMessageId"], set()).add(r["headers"]["Upstash-Message-Id"])
    return sources


class Redis:
    """A redis-server on a unix socket; `cli` asks it as people do."""

    def __init__(self, *words):
        self.folder = tempfile.mkdtemp(prefix="roost-e2e-", dir="/tmp")
        self.socket = self.folder + "/s"
        self.words = words
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.folder, "--appendonly", "yes",
             "--save", "", *self.words], stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)
        while not self.cli("PING").startswith(("PONG", "NOAUTH")):
            time.sleep(0.01)

    def cli(self, *words):
        return subprocess.run(["redis-cli", "-s", self.socket, *words], capture_output=True, text=True).stdout.strip()

    def audit(self, root):
        lua = os.path.join(os.path.dirname(__file__), "../../lua/inspect/audit.lua")
        cursor, findings = "0", []
        while True:
            lines = self.cli("--eval", lua, root, ",", cursor).split("\n")
            cursor, findings = lines[0], findings + lines[1:]
            if cursor == "0":
                return [line for line in findings if line]

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
