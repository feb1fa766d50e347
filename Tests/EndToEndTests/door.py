"""The front door of `roost serve` against those who mean harm: requests that two readers read differently, slow and oversized ones, idle
connections, wrong tokens, names that would like to be other keys. Others are served meanwhile, memory stays bounded, nothing leaks."""

from roosting import *
import resource

ALL = "ROOST_TEST_ALL" in os.environ
secret, reader, weak = "a-secret-of-sixteen-bytes-or-more", "the-reader-of-sixteen-bytes", "short"
password = "redis-p4ssword-that-nobody-sees"
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)

# --- weak secrets, beside those of serve.py
redis = Redis("--requirepass", password)
redis.cli = lambda *words: subprocess.run(
    ["redis-cli", "-s", redis.socket, "-a", password, "--no-auth-warning", *words], capture_output=True, text=True).stdout.strip()
env = dict(ROOST_REDIS_URL="unix://:%s@%s" % (password, redis.socket), QSTASH_TOKEN=secret, ROOST_ALLOW_NETWORKS="127.0.0.1/32", ROOST_LOG_LEVEL="trace",
           ROOST_TOKENS=json.dumps([dict(name="reader", secret=reader, scopes=["read"]), dict(name="ci", secret="the-publisher-of-16-bytes", scopes=["publish"])]))
clean = {k: v for k, v in os.environ.items() if not k.startswith(("ROOST_", "QSTASH_"))}
empty = redis.folder + "/empty"
open(empty, "w").close()
for change, text in [
    (dict(ROOST_TOKENS='[{"name":"ci","secret":"%s","scopes":["admin"]}]' % weak), "ci is weak"),
    (dict(ROOST_TOKENS='[{"name":"ci","secret":"%s","scopes":["admin"]}]' % TOKEN), "public development token"),
    (dict(ROOST_TOKENS='[{"name":"ci","secret":"%s","scopes":["root"]}]' % reader), "unknown"),
    (dict(QSTASH_CURRENT_SIGNING_KEY=weak, QSTASH_NEXT_SIGNING_KEY=reader), "QSTASH_CURRENT_SIGNING_KEY is weak"),
    (dict(QSTASH_TOKEN="", QSTASH_TOKEN_FILE=empty), "QSTASH_TOKEN"),
    (dict(QSTASH_TOKEN="", QSTASH_TOKEN_FILE=redis.folder + "/none"), "QSTASH_TOKEN_FILE"),
]:
    done = subprocess.run([BINARY, "serve"], env={**clean, **env, **change}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and text in done.stderr, (change, done)
    assert not any(s in done.stderr for s in (secret, reader, TOKEN, password)), done.stderr
done = subprocess.run(["timeout", "10", BINARY, "serve", "--redis-url", env["ROOST_REDIS_URL"], "-port=%d" % free_port()], env={**clean, "QSTASH_TOKEN": secret},
                      capture_output=True, text=True)
wrong = [] if done.returncode == 2 and password not in done.stderr else ["a password on the command line: %d %s" % (done.returncode, done.stderr[-100:])]
sink = Sink()
roost = Roost("serve", env=env)
PROC = "/proc/%d/" % roost.process.pid


def rss():
    """kB."""
    return int(re.search(r"VmRSS:\s+(\d+)", open(PROC + "status").read()).group(1))


class Watch:
    """How far memory rose at most while a block ran, and how others were served meanwhile."""

    def __init__(self, what, growth=None, others=3.0):
        self.what, self.growth, self.others = what, growth, others

    def __enter__(self):
        self.before, self.highest, self.times, self.ended = rss(), 0, [], threading.Event()
        self.threads = [threading.Thread(target=self.look), threading.Thread(target=self.ask)]
        for thread in self.threads:
            thread.start()
        return self

    def look(self):
        while not self.ended.wait(0.01):
            self.highest = max(self.highest, rss())

    def ask(self):
        while True:
            started = time.monotonic()
            status, body = call("POST", roost.url + "/v2/publish/" + sink.url + "/other", secret, body=b"x")
            assert status == 200, (self.what, status, body)
            self.times.append(time.monotonic() - started)
            if self.ended.wait(0.05):
                return

    def __exit__(self, *error):
        self.ended.set()
        for thread in self.threads:
            thread.join()
        rose = max(0, max(self.highest, rss()) - self.before)
        print("%-34s memory +%6d kB, others served in %3.0f ms at most" % (self.what, rose, 1000 * max(self.times)), flush=True)
        if error[0] is None:
            if self.growth is not None and rose > self.growth:
                wrong.append("%s: memory rose by %d kB" % (self.what, rose))
            if max(self.times) > self.others:
                wrong.append("%s: another caller waited %.2f s" % (self.what, max(self.times)))


def connect(address="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", roost.port), 10, (address, 0))


