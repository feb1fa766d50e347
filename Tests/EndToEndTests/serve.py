"""What `roost serve` refuses, how it ends, and hostile callers."""

from roosting import *

secret = "a-secret-of-sixteen-bytes-or-more"


def refused(*words, **env):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ROOST_", "QSTASH_"))}
    environment.update(env)
    done = subprocess.run([BINARY, *words], env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def page(url):
    """What a page says to who watches, or None where nobody answers."""
    try:
        return call("GET", url, None)
    except OSError:
        return None


redis = Redis()
url = "unix://" + redis.socket
for words, env, status, text in [
    (["serve"], {}, 2, "QSTASH_TOKEN is missing"),
    (["serve"], {}, 2, "ROOST_REDIS_URL is missing"),
    (["serve"], dict(ROOST_REDIS_URL=url, QSTASH_TOKEN="short"), 2, "weak"),
    (["serve"], dict(ROOST_REDIS_URL=url, QSTASH_TOKEN=TOKEN), 2, "development token"),
    (["serve"], dict(ROOST_REDIS_URL=url, QSTASH_TOKEN=secret, QSTASH_CURRENT_SIGNING_KEY=CURRENT, QSTASH_NEXT_SIGNING_KEY=NEXT), 2, "development key"),
    (["serve"], dict(ROOST_REDIS_URL=url, QSTASH_TOKEN=secret, ROOST_LISTEM="x", ROOST_LEASE="soon"), 2, "did you mean ROOST_LISTEN"),
    (["serve"], dict(ROOST_REDIS_URL=url, QSTASH_TOKEN=secret, ROOST_LEASE="soon"), 2, "ROOST_LEASE"),
    (["serve"], dict(ROOST_REDIS_URL=url, QSTASH_TOKEN="short", ROOST_LEASE="soon"), 2, "QSTASH_TOKEN is weak"),
    (["serve"], dict(ROOST_REDIS_URL=url, QSTASH_TOKEN=secret, ROOST_TOKENS='[{"name":"ci","secret":"%s","scopes":["read"]}]' % secret), 2,
     "ci has the secret of QSTASH_TOKEN"),
    (["serve", "--nonsense"], {}, 2, "nonsense"),
    (["backoff", "pow(2"], {}, 2, "Upstash-Retry-Delay"),
    (["healthcheck", "--url", "http://127.0.0.1:%d" % free_port()], {}, 1, "refused"),
]:
    code, error = refused(*words, **env)
    assert code == status and text in error and secret not in error, (words, env, code, error)
    assert all(line.startswith("roost: ") for line in error.strip().split("\n")), error
evicting = Redis("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
code, error = refused("serve", ROOST_REDIS_URL="unix://" + evicting.socket, QSTASH_TOKEN=secret)
assert code == 1 and "allkeys-lru" in error, error
evicting.close()
forgetful = Redis("--appendonly", "no")
code, error = refused("serve", ROOST_REDIS_URL="unix://" + forgetful.socket, QSTASH_TOKEN=secret, ROOST_REQUIRE_PERSISTENCE="true")
assert code == 1 and "appendonly" in error, error
forgetful.close()

# redis:// with a password and a database.
port = free_port()
guarded = Redis("--port", str(port), "--requirepass", "p@ss", "--databases", "4")
code, error = refused("serve", ROOST_REDIS_URL="redis://:wrong@127.0.0.1:%d/3" % port, QSTASH_TOKEN=secret)
assert code == 1 and "WRONGPASS" in error and "wrong@" not in error, (code, error)
roost = Roost("serve", env=dict(ROOST_REDIS_URL="redis://:p%%40ss@127.0.0.1:%d/3" % port, QSTASH_TOKEN=secret))
assert guarded.cli("-a", "p@ss", "--no-auth-warning", "-n", "3", "EXISTS", "roost:meta") == "1"
assert roost.stop() == 0
guarded.close()

# A server that starts listens at once and answers when Redis does: whoever publishes meanwhile waits, and is not refused.
env = dict(ROOST_REDIS_URL=url, QSTASH_TOKEN=secret)
redis.process.send_signal(signal.SIGSTOP)
port, answers = free_port(), []
early = "http://127.0.0.1:%d" % port


def publish(token):
    answers.append(call("POST", early + "/v2/publish/https://example.invalid/", token, {"Upstash-Delay": "1h"}, b"x" * 10_000))


def meanwhile():
    try:
        until(lambda: page(early + "/ready") == (503, b'{"error":"waiting for Redis"}'), "the open port")
        publish("wrong")
        publishing = threading.Thread(target=publish, args=(secret,))
        publishing.start()
        until(lambda: b"\nroost_http_connections 2\n" in page(early + "/metrics")[1], "a publish that waits")
    finally:
        redis.process.send_signal(signal.SIGCONT)
    publishing.join()


waiting = threading.Thread(target=meanwhile)
waiting.start()
roost = Roost("serve", env=env, port=port)
waiting.join()
assert [status for status, _ in answers] == [401, 200], answers
assert call("DELETE", early + "/v2/messages/" + json.loads(answers[1][1])["messageId"], secret)[0] == 200
assert roost.stop() == 0

# Private destinations are closed by default; a body too large is refused; SIGTERM lets what is in flight end.
env = dict(ROOST_REDIS_URL=url, QSTASH_TOKEN=secret)
roost = Roost("serve", env=env)
status, body = call("POST", roost.url + "/v2/publish/http://127.0.0.1:9/", secret, body=b"x")
assert status == 400 and b"loopback" in body, body
status, body = call("POST", roost.url + "/v2/publish/https://example.invalid/", secret, body=b"x" * (2 << 20))
assert status == 413, (status, body)
assert redis.cli("EXISTS", "roost:{0}:messages") == "0"
assert roost.stop() == 0
release = threading.Event()
sink = Sink(lambda r: (release.wait(20), (200, {}, b"ok"))[1])
roost = Roost("serve", env=dict(env, ROOST_ALLOW_NETWORKS="127.0.0.0/8"))
assert call("POST", roost.url + "/v2/publish/" + sink.url + "/slow", secret, {"Upstash-Callback": sink.url + "/cb"}, b"x")[0] == 200
sink.wait(lambda rs: len(rs) == 1)
roost.process.terminate()
roost.process.terminate()  # as `timeout` does, which signals its child and then its own group: no second signal
until(lambda: page(roost.url + "/ready") == (503, b'{"error":"draining"}'), "the drain")
assert page(roost.url + "/health")[0] == 200 and b"roost_ready 0" in page(roost.url + "/metrics")[1]
late = call("POST", roost.url + "/v2/publish/" + sink.url + "/late", secret, body=b"x")
assert late == (503, b'{"error":"storage unavailable: this server is shutting down"}'), late
release.set()
assert roost.process.wait(30) == 0, roost.output()
assert redis.cli("ZCARD", "roost:{0}:messages") in ("0", "1")  # the callback may wait for the next start
roost = Roost("serve", env=dict(env, ROOST_ALLOW_NETWORKS="127.0.0.0/8"))
requests = sink.wait(lambda rs: any(r["path"] == "/cb" for r in rs))
assert sum(r["path"] == "/slow" for r in requests) == 1, "a delivery that ended within the drain time was repeated"
roost.stop()
assert not redis.audit("roost:{0}")

# TLS of the API itself: a certificate that is replaced is shown after SIGHUP, one that is broken leaves the old one in force.
folder = tempfile.mkdtemp(prefix="roost-e2e-", dir="/tmp")


def make_certificate(number):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder + "/key", "-out", folder + "/cert", "-days", "2",
                    "-set_serial", str(number), "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)


def shown():
    with socket.create_connection(("127.0.0.1", roost.port)) as plain:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain) as secure:
            return ssl.DER_cert_to_PEM_cert(secure.getpeercert(True))


make_certificate(1)
tls = dict(env, ROOST_TLS_CERT=folder + "/cert", ROOST_TLS_KEY=folder + "/key")
for broken, text in [(dict(tls, ROOST_TLS_KEY=""), "must be given together"), (dict(tls, ROOST_TLS_KEY=folder + "/none"), "can't use")]:
    code, error = refused("serve", "-port=%d" % free_port(), **broken)
    assert code == 2 and text in error, (code, error)
roost = Roost("serve", env=tls, scheme="https")
first = shown()
assert first == open(folder + "/cert").read().replace("\r", "")
trusted = ssl.create_default_context(cafile=folder + "/cert")
request = urllib.request.Request(roost.url + "/v2/keys", headers={"Authorization": "Bearer " + secret})
assert b"sig_" in urllib.request.urlopen(request, context=trusted, timeout=10).read()
large = urllib.request.Request(roost.url + "/v2/publish/https://example.invalid/", data=b"x" * (2 << 20), headers={"Authorization": "Bearer " + secret})
try:
    assert False, urllib.request.urlopen(large, context=trusted, timeout=10).read()
except urllib.error.HTTPError as error:
    assert error.code == 413, error
checked = subprocess.run([BINARY, "healthcheck"], env=dict(tls, PORT=str(roost.port)), capture_output=True, text=True)
assert checked.returncode == 0, checked
make_certificate(2)
roost.process.send_signal(signal.SIGHUP)
end = time.monotonic() + 10
while shown() == first:
    assert time.monotonic() < end, roost.output()
    time.sleep(0.01)
second = shown()
open(folder + "/cert", "w").write("no certificate")
roost.process.send_signal(signal.SIGHUP)
while "the old one stays" not in roost.output():
    assert time.monotonic() < end + 10, roost.output()
    time.sleep(0.01)
assert shown() == second
assert roost.stop() == 0, roost.output()
shutil.rmtree(folder)
redis.close()
