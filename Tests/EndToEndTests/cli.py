"""The command-line client against `roost dev`: every command, exit statuses, JSON, terminals of 80 and 200 columns, Ctrl-C."""

import codecs, fcntl, hashlib, hmac, http.server, pty, select, struct, termios
from roosting import *

folder = tempfile.mkdtemp(prefix="roost-e2e-", dir="/tmp")
target = Roost("dev", "--data", folder + "/a")
sink = Sink(lambda r: (500, {}, b"no \x1b[2J") if r["path"].startswith("/fail") else (200, {}, b"ok"))
open(folder + "/token", "w").write(TOKEN + "\n")
ENV = {k: v for k, v in os.environ.items() if not k.startswith(("ROOST_", "QSTASH_", "NO_COLOR", "COLUMNS"))}
ENV.update(QSTASH_URL=target.url, QSTASH_TOKEN_FILE=folder + "/token", TZ="UTC", TERM="xterm")


def run(*words, status=0, env=None, stdin=b""):
    done = subprocess.run([BINARY, *words], env=dict(ENV, **(env or {})), input=stdin, capture_output=True, timeout=60)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == status, (words, done.returncode, out, err)
    assert "\x1b" not in out + err, (words, out, err)
    return out if status == 0 else err


def data(*words, **more):
    return json.loads(run(*words, "--json", **more))


def lines(*words, **more):
    return [json.loads(line) for line in run(*words, "--json", **more).splitlines()]


class Terminal:
    """A command on a terminal of its own: standard input, output and error."""

    def __init__(self, *words, columns, env=None):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.process = subprocess.Popen([BINARY, *words], env=dict(ENV, **(env or {})), stdin=slave, stdout=slave, stderr=slave,
                                        preexec_fn=lambda: (die_with_parent(), os.setsid(), fcntl.ioctl(0, termios.TIOCSCTTY, 0)))
        os.close(slave)
        # A read ends where the terminal's buffer did, also within a character.
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.text = ""

    def read(self, until=None, seconds=30):
        """Until that text came, or to the end."""
        end = time.monotonic() + seconds
        while until is None or until not in self.text:
            assert time.monotonic() < end, "waited in vain for %r in %r" % (until, self.text)
            if not select.select([self.master], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                break
            if not piece:
                break
            self.text += self.decoder.decode(piece)
        return self.text

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self, status=0):
        text = self.read()
        code = self.process.wait(30)
        os.close(self.master)
        assert code == status, (code, text)
        return text.replace("\r\n", "\n")


def on_terminal(*words, columns=80, status=0, env=None):
    return Terminal(*words, columns=columns, env=env).end(status)


def plain(text):
    return re.sub("\x1b\\[[0-9;]*m", "", text)


# Help of every command: examples, none of them broken by the width of a terminal; version.
def commands(path=()):
    text = run(*path, "--help")
    if path:
        assert "EXAMPLES\n" in text, text
        for line in text.split("EXAMPLES\n")[1].split("\n\n")[0].split("\n"):
            assert line.startswith("  "), (path, line)
    assert run(*path, "--version") == run("--version")
    yield path
    for block in re.findall(r"SUBCOMMANDS:\n((?:  .*\n)+)", text):
        for name in re.findall(r"^  ([a-z-]+)", block, re.M):
            yield from commands((*path, name))


known = [" ".join(c) for c in commands()]
for name in ["publish", "schedule create", "topic add", "queue set", "flow reset-rate", "dlq retry", "message cancel", "logs", "keys rotate",
             "verify", "import", "completion", "cron", "backoff", "healthcheck", "bench", "dev", "serve"]:
    assert name in known, (name, known)
assert "EXIT STATUS" in run("--help")

