"""Two servers whose clocks are an hour wrong, one each way: both go by Redis's. Nothing is early, nothing waits for an hour, each run of a
schedule is fired once, and log times are Redis's."""

from roosting import *

# libfaketime moves the environment, where Swift looks for its arguments; this only moves the clock of the wall.
SHIM = r'''
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long shift(void) { const char *text = getenv("CLOCK_SHIFT"); return text ? atol(text) : 0; }
int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, t);
    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) t->tv_sec += shift();
    return result;
}
int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec, t->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t) *t = now.tv_sec;
    return now.tv_sec;
}
'''
redis = Redis()
library = redis.folder + "/clock.so"
with open(redis.folder + "/clock.c", "w") as file:
    file.write(SHIM)
subprocess.run([shutil.which("clang") or "cc", "-shared", "-fPIC", "-O1", "-o", library, file.name, "-ldl"], check=True)
secret = "a-secret-of-sixteen-bytes-or-more"
env = dict(ROOST_REDIS_URL="unix://" + redis.socket, QSTASH_TOKEN=secret, ROOST_ALLOW_PRIVATE="true",
           LD_PRELOAD=library)
servers = [Roost("serve", env=dict(env, CLOCK_SHIFT=shift)) for shift in ("3600", "-3600")]
for server, hours in zip(servers, (1, -1)):
    offset = float(re.search(r"^roost_clock_offset_seconds (\S+)$", call("GET", server.url + "/metrics", None)[1].decode(), re.M).group(1))
    assert abs(offset - 3600 * hours) < 5, "the clock of this server is not wrong: %s" % offset
sink = Sink()


def publish(server, path, **headers):
    status, body = call("POST", server.url + "/v2/publish/" + sink.url + path, secret, {k.replace("_", "-"): v for k, v in headers.items()}, b"x")
    assert status == 200, body
    return json.loads(body)["messageId"]


# A schedule that runs at the next whole minute, and one message after the other with a delay or a time, from both servers.
began = time.time()
minute = time.gmtime(began + 62 if time.gmtime(began).tm_sec > 55 else began + 60)
status, body = call("POST", servers[0].url + "/v2/schedules/" + sink.url + "/tick", secret,
                    {"Upstash-Cron": "%d %d * * *" % (minute.tm_min, minute.tm_hour)}, b"x")
assert status in (200, 201), body
wanted = {}
for n in range(20):
    wanted[publish(servers[n % 2], "/delay", Upstash_Delay="2s")] = time.time() + 2
    at = int(time.time()) + 3
    wanted[publish(servers[n % 2], "/time", Upstash_Not_Before=str(at))] = at
    publish(servers[n % 2], "/now")
sent = time.time()
requests = sink.wait(lambda rs: len(rs) >= 60, 20)
assert time.time() - sent < 15
for r in requests:
    due = wanted.get(r["headers"]["Upstash-Message-Id"])
    # Both wrong clocks would be seen at once; a millisecond is the resolution of what is stored.
    assert due is None or -0.05 < r["at"] - due < 5, (r["path"], r["at"] - due)
for id in list(wanted)[:4]:
    log = json.loads(call("GET", servers[1].url + "/v2/logs?messageId=" + id, secret)[1])["logs"]
    assert log and all(abs(e["time"] / 1000 - time.time()) < 60 for e in log), log
# Signatures are good for receivers with the right clock.
token = requests[0]["headers"]["Upstash-Signature"].split(".")[1]
claims = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
assert claims["nbf"] <= time.time() < claims["exp"] < time.time() + 3600, claims
ticks = sink.wait(lambda rs: any(r["path"] == "/tick" for r in rs), 130)
tick = next(r for r in ticks if r["path"] == "/tick")
assert tick["at"] % 60 < 5, tick["at"]
for server in servers:
    assert server.stop() == 0, server.output()
assert sum(r["path"] == "/tick" for r in sink.requests) == 1
assert not redis.audit("roost:{0}")
redis.close()
