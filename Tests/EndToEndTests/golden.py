"""Every golden body of the contract (Tests/Contract), reproduced by servers over raw HTTP and compared field by field and type by type.
What the caller determines must be equal, only ids and times are free. Hosts of the goldens become paths of the sink where it delivers."""

import concurrent.futures, hashlib, hmac, http.client, urllib.parse, zoneinfo
from datetime import datetime, timedelta
from roosting import *

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../Contract/")
ELSEWHERE = {"cases.json": "input and output of the pure parsers, not of a server: DomainTests/ContractCasesTests.swift"}
UNPROVOKED = {"bug": "nothing outside can ask for one"}
secret, reader, caller = "a-secret-of-sixteen-bytes-or-more", "reads-only-sixteen-bytes-or-more", "203.0.113.7"
covered, provoked, sent_shapes = {"errors.json", "delivery-requests.json"}, set(), set()


def golden(file, swap={}, **change):
    """The body in that file, with texts swapped and members of its top level changed."""
    covered.add(file)
    text = open(folder + file).read()
    for old, new in swap.items():
        assert old in text, (file, old)
        text = text.replace(old, new)
    value = json.loads(text)
    return {**value, **change} if change else value


def near(value):
    return re.fullmatch("[0-9]{13}", str(value)) and abs(int(value) / 1000 - time.time()) < 600


def is_message(id):
    return re.fullmatch("msg_[0-9A-Za-z]{16,96}", id)


# Members whose values are the server's own; everything else is compared as it is.
FREE = {
    **dict.fromkeys(["messageId", "sourceMessageId", "sourceMessasgeId"], lambda _, got: is_message(got)),
    **dict.fromkeys(["createdAt", "updatedAt", "notBefore", "time", "nextDeliveryTime", "lastScheduleTime"], lambda _, got: near(got)),
    "nextScheduleTime": lambda _, got: re.fullmatch("[0-9]{13}", str(got)) and time.time() * 1000 < got,
    "ratePeriodStart": lambda wanted, got: got == 0 if wanted == 0 else abs(got - time.time()) < 120,
    "dlqId": lambda _, got: re.fullmatch("[0-9]{13}-[0-9]+", got) and near(got.split("-")[0]),
    "cursor": lambda _, got: got != "",
}


def same(wanted, got, at):
    """Fails where a member, a type or a determined value differs; answers `got`."""
    assert type(wanted) is type(got), "%s: wanted %r, got %r" % (at, wanted, got)
    name = at.split(".")[-1]
    if name == "lastScheduleStates":
        assert sorted(got.values()) == sorted(wanted.values()) and all(map(is_message, got)), "%s: %s" % (at, got)
    elif isinstance(wanted, dict):
        assert set(wanted) == set(got), "%s: missing %s, too many %s, in %s" % (at, set(wanted) - set(got), set(got) - set(wanted), got)
        for member in wanted:
            same(wanted[member], got[member], at + "." + member)
        for one, other in [("createdAt", "notBefore"), ("sourceMessageId", "sourceMessasgeId")]:
            if one in wanted and other in wanted:
                apart = lambda o: o[one] == o[other] if one == "sourceMessageId" else int(o[other]) - int(o[one])
                assert apart(wanted) == apart(got), "%s: %s and %s: %s" % (at, one, other, got)
    elif isinstance(wanted, list):
        assert len(wanted) == len(got), "%s: wanted %d, got %s" % (at, len(wanted), got)
        for n, (one, other) in enumerate(zip(wanted, got)):
            same(one, other, "%s.%d" % (at, n))
    elif name in FREE:
        assert FREE[name](wanted, got), "%s: %r" % (at, got)
    else:
        assert wanted == got, "%s: wanted %r, got %r" % (at, wanted, got)
    return got


def like(file, got, swap={}, **change):
    return same(golden(file, swap, **change), got, file.removesuffix(".json"))


