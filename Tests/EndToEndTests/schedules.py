"""Schedules by the official Python client: made, read, paused, fired on time by two servers, exactly once."""

from roosting import *
from qstash import QStash

secret = "a-secret-of-sixteen-bytes-or-more"
redis = Redis()
env = dict(ROOST_REDIS_URL="unix://" + redis.socket, QSTASH_TOKEN=secret, ROOST_ALLOW_PRIVATE="true", ROOST_LEASE="1s")
servers = [Roost("serve", env=env), Roost("serve", env=env)]
sink = Sink()
client = QStash(secret, base_url=servers[0].url)

sid = client.schedule.create(destination=sink.url + "/tick", cron="* * * * *", body="x", callback=sink.url + "/done", schedule_id="every-minute")
assert sid == "every-minute"
paused = client.schedule.create_json(destination=sink.url + "/paused", cron="* * * * *", body={"a": 1}, retries=1, delay="5s")
client.schedule.pause(paused)
gone = client.schedule.create(destination=sink.url + "/gone", cron="* * * * *")
client.schedule.delete(gone)
client.url_group.upsert_endpoints("group", [dict(name="a", url=sink.url + "/a"), dict(name="b", url=sink.url + "/b")])
group = client.schedule.create(destination="group", cron="CRON_TZ=Europe/Berlin * * * * *")
assert {s.schedule_id for s in client.schedule.list()} == {sid, paused, group}
shown = client.schedule.get(paused)
assert shown.paused and shown.retries == 1 and shown.delay == 5 and json.loads(shown.body) == {"a": 1}, shown
assert call("DELETE", servers[0].url + "/v2/topics/group", secret)[0] == 400

for method, path, headers, status, text in [
    ("POST", "/v2/schedules/" + sink.url, {"Upstash-Cron": "* * * *"}, 400, "Invalid cron expression expected exactly 5 fields"),
    ("POST", "/v2/schedules/" + sink.url, {}, 400, "Invalid cron expression empty spec string"),
    ("POST", "/v2/schedules/" + sink.url, {"Upstash-Cron": "0 0 30 2 *"}, 400, "Invalid cron expression no match"),
    ("POST", "/v2/schedules/" + sink.url, {"Upstash-Cron": "CRON_TZ=Mars/Olympus 0 0 * * *"}, 400, "unknown time zone"),
    ("POST", "/v2/schedules/" + sink.url, {"Upstash-Cron": "* * * * *", "Upstash-Not-Before": "2000000000"}, 400, "Upstash-Not-Before"),
    ("POST", "/v2/schedules/" + sink.url, {"Upstash-Cron": "* * * * *", "Upstash-Schedule-Id": "a b"}, 400, "Upstash-Schedule-Id"),
    ("POST", "/v2/schedules/no-group", {"Upstash-Cron": "* * * * *"}, 404, "topic no-group not found"),
    ("POST", "/v2/schedules/https%3A%2F%2Fa.example/pause", {"Upstash-Cron": "* * * *"}, 400, "Invalid cron expression"),
    ("GET", "/v2/schedules/none", {}, 404, "schedule none not found"),
    ("PATCH", "/v2/schedules/none/pause", {}, 404, "schedule none not found"),
    ("DELETE", "/v2/schedules/none", {}, 200, "{}"),
]:
    code, body = call(method, servers[0].url + path, secret, headers)
    assert code == status and text in body.decode(), (method, path, headers, code, body)
assert len(client.schedule.list()) == 3


# A server is killed while it fires: planned ticks = fired + recorded misses, for each of them.
many = {client.schedule.create(destination=sink.url + "/many", cron="* * * * *"): None for _ in range(60)}
for id in many:
    many[id] = client.schedule.get(id).next_schedule_time


def kill_when_it_fires():
    sink.wait(lambda rs: any(r["path"] == "/many" for r in rs), 90)
    servers[1].kill()


killer = threading.Thread(target=kill_when_it_fires)
killer.start()


def at(path, requests):
    return [r["at"] for r in requests if r["path"] == path]


requests = sink.wait(lambda rs: at("/done", rs) and at("/a", rs) and at("/b", rs), 90)
first = at("/tick", requests)[0]
assert first % 60 < 0.25, "the tick came %.3f s late" % (first % 60)
tick = next(r for r in requests if r["path"] == "/tick")
assert tick["headers"]["Upstash-Schedule-Id"] == sid
assert not at("/paused", requests) and not at("/gone", requests)
# The server that is killed may have delivered without saying so: then the same message comes again.
messages = lambda path: {r["headers"]["Upstash-Message-Id"] for r in requests if r["path"] == path}
assert len(messages("/tick")) == 1 and len(messages("/a")) == 1, "a tick was fired twice"
end = time.monotonic() + 10
while {s.value for s in (client.schedule.get(sid).last_schedule_states or {}).values()} != {"SUCCESS"}:
    assert time.monotonic() < end, client.schedule.get(sid)
assert client.schedule.get(sid).last_schedule_time
killer.join()
# Here and not in the thread: a child dies with the thread that made it.
servers[1] = Roost("serve", env=env, port=servers[1].port)
sink.wait(lambda rs: {r["headers"]["Upstash-Schedule-Id"] for r in rs if r["path"] == "/many"} == set(many), 30)
for id in many:
    client.schedule.pause(id)
end = time.monotonic() + 30
while redis.cli("ZCARD", "roost:{0}:messages") != "0":
    assert time.monotonic() < end, "messages stay"
    time.sleep(0.05)
fired = {id: set() for id in many}
for r in sink.wait(lambda rs: True):
    if r["path"] == "/many":
        fired[r["headers"]["Upstash-Schedule-Id"]].add(r["headers"]["Upstash-Message-Id"])
for id, first in many.items():
    following, missed = (redis.cli("HGET", "roost:{0}:schedule:" + id, field) for field in ("next", "missed"))
    planned = (int(following) - first) // 60000
    assert planned == len(fired[id]) + int(missed or 0), (id, planned, fired[id], missed)
for server in servers:
    assert server.stop() == 0, server.output()
assert not redis.audit("roost:{0}"), redis.audit("roost:{0}")
redis.close()