# Wrong arguments: status 2 and one line that says what is wrong.
for words, text in [
    (["topic"], "one of list, get, add, remove, delete"), (["dlq"], "retry"), (["publish"], "destination"), (["publish", "x", "--delay", "soon"], "soon"), (["publish", "x", "--retries", "-1"], "retries"),
    (["publish", "x", "-H", "nothing"], "Name: value"), (["publish", "x", "--not-before", "later"], "--not-before"),
    (["publish", "x", "--body", "@" + folder + "/none"], "can't read"), (["publish", "x", "--flow-key", "k"], "--flow-value"),
    (["schedule", "create", "x", "--cron", "* * *"], "cron"), (["topic", "add", "x"], "endpoints"), (["queue", "set", "q", "--parallelism", "0"], "at least 1"),
    (["flow", "pin", "k"], "--parallelism"), (["dlq", "retry"], "--all"), (["dlq", "delete", "1-0", "--all"], "one of the three"),
    (["dlq", "list", "--from", "yesterday"], "--from"), (["message", "cancel"], "--all"), (["logs", "--state", "LOST"], "LOST"),
    (["logs", "--follow", "--grouped"], "--grouped"), (["keys", "rotate"], "--yes"), (["verify", "x"], "QSTASH_CURRENT_SIGNING_KEY"),
    (["completion", "csh"], "bash, zsh or fish"), (["import"], "--from"), (["import", "--from", "ftp://x"], "--from"), (["nonsense"], "nonsense"),
    (["topic", "list", "--url", "localhost"], "--url"), (["topic", "list", "--url", "http://a@b"], "user"), (["topic", "list", "--dev", "--url", "http://10.0.0.1"], "--dev"),
    (["topic", "list", "--wait", "0"], "--wait"), (["topic", "list", "--token-file", "/none"], "/none"),
]:
    error = run(*words, status=2)
    assert text in error and error.startswith("roost: ") and error.count("\n") == 1, (words, error)
assert "QSTASH_TOKEN is missing" in run("topic", "list", status=2, env=dict(QSTASH_TOKEN_FILE=""))
assert "both set" in run("topic", "list", status=2, env=dict(QSTASH_TOKEN="x" * 20))

# The server: unreachable, silent, another one, a wrong token.
nobody = "http://127.0.0.1:%d" % free_port()
assert nobody + ": connection refused" in run("topic", "list", "--url", nobody, status=3)
with socket.socket() as silent:
    silent.bind(("127.0.0.1", 0))
    silent.listen()
    assert "timeout after 1 s" in run("topic", "list", "--wait", "1", "--url", "http://127.0.0.1:%d" % silent.getsockname()[1], status=3)
assert "is this" in run("topic", "list", "--url", target.url + "/nothing", status=1)
error = run("topic", "list", status=1, env=dict(QSTASH_TOKEN_FILE="", QSTASH_TOKEN="a-wrong-token-of-some-length"))
assert "invalid token" in error and "a-wrong-token" not in error, error
assert run("topic", "list", "--dev", "--url", target.url, env=dict(QSTASH_TOKEN_FILE="")).startswith("TOPIC")

# TLS with a certificate of one's own.
subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder + "/key", "-out", folder + "/cert", "-days", "2",
                "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
secure = Roost("dev", "--data", folder + "/c", env=dict(ROOST_TLS_CERT=folder + "/cert", ROOST_TLS_KEY=folder + "/key"), scheme="https")
assert "--ca-file" in run("topic", "list", "--url", secure.url, status=3)
assert run("topic", "list", "--url", secure.url, "--ca-file", folder + "/cert").startswith("TOPIC")
assert secure.stop() == 0

# Topics, and publishing to one.
assert run("topic", "add", "orders", "mail=" + sink.url + "/mail", sink.url + "/stock?a=b") == "added 2 to topic orders\n"
assert [e["url"] for e in data("topic", "get", "orders")["endpoints"]] == [sink.url + "/mail", sink.url + "/stock?a=b"]
assert "orders" in run("topic", "list") and data("topic", "list")[0]["name"] == "orders"
published = run("publish", "orders", "--body", "hello").splitlines()
assert len(published) == 2 and all(line.startswith("msg_") for line in published), published
sink.wait(lambda rs: {r["path"] for r in rs} >= {"/mail", "/stock?a=b"})
run("topic", "remove", "orders", "nobody", status=4)
run("topic", "remove", "orders", sink.url + "/stock?a=b")
assert "mail" in run("topic", "get", "orders")

