"""Queues and flow control by the official Python client; order and limits hold while a server is killed."""

from roosting import *
from qstash import QStash
from qstash.message import FlowControl

secret = "a-secret-of-sixteen-bytes-or-more"
redis = Redis()
env = dict(ROOST_REDIS_URL="unix://" + redis.socket, QSTASH_TOKEN=secret, ROOST_ALLOW_PRIVATE="true", ROOST_LEASE="1s")
servers = [Roost("serve", env=env), Roost("serve", env=env)]
running, most, lock = {}, {}, threading.Lock()


def answer(r):
    name = r["path"].split("/")[1]
    with lock:
        running[name] = running.get(name, 0) + 1
        most[name] = max(most.get(name, 0), running[name])
    time.sleep(0.005)
    with lock:
        running[name] -= 1
    fails = name == "fifo" and r["headers"]["Upstash-Retried"] == "0" and int(r["body"]) % 7 == 0
    return (500 if fails else 200), {}, b"ok"


sink = Sink(answer)
client = QStash(secret, base_url=servers[0].url)

# Queues: create, read, update, list, delete.
client.queue.upsert("q", parallelism=2)
assert client.queue.get("q").parallelism == 2
client.queue.upsert("q", parallelism=1, paused=True)
assert client.queue.get("q").paused and client.queue.get("q").parallelism == 1
client.queue.resume("q")
assert [q.name for q in client.queue.list()] == ["q"] and not client.queue.get("q").paused
client.queue.delete("q")
assert client.queue.list() == []
for method, path, body, status, text in [
    ("POST", "/v2/queues", b'{"queueName":"a b"}', 400, "invalid queue name"),
    ("POST", "/v2/queues", b'{"queueName":"a","parallelism":0}', 400, "parallelism"),
    ("POST", "/v2/queues", b'{"queueName":"a","parallelism":1.5}', 400, "parallelism"),
    ("GET", "/v2/queues/none", None, 404, "queue none not found"),
    ("POST", "/v2/queues/none/pause", None, 404, "queue none not found"),
    ("GET", "/v2/flowControl/none", None, 404, "not found"),
    ("GET", "/v2/flowControl?serch=x", None, 400, "unknown query parameter: serch"),
    ("POST", "/v2/flowControl/k/pin", None, 400, "pin"),
    ("POST", "/v2/flowControl/k/pin?rate=0", None, 400, "rate"),
    ("POST", "/v2/flowControl/k/unpin?rate=maybe", None, 400, "boolean"),
    ("POST", "/v2/flowControl/k/unpin?paralelism=true", None, 400, "unknown query parameter: paralelism"),
    ("POST", "/v2/flowControl/k/pin?rate=1&perod=60", None, 400, "unknown query parameter: perod"),
    ("POST", "/v2/enqueue/a%20b/" + sink.url, b"x", 400, "invalid queue name"),
]:
    code, answered = call(method, servers[0].url + path, secret, body=body)
    assert code == status and text in answered.decode(), (method, path, code, answered)
for headers, text in [
    ({"Upstash-Flow-Control-Key": "k"}, "given together"),
    ({"Upstash-Flow-Control-Key": "k", "Upstash-Flow-Control-Value": "rate=0"}, "rate must be"),
    ({"Upstash-Flow-Control-Key": "k", "Upstash-Flow-Control-Value": "burst=1"}, "burst"),
]:
    code, answered = call("POST", servers[0].url + "/v2/publish/" + sink.url, secret, headers, b"x")
    assert code == 400 and text in answered.decode(), answered

# FIFO with retries, callbacks, two servers, one of them killed on the way.
for n in range(120):
    client.message.enqueue(queue="fifo", url=sink.url + "/fifo", body=str(n), retries=2, retry_delay="20", callback=sink.url + "/cb")
    if n == 60:
        servers[1].kill()
        servers[1] = Roost("serve", env=env, port=servers[1].port)
bodies = lambda rs: [int(r["body"]) for r in rs if r["path"] == "/fifo"]
requests = sink.wait(lambda rs: 119 in bodies(rs), 120)
end = time.monotonic() + 60
while client.queue.get("fifo").lag:
    assert time.monotonic() < end, client.queue.get("fifo")
    time.sleep(0.01)
order = bodies(sink.wait(lambda rs: True))
assert order == sorted(order), "out of order: %s" % order
assert set(order) == set(range(120)) and most["fifo"] == 1, most

# Flow control: a rate in fixed windows, a parallelism, live changes.
key = "tenant/a"
client.flow_control.pause(key)
for n in range(30):
    client.message.publish(url=sink.url + "/rate", body="x", flow_control=FlowControl(key=key, rate=10, period=1))
state = client.flow_control.get(key)
assert state.is_paused and state.wait_list_size == 30 and state.rate_max == 10 and state.parallelism_count == 0, state
client.flow_control.resume(key)
at = [r["at"] for r in sink.wait(lambda rs: sum(r["path"] == "/rate" for r in rs) == 30, 30) if r["path"] == "/rate"]
at.sort()
assert 1.9 <= at[-1] - at[0] < 2.5, at[-1] - at[0]
assert all(at[i + 20] - at[i] > 0.9 for i in range(10)), "more than 20 within a window and its neighbour"
state = client.flow_control.get(key)
assert state.key == key and state.wait_list_size == 0 and state.rate_count == 10, state
client.flow_control.pin(key, {"rate": 5, "parallelism": 2, "period": 60})
client.message.publish(url=sink.url + "/rate", body="x", flow_control=FlowControl(key=key, rate=10))
state = client.flow_control.get(key)
assert (state.rate_max, state.rate_period, state.parallelism_max) == (5, 60, 2) and state.is_pinned_rate, state
client.flow_control.unpin(key, {"rate": True, "parallelism": True})
client.flow_control.reset_rate(key)
assert not client.flow_control.get(key).is_pinned_rate
assert client.flow_control.get_global_parallelism().parallelism_max == 4096
# A server is killed while it holds slots: they come back, the limit holds, and no count is left over.
client.flow_control.pause("p")
sent = {client.message.publish(url=sink.url + "/parallel", body="x", flow_control=FlowControl(key="p", parallelism=3)).message_id for n in range(300)}
client.flow_control.resume("p")
seen = lambda rs: {r["headers"]["Upstash-Message-Id"] for r in rs if r["path"] == "/parallel"}
sink.wait(lambda rs: len(seen(rs)) > 100, 30)
servers[1].kill()
servers[1] = Roost("serve", env=env, port=servers[1].port)
sink.wait(lambda rs: seen(rs) == sent, 30)
assert most["parallel"] <= 3, most
end = time.monotonic() + 30
while (client.flow_control.get("p").parallelism_count, client.flow_control.get("p").wait_list_size) != (0, 0):
    assert time.monotonic() < end, client.flow_control.get("p")
    time.sleep(0.01)
assert {f["flowControlKey"] for f in json.loads(call("GET", servers[0].url + "/v2/flowControl", secret)[1])} == {key, "p"}
for server in servers:
    assert server.stop() == 0, server.output()
assert not redis.audit("roost:{0}"), redis.audit("roost:{0}")
redis.close()
