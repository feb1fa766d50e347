"""Two servers asked the same at once: one cancel, one bulk retry of dead letters. One effect, and counts that add up over both
answers. A failure callback that points at itself ends."""

from invariants import *

secret = "a-secret-of-sixteen-bytes-or-more"
seed()
redis = Redis("--appendfsync", "always")
env = dict(ROOST_REDIS_URL="unix://" + redis.socket, QSTASH_TOKEN=secret, ROOST_ALLOW_PRIVATE="true")
servers = [Roost("serve", env=env), Roost("serve", env=env)]
broken = True
sink = Sink(lambda r: (500 if broken and r["path"] in ("/dead", "/loop") else 200, {}, b"ok"))
book = Book(sink, secret)


def both(method, path):
    """The answers of both servers, asked at the same time."""
    answers, ready = [None, None], threading.Barrier(2)

    def ask(n):
        ready.wait()
        answers[n] = call(method, servers[n].url + path, secret)
    threads = [threading.Thread(target=ask, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


# One message cancelled by both: one of them did it.
for _ in range(10):
    id = book.publish(servers[0], headers={"Upstash-Delay": "1h"})[0]
    book.canceled.add(id)
    answers = both("DELETE", "/v2/messages/" + id)
    assert sorted(status for status, _ in answers) in ([200, 404], [200, 200]), answers
    assert sum(json.loads(body).get("cancelled", status == 200) for status, body in answers) >= 1, answers
book.rest(redis)
# All of them cancelled by both: the counts add up.
many = [book.publish(servers[n % 2], headers={"Upstash-Delay": "1h"})[0] for n in range(80)]
book.canceled.update(many)
counts = [json.loads(body)["cancelled"] for status, body in both("DELETE", "/v2/messages?count=500") if status == 200]
assert sum(counts) == 80, counts
book.rest(redis)
# Dead letters retried by both: each becomes one message.
dead = [book.publish(servers[n % 2], path="/dead", headers={"Upstash-Retries": "0"}, callback=False)[0] for n in range(60)]
until(lambda: redis.cli("ZCARD", "roost:{0}:dead") == "60", "dead letters")
book.rest(redis)
broken = False
answers = both("POST", "/v2/dlq/retry?count=100")
made = [r["messageId"] for status, body in answers if status == 201 for r in json.loads(body)["responses"]]
assert len(made) == len(set(made)) == 60, [(status, body[:200]) for status, body in answers]
book.rest(redis)
assert redis.cli("ZCARD", "roost:{0}:dead") == "0"
again = {r["headers"]["Upstash-Message-Id"] for r in sink.requests if r["path"] == "/dead"} - set(dead)
assert again == set(made), (len(again), len(made))
for id in made:
    book.accepted[id] = dict(path="/dead", queue=None, callback=False, order=0)
book.check(redis, servers[0])

# A failure callback that points at itself ends: the message, its failure callback, and the one that it was given.
broken = True
before = len(sink.requests)
book.publish(servers[0], path="/loop", callback=False, headers={
    "Upstash-Retries": "0", "Upstash-Failure-Callback": sink.url + "/loop", "Upstash-Failure-Callback-Retries": "0",
    "Upstash-Failure-Callback-Failure-Callback": sink.url + "/loop"})
sink.wait(lambda rs: len(rs) >= before + 3)
book.rest(redis)
assert len(sink.requests) - before == 3, len(sink.requests) - before
assert not redis.audit("roost:{0}")
for server in servers:
    assert server.stop() == 0, server.output()
redis.close()