def exchange(data, seconds=5):
    """What comes back until the server closes; False in second place where it did not within the time. Data may come in parts."""
    answer = b""
    with connect() as s:
        s.settimeout(seconds)
        try:
            for part in [data] if isinstance(data, bytes) else data:
                s.sendall(part)
        except OSError:
            pass  # refused on the way: the answer is there all the same
        try:
            while part := s.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
        except TimeoutError:
            return answer, False
    return answer, True


def statuses(answer):
    return [int(s) for s in re.findall(rb"HTTP/1\.1 (\d{3})", answer) if s != b"100"]


bearer = b"Authorization: Bearer %s\r\n" % secret.encode()


def ask(method, path, *headers, body=b"", token=secret):
    """One request in raw bytes: its status and its error."""
    lines = [b"%s %s HTTP/1.1" % (method.encode(), path), b"Host: a", b"Connection: close", b"Content-Length: %d" % len(body)]
    lines += [b"Authorization: Bearer " + token.encode()] if token else []
    answer, _ = exchange(b"\r\n".join([*lines, *(b"%s: %s" % (n.encode(), v) for n, v in headers)]) + b"\r\n\r\n" + body)
    assert statuses(answer), (method, path[:100], answer)
    return statuses(answer)[0], answer.split(b"\r\n\r\n", 1)[1].decode()


# --- what the system shows of the process
assert not any(s.encode() in open(PROC + "cmdline", "rb").read() for s in (secret, reader, password))
core = re.search(r"Max core file size\s+(\S+)", open(PROC + "limits").read()).group(1)
print("core files: limit %s" % core)

