"""kill -9 of a server at exact points between it and Redis. After each a fresh server brings all to rest, and every invariant holds."""

import concurrent.futures

from invariants import *
from interposed import Interposed

secret = "a-secret-of-sixteen-bytes-or-more"
redis = Redis("--appendfsync", "always")
# What a publish of a message holds, and its answer.
PUBLISHES = {"before": b"msg_", "after": b"stored"}


def server_behind(proxy, prefix):
    return Roost("serve", env=dict(
        ROOST_REDIS_URL=proxy.url, QSTASH_TOKEN=secret, ROOST_ALLOW_PRIVATE="true", ROOST_LEASE="1s", ROOST_PREFIX=prefix))


def in_thread(act):
    """Runs what will lose its answer when the server is killed."""
    def guarded():
        try:
            act()
        except (OSError, http.client.HTTPException):
            pass
    thread = threading.Thread(target=guarded)
    thread.start()
    return thread


def scenario(name, script, at, act, holding=b"", nth=1, repeats=0, strays=0, prepare=None, delivered=None):
    """`act(book, server)` leads to the point; `repeats`: how many messages may come twice; `delivered`: how many messages there are in all.
    Each has a root of its own, so that several can run at once."""
    prefix = "".join(c for c in name if c.isalpha())
    proxy, sink = Interposed(redis), Sink()
    book, victim = Book(sink, secret, prefix + ":{0}"), server_behind(proxy, prefix)
    if prepare:
        prepare(book, victim)
    # Servers also publish nothing, to see whether there is room.
    trap = proxy.trap(script, at, nth, holding or (PUBLISHES[at] if script == "publish" else b""))
    thread = in_thread(lambda: act(book, victim))
    trap.wait()
    # The caller is told at about the same time as the node claims.
    if script != "publish" and not strays:
        thread.join(20)
    victim.kill()
    trap.drop()
    thread.join()
    successor = server_behind(proxy, prefix)
    until(lambda: len(book.deliveries()) >= (delivered if delivered is not None else 1), name + ": deliveries")
    book.rest(redis)
    twice = [id for id, requests in book.deliveries().items() if len(requests) > 1]
    assert len(twice) <= repeats, (name, "D", twice)
    assert delivered is None or len(book.deliveries()) == delivered, (name, len(book.deliveries()))
    try:
        book.check(redis, successor, repeatable=lambda id: id in twice, strays=strays)
    except AssertionError as error:
        raise AssertionError("%s: %s\n%s" % (name, error, successor.output()[-2000:]))
    assert successor.stop() == 0, successor.output()
    proxy.close()
    print("%s: %d accepted, %d delivered, %d twice" % (name, len(book.accepted), len(book.deliveries()), len(twice)), flush=True)


def one(book, server):
    book.publish(server)


def group(book, server):
    endpoints = dict(endpoints=[dict(url=book.sink.url + "/part%d" % n) for n in range(5)])
    assert call("POST", server.url + "/v2/topics/group/endpoints", secret, {"Content-Type": "application/json"}, json.dumps(endpoints).encode())[0] == 200


def to_group(book, server):
    book.publish(server, destination="group")


def queued(book, server):
    for n in range(5):
        book.publish(server, path="/queue%d" % n, queue="q", body=b"%d" % n)


# What is due later is claimed by itself; what is due now comes with the answer of its publish.
LATER = {"Upstash-Delay": "1s"}


def one_later(book, server):
    book.publish(server, headers=LATER)


def to_group_later(book, server):
    book.publish(server, destination="group", headers=LATER)


def queued_later(book, server):
    for n in range(5):
        book.publish(server, path="/queue%d" % n, queue="q", body=b"%d" % n, headers=LATER)


def batch(book, server):
    book.batch(server, ["/batch%d" % n for n in range(20)])


def middle():
    """In the middle of a delivery: the destination has the request and says nothing before the server is gone."""
    held = threading.Event()
    sink, proxy = Sink(lambda r: (held.wait(20) if r["path"] == "/slow" else None, (200, {}, b"ok"))[1]), Interposed(redis)
    book, victim = Book(sink, secret, "middle:{0}"), server_behind(proxy, "middle")
    book.publish(victim, path="/slow")
    sink.wait(lambda rs: len(rs) == 1)
    victim.kill()
    held.set()
    successor = server_behind(proxy, "middle")
    sink.wait(lambda rs: sum(r["path"] == "/slow" for r in rs) == 2)
    book.rest(redis)
    book.check(redis, successor, repeatable=lambda id: True)
    assert successor.stop() == 0, successor.output()
    proxy.close()