def exchange(server, method, target, *headers, body=None, token=secret):
    """Status, headers and JSON of an answer; the target travels as it is, headers may repeat."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest(method, target)
    body = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
    if body is not None or method in ("POST", "PUT", "PATCH"):
        connection.putheader("Content-Length", str(len(body or b"")))
    for name, value in [("X-Forwarded-For", caller), *([("Authorization", "Bearer " + token)] if token else []), *headers]:
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.headers["Content-Type"] == "application/json", (method, target, answer.status, answer.headers.items(), text)
    return answer.status, answer.headers, json.loads(text)


def ask(server, method, target, *headers, body=None, status=200):
    code, _, value = exchange(server, method, target, *headers, body=body)
    assert code == status, (method, target, code, value)
    return value


def until(probe, holds, seconds=30):
    end = time.monotonic() + seconds
    while True:
        value = probe()
        if holds(value):
            return value
        assert time.monotonic() < end, "not in time: %s" % (value,)
        time.sleep(0.02)


def pages(server, target, member):
    """All entries behind the cursors."""
    entries, cursor = [], ""
    while cursor is not None:
        page = ask(server, "GET", target + cursor)
        entries += page[member]
        assert page.get("cursor") != "" and len(entries) < 10_000, page
        cursor = "&cursor=" + urllib.parse.quote(page["cursor"], safe="") if "cursor" in page else None
    return entries


release = threading.Event()


def answer(request):
    site, path = (request["path"].split("/", 2) + [""])[1:3]
    if path in ("cb", "failed"):
        return 200, {}, b""
    if site == "slow":
        release.wait(120)
    if site == "always" or (site == "once" and request["headers"]["Upstash-Retried"] == "0"):
        return 500, {"Content-Type": "text/plain"}, b"boom"
    if site == "missing":
        return 404, {"Content-Type": "text/plain", "content-length": "13"}, b"404 Not Found"
    if site == "final":
        return 489, {"Upstash-NonRetryable-Error": "true"}, b"bad payload"
    return 200, {"Content-Type": "application/json", "X-Request-Id": "r-1"}, b'{"ok":true}'


# The goldens' response headers are complete, so the sink sends no others: the end of its connection is the end of the body.
sink = Sink(answer)
handler = sink.server.RequestHandlerClass
send_header = handler.send_header


def send_all_but_length(self, name, value):
    if name == "Content-Length":
        self.close_connection = True
    else:
        send_header(self, name, value)


handler.send_response, handler.send_header = handler.send_response_only, send_all_but_length


def site(name, *hosts):
    return {"https://" + host: sink.url + "/" + name for host in hosts or ["example.com"]}


def received(path, holds=lambda r: True, count=1):
    """The requests at that path of the sink for which `holds`, once there are `count`."""
    chosen = lambda rs: [r for r in rs if r["path"] == path and holds(r)]
    return chosen(sink.wait(lambda rs: len(chosen(rs)) >= count, 90))


def told(path, id, **values):
    """The one callback envelope about that message with these values."""
    about = lambda r: (lambda e: e["sourceMessageId"] == id and all(e[k] == v for k, v in values.items()))(json.loads(r["body"]))
    return json.loads(received(path, about)[0]["body"])


redis = Redis()
keys = json.load(open(folder + "keys.json"))


def serve(prefix, **env):
    return Roost("serve", env=dict(
        ROOST_REDIS_URL="unix://" + redis.socket, ROOST_PREFIX=prefix, QSTASH_TOKEN=secret, ROOST_TRUSTED_PROXIES="127.0.0.0/8",
        ROOST_TOKENS=json.dumps([dict(name="reader", secret=reader, scopes=["read"])]), ROOST_STORE_TIMEOUT="1s", ROOST_MAX_IN_FLIGHT="500",
        QSTASH_CURRENT_SIGNING_KEY=keys["current"], QSTASH_NEXT_SIGNING_KEY=keys["next"], **env))


# `still` takes the goldens' own URLs and delivers nothing; the others deliver to the sink alone.
still = serve("still", ROOST_ROLES="api")
live = serve("live", ROOST_ALLOW_NETWORKS="127.0.0.0/8")
documented = serve("documented", ROOST_ALLOW_NETWORKS="127.0.0.0/8", ROOST_CALLBACK_FORMAT="documented")

# Schedules first: they run at the next full minute, while the rest is tried.
def group(server, name, *endpoints):
    assert ask(server, "POST", "/v2/topics/%s/endpoints" % name, body={"endpoints": list(endpoints)}) == {}


scheduled, every_minute = "scd_7LeTmW3dExampleSchedule0001", ("Upstash-Cron", "* * * * *")
order, is_json, tenant = b'{"orderId":42}', ("Content-Type", "application/json"), ("Upstash-Forward-X-Tenant", "acme")
group(live, "my-url-group", dict(name="First endpoint", url=sink.url + "/once/hook"), dict(name="Failing", url=sink.url + "/always/hook"),
      dict(name="Slow", url=sink.url + "/slow/hook"))
ask(live, "POST", "/v2/schedules/my-url-group", every_minute, ("Upstash-Schedule-Id", scheduled), is_json, tenant, ("Upstash-Retry-Delay", "1"),
    ("Upstash-Callback", sink.url + "/schedule/cb"), ("Upstash-Failure-Callback", sink.url + "/schedule/failed"), body=order)
group(live, "binary-group", dict(name="first", url=sink.url + "/ok/hook"))
assert ask(live, "POST", "/v2/queues", body=dict(queueName="my-queue", paused=True)) == {}
ask(live, "POST", "/v2/schedules/binary-group", every_minute, ("Upstash-Schedule-Id", "binary"), ("Content-Type", "application/octet-stream"),
    ("Upstash-Method", "PUT"), ("Upstash-Queue-Name", "my-queue"), ("Upstash-Flow-Control-Key", "k"),
    ("Upstash-Flow-Control-Value", "parallelism=5"), body=b"\x00\xff\x01\xfe")

# Publishing, reading, cancelling.
orders = "https://example.com/api/orders?source=shop"
rich = [
    is_json, ("Upstash-Forward-X-Tenant", "acme"), ("Upstash-Forward-x-tenant", "beta"), ("Upstash-Retry-Delay", "pow(2, retried) * 1000"),
    ("Upstash-Flow-Control-Key", "tenant-acme"), ("Upstash-Flow-Control-Value", "parallelism=3, rate=10, period=1m"),
    ("Upstash-Label", "label_1, label_2")]


def callbacks(url):
    return [("Upstash-Callback", url + "/cb"), ("Upstash-Callback-Forward-X-Trace", "t-1"), ("Upstash-Failure-Callback", url + "/failed"),
            ("Upstash-Failure-Callback-Forward-Authorization", "Bearer abc")]


sent = like("publish-url.json", ask(
    still, "POST", "/v2/publish/" + orders, *rich, *callbacks("https://example.com"), ("Upstash-Delay", "1m"), ("Upstash-Retries", "5"), body=order))
like("message.json", ask(still, "GET", "/v2/messages/" + sent["messageId"]))
sent = ask(still, "POST", "/v2/publish/http://example.com")
like("message-minimal.json", ask(still, "GET", "/v2/messages/" + sent["messageId"]))
like("cancel.json", ask(still, "DELETE", "/v2/messages/" + sent["messageId"]))
sent = ask(still, "POST", "/v2/publish/" + orders, is_json, ("Upstash-Forward-Authorization", "Bearer secret"),
           ("Upstash-Redact-Fields", "body, header[authorization]"), body=order)
like("message-redacted.json", ask(still, "GET", "/v2/messages/" + sent["messageId"]))
bulk = [ask(still, "POST", "/v2/publish/" + orders, ("Upstash-Label", "bulk"))["messageId"] for _ in range(4)]
like("cancel-bulk.json", ask(still, "DELETE", "/v2/messages", body={"messageIds": [bulk[0], "msg_unknown", bulk[2]]}))
like("cancel-bulk.json", ask(still, "DELETE", "/v2/messages?label=bulk"))

# URL groups, duplicates.
first, second = dict(name="First endpoint", url="https://a.example.com/hook"), dict(url="https://b.example.com/hook")
group(still, "my-url-group", first)
once = ("Upstash-Deduplication-Id", "once")
before = ask(still, "POST", "/v2/publish/my-url-group", once)
group(still, "my-url-group", second)
part = like("publish-url-group-part-duplicate.json", ask(still, "POST", "/v2/publish/my-url-group", once))
assert part[0]["messageId"] == before[0]["messageId"] != part[1]["messageId"], (before, part)
whole = ask(still, "POST", "/v2/publish/my-url-group", once, status=202)
assert whole == [{**part[0]}, {**part[1], "deduplicated": True}], whole
fresh = like("publish-url-group.json", ask(still, "POST", "/v2/publish/my-url-group"))
assert len({m["messageId"] for m in fresh + part}) == 4, (fresh, part)
like("url-group.json", ask(still, "GET", "/v2/topics/my-url-group"))
like("url-groups.json", ask(still, "GET", "/v2/topics"))
assert ask(still, "PATCH", "/v2/topics/my-url-group", body={"headers": {"Upstash-Retries": "3", "upstash-header-forward": ["true"]}}) == {}
like("url-group-with-headers.json", ask(still, "GET", "/v2/topics/my-url-group"))
assert ask(still, "PATCH", "/v2/topics/my-url-group", body={"headers": {}}) == {}
sent = ask(still, "POST", "/v2/publish/" + orders, ("Upstash-Deduplication-Id", "shop"), body=order)
duplicate = like("publish-url-duplicate.json", ask(still, "POST", "/v2/publish/" + orders, ("Upstash-Deduplication-Id", "shop"), status=202))
assert duplicate["messageId"] == sent["messageId"], (sent, duplicate)

# Queues, then the batch, which puts a message into one of them.
assert ask(still, "POST", "/v2/queues", body=dict(queueName="my-queue")) == {}
made = ask(still, "GET", "/v2/queues/my-queue")
assert made["createdAt"] == made["updatedAt"], made
until(lambda: int(time.time() * 1000), lambda now: now > made["createdAt"])
ask(still, "POST", "/v2/queues", body=dict(queueName="my-queue", paused=False))
queue = like("queue.json", ask(still, "GET", "/v2/queues/my-queue"))
assert queue["createdAt"] == made["createdAt"] < queue["updatedAt"], (made, queue)
ask(still, "POST", "/v2/queues", body=dict(queueName="other", parallelism=5, paused=True))
for _ in range(12):
    ask(still, "POST", "/v2/enqueue/other/" + orders)
like("queues.json", ask(still, "GET", "/v2/queues"))
sent = ask(still, "POST", "/v2/publish/https://example.com/one", ("Upstash-Deduplication-Id", "order-42"))
got = like("batch-response.json", ask(still, "POST", "/v2/batch", is_json, body=golden("batch-request.json")))
assert got[1]["messageId"] == sent["messageId"], (sent, got)
assert ask(still, "GET", "/v2/queues/my-queue")["lag"] == 1
assert ask(still, "GET", "/v2/messages/" + got[0][0]["messageId"])["header"] == {"Hello": ["123456"]}
assert ask(still, "GET", "/v2/messages/" + got[2]["messageId"])["maxRetries"] == 0

# Schedules that have not run.
ask(still, "POST", "/v2/schedules/my-url-group", ("Upstash-Cron", " */10 * * * * "), ("Upstash-Schedule-Id", "my.schedule-1"),
    ("Upstash-Method", "get"))
assert ask(still, "PATCH", "/v2/schedules/my.schedule-1/pause") == {}
shown = like("schedule-new.json", ask(still, "GET", "/v2/schedules/my.schedule-1"))
assert shown["nextScheduleTime"] in [(shown["createdAt"] // 600_000 + n) * 600_000 for n in (1, 2)], shown
shown = ask(still, "POST", "/v2/schedules/https://example.com/daily", ("Upstash-Cron", "0 4 1 1 *"))
same(dict(golden("schedule-created.json"), scheduleId=shown["scheduleId"]), shown, "schedule-created")
assert re.fullmatch("scd_[0-9A-Za-z]{28}", shown["scheduleId"]), shown

# Errors: status, body and the golden's headers.
missing, publish = "msg_26hZCxZCuWyyTWPmSVBrNB882AExample1", "/v2/publish/"
errors = {e["name"]: e for e in json.load(open(folder + "errors.json"))}


def is_error(name, answer, at=()):
    provoked.add(name)
    status, headers, body = answer
    assert (status, body) == (errors[name]["status"], errors[name]["body"]), (name, at, status, body)
    for header, value in errors[name].get("headers", {}).items():
        if header.endswith("-Reset"):
            assert -1 <= int(headers[header]) - time.time() <= (1 if header.startswith("Burst") else 86_400), (name, headers.items())
        else:
            assert headers[header] == value, (name, header, headers.items())


def refused(name, server, method, target, *headers, **options):
    is_error(name, exchange(server, method, target, *headers, **options), (method, target))


refused("bad token", still, "GET", "/v2/queues", token="wrong")
for target in ("/v2/queues", "/v2/no-such-thing", publish + orders):
    refused("missing token", still, "GET", target, token=None)
refused("read-only token on a write", still, "POST", publish + orders, token=reader)
refused("read-only token on a write", still, "GET", "/v2/keys", token=reader)
refused("empty destination", still, "POST", publish)
refused("no scheme", still, "POST", publish + "example.com/hook")
refused("private address", still, "POST", publish + "http://127.0.0.1/hook")
refused("dedup id with a colon", still, "POST", publish + orders, ("Upstash-Deduplication-Id", "a:b"))
refused("bad header value", still, "POST", publish + orders, ("Upstash-Delay", "1w"))
refused("empty cron", still, "POST", "/v2/schedules/" + orders)
for method, target in [("GET", "/v2/dlq"), ("DELETE", "/v2/dlq"), ("POST", "/v2/dlq/retry"), ("DELETE", "/v2/messages"), ("GET", "/v2/events"),
                       ("GET", "/v2/logs"), ("GET", "/v2/flowControl")]:
    refused("unknown filter", still, method, target + "?labeel=x")
refused("bad name", still, "POST", "/v2/queues", body=dict(queueName="a b"))
refused("group missing", still, "POST", publish + "non_existing_url_group")
refused("message missing", still, "GET", "/v2/messages/" + missing)
refused("message missing", still, "DELETE", "/v2/messages/" + missing)
for method, target in [("GET", "/v2/dlq/"), ("DELETE", "/v2/dlq/"), ("POST", "/v2/dlq/retry/")]:
    refused("dlq missing", still, method, target + "1735689605123-0")
refused("schedule missing", still, "GET", "/v2/schedules/" + scheduled)
refused("queue missing", documented, "GET", "/v2/queues/my-queue")
refused("flow control key missing", documented, "GET", "/v2/flowControl/tenant-acme")
refused("route missing", still, "GET", "/v2/no-such-thing")
for method in ("PUT", "POST", "PATCH"):
    refused("wrong method", still, method, "/v2/messages/" + missing)
refused("delay over the limit", still, "POST", publish + orders, ("Upstash-Delay", "366d"))
refused("retries over the limit", still, "POST", publish + orders, ("Upstash-Retries", "101"))
refused("body too large", still, "POST", publish + orders, body=bytes(1_048_577))
limited = serve("limited", ROOST_ROLES="api", ROOST_RATE_LIMIT="burst=100,daily=1000")
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    flood = lambda: [a for a in pool.map(lambda _: exchange(limited, "GET", "/v2/queues"), range(250)) if a[0] != 200]
    over = until(flood, bool)[0]
is_error("burst limit", over)
assert "RateLimit-Limit" not in over[1], "the clients would take it for the daily limit"
ask(limited, "POST", "/v2/batch", body=[dict(destination=orders)] * 1000)
refused("daily limit", limited, "POST", publish + orders)
assert exchange(limited, "POST", publish + orders)[1]["RateLimit-Reset"] == str((int(time.time()) // 86_400 + 1) * 86_400)


# Deliveries, their signatures and callbacks.
def unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def signed(request, url):
    """The claims of its signature, which must be the contract's to the byte."""
    head, claims, mac = request["headers"]["Upstash-Signature"].split(".")
    right = base64.urlsafe_b64encode(hmac.digest(keys["current"].encode(), (head + "." + claims).encode(), "sha256")).decode().rstrip("=")
    value = json.loads(unpadded(claims))
    issued, digest = value["iat"], base64.urlsafe_b64encode(hashlib.sha256(request["body"]).digest()).decode()
    wanted = dict(iss="Upstash", sub=url, exp=issued + 300, nbf=0, iat=issued, jti=value["jti"], body=digest)
    assert mac == right and unpadded(head) == b'{"alg":"HS256","typ":"JWT"}', (url, head, mac)
    assert unpadded(claims).decode() == json.dumps(wanted, separators=(",", ":")), (wanted, unpadded(claims))
    assert value["jti"].startswith("jwt_"), value
    return value


