"""Records that nobody can read are put aside and reported, and everything else goes on: no loop stops, no server ends. `roost doctor`
finds each, and says so where all is well. A store of a newer Roost is refused with one line."""

from roosting import *

redis = Redis("--appendfsync", "always")
secret = "a-secret-of-sixteen-bytes-or-more"
env = dict(ROOST_REDIS_URL="unix://" + redis.socket, QSTASH_TOKEN=secret, ROOST_ALLOW_PRIVATE="true", ROOST_LEASE="1s")
sink = Sink()
R = "roost:{0}:"


def doctor(*words, **more):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ROOST_", "QSTASH_"))}
    environment.update(env)
    environment.update(more)
    done = subprocess.run([BINARY, "doctor", *words], env=environment, capture_output=True, text=True, timeout=60)
    assert secret not in done.stdout + done.stderr
    assert not done.stderr or done.returncode == 2, done.stderr
    return done.returncode, done.stdout.strip().split("\n")


def publish(path, body=b"x", **headers):
    status, text = call("POST", server.url + path, secret, {k.replace("_", "-"): v for k, v in headers.items()}, body)
    assert status in (200, 201), (status, text)
    answer = json.loads(text)
    return answer.get("messageId") or answer.get("scheduleId")


def lives():
    """The server delivers, and says that it is well."""
    before = len(sink.requests)
    publish("/v2/publish/" + sink.url + "/well")
    sink.wait(lambda rs: any(r["path"] == "/well" for r in rs[before:]))
    assert call("GET", server.url + "/health", None)[0] == 200 == call("GET", server.url + "/ready", None)[0]


server = Roost("serve", env=env)
lives()
code, lines = doctor()
assert code == 0 and len(lines) == 1 and lines[0].startswith("all is well: Redis "), lines
assert "append-only file always" in lines[0] and "1 servers that deliver" in lines[0], lines
assert "would need less memory and time with hash-max-listpack-value 2048, hash-max-listpack-entries 32, auto-aof-rewrite-min-size 256mb" in lines[0], lines
redis.cli("CONFIG", "SET", "hash-max-listpack-value", "4096")
redis.cli("CONFIG", "SET", "hash-max-listpack-entries", "32")
redis.cli("CONFIG", "SET", "auto-aof-rewrite-min-size", "256mb")
assert "would need less" not in doctor()[1][0]

# Each is damaged while it waits for its time, then its time comes.
hour = dict(Upstash_Delay="1h")
damages = {
    "no JSON": lambda m: redis.cli("HSET", R + "message:" + m, "request", "{{{"),
    "no request": lambda m: redis.cli("HDEL", R + "message:" + m, "request"),
    "no body": lambda m: redis.cli("HDEL", R + "message:" + m, "body"),
    "other type": lambda m: (redis.cli("DEL", R + "message:" + m), redis.cli("SET", R + "message:" + m, "x")),
    "gone": lambda m: redis.cli("DEL", R + "message:" + m),
    "unknown state": lambda m: redis.cli("HSET", R + "message:" + m, "state", "dreaming"),
    "no lane": lambda m: redis.cli("HDEL", R + "message:" + m, "lane"),
    "newer record": lambda m: redis.cli("HSET", R + "message:" + m, "request", '{"version":99,"destinations":["x"]}'),
}
damaged = {}
for name, damage in damages.items():
    damaged[name] = publish("/v2/publish/" + sink.url + "/damaged", **hour)
    damage(damaged[name])
for message in damaged.values():
    redis.cli("ZADD", R + "due", "XX", "1", message)
redis.cli("PUBLISH", R + "wake", "due 1")
for _ in range(3):
    lives()
