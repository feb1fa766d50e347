"""Copies of Redis's data: a backup restored (ops/docs/backup.md) and the loss of Redis's host, where only what reached the disk remains.
Everything accepted before the copy began is there, is delivered by a new server, and the store is sound."""

from invariants import *

secret = "a-secret-of-sixteen-bytes-or-more"
chance = random.Random(seed())


class Restored(Redis):
    """A redis-server on a folder that is there already."""

    def __init__(self, folder, *words):
        self.folder, self.words, self.socket = folder, words, folder + "/s"
        self.start()


def serve(redis):
    return Roost("serve", env=dict(ROOST_REDIS_URL="unix://" + redis.socket, QSTASH_TOKEN=secret, ROOST_ALLOW_PRIVATE="true", ROOST_LEASE="1s"))


class Load:
    """Publishes messages that are due in the future, so that a copy holds them undelivered; remembers when each was acknowledged."""

    def __init__(self, server, sink, ack, mark):
        self.book, self.acked, self.stop, self.server, self.ack, self.mark = Book(sink, secret), [], threading.Event(), server, ack, mark
        self.threads = [threading.Thread(target=self.run) for _ in range(3)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.stop.is_set():
            headers = {"Upstash-Delay": "30d", **({"Roost-Ack": self.ack} if self.ack else {})}
            for id in self.book.publish(self.server, headers=headers):
                # The mark is taken after the answer: what is before it in the file was written before the answer or meanwhile.
                self.acked.append((id, time.monotonic(), self.mark()))

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def incremental(folder):
    names = [name for name in os.listdir(folder + "/appendonlydir") if name.endswith(".incr.aof")]
    return folder + "/appendonlydir/" + max(names, key=lambda name: int(name.split(".")[2]))


def brought_back(folder, sink, expected, *words):
    """Starts Redis and a server on the folder, as the page says; all that is expected is there, is sent now and delivered once. Answers the ids that are there."""
    redis = Restored(folder, *words)
    if "no" in words:
        redis.cli("CONFIG", "SET", "appendonly", "yes")
        until(lambda: "aof_rewrite_in_progress:0" in redis.cli("INFO", "persistence"), "a new append-only file")
    assert not redis.audit("roost:{0}"), redis.audit("roost:{0}")
    there = set(redis.cli("ZRANGE", "roost:{0}:messages", "0", "-1").split())
    assert set(expected) <= there, "L: %d acknowledged before the copy and not in it" % len(set(expected) - there)
    server = serve(redis)
    assert server.stop() == 0, server.output()
    sink.requests.clear()
    # Their time is brought forward as a person at redis-cli would do it, at one step with the record.
    redis.cli("EVAL", """for _, id in ipairs(redis.call('ZRANGE', 'roost:{0}:due', 0, -1)) do
        redis.call('ZADD', 'roost:{0}:due', 1, id) redis.call('HSET', 'roost:{0}:message:' .. id, 'due', 1) end""", "0")
    book, server = Book(sink, secret), serve(redis)
    book.accepted = {id: dict(path="/hook", queue=None, callback=True, order=0) for id in there}
    book.rest(redis)
    book.check(redis, server)
    assert server.stop() == 0, server.output()
    redis.close()
    return there


def backups():
    redis, sink = Redis("--appendfsync", "everysec"), Sink()
    server = serve(redis)
    load = Load(server, sink, None, lambda: 0)
    until(lambda: len(load.acked) > 200, "publishes")
    # An RDB file, made by BGSAVE and copied when it is done.
    before = [id for id, *_ in load.acked]
    last = redis.cli("LASTSAVE")
    time.sleep(1.1)  # LASTSAVE counts in seconds
    assert "started" in redis.cli("BGSAVE")
    until(lambda: redis.cli("LASTSAVE") != last, "BGSAVE")
    snapshot = tempfile.mkdtemp(prefix="roost-e2e-", dir="/tmp")
    shutil.copy(redis.folder + "/dump.rdb", snapshot)
    # The append-only folder, with rewriting off while it is copied.
    redis.cli("CONFIG", "SET", "auto-aof-rewrite-percentage", "0")
    until(lambda: "aof_rewrite_in_progress:0" in redis.cli("INFO", "persistence"), "the end of a rewrite")
    before_copy = [id for id, *_ in load.acked]
    time.sleep(2)  # everysec: what was acknowledged two seconds ago is in the file
    folder = tempfile.mkdtemp(prefix="roost-e2e-", dir="/tmp")
    shutil.copytree(redis.folder + "/appendonlydir", folder + "/appendonlydir")
    redis.cli("CONFIG", "SET", "auto-aof-rewrite-percentage", "100")
    load.end()
    server.stop()
    redis.close()
    # An RDB file is read only where the append-only file is off: it is switched on afterwards, at run time.
    there = brought_back(snapshot, sink, before, "--appendonly", "no", "--dbfilename", "dump.rdb")
    print("RDB: %d acknowledged before, %d restored" % (len(before), len(there)))
    there = brought_back(folder, sink, before_copy)
    print("append-only folder: %d acknowledged before, %d restored" % (len(before_copy), len(there)))


def host_lost(policy, ack):
    redis, sink = Redis("--appendfsync", policy), Sink()
    server = serve(redis)
    path = incremental(redis.folder)
    load = Load(server, sink, ack, lambda: os.path.getsize(path))
    until(lambda: len(load.acked) > chance.randrange(200, 400), "publishes")
    load.end()
    # The host goes at a byte of the file that the seed chooses. Redis writes and syncs in one step before it answers with `always`: the size
    # when the answer was there counts the message's bytes. With `everysec` a write may lag by a second and the sync by another.
    size = os.path.getsize(path)
    cut = chance.randrange(size // 2, size)
    expected = [id for id, _, mark in load.acked if mark <= cut]
    folder = tempfile.mkdtemp(prefix="roost-e2e-", dir="/tmp")
    shutil.copytree(redis.folder + "/appendonlydir", folder + "/appendonlydir")
    os.truncate(incremental(folder), cut)
    server.kill()
    redis.close()
    # --aof-load-truncated yes is Redis's default: a half command at the end is dropped.
    if policy == "always":
        there = brought_back(folder, sink, expected)
        print("%s: cut at %d of %d, %d acknowledged before, %d there" % (policy, cut, size, len(expected), len(there)))
        return
    reached = [at for _, at, mark in load.acked if mark <= cut]
    old = [id for id, at, mark in load.acked if mark <= cut and at < max(reached) - 2]
    there = brought_back(folder, sink, old)
    missing = [at for id, at, mark in load.acked if mark <= cut and id not in there]
    assert all(at >= max(reached) - 2 for at in missing), "more than two seconds are missing"
    print("%s: cut at %d of %d, %d acknowledged, %d of them missing" % (policy, cut, size, len(reached), len(missing)))


backups()
host_lost("always", "fsync")
host_lost("everysec", None)