deliveries = {d["name"]: dict(d, body=d["body"].encode()) for d in json.load(open(folder + "delivery-requests.json"))}
for example in deliveries.values():
    signed(example, example["url"])


def as_delivered(name, got, url, id=None):
    """The request the sink got, against the golden one; `id` = the message an envelope in it speaks of."""
    sent_shapes.add(name)
    wanted, headers = deliveries[name], dict(got["headers"])
    body = wanted["body"].replace(missing.encode(), id.encode()) if id else wanted["body"]
    assert (got["method"], got["body"]) == (wanted["method"], body), (name, got)
    claims = signed(got, url)
    assert 0 <= got["at"] - claims["iat"] < 10, (claims, got["at"])
    host = url.split("/")[2]
    own = {"Host": host, "Content-Length": str(len(body)), **{k: headers[k] for k in ("Upstash-Message-Id", "Upstash-Signature")}}
    assert headers == {**wanted["headers"], **own}, (name, headers, wanted["headers"])
    assert is_message(headers["Upstash-Message-Id"]), headers


def publish_order(server, name, *headers, version="v2", target="/api/orders", **options):
    return ask(server, "POST", "/%s/publish/%s/%s%s" % (version, sink.url, name, target), is_json, *headers, body=order, **options)["messageId"]


sent = ask(live, "POST", publish + sink.url)["messageId"]
plain = received("/", lambda r: r["headers"]["Upstash-Message-Id"] == sent)[0]
as_delivered("first attempt, plain publish without body or content type", plain, sink.url)
quick = ("Upstash-Retry-Delay", "1")
for server, file in [(live, "callback-v2.json"), (documented, "callback-v2-documented.json")]:
    id = publish_order(server, "once", tenant, quick, *callbacks(sink.url + "/once"))
    like(file, told("/once/cb", id, retried=1), site("once"))
