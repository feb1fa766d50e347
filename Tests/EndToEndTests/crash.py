"""kill -9 of a server and of Redis under load, two servers on one Redis: every accepted message is delivered, each settled attempt makes
exactly one callback message, and the store is sound afterwards."""

from roosting import *

# `always`: with `everysec` Redis may answer before it has written, when the disk is slow, and its own end then loses what it said.
redis = Redis("--appendfsync", "always")
secret = "a-secret-of-sixteen-bytes-or-more"
env = dict(ROOST_REDIS_URL="unix://" + redis.socket, QSTASH_TOKEN=secret, ROOST_ALLOW_PRIVATE="true", ROOST_LEASE="1s")
servers = [Roost("serve", env=env), Roost("serve", env=env)]
sink = Sink(lambda r: (time.sleep(0.01), (200, {}, b"ok"))[1])
accepted, lock, stop = [], threading.Lock(), threading.Event()


def waited(condition, seconds, what):
    """As the sink waits; where it waits in vain, with the state an operator would look at."""
    try:
        return sink.wait(condition, seconds)
    except AssertionError:
        missing = sorted(set(accepted) - set(ids("/hook", sink.requests)))
        print("waited in vain for %s: %d accepted, %d not delivered" % (what, len(accepted), len(missing)))
        for script, *words in [("overview",), ("late", str(int(time.time() * 1000))), *[("message", m) for m in missing[:3]]]:
            print(redis.cli("--eval", os.path.join(os.path.dirname(__file__), "../../lua/inspect/%s.lua" % script), "roost:{0}", ",", *words))
        for server in servers:
            print(server.process.poll(), server.output()[-3000:])
        raise


def publish(server):
    n = 0
    while not stop.is_set():
        n += 1
        delay = {"Upstash-Delay": "1s"} if n % 3 == 0 else {}
        try:
            status, body = call(
                "POST", servers[server].url + "/v2/publish/" + sink.url + "/hook", secret,
                {"Upstash-Callback": sink.url + "/callback", **delay}, b"x")
        except OSError:
            time.sleep(0.01)
            continue
        if status == 200:
            with lock:
                accepted.append(json.loads(body)["messageId"])


threads = [threading.Thread(target=publish, args=(n % 2,)) for n in range(4)]
for thread in threads:
    thread.start()
for _ in range(4):
    have = len(accepted)
    waited(lambda rs: len(accepted) > have + 50, 30, "publishes")
    victim = servers[0]
    victim.kill()
    servers[0] = Roost("serve", env=env, port=victim.port)
for _ in range(2):
    have = len(accepted)
    waited(lambda rs: len(accepted) > have + 50, 30, "publishes")
    redis.process.kill()
    redis.process.wait()
    redis.start()
stop.set()
for thread in threads:
    thread.join()


def ids(path, requests):
    return [r["headers"]["Upstash-Message-Id"] for r in requests if r["path"] == path]


wanted = set(accepted)
requests = waited(lambda rs: wanted <= set(ids("/hook", rs)), 60, "deliveries")
# Until nothing is live any more; then the callbacks are counted by their own message ids.
end = time.monotonic() + 60
while redis.cli("ZCARD", "roost:{0}:messages") != "0":
    assert time.monotonic() < end, "messages stay: " + redis.cli("ZRANGE", "roost:{0}:messages", "0", "5")
    time.sleep(0.05)
requests = sink.wait(lambda rs: True)
sources = callbacks(requests)
assert wanted <= set(sources), "without callback: %s" % (wanted - set(sources))
assert all(len(s) == 1 for s in sources.values()), {k: v for k, v in sources.items() if len(v) > 1}
for server in servers:
    assert server.stop() == 0, server.output()
findings = redis.audit("roost:{0}")
assert not findings, findings
redis.close()