schedule = publish("/v2/schedules/" + sink.url + "/scheduled", Upstash_Cron="0 0 1 1 *")
redis.cli("HSET", R + "schedule:" + schedule, "request", "]")
redis.cli("HSET", R + "schedule:" + schedule, "next", "1")
redis.cli("ZADD", R + "schedules", "XX", "1", schedule)
redis.cli("PUBLISH", R + "wake", "tick 1")
publish("/v2/enqueue/sick/" + sink.url + "/sick", **hour)
redis.cli("XGROUP", "CREATE", R + "lane:host:nowhere", "deliver", "0", "MKSTREAM")
redis.cli("XADD", R + "lane:host:nowhere", "1-0", "id", "msg_none", "due", "1")
redis.cli("HINCRBY", R + "counts", "entries:host", "1")
redis.cli("ZADD", R + "open", "0", "host:nowhere")
redis.cli("PUBLISH", R + "wake", "open")
for _ in range(3):
    lives()


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, server.output()[-2000:]
        time.sleep(0.02)


until(lambda: "was set aside: " in server.output() and damaged["gone"] in server.output())
code, lines = doctor()
text = "\n".join(lines)
assert code == 1
for line in lines:
    assert line.split(":")[0] in ("aside", "store", "due", "nodes", "schedules"), line
for name in ("no request", "other type", "gone"):
    assert damaged[name] in text, (name, text)
for name in ("no JSON", "newer record"):
    status, body = call("GET", server.url + "/v2/dlq?messageId=" + damaged[name], secret)
    assert damaged[name] in body.decode() or damaged[name] in text, (name, body, text)
assert "msg_none" in text and ":counts" not in text, text
assert not [r for r in sink.requests if r["path"] == "/damaged" and r["headers"]["Upstash-Message-Id"] in (damaged["no JSON"], damaged["no request"])]

# A loop that Redis answers with errors says so, tries again ever more slowly, and goes on by itself when that is mended.
publish("/v2/publish/" + sink.url + "/later", **hour)
redis.cli("RENAME", R + "due", R + "kept")
redis.cli("SET", R + "due", "x")
redis.cli("PUBLISH", R + "wake", "due 1")


until(lambda: b"the promoter loop fails: WRONGTYPE" in call("GET", server.url + "/ready", None)[1])
assert call("GET", server.url + "/health", None)[0] == 200
redis.cli("DEL", R + "due")
redis.cli("RENAME", R + "kept", R + "due")
until(lambda: call("GET", server.url + "/ready", None)[0] == 200)
until(lambda: "the promoter loop works again" in server.output())
lives()

# What the settings, Redis and the store say to a doctor.
assert doctor("--store")[0] == 1
code, lines = doctor(QSTASH_TOKEN="short")
assert code == 1 and any(line.startswith("settings: QSTASH_TOKEN is weak") for line in lines), lines
code, lines = doctor(ROOST_LEASE="never")
assert code == 1 and lines[0].startswith("settings: ROOST_LEASE: "), lines
code, lines = doctor("--redis-url", "unix:///nowhere/s")
assert code == 1 and lines == [line for line in lines if line.startswith("redis: ")], lines
assert doctor("--nonsense")[0] == 2
redis.cli("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
assert any("redis: maxmemory-policy is allkeys-lru" in line for line in doctor()[1])
redis.cli("CONFIG", "SET", "maxmemory-policy", "noeviction")
assert server.stop() == 0, server.output()
code, lines = doctor()
assert any(line.startswith("nodes: no server that delivers is alive") for line in lines), lines

# An older binary refuses a newer store with one clear line, and touches nothing.
redis.cli("HSET", "roost:meta", "schema", "2")
clock = redis.cli("GET", R + "clock")
environment = {k: v for k, v in os.environ.items() if not k.startswith(("ROOST_", "QSTASH_"))}
refused = subprocess.run([BINARY, "serve", "-port=0"], env={**environment, **env}, capture_output=True, text=True, timeout=60)
wanted = "this Redis holds schema 2, this Roost knows 1: start a newer Roost"
assert refused.returncode == 1 and wanted in refused.stderr.strip().split("\n")[-1], refused
assert doctor()[1] == ["store: " + wanted] and redis.cli("GET", R + "clock") == clock
redis.close()