id = publish_order(live, "ok", tenant, *callbacks(sink.url + "/ok"))
like("callback-v2-first-attempt.json", told("/ok/cb", id), site("ok"))
id = publish_order(live, "final", tenant, *callbacks(sink.url + "/final"))
like("failure-callback-v2-non-retryable.json", told("/final/failed", id), site("final"))
closed = "http://127.0.0.1:%d" % free_port()
id = ask(live, "POST", publish + closed + "/api/orders", is_json, tenant, quick, *callbacks(sink.url + "/closed"), body=order)["messageId"]
like("callback-v2-no-response.json", told("/closed/cb", id, retried=1), {"https://example.com": closed})
id = publish_order(live, "once", tenant, quick, *callbacks(sink.url + "/v1"), version="v1", status=201)
like("callback-v1.json", told("/v1/cb", id, retried=1))
got = received("/v1/cb", lambda r: json.loads(r["body"]) == told("/v1/cb", id, retried=1))[0]
as_delivered("callback delivery (v1 envelope), compact JSON body", got, sink.url + "/v1/cb", id)
assert not [r for r in sink.wait(lambda rs: True) if r["path"] == "/v1/failed"]

# Logs: a message that comes through at the second attempt, one that fails.
logged = [("Upstash-Retry-Delay", "1000"), ("Upstash-Timeout", "30s"), ("Upstash-Label", "label_1,label_2")]


