"""Servers that leave: SIGTERM under load, and two servers replaced one after the other, while callers that retry on the other notice nothing.
What ends within the drain time is never delivered twice; what does not is handed back and delivered by the other."""

from invariants import *

secret = "a-secret-of-sixteen-bytes-or-more"
redis = Redis("--appendfsync", "always")
chance = random.Random(seed())
env = dict(ROOST_REDIS_URL="unix://" + redis.socket, QSTASH_TOKEN=secret, ROOST_ALLOW_PRIVATE="true")
hang = threading.Event()


def answer(request):
    if request["path"] == "/hanging":
        hang.wait(30)
    elif request["path"] == "/slow":
        time.sleep(0.3)
    return 200, {}, b"ok"


sink = Sink(answer)
book, stop, refused = Book(sink, secret), threading.Event(), []
servers = [Roost("serve", env=env), Roost("serve", env=env)]


def load(first, number):
    """Retries on the other server; an answer that never came may mean that the message is stored, so the retry has the same deduplication id."""
    n = 0
    while not stop.is_set():
        n += 1
        queue = "queue%d" % number if n % 4 == 0 else None
        path = ["/hook", "/slow"][n % 7 == 0]
        headers = {"Upstash-Deduplication-Id": "%d-%d" % (number, n), "Upstash-Delay": "1s"} if n % 5 == 0 else {
            "Upstash-Deduplication-Id": "%d-%d" % (number, n)}
        for attempt in range(4):
            try:
                ids = book.publish(servers[(first + attempt) % 2], path=path, queue=queue, headers=headers)
                if ids:
                    break
            except (OSError, http.client.HTTPException):
                pass
        else:
            refused.append((number, n))
        time.sleep(0.002)


threads = [threading.Thread(target=load, args=(n % 2, n)) for n in range(4)]
for thread in threads:
    thread.start()
# A rolling restart, twice over.
for which in [0, 1, 0, 1]:
    have = len(book.accepted)
    until(lambda: len(book.accepted) > have + chance.randrange(80, 160), "publishes")
    began = time.monotonic()
    code = servers[which].stop()
    assert code == 0 and time.monotonic() - began < 10, (code, time.monotonic() - began, servers[which].output()[-3000:])
    servers[which] = Roost("serve", env=env, port=servers[which].port)
stop.set()
for thread in threads:
    thread.join()
assert not refused, "refused by both servers: %s" % refused
book.rest(redis)
book.check(redis, servers[0])
print("rolling restart: %d accepted, none refused, lost or doubled" % len(book.accepted))

# What hangs longer than the drain time is handed back; the server still ends in time, and the other delivers.
servers[0].stop()
servers[0] = Roost("serve", env=dict(env, ROOST_DRAIN_TIMEOUT="2s"), port=servers[0].port)
servers[1].stop()
hanging = {book.publish(servers[0], path="/hanging")[0] for _ in range(20)}
quick = {book.publish(servers[0], path="/slow")[0] for _ in range(20)}
sink.wait(lambda rs: sum(r["path"] == "/hanging" for r in rs) == 20)
began = time.monotonic()
code = servers[0].stop()
took = time.monotonic() - began
assert code == 0 and 1.5 < took < 6, (code, took, servers[0].output()[-3000:])
hang.set()
servers[1] = Roost("serve", env=env, port=servers[1].port)
sink.wait(lambda rs: sum(r["path"] == "/hanging" for r in rs) == 40)
book.rest(redis)
book.check(redis, servers[1], repeatable=lambda id: id in hanging)
assert servers[1].stop() == 0, servers[1].output()
redis.close()
