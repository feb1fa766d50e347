"""schemathesis against a server, by the document it serves: requests made of the schemas, well formed and not, and every answer held
against the document. Nothing leaves this machine: the fuzzed server has ROOST_ROLES=api, so it makes no delivery and looks up no name,
wherever a made-up destination points. What it has to show was delivered before, by another one, and to 127.0.0.1 alone."""

from roosting import *
import schemathesis
from schemathesis.cli import schemathesis as command

SEED, SECONDS = "20241124", 150
CHECKS = """
[checks.positive_data_acceptance]
# What fits the schemas may still be refused: a private address, a delay over the limit, a period without a rate.
enabled = false

[checks.allow_header_conformance]
# openapi.py does it, and knows that keys may hold slashes: a GET of /v2/flowControl/k/pause reads the key "k/pause".
enabled = false

[checks.ignored_auth]
# openapi.py asks every operation without a token. Guesses get slow, five seconds each in the end.
enabled = false

[checks.negative_data_rejection]
# The contract takes more than the schemas say in one place only, see below. A limit may be looked at before the rest.
expected-statuses = ["400", "401", "403", "404", "405", "412", "413"]

[[operations]]
# A POST there is a publish without a destination: 400 (contract publish.md §2).
include-operation-id = "listSchedules"
checks.unsupported_method.enabled = false
"""


@schemathesis.hook
def filter_case(context, case):
    """A blank header means "not given" (contract publish.md §4), so it is no wrong value."""
    return all(str(value).strip() for name, value in (case.headers or {}).items() if name.lower().startswith(("upstash-", "roost-")))


secret = "a-secret-of-sixteen-bytes-or-more"
redis = Redis()
env = dict(ROOST_REDIS_URL="unix://" + redis.socket, QSTASH_TOKEN=secret)


def ask(method, path, *headers, body=None):
    status, answer = call(method, roost.url + path, secret, dict(headers), body)
    assert status < 300, (method, path, status, answer)
    return json.loads(answer)


def until(probe):
    end = time.monotonic() + 30
    while not (value := probe()):
        assert time.monotonic() < end, "in vain: " + roost.output()
        time.sleep(0.05)
    return value


# Something of every kind: delivered, failed with and without an answer, waiting, redacted, no UTF-8.
sink = Sink(lambda r: (500, {"X-Why": "so"}, b"\xff") if r["path"] == "/fails" else (200, {}, b"ok"))
roost = Roost("serve", env=dict(env, ROOST_ALLOW_NETWORKS="127.0.0.0/8"))
rich = [("Upstash-Retries", "0"), ("Upstash-Retry-Delay", "1000"), ("Upstash-Timeout", "30"), ("Upstash-Label", "a,b"),
        ("Upstash-Forward-X-Tenant", "acme"), ("Upstash-Callback", sink.url + "/cb"), ("Upstash-Callback-Forward-X-Trace", "t"),
        ("Upstash-Failure-Callback", sink.url + "/failed"), ("Upstash-Failure-Callback-Forward-X-Trace", "t"),
        ("Upstash-Flow-Control-Key", "tenant-acme"), ("Upstash-Flow-Control-Value", "parallelism=3, rate=100")]
ask("POST", "/v2/topics/my-url-group/endpoints", body=json.dumps(
    dict(endpoints=[dict(name="First endpoint", url=sink.url + "/ok"), dict(url=sink.url + "/fails")])).encode())
ask("PATCH", "/v2/topics/my-url-group", body=b'{"headers":{"Upstash-Header-Forward":"true"}}')
ask("POST", "/v2/publish/my-url-group", ("Content-Type", "application/json"), *rich, body=b'{"n":1}')
ask("POST", "/v2/publish/http://127.0.0.1:%d/" % free_port(), ("Upstash-Retries", "0"), ("Upstash-Redact-Fields", "body,header"), body=b"x")
ask("POST", "/v2/publish/" + sink.url + "/retried", ("Upstash-Retries", "1"), ("Upstash-Queue-Name", "my-queue"), body=b"\xff\x00")
yearly = [("Upstash-Cron", "0 0 1 1 *"), ("Upstash-Schedule-Id", "my.schedule-1"), ("Upstash-Delay", "5")]
ask("POST", "/v2/schedules/my-url-group", *yearly, *rich)
waiting = ask("POST", "/v2/publish/" + sink.url + "/never", ("Upstash-Delay", "1d"), ("Upstash-Queue-Name", "other"), *rich, body=b"x")
dead = until(lambda: (lambda m: m if len(m) == 2 else None)(ask("GET", "/v2/dlq")["messages"]))
sink.wait(lambda rs: sorted(r["path"] for r in rs) == ["/cb", "/cb", "/failed", "/fails", "/ok", "/retried"])
until(lambda: ask("GET", "/v2/globalParallelism")["parallelismCount"] == 0)
assert len(ask("GET", "/v2/logs")["logs"]) > 20 and ask("GET", "/v2/flowControl") and ask("GET", "/v2/queues")
assert roost.stop() == 0

# Nobody waits long for replicas that are not there.
roost = Roost("serve", env=dict(env, ROOST_ROLES="api", ROOST_LOG_LEVEL="warning", ROOST_STORE_TIMEOUT="100ms"))
delivered = len(sink.requests)
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
os.chdir(redis.folder)


def fuzz(name, config, *words):
    """One run; True where nothing was found. It has printed what it found, with curl lines to do it again."""
    with open(name + ".toml", "w") as file:
        file.write(config + CHECKS)
    print("== " + name, flush=True)
    try:
        command.main(
            ["--config-file", name + ".toml", "run", roost.url + "/openapi.yaml", "--header", "Authorization: Bearer " + secret,
             "--seed", SEED, "--generation-database", "none", "--no-color", "--warnings", "off",
             "--suppress-health-check", "all", "--continue-on-failure", *words], prog_name="schemathesis")
    except SystemExit as end:
        return not end.code


# What the answers of something that exists look like; then everything, which deletes as well.
pinned = """
[parameters]
"path.messageId" = "%s"
"path.dlqId" = "%s"
"path.group" = "my-url-group"
"path.schedule" = "my.schedule-1"
"path.queue" = "my-queue"
"path.key" = "tenant-acme"
""" % (waiting["messageId"], dead[0]["dlqId"])
signal.signal(signal.SIGALRM, lambda *_: (print("not done within %d seconds" % SECONDS, flush=True), os._exit(1)))
signal.alarm(SECONDS)
fine = fuzz("reading", pinned, "--include-method", "GET", "--phases", "coverage,fuzzing", "--max-examples", "30")
fine = fuzz("everything", "", "--phases", "examples,coverage,fuzzing", "--max-examples", "40") and fine
signal.alarm(0)
assert roost.process.poll() is None and "critical" not in roost.output(), roost.output()
assert len(sink.requests) == delivered, "a server with ROOST_ROLES=api made a delivery"
roost.stop()
redis.close()
assert fine
