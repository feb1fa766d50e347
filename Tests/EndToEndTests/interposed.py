"""A proxy between a server and Redis that reads the protocol: it knows which script a command calls, can hold the n-th call of a script
before Redis gets it or after Redis answered, and can delay, cut and forge. Faults are then at a point, not at a moment."""

import glob, os, random, re, socket, struct, tempfile, threading, time

LUA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lua")


def script_names():
    """Digest to name, composed as the binary does it (Sources/Engine/Scripts.swift)."""
    import hashlib
    read = lambda name: open(os.path.join(LUA, name + ".lua"), "rb").read()
    shared, names = read("prelude") + read("log") + read("messages"), {}
    for path in glob.glob(LUA + "/*.lua"):
        name = os.path.basename(path)[:-4]
        text = read(name)
        for prelude in (shared, shared + read("taking"), shared + read("reading")):
            first, _, rest = text.partition(b"\n")
            whole = first + b"\n" + prelude + rest if text.startswith(b"#!") else prelude + text
            names[hashlib.sha1(whole).hexdigest()] = name
    return names


def read_value(stream, raw):
    """One RESP value; its bytes are added to `raw`. Answers what a command is made of: the arguments of an array of strings."""
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise EOFError
    raw.append(line)
    kind, rest = line[:1], line[1:-2]
    if kind == b"$" and rest != b"-1":
        data = stream.read(int(rest) + 2)
        if len(data) < int(rest) + 2:
            raise EOFError
        raw.append(data)
        return data[:-2]
    if kind == b"*" and rest != b"-1":
        return [read_value(stream, raw) for _ in range(int(rest))]
    return rest


class Trap:
    """Stops the `nth` call of a script whose bytes hold `holding`, at "before" (Redis has not seen it) or "after" (it has answered)."""

    def __init__(self, script, at, nth, holding, forged):
        self.script, self.at, self.left, self.holding, self.forged = script, at, nth, holding, forged
        self.reached, self.opened, self.drops = threading.Event(), threading.Event(), False

    def wait(self, seconds=20):
        assert self.reached.wait(seconds), "no call of %s was met %s Redis" % (self.script, self.at)

    def release(self):
        self.opened.set()

    def drop(self):
        """What was held is never passed on."""
        self.drops = True
        self.opened.set()


class Interposed:
    """Listens on a unix socket of its own; `url` is what ROOST_REDIS_URL gets. Use one for each server."""

    def __init__(self, redis, seed=0):
        self.target, self.random, self.lock = redis.socket, random.Random(seed), threading.Lock()
        self.folder = tempfile.mkdtemp(prefix="roost-e2e-", dir="/tmp")
        self.url, self.traps, self.pairs, self.names = "unix://%s/p" % self.folder, [], set(), script_names()
        self.calls, self.chance, self.cuts = {}, 0.0, 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.folder + "/p")
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def trap(self, script, at, nth=1, holding=b"", forged=None):
        """`forged`: Redis gets this Lua text in place of the call, so that its answer keeps its turn; nothing stands still."""
        trap = Trap(script, at, nth, holding, forged)
        with self.lock:
            self.traps.append(trap)
        return trap

    def storm(self, chance):
        """From now on every command and reply is delayed, dropped with its connection, or cut in half, each by this chance."""
        self.chance = chance

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(self.target)
            except OSError:
                near.close()
                continue
            pair, sent = (near, far), []
            self.pairs.add(pair)
            threading.Thread(target=self.pump, args=(pair, near, far, "before", sent), daemon=True).start()
            threading.Thread(target=self.pump, args=(pair, far, near, "after", sent), daemon=True).start()

    def end(self, pair):
        self.pairs.discard(pair)
        for side in pair:
            try:
                side.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        for pair in list(self.pairs):
            self.end(pair)

    def caught(self, at, script, text):
        with self.lock:
            for trap in self.traps:
                if trap.script == script and trap.at == at and trap.left and trap.holding in text:
                    trap.left -= 1
                    if not trap.left:
                        return trap
        return None

    def weather(self, to, text):
        """False where the connection is to end."""
        with self.lock:
            drawn, kind = self.random.random(), self.random.randrange(4)
            part, pause = self.random.randrange(len(text)), self.random.random() * 0.3
        if drawn >= self.chance:
            return True
        self.cuts += 1
        if kind == 0:
            time.sleep(pause)
            return True
        if kind == 1:
            to.sendall(text[:part])
        if kind == 2:
            to.shutdown(socket.SHUT_WR)
            time.sleep(pause)
        return False

    def pump(self, pair, source, to, at, sent):
        stream = source.makefile("rb")
        try:
            while True:
                raw = []
                value = read_value(stream, raw)
                text = b"".join(raw)
                if at == "before":
                    script = value[0].decode().upper()
                    if script == "EVALSHA":
                        script = self.names.get(value[1].decode(), "unknown")
                    with self.lock:
                        self.calls[script] = self.calls.get(script, 0) + 1
                else:
                    script = sent.pop(0) if sent else "push"
                trap = None if text.startswith(b"-NOSCRIPT") else self.caught(at, script, text)
                if trap:
                    trap.reached.set()
                    if trap.forged:
                        text = b"*3\r\n$4\r\nEVAL\r\n$%d\r\n%s\r\n$1\r\n0\r\n" % (len(trap.forged), trap.forged)
                    else:
                        trap.opened.wait()
                        if trap.drops:
                            break
                if self.chance and not self.weather(to, text):
                    break
                if at == "before":
                    sent.append(script)
                to.sendall(text)
        except (OSError, EOFError, ValueError):
            pass
        self.end(pair)

    def close(self):
        for trap in self.traps:
            trap.drop()
        self.listener.close()
        self.cut()
        for path in (self.folder + "/p",):
            os.unlink(path)
        os.rmdir(self.folder)
