"""What stands in ops/ holds: files parse, names exist, the commands of the runbook and of the pages run as they are printed."""

import configparser
import glob

import yaml

from roosting import *

top = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
ops = os.path.join(top, "ops")
secret = "a-secret-of-sixteen-bytes-or-more"


def read(*path):
    with open(os.path.join(ops, *path)) as file:
        return file.read()


# redis.conf starts, as it stands and with its examples, and `roost serve` takes it with the rights of its example user.
def lines_with_examples(*starts):
    return "".join(
        line[2:] if line.startswith("# ") and line[2:].startswith(starts) else line for line in read("redis.conf").splitlines(True))


folder = tempfile.mkdtemp(prefix="roost-e2e-", dir="/tmp")
with open(folder + "/redis.conf", "w") as file:
    file.write(lines_with_examples("user ", "io-threads"))


class ConfiguredRedis(Redis):
    """A server with a configuration file; only its port, socket and folder are the test's."""

    def __init__(self, path):
        self.path = path
        super().__init__()

    def start(self):
        self.port = free_port()
        self.process = subprocess.Popen(
            ["redis-server", self.path, "--port", str(self.port), "--unixsocket", self.socket, "--dir", self.folder],
            stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)
        end = time.monotonic() + 30
        while not self.cli("PING").startswith(("PONG", "NOAUTH")):
            assert self.process.poll() is None and time.monotonic() < end, self.path + " does not start"
            time.sleep(0.01)


for path, url in [(os.path.join(ops, "redis.conf"), "unix://%s"), (folder + "/redis.conf", "redis://roost:change-this-password@127.0.0.1:%d/0")]:
    redis = ConfiguredRedis(path)
    url = url % (redis.socket if "%s" in url else redis.port)
    sink = Sink()
    roost = Roost("serve", env=dict(
        ROOST_REDIS_URL=url, QSTASH_TOKEN=secret, ROOST_REQUIRE_PERSISTENCE="true", ROOST_ALLOW_NETWORKS="127.0.0.0/8"))
    status, body = call("POST", roost.url + "/v2/publish/" + sink.url + "/a", secret, {"Upstash-Callback": sink.url + "/callback"}, b"x")
    assert status == 200, (path, status, body)
    sink.wait(lambda rs: {r["path"] for r in rs} == {"/a", "/callback"})
    assert call("POST", roost.url + "/v2/schedules/" + sink.url, secret, {"Upstash-Cron": "@daily"})[0] == 200
    assert call("POST", roost.url + "/v2/keys/rotate", secret)[0] == 200
    assert roost.stop() == 0, roost.output()
    output = roost.output()
    assert "keeps nothing" not in output and "snapshots only" not in output and "NOPERM" not in output, output
    redis.close()

# Every line of redis.conf has its reason in front of it.
reasoned = False
for line in read("redis.conf").split("\n"):
    if line.startswith("#"):
        reasoned = True
    elif not line:
        reasoned = False
    else:
        assert reasoned, "redis.conf: no reason above: " + line

# Settings: env.example names them all with values the server takes, and no file names one that does not exist.
table = subprocess.run([BINARY, "serve", "--settings"], capture_output=True, text=True, check=True).stdout
settings = {line.split()[0] for line in table.splitlines()}
secrets = {line.split()[0] for line in table.splitlines() if "(also " in line}
examples = dict(re.findall(r"^#([A-Z_]+)=(.*)$", read("env.example"), re.M))
assert set(examples) == settings, set(examples) ^ settings
assert examples["ROOST_REGION"] == "EU-CENTRAL-1"
redis = Redis()
given = {name: value for name, value in examples.items() if name not in ("ROOST_LISTEN", "PORT")}
roost = Roost("serve", env=dict(given, ROOST_REDIS_URL="unix://" + redis.socket, QSTASH_TOKEN=secret))
assert roost.stop() == 0
redis.close()
known = settings | {name + "_FILE" for name in secrets} | {"ROOST_CONFIG"}
documents = [os.path.relpath(path, top) for path in glob.glob(ops + "/docs/*.md")] + ["ops/RUNBOOK.md", "README.md"]
configured = ["ops/compose.yaml", "ops/roost.service", "ops/Dockerfile", "ops/redis.conf", "ops/env.example"] + [
    os.path.relpath(path, top) for path in glob.glob(ops + "/kubernetes/*.yaml")]
