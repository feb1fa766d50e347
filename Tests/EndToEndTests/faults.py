"""What goes wrong with Redis and with servers short of their end: scripts forgotten, connections cut, Redis paused, memory full, a server
stopped longer than its lease. Every accepted message is delivered, each makes exactly one callback message, and the store is sound."""

from roosting import *

redis = Redis("--appendfsync", "always")
secret = "a-secret-of-sixteen-bytes-or-more"
env = dict(ROOST_REDIS_URL="unix://" + redis.socket, QSTASH_TOKEN=secret, ROOST_ALLOW_PRIVATE="true", ROOST_LEASE="1s", ROOST_STORE_TIMEOUT="5s")
servers = [Roost("serve", env=env), Roost("serve", env=env)]
sink = Sink(lambda r: (time.sleep(0.005), (200, {}, b"ok"))[1])
accepted, answers, lock, stop = [], {}, threading.Lock(), threading.Event()


def publish(server):
    n = 0
    while not stop.is_set():
        n += 1
        delay = {"Upstash-Delay": "1s"} if n % 3 == 0 else {}
        try:
            status, body = call("POST", servers[server].url + "/v2/publish/" + sink.url + "/hook", secret,
                                {"Upstash-Callback": sink.url + "/callback", **delay}, b"x" * 2000)
        except OSError:
            time.sleep(0.01)
            continue
        with lock:
            answers[status] = answers.get(status, 0) + 1
            if status == 200:
                accepted.append(json.loads(body)["messageId"])
            else:
                assert (status, b"storage unavailable" in body) == (503, True), (status, body)
                time.sleep(0.01)


def until(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "in vain: " + what + "\n" + servers[0].output()[-2000:]
        time.sleep(0.01)


def more(count=100):
    """Until so many more were accepted: the servers are back at work."""
    have = len(accepted)
    until(lambda: len(accepted) > have + count, "publishes")


def delivered():
    return {r["headers"]["Upstash-Message-Id"] for r in sink.requests if r["path"] == "/hook"}


threads = [threading.Thread(target=publish, args=(n % 2,)) for n in range(4)]
for thread in threads:
    thread.start()
more()
redis.cli("SCRIPT", "FLUSH")
more()
for _ in range(3):
    redis.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    redis.cli("CLIENT", "KILL", "TYPE", "pubsub")
    more(20)
redis.cli("CLIENT", "PAUSE", "1500", "ALL")
more()

# A server that stands still longer than its lease: the other takes over, and what comes late is stale.
servers[0].process.send_signal(signal.SIGSTOP)
held = set(accepted)
until(lambda: held <= delivered(), "takeover")
servers[0].process.send_signal(signal.SIGCONT)
more()

# Memory full: the log goes, then publishes are refused and nothing else; what waits is delivered; no human is needed afterwards.
used = int(re.search(r"used_memory:(\d+)", redis.cli("INFO", "memory")).group(1))
redis.cli("CONFIG", "SET", "maxmemory", str(used // 2))
until(lambda: answers.get(503, 0) > 20, "refusals")
for server in servers:
    assert call("GET", server.url + "/ready", None)[0] == 503
assert int(redis.cli("HGET", "roost:{0}:log", "shed") or 0) > 0
waiting = set(accepted)
until(lambda: waiting <= delivered(), "deliveries while memory is full")
assert "dropped" in servers[0].output() + servers[1].output()
redis.cli("CONFIG", "SET", "maxmemory", "0")
more()
for server in servers:
    until(lambda: call("GET", server.url + "/ready", None)[0] == 200, "readiness")

stop.set()
for thread in threads:
    thread.join()
until(lambda: set(accepted) <= delivered(), "deliveries", 60)
until(lambda: redis.cli("ZCARD", "roost:{0}:messages") == "0", "the end of all messages", 60)
sources = callbacks(sink.wait(lambda rs: True))
assert set(accepted) <= set(sources), "without callback: %s" % (set(accepted) - set(sources))
assert all(len(ids) == 1 for ids in sources.values()), {k: v for k, v in sources.items() if len(v) > 1}
for server in servers:
    assert server.stop() == 0, server.output()
findings = redis.audit("roost:{0}")
assert not findings, findings
redis.close()
