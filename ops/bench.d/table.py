"""The table of ops/bench: what Roost needs for a message, as ratios to bare parts measured in the same minute.

    table.py ROOST LOAD [--long] [--rounds N] [--only TEXT] [--json FILE]

Everything runs on loopback, on processes of its own that end with this one. Each figure is the median of all rounds, each reference is
measured in every round beside it, so that a machine that slows down slows both.
"""

import argparse, ctypes, json, os, re, resource, shutil, signal, socket, statistics, subprocess, sys, tempfile, time
import urllib.request

words = argparse.ArgumentParser(prog="ops/bench table")
words.add_argument("roost")
words.add_argument("load")
words.add_argument("--long", action="store_true", help="also 2 million waiting, 1 million at a start, 100,000 lanes")
words.add_argument("--rounds", type=int, default=5)
words.add_argument("--only", default="", help="rows whose name holds this")
words.add_argument("--json")
words = words.parse_args()
TOKEN = "a-secret-of-sixteen-bytes-or-more"
TICK = os.sysconf("SC_CLK_TCK")
folder = tempfile.mkdtemp(prefix="roost-bench-", dir="/tmp")
results = []


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)


def start(*command, env=None, **more):
    return subprocess.Popen(command, preexec_fn=die_with_parent, env=env, **more)


def cpu(process):
    """Seconds of user and system time so far."""
    with open("/proc/%d/stat" % process.pid) as file:
        fields = file.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def fetch(url, token=None, method="GET", body=None, headers=None):
    request = urllib.request.Request(url, method=method, data=body, headers=headers or {})
    if token:
        request.add_header("Authorization", "Bearer " + token)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


class Sink:
    def __init__(self, delay=0):
        self.port = free_port()
        self.process = start(words.load, "sink", str(self.port), str(delay), stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"
        self.url = "http://127.0.0.1:%d" % self.port

    def stats(self):
        return json.loads(fetch(self.url + "/stats"))

    def reset(self):
        fetch(self.url + "/reset")

    def wait(self, count, patience=60):
        """Until so many requests came; answers the stats."""
        end, seen = time.monotonic() + patience, -1
        while True:
            stats = self.stats()
            if stats["count"] >= count:
                return stats
            if stats["count"] != seen:
                end, seen = time.monotonic() + patience, stats["count"]
            assert time.monotonic() < end, "only %d of %d came" % (stats["count"], count)
            time.sleep(0.01)

    def close(self):
        self.process.kill()
        self.process.wait()


class Redis:
    """With the settings of ops/redis.conf that cost time or memory."""

    def __init__(self, fsync="everysec"):
        self.folder = tempfile.mkdtemp(dir=folder)
        self.socket = self.folder + "/s"
        keeps = ["--appendonly", "yes", "--appendfsync", fsync] if fsync else ["--appendonly", "no"]
        self.process = start(
            "redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", self.folder, "--save", "", *keeps,
            "--hash-max-listpack-value", "2048", "--hash-max-listpack-entries", "32", "--maxmemory-policy", "noeviction",
            "--auto-aof-rewrite-min-size", "256mb", stdout=subprocess.DEVNULL)
        while self.cli("PING") != "PONG":
            time.sleep(0.01)

    def cli(self, *command):
        return subprocess.run(["redis-cli", "-s", self.socket, *command], capture_output=True, text=True).stdout.strip()

    def memory(self):
        return int(re.search(r"used_memory:(\d+)", self.cli("INFO", "memory")).group(1))

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Roost:
    def __init__(self, redis, **settings):
        self.port = free_port()
        self.url = "http://127.0.0.1:%d" % self.port
        env = {k: v for k, v in os.environ.items() if not k.startswith(("ROOST_", "QSTASH_"))}
        env.update(ROOST_REDIS_URL="unix://" + redis.socket, QSTASH_TOKEN=TOKEN, ROOST_ALLOW_PRIVATE="true", ROOST_LOG_LEVEL="error",
                   ROOST_LISTEN="127.0.0.1:%d" % self.port, **settings)
        began = time.monotonic()
        self.process = start(words.roost, "serve", env=env, stderr=subprocess.DEVNULL)
        while True:
            try:
                fetch(self.url + "/ready")
                break
            except OSError:
                assert self.process.poll() is None and time.monotonic() < began + 120, "roost does not get ready"
                time.sleep(0.002)
        self.started_in = time.monotonic() - began

    def resident(self):
        with open("/proc/%d/statm" % self.process.pid) as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def request(path, size=1024, body=None, **headers):
    """A file with one request, for the load."""
    body = b"x" * size if body is None else body
    lines = ["POST %s HTTP/1.1" % path, "Host: 127.0.0.1", "Authorization: Bearer " + TOKEN, "Content-Type: text/plain",
             "Content-Length: %d" % len(body)] + ["%s: %s" % (k.replace("_", "-"), v) for k, v in headers.items()]
    handle, name = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "wb") as file:
        file.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    return name


