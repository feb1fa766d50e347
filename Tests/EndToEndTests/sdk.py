"""Every public method of the official Python client, sync and async, against `roost dev`: one body of assertions for both clients, which
also uses the filters the wire has and this client does not, through its own transport. A method that is never called fails the test."""

import asyncio, contextlib, hashlib, inspect
from roosting import *
from qstash import AsyncQStash, QStash, Receiver
from qstash.chat import custom
from qstash.errors import DailyMessageLimitExceededError, QStashError, RateLimitExceededError, SignatureError
from qstash.log import LogState
from qstash.message import FlowControl, FlowControlProperties, Message
from qstash.schedule import Schedule, ScheduleState

UNCALLED = {"http.stream": "reads streamed LLM chat answers, nothing else in the client uses it, and the server has no LLM routes"}
HOUR = 3_600_000
release = threading.Event()


def answer(request):
    """By the last part of the path: a status, `once` fails at the first attempt, all else is well; `slow` on the way waits."""
    parts = request["path"].split("?")[0].split("/")
    last = parts[-1]
    if "slow" in parts:
        release.wait(60)
    if last.isdigit():
        return int(last), {"Content-Type": "text/plain"}, b"boom"
    if last == "binary":
        return 500, {}, b"\xff\x00"
    return (500 if last == "once" and request["headers"]["Upstash-Retried"] == "0" else 200), {}, b"ok"


sink = Sink(answer)


class Recorded:
    """A client, sync or async, whose methods are all awaited; it remembers their names."""

    def __init__(self, target, called=None, path=""):
        self.target, self.called, self.path = target, set() if called is None else called, path

    def __getattr__(self, name):
        member, path = getattr(self.target, name), self.path + name
        if not callable(member):
            return Recorded(member, self.called, path + ".")

        async def method(*words, **named):
            self.called.add(path)
            with contextlib.redirect_stdout(None):  # the sync log.list prints the answer
                answer = member(*words, **named)
                return await answer if inspect.isawaitable(answer) else answer

        return method


def public_methods(client):
    return {"%s.%s" % (api, name) for api, object in vars(client).items() if not api.startswith("_")
            for name, _ in inspect.getmembers(type(object), inspect.isroutine) if not name.startswith("_")}


async def refused(call, status, text, whole=True):
    """By the client's own error, which tells the status and the body; its text is this one, or has it as a part."""
    try:
        answer = await call
    except QStashError as error:
        found = re.fullmatch(r"Request failed with status: (\d+), body: (.*)", str(error))
        assert type(error) is QStashError and found and int(found[1]) == status, (status, text, error)
        body = json.loads(found[2])
        assert set(body) == {"error"} and (body["error"] == text if whole else text in body["error"]), (status, text, error)
    else:
        raise AssertionError("not refused, %d %s: %s" % (status, text, answer))


async def until(probe, holds, seconds=30):
    end = time.monotonic() + seconds
    while True:
        value = await probe()
        if holds(value):
            return value
        assert time.monotonic() < end, "not in time: %s" % (value,)
        await asyncio.sleep(0.02)


def has(value, **wanted):
    found = {name: getattr(value, name) for name in wanted}
    assert found == wanted, "wanted %s, found %s in %s" % (wanted, found, value)


def hidden(text):
    return "REDACTED:" + hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()


def ids(answers):
    return [a.message_id for a in answers]