# --- what a proxy in front could read in another way is a 400, and what hides behind it is never executed
target = sink.url.encode()
hidden = b"POST /v2/publish/%s/smuggled HTTP/1.1\r\nHost: a\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n" % (target, bearer)
line, length = b"POST /v2/publish/%s/first HTTP/1.1\r\n" % target, b"%d" % len(hidden)
host, end, zero = b"Host: a\r\n" + bearer, b"\r\n\r\n", b"0\r\n\r\n"
chunked = line + host + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLING = {
    "length and chunked": line + host + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + zero,
    "chunked and length": line + host + b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n" % (5 + len(hidden)) + zero,
    "two lengths": line + host + b"Content-Length: 0\r\nContent-Length: " + length + end,
    "two equal lengths": line + host + b"Content-Length: 0\r\nContent-Length: 0" + end,
    "a list of lengths": line + host + b"Content-Length: 0, 0" + end,
    "length +0": line + host + b"Content-Length: +0" + end,
    "length -1": line + host + b"Content-Length: -1" + end,
    "length 0x0": line + host + b"Content-Length: 0x0" + end,
    "length 0 0": line + host + b"Content-Length: 0 0" + end,
    "empty length": line + host + b"Content-Length: " + end,
    "length of 24 digits": line + host + b"Content-Length: " + b"9" * 24 + end,
    "length of 2^64-1": line + host + b"Content-Length: 18446744073709551615" + end,
    "length of 2^63": line + host + b"Content-Length: 9223372036854775808" + end,
    "folded coding": line + host + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + zero,
    "blank before the colon": line + host + b"Transfer-Encoding : chunked\r\n\r\n" + zero,
    "vertical tab": line + host + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + zero,
    "xchunked": line + host + b"Transfer-Encoding: xchunked\r\n\r\n" + zero,
    "quoted chunked": line + host + b"Transfer-Encoding: \"chunked\"\r\n\r\n" + zero,
    "identity": line + host + b"Transfer-Encoding: identity\r\nContent-Length: 0" + end,
    "chunked, identity": line + host + b"Transfer-Encoding: chunked, identity\r\n\r\n" + zero,
    "identity, chunked": line + host + b"Transfer-Encoding: identity, chunked\r\n\r\n" + zero,
    "gzip, chunked": line + host + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + zero,
    "two codings": line + host + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + zero,
    "chunked in 1.0": line.replace(b"1.1", b"1.0") + host + b"Transfer-Encoding: chunked\r\n\r\n" + zero,
    "bare LF": (line + host + b"Content-Length: 0" + end).replace(b"\r\n", b"\n"),
    "one bare LF": line + host + b"X: y\nContent-Length: 0" + end,
    "bare CR": line + host + b"X: y\rTransfer-Encoding: chunked\r\nContent-Length: 0" + end,
    "NUL in a value": line + host + b"X: a\0b\r\nContent-Length: 0" + end,
    "NUL in a name": line + host + b"X\0: a\r\nContent-Length: 0" + end,
    "blank in a name": line + host + b"X y: a\r\nContent-Length: 0" + end,
    "no colon": line + host + b"Xy\r\nContent-Length: 0" + end,
    "blank before a header": line + b" " + host + b"Content-Length: 0" + end,
    "two Hosts": line + b"Host: b\r\n" + host + b"Content-Length: 0" + end,
    "no Host": line + bearer + b"Content-Length: 0" + end,
    "Host with a path": line + b"Host: a/b\r\n" + bearer + b"Content-Length: 0" + end,
    "Host with a blank": line + b"Host: a b\r\n" + bearer + b"Content-Length: 0" + end,
    "blank in the target": line.replace(b"first", b"fi rst") + host + b"Content-Length: 0" + end,
    "control in the target": line.replace(b"first", b"fi\x01rst") + host + b"Content-Length: 0" + end,
    "8 bit in the target": line.replace(b"first", b"fi\xe9rst") + host + b"Content-Length: 0" + end,
    "HTTP/1.9": line.replace(b"1.1", b"1.9") + host + b"Content-Length: 0" + end,
    "HTTP/2.0": line.replace(b"1.1", b"2.0") + host + b"Content-Length: 0" + end,
    "HTTP/0.9": b"GET /v2/publish/%s/first\r\n" % target,
    "chunk of -1": chunked + b"-1\r\nx\r\n" + zero,
    "chunk of 0x1": chunked + b"0x1\r\nx\r\n" + zero,
    "chunk of 17 digits": chunked + b"f" * 17 + b"\r\nx\r\n" + zero,
    "blank behind a chunk's size": chunked + b"1 \r\nx\r\n" + zero,
    "a longer chunk than said": chunked + b"1\r\nxxxx\r\n" + zero,
    "chunk ends with LF": chunked + b"1\nx\n0\n\n",
    "LF in a chunk extension": chunked + b"1;a=b\nc\r\nx\r\n" + zero,
    "length in the trailers": chunked + b"1\r\nx\r\n0\r\nContent-Length: 5\r\n\r\n",
}
before = len(sink.requests)
for name, request in SMUGGLING.items():
    answer, closed = exchange(request + hidden, 2)
    expected = [413] if "of 2^" in name else [400, 501] if "chunked" in name else [400]
    if len(statuses(answer)) != 1 or statuses(answer)[0] not in expected or not closed:
        wrong.append("%s: %s%s" % (name, statuses(answer), "" if closed else ", left open"))
# A target in absolute form is one request as any other (RFC 9112 3.2.2); what follows an upgrade is no request of ours.
for request, status in [
    (line.replace(b" /", b" http://a/", 1).replace(b"first", b"other") + host + b"Content-Length: 0" + end, 200),
    (b"CONNECT a:80 HTTP/1.1\r\n" + host + end[2:] + hidden, 404),
]:
    answer, _ = exchange(request, 1)
    assert statuses(answer) == [status], (request, answer)
answer, _ = exchange(b"GET /v2/keys HTTP/1.1\r\n" + host + b"Content-Length: " + length + end + hidden, 1)
assert statuses(answer) == [200], answer
call("POST", roost.url + "/v2/publish/" + sink.url + "/end", secret, body=b"x")
sink.wait(lambda rs: any(r["path"] == "/end" for r in rs))
reached = [r["path"] for r in sink.requests[before:] if r["path"] not in ("/end", "/other")]
print("smuggling: %d shapes, wrong: %s, reached the sink: %s" % (len(SMUGGLING), wrong, reached))

