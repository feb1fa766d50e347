"""Endpoints that hang, drip, flood, lie and redirect; certificates, names and addresses that are not what they say. Every message ends in
one terminal state and its callback says what happened; the messages of other hosts are delivered quickly meanwhile; memory stays bounded;
nothing reaches an address that is closed. Not a packet leaves the loopback addresses."""

from roosting import *
import gzip, itertools, roosting, struct, zlib

ALL = "ROOST_TEST_ALL" in os.environ
secret = "a-secret-of-sixteen-bytes-or-more"
LIMIT = 65536  # bytes kept of an answer
over = threading.Event()


# --- a sink whose answers are bytes, right or wrong

class Raw:
    """Reads each request whole, then does what `acts[path]` says with the connection; True keeps it alive."""

    def __init__(self, acts, host="127.0.0.1", port=0, context=None, family=socket.AF_INET):
        self.acts, self.requests, self.accepted, self.context = acts, [], 0, context
        self.socket = socket.socket(family)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((host, port))
        self.socket.listen(1024)
        self.port = self.socket.getsockname()[1]
        self.url = "%s://%s:%d" % ("https" if context else "http", host, self.port)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection = self.socket.accept()[0]
            self.accepted += 1
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as file:
                while line := file.readline():
                    length, head = 0, []
                    while (header := file.readline().strip()):
                        name, value = header.split(b":", 1)
                        head.append((name.decode().lower(), value.strip()))
                        length = int(value) if name.lower() == b"content-length" else length
                    body = file.read(length)
                    path = line.split()[1].decode()
                    self.requests.append((path, head, body))
                    if not (self.acts.get(path) or (lambda c: fine(c)))(connection):
                        return
        except (OSError, ValueError):
            pass