def states(id, *wanted):
    return until(lambda: ask(live, "GET", "/v2/logs?messageId=" + id), lambda page: [e["state"] for e in page["logs"]][::-1] == list(wanted))


id = publish_order(live, "once", ("Upstash-Retries", "1"), *logged, *callbacks(sink.url + "/once")[:2])
page = like("logs.json", states(id, "CREATED", "ACTIVE", "ERROR", "RETRY", "ACTIVE", "DELIVERED"), site("once"))
created, _, failed, retry, again, done = page["logs"][::-1]
times = [e["time"] for e in page["logs"]]
assert times == sorted(times, reverse=True) and {e["messageId"] for e in page["logs"]} == {id}, page
assert created["nextDeliveryTime"] == ask(live, "GET", "/v2/messages/" + id)["createdAt"] <= created["time"], page
assert failed["nextDeliveryTime"] == retry["nextDeliveryTime"] <= again["time"], page
assert abs(retry["nextDeliveryTime"] - failed["time"] - 1000) <= 100, page
events = like("events.json", ask(live, "GET", "/v2/events?count=2&messageId=" + id), site("once"))
assert events["events"] == page["logs"][:2] and pages(live, "/v2/events?count=2&messageId=" + id, "events") == page["logs"], events
grouped = golden("logs-grouped.json", site("once"))
assert same(grouped, ask(live, "GET", "/v2/logs?groupBy=messageId&messageId=" + id), "logs-grouped")["messages"][0]["messageId"] == id
like("logs-last-page.json", ask(live, "GET", "/v2/logs?messageId=" + missing))
id = publish_order(live, "always", ("Upstash-Retries", "0"), *logged, *callbacks(sink.url + "/always")[:2])
like("logs-failed-message.json", states(id, "CREATED", "ACTIVE", "ERROR", "FAILED"), site("always"))