def answer_lost(name, act, count, prepare=None):
    """The connection ends with the answer of a publish, which brought the messages it stored: the server, which lives, asks again for both."""
    prefix = "".join(c for c in name if c.isalpha())
    proxy, sink = Interposed(redis), Sink()
    book, server = Book(sink, secret, prefix + ":{0}"), server_behind(proxy, prefix)
    if prepare:
        prepare(book, server)
    trap = proxy.trap("publish", "after", 1, PUBLISHES["after"])
    thread = in_thread(lambda: act(book, server))
    trap.wait()
    trap.drop()
    thread.join(20)
    until(lambda: len(book.deliveries()) == count, name + ": deliveries")
    book.rest(redis)
    assert len(book.accepted) == count, (name, book.accepted)
    book.check(redis, server)
    assert proxy.calls["claim"] > 0 and server.stop() == 0, (name, proxy.calls, server.output())
    proxy.close()
    print("%s: %d delivered once" % (name, count), flush=True)


def refuted(letter, script, forged, holding=b""):
    """Redis never gets one call, the server believes it did: the check must see it, else it would not see such a defect in Roost."""
    proxy, sink, prefix = Interposed(redis), Sink(), "forged" + letter
    book, server = Book(sink, secret, prefix + ":{0}"), server_behind(proxy, prefix)
    trap = proxy.trap(script, "before", holding=holding or (PUBLISHES["before"] if script == "publish" else b""), forged=forged)
    book.publish(server)
    trap.wait()
    server.kill()
    server = server_behind(proxy, prefix)
    book.publish(server, path="/other")
    sink.wait(lambda rs: any(r["path"] == "/other" for r in rs))
    book.rest(redis)
    try:
        book.check(redis, server)
    except AssertionError as error:
        assert str(error).startswith(letter + ":"), error
    else:
        assert False, "the check did not see %s" % letter
    server.kill()
    proxy.close()


def refuted_by_halves():
    """A callback that never came, and a queue that was turned round."""
    proxy, sink = Interposed(redis), Sink()
    book, server = Book(sink, secret, "halves:{0}"), server_behind(proxy, "halves")
    queued(book, server)
    sink.wait(lambda rs: sum(r["path"] == "/callback" for r in rs) == 5)
    book.rest(redis)
    book.check(redis, server)
    whole = sink.requests
    for letter, part in [("C", [r for r in whole if r is not next(r for r in whole if r["path"] == "/callback")]),
                         ("F", [dict(r, at=-r["at"]) for r in whole])]:
        sink.requests = part
        try:
            book.check(redis, server)
        except AssertionError as error:
            assert str(error).startswith(letter + ":"), error
        else:
            assert False, "the check did not see %s" % letter
    server.kill()
    proxy.close()


# Redis knows the scripts from here on: a call that is met is one that does its work.
warm, proxy = Sink(), Interposed(redis)
book, server = Book(warm, secret, "warm:{0}"), server_behind(proxy, "warm")
one(book, server)
warm.wait(lambda rs: any(r["path"] == "/callback" for r in rs))
book.rest(redis)
book.check(redis, server)
assert server.stop() == 0
proxy.close()

with concurrent.futures.ThreadPoolExecutor(4) as pool:
    runs = [pool.submit(scenario, *words, **more) for words, more in [
        (("before a publish is stored", "publish", "before", one), dict(delivered=0)),
        (("after a publish is stored", "publish", "after", one), dict(strays=1, delivered=1)),
        (("a claim stored", "claim", "after", one_later), dict(holding=b"/hook", delivered=1)),
        (("after a success before the settle", "settle", "before", one), dict(holding=b"delivered", repeats=1, delivered=1)),
        (("after the settle", "settle", "after", one), dict(holding=b"delivered", delivered=1)),
        (("between settle and callback", "claim", "after", one), dict(holding=b"sourceMessageId", delivered=1)),
        # A callback asks for none of its own: its settle is the plain one.
        (("after a callback before its settle", "settle", "before", one), dict(holding=b"plain", delivered=1)),
        (("a fan-out before it is stored", "publish", "before", to_group), dict(prepare=group, delivered=0)),
        (("a fan-out stored", "publish", "after", to_group), dict(prepare=group, strays=5, delivered=5)),
        (("a fan-out claimed", "claim", "after", to_group_later), dict(prepare=group, holding=b"/part", delivered=5)),
        (("a batch before it is stored", "publish", "before", batch), dict(delivered=0)),
        (("a batch stored", "publish", "after", batch), dict(strays=20, delivered=20)),
        (("a queue claimed", "claim", "after", queued_later), dict(holding=b"/queue0", strays=1)),
        (("a queue before a settle", "settle", "before", queued), dict(holding=b"delivered", repeats=1, strays=1)),
    ]] + [
        pool.submit(middle),
        pool.submit(answer_lost, "the answer of a publish lost", one, 1),
        pool.submit(answer_lost, "the answer of a fan-out lost", to_group, 5, group),
        pool.submit(answer_lost, "the answer of a batch lost", batch, 20),
        pool.submit(refuted, "L", "publish", b"return {'ok', 'stored'}"),
        pool.submit(refuted, "D", "settle", b"return {'ok', 'delivered'}", b"delivered"),
        pool.submit(refuted_by_halves),
    ]
    for run in runs:
        run.result()
redis.close()