# A message with everything; the body from a file, from standard input, byte for byte.
open(folder + "/body", "wb").write(b"\x00\xffbytes\n")
run("publish", sink.url + "/file?q=1&upstash-delay=9h#part", "--body", "@" + folder + "/body", "--method", "put", "-H", "X-A: 1", "--content-type", "a/b")
request = [r for r in sink.wait(lambda rs: any(r["path"].startswith("/file") for r in rs)) if r["path"].startswith("/file")][0]
assert request["path"] == "/file?q=1&upstash-delay=9h" and request["method"] == "PUT" and request["body"] == b"\x00\xffbytes\n", request
assert request["headers"]["X-A"] == "1" and request["headers"]["Content-Type"] == "a/b", request
run("publish", sink.url + "/in", "--body", "-", "--dedup-id", "one", stdin=b"piped")
assert "duplicate" in run("publish", sink.url + "/in", "--body", "-", "--dedup-id", "one", stdin=b"piped")
sink.wait(lambda rs: any(r["path"] == "/in" and r["body"] == b"piped" for r in rs))
run("publish", sink.url + "/dash", "--body", "-port=1")
sink.wait(lambda rs: any(r["path"] == "/dash" and r["body"] == b"-port=1" for r in rs))
later = data("publish", sink.url + "/later", "--body", "x", "--delay", "1h", "--label", "late", "--flow-key", "k/1", "--flow-value", "rate=5, period=1m", "--ack", "memory")["messageId"]
message = data("message", "get", later)
assert message["labels"] == ["late"] and message["flowControlKey"] == "k/1" and message["notBefore"] - message["createdAt"] == 3600_000, message
assert "in 59m" in run("message", "get", later)
at = data("publish", sink.url + "/later", "--not-before", "2027-01-15T08:00:00Z")["messageId"]
assert data("message", "get", at)["notBefore"] == 1_800_000_000_000
assert run("message", "cancel", at) == "cancelled 1 messages\n"
error = run("message", "cancel", at, later, status=4)
assert "1 of 2 failed" in error and "not found" in error, error
run("message", "get", later, status=4)
assert "invalid scheme" in run("publish", "ftp://x", status=1)

# Queues, flow keys, schedules, keys.
run("queue", "set", "line", "--parallelism", "2")
run("queue", "pause", "line")
run("publish", sink.url + "/queued", "--queue", "line", "--body", "x")
queue = data("queue", "get", "line")
assert (queue["parallelism"], queue["paused"], queue["lag"]) == (2, True, 1), queue
assert "paused" in run("queue", "list")
assert "--yes" in run("queue", "delete", "line", status=2)
run("queue", "delete", "line", "--yes")
for words in [["queue", "get"], ["queue", "delete"], ["queue", "resume"], ["topic", "get"], ["topic", "delete"], ["schedule", "get"], ["schedule", "delete"],
              ["schedule", "pause"], ["flow", "get"], ["dlq", "get"], ["dlq", "retry"], ["dlq", "delete"], ["message", "get"]]:
    assert "not found" in run(*words, "nope-0", status=4), words
run("flow", "pin", "k/1", "--rate", "7", "--period", "2m")
run("flow", "pause", "k/1")
flow = data("flow", "get", "k/1")
assert (flow["rateMax"], flow["ratePeriod"], flow["isPaused"], flow["isPinnedRate"]) == (7, 120, True, True), flow
assert "0 of 7 in 120s" in run("flow", "list", "--search", "k/")
for words in [["resume"], ["unpin", "--rate"], ["reset"], ["reset-rate"]]:
    run("flow", *words, "k/1")