# Dead letters, newest first: the next is published when the one before is dead.
for n in range(3):
    id = publish_order(live, "missing", *rich[1:], *callbacks(sink.url + "/missing"), ("Upstash-Retries", "0"), target="/api/orders?source=shop")
    until(lambda: ask(live, "GET", "/v2/dlq?messageId=" + id)["messages"], lambda found: found)
letters = until(lambda: pages(live, "/v2/dlq?count=1&label=label_1&responseStatus=404", "messages"), lambda found: len(found) == 3)
assert letters[0]["messageId"] == id and len({m["dlqId"] for m in letters}) == 3, letters
like("dlq-list.json", ask(live, "GET", "/v2/dlq?count=1&label=label_2&responseStatus=404"), site("missing"))
letter = like("dlq-message.json", ask(live, "GET", "/v2/dlq/" + letters[0]["dlqId"]), site("missing"))
assert letter == letters[0] and told("/missing/failed", id)["dlqId"] == letter["dlqId"], letter
like("dlq-list-last-page.json", ask(live, "GET", "/v2/dlq?label=no-such-label"))
sent = ask(live, "POST", publish + closed + "/", ("Upstash-Retries", "0"))["messageId"]
letter = until(lambda: ask(live, "GET", "/v2/dlq?messageId=" + sent)["messages"], lambda found: found)[0]
like("dlq-message-no-response.json", ask(live, "GET", "/v2/dlq/" + letter["dlqId"]), {"http://10.0.0.9:1": closed})
new = [like("dlq-retry-one.json", ask(live, "POST", "/v2/dlq/retry/" + letters[0]["dlqId"], status=201))["messageId"]]
ids = "&".join("dlqIds=" + m["dlqId"] for m in letters[1:])
new += [m["messageId"] for m in like("dlq-retry-bulk.json", ask(live, "POST", "/v2/dlq/retry?" + ids, status=201))["responses"]]
again = until(lambda: pages(live, "/v2/dlq?label=label_1&responseStatus=404", "messages"), lambda found: {m["messageId"] for m in found} == set(new))
assert not {m["dlqId"] for m in again} & {m["dlqId"] for m in letters} and not set(new) & {m["messageId"] for m in letters}, again
like("dlq-delete.json", ask(live, "DELETE", "/v2/dlq?" + "&".join("dlqIds=" + m["dlqId"] for m in again[:2])))
assert ask(live, "DELETE", "/v2/dlq", body={"dlqIds": [m["dlqId"] for m in again]}) == {"deleted": 1}
item = dict(destination=sink.url + "/always/hook", headers={"Upstash-Retries": "0"})
ask(documented, "POST", "/v2/batch", body=[item] * 101)
until(lambda: pages(documented, "/v2/dlq?count=100", "messages"), lambda found: len(found) == 101)
for family, member in [("dlq", "messages"), ("logs", "logs")]:  # 100 unless told otherwise; events: 1000
    page = ask(documented, "GET", "/v2/" + family)
    assert len(page[member]) == 100 and "cursor" in page, (family, len(page[member]), page.keys())