def http(roost, count, file, callers=64, rate=None):
    command = [words.load, "http", str(roost.port), str(count), str(callers), file] + ([str(rate)] if rate else [])
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def bare_curl(sink, count, in_flight, size):
    command = [words.load, "curl", sink.url + "/bare", str(count), str(in_flight), str(size)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def constant(roost, count=40_000):
    """The same server answering a constant: /health knows no POST and says so without Redis."""
    return http(roost, count, request("/health"))["rate"]


def publishing(sink, path="/v2/publish/", **headers):
    return request(path + sink.url + "/hook", **headers)


FORWARD = dict(Upstash_Forward_Planned="@" * 16)


def batch_of(sink, count, size, **headers):
    item = dict(destination=sink.url + "/hook", body="x" * size, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return json.dumps([item] * count).encode()


def fill(roost, sink, count, size=100, **headers):
    """So many waiting messages, by batches."""
    file = request("/v2/batch", body=batch_of(sink, 1000, size, **headers))
    assert http(roost, count // 1000, file, callers=2)["bad"] == 0


# --- rows: each a function of one round, which answers {name: (figure, unit, must, stretch, higher is better)}

def drain():
    count, sink, redis = 30_000, Sink(), Redis()
    front = Roost(redis, ROOST_ROLES="api")
    assert http(front, count, publishing(sink))["bad"] == 0
    front.close()
    bare = bare_curl(sink, count, 256, 1024)
    sink.reset()
    node = Roost(redis, ROOST_ROLES="deliver")
    stats = sink.wait(count)
    used = cpu(node.process)
    rate = (count - 1) * 1e6 / (stats["last"] - stats["first"])
    for process in (node, redis, sink):
        process.close()
    return {
        "drain, ratio to the bare curl loop (%.0f/s to %.0f/s)" % (rate, bare["rate"]): (rate / bare["rate"], "", 0.30, 0.40, True),
        "CPU of the server a message, drained only (bare curl loop %.0f us)" % bare["cpu"]: (used * 1e6 / count, "us", 65, 50, False),
    }


def whole_life():
    found = {}
    for fsync, must, stretch in [(None, 50, 32), ("everysec", 75, 50)]:
        count, sink, redis = 30_000, Sink(), Redis(fsync)
        roost = Roost(redis)
        base = constant(roost)
        http(roost, 2_000, publishing(sink))
        sink.wait(2_000)
        sink.reset()
        server, store, began = cpu(roost.process), cpu(redis.process), time.monotonic()
        published = http(roost, count, publishing(sink))
        assert published["bad"] == 0
        sink.wait(count)
        took = time.monotonic() - began
        server, store = cpu(roost.process) - server, cpu(redis.process) - store
        name = "append-only file off" if fsync is None else fsync
        found["CPU of Redis a message, whole life, all log events on: " + name] = (store * 1e6 / count, "us", must, stretch, False)
        if fsync:
            found["CPU of the server a message, whole life"] = (server * 1e6 / count, "us", 130, 95, False)
            found["publish and deliver at once, ratio to a constant (%.0f/s to %.0f/s)" % (count / took, base)] = (
                count / took / base, "", 0.25, 0.35, True)
        for process in (roost, redis, sink):
            process.close()
    return found


def publish_alone():
    count, sink, redis = 30_000, Sink(), Redis()
    roost = Roost(redis, ROOST_ROLES="api")
    base = constant(roost)
    alone = http(roost, count, publishing(sink, Upstash_Delay="30d"))
    assert alone["bad"] == 0
    batches = http(roost, 300, request("/v2/batch", body=batch_of(sink, 100, 1024, **{"Upstash-Delay": "30d"})), callers=8)
    assert batches["bad"] == 0
    for process in (roost, redis, sink):
        process.close()
    return {
        "publish alone, ratio to a constant (%.0f/s to %.0f/s)" % (alone["rate"], base): (alone["rate"] / base, "", 0.50, 0.70, True),
        "batch publish, messages, ratio to publish alone": (batches["rate"] * 100 / alone["rate"], "", 2, 3, True),
    }


def waiting_memory():
    count, sink, redis = 20_000, Sink(), Redis()
    roost = Roost(redis, ROOST_ROLES="api", ROOST_LOG_MAX_BYTES="0")
    before = redis.memory()
    http(roost, count, publishing(sink, Upstash_Delay="30d"))
    each = (redis.memory() - before) / count
    for process in (roost, redis, sink):
        process.close()
    return {"Redis bytes a waiting 1 KB message, log not counted": (each, "bytes", 2000, 1600, False)}


def latency():
    sink, redis = Sink(), Redis()
    roost = Roost(redis)
    http(roost, 500, publishing(sink))
    sink.wait(500)
    sink.reset()
    server, began = cpu(roost.process), time.monotonic()
    http(roost, 1_000, publishing(sink, **FORWARD), rate=100)
    stats = sink.wait(1_000)
    core = (cpu(roost.process) - server) / (time.monotonic() - began)
    found = {
        "latency at 100/s, request to first byte at the sink, p50": (stats["p50"] / 1e3, "ms", 1.0, 0.7, False),
        "latency at 100/s, p99": (stats["p99"] / 1e3, "ms", 3.5, 2, False),
        "CPU of the server at 100 messages a second": (core, "cores", 0.05, 0.02, False),
    }
    for rate, count in [(100, 1_000), (1_000, 10_000)]:
        sink.reset()
        http(roost, count, publishing(sink, Upstash_Delay="2s", **FORWARD), rate=rate)
        stats = sink.wait(count)
        late = {name: stats[name] / 1e3 - 2000 for name in ("least", "p50", "p99")}
        if rate == 100:
            found["lateness of due messages at 100/s, p50"] = (late["p50"], "ms", 2.5, 1.5, False)
            found["lateness at 100/s, p99"] = (late["p99"], "ms", 5, 3, False)
        else:
            found["lateness at 1,000/s, p99"] = (late["p99"], "ms", 10, 5, False)
        assert late["least"] > -1, "a message came early: %s" % late
    for process in (roost, redis, sink):
        process.close()
    return found


def in_flight():
    used = {}
    for limit, delay, count in [(64, 0, 20_000), (4096, 100, 20_000)]:
        sink, redis = Sink(delay), Redis()
        front = Roost(redis, ROOST_ROLES="api")
        assert http(front, count, publishing(sink))["bad"] == 0
        front.close()
        # A lane gets at most what is free: twice the number lets it hold as many as are meant.
        node = Roost(redis, ROOST_ROLES="deliver", ROOST_MAX_IN_FLIGHT=str(limit * 2))
        sink.wait(count)
        used[limit] = cpu(node.process) * 1e6 / count
        for process in (node, redis, sink):
            process.close()
    return {"CPU a message, 4,096 in flight for 100 ms against 64 to a fast sink (%.0f to %.0f us)" % (used[4096], used[64]): (
        used[4096] / used[64], "x", 2, 1.5, False)}


def large_bodies():
    count, size, sink, redis = 300, 1 << 20, Sink(), Redis()
    front = Roost(redis, ROOST_ROLES="api")
    assert http(front, count, publishing(sink, size=size), callers=8)["bad"] == 0
    front.close()
    bare = bare_curl(sink, count, 64, size)["rate"]
    sink.reset()
    node = Roost(redis, ROOST_ROLES="deliver")
    stats = sink.wait(count)
    rate = (count - 1) * 1e6 / (stats["last"] - stats["first"])
    for process in (node, redis, sink):
        process.close()
    return {"bodies of 1 MB, drain, ratio to the bare curl loop (%.0f/s to %.0f/s)" % (rate, bare): (rate / bare, "", 0.6, 0.8, True)}


def idle():
    redis = Redis()
    roost = Roost(redis)
    time.sleep(2)
    before, began = cpu(roost.process) + cpu(redis.process), time.monotonic()
    time.sleep(10)
    used = (cpu(roost.process) + cpu(redis.process) - before) / (time.monotonic() - began)
    memory = roost.resident() / 1e6
    for process in (roost, redis):
        process.close()
    return {
        "idle: CPU of server and Redis": (used * 100, "% of a core", 0.5, 0.2, False),
        "idle: resident memory of the server": (memory, "MB", 60, 40, False),
    }


def crowded():
    """What a message costs beside 2 million that wait, and a start on 1 million."""
    found, used = {}, {}
    for waiting in (10_000, 2_000_000):
        sink, redis = Sink(), Redis()
        roost = Roost(redis, ROOST_LOG_MAX_BYTES="16777216")
        fill(roost, sink, waiting, Upstash_Delay="30d")
        roost.close()
        if waiting > 1_000_000:
            roost = Roost(redis)
            found["start to ready beside 2 million waiting messages"] = (roost.started_in, "s", 1, 0.3, False)
        else:
            roost = Roost(redis)
        count = 20_000
        http(roost, 1_000, publishing(sink))
        sink.wait(1_000)
        before = cpu(roost.process) + cpu(redis.process)
        http(roost, count, publishing(sink))
        sink.wait(count + 1_000)
        used[waiting] = cpu(roost.process) + cpu(redis.process) - before
        for process in (roost, redis, sink):
            process.close()
    found["cost a message with 2 million waiting against 10 thousand"] = (used[2_000_000] / used[10_000], "x", 1.2, 1.1, False)
    return found


def lanes():
    """100 topics of 1,000 endpoints make 100,000 lanes; the same number of messages in one."""
    rates = {}
    for topics in (100, 0):
        sink, redis = Sink(), Redis()
        front = Roost(redis, ROOST_ROLES="api")
        if topics:
            for topic in range(topics):
                endpoints = [dict(url="%s/%d" % (sink.url, n)) for n in range(1_000)]
                fetch("%s/v2/topics/t%d/endpoints" % (front.url, topic), TOKEN, "POST", json.dumps(dict(endpoints=endpoints)).encode())
                fetch("%s/v2/publish/t%d" % (front.url, topic), TOKEN, "POST", b"x" * 1024, {"Content-Type": "text/plain"})
        else:
            assert http(front, 100_000, publishing(sink))["bad"] == 0
        front.close()
        sink.reset()
        node = Roost(redis, ROOST_ROLES="deliver")
        stats = sink.wait(100_000)
        rates[topics] = 99_999 * 1e6 / (stats["last"] - stats["first"])
        for process in (node, redis, sink):
            process.close()
    return {"100,000 lanes against one, drain (%.0f/s to %.0f/s)" % (rates[100], rates[0]): (rates[100] / rates[0], "", 0.6, 0.8, True)}


rows = [drain, whole_life, publish_alone, waiting_memory, latency, in_flight, large_bodies, idle]
if words.long:
    rows += [crowded, lanes]
try:
    for row in rows:
        if words.only and words.only not in row.__name__:
            continue
        rounds = [row() for _ in range(1 if row in (crowded, lanes) else words.rounds)]
        for position in range(len(rounds[0])):
            found = [list(r.items())[position] for r in rounds]
            middle = sorted(found, key=lambda item: item[1][0])[len(found) // 2]
            name, (figure, unit, must, stretch, higher) = middle
            good = figure >= must if higher else figure <= must
            best = figure >= stretch if higher else figure <= stretch
            spread = [item[1][0] for item in found]
            results.append(dict(row=name, figure=figure, unit=unit, must=must, stretch=stretch, least=min(spread), most=max(spread)))
            print("| %s | %.4g %s | %g | %g | %s | %.3g to %.3g |" % (
                name, figure, unit, must, stretch, "stretch" if best else "yes" if good else "**no**", min(spread), max(spread)), flush=True)
finally:
    shutil.rmtree(folder, ignore_errors=True)
if words.json:
    with open(words.json, "w") as file:
        json.dump(results, file, indent=1)