# --- tokens and their scopes
for token, method, path, status in [
    (None, "GET", b"/v2/queues", 401), ("", "GET", b"/v2/queues", 401), (secret[:-1], "GET", b"/v2/queues", 401), (secret + "x", "GET", b"/v2/queues", 401),
    (secret.upper(), "GET", b"/v2/queues", 401), (password, "GET", b"/v2/keys", 401), ("x" * 50_000, "GET", b"/v2/queues", 401), (TOKEN, "GET", b"/v2/queues", 401),
    (None, "GET", b"/nowhere", 401), (None, "GET", b"/metrics", 200), (None, "GET", b"/v2/queues?qstash_token=" + secret.encode(), 200),
    (secret, "GET", b"/nowhere", 404), (reader, "GET", b"/v2/queues", 200), (reader, "GET", b"/v2/keys", 403), (reader, "POST", b"/v2/publish/" + target, 403),
    (reader, "DELETE", b"/v2/messages", 403), (reader, "POST", b"/v2/keys/rotate", 403), ("the-publisher-of-16-bytes", "GET", b"/v2/queues", 403),
    ("the-publisher-of-16-bytes", "POST", b"/v2/publish/" + target + b"/scoped", 200), ("the-publisher-of-16-bytes", "POST", b"/v2/batch", 400),
    ("the-publisher-of-16-bytes", "GET", b"/v2/keys", 403), ("the-publisher-of-16-bytes", "DELETE", b"/v2/dlq", 403),
]:
    answer = ask(method, path, token=token)
    assert answer[0] == status and (status < 400 or "error" in json.loads(answer[1])), (token, method, path, answer)
    assert not token or len(token) < 8 or token not in answer[1], answer