page = ask(documented, "GET", "/v2/events")
assert len(page["events"]) > 4 * 101 and "cursor" not in page, len(page["events"])
more = like("dlq-delete-more.json", ask(documented, "DELETE", "/v2/dlq"))
assert ask(documented, "DELETE", "/v2/dlq?cursor=" + urllib.parse.quote(more["cursor"], safe="")) == {"deleted": 1}
assert ask(documented, "GET", "/v2/dlq") == {"messages": []}

# Flow control: 39 came through, 3 are under way, 5 wait. The golden has 10 as its limit, with which none would wait.
flow = {"Upstash-Flow-Control-Key": "tenant-acme", "Upstash-Flow-Control-Value": "parallelism=3, rate=100, period=60"}
state = lambda: ask(documented, "GET", "/v2/flowControl/tenant-acme")
counts = lambda flow: (flow["rateCount"], flow["parallelismCount"], flow["waitListSize"])
ask(documented, "POST", "/v2/batch", body=[dict(destination=sink.url + "/ok/flow", headers=flow)] * 39)
until(state, lambda flow: counts(flow) == (39, 0, 0))
ask(documented, "POST", "/v2/batch", body=[dict(destination=sink.url + "/slow/flow", headers=flow)] * 8)
keyed = like("flow-control.json", until(state, lambda flow: counts(flow) == (42, 3, 5)), parallelismMax=3)
assert ask(documented, "POST", "/v2/flowControl/solo/pause") == ask(documented, "POST", "/v2/flowControl/solo/pin?parallelism=1") == {}
by_key = lambda flows: sorted(flows, key=lambda flow: flow["flowControlKey"])
flows = golden("flow-controls.json")
flows[0]["parallelismMax"] = 3
got = ask(documented, "GET", "/v2/flowControl")
assert keyed in same(by_key(flows), by_key(got), "flow-controls"), got
ask(documented, "POST", "/v2/batch", body=[dict(destination=sink.url + "/slow/more")] * 39)
like("global-parallelism.json", until(lambda: ask(documented, "GET", "/v2/globalParallelism"), lambda counts: counts["parallelismCount"] == 42))