def fine(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    return True


def sends(data):
    return lambda connection: connection.sendall(data)


def holds(data=b""):
    """Sends and leaves the connection open."""
    def act(connection):
        connection.sendall(data)
        over.wait(600)
    return act


def drips(head, byte=b"x"):
    def act(connection):
        connection.sendall(head)
        while not over.wait(0.2):
            connection.sendall(byte)
    return act


def repeats(head, piece, count):
    def act(connection):
        connection.sendall(head)
        for _ in range(count):
            connection.sendall(piece)
    return act


def resets(data):
    def act(connection):
        connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return act


def later(data):
    """A right answer, and on the idle connection another one that nobody asked for."""
    def act(connection):
        fine(connection)
        time.sleep(0.1)
        connection.sendall(data)
        return True
    return act


def bomb(layers):
    """Zeros, packed so many times: a few kB that unpack to more than anybody can hold."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()
    for _ in range(layers - 1):
        data = gzip.compress(data, 9)
    coding = b", ".join([b"gzip"] * layers)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %s, chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (coding, len(data), data)


OK, FLOOD = b"HTTP/1.1 200 OK\r\n", (10 << 30 if ALL else 256 << 20)
chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n"
piece = b"f" * (1 << 20)
other = Raw({}, "127.0.0.3")  # where redirects point to
closed = Raw({}, "127.0.0.2", other.port)  # never to be reached
# Each: what the endpoint does, and the status or what the error must say.
CASES = {
    "hang": (holds(), "timeout"),
    "drip-head": (drips(OK, b"X"), "timeout"),
    "drip-headers": (drips(OK, b"X: y\r\n"), "timeout"),
    "drip-body": (drips(OK + b"Content-Length: 1000\r\n\r\n"), "timeout"),
    "drip-chunks": (drips(chunked, b"1\r\nx\r\n"), "timeout"),
    "endless": (repeats(OK + b"\r\n", piece, 1 << 30), 200),  # cut
    "endless-chunks": (repeats(chunked, b"100000\r\n" + piece + b"\r\n", 1 << 30), 200),
    "no-end": (holds(OK + b"Content-Length: 10\r\n\r\nxx"), "timeout"),
    "close": (sends(b""), "closed"),
    "reset": (resets(b""), "closed"),
    "reset-in-headers": (resets(OK + b"X-A: 1\r\n"), "closed"),
    "reset-in-body": (resets(OK + b"Content-Length: 100\r\n\r\nxx"), "closed"),
    "close-in-headers": (sends(OK + b"X-A"), "closed"),
    "close-in-chunks": (sends(chunked + b"5\r\nxx"), "closed"),
    "short": (sends(OK + b"Content-Length: 10\r\n\r\nshort"), "closed"),
    "long": (sends(OK + b"Content-Length: 2\r\n\r\nok" + b"HTTP/1.1 500 No\r\n\r\n"), 200),
    "length-text": (sends(OK + b"Content-Length: abc\r\n\r\nok"), "malformed"),
    "length-negative": (sends(OK + b"Content-Length: -5\r\n\r\nok"), "malformed"),
    "length-huge": (sends(OK + b"Content-Length: 99999999999999999999999999\r\n\r\nok"), 200),
    "length-twice": (sends(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"), "malformed|closed"),
    "chunk-text": (sends(chunked + b"zz\r\nok\r\n"), "malformed|closed"),
    "chunk-negative": (sends(chunked + b"-5\r\nok\r\n"), "malformed|closed"),
    "chunk-huge": (sends(chunked + b"ffffffffffffffffffff\r\nok\r\n"), "malformed|closed"),
    "chunk-longer": (sends(chunked + b"2\r\nokokok\r\n0\r\n\r\n"), "malformed|closed"),
    "status-text": (sends(b"HTTP/1.1 abc OK\r\n\r\n"), "malformed"),
    "status-long": (sends(b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"), "malformed"),
    "status-short": (sends(b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"), "malformed"),
    "status-zero": (sends(b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n"), "malformed|closed"),
    "status-999": (sends(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), 999),
    "version": (sends(b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n"), "malformed"),
    "version-2": (sends(b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n"), 200),
    "no-http": (sends(b"SSH-2.0-OpenSSH_9.2\r\n"), "malformed"),
    "no-http-long": (repeats(b"", b"\0" * 65536, 200), "malformed|closed"),
    "http-0.9": (sends(b"<html>ok</html>"), "malformed"),
    "icy": (sends(b"ICY 200 OK\r\n\r\nok"), "malformed"),
    "headers-many": (sends(OK + b"".join(b"X-%d: 1\r\n" % n for n in range(40_000)) + b"\r\n"), "headers too large"),
    "headers-endless": (repeats(OK, b"X: 1\r\n" * 10_000, 1 << 30), "headers too large"),
    "header-giant": (sends(OK + b"X: " + b"a" * (1 << 20) + b"\r\n\r\n"), "headers too large"),
    "header-endless": (repeats(OK + b"X: ", piece, 1 << 30), "headers too large"),
    "status-endless": (repeats(b"HTTP/1.1 200 ", piece, 1 << 30), "headers too large|malformed"),
    "trailers-endless": (repeats(chunked + b"1\r\nx\r\n0\r\n", b"X: 1\r\n" * 10_000, 1 << 30), "headers too large|malformed"),
    "header-folded": (sends(OK + b"X-A: 1\r\n 2\r\nContent-Length: 2\r\n\r\nok"), 200),
    "header-bytes": (sends(OK + b"X-A: \xff\xfe\x01\r\nContent-Length: 2\r\n\r\nok"), 200),
    "header-nul": (sends(OK + b"X-A: a\0b\r\nContent-Length: 2\r\n\r\nok"), "malformed"),
    "header-no-colon": (sends(OK + b"nonsense\r\nContent-Length: 2\r\n\r\nok"), "malformed|^$"),
    "1xx-some": (sends(b"HTTP/1.1 103 Early\r\nX: 1\r\n\r\n" * 50 + OK + b"Content-Length: 2\r\n\r\nok"), 200),
    "1xx-endless": (repeats(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 1 << 30), "headers too large"),
    "1xx-only": (sends(b"HTTP/1.1 102 Processing\r\n\r\n"), "closed"),
    "101": (holds(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"), "101"),
    "packed": (sends(OK + b"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + gzip.compress(b"")[:20]), 200),
    "bomb": (sends(bomb(1)), "malformed"),
    "bomb-of-bombs": (sends(bomb(3)), "malformed"),
    "redirect-300": (sends(b"HTTP/1.1 300 x\r\nLocation: %s/r\r\nContent-Length: 0\r\n\r\n" % other.url.encode()), 300),
    "redirect-301": (sends(b"HTTP/1.1 301 x\r\nLocation: %s/r\r\nContent-Length: 0\r\n\r\n" % other.url.encode()), 301),
    "redirect-302": (sends(b"HTTP/1.1 302 x\r\nLocation: http://127.0.0.2:1/\r\nContent-Length: 0\r\n\r\n"), 302),
    "redirect-303": (sends(b"HTTP/1.1 303 x\r\nLocation: /redirect-303\r\nContent-Length: 0\r\n\r\n"), 303),
    "redirect-307": (sends(b"HTTP/1.1 307 x\r\nLocation: %s/r\r\nContent-Length: 0\r\n\r\n" % other.url.encode()), 307),
    "redirect-308": (sends(b"HTTP/1.1 308 x\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"), 308),
    "refresh": (sends(OK + b"Refresh: 0; url=%s/r\r\nAlt-Svc: h2=\"127.0.0.1:%d\"\r\nContent-Length: 0\r\n\r\n" % (other.url.encode(), other.port)), 200),
    "304": (sends(b"HTTP/1.1 304 x\r\nContent-Length: 100\r\n\r\n"), 304),
    "401": (sends(b"HTTP/1.1 401 x\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"), 401),
    "407": (sends(b"HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n"), 407),
    "417": (sends(b"HTTP/1.1 417 x\r\nContent-Length: 0\r\n\r\n"), 417),
    "421": (sends(b"HTTP/1.1 421 x\r\nContent-Length: 0\r\n\r\n"), 421),
}
# How long to wait: where the value is no good, the message's own delay of 50 ms holds, and never a day or for ever.
DATE = "%a, %d %b %Y %H:%M:%S GMT"
RETRY = {name: value for name, value in zip("abcdefghijkl", [
    "-5", "1" + "0" * 30, "soon", "Fri, 31 Dec 9999 23:59:59 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", "0", "1e3", "", "\xff", "86401", "999999h",
    time.strftime(DATE, time.gmtime(time.time() + 200_000))])}
for name, value in RETRY.items():
    CASES["retry-" + name] = (sends(b"HTTP/1.1 429 Slow\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n" % value.encode("latin1")), 429)
raw = Raw({"/" + name: act for name, (act, _) in CASES.items()})
raw.acts["/flood"] = repeats(OK + b"Content-Length: %d\r\n\r\n" % FLOOD, piece, FLOOD >> 20)
raw.acts["/unasked"] = later(OK + b"Content-Length: 4\r\n\r\nevil")
raw.acts["/refuses"] = lambda connection: connection.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n") or True
deaf = socket.socket()  # takes connections only as far as the system does
deaf.bind(("127.0.0.1", 0))
deaf.listen(0)
proxy = Raw({})

# --- certificates
folder = tempfile.mkdtemp(prefix="roost-e2e-", dir="/tmp")


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)


openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Test CA")
open(folder + "/ca.cnf", "w").write("[ca]\ndefault_ca=x\n[x]\ndatabase=index\nnew_certs_dir=.\nserial=serial\ndefault_md=sha256\npolicy=p\n"
                                    "copy_extensions=copy\nunique_subject=no\nemail_in_dn=no\n[p]\ncommonName=supplied\n")
open(folder + "/index", "w").close()
open(folder + "/serial", "w").write("1000")


def certificate(name, alternative, begin, end, signed=True):
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name + ".key", "-out", name + ".csr",
            "-subj", "/CN=" + name, "-addext", "subjectAltName=" + alternative)
    issuer = ["-cert", "ca.pem", "-keyfile", "ca.key"] if signed else ["-selfsign", "-keyfile", name + ".key"]
    openssl("ca", "-batch", "-config", "ca.cnf", *issuer, "-in", name + ".csr", "-out", name + ".pem", "-notext", "-startdate", begin, "-enddate", end)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder + "/%s.pem" % name, folder + "/%s.key" % name)
    return Raw({}, context=context)


day = lambda days: time.strftime("%Y%m%d000000Z", time.gmtime(time.time() + 86400 * days))
secure = {
    "good": (certificate("good", "IP:127.0.0.1", day(-1), day(2)), 200),
    "expired": (certificate("expired", "IP:127.0.0.1", day(-9), day(-1)), "TLS"),
    "too-early": (certificate("early", "IP:127.0.0.1", day(2), day(9)), "TLS"),
    "self-signed": (certificate("self", "IP:127.0.0.1", day(-1), day(2), signed=False), "TLS"),
    "wrong-host": (certificate("other", "DNS:other.test,IP:127.0.0.9", day(-1), day(2)), "TLS"),
    "no-tls": (raw, "TLS"),
}

# --- a server, others that must not wait, and memory
redis = Redis()
env = dict(ROOST_REDIS_URL="unix://" + redis.socket, QSTASH_TOKEN=secret, ROOST_ALLOW_NETWORKS="127.0.0.1/32,127.0.0.3/32",
           ROOST_MAX_RESPONSE_BYTES=str(LIMIT), ROOST_MAX_IN_FLIGHT="256", ROOST_CA_FILE=folder + "/ca.pem",
           **{name: proxy.url for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")})
sink = Sink()
roost = Roost("serve", env=env)


def rss(name="VmRSS"):
    """kB."""
    return int(re.search(name + r":\s+(\d+)", open("/proc/%d/status" % roost.process.pid).read()).group(1))


sent = {}  # message id: its name, and what is expected


def publish(name, url, expected, timeout=1, retries=0):
    headers = {"Upstash-Retries": str(retries), "Upstash-Retry-Delay": "50", "Upstash-Timeout": str(timeout), "Upstash-Callback": sink.url + "/cb",
               "Upstash-Failure-Callback": sink.url + "/failed", "Upstash-Callback-Retries": "0", "Upstash-Failure-Callback-Retries": "0"}
    status, body = call("POST", roost.url + "/v2/publish/" + url, secret, headers, b"x")
    assert status == 200, (name, status, body)
    sent[json.loads(body)["messageId"]] = (name, expected)


def envelopes(path):
    return [json.loads(r["body"]) for r in list(sink.requests) if r["path"] == path]


def settle(seconds=40):
    """Until every message has ended and its callbacks have come."""
    def ended(requests):
        last, failed = set(), set()
        for r in requests:
            if r["path"] in ("/cb", "/failed"):
                envelope = json.loads(r["body"])
                success = 200 <= envelope["status"] < 300
                if r["path"] == "/failed":
                    failed.add(envelope["sourceMessageId"])
                elif success or envelope["retried"] == envelope["maxRetries"]:
                    last.add(envelope["sourceMessageId"])
                    if success:
                        failed.add(envelope["sourceMessageId"])
        return set(sent) <= last & failed
    try:
        sink.wait(ended, seconds)
    except AssertionError:
        done = {e["sourceMessageId"] for e in envelopes("/cb")}
        raise AssertionError("no callback of: %s" % [sent[i][0] for i in sent if i not in done])


def check(what):
    """Each message sent so far: one callback for each attempt that says what happened, and one end."""
    found, wrong = {}, []
    for envelope in envelopes("/cb"):
        found.setdefault(envelope["sourceMessageId"], []).append(envelope)
    failed = [e["sourceMessageId"] for e in envelopes("/failed")]
    for id, (name, expected) in sent.items():
        for e in found.get(id, []):
            right = e["status"] == expected if isinstance(expected, int) else e["status"] == 0 and re.search(expected, e["error"])
            if not right:
                wrong.append("%s: %s %s" % (name, e["status"], e.get("error")))
            if len(base64.b64decode(e["body"])) > LIMIT or "evil" in str(base64.b64decode(e["body"])):
                wrong.append("%s: a body of %d bytes, %s" % (name, len(e["body"]), e["body"][:20]))
        attempts = 2 if name.startswith("retry-") else 1
        if sorted(e["retried"] for e in found.get(id, [])) != list(range(attempts)):
            wrong.append("%s: %d callbacks" % (name, len(found.get(id, []))))
        if failed.count(id) != (0 if expected == 200 else 1):
            wrong.append("%s: %d failure callbacks" % (name, failed.count(id)))
    print("%s: %d messages, wrong: %s" % (what, len(sent), wrong), flush=True)
    return wrong


numbers = itertools.count()


class Others:
    """Messages to a good host all the while: how long from publish to arrival; and how far memory rises."""

    def __init__(self, what, most=5.0, growth=40_000, names=False):
        self.what, self.most, self.growth, self.names = what, most, growth, names

    def __enter__(self):
        self.late, self.highest, self.before, self.ended = [], 0, rss(), threading.Event()
        self.threads = [threading.Thread(target=self.send), threading.Thread(target=self.look)]
        for thread in self.threads:
            thread.start()
        return self

    def send(self):  # at least one, however soon the rest is over
        while True:
            number = next(numbers)
            at, path = time.time(), "/other/%d" % number
            url = sink.url.replace("127.0.0.1", "sink%d.test" % (number % 1000)) if self.names else sink.url
            assert call("POST", roost.url + "/v2/publish/" + url + path, secret, body=b"x")[0] == 200
            arrived = next(r for r in reversed(sink.wait(lambda rs: any(r["path"] == path for r in rs[-50:]))) if r["path"] == path)
            self.late.append(arrived["at"] - at)
            if self.ended.wait(0.03):
                return

    def look(self):
        while not self.ended.wait(0.01):
            self.highest = max(self.highest, rss())

    def __exit__(self, *error):
        self.ended.set()
        for thread in self.threads:
            thread.join()
        late, rose = sorted(self.late), self.highest - self.before
        print("%-30s others: %3d messages, median %3.0f ms, at most %4.0f ms; memory +%5d kB" % (
            self.what, len(late), 1000 * late[len(late) // 2], 1000 * late[-1], rose), flush=True)
        if late[-1] > self.most or len(late) > 9 and late[len(late) // 2] > 0.5:
            wrong.append("%s: another host's message came %.1f s late" % (self.what, late[-1]))
        if rose > self.growth:
            wrong.append("%s: memory rose by %d kB" % (self.what, rose))


# --- all of it at once
endless = {name: case for name, case in CASES.items() if name.startswith("endless")}
bombs = {name: case for name, case in CASES.items() if name.startswith("bomb")}
wrong = []


def run(cases):
    for name, (_, expected) in cases.items():
        publish(name, raw.url + "/" + name, expected, timeout=1 if expected == "timeout" else 20, retries=1 if name.startswith("retry-") else 0)


publish("warm", raw.url + "/warm", 200)
settle()
with Others("hostile answers"):
    run({name: case for name, case in CASES.items() if name not in endless and name not in bombs})
    for name, (server, expected) in secure.items():
        publish(name, server.url.replace("http:", "https:") + "/tls", expected, timeout=20)
    for n in range(3):
        publish("deaf", "http://127.0.0.1:%d/" % deaf.getsockname()[1], "timeout")
    settle()
with Others("300 that hang at once"):
    for n in range(300):
        publish("hang", raw.url + "/hang", "timeout")
    settle()
with Others("answers without end"):
    run(endless)
    settle()
with Others("packed bombs"):
    run(bombs)
    settle()
with Others("an answer of %d MB" % (FLOOD >> 20)):
    began = time.monotonic()
    publish("flood", raw.url + "/flood", 200, timeout=300)
    settle(300)
    took = time.monotonic() - began
    print("    let go after %.1f s" % took)
    if took > 5:
        wrong.append("a flood was read for %.1f s" % took)

# A handshake costs little, also where the endpoint closes each connection: the trust roots are read once.


def cpu():
    words = open("/proc/%d/stat" % roost.process.pid).read().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def closes(connection):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


cost = {}
for server in (raw, secure["good"][0]):
    server.acts["/closes"] = closes
    began = cpu()
    for n in range(60):
        publish("closes", server.url + "/closes", 200, 60)
    settle()
    cost[server] = (cpu() - began) * 1000 / 60
handshake = cost[secure["good"][0]] - cost[raw]
print("a TLS handshake costs %.1f ms of CPU" % handshake)
if handshake > 15:
    wrong.append("a TLS handshake costs %.1f ms of CPU" % handshake)

# What comes on an idle connection is not the answer to the next message.
for n in range(5):
    publish("unasked", raw.url + "/unasked", 200)
    settle()
    time.sleep(0.15)
    publish("refuses", raw.url + "/refuses", 500)
    settle()

# --- closed addresses, in every spelling and place
there = ":%d/" % closed.port
batch = lambda url: json.dumps([dict(destination=url)]).encode()
topic = lambda url: json.dumps(dict(endpoints=[dict(url=url)])).encode()
for host in ["127.0.0.2", "2130706434", "0x7f.2", "0x7f000002", "0177.0.0.2", "127.2", "127.0.2", "127.0.0.2.", "[::ffff:127.0.0.2]", "[::ffff:7f00:2]", "[::127.0.0.2]", "[64:ff9b::127.0.0.2]"]:
    url = "http://" + host + there
    for path, headers, body in [
        ("/v2/publish/" + url, {}, b"x"), ("/v2/enqueue/q/" + url, {}, b"x"), ("/v2/batch", {}, batch(url)), ("/v2/topics/t/endpoints", {}, topic(url)),
        ("/v2/schedules/" + url, {"Upstash-Cron": "* * * * *"}, b"x"), ("/v2/publish/" + raw.url, {"Upstash-Callback": url, "Upstash-Retries": "0"}, b"x"),
    ]:
        status, answer = call("POST", roost.url + path, secret, headers, body)
        if headers.get("Upstash-Callback") and status == 200:
            continue  # judged when it is delivered
        assert status == 400 and b"resolves to a loopback address: 127.0.0.2" in answer, (path, url, status, answer)
for url in ["ftp://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1:6379/_x", "unix:///tmp/s", "javascript:1", "http+unix://%2Ftmp%2Fs/", "ws://127.0.0.1/",
            "http://user:pw@127.0.0.1/", "http://127.0.0.1:0/", "http://127.0.0.1:99999/", "http://[fe80::1%25lo]/", "http://127.0.0.1\\@127.0.0.2/", "dict://127.0.0.1:11211/stats"]:
    for path, headers, body in [("/v2/batch", {}, batch(url)), ("/v2/topics/t/endpoints", {}, topic(url)), ("/v2/publish/" + raw.url, {"Upstash-Callback": url}, b"x"),
                                ("/v2/publish/" + urllib.parse.quote(url, safe=":/@[]"), {}, b"x")]:
        status, answer = call("POST", roost.url + path, secret, headers, body)
        assert status == 400, (path, url, status, answer)


# --- what a publisher may put into a delivery: nothing that changes where one request ends or who it seems to be from
for name, value, there in [
    ("Transfer-Encoding", "chunked", None), ("Content-Length", "0", b"4"), ("Host", "evil", b"127.0.0.1:%d" % raw.port), ("Connection", "X-Tenant", None),
    ("Expect", "100-continue", None), ("Te", "trailers", None), ("Trailer", "X", None), ("Upgrade", "h2c", None), ("Proxy-Authorization", "x", None),
    ("Upstash-Message-Id", "fake", True), ("Upstash-Signature", "fake", True), ("Upstash-Retried", "9", b"0"), ("X-Fine", "\u00e9", "\u00e9".encode()),
    ("X", "a\r\nY: b", 400), ("X", "a\nb", 400), ("X", "a\0b", 400), ("X\r\nY", "b", 400), ("X Y", "b", 400), ("X:Y", "b", 400), ("", "b", 400), ("X;", "b", 400), (":method", "b", 400),
]:
    path = "/forwarded/%d" % next(numbers)
    status, answer = call("POST", roost.url + "/v2/batch", secret, body=json.dumps(
        [dict(destination=raw.url + path, headers={"Upstash-Forward-" + name: value, "Upstash-Retries": "0"}, body="BODY")]).encode())
    if there == 400:
        assert status == 400 and ("Upstash-Forward-" + name).lower() in json.loads(answer)["error"].lower(), (name, value, status, answer)
        continue
    end = time.monotonic() + 10
    while not (found := [(head, body) for p, head, body in raw.requests if p == path]):
        assert status == 200 and time.monotonic() < end, (name, value, status, answer)
        time.sleep(0.01)
    values = [v for n, v in found[0][0] if n == name.lower()]
    assert found[0][1] == b"BODY" and len(found) == 1, (name, found)
    assert (values == [] if there is None else len(values) == 1 and value.encode() not in values if there is True else values == [there]), (name, values)


def ends():
    """How often each message ended, by its log."""
    count, cursor = {}, None
    while True:
        page = json.loads(call("GET", roost.url + "/v2/logs?count=1000" + ("&cursor=" + urllib.parse.quote(cursor) if cursor else ""), secret)[1])
        for entry in page["logs"]:
            if entry["messageId"] in sent and entry["state"] in ("DELIVERED", "FAILED", "CANCELED"):
                count[entry["messageId"]] = count.get(entry["messageId"], 0) + 1
        cursor = page.get("cursor")
        if not cursor:
            return count


def finish(what):
    global wrong
    wrong += check(what)
    count = ends()
    wrong += ["%s ended %d times" % (sent[id][0], count.get(id, 0)) for id in sent if count.get(id, 0) != 1]
    assert roost.stop() == 0, roost.output()[-2000:]
    assert not any(word in roost.output() for word in ("critical", "Fatal")), roost.output()[-2000:]
    findings = redis.audit("roost:{0}")
    assert not findings, findings
    sent.clear()


finish("endpoints")

# --- names: a name server that lies, fails and is silent, in a mount namespace of its own
lookups = {}


def addresses(name, kind, n):
    """What the name server says the n-th time (from 0) it is asked; None is silence."""
    if name.startswith("silent"):
        return None
    table = {"rebind.test": [["127.0.0.3"], ["127.0.0.2"]][n > 0], "mixed.test": ["127.0.0.2", "127.0.0.3"], "direct.test": ["127.0.0.2"], "zero.test": ["0.0.0.0"],
             "mapped.test": ["::ffff:127.0.0.2"], "six.test": ["::1"]}
    return [a for a in table.get(name, []) if (":" in a) == (kind == 28)] if name in table else []


def name_server(server):
    while True:
        query, peer = server.recvfrom(4096)
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        name, kind = ".".join(labels), struct.unpack(">H", query[at + 1:at + 3])[0]
        n = lookups.get((name, kind), 0)
        lookups[name, kind] = n + 1
        found = addresses(name, kind, n)
        if found is None:
            continue
        known = name.split(".")[0] in ("rebind", "mixed", "direct", "zero", "mapped", "six")
        answer = query[:2] + struct.pack(">HHHHH", 0x8180 if known else 0x8183, 1, len(found), 0, 0) + query[12:at + 5]
        for text in found:
            raw_address = socket.inet_pton(socket.AF_INET6 if kind == 28 else socket.AF_INET, text)
            answer += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(raw_address)) + raw_address
        server.sendto(answer, peer)


def namespace():
    """A program that runs Roost with a resolv.conf and a hosts file of our own; None where that can't be."""
    if os.geteuid() != 0:
        return None
    address = "127.53.%d.%d" % (os.getpid() % 200 + 1, time.time() % 200 + 1)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    threading.Thread(target=name_server, args=(server,), daemon=True).start()
    open(folder + "/resolv.conf", "w").write("nameserver %s\n" % address)
    open(folder + "/hosts", "w").write("127.0.0.1 localhost\n127.0.0.2 inside.test named.test\n127.0.0.3 open.test\n" +
                                         "".join("127.0.0.1 sink%d.test\n" % n for n in range(1000)))
    program = folder + "/roost"
    open(program, "w").write("#!/bin/sh\nexec unshare -m sh -c 'mount --bind %s/resolv.conf /etc/resolv.conf && mount --bind %s/hosts /etc/hosts && exec \"$0\" \"$@\"' \"${RUN:-%s}\" \"$@\"\n"
                             % (folder, folder, BINARY))
    os.chmod(program, 0o755)
    for name, words in [("inside.test", b"127.0.0.2"), ("direct.test", b"127.0.0.2")]:
        if words not in subprocess.run([program, "ahostsv4", name], env={**os.environ, "RUN": "getent"}, capture_output=True).stdout:
            return None
    lookups.clear()
    return program


program = namespace()
if program:
    roosting.BINARY = program
    roost = Roost("serve", env=dict(env, ROOST_ALLOW_HOSTS="named.test"))
    port = ":%d/" % closed.port
    publish("open.test", "http://open.test" + port, 200, 20)
    publish("rebind.test, first", "http://rebind.test" + port, 200, 20)
    publish("named.test", "http://named.test" + port, 200, 20)
    settle()
    assert closed.accepted == 1 and len(other.requests) == 2, (closed.accepted, other.requests)
    reason = "127.0.0.2.*ROOST_ALLOW_NETWORKS"
    publish("inside.test", "http://inside.test" + port, reason, 20)  # to where a warm connection of named.test stands
    for name in ["direct.test", "mapped.test"]:
        publish(name, "http://" + name + port, reason, 20)
    publish("zero.test", "http://zero.test" + port, "0.0.0.0.*ROOST_ALLOW_NETWORKS", 20)
    publish("six.test", "http://six.test" + port, "::1.*ROOST_ALLOW_NETWORKS", 20)
    publish("mixed.test", "http://mixed.test" + port, 200, 20)
    publish("missing.test", "http://missing.test" + port, "could not resolve host", 20)
    settle()
    most, ended = [0], threading.Event()

    def threads():
        while not ended.wait(0.02):
            most[0] = max(most[0], int(re.search(r"Threads:\s+(\d+)", open("/proc/%d/status" % roost.process.pid).read()).group(1)))

    counting = threading.Thread(target=threads)
    counting.start()
    with Others("a name server that is silent", names=True):
        for n in range(600 if ALL else 200):
            publish("silent%d.test" % n, "http://silent%d.test%s" % (n, port), "timeout")
        settle(120)
    ended.set()
    counting.join()
    print("    %d threads at most" % most[0])
    if most[0] > 600:
        wrong.append("lookups that hang have taken %d threads" % most[0])
    finish("names")
    roost = Roost("serve", env=env)  # without what it has seen: the name is looked up again
    publish("rebind.test, then", "http://rebind.test" + port, reason, 20)
    publish("named.test, no more", "http://named.test" + port, reason, 20)
    settle()
    assert sum(n for (name, _), n in lookups.items() if name == "rebind.test") > 2, lookups
    finish("rebinding")
else:
    print("names: skipped, no mount namespace here")

over.set()
assert closed.accepted == (1 if program else 0), "a closed address was reached"
assert proxy.accepted == 0, "the environment's proxy was asked"
assert not [path for path, _, _ in other.requests if path == "/r"], "a redirect was followed"
redis.close()
shutil.rmtree(folder)
assert not wrong, wrong