# --- what is too large gets the right status, and its bytes are not kept
MAX = 1 << 20
big_batch = b"[" + b",".join([b'{"destination":"%s/batch"}' % target] * 1_000_000) + b"]"
deep = b"[" * 10_000 + b"]" * 10_000
publish = b"POST /v2/publish/%s/large HTTP/1.1\r\n" % target + host
before = len(sink.requests)
for what, data, expected, growth in [
    ("a line of 1 MB", b"GET /" + b"a" * MAX + b" HTTP/1.1\r\n" + host + end, (400, 414, 431), 8_000),
    ("a header of 1 MB", publish + b"X: " + b"a" * MAX + end, (431,), 8_000),
    ("a header's name of 1 MB", publish + b"a" * MAX + b": x" + end, (431,), 8_000),
    ("100,000 headers", publish + b"".join(b"X-%d: 1\r\n" % n for n in range(100_000)) + end, (431,), 8_000),
    ("trailers of 1 MB", publish + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(100_000)) + end, (400, 431), 8_000),
    ("a chunk's extension of 1 MB", publish.replace(b"large", b"tiny") + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"a" * MAX + b"\r\nx\r\n" + zero, (200,), 8_000),
    ("a million empty headers' bytes", publish + b"X:\r\n" * 250_000 + end, (431,), 8_000),
    ("100,000 parameters", b"GET /v2/logs?" + b"a&" * 100_000 + b" HTTP/1.1\r\n" + host + end, (400, 414, 431), 8_000),
    ("30,000 parameters", b"GET /v2/logs?" + b"a&" * 30_000 + b" HTTP/1.1\r\n" + host + b"Connection: close" + end, (400,), 30_000),
    ("a body of 10 GB by its length", publish + b"Content-Length: 10000000000" + end, (413,), 8_000),
    ("a body of 1 MiB and 1", publish + b"Content-Length: %d" % (MAX + 1) + end + b"x" * (MAX + 1), (413,), 8_000),
    ("50 MB by chunks", [publish + b"Transfer-Encoding: chunked\r\n\r\n", *[b"10000\r\n" + b"x" * 65536 + b"\r\n"] * 800], (413,), 16_000),
    ("200 kB in chunks of one byte", [publish.replace(b"large", b"tiny") + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n" * 10_000] * 20, zero], (200,), 16_000),
    ("a body for a wrong token", publish.replace(secret.encode(), b"wrong") + b"Content-Length: 1000000" + end, (401,), 8_000),
    ("a batch of 101 MB", b"POST /v2/batch HTTP/1.1\r\n" + host + b"Content-Length: 101000000" + end, (413,), 8_000),
    ("a batch of a million items", b"POST /v2/batch HTTP/1.1\r\n" + host + b"Connection: close\r\nContent-Length: %d" % len(big_batch) + end + big_batch, (413,), 250_000),
    ("JSON 10,000 deep", b"POST /v2/batch HTTP/1.1\r\n" + host + b"Connection: close\r\nContent-Length: %d" % len(deep) + end + deep, (400,), 16_000),
    ("JSON 10,000 deep for a queue", b"POST /v2/queues HTTP/1.1\r\n" + host + b"Connection: close\r\nContent-Length: %d" % len(deep) + end + deep, (400,), 16_000),
]:
    with Watch(what, growth):
        answer, closed = exchange(data, 20 if "million items" in what else 3)
    if len(statuses(answer)) != 1 or statuses(answer)[0] not in expected or not closed:
        wrong.append("%s: %s%s" % (what, statuses(answer), "" if closed else ", left open"))
    elif expected != (200,):
        assert "error" in json.loads(answer.split(b"\r\n\r\n", 1)[1]), (what, answer)
wrong += ["%s was published" % r["path"] for r in sink.requests[before:] if r["path"] in ("/large", "/batch")]
del big_batch

# --- slow callers and idle ones: a stranger's connection costs little, and others are served
IDLE = min(10_000 if ALL else 1_000, hard - 1_000)


def held(what, count, first, kilobytes):
    """Opens so many connections, sends each the same beginning of a request, and a byte more now and then."""
    with Watch(what, kilobytes * count + 4_000) as watch:
        connections = [connect("127.0.0.%d" % (2 + n % 200)) for n in range(count)]
        for s in connections:
            s.sendall(first)
        for _ in range(2):
            for s in connections[:1_000]:
                s.sendall(b"a")
            time.sleep(0.2)
        print("    %.1f kB a connection, %d connections" % ((rss() - watch.before) / count, count))
    return connections


strangers = held("idle", IDLE, b"", 12)
strangers += held("headers that drip", 500, b"POST / HTTP/1.1\r\nHost: a\r\nX: ", 24)
strangers += held("60 kB of headers, unfinished", 300, b"POST / HTTP/1.1\r\nHost: a\r\n" + b"X: %s\r\n" % (b"a" * 990) * 60, 160)
strangers += held("a stranger's body that drips", 300, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 65000\r\n\r\n" + b"a" * 60_000, 40)
strangers += held("a wrong token's body that drips", 300, b"POST / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer wrong\r\nContent-Length: 65000\r\n\r\n" + b"a" * 60_000, 40)
for s in strangers:
    s.close()
deadline = time.monotonic() + 10
while int(re.search(r"roost_http_connections (\d+)", call("GET", roost.url + "/metrics", None)[1].decode()).group(1)) > 5:
    assert time.monotonic() < deadline, "connections that were closed are still counted"
    time.sleep(0.02)

# --- who asks and asks and does not read the answers
with Watch("answers nobody reads", 20_000):
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect(("127.0.0.1", roost.port))
    deaf.settimeout(1)
    try:
        deaf.sendall(b"GET /openapi.yaml HTTP/1.1\r\nHost: a\r\n\r\n" * 20_000)
    except TimeoutError:
        pass
    time.sleep(1)
    deaf.close()

if ALL:  # A body must come at some speed: a byte a second for more than the time for a body is no body.
    with Watch("a byte a second"), connect() as s:
        s.sendall(publish + b"Content-Length: 1000" + end)
        started = time.monotonic()
        try:
            while time.monotonic() - started < 60:
                s.sendall(b"x")
                s.settimeout(1)
                try:
                    assert s.recv(1000)[9:12] in (b"", b"408")
                    break
                except TimeoutError:
                    pass
        except OSError:
            pass
        slow_body = time.monotonic() - started
        print("a body of a byte a second ends after %.0f s" % slow_body)
        if slow_body > 50:
            wrong.append("a body may be dripped for ever")

# --- names that callers choose stay behind their family's prefix, and refusals say what and why


class Store:
    """A redis client that can read keys with anything in them."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(redis.socket)
        self.file = self.socket.makefile("rb")
        self("AUTH", password)

    def __call__(self, *words):
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
        return self.read()

    def read(self):
        line = self.file.readline()
        if line[:1] == b"*":
            return [self.read() for _ in range(int(line[1:]))]
        return self.file.read(int(line[1:]) + 2)[:-2] if line[:1] == b"$" else line

    def keys(self):
        return set(self("KEYS", "*"))


LANE = rb"((queue|topic):[A-Za-z0-9._-]{1,256}(:[0-9a-f]{16})?|flow:([!-~]{1,64}|#[0-9a-f]{16})|host:[!-~]{1,255})"
FAMILIES = re.compile(
    rb"roost:(meta|keys|\{0\}:(messages|due|open|reopen|ready|nodes|topics|queues|flows|schedules|dead|finished|sequence|clock|idle|ended|counts|aside|log|calls|states|deleting|scheduled|"
    rb"message:msg_[0-9A-Za-z]{16,96}|(lane|again|gate|held):" + LANE + rb"|(waits|scheduled):[0-9A-Za-z._-]+|(active|share):node-[0-9a-z]+|topic:[A-Za-z0-9._-]{1,256}|"
    rb"schedule:[A-Za-z0-9._-]{1,256}|dead:\d+-\d+|log:\d+|history:[0-9A-Za-z_]+|dedup:[0-9a-f]{32}|stats:\d+|receipt:[0-9A-Za-z-]+|body:[0-9A-Za-z_]+))")
store = Store()
cron = ("Upstash-Cron", b"0 0 1 1 *")
# As they stand in a path or a header; the second is what a body carries.
NAMES = [b"a:b", b"{0}", b"a}b{c", b"..", b"%2e%2e", b"a%3Ab", b"a%7B0%7D", b"a%00b", b"a%0d%0ab", b"a%0aX-Evil:%201", b"%ff%fe", b"%20", b"%e2%80%ae", b"a%2Fb", b"x" * 10_000,
         b"*", b"message:msg_0", b"%00", b"a%252Fb"]
nameless, leaked = [], []
for name in NAMES:
    plain = urllib.parse.unquote_to_bytes(name)
    text = plain.decode("utf-8", "replace")
    endpoints = json.dumps(dict(endpoints=[dict(url=sink.url, name=text)])).encode()
    for field, method, path, headers, body in [
        ("queue", "POST", b"/v2/enqueue/%s/%s" % (name, target), [], b"x"), ("queue", "GET", b"/v2/queues/" + name, [], b""),
        ("queue", "DELETE", b"/v2/queues/" + name, [], b""), ("queue", "POST", b"/v2/queues/%s/pause" % name, [], b""),
        ("queue", "POST", b"/v2/queues", [], json.dumps(dict(queueName=text)).encode()),
        ("Upstash-Queue-Name", "POST", b"/v2/publish/" + target, [("Upstash-Queue-Name", name)], b"x"),
        ("queue", "POST", b"/v2/batch", [], json.dumps([dict(destination=sink.url, queue=text)]).encode()),
        ("flow", "POST", b"/v2/flowControl/%s/pin?rate=10" % name, [], b""), ("flow", "GET", b"/v2/flowControl/" + name, [], b""),
        ("flow", "POST", b"/v2/flowControl/%s/unpin?rate=true" % name, [], b""),
        ("Upstash-Flow-Control-Key", "POST", b"/v2/publish/" + target, [("Upstash-Flow-Control-Key", name), ("Upstash-Flow-Control-Value", b"rate=9")], b"x"),
        ("Upstash-Flow-Control-Key", "POST", b"/v2/batch", [], json.dumps([dict(destination=sink.url, headers={
            "Upstash-Flow-Control-Key": text, "Upstash-Flow-Control-Value": "rate=9"})]).encode()),
        ("topic", "POST", b"/v2/topics/%s/endpoints" % name, [], endpoints.replace(b'"name"', b'"none"')), ("topic", "GET", b"/v2/topics/" + name, [], b""),
        ("topic", "DELETE", b"/v2/topics/" + name, [], b""), ("endpoint", "POST", b"/v2/topics/fine/endpoints", [], endpoints),
        ("Upstash-Schedule-Id", "POST", b"/v2/schedules/" + target, [cron, ("Upstash-Schedule-Id", name)], b"x"),
        ("schedule", "GET", b"/v2/schedules/" + name, [], b""), ("schedule", "PATCH", b"/v2/schedules/%s/pause" % name, [], b""),
        ("schedule", "DELETE", b"/v2/schedules/" + name, [], b""), ("message", "GET", b"/v2/messages/" + name, [], b""),
        ("message", "DELETE", b"/v2/messages/" + name, [], b""), ("messageIds", "DELETE", b"/v2/messages", [], json.dumps(dict(messageIds=[text])).encode()),
        ("dlq", "GET", b"/v2/dlq/" + name, [], b""), ("dlq", "DELETE", b"/v2/dlq/" + name, [], b""), ("dlq", "POST", b"/v2/dlq/retry/" + name, [], b""),
        ("dlqIds", "DELETE", b"/v2/dlq", [], json.dumps(dict(dlqIds=[text])).encode()),
        ("DeduplicationId", "POST", b"/v2/publish/" + target, [("Upstash-Deduplication-Id", name)], b"x"),
        ("Upstash-Label", "POST", b"/v2/publish/" + target, [("Upstash-Label", name)], b"x"), ("destination", "POST", b"/v2/publish/" + name, [], b"x"),
    ]:
        status, error = ask(method, path, *headers, body=body)
        assert status in (200, 201, 400, 404, 412, 413), (name, method, path, status, error)
        if status >= 400 and field.lower() not in error.lower() and "path is not valid UTF-8" not in error and plain[:50].decode("latin1") not in error:
            nameless.append((field, method, path[:60], error[:200]))
        if status < 400 and field == "flow" and (any(c < 0x20 for c in plain) or name in (b"%ff%fe", b"%20")):
            leaked.append((field, method, path[:60], status))
    strange = [key for key in store.keys() if not FAMILIES.fullmatch(key)]
    assert not strange, (name, strange)
assert len(store.keys()) > 50
print("names: %d, refusals that do not say what they are about: %s" % (len(NAMES), nameless))
print("taken although no header could carry them: %s" % leaked)

# --- who guesses tokens gets slow, others do not
guesses, until = [0], time.monotonic() + 3


def guess(counted_from):
    with connect("127.0.0.9") as s:
        request = b"GET /v2/queues HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer guess-%d\r\n\r\n"
        n = 0
        while time.monotonic() < until:
            n += 1
            try:
                s.sendall(request % n)
                s.settimeout(5)
                answer = s.recv(4096)
            except OSError:
                answer = b""
            if not answer:
                return
            assert answer[9:12] in (b"401", b"429"), answer
            if time.monotonic() > counted_from:
                guesses[0] += 1


with Watch("guessing tokens", 8_000):
    guessing = [threading.Thread(target=guess, args=(time.monotonic() + 1,)) for _ in range(8)]
    for thread in guessing:
        thread.start()
    for thread in guessing:
        thread.join()
print("guesses of one address in 2 s by 8 connections: %d" % guesses[0])

# --- no secret in what is written
for path in ["/metrics", "/health", "/ready", "/openapi.yaml"]:
    page = call("GET", roost.url + path, None)[1]
    assert not any(s.encode() in page for s in (secret, reader, password)), path
assert "critical" not in roost.output(), roost.output()[-3000:]
assert roost.stop() == 0, roost.output()[-3000:]
assert len(roost.output()) > 100 and not any(s in roost.output() for s in (secret, reader, password, "guess-1")), "a secret in the log"
stored = b"".join(open(os.path.join(top, name), "rb").read() for top, _, names in os.walk(redis.folder) for name in names if name != "s")
assert len(stored) > 10_000 and not any(s.encode() in stored for s in (secret, reader)), "a token in the store"
redis.close()

# Last, so that one run shows all of it.
assert not wrong and not reached, (wrong, reached)
assert not nameless, nameless
assert not leaked, leaked
assert guesses[0] < 400, "nothing slows who guesses tokens: %d in 2 s" % guesses[0]
assert core == "0", "a core file could hold the secrets"