assert not data("flow", "get", "k/1")["isPinnedRate"]
assert run("schedule", "create", "orders", "--cron", "CRON_TZ=Asia/Tokyo 0 4 * * *", "--id", "nightly", "--body", "go", "--label", "n", "--retries", "1") == "nightly\n"
run("schedule", "pause", "nightly")
assert data("schedule", "get", "nightly")["isPaused"] and "paused" in run("schedule", "list")
run("schedule", "resume", "nightly")
assert "used by schedule" in run("topic", "delete", "orders", status=1)
assert data("keys", "show") == dict(current=CURRENT, next=NEXT)
assert run("keys", "show").splitlines() == ["QSTASH_CURRENT_SIGNING_KEY=" + CURRENT, "QSTASH_NEXT_SIGNING_KEY=" + NEXT]

# Signatures: a real one, and each check that fails.
signature = request["headers"]["Upstash-Signature"]
keys = folder + "/keys.json"
open(keys, "w").write(run("keys", "show", "--json"))
good = ["verify", signature, "--keys", keys, "--url", sink.url + request["path"], "--body", "@" + folder + "/body"]
assert run(*good).count("ok") == 5
for index, value, check in [(5, sink.url, "another URL"), (7, "other", "not the one that was signed")]:
    words = [*good[:index], value, *good[index + 1:]]
    assert check in run(*words, status=1), words
assert "expired" in run(*good, "--at", "2030-01-01", status=1)
assert "neither of the keys" in run("verify", signature, status=1, env=dict(QSTASH_CURRENT_SIGNING_KEY="sig_other"))
assert data("verify", signature, "--dev", "--body", "@" + folder + "/body")["valid"]

# Dead letters: more than two pages of them, listed, retried and deleted in bulk.
batch = [dict(destination=sink.url + "/fail/%d" % i, headers={"Upstash-Retries": "0", "Upstash-Label": "bulk"}, body="x") for i in range(230)]
assert call("POST", target.url + "/v2/batch", body=json.dumps(batch).encode())[0] == 200


def wait_for_dead_letters():
    end = time.monotonic() + 60
    while len(lines("dlq", "list", "--all", "--label", "bulk")) < 230:
        assert time.monotonic() < end, target.output()
        time.sleep(0.05)


wait_for_dead_letters()
assert len(lines("dlq", "list", "--limit", "7")) == 7
letter = lines("dlq", "list", "--limit", "1", "--status", "500")[0]
assert letter["responseStatus"] == 500 and data("dlq", "get", letter["dlqId"])["messageId"] == letter["messageId"]
assert r"no \u{1B}[2J" in run("dlq", "get", letter["dlqId"]), "a control character of an answer is made visible"
assert "Retry 230 dead letters" in run("dlq", "retry", "--label", "bulk", status=2)
assert len(lines("dlq", "list", "--all")) == 230
assert run("dlq", "retry", letter["dlqId"]).startswith("msg_")
wait_for_dead_letters()
assert run("dlq", "retry", "--label", "bulk", "--from", "1h", "--yes", "--retries", "0") == "retried 230 dead letters\n"
wait_for_dead_letters()

# On terminals: a question, a bar, tables that fit, colours only there and not with NO_COLOR.
for columns in (80, 200):
    for words in [["dlq", "list"], ["logs"], ["logs", "--grouped"], ["topic", "list"], ["queue", "list"], ["flow", "list"], ["schedule", "list"], ["dlq", "get", lines("dlq", "list", "--limit", "1")[0]["dlqId"]]]:
        text = on_terminal(*words, columns=columns)
        assert not re.search("[\x00-\x09\x0b-\x1a\x1c-\x1f\x7f-\x9f]", text) and not re.search("\x1b(?!\\[[0-9]*m)", text), (words, text)
        if words[0] == "logs":
            assert re.search(r"msg_\w{25}  \S", plain(text)), "ids stay whole"
        if "get" not in words:
            assert "\x1b[1m" in text, (words, text)
            assert all(len(line) <= columns for line in plain(text).split("\n")), (words, columns, text)
        assert "\x1b" not in on_terminal(*words, columns=columns, env=dict(NO_COLOR="1")), words
