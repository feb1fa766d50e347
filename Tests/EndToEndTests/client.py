"""The official Python client, sync and async, pointed at `roost dev` by URL and token alone."""

import asyncio
from roosting import *
from qstash import AsyncQStash, QStash, Receiver

data = tempfile.mkdtemp(prefix="roost-e2e-", dir="/tmp")
roost = Roost("dev", "--data", data)
sink = Sink(lambda r: (500, {}, b"boom") if r["path"] == "/fails" else (200, {"X-Request-Id": "r-1"}, b'{"ok":true}'))
client = QStash(TOKEN, base_url=roost.url)
# What the TypeScript SDK's development mode asks before it uses a server it finds on port 8080 (contract keys.md).
assert json.loads(call("GET", roost.url + "/v2/keys")[1]) == {"current": CURRENT, "next": NEXT}
receiver = Receiver(current_signing_key=CURRENT, next_signing_key=NEXT)


def paths(requests):
    return [r["path"] for r in requests]


# A signed delivery with forwarded headers, and its callback.
sent = client.message.publish_json(
    url=sink.url + "/hook?a=%20b", body={"orderId": 42}, headers={"X-Tenant": "acme"}, callback=sink.url + "/callback")
requests = sink.wait(lambda rs: "/callback" in paths(rs))
hook = next(r for r in requests if r["path"] == "/hook?a=%20b")
assert json.loads(hook["body"]) == {"orderId": 42} and hook["headers"]["X-Tenant"] == "acme", hook
assert hook["headers"]["Upstash-Message-Id"] == sent.message_id and hook["headers"]["Upstash-Retried"] == "0"
receiver.verify(body=hook["body"].decode(), signature=hook["headers"]["Upstash-Signature"], url=sink.url + "/hook?a=%20b")
envelope = json.loads(next(r for r in requests if r["path"] == "/callback")["body"])
assert envelope["status"] == 200 and envelope["sourceMessageId"] == sent.message_id, envelope
assert base64.b64decode(envelope["body"]) == b'{"ok":true}' and base64.b64decode(envelope["sourceBody"]) == hook["body"]

# A retry that fails for good: failure callback with a dlqId, one callback for each attempt.
client.message.publish(
    url=sink.url + "/fails", body="x", retries=1, retry_delay="10", callback=sink.url + "/each",
    failure_callback=sink.url + "/failed")
requests = sink.wait(lambda rs: "/failed" in paths(rs) and paths(rs).count("/each") == 2)
failed = json.loads(next(r for r in requests if r["path"] == "/failed")["body"])
assert failed["dlqId"] and failed["status"] == 500 and failed["retried"] == 1, failed
assert paths(requests).count("/fails") == 2

# A delay: never early.
published = time.time()
client.message.publish(url=sink.url + "/late", body="x", delay="1s")
late = next(r for r in sink.wait(lambda rs: "/late" in paths(rs)) if r["path"] == "/late")
assert 0.99 <= late["at"] - published < 1.5, late["at"] - published

# Read and cancel.
waiting = client.message.publish(url=sink.url + "/never", body="x", delay="1h")
assert client.message.get(waiting.message_id).url == sink.url + "/never"
client.message.cancel(waiting.message_id)
assert call("GET", roost.url + "/v2/messages/" + waiting.message_id)[0] == 404

# A URL group with named endpoints.
client.url_group.upsert_endpoints("orders", [dict(name="one", url=sink.url + "/one"), dict(name="two", url=sink.url + "/two")])
assert sorted(e.name for e in client.url_group.get("orders").endpoints) == ["one", "two"]
answers = client.message.publish(url_group="orders", body="fan")
assert len(answers) == 2, answers
requests = sink.wait(lambda rs: {"/one", "/two"} <= set(paths(rs)))
assert next(r for r in requests if r["path"] == "/one")["headers"]["Upstash-Topic-Name"] == "orders"
client.url_group.remove_endpoints("orders", [dict(name="one")])
assert [e.name for e in client.url_group.get("orders").endpoints] == ["two"]
client.url_group.delete("orders")

# A batch: in order, to a URL, a group and a queue.
client.url_group.upsert_endpoints("group", [dict(name="one", url=sink.url + "/g1"), dict(name="two", url=sink.url + "/g2")])
answers = client.message.batch_json([
    dict(url=sink.url + "/b1", body={"n": 1}, headers={"X-N": "1"}), dict(url_group="group", body={"n": 2}),
    *[dict(url=sink.url + "/b3", body={"n": n}, queue="lined-up") for n in range(5)]])
assert len(answers) == 7 and len(answers[1]) == 2 and answers[0].message_id.startswith("msg_"), answers
requests = sink.wait(lambda rs: {"/b1", "/g1", "/g2"} <= set(paths(rs)) and paths(rs).count("/b3") == 5)
assert next(r for r in requests if r["path"] == "/b1")["headers"]["X-N"] == "1"
assert [json.loads(r["body"])["n"] for r in requests if r["path"] == "/b3"] == [0, 1, 2, 3, 4]


async def asynchronous():
    client = AsyncQStash(TOKEN, base_url=roost.url)
    sent = await asyncio.gather(*[client.message.publish_json(url=sink.url + "/async", body={"n": n}) for n in range(50)])
    assert len({s.message_id for s in sent}) == 50


asyncio.run(asynchronous())
sink.wait(lambda rs: paths(rs).count("/async") == 50)

# A restart with the same data continues with what waits.
client.message.publish(url=sink.url + "/after-restart", body="x", delay="2s")
assert roost.stop() == 0, roost.output()
roost = Roost("dev", "--data", data)
sink.wait(lambda rs: "/after-restart" in paths(rs))
assert roost.stop() == 0
shutil.rmtree(data)