for path in documents + configured:
    with open(os.path.join(top, path)) as file:
        text = file.read()
    for name in set(re.findall(r"\b(?:ROOST|QSTASH)_[A-Z_]+\b", text)):
        assert name in known | {"QSTASH_URL", "QSTASH_DEV", "ROOST_REDIS_PORT", "ROOST_IMPORT_TOKEN", "ROOST_IMPORT_TOKEN_FILE"} or name.startswith(("ROOST_TEST_", "ROOST_MODEL_")), path + ": " + name

# Everything that is read by a program parses, and what it refers to is there.
compose = yaml.safe_load(read("compose.yaml"))
for name, service in compose["services"].items():
    for mount in service.get("volumes", []):
        source = mount.split(":")[0]
        assert source in compose["volumes"] or os.path.exists(os.path.join(ops, source)), (name, mount)
    assert set(service.get("secrets", [])) <= set(compose["secrets"]) and set(service["networks"]) <= set(compose["networks"]), name
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), "open to the world: " + name
for path in glob.glob(ops + "/kubernetes/*.yaml") + glob.glob(ops + "/grafana/**/*.yaml", recursive=True) + [ops + "/prometheus.yaml"]:
    with open(path) as file:
        for document in yaml.safe_load_all(file):
            assert document, path
unit = configparser.ConfigParser(strict=False, interpolation=None)
unit.optionxform = str
unit.read_string(read("roost.service"))
assert int(unit["Service"]["TimeoutStopSec"]) > int(examples["ROOST_DRAIN_TIMEOUT"].rstrip("s"))
deployment = next(yaml.safe_load_all(read("kubernetes", "roost.yaml")))["spec"]["template"]["spec"]
assert deployment["terminationGracePeriodSeconds"] > int(examples["ROOST_DRAIN_TIMEOUT"].rstrip("s")) + 5
assert not deployment["enableServiceLinks"]
assert int(compose["services"]["roost"]["stop_grace_period"].rstrip("s")) > int(examples["ROOST_DRAIN_TIMEOUT"].rstrip("s"))
if shutil.which("systemd-analyze"):
    with open(folder + "/roost.service", "w") as file:
        file.write(read("roost.service").replace("/usr/local/bin/roost", BINARY))
    verdict = subprocess.run(["systemd-analyze", "verify", folder + "/roost.service"], capture_output=True, text=True)
    assert "roost.service" not in verdict.stderr, verdict.stderr
sent = {line[1:] for line in read("Dockerfile.dockerignore").split() if line.startswith("!")}
for line in re.findall(r"^COPY (?!--from)(.*)$", read("Dockerfile"), re.M):
    for source in line.split()[:-1]:
        assert source in sent and os.path.exists(os.path.join(top, source)), "Dockerfile: COPY " + source
with open(os.path.join(top, "Package.swift")) as file:
    tools = re.match(r"// swift-tools-version: *([0-9.]+)", file.readline()).group(1)
assert tuple(map(int, re.search(r"^FROM swift:([0-9.]+)", read("Dockerfile"), re.M).group(1).split("."))) >= tuple(map(int, tools.split(".")))

# Metrics: alerts and the dashboard name what a server serves.
alerts = [rule for group in yaml.safe_load(read("alerts.yaml"))["groups"] for rule in group["rules"]]
dashboard = json.loads(read("grafana", "roost.json"))
expressions = [rule["expr"] for rule in alerts] + [t["expr"] for panel in dashboard["panels"] for t in panel.get("targets", [])] + [
    a["expr"] for a in dashboard["annotations"]["list"]]
used = {name for e in expressions for name in re.findall(r"\b(?:roost|process)_[a-z_]+\b", e)}
titles = set(re.findall(r"^### (.*)$", read("RUNBOOK.md"), re.M))
for rule in alerts:
    assert rule["alert"] in titles, "no section in RUNBOOK.md: " + rule["alert"]
    assert rule["annotations"]["runbook_url"] == "ops/RUNBOOK.md#" + rule["alert"].lower(), rule
    assert rule["labels"]["severity"] in ("page", "ticket") and rule["annotations"]["summary"], rule
assert {title for title in titles if title.startswith("Roost")} == {rule["alert"] for rule in alerts}

# Links between the pages lead somewhere, their anchors too; backup.md may be written later.
def anchors(text):
    return {re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)$", text, re.M)}


for path in documents + ["CHANGELOG.md", "CONTRIBUTING.md"]:
    with open(os.path.join(top, path)) as file:
        text = file.read()
    for link, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        target = os.path.join(top, os.path.dirname(path), link) if link else os.path.join(top, path)
        if not os.path.exists(target):
            assert link.endswith("backup.md"), path + ": " + link
        elif anchor:
            with open(target) as file:
                assert anchor in anchors(file.read()), "%s: %s#%s" % (path, link, anchor)