assert max(len(line) for line in plain(on_terminal("dlq", "list", columns=200, env=dict(COLUMNS="60"))).split("\n")) <= 60
text = on_terminal("dlq", "get", lines("dlq", "list", "--limit", "1")[0]["dlqId"], "--json")
assert "\x1b" not in text and json.loads(text)["responseBody"] == "no \x1b[2J", text
terminal = Terminal("dlq", "delete", "--label", "bulk", columns=100)
terminal.read("[y/N]")
terminal.type("n\n")
assert "nothing was done" in terminal.end(1)
assert len(lines("dlq", "list", "--all")) == 230
terminal = Terminal("dlq", "delete", "--label", "bulk", columns=100)
terminal.read("Delete 230 dead letters of " + target.url + "? [y/N]")
terminal.type("y\n")
text = terminal.end(0)
assert "[####" in text and "230 of 230" in text and text.rstrip().endswith("deleted 230 dead letters"), text
assert run("dlq", "list", "--json") == ""
assert "\r" not in run("dlq", "delete", "--all", "--yes"), "no bar without a terminal"

# Cancelling many; Ctrl-C in the middle says how far it came.
call("POST", target.url + "/v2/batch", body=json.dumps([dict(destination=sink.url + "/never", headers={"Upstash-Delay": "9h", "Upstash-Label": "many"}) for _ in range(1203)]).encode())
terminal = Terminal("message", "cancel", "--host", sink.url[7:], "--label", "many", columns=80)
terminal.read("[y/N]")
terminal.type("y\n")
assert plain(terminal.end(0)).rstrip().endswith("cancelled 1203 messages")
assert run("message", "cancel", "--all", "--yes").startswith("cancelled ")

# A server that answers bulk calls for ever, and with hostile texts: Ctrl-C ends the loop after the call under way.
class Endless(http.server.BaseHTTPRequestHandler):
    def serve(self):
        time.sleep(0.05)
        if "down" in self.path:
            self.send_response(503)
            self.send_header("Content-Length", "2")
            self.end_headers()
            return self.wfile.write(b"{}")
        body = json.dumps(dict(cancelled=500, deleted=100, createdAt=2**63 - 1, notBefore=-2**63, cursor=str(time.time_ns()), messages=[], name="\x9b2J\u202ename\x1b[2J", endpoints=[])).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_DELETE = do_GET = do_POST = serve

    def log_message(self, *args):
        pass


endless = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless)
threading.Thread(target=endless.serve_forever, daemon=True).start()
url = "http://127.0.0.1:%d" % endless.server_port
terminal = Terminal("message", "cancel", "--all", "--yes", "--url", url, columns=80)
terminal.read("cancelling  ")
terminal.type("\x03")
text = terminal.end(130)
assert re.search(r"\r\x1b\[Kcancelled [0-9]+ messages\nroost: interrupted\n$", text), text
for words in [["topic", "get", "x"], ["topic", "get", "x", "--json"]]:
    text = on_terminal(*words, "--url", url)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text) and "2J" in text, text
assert "answers 503" in run("topic", "get", "down", "--url", url, status=3)
endless.shutdown()

# Following the log: each entry once, through a restart of the server, until Ctrl-C; a reader that is gone ends it.
follower = subprocess.Popen([BINARY, "logs", "--follow", "--json", "--limit", "1", "--message", "none", "--state", "delivered"], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=die_with_parent)
terminal = Terminal("logs", "--follow", "--state", "DELIVERED", columns=80)
wanted = [data("publish", sink.url + "/followed/%d" % i)["messageId"] for i in range(20)]
terminal.read(wanted[-1])
target.kill()
terminal.read("trying again")
target = Roost("dev", "--data", folder + "/a", port=target.port)
terminal.read("is back")
wanted += [data("publish", sink.url + "/again")["messageId"]]
terminal.read(wanted[-1])
terminal.type("\x03")
text = plain(terminal.end(130))
for id in wanted:
    assert text.count(id) == 1, (id, text)
assert all(len(line) <= 80 for line in text.split("\n") if not line.startswith("roost: ")), text
follower.send_signal(signal.SIGINT)
assert follower.wait(30) == 130 and follower.stdout.read() == b""
piped = subprocess.Popen([BINARY, "logs", "--follow"], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=die_with_parent)
piped.stdout.readline()
piped.stdout.close()
run("publish", sink.url + "/for-the-reader-that-is-gone")
assert piped.wait(30) == 141