# What the schedules have sent.
ended = lambda schedule: sorted(schedule.get("lastScheduleStates", {}).values()) == ["FAIL", "IN_PROGRESS", "SUCCESS"]
shown = until(lambda: ask(live, "GET", "/v2/schedules/" + scheduled), ended, 90)
run = {"https://a.example.com": sink.url + "/once"}
again = received("/once/hook", lambda r: r["headers"]["Upstash-Retried"] == "1")[0]
as_delivered("second attempt of a scheduled URL group message", again, sink.url + "/once/hook")
envelope = told("/schedule/cb", again["headers"]["Upstash-Message-Id"], retried=1)
like("callback-v2-url-group-schedule.json", envelope, run)
failed = json.loads(received("/schedule/failed")[0]["body"])
like("failure-callback-v2.json", failed, {"https://a.example.com": sink.url + "/always"}, endpointName="Failing")
binary = until(lambda: ask(live, "GET", "/v2/schedules/binary"), lambda s: "lastScheduleStates" in s)
waiting = ask(live, "GET", "/v2/messages/" + list(binary["lastScheduleStates"])[0])
like("message-url-group-queue-binary.json", waiting, {"my-url-group": "binary-group", "https://a.example.com": sink.url + "/ok", scheduled: "binary"})
# Overwritten with the golden's own settings it keeps when and how it ran.
assert ask(live, "DELETE", "/v2/schedules/binary") == {}
daily = sink.url + "/ok"
ask(live, "POST", "/v2/schedules/" + daily + "/daily", ("Upstash-Cron", "CRON_TZ=America/New_York 0 4 * * *"), ("Upstash-Schedule-Id", scheduled),
    is_json, tenant, ("Upstash-Retry-Delay", "1000 * (1 + retried)"), ("Upstash-Delay", "30s"), ("Upstash-Timeout", "2m"),
    ("Upstash-Callback", daily + "/cb"), ("Upstash-Callback-Forward-X-Trace", "t-1"), ("Upstash-Failure-Callback", daily + "/failed"),
    ("Upstash-Queue-Name", "my-queue"), ("Upstash-Flow-Control-Key", "tenant-acme"), ("Upstash-Flow-Control-Value", "parallelism=2"),
    ("Upstash-Label", "nightly"), body=b'{"report":"daily"}')
overwritten = like("schedule.json", ask(live, "GET", "/v2/schedules/" + scheduled), site("ok"))
assert all(overwritten[k] == shown[k] for k in ("lastScheduleTime", "lastScheduleStates")), (shown, overwritten)
there = zoneinfo.ZoneInfo("America/New_York")
created = datetime.fromtimestamp(overwritten["createdAt"] / 1000, there)
days = (created + timedelta(days=n) for n in range(3))
due = next(d for d in (day.replace(hour=4, minute=0, second=0, microsecond=0) for day in days) if d > created)
assert overwritten["nextScheduleTime"] == due.timestamp() * 1000, (overwritten, due)
assert [overwritten] == like("schedules.json", ask(live, "GET", "/v2/schedules"), site("ok"))
release.set()

# Keys: rotation makes the next one current.
for got in (ask(still, "GET", "/v2/keys"), same(golden("keys.json"), ask(live, "GET", "/v2/keys"), "keys")):
    same(keys, got, "keys")
rotated = ask(still, "POST", "/v2/keys/rotate")
same(dict(keys, current=keys["next"], next=rotated["next"]), rotated, "keys")
assert re.fullmatch("sig_[0-9A-Za-z]{28}", rotated["next"]) and rotated["next"] not in keys.values(), rotated
assert ask(still, "GET", "/v2/keys") == rotated

for server, prefix in [(live, "live"), (documented, "documented")]:
    assert server.stop() == 0, server.output()
for prefix in ("still", "live", "documented", "limited"):
    assert not redis.audit(prefix + ":{0}"), redis.audit(prefix + ":{0}")
# Last: no storage. Nothing of the publish can have reached it.
redis.process.kill()
redis.process.wait()
until(lambda: call("GET", still.url + "/ready", None)[0], lambda status: status == 503)
refused("store down", still, "POST", publish + orders, body=order)
for server in (still, limited):
    server.kill()
redis.close()

assert covered | set(ELSEWHERE) == set(os.listdir(folder)), (set(os.listdir(folder)) ^ (covered | set(ELSEWHERE)))
assert provoked | set(UNPROVOKED) == set(errors) and not provoked & set(UNPROVOKED), set(errors) - provoked - set(UNPROVOKED)
assert sent_shapes == set(deliveries), set(deliveries) - sent_shapes
