"""What must hold after any fault, checked from three sides: what callers were told, what the destinations saw, what Roost's log and Redis say."""

import threading, time
from roosting import *


class Book:
    """Publishes, and remembers what it was told. `check` is called once all is at rest."""

    def __init__(self, sink, secret, root="roost:{0}"):
        self.sink, self.secret, self.root, self.lock = sink, secret, root, threading.Lock()
        # Accepted messages by id: their destination path, queue and whether they have a callback; and answers by status.
        self.accepted, self.answers, self.canceled = {}, {}, set()

    def told(self, status, body, path, queue=None, callback=True):
        with self.lock:
            self.answers[status] = self.answers.get(status, 0) + 1
            if status != 200:
                return []
            said = json.loads(body)
            ids = [part["messageId"] for item in (said if isinstance(said, list) else [said])
                   for part in (item if isinstance(item, list) else [item])]
            for id in ids:
                self.accepted[id] = dict(path=path, queue=queue, callback=callback, order=len(self.accepted))
            return ids

    def publish(self, server, path="/hook", queue=None, headers=None, body=b"x", callback=True, destination=None):
        """The ids, [] where it was refused; OSError where the answer never came."""
        where = "enqueue/" + queue if queue else "publish"
        extra = {"Upstash-Callback": self.sink.url + "/callback"} if callback else {}
        status, answer = call("POST", "%s/v2/%s/%s" % (server.url, where, destination or self.sink.url + path), self.secret,
                              {**extra, **(headers or {})}, body)
        return self.told(status, answer, path, queue, callback)

    def batch(self, server, paths):
        items = [dict(destination=self.sink.url + path, body="x", headers={"Upstash-Callback": self.sink.url + "/callback"}) for path in paths]
        status, answer = call("POST", server.url + "/v2/batch", self.secret, {"Content-Type": "application/json"}, json.dumps(items).encode())
        return self.told(status, answer, "/hook")

    def rest(self, redis, seconds=60):
        """Until no message lives any more."""
        end = time.monotonic() + seconds
        while redis.cli("ZCARD", self.root + ":messages") != "0":
            if time.monotonic() > end:
                stays = redis.cli("ZRANGE", self.root + ":messages", "0", "3").split()
                look = lambda *words: redis.cli("--eval", os.path.join(os.path.dirname(__file__), "../../lua/inspect/%s.lua" % words[0]), self.root, ",", *words[1:])
                assert False, "T: messages stay: " + "\n".join([look("overview")] + [look("message", id) for id in stays])
            time.sleep(0.02)

    def deliveries(self):
        """Of each message the requests the destinations saw, callbacks left out."""
        seen = {}
        for r in self.sink.wait(lambda rs: True):
            if r["path"] not in ("/callback", "/failure"):
                seen.setdefault(r["headers"]["Upstash-Message-Id"], []).append(r)
        return seen

    def events(self, server):
        """Of each message its states in the order of the log, oldest first."""
        states, cursor = {}, ""
        while True:
            status, body = call("GET", server.url + "/v2/events?count=1000&order=earliestFirst" + cursor, self.secret)
            assert status == 200, (status, body)
            page = json.loads(body)
            for e in page["events"]:
                states.setdefault(e["messageId"], []).append(e["state"])
            if not page.get("cursor"):
                return states
            cursor = "&cursor=" + page["cursor"]

    def check(self, redis, server, repeatable=lambda id: False, strays=0):
        """`repeatable(id)`: an attempt at this message may have had an unknown outcome. `strays`: messages that may have come though nobody
        was told of them, as their answer was lost; None for any number."""
        seen, states = self.deliveries(), self.events(server)
        lost = [id for id in self.accepted if id not in seen and id not in self.canceled]
        assert not lost, "L: accepted and never delivered: %s" % [(id, self.accepted[id], states.get(id)) for id in lost[:5]]
        stray = [id for id in seen if id not in self.accepted]
        assert strays is None or len(stray) <= strays, "L: delivered although nobody was told: %s" % stray
        for id, requests in seen.items():
            attempts = [r["headers"]["Upstash-Retried"] for r in requests]
            assert len(attempts) == len(set(attempts)) or repeatable(id), "D: %s was delivered again after a known outcome: %s" % (id, attempts)
        for id in seen:
            ends = [s for s in states.get(id, []) if s in ("DELIVERED", "FAILED", "CANCELED")]
            assert len(ends) == 1 and states[id][-1] == ends[0], "T: %s ended so: %s" % (id, states.get(id))
        # One callback message for each attempt that the log calls settled.
        sources = callbacks(self.sink.requests)
        for id, told in self.accepted.items():
            settled = sum(s in ("DELIVERED", "ERROR", "FAILED") for s in states[id]) - ("FAILED" in states[id] and "ERROR" in states[id][-2:])
            assert len(sources.get(id, ())) == (settled if told["callback"] else 0), "C: %s: %s, callbacks %s" % (id, states[id], sources.get(id))
        queues = {}
        for id, told in self.accepted.items():
            if told["queue"] and id in seen:
                queues.setdefault(told["queue"], []).append(id)
        for name, ids in queues.items():
            firsts = sorted(ids, key=lambda id: seen[id][0]["at"])
            assert firsts == sorted(ids, key=lambda id: self.accepted[id]["order"]), "F: queue %s was delivered as %s" % (name, firsts)
        findings = redis.audit(self.root)
        assert not findings, "A: %s" % findings


def seed():
    """`--seed N`, else a new one; printed, so that a run can be had again."""
    number = int(sys.argv[sys.argv.index("--seed") + 1]) if "--seed" in sys.argv else int.from_bytes(os.urandom(4), "big")
    print("seed %d" % number, flush=True)
    return number
