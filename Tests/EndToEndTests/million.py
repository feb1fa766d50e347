"""A million messages that are due in the same second (`ops/test --all`; ROOST_TEST_MESSAGES says another number): none is early, none is
lost, none comes twice, they come in the order of their publishing but for what is in flight at once, and the store is sound."""

import selectors

from roosting import *

COUNT = int(os.environ.get("ROOST_TEST_MESSAGES", 1_000_000))
BATCH = 1_000


class QuickSink:
    """Answers 200 and remembers the number in each path; one thread, no library between."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.listener.setblocking(False)
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.numbers, self.first = [], None
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        loop = selectors.DefaultSelector()
        loop.register(self.listener, selectors.EVENT_READ)
        waiting = {}
        while True:
            for event, _ in loop.select():
                s = event.fileobj
                if s is self.listener:
                    peer, _ = s.accept()
                    peer.setblocking(False)
                    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    waiting[peer] = b""
                    loop.register(peer, selectors.EVENT_READ)
                    continue
                data = s.recv(65536)
                if not data:
                    loop.unregister(s)
                    waiting.pop(s)
                    s.close()
                    continue
                data = waiting[s] + data
                # Each body is one byte behind its head.
                while (end := data.find(b"\r\n\r\n")) >= 0 and len(data) > end + 4:
                    self.first = self.first or time.time()
                    self.numbers.append(int(data[6:data.index(b" ", 6)]))
                    data = data[end + 5:]
                    s.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                waiting[s] = data


redis = Redis()
secret = "a-secret-of-sixteen-bytes-or-more"
server = Roost("serve", env=dict(ROOST_REDIS_URL="unix://" + redis.socket, QSTASH_TOKEN=secret, ROOST_ALLOW_PRIVATE="true"))
sink = QuickSink()


def store(numbers, due, **headers):
    items = [dict(destination="%s/%d" % (sink.url, n), body="x", headers={"Upstash-Not-Before": str(due), **headers}) for n in numbers]
    status, body = call("POST", server.url + "/v2/batch", secret, {"Content-Type": "application/json"}, json.dumps(items).encode())
    assert status == 200, body[:500]
    return len(json.loads(body))


# Time enough to store them all, by what some of them take.
began = time.monotonic()
for _ in range(5):
    store(range(BATCH), int(time.time()) + 86_400, **{"Upstash-Label": "probe"})
each = (time.monotonic() - began) / (5 * BATCH)
status, body = call("DELETE", server.url + "/v2/messages?label=probe", secret)
assert status == 200 and json.loads(body)["cancelled"] == 5 * BATCH, body
due = int(time.time() + 20 + 2 * each * COUNT)
stored = sum(store(range(first, min(first + BATCH, COUNT)), due) for first in range(0, COUNT, BATCH))
assert stored == COUNT and time.time() < due, "too slow to store them before they are due: %s" % (time.time() - due)
assert not sink.numbers
seen, since = -1, time.monotonic()
while len(sink.numbers) < COUNT:
    if len(sink.numbers) != seen:
        seen, since = len(sink.numbers), time.monotonic()
    assert time.monotonic() - since < 60 or time.time() < due + 30, "%d of %d came" % (seen, COUNT)
    time.sleep(0.05)
took = time.time() - sink.first
print("%d messages due in one second were delivered in %.1f s, %.0f a second" % (COUNT, took, COUNT / took))
assert sink.first >= due, "early by %s s" % (due - sink.first)
assert len(set(sink.numbers)) == COUNT == len(sink.numbers), "some came twice"
# Each may be overtaken by what was in flight beside it, not by more.
worst = max(abs(place - number) for place, number in enumerate(sink.numbers))
assert worst < 10_000, "out of order by %d" % worst
end = time.monotonic() + 60
while redis.cli("ZCARD", "roost:{0}:messages") != "0":
    assert time.monotonic() < end, "messages stay"
    time.sleep(0.1)
assert not redis.audit("roost:{0}")
assert server.stop() == 0, server.output()
redis.close()
