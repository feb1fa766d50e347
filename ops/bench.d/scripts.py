"""Counts the instructions of Redis for a plain message in each script of its life with callgrind, among many in a call and alone, and holds
them against what was recorded.

    scripts.py [--record] [--lua FOLDER]

Redis runs under valgrind, once for each number of calls: what two runs differ by is what the calls cost, Lua, commands and the
protocol together. Counts vary by one in a hundred, and by the version of Redis. --record writes scripts.json; a script more than 5 % above
its record is named, and the exit status is 1.
"""

import argparse, json, pathlib, re, shutil, socket, subprocess, sys, tempfile, time

words = argparse.ArgumentParser(prog="ops/bench scripts")
words.add_argument("--record", action="store_true")
words.add_argument("--lua", type=pathlib.Path, default=pathlib.Path(__file__).parent.parent.parent / "lua")
words = words.parse_args()
TOLERANCE, PUBLISHED, CLAIMED = 1.05, 32, 64
BODY = b"x" * 1024
REQUEST = ('{"url":"http://127.0.0.1:56243/hook","method":"POST","header":{"Content-Type":["text/plain"]},"maxRetries":3,'
           '"callerIP":"127.0.0.1"}')
file = pathlib.Path(__file__).with_name("scripts.json")
recorded = json.loads(file.read_text()) if file.exists() else {}


def source(name):
    """Composed as the binary does it (Sources/Engine/Scripts.swift)."""
    first, rest = (words.lua / (name + ".lua")).read_text().split("\n", 1)
    parts = ["prelude", "log", "messages"] + (["taking"] if name != "settle" else [])
    return first + "\n" + "".join((words.lua / (part + ".lua")).read_text() for part in parts) + rest


class Redis:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="roost-bench-", dir="/tmp")
        self.log = open(self.folder + "/log", "w+")
        self.process = subprocess.Popen(
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "redis-server", "--port", "0", "--unixsocket", self.folder + "/s",
             "--dir", self.folder, "--save", "", "--appendonly", "no", "--hash-max-listpack-value", "2048",
             "--hash-max-listpack-entries", "32"],
            stdout=subprocess.DEVNULL, stderr=self.log)
        self.socket = socket.socket(socket.AF_UNIX)
        while self.socket.connect_ex(self.folder + "/s"):
            assert self.process.poll() is None, "redis-server does not start under valgrind"
            time.sleep(0.05)
        self.stream = self.socket.makefile("rb")

    def call(self, *arguments):
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in arguments]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return self.reply()

    def reply(self):
        line = self.stream.readline()
        kind, rest = line[:1], line[1:-2]
        assert kind != b"-", rest
        if kind == b"$":
            return None if rest == b"-1" else self.stream.read(int(rest) + 2)[:-2]
        return [self.reply() for _ in range(int(rest))] if kind == b"*" else rest

    def end(self):
        """Answers the instructions of its whole life."""
        self.socket.sendall(b"*2\r\n$8\r\nSHUTDOWN\r\n$6\r\nNOSAVE\r\n")
        self.process.wait(60)
        self.log.seek(0)
        found = int(re.search(r"Collected : (\d+)", self.log.read()).group(1))
        shutil.rmtree(self.folder)
        return found


def run(publishes, claims, settles, published=PUBLISHED, claimed=CLAIMED, carried=False):
    """carried: each publish brings the claim that takes what it stores."""
    redis, now, number = Redis(), 1_800_000_000_000, 0
    root, node, lane = "roost:{0}", "node-a", "host:127.0.0.1:56243"
    digests = {name: redis.call("SCRIPT", "LOAD", source(name)) for name in ("publish", "claim", "settle")}

    def script(name, *arguments):
        nonlocal now
        now += 3
        answer = redis.call("EVALSHA", digests[name], 1, root, now, *arguments)
        assert answer[0] == b"ok", answer
        return answer

    redis.call("ZADD", root + ":nodes", now * 2, node)
    held, limits = [], (4096, "1.0", claimed, 4 << 20, 16, 256)
    for publish in range(publishes):
        items, sent = [], {}
        for _ in range(published):
            number += 1
            items += ["/", 1 << 20, BODY, "msg_%025d" % number, lane, now, REQUEST]
        answer = script("publish", 20_000, 600_000, 0, published, *items, *((node, publish + 1, *limits) if carried else ()))
        assert answer[1:published + 1] == [b"stored"] * published
        if carried:
            held.append(answer[-1][3:])
    for claim in range(claims):
        held.append(script("claim", node, claim + 1, "", *limits, "")[3:])
    for messages in held[:settles]:
        assert len(messages) == claimed
        attempts = [word for message in messages for word in (message[0], message[1], "plain", len(REQUEST) + len(BODY) + 256)]
        assert script("settle", node, 60_000, 64 << 20, 20_000, claimed, *attempts)[1:] == [b"delivered"] * claimed
    return redis.end()


few, many, taken = 8, 48, 16
base, published = run(few, 0, 0), run(many, 0, 0)
claimed = run(many, taken, 0)
settled = run(many, taken, taken)
counts = dict(publish=(published - base) / (many - few) / PUBLISHED, claim=(claimed - published) / taken / CLAIMED,
              settle=(settled - claimed) / taken / CLAIMED)
few, many = 8, 24
counts["publish with its claim"] = (run(many, 0, 0, carried=True) - run(few, 0, 0, carried=True)) / (many - few) / PUBLISHED
few, many = 20, 120
counts["all three, alone"] = (run(many, many, many, 1, 1) - run(few, few, few, 1, 1)) / (many - few)
counts["publish with its claim and settle, alone"] = (run(many, 0, many, 1, 1, True) - run(few, 0, few, 1, 1, True)) / (many - few)
slower = []
print("| script a plain message | instructions | recorded | ratio |")
for name, found in counts.items():
    before = recorded.get(name)
    print("| %s | %.0f | %s | %s |" % (name, found, before or "-", "%.2f" % (found / before) if before else "-"))
    if before and found > before * TOLERANCE:
        slower.append("%s: %.0f %% slower" % (name, 100 * (found / before - 1)))
if words.record:
    file.write_text(json.dumps({name: int(round(found, -2)) for name, found in counts.items()}, indent=1) + "\n")
elif slower:
    sys.exit("slower than recorded: " + "; ".join(slower))