# Completion: what the shells here take.
for shell in ["bash", "zsh", "fish"]:
    script = run("completion", shell)
    assert "import" in script and "content-dedup" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script.encode(), check=True)

# Import: a dry run changes nothing, a run copies, a second one finds nothing to do; then the other way round.
other = Roost("dev", "--data", folder + "/b")
run("queue", "set", "line", "--parallelism", "3")
run("queue", "pause", "line")
run("flow", "pin", "k/1", "--rate", "7", "--period", "2m")
call("PATCH", target.url + "/v2/topics/orders", body=b'{"headers":{"Upstash-Retries":"2"}}')
run("schedule", "create", sink.url + "/s?x=1&upstash-delay=3", "--cron", "@daily", "--id", "full", "--body", "@" + folder + "/body", "-H", "X-A: 1", "-H", "X-A: 2",
    "--content-type", "a/b", "--delay", "30", "--timeout", "1m", "--retry-delay", "retried * 1000", "--callback", sink.url, "--callback-header", "X-B: 3",
    "--failure-callback", sink.url, "--queue", "line", "--flow-key", "k/1", "--flow-value", "rate=7, period=2m, parallelism=1", "--label", "a", "--label", "b")
run("schedule", "pause", "full")
run("schedule", "create", sink.url, "--cron", "@daily", "--id", "hidden", "--body", "secret", "--redact", "body")
run("queue", "set", "mine", "--url", other.url)
env = dict(ROOST_IMPORT_TOKEN=TOKEN)
words = ["import", "--from", target.url, "--url", other.url]
plan = run(*words, "--dry-run", env=env)
assert "5 to add" in plan and "hidden" in plan and "Not copied" in plan, plan
assert data("topic", "list", "--url", other.url) == []
assert "--yes" in run(*words, status=2, env=env)
assert "not copied: schedule hidden" in run(*words, "--yes", status=1, env=env)


def settings(url):
    drop = ("createdAt", "updatedAt", "nextScheduleTime", "lastScheduleTime", "lastScheduleStates", "ratePeriodStart", "rateCount", "waitListSize")
    lists = [data(kind, "list", "--url", url) for kind in ("topic", "queue", "schedule", "flow")]
    return [{k: v for k, v in item.items() if k not in drop} for items in lists for item in items if item.get("name") != "mine" and item.get("scheduleId") != "hidden"]


assert settings(target.url) == settings(other.url), (settings(target.url), settings(other.url))
done = subprocess.run([BINARY, *words, "--yes", "--json"], env=dict(ENV, **env), capture_output=True, text=True)
assert done.returncode == 1 and {s["action"] for s in map(json.loads, done.stdout.splitlines())} == {"same", "skip"}, done
assert "mine" in run("queue", "list", "--url", other.url)
run("schedule", "delete", "hidden")
run("schedule", "resume", "full", "--url", other.url)
run("queue", "resume", "line", "--url", other.url)
back = ["import", "--from", other.url, "--url", target.url, "--yes"]
terminal = Terminal(*back[:-1], columns=80, env=env)
terminal.read("Make these 3 changes on " + target.url + "? [y/N]")
terminal.type("y\n")
text = plain(terminal.end(0))
assert "3 of 3" in text and "[####" in text and "1 to add, 2 to change" in text and "made 3 of 3 changes" in text, text
assert "0 to add, 0 to change" in run(*back, env=env)
assert not data("queue", "get", "line")["paused"] and not data("schedule", "get", "full")["isPaused"] and data("queue", "get", "mine")["parallelism"] == 1
assert "both" in run("import", "--from", target.url, status=2, env=env)
error = run("import", "--from", other.url, status=1, env=dict(ROOST_IMPORT_TOKEN="some-other-token-here"))
assert "invalid token" in error and other.url in error, error

# Rotation, after a question.
assert data("keys", "rotate", "--yes")["current"] == NEXT
assert target.stop() == 0 and other.stop() == 0
shutil.rmtree(folder)