class Scenario:
    def __init__(self, kind, client, roost):
        self.kind, self.roost, self.c, self.base = kind, roost, Recorded(client), sink.url + "/" + kind

    def url(self, path):
        return self.base + path

    def got(self, path, count=1, seconds=30, **headers):
        """The requests the sink has for that path, with these values, once there are `count`."""
        wanted = {("Upstash-" + name).replace("_", "-"): value for name, value in headers.items()}
        here = lambda rs: [r for r in rs if r["path"] == "/" + self.kind + path and wanted.items() <= r["headers"].items()]
        return here(sink.wait(lambda rs: len(here(rs)) >= count, seconds))

    def nothing_at(self, *paths):
        came = {r["path"] for r in sink.wait(lambda rs: True)} & {"/" + self.kind + path for path in paths}
        assert not came, "delivered: %s" % came

    async def wire(self, method, route, headers=None, /, **params):
        """What this client has no method for, through its transport; a list is sent as a repeated parameter."""
        return await self.c.http.request(method=method, path=route, headers=headers, params=params or None)

    async def states(self, id, *wanted):
        """The log of one message, oldest first, once it has those states."""
        async def log():
            return (await self.c.log.list(filter={"message_id": id})).logs[::-1]
        return await until(log, lambda logs: [entry.state.value for entry in logs] == list(wanted))

    async def letters(self, count, **filter):
        """The dead letters, newest first, once there are so many."""
        async def listed():
            return (await self.c.dlq.list(filter=filter)).messages
        return await until(listed, lambda found: len(found) == count)

    async def begin(self):
        """Schedules run at a full minute: they are made before everything else."""
        c = self.c
        await c.url_group.upsert_endpoints("ticks", [dict(name="fails", url=self.url("/tick/503")), dict(name="works", url=self.url("/tick/ok"))])
        await c.schedule.create(destination="ticks", cron="* * * * *", schedule_id="ticking", retries=0, body="tick", label="tick")
        await c.schedule.create(destination=self.url("/tick/later"), cron="* * * * *", schedule_id="waiting", delay="1h")

    async def url_groups(self):
        c = self.c
        await c.url_group.upsert_endpoints("orders", [dict(name="one", url=self.url("/one")), dict(url=self.url("/two"))])
        await c.url_group.upsert_endpoints("orders", [dict(name="one", url=self.url("/first")), dict(name="two", url=self.url("/two"))])
        group = await c.url_group.get("orders")
        assert [(e.name, e.url) for e in group.endpoints] == [("one", self.url("/first")), ("two", self.url("/two"))], group
        assert group.name == "orders" and abs(group.created_at / 1000 - time.time()) < 60 and group.created_at <= group.updated_at, group
        await c.url_group.upsert_endpoints("about", [dict(url=self.url("/x"))])
        assert [g.name for g in await c.url_group.list()] == ["about", "orders", "ticks"], await c.url_group.list()
        await c.url_group.remove_endpoints("about", [dict(url=self.url("/x"))])
        await refused(c.url_group.get("about"), 404, "topic about not found")
        await c.url_group.upsert_endpoints("about", [dict(name="x", url=self.url("/x"))])
        await c.url_group.delete("about")
        await c.url_group.delete("about")
        assert [g.name for g in await c.url_group.list()] == ["orders", "ticks"]
        await refused(c.url_group.delete("ticks"), 400, "topic ticks is used by schedule ticking")
        sent = await c.message.publish(url_group="orders", body="fan")
        assert [a.url for a in sent] == [self.url("/first"), self.url("/two")] and not any(a.deduplicated for a in sent), sent
        for each, path, name in zip(sent, ["/first", "/two"], ["one", "two"]):
            assert self.got(path, Message_Id=each.message_id)[0]["headers"]["Upstash-Topic-Name"] == "orders"
            shown = await c.message.get(each.message_id)
            has(shown, url_group="orders", endpoint=name, body="fan")
        await c.url_group.remove_endpoints("orders", [dict(name="two"), dict(name="unknown")])
        assert [e.name for e in (await c.url_group.get("orders")).endpoints] == ["one"]
        await c.url_group.upsert_endpoints("orders", [dict(name="two", url=self.url("/two"))])

    async def messages(self):
        c = self.c
        # Every option, as it is shown again.
        full = dict(
            url=self.url("/later"), method="PATCH", headers={"X-Tenant": "acme", "upstash-forward-x-two": "2"}, retries=5,
            retry_delay="pow(2, retried) * 1000", callback=self.url("/cb"), callback_headers={"Forward-X-Trace": "t-1", "Retries": "1"},
            failure_callback=self.url("/failed"), failure_callback_headers={"upstash-failure-callback-forward-authorization": "Bearer abc"},
            timeout=30, flow_control=FlowControl(key="tenant/a", parallelism=3, rate=10, period="1m"), label="first,second")
        before = int(time.time() * 1000)
        sent = await c.message.publish(body="grüße", content_type="text/plain", delay="1h", **full)
        shown = await c.message.get(sent.message_id)
        assert before - 1000 <= shown.created_at <= time.time() * 1000 + 1000, shown
        wanted = Message(
            message_id=sent.message_id, url=full["url"], url_group=None, endpoint=None, queue=None, body="grüße", body_base64=None,
            method="PATCH", headers={"Content-Type": ["text/plain"], "X-Tenant": ["acme"], "X-Two": ["2"]}, callback_headers={"X-Trace": ["t-1"]},
            failure_callback_headers={"Authorization": ["Bearer abc"]}, max_retries=5, retry_delay_expression=full["retry_delay"],
            not_before=shown.created_at + HOUR, created_at=shown.created_at, callback=full["callback"], failure_callback=full["failure_callback"],
            schedule_id=None, caller_ip="127.0.0.1", flow_control=FlowControlProperties("tenant/a", 3, 10, 60), label="first")
        assert shown == wanted and not sent.deduplicated, (shown, wanted)
        later = int(time.time()) + 7200
        full["flow_control"] = FlowControl(key="tenant/a", rate=7)
        sent = await c.message.publish_json(body={"n": [1, None]}, not_before=later, delay=5, **full)
        shown = await c.message.get(sent.message_id)
        wanted = Message(**{
            **vars(wanted), "message_id": sent.message_id, "body": '{"n": [1, null]}', "not_before": later * 1000, "created_at": shown.created_at,
            "headers": {"Content-Type": ["application/json"], "X-Tenant": ["acme"], "X-Two": ["2"]},
            "flow_control": FlowControlProperties("tenant/a", None, 7, 1)})
        assert shown == wanted, (shown, wanted)
        # The least.
        sent = await c.message.publish(url=self.url("/later"), delay=3600)
        shown = await c.message.get(sent.message_id)
        has(shown, method="POST", headers={}, body=None, body_base64=None, max_retries=3)
        assert (shown.not_before - shown.created_at, shown.flow_control, shown.callback, shown.label) == (HOUR, None, None, None), shown
        sent = await c.message.publish(url=self.url("/later"), body=b"\x00\xff\x01\xfe", delay="1h")
        shown = await c.message.get(sent.message_id)
        has(shown, body=None, body_base64="AP8B/g==")

        # Delivered: bytes as they are, signed; an LLM provider is but a URL with a token to forward.
        sent = await c.message.publish(url=self.url("/ok?a=%20b&c"), body=b"\x00\xff", method="PUT", headers={"X-Tenant": "acme"})
        delivered = self.got("/ok?a=%20b&c", Message_Id=sent.message_id)[0]
        assert (delivered["method"], delivered["body"], delivered["headers"]["X-Tenant"]) == ("PUT", b"\x00\xff", "acme"), delivered
        provider = custom(self.url("/llm"), "llm-token")
        await c.message.publish_json(api=dict(name="llm", provider=provider), body={"model": "m"})
        delivered = self.got("/llm/v1/chat/completions")[0]
        assert delivered["headers"]["Authorization"] == "Bearer llm-token" and json.loads(delivered["body"]) == {"model": "m"}, delivered
        Receiver(CURRENT, NEXT).verify(
            signature=delivered["headers"]["Upstash-Signature"], body=delivered["body"].decode(), url=self.url("/llm/v1/chat/completions"))

        # Batches, in order: a URL, a group, a queue; with their options.
        item = dict(url=self.url("/later"), delay="1h", headers={"X-N": "1"}, retries=1, label="batched", timeout="10s")
        sent = await c.message.batch([
            dict(item, body="raw", content_type="text/plain", method="DELETE", retry_delay="1000"), dict(url_group="orders", body="fan", delay=3600),
            dict(url=self.url("/later"), queue="lined-up", delay="1h"), dict(url=self.url("/later"), not_before=later)])
        assert [a.url for a in sent[1]] == [self.url("/first"), self.url("/two")] and len(sent) == 4, sent
        shown = [await c.message.get(a.message_id) for a in (sent[0], *sent[1], *sent[2:])]
        first = shown[0]
        has(first, body="raw", method="DELETE", max_retries=1, retry_delay_expression="1000", label="batched")
        assert first.headers == {"Content-Type": ["text/plain"], "X-N": ["1"]}, first
        assert [m.queue for m in shown] == [None, None, None, "lined-up", None] and [m.endpoint for m in shown[1:3]] == ["one", "two"], shown
        assert [m.not_before - m.created_at for m in shown[:4]] == [HOUR] * 4 and shown[4].not_before == later * 1000, shown
        sent = await c.message.batch_json([
            dict(item, body={"n": 1}, flow_control=FlowControl(key="b", parallelism=1), callback=self.url("/cb"),
                 callback_headers={"Forward-X-Trace": "t-1"}, failure_callback=self.url("/failed")),
            dict(url_group="orders", body=[2], delay="1h"), dict(url=self.url("/later"), queue="lined-up", delay="1h")])
        first, _, queued = [await c.message.get(a.message_id) for a in (sent[0], sent[1][0], sent[2])]
        has(first, body='{"n": 1}', headers={"Content-Type": ["application/json"], "X-N": ["1"]})
        assert first.flow_control == FlowControlProperties("b", 1, None, 1) and first.callback_headers == {"X-Trace": ["t-1"]}, first
        has(queued, queue="lined-up", body="null")
        assert await c.message.batch([]) == [] == await c.message.batch_json([])
        await c.queue.delete("lined-up")
        await refused(c.message.get(queued.message_id), 404, "message %s not found" % queued.message_id)

    async def queues(self):
        c = self.c
        await c.queue.upsert("q")
        queue = await c.queue.get("q")
        assert (queue.name, queue.parallelism, queue.paused, queue.lag) == ("q", 1, False, 0) and queue.created_at == queue.updated_at, queue
        await c.queue.upsert("q", parallelism=3, paused=True)
        await c.queue.upsert("another", parallelism=2)
        assert [(q.name, q.parallelism, q.paused) for q in await c.queue.list()] == [("another", 2, False), ("q", 3, True)]
        await c.queue.delete("another")
        await c.queue.delete("another")
        await refused(c.queue.get("another"), 404, "queue another not found")
        await c.queue.upsert("q", paused=True)
        to = dict(queue="q", headers={"X-N": "1"}, retries=1, retry_delay="10", label="line", method="PUT", timeout=5, callback=self.url("/line-cb"),
                  callback_headers={"Forward-X-Trace": "t-1"}, failure_callback=self.url("/failed"), failure_callback_headers={"Retries": "0"})
        sent = [await c.message.enqueue(url=self.url("/line"), body="0", content_type="text/plain", **to),
                *await c.message.enqueue(url_group="orders", queue="q", body="1", callback=self.url("/line-cb")),
                await c.message.enqueue_json(url=self.url("/line"), body={"n": 2}, **to)]
        assert (await c.queue.get("q")).lag == 4
        shown = await c.message.get(sent[3].message_id)
        has(shown, queue="q", body='{"n": 2}', method="PUT", label="line", callback_headers={"X-Trace": ["t-1"]})
        self.nothing_at("/line")
        await c.queue.resume("q")
        self.got("/line-cb", 4)
        order = [r["headers"]["Upstash-Message-Id"] for r in sink.wait(lambda rs: True) if r["headers"]["Upstash-Message-Id"] in ids(sent)]
        assert order == ids(sent), (order, sent)
        assert all(r["headers"]["X-N"] == "1" and r["method"] == "PUT" for r in self.got("/line", 2))
        await until(lambda: c.queue.get("q"), lambda queue: queue.lag == 0)
        await c.queue.pause("q")
        await c.queue.pause("q")
        assert (await c.queue.get("q")).paused
        await refused(c.queue.pause("none"), 404, "queue none not found")

    async def flow_control(self):
        c, key = self.c, "tenant/b"
        await c.flow_control.pause(key)
        limits = FlowControl(key=key, parallelism=2, rate=10, period=60)
        sent = [await c.message.publish(url=self.url("/flow"), flow_control=limits) for _ in range(3)]
        state = await until(lambda: c.flow_control.get(key), lambda state: state.wait_list_size == 3)
        has(state, key=key, is_paused=True, parallelism_max=2, parallelism_count=0)
        has(state, rate_max=10, rate_count=0, rate_period=60, is_pinned_rate=False)
        await c.flow_control.resume(key)
        assert {r["headers"]["Upstash-Message-Id"] for r in self.got("/flow", 3)} == set(ids(sent))
        state = await until(lambda: c.flow_control.get(key), lambda state: state.parallelism_count == 0)
        assert (state.wait_list_size, state.rate_count, state.is_paused) == (0, 3, False) and abs(state.rate_period_start - time.time()) < 60, state
        await c.flow_control.reset_rate(key)
        state = await c.flow_control.get(key)
        assert state.rate_count == 0 and abs(state.rate_period_start - time.time()) < 5, state
        await c.flow_control.pin(key, {"parallelism": 5, "rate": 20, "period": 120})
        await c.message.publish(url=self.url("/flow"), flow_control=FlowControl(key=key, rate=1))
        state = await c.flow_control.get(key)
        has(state, parallelism_max=5, rate_max=20, rate_period=120, is_pinned_parallelism=True, is_pinned_rate=True)
        await c.flow_control.unpin(key, {"parallelism": True, "rate": False})
        state = await c.flow_control.get(key)
        has(state, parallelism_max=5, is_pinned_parallelism=False, is_pinned_rate=True)
        await c.flow_control.unpin(key, {"rate": True})
        assert not (await c.flow_control.get(key)).is_pinned_rate
        await refused(c.flow_control.get("none"), 404, "flow control key none not found")
        whole = await until(c.flow_control.get_global_parallelism, lambda whole: whole.parallelism_count == 0)
        assert whole.parallelism_max == 4096, whole

    async def schedules(self):
        c = self.c
        named = dict(
            destination=self.url("/never"), cron="CRON_TZ=Europe/Berlin 0 0 1 1 *", method="PUT", headers={"X-Tenant": "acme"},
            callback_headers={"Forward-X-Trace": "t-1"}, failure_callback_headers={"Forward-X-Fail": "f"}, retries=2, retry_delay="1000",
            callback=self.url("/cb"), failure_callback=self.url("/failed"), delay="30s", timeout="2m", schedule_id="yearly", queue="q",
            flow_control=FlowControl(key="yearly", parallelism=2), label="rare")
        assert await c.schedule.create(body="year", content_type="text/plain", **named) == "yearly"
        shown = await c.schedule.get("yearly")
        wanted = Schedule(
            schedule_id="yearly", destination=named["destination"], cron=named["cron"], created_at=shown.created_at, body="year", body_base64=None,
            method="PUT", headers={"Content-Type": ["text/plain"], "X-Tenant": ["acme"]}, callback_headers={"X-Trace": ["t-1"]},
            failure_callback_headers={"X-Fail": ["f"]}, retries=2, retry_delay_expression="1000", callback=named["callback"],
            failure_callback=named["failure_callback"], queue="q", delay=30, timeout=120, caller_ip="127.0.0.1", paused=False,
            flow_control=FlowControlProperties("yearly", 2, None, 1), last_schedule_time=None, next_schedule_time=shown.next_schedule_time,
            last_schedule_states=None, error=None, label="rare")
        assert shown == wanted and abs(shown.created_at / 1000 - time.time()) < 60, (shown, wanted)
        assert time.gmtime(shown.next_schedule_time / 1000)[1:6] == (12, 31, 23, 0, 0), shown
        await c.schedule.pause("yearly")
        assert (await c.schedule.get("yearly")).paused
        # Overwritten as a whole, but for the pause.
        less = dict(destination="orders", cron="@yearly", schedule_id="yearly", body={"n": 1}, redact={"body": True})
        assert await c.schedule.create_json(**less) == "yearly"
        shown = await c.schedule.get("yearly")
        has(shown, destination="orders", cron="@yearly", method="POST", retries=3, paused=True)
        assert shown.body == hidden('{"n": 1}') and shown.headers == {"Content-Type": ["application/json"]}, shown
        gone = {shown.callback, shown.failure_callback, shown.queue, shown.delay, shown.timeout, shown.flow_control, shown.label}
        assert gone | {shown.retry_delay_expression, shown.callback_headers and 1} == {None}, shown
        await c.schedule.resume("yearly")
        assert not (await c.schedule.get("yearly")).paused
        made = await c.schedule.create(destination=self.url("/never"), cron="0 0 1 1 *", body=b"\xff", redact={"header": True})
        assert re.fullmatch("scd_[0-9A-Za-z]{28}", made) and (await c.schedule.get(made)).body_base64 == "/w==", made
        assert [s.schedule_id for s in await c.schedule.list()] == ["ticking", "waiting", "yearly", made], await c.schedule.list()
        for id in ("yearly", made, made):
            await c.schedule.delete(id)
        assert [s.schedule_id for s in await c.schedule.list()] == ["ticking", "waiting"]
        await refused(c.schedule.get("yearly"), 404, "schedule yearly not found")
        await refused(c.schedule.pause("yearly"), 404, "schedule yearly not found")

    async def deduplication(self):
        c = self.c
        sent = await c.message.publish(url=self.url("/later"), body="1", delay="1h", deduplication_id="order-1")
        for again in (await c.message.publish(url=self.url("/twice"), body="2", deduplication_id="order-1"),
                      await c.message.publish_json(url=self.url("/twice"), body=3, deduplication_id="order-1"),
                      await c.message.enqueue(queue="q", url=self.url("/twice"), deduplication_id="order-1"),
                      await c.message.enqueue_json(queue="q", url=self.url("/twice"), deduplication_id="order-1"),
                      (await c.message.batch([dict(url=self.url("/twice"), deduplication_id="order-1")]))[0],
                      (await c.message.batch_json([dict(url=self.url("/twice"), deduplication_id="order-1")]))[0]):
            assert again.deduplicated is True and again.message_id == sent.message_id, (sent, again)
        status, body = call("POST", self.roost.url + "/v2/publish/" + self.url("/twice"), headers={"Upstash-Deduplication-Id": "order-1"})
        assert status == 202 and json.loads(body)["messageId"] == sent.message_id, (status, body)
        assert sent.deduplicated is False
        # Taken for the whole window, also when the message is cancelled.
        await c.message.cancel(sent.message_id)
        assert (await c.message.publish(url=self.url("/twice"), deduplication_id="order-1")).deduplicated
        # By content: destination, body, content type and forwarded headers count, all else does not.
        content = dict(url=self.url("/later"), body="same", headers={"X-A": "1", "X-B": "2"}, delay="1h", content_based_deduplication=True)
        sent = await c.message.publish(**content)
        assert not sent.deduplicated
        for same in ({}, dict(label="other", retries=1, method="PUT", delay="2h"), dict(headers={"x-b": "2", "x-a": "1"})):
            again = await c.message.publish(**{**content, **same})
            assert again.deduplicated and again.message_id == sent.message_id, (same, again)
        for other in (dict(body="other"), dict(headers={"X-A": "2", "X-B": "2"}), dict(url=self.url("/later/2")), dict(content_type="text/plain"),
                      dict(deduplication_id="content-order"), dict(content_based_deduplication=False), dict(content_based_deduplication=None)):
            assert not (await c.message.publish(**{**content, **other})).deduplicated, other
        # A group: each endpoint for itself.
        group = dict(url_group="orders", body="x", delay="1h", deduplication_id="grouped")
        await c.url_group.remove_endpoints("orders", [dict(name="two")])
        first = await c.message.publish(**group)
        await c.url_group.upsert_endpoints("orders", [dict(name="two", url=self.url("/two"))])
        second, third = await c.message.publish(**group), await c.message.enqueue(queue="q", url_group="orders", deduplication_id="grouped")
        assert [a.deduplicated for a in first + second + third] == [False, True, False, True, True], (first, second, third)
        assert ids(second) == ids(third) and ids(first) == ids(second)[:1], (first, second, third)
        # Within one batch; and a schedule.
        a, b = await c.message.batch([dict(url=self.url("/later"), delay="1h", deduplication_id="batched")] * 2)
        assert (a.deduplicated, b.deduplicated) == (False, True) and a.message_id == b.message_id, (a, b)
        cron = {"Upstash-Cron": "@yearly", "Upstash-Deduplication-Id": "cron"}
        made = [await self.wire("POST", "/v2/schedules/" + self.url("/never"), cron) for _ in range(2)]
        assert made[1] == {**made[0], "deduplicated": True}, made
        await c.schedule.delete(made[0]["scheduleId"])
        await refused(c.message.publish(url=self.url("/twice"), deduplication_id="a:b"), 400, "DeduplicationId cannot contain ':'")
        self.nothing_at("/twice")

    async def redaction(self):
        c, headers = self.c, {"Authorization": "Bearer secret", "X-Open": "1"}
        open_, closed = {"X-Open": ["1"]}, {"Authorization": [hidden("Bearer secret")]}
        for redact, body, shown in [
            ({"body": True}, hidden("sécret"), {"Authorization": ["Bearer secret"], **open_}),
            ({"body": True, "header": ["authorization"]}, hidden("sécret"), {**closed, **open_}),
            ({"header": True}, "sécret", {**closed, "X-Open": [hidden("1")]}),
            ({}, "sécret", {"Authorization": ["Bearer secret"], **open_}),
        ]:
            sent = await c.message.publish(url=self.url("/later"), body="sécret", headers=headers, redact=redact, delay="1h")
            message = await c.message.get(sent.message_id)
            has(message, body=body, body_base64=None, headers=shown)
            entry = (await self.states(sent.message_id, "CREATED"))[0]
            has(entry, headers=shown, body_base64=body if "body" in redact else base64.b64encode(body.encode()).decode())
        wholly = dict(url=self.url("/later"), redact={"body": True, "header": True})
        for sent in (await c.message.publish_json(body=[1], delay="1h", **wholly), await c.message.enqueue_json(queue="q", body=[1], **wholly),
                     await c.message.enqueue(queue="q", body="[1]", content_type="application/json", **wholly)):
            message = await c.message.get(sent.message_id)
            assert message.body == hidden("[1]") and message.headers == {"Content-Type": [hidden("application/json")]}, message
        for batch, item in [(c.message.batch, dict(body="b", content_type="text/plain")), (c.message.batch_json, dict(body="b"))]:
            sent = await batch([dict(item, url=self.url("/later"), delay="1h", redact={"header": ["Content-Type"]})])
            message = await c.message.get(sent[0].message_id)
            assert message.headers["Content-Type"][0].startswith("REDACTED:") and message.body in ("b", '"b"'), message
        # Real on the wire: the delivery, its callback, a retry of the dead letter; hidden wherever the API shows one of them.
        binary = b"\xff\x00"
        sent = await c.message.publish(
            url=self.url("/hide/500"), body=binary, headers=headers, redact={"body": True, "header": True}, retries=0, callback=self.url("/hide-cb"),
            callback_headers={"Forward-X-Trace": "t-1"}, label="hide")
        delivered = self.got("/hide/500", Message_Id=sent.message_id)[0]
        assert delivered["body"] == binary and delivered["headers"]["Authorization"] == "Bearer secret", delivered
        told = self.got("/hide-cb")[0]
        envelope = json.loads(told["body"])
        assert base64.b64decode(envelope["sourceBody"]) == binary and envelope["sourceHeader"]["X-Open"] == ["1"], envelope
        assert told["headers"]["X-Trace"] == "t-1", told
        shown = await c.message.get(told["headers"]["Upstash-Message-Id"])
        assert shown.body == hidden(told["body"]), shown
        letter = (await self.letters(1, label="hide"))[0]
        assert letter == await c.dlq.get(letter.dlq_id)
        has(letter, body=hidden(binary), body_base64=None, callback_headers={"X-Trace": [hidden("t-1")]})
        assert letter.headers == {**closed, "X-Open": [hidden("1")]} and letter.response_body == "boom", letter
        entry = (await self.states(sent.message_id, "CREATED", "ACTIVE", "ERROR", "FAILED"))[2]
        has(entry, body_base64=hidden(binary), callback_headers={"X-Trace": [hidden("t-1")]})
        retried = await self.wire("POST", "/v2/dlq/retry/" + letter.dlq_id)
        assert self.got("/hide/500", Message_Id=retried["messageId"])[0]["body"] == binary
        assert (await self.letters(1, message_id=retried["messageId"]))[0].body == hidden(binary)

    async def logs(self):
        c = self.c
        since = int(time.time() * 1000)
        sent = await c.message.publish(
            url=self.url("/once"), body="log", content_type="text/plain", retries=1, retry_delay="50", timeout=30, label="logged,twice",
            flow_control=FlowControl(key="logs", parallelism=9, rate=99), callback=self.url("/log-cb"), callback_headers={"Forward-X-Trace": "t-1"},
            failure_callback=self.url("/failed"), failure_callback_headers={"Forward-X-Fail": "f"})
        logs = await self.states(sent.message_id, "CREATED", "ACTIVE", "ERROR", "RETRY", "ACTIVE", "DELIVERED")
        newest_first = (await c.log.list(filter={"message_id": sent.message_id})).logs
        assert newest_first == logs[::-1] and [e.time for e in logs] == sorted(e.time for e in logs), newest_first
        for entry in logs:
            has(entry, message_id=sent.message_id, url=self.url("/once"), method="POST", headers={"Content-Type": ["text/plain"]})
            has(entry, body_base64="bG9n", max_retries=1, timeout=30_000, label="logged")
            has(entry, callback=self.url("/log-cb"), callback_headers={"X-Trace": ["t-1"]})
            has(entry, failure_callback=self.url("/failed"), failure_callback_headers={"X-Fail": ["f"]})
            has(entry, retry_delay_expression="50", flow_control=FlowControlProperties("logs", 9, 99, 1))
            failed = entry.state == LogState.ERROR
            assert entry.response_status == (500 if failed else None) and entry.error == ("500 Internal Server Error" if failed else None), entry
            assert entry.response_body == (base64.b64encode(b"ok").decode() if failed else None) and bool(entry.response_headers) == failed, entry
        coming = [entry.next_delivery_time for entry in logs]
        assert [t is not None for t in coming] == [True, False, True, True, False, False] and coming[2] == coming[3] <= logs[4].time, coming
        assert 40 <= coming[3] - logs[2].time <= 150, coming

        failing = await c.message.publish(url_group="orders", body="x", label="logged", delay="1h")
        lost = await c.message.enqueue(queue="q", url=self.url("/later"), label="logged")
        dead = await c.message.publish(url=self.url("/log/404"), retries=0, label="logged")
        failed = (await self.states(dead.message_id, "CREATED", "ACTIVE", "ERROR", "FAILED"))[2:]
        for entry in failed:
            has(entry, error="404 Not Found", response_status=404, response_body="Ym9vbQ==", next_delivery_time=None)
        await c.message.cancel(failing[0].message_id)
        await self.states(failing[0].message_id, "CREATED", "CANCEL_REQUESTED", "CANCELED")
        only = {"label": "logged"}
        cases = [
            (dict(message_id=dead.message_id), 4), (dict(message_ids=[dead.message_id, sent.message_id, "msg_unknown"]), 10),
            (dict(url_group="orders"), 4), (dict(queue="q"), 1), (dict(url=self.url("/once")), 6), (dict(schedule_id="no-such"), 0), (dict(), 15),
            (dict(from_time=logs[0].time, to_time=int(time.time() * 1000) + 1000), 15), (dict(to_time=since - 60_000), 0),
            (dict(from_time=logs[2].time, to_time=logs[2].time, message_id=sent.message_id), len([e for e in logs if e.time == logs[2].time])),
            *[(dict(state=state), count) for state, count in [
                (LogState.CREATED, 5), (LogState.ACTIVE, 3), (LogState.ERROR, 2), (LogState.RETRY, 1), (LogState.DELIVERED, 1), (LogState.FAILED, 1),
                (LogState.CANCEL_REQUESTED, 1), (LogState.CANCELED, 1), (LogState.IN_PROGRESS, 6)]],
        ]
        for filter, count in cases:
            found = (await c.log.list(filter={**only, **filter})).logs
            assert len(found) == count, (filter, count, [(e.message_id, e.state.value) for e in found])
            wanted = {"url_group", "queue", "url"} & set(filter)
            assert all(getattr(e, name) == filter[name] for e in found for name in wanted), (filter, found)
        assert {f["state"] for f, _ in cases if "state" in f} == set(LogState), "a state without a case"
        assert (await c.log.list(filter={"label": "twice"})).logs == newest_first
        assert [e.endpoint for e in (await c.log.list(filter={**only, "url_group": "orders", "state": LogState.CREATED})).logs] == ["two", "one"]
        # Filters of the wire that this client has no name for.
        for params, count in [
            (dict(host=sink.url[7:]), 15), (dict(host="127.0.0.1"), 0), (dict(path="/%s/once" % self.kind), 6), (dict(flowControlKey="logs"), 6),
            (dict(callerIp="127.0.0.1"), 15), (dict(callerIp="10.0.0.1"), 0), (dict(state="CANCELLED"), 1), (dict(state=["RETRY", "FAILED"]), 2),
            (dict(state="RETRY,FAILED"), 2), (dict(messageIds=dead.message_id + "," + sent.message_id), 10)]:
            for route, member in (("events", "events"), ("logs", "logs")):
                found = (await self.wire("GET", "/v2/" + route, **{**only, **params}))[member]
                assert len(found) == count, (route, params, count, found)
        # Pages; the last one has no cursor.
        every = (await c.log.list(filter=only)).logs
        pages, cursor = [], None
        while not pages or cursor is not None:
            page = await c.log.list(filter=only, count=4, cursor=cursor)
            assert len(page.logs) <= 4 and page.cursor != "" and len(pages) < 100, page
            pages, cursor = pages + page.logs, page.cursor
        assert pages == every and every == sorted(every, key=lambda e: -e.time), pages
        early = await self.wire("GET", "/v2/events", order="earliestFirst", count=3, **only)
        assert [e["time"] for e in early["events"]] == [e.time for e in every[:-4:-1]] and early["cursor"], early
        late = await self.wire("GET", "/v2/events", cursor=logs[2].time, messageId=sent.message_id)
        assert [e["time"] for e in late["events"]] == [e.time for e in newest_first if e.time <= logs[2].time], late
        cut = await self.wire("GET", "/v2/events", trimBody=1, messageId=sent.message_id, count=1)
        assert cut["events"][0]["body"] == base64.b64encode(b"l").decode(), cut
        for options in (dict(count=0), dict(count=1001), dict(cursor="nonsense")):
            await refused(c.log.list(**options), 400, list(options)[0], whole=False)
        assert lost.message_id in ids(every)

    async def ticks(self):
        """What the schedules have made: read, filtered by its schedule."""
        c = self.c
        self.got("/tick/ok", seconds=90)
        for id in ("ticking", "waiting"):
            await c.schedule.pause(id)
        shown = await until(lambda: c.schedule.get("ticking"), lambda s: ScheduleState.IN_PROGRESS not in s.last_schedule_states.values())
        assert sorted(s.value for s in shown.last_schedule_states.values()) == ["FAIL", "SUCCESS"], shown
        assert shown.last_schedule_time >= shown.created_at and shown.paused, shown
        runs = self.got("/tick/503")
        assert {r["headers"]["Upstash-Schedule-Id"] for r in runs} == {"ticking"}, runs
        failed = await self.letters(len(runs), schedule_id="ticking")
        assert set(ids(failed)) == {r["headers"]["Upstash-Message-Id"] for r in runs}, failed
        letter = failed[0]
        has(letter, schedule_id="ticking", url_group="ticks", endpoint="fails", body="tick", response_status=503)
        logged = (await c.log.list(filter={"schedule_id": "ticking", "state": LogState.FAILED})).logs
        assert set(ids(logged)) == set(ids(failed)) and {e.schedule_id for e in logged} == {"ticking"}, logged
        waiting = list((await c.schedule.get("waiting")).last_schedule_states)
        message = await c.message.get(waiting[0])
        assert message.schedule_id == "waiting" and message.not_before - message.created_at == HOUR, message
        made = (await c.log.list(filter={"schedule_id": "waiting", "state": LogState.CREATED})).logs
        assert message.message_id in ids(made) and await self.wire("DELETE", "/v2/messages", scheduleId="waiting") == {"cancelled": len(made)}, made
        # A retried letter stays its schedule's.
        again = await self.wire("POST", "/v2/dlq/retry/" + letter.dlq_id)
        assert self.got("/tick/503", Message_Id=again["messageId"])[0]["headers"]["Upstash-Schedule-Id"] == "ticking"
        assert again["messageId"] in ids(await self.letters(len(runs), schedule_id="ticking"))

    async def dead_letters(self):
        c, note = self.c, dict(retries=0, body="dead")
        since = int(time.time() * 1000)
        plain = await c.message.publish(
            url=self.url("/dead/404"), label="dead,plain", content_type="text/plain", headers={"X-Tenant": "acme"}, retry_delay="1000", timeout=9,
            callback=self.url("/dead-cb"), callback_headers={"Forward-X-Trace": "t-1"}, failure_callback=self.url("/dead-failed"),
            failure_callback_headers={"Forward-X-Fail": "f"}, flow_control=FlowControl(key="dead", rate=50), **note)
        first = (await self.letters(1, label="dead"))[0]
        shown = await c.dlq.get(first.dlq_id)
        assert shown == first and re.fullmatch(r"\d{13}-\d+", first.dlq_id) and since <= int(first.dlq_id.split("-")[0]), (first, shown)
        has(first, message_id=plain.message_id, url=self.url("/dead/404"), method="POST", body="dead", max_retries=0)
        has(first, headers={"Content-Type": ["text/plain"], "X-Tenant": ["acme"]}, label="dead", caller_ip="127.0.0.1")
        has(first, response_status=404, response_body="boom", response_body_base64=None)
        assert first.response_headers["Content-Type"] == ["text/plain"] and first.response_headers["Content-Length"] == ["4"], first
        has(first, callback=self.url("/dead-cb"), callback_headers={"X-Trace": ["t-1"]}, failure_callback=self.url("/dead-failed"),
            failure_callback_headers={"X-Fail": ["f"]})
        has(first, flow_control=FlowControlProperties("dead", None, 50, 1), retry_delay_expression="1000", queue=None, url_group=None,
            schedule_id=None)
        assert json.loads(self.got("/dead-failed")[0]["body"])["dlqId"] == first.dlq_id
        await refused(c.message.get(plain.message_id), 404, "message %s not found" % plain.message_id)
        until_first = int(first.dlq_id.split("-")[0])
        await until(lambda: asyncio.sleep(0, time.time() * 1000), lambda now: now > until_first + 1)

        await c.url_group.upsert_endpoints("graves", [dict(name="grave", url=self.url("/dead/410"))])
        grouped = (await c.message.publish(url_group="graves", label="dead", **note))[0]
        queued = await c.message.enqueue(queue="dead-line", url=self.url("/dead/binary"), label="dead", **note)
        silent = await c.message.publish(url="http://127.0.0.1:%d/" % free_port(), label="dead,silent", **note)
        letters = await self.letters(4, label="dead")
        by = {m.message_id: m for m in letters}
        assert set(by) == {plain.message_id, grouped.message_id, queued.message_id, silent.message_id} and letters[-1] == first, letters
        assert [m.dlq_id for m in letters] == sorted((m.dlq_id for m in letters), key=lambda id: [-int(n) for n in id.split("-")]), letters
        has(by[queued.message_id], response_body=None, response_body_base64="/wA=", queue="dead-line")
        unheard = by[silent.message_id]
        has(unheard, response_status=0, response_headers=None, response_body=None)
        has(by[grouped.message_id], url_group="graves", endpoint="grave")
        (plain, grouped, queued, silent), every = ids([plain, grouped, queued, silent]), set(by)

        async def listed(**params):
            return {m["messageId"] for m in (await self.wire("GET", "/v2/dlq", **params))["messages"]}

        for filter, wanted in [
            (dict(message_id=plain), {plain}), (dict(message_id="msg_unknown"), set()), (dict(url=self.url("/dead/404")), {plain}),
            (dict(url=self.url("/dead")), set()), (dict(url_group="graves"), {grouped}), (dict(queue="dead-line"), {queued}),
            (dict(schedule_id="none"), set()), (dict(response_status=500), {queued}), (dict(response_status=0), {silent}),
            (dict(caller_ip="127.0.0.1"), every), (dict(caller_ip="10.0.0.1"), set()), (dict(label="silent"), {silent}),
            (dict(from_time=until_first, to_time=until_first), {plain}), (dict(from_time=until_first + 1), every - {plain}),
            (dict(to_time=until_first), {plain}), (dict(to_time=since - 1000), set()), (dict(url_group="graves", response_status=404), set()),
            (dict(url_group="graves", response_status=410, caller_ip="127.0.0.1", label="dead"), {grouped}),
        ]:
            found = set(ids((await c.dlq.list(filter={"label": "dead", **filter})).messages))
            assert found == wanted, (filter, wanted, found)
        dead = lambda *messages: [by[m].dlq_id for m in messages]
        for params, wanted in [
            (dict(label=["plain", "silent"]), {plain, silent}), (dict(label="plain,silent"), {plain, silent}), (dict(flowControlKey="dead"), {plain}),
            (dict(responseStatus=["404", "410"]), {plain, grouped}), (dict(dlqIds=dead(plain, queued)), {plain, queued}),
            (dict(dlqIds=dead(plain)[0] + "," + dead(queued)[0]), {plain, queued}), (dict(dlqIds=dead(plain), label="silent"), {plain}),
            (dict(dlqIds=""), set()), (dict(source="workflow"), set()), (dict(dlqIds=["0-0"]), set()),
            (dict(cursor=until_first), {plain}), (dict(cursor=until_first + 1, order="earliestFirst"), every - {plain}),
        ]:
            found = await listed(**({"label": "dead"} if not {"label", "dlqIds"} & set(params) else {}), **params)
            assert found == wanted, (params, wanted, found)
        for name in ("host", "path", "state", "messageIds", "labeel"):
            await refused(listed(**{name: "x"}), 400, "unknown query parameter: " + name)
        # Pages, stable while letters come and go.
        page = await c.dlq.list(count=2, filter={"label": "dead"})
        assert ids(page.messages) == ids(letters[:2]) and page.cursor, page
        await c.dlq.delete(letters[0].dlq_id)
        await refused(c.dlq.get(letters[0].dlq_id), 404, "dlq message %s not found" % letters[0].dlq_id)
        await refused(c.dlq.delete(letters[0].dlq_id), 404, "dlq message %s not found" % letters[0].dlq_id)
        fresh = await c.message.publish(url=self.url("/dead/404"), label="dead", **note)
        letters = [(await self.letters(1, message_id=fresh.message_id))[0], *letters[1:]]
        rest = await c.dlq.list(count=2, cursor=page.cursor, filter={"label": "dead"})
        assert ids(rest.messages) == ids(letters[2:]), (rest, letters)
        assert rest.cursor is None or (await c.dlq.list(count=2, cursor=rest.cursor, filter={"label": "dead"})).messages == []
        assert ids((await c.dlq.list(count=1, filter={"label": "dead"})).messages) == [fresh.message_id]
        oldest = await self.wire("GET", "/v2/dlq", order="earliestFirst", label="dead")
        assert [m["messageId"] for m in oldest["messages"]] == ids(letters)[::-1], oldest
        for options in (dict(count=0), dict(count=101), dict(cursor="nonsense")):
            await refused(c.dlq.list(**options), 400, list(options)[0], whole=False)

        # Retried: one, several in the order given, by filter; with other settings; one missing id and none is.
        await refused(self.wire("POST", "/v2/dlq/retry", dlqIds=[letters[0].dlq_id, "1-1"]), 404, "dlq message 1-1 not found")
        assert await self.letters(1, message_id=letters[0].message_id) == letters[:1]
        for path, params in [("/v2/dlq/retry/" + first.dlq_id, {}), ("/v2/dlq/retry", dict(label="dead"))]:
            await refused(self.wire("POST", path, {"Upstash-Retries": "many"}, **params), 400, "invalid Upstash-Retries", whole=False)
        assert await c.dlq.get(first.dlq_id) == first
        placed = [m for m in letters if m.queue or m.url_group]
        answers = (await self.wire("POST", "/v2/dlq/retry", dlqIds=[m.dlq_id for m in placed]))["responses"]
        for old, each in zip(placed, answers, strict=True):
            letter = (await self.letters(1, message_id=each["messageId"]))[0]
            has(letter, url=old.url, queue=old.queue, url_group=old.url_group, endpoint=old.endpoint, body="dead", label="dead")
        one = await self.wire("POST", "/v2/dlq/retry/" + first.dlq_id, {
            "Upstash-Method": "PUT", "Upstash-Forward-X-Tenant": "other", "Upstash-Forward-X-New": "n", "Upstash-Label": "second"})
        again = self.got("/dead/404", Message_Id=one["messageId"])[0]
        assert (again["method"], again["body"], again["headers"]["X-Tenant"], again["headers"]["X-New"]) == ("PUT", b"dead", "other", "n"), again
        letter = (await self.letters(1, message_id=one["messageId"]))[0]
        has(letter, label="second", max_retries=0, callback=first.callback, flow_control=first.flow_control)
        assert letter.created_at > first.created_at and letter.dlq_id != first.dlq_id, (letter, first)
        await refused(c.dlq.get(first.dlq_id), 404, "dlq message %s not found" % first.dlq_id)
        both = [letter, letters[0]]
        answers = (await self.wire("POST", "/v2/dlq/retry", dlqIds=[m.dlq_id for m in both]))["responses"]
        letters = [(await self.letters(1, message_id=a["messageId"]))[0] for a in answers]
        assert [m.method for m in letters] == ["PUT", "POST"] and all(m.url == self.url("/dead/404") for m in letters), letters
        assert (await self.wire("POST", "/v2/dlq/retry", label="no-such"))["responses"] == []
        sent = [(await c.message.publish(url=self.url("/recovers/once"), label="recovers", body=str(n), retries=0)).message_id for n in range(3)]
        await self.letters(3, label="recovers")
        again = {"Upstash-Retries": "1", "Upstash-Retry-Delay": "1"}
        page = await self.wire("POST", "/v2/dlq/retry", again, label="recovers", count=2)
        assert len(page["responses"]) == 2 and page["cursor"], page
        rest = await self.wire("POST", "/v2/dlq/retry", again, label="recovers", count=2, cursor=page["cursor"])
        assert len(rest["responses"]) == 1 and "cursor" not in rest, rest
        for each in page["responses"] + rest["responses"]:
            assert each["messageId"] not in sent
            self.got("/recovers/once", 2, Message_Id=each["messageId"])
            await self.states(each["messageId"], "CREATED", "ACTIVE", "ERROR", "RETRY", "ACTIVE", "DELIVERED")
        assert (await c.dlq.list(filter={"label": "recovers"})).messages == []

        # Deleted: an empty list is nothing, unknown ids are skipped, filters; the whole at last.
        every = (await c.dlq.list()).messages
        assert await c.dlq.delete_many([]) == 0 and await self.wire("DELETE", "/v2/dlq", dlqIds="") == {"deleted": 0}
        assert (await c.dlq.list()).messages == every
        assert await c.dlq.delete_many([letters[0].dlq_id, "1-1", letters[1].dlq_id]) == 2
        assert await c.dlq.delete_many([letters[0].dlq_id]) == 0
        await refused(self.wire("DELETE", "/v2/dlq", labeel="x"), 400, "unknown query parameter: labeel")
        both = json.dumps({"dlqIds": [m.dlq_id for m in every]})
        await refused(c.http.request(method="DELETE", path="/v2/dlq", params={"label": "dead"}, body=both), 400, "", whole=False)
        for body in ("[]", '{"dlqIds":"1-1"}', "{", '{"dlqIds":[1]}'):
            await refused(c.http.request(method="DELETE", path="/v2/dlq", body=body), 400, "", whole=False)
            await refused(c.http.request(method="DELETE", path="/v2/messages", body=body.replace("dlq", "message")), 400, "", whole=False)
        assert len((await c.dlq.list()).messages) == len(every) - 2
        assert await self.wire("DELETE", "/v2/dlq", label="no-such") == {"deleted": 0}
        sent = [await c.message.publish(url=self.url("/dead/4%02d" % n), label="bulk", retries=0) for n in range(10, 15)]
        await self.letters(5, label="bulk")
        for params, deleted in [(dict(url=self.url("/dead/410")), 1), (dict(messageId=sent[1].message_id), 1), (dict(responseStatus="412"), 1)]:
            assert await self.wire("DELETE", "/v2/dlq", **params, label="bulk") == {"deleted": deleted}, params
        assert set(ids((await c.dlq.list(filter={"label": "bulk"})).messages)) == set(ids(sent)[3:])
        some = await self.wire("DELETE", "/v2/dlq", label="bulk", count=1)
        assert some["deleted"] == 1 and some.get("cursor") != "" and len((await c.dlq.list(filter={"label": "bulk"})).messages) == 1, some
        left = len((await c.dlq.list()).messages)
        assert left > 1 and await self.wire("DELETE", "/v2/dlq") == {"deleted": left} and (await c.dlq.list()).messages == []

    async def cancelling(self):
        c = self.c
        await until(lambda: c.message.cancel_all(), lambda cancelled: cancelled == 0)
        assert await c.message.cancel_all() == 0
        later = dict(url=self.url("/later"), delay="1h")
        sent = [await c.message.publish(**later) for _ in range(3)]
        await c.message.cancel(sent[0].message_id)
        for _ in range(2):
            await refused(c.message.cancel(sent[0].message_id), 404, "message %s not found" % sent[0].message_id)
        await refused(c.message.get(sent[0].message_id), 404, "message %s not found" % sent[0].message_id)
        assert await c.message.cancel_many([]) == 0 and await self.wire("DELETE", "/v2/messages", messageIds="") == {"cancelled": 0}
        assert await c.message.cancel_many([*ids(sent), "msg_unknown"]) == 2 and await c.message.cancel_many(ids(sent)) == 0
        for each in sent:
            await self.states(each.message_id, "CREATED", "CANCEL_REQUESTED", "CANCELED")
        # A delivered message is not cancelled, one between its retries is; neither gets there again.
        done = await c.message.publish(url=self.url("/done"))
        await self.states(done.message_id, "CREATED", "ACTIVE", "DELIVERED")
        await refused(c.message.cancel(done.message_id), 404, "message %s not found" % done.message_id)
        assert (await c.message.get(done.message_id)).message_id == done.message_id and await c.message.cancel_all() == 0
        retrying = await c.message.publish(url=self.url("/retrying/500"), retry_delay="3600000", callback=self.url("/retrying-cb"))
        await self.states(retrying.message_id, "CREATED", "ACTIVE", "ERROR", "RETRY")
        await self.states(self.got("/retrying-cb")[0]["headers"]["Upstash-Message-Id"], "CREATED", "ACTIVE", "DELIVERED")
        assert await c.message.cancel_many([retrying.message_id]) == 1
        await self.states(retrying.message_id, "CREATED", "ACTIVE", "ERROR", "RETRY", "CANCEL_REQUESTED", "CANCELED")
        # In flight: requested at once; what came through is delivered, and once only.
        flying = await c.message.publish(url=self.url("/slow"), callback=self.url("/slow-cb"))
        falling = await c.message.publish(url=self.url("/slow/500"), retries=3, retry_delay="1", callback=self.url("/fallen-cb"), label="fallen")
        self.got("/slow", Message_Id=flying.message_id)
        self.got("/slow/500", Message_Id=falling.message_id)
        assert await c.message.cancel_all() == 2
        await refused(c.message.cancel(flying.message_id), 404, "message %s not found" % flying.message_id)
        assert (await c.message.get(flying.message_id)).url == self.url("/slow")
        release.set()
        await self.states(flying.message_id, "CREATED", "ACTIVE", "CANCEL_REQUESTED", "DELIVERED")
        assert json.loads(self.got("/slow-cb")[0]["body"])["sourceMessageId"] == flying.message_id
        await self.states(falling.message_id, "CREATED", "ACTIVE", "CANCEL_REQUESTED", "ERROR", "CANCELED")
        await refused(c.message.get(falling.message_id), 404, "message %s not found" % falling.message_id)
        assert (await c.dlq.list(filter={"label": "fallen"})).messages == []

        # Every filter, each against messages of which it meets some.
        await c.queue.upsert("held", paused=True)
        other = "http://127.0.0.1:1/other"
        async def made():
            groups = await c.message.publish(url_group="orders", delay="1h")
            plain = await c.message.publish(**later, label="a,b", flow_control=FlowControl(key="k,1", rate=1))
            return dict(one=groups[0], two=groups[1], plain=plain, other=await c.message.publish(url=other, delay="1h", label="c"),
                        queued=await c.message.enqueue(queue="held", url=self.url("/held")))
        for params, wanted in [
            (dict(topicName="orders"), "one two"), (dict(queueName="held"), "queued"), (dict(url=other), "other"),
            (dict(url=[other, self.url("/later")]), "plain other"),
            (dict(host="127.0.0.1:1"), "other"), (dict(host="127.0.0.1"), ""), (dict(path="/other"), "other"), (dict(path="/oth"), ""),
            (dict(label="b"), "plain"), (dict(label=["a", "c"]), "plain other"), (dict(label="a,c"), "plain other"),
            (dict(label="a", host="127.0.0.1:1"), ""),
            (dict(flowControlKey="k,1"), "plain"), (dict(scheduleId="none"), ""), (dict(callerIp="127.0.0.1", queueName="held"), "queued"),
            (dict(callerIP="127.0.0.1", label="c"), "other"), (dict(callerIp="10.0.0.1"), ""), (dict(toDate=1), ""),
            (dict(fromDate=4_102_444_800_000), ""), (dict(fromDate=1, toDate=4_102_444_800_000, label="c"), "other"), (dict(count=1), "queued"), (dict(count=2), "other queued"),
            (dict(count=100), "one two plain other queued"), (dict(), "one two plain other queued"),
            (dict(order="earliestFirst", label="c"), "other"),
        ]:
            messages = {name: answer.message_id for name, answer in (await made()).items()}
            assert await self.wire("DELETE", "/v2/messages", **params) == {"cancelled": len(wanted.split())}, params
            for name, id in messages.items():
                if name in wanted.split():
                    await refused(c.message.get(id), 404, "message %s not found" % id)
                else:
                    assert (await c.message.get(id)).message_id == id, (params, name)
            left = set(messages) - set(wanted.split())
            assert await c.message.cancel_many(list(messages.values())) == len(left), (params, left)
        messages = await made()
        chosen = [messages["one"].message_id, messages["queued"].message_id]
        assert await self.wire("DELETE", "/v2/messages", messageIds=chosen, label="c") == {"cancelled": 2}
        shown = await c.message.get(messages["plain"].message_id)
        assert await self.wire("DELETE", "/v2/messages", fromDate=shown.created_at, toDate=shown.created_at, label="a") == {"cancelled": 1}
        for params in (dict(cursor="x"), dict(count=0), dict(count=501), dict(fromDate="soon"), dict(labeel="x")):
            await refused(self.wire("DELETE", "/v2/messages", **params), 400, list(params)[0], whole=False)
        await refused(c.message.cancel(""), 400, "", whole=False)
        await refused(c.dlq.delete(""), 400, "", whole=False)
        assert await c.message.cancel_all() == 2 and await c.message.cancel_all() == 0
        self.nothing_at("/later", "/later/2", "/held", "/never", "/tick/later", "/fallen-cb")
        assert len(self.got("/retrying/500")) == len(self.got("/slow")) == len(self.got("/slow/500")) == 1 and len(self.got("/retrying-cb")) == 1

    async def keys(self):
        c = self.c

        async def signed():
            sent = await c.message.publish(url=self.url("/signed"), body="b")
            return self.got("/signed", Message_Id=sent.message_id)[0]["headers"]["Upstash-Signature"]

        def verifies(signature, current, next):
            try:
                Receiver(current, next).verify(signature=signature, body="b", url=self.url("/signed"))
                return True
            except SignatureError:
                return False

        old = await c.signing_key.get()
        has(old, current=CURRENT, next=NEXT)
        # A message that waits for its retry across the rotation is signed with the key of the day.
        waiting = await c.message.publish(url=self.url("/rotate/once"), body="b", retry_delay="1500")
        first = self.got("/rotate/once")[0]["headers"]["Upstash-Signature"]
        Receiver(CURRENT, "none").verify(signature=first, body="b", url=self.url("/rotate/once"))
        before = await signed()
        new = await c.signing_key.rotate()
        assert new.current == NEXT and re.fullmatch("sig_[0-9A-Za-z]{28}", new.next) and new.next not in (CURRENT, NEXT), new
        assert await c.signing_key.get() == new
        after = await signed()
        assert verifies(before, CURRENT, "none") and verifies(after, new.current, "none"), (before, after)
        assert verifies(after, new.current, new.next) and verifies(after, CURRENT, NEXT), "a receiver with either pair must accept it"
        assert not verifies(after, CURRENT, CURRENT) and not verifies(before, new.current, new.next)
        second = self.got("/rotate/once", 2, Message_Id=waiting.message_id)[1]["headers"]["Upstash-Signature"]
        Receiver(new.current, "none").verify(signature=second, body="b", url=self.url("/rotate/once"))
        newer = await c.signing_key.rotate()
        assert newer.current == new.next and newer.next not in (CURRENT, NEXT, new.next), newer
        last = await signed()
        assert verifies(last, newer.current, "none") and verifies(last, new.current, new.next) and not verifies(last, CURRENT, NEXT)

    async def errors(self):
        c = self.c
        for call, status, text in [
            (c.message.publish(url="ftp://example.com"), 400, "invalid destination url: endpoint has invalid scheme, add http:// or https://"),
            (c.message.publish(url=self.url("/x"), delay="1w"), 400, 'invalid Upstash-Delay: "1w" is not a duration'),
            (c.message.publish(url=self.url("/x"), retries=101), 412, "quota maxRetries exceeded, current limit: 100"),
            (c.message.publish(url=self.url("/x"), body=b"x" * 1_048_577), 413, "quota maxMessageSize exceeded, current limit: 1048576"),
            (c.message.publish(url_group="none"), 404, "topic none not found"),
            (c.message.enqueue(queue="q", url_group="none"), 404, "topic none not found"),
            (c.message.get("msg_none"), 404, "message msg_none not found"), (c.message.cancel("msg_none"), 404, "message msg_none not found"),
            (c.dlq.get("1-1"), 404, "dlq message 1-1 not found"), (c.dlq.delete("1-1"), 404, "dlq message 1-1 not found"),
            (self.wire("POST", "/v2/dlq/retry/1-1"), 404, "dlq message 1-1 not found"), (c.queue.get("none"), 404, "queue none not found"),
            (c.queue.upsert("a b"), 400, "invalid queue name: only letters, digits, '-', '_' and '.' are allowed"),
            (c.schedule.create(destination=self.url("/x"), cron=""), 400, "Invalid cron expression empty spec string"),
            (c.schedule.get("none"), 404, "schedule none not found"),
            (c.schedule.create(destination="none", cron="@daily"), 404, "topic none not found"),
            (self.wire("GET", "/v2/none"), 404, "not found"), (self.wire("PATCH", "/v2/keys"), 405, "method not allowed"),
        ]:
            await refused(call, status, text)
        # Items that can't be published: the client throws at their slots, and has sent the rest all the same.
        try:
            raise AssertionError(await c.message.batch([dict(url=self.url("/sent-all-the-same")), dict(url_group="none")]))
        except KeyError as error:
            assert error.args == ("messageId",), error
        self.got("/sent-all-the-same")
        stranger = Recorded((type(c.target))("wrong", base_url=self.roost.url, retry=False))
        await refused(stranger.queue.list(), 401, "unable to authenticate: invalid token")