# The commands, as printed: each block marked "sh run", a page in one shell, over a server with something of everything in it.
refusing = Sink(lambda r: (500, {}, b"no"))
host = refusing.url[len("http://"):]


class Subject:
    """`roost dev` with a dead letter, a queue whose head waits and a message that waits."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="roost-e2e-", dir="/tmp")
        self.roost = Roost("dev", "--data", self.folder)
        self.socket = re.search(r"redis-cli -s (\S+)", self.roost.output()).group(1)
        self.publish("/v2/publish/%s/orders" % refusing.url, {"Upstash-Retries": "0"})
        end = time.monotonic() + 30
        while not (letters := json.loads(call("GET", self.roost.url + "/v2/dlq")[1])["messages"]):
            assert time.monotonic() < end, "no dead letter"
            time.sleep(0.01)
        self.dead = letters[0]["dlqId"]
        self.publish("/v2/enqueue/orders/%s/orders" % refusing.url, {"Upstash-Delay": "1h"})
        self.message = self.publish("/v2/publish/%s/orders" % refusing.url, {"Upstash-Delay": "1h", "Upstash-Label": "example"})

    def publish(self, where, headers):
        status, body = call("POST", self.roost.url + where, TOKEN, headers, b"hello")
        assert status == 200, (where, status, body)
        return json.loads(body)["messageId"]

    def run(self, script):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("ROOST_", "QSTASH_"))}
        environment.update(
            ROOST_TEST_BINARY=BINARY, U=self.roost.url, T="Authorization: Bearer " + TOKEN, R="redis-cli -s " + self.socket, M=self.message,
            Q="orders", D=self.dead, H=host, TO=self.roost.url + "/dev/echo", QSTASH_URL=self.roost.url, QSTASH_TOKEN=TOKEN)
        return subprocess.run(["bash", "-c", PRELUDE + script], cwd=top, env=environment, capture_output=True, text=True, timeout=120)

    def close(self):
        # Sums may be off by what moves between two pages: what is there again is real.
        end = time.monotonic() + 10
        while (findings := Redis.audit(self, "roost:{0}")) and time.monotonic() < end:
            time.sleep(0.1)
        assert self.roost.stop() == 0, self.roost.output()
        shutil.rmtree(self.folder, ignore_errors=True)
        return findings

    cli = Redis.cli


# A command that fails, or an answer of 400 and more, ends the page; "nothing found" of grep does not.
PRELUDE = r"""
set -euo pipefail
curl() { command curl -sS --fail-with-body "$@"; }
roost() { "$ROOST_TEST_BINARY" "$@"; }
grep() { command grep "$@" || [ $? = 1 ]; }
"""

subject = Subject()
page = call("GET", subject.roost.url + "/metrics", None)[1].decode()
served = set(re.findall(r"^# TYPE (\S+) (?:counter|gauge)$", page, re.M))
for name in re.findall(r"^# TYPE (\S+) histogram$", page, re.M):
    served |= {name + "_bucket", name + "_count", name + "_sum"}
assert used <= served, "no such metric: %s" % sorted(used - served)
explained = set(re.findall(r"`((?:roost|process)_[a-z_]+)[`{]", read("docs", "watching.md")))
families = set(re.findall(r"^# TYPE (\S+)", page, re.M))
assert explained == families, "docs/watching.md: %s" % sorted(explained ^ families)
subject.close()

count = 0
for path in documents:
    with open(os.path.join(top, path)) as file:
        blocks = re.findall(r"^```sh run\n(.*?)^```$", file.read(), re.M | re.S)
    if not blocks:
        continue
    count += len(blocks)
    subject = Subject()
    done = subject.run("".join("echo '# block %d'\n%s\n" % (i + 1, b) for i, b in enumerate(blocks)))
    if os.environ.get("SHOW"):
        print("==", path, "\n", done.stdout)
    assert done.returncode == 0, "%s:\n%s%s" % (path, done.stdout[-3000:], done.stderr)
    assert not re.search(r"^\(error\)|^ERR |WRONGTYPE|NOSCRIPT|user_script", done.stdout, re.M), "%s:\n%s" % (path, done.stdout)
    findings = subject.close()
    assert not findings, (path, findings)
assert count >= 40, "only %d blocks were found" % count
shutil.rmtree(folder, ignore_errors=True)