async def main():
    data = [tempfile.mkdtemp(prefix="roost-e2e-", dir="/tmp") for _ in range(2)]
    scenarios = []
    for kind, client, folder in zip(("sync", "async"), (QStash, AsyncQStash), data):
        roost = Roost("dev", "--data", folder)
        scenarios.append(Scenario(kind, client(TOKEN, base_url=roost.url, retry=False), roost))
    for s in scenarios:
        await s.begin()
    for s in scenarios:
        release.clear()
        for part in (s.url_groups, s.messages, s.queues, s.flow_control, s.schedules, s.deduplication, s.redaction, s.logs, s.ticks,
                     s.dead_letters, s.cancelling, s.keys, s.errors):
            await part()
        methods = public_methods(s.c.target)
        assert methods - set(UNCALLED) == s.c.called, (s.kind, "not called: %s, not public: %s" % (
            methods - set(UNCALLED) - s.c.called, s.c.called - methods))
        assert set(UNCALLED) <= methods and s.c.called, methods
        assert s.roost.stop() == 0, s.roost.output()
    for one in (public_methods(QStash("t")), public_methods(AsyncQStash("t"))):
        assert one == public_methods(scenarios[0].c.target), one

    # The errors for limited rates, which the client tells apart by the headers of the answer.
    for setting, kind, limit in [("burst=2", RateLimitExceededError, "2"), ("daily=1", DailyMessageLimitExceededError, "1")]:
        folder = tempfile.mkdtemp(prefix="roost-e2e-", dir="/tmp")
        roost = Roost("dev", "--data", folder, "--set", "ROOST_RATE_LIMIT=" + setting)
        for client in (QStash(TOKEN, base_url=roost.url, retry=False), AsyncQStash(TOKEN, base_url=roost.url, retry=False)):
            c = Recorded(client)
            try:
                for _ in range(200):
                    await (c.queue.list() if "burst" in setting else c.message.publish(url=sink.url + "/daily"))
                raise AssertionError("no limit: " + setting)
            except kind as error:
                assert type(error) is kind and (error.limit, error.remaining) == (limit, "0"), vars(error)
                assert -1 <= int(error.reset) - time.time() <= (1 if "burst" in setting else 86_400), vars(error)
        assert roost.stop() == 0, roost.output()
        shutil.rmtree(folder)
    for folder in data:
        shutil.rmtree(folder)


asyncio.run(main())
