// The bare references of ops/bench, and its load: as little as can be between the kernel and a figure.
//
//   load sink PORT [DELAY_MS]                     answers every request 200; GET /stats tells, GET /reset forgets
//   load curl URL COUNT IN_FLIGHT BYTES           posts so many bodies with libcurl's multi interface over epoll
//   load http PORT COUNT CONNECTIONS FILE [RATE]  sends the request in FILE over and over on kept-alive connections; with a
//                                                 rate per second in an open loop. Sixteen @ in FILE become the time
//                                                 (microseconds since 1970) at which the request was to be sent.
//
// Each prints one line of JSON. Times are microseconds.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int64_t clock_us(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
static int64_t mono(void) { return clock_us(CLOCK_MONOTONIC); }
static int64_t wall(void) { return clock_us(CLOCK_REALTIME); }

static void die(const char *what) { perror(what); exit(1); }

static double cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_utime.tv_sec + u.ru_utime.tv_usec / 1e6 + u.ru_stime.tv_sec + u.ru_stime.tv_usec / 1e6;
}

// --- figures

typedef struct { int64_t *v; size_t n, room; } series;

static void put(series *s, int64_t value) {
    if (s->n == s->room) {
        s->room = s->room ? s->room * 2 : 4096;
        s->v = realloc(s->v, s->room * sizeof *s->v);
        if (!s->v) die("realloc");
    }
    s->v[s->n++] = value;
}

static int by_value(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static int describe(series *s, char *text, size_t room) {
    if (s->n == 0) return snprintf(text, room, "\"least\":0,\"p50\":0,\"p99\":0,\"most\":0");
    qsort(s->v, s->n, sizeof *s->v, by_value);
    return snprintf(text, room, "\"least\":%ld,\"p50\":%ld,\"p99\":%ld,\"most\":%ld", (long)s->v[0], (long)s->v[s->n / 2],
                    (long)s->v[s->n - 1 - s->n / 100], (long)s->v[s->n - 1]);
}

// --- sockets

static void no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static struct sockaddr_in loopback(int port, uint32_t host) {
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(host) };
    return a;
}

// Length of the whole message at the start of the text, 0 while its head is not there.
static size_t whole(const char *text, size_t n, size_t *head) {
    const char *end = memmem(text, n, "\r\n\r\n", 4);
    if (!end) return 0;
    *head = end - text + 4;
    size_t length = 0;
    for (const char *p = text; p < end;) {
        const char *line = memmem(p, end - p + 2, "\r\n", 2);
        if (!line) break;
        p = line + 2;
        if (strncasecmp(p, "content-length:", 15) == 0) length = strtoul(p + 15, NULL, 10);
    }
    return *head + length;
}

// --- the sink

typedef struct { char head[16384]; size_t n, skip; } peer;
typedef struct { int fd; int64_t at; } answer;

static series late;
static int64_t first_at, last_at, requests;

static void stats(int fd) {
    char figures[256], body[512], text[1024];
    describe(&late, figures, sizeof figures);
    int n = snprintf(body, sizeof body, "{\"count\":%ld,\"first\":%ld,\"last\":%ld,%s}", (long)requests, (long)first_at, (long)last_at, figures);
    n = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, body);
    if (write(fd, text, n) < 0) return;
}

static void received(const char *head, size_t n) {
    int64_t now = mono();
    if (!first_at) first_at = now;
    last_at = now;
    requests++;
    const char *planned = memmem(head, n, "\r\nPlanned: ", 11);
    if (planned) put(&late, wall() - strtoll(planned + 11, NULL, 10));
}

static _Noreturn void run_sink(int port, int delay_ms) {
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in a = loopback(port, INADDR_LOOPBACK);
    if (bind(listener, (void *)&a, sizeof a) || listen(listener, 4096)) die("listen");
    int epoll = epoll_create1(0);
    struct epoll_event e = { .events = EPOLLIN, .data.fd = listener }, got[256];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e);
    static peer *peers[65536];
    static answer waiting[65536];
    size_t from = 0, to = 0;
    static char buffer[1 << 20];
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        int patience = -1;
        if (from != to) {
            int64_t left = waiting[from % 65536].at - mono();
            patience = left <= 0 ? 0 : (int)(left / 1000 + 1);
        }
        int count = epoll_wait(epoll, got, 256, patience);
        for (int i = 0; i < count; i++) {
            int fd = got[i].data.fd;
            if (fd == listener) {
                int taken;
                while ((taken = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                    if (taken >= 65536) { close(taken); continue; }
                    no_delay(taken);
                    if (!peers[taken]) peers[taken] = malloc(sizeof(peer));
                    peers[taken]->n = peers[taken]->skip = 0;
                    e = (struct epoll_event){ .events = EPOLLIN, .data.fd = taken };
                    epoll_ctl(epoll, EPOLL_CTL_ADD, taken, &e);
                }
                continue;
            }
            peer *p = peers[fd];
            ssize_t n = read(fd, buffer, sizeof buffer);
            if (n <= 0) {
                if (n == 0 || (errno != EAGAIN && errno != EINTR)) close(fd);
                continue;
            }
            for (char *at = buffer; n > 0;) {
                size_t part = p->skip < (size_t)n ? p->skip : (size_t)n;
                p->skip -= part, at += part, n -= part;
                if (n == 0) break;
                size_t room = sizeof p->head - p->n, take = (size_t)n < room ? (size_t)n : room, head = 0;
                size_t before = p->n;
                memcpy(p->head + p->n, at, take);
                p->n += take;
                size_t length = whole(p->head, p->n, &head);
                if (!length) { if (take == 0) { close(fd); break; } at += take, n -= take; continue; }
                // The body is skipped, wherever it ends.
                size_t used = length < p->n ? length - before : take;
                p->skip = length > p->n ? length - p->n : 0;
                at += used, n -= used;
                p->n = 0;
                if (memcmp(p->head, "GET /stats", 10) == 0) { stats(fd); continue; }
                if (memcmp(p->head, "GET /reset", 10) == 0) {
                    late.n = 0, first_at = last_at = requests = 0;
                    if (write(fd, ok, sizeof ok - 1) < 0) break;
                    continue;
                }
                received(p->head, head);
                if (delay_ms == 0 && p->skip == 0) {
                    if (write(fd, ok, sizeof ok - 1) < 0) break;
                } else {
                    // With a body still under way this answers early, as an endpoint may.
                    waiting[to++ % 65536] = (answer){ fd, mono() + delay_ms * 1000L };
                }
            }
        }
        while (from != to && waiting[from % 65536].at <= mono()) {
            if (write(waiting[from++ % 65536].fd, ok, sizeof ok - 1) < 0) continue;
        }
    }
}

// --- libcurl, bare

static int curl_epoll;
static CURLM *owner[65536];
static size_t drop(char *bytes, size_t size, size_t count, void *me) { (void)bytes, (void)me; return size * count; }

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *me, void *old) {
    (void)easy, (void)old;
    owner[fd % 65536] = me;
    struct epoll_event e = { .data.fd = fd };
    if (what & CURL_POLL_IN) e.events |= EPOLLIN;
    if (what & CURL_POLL_OUT) e.events |= EPOLLOUT;
    if (what == CURL_POLL_REMOVE) epoll_ctl(curl_epoll, EPOLL_CTL_DEL, fd, &e);
    else if (epoll_ctl(curl_epoll, EPOLL_CTL_MOD, fd, &e) && errno == ENOENT) epoll_ctl(curl_epoll, EPOLL_CTL_ADD, fd, &e);
    return 0;
}

static int run_curl(const char *url, long count, long in_flight, long bytes) {
    enum { per_multi = 128 };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    curl_epoll = epoll_create1(0);
    char *body = malloc(bytes + 1);
    memset(body, 'x', bytes);
    struct curl_slist *headers = curl_slist_append(curl_slist_append(NULL, "Content-Type: text/plain"), "Expect:");
    int multis = (int)((in_flight + per_multi - 1) / per_multi);
    CURLM **multi = calloc(multis, sizeof *multi);
    long started = 0, done = 0, failed = 0;
    for (int m = 0; m < multis; m++) {
        multi[m] = curl_multi_init();
        curl_multi_setopt(multi[m], CURLMOPT_SOCKETFUNCTION, on_socket);
        curl_multi_setopt(multi[m], CURLMOPT_SOCKETDATA, multi[m]);
        curl_multi_setopt(multi[m], CURLMOPT_MAXCONNECTS, 256L);
    }
    int64_t begin = mono();
    double cpu = cpu_seconds();
    for (long i = 0; i < in_flight && started < count; i++, started++) {
        CURL *easy = curl_easy_init();
        curl_easy_setopt(easy, CURLOPT_URL, url);
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, bytes);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_PROXY, "");
        curl_easy_setopt(easy, CURLOPT_PRIVATE, multi[i / per_multi]);
        curl_multi_add_handle(multi[i / per_multi], easy);
    }
    struct epoll_event got[256];
    int running;
    for (int m = 0; m < multis; m++) curl_multi_socket_action(multi[m], CURL_SOCKET_TIMEOUT, 0, &running);
    while (done < count) {
        int n = epoll_wait(curl_epoll, got, 256, 10);
        for (int i = 0; i < n; i++) {
            int fd = got[i].data.fd;
            int mask = (got[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) | (got[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0);
            curl_multi_socket_action(owner[fd % 65536], fd, mask, &running);
        }
        for (int m = 0; m < multis; m++) {
            CURLMsg *message;
            int left;
            while ((message = curl_multi_info_read(multi[m], &left))) {
                if (message->msg != CURLMSG_DONE) continue;
                CURL *easy = message->easy_handle;
                if (message->data.result != CURLE_OK) failed++;
                done++;
                curl_multi_remove_handle(multi[m], easy);
                if (started < count) { started++; curl_multi_add_handle(multi[m], easy); }
                else curl_easy_cleanup(easy);
            }
            curl_multi_socket_action(multi[m], CURL_SOCKET_TIMEOUT, 0, &running);
        }
    }
    double took = (mono() - begin) / 1e6;
    printf("{\"count\":%ld,\"failed\":%ld,\"seconds\":%.6f,\"rate\":%.1f,\"cpu\":%.3f}\n", count, failed, took, count / took,
           (cpu_seconds() - cpu) * 1e6 / count);
    return failed != 0;
}

// --- a load over kept-alive connections

typedef struct { int fd; size_t sent, n; int busy; int64_t at; char in[1 << 18]; } caller;

static int run_http(int port, long count, int connections, const char *file, double rate) {
    FILE *f = fopen(file, "r");
    if (!f) die(file);
    static char request[4 << 20];
    size_t size = fread(request, 1, sizeof request, f);
    fclose(f);
    char *mark = memmem(request, size, "@@@@@@@@@@@@@@@@", 16);
    caller *callers = calloc(connections, sizeof *callers);
    int epoll = epoll_create1(0);
    for (int i = 0; i < connections; i++) {
        struct sockaddr_in a = loopback(port, INADDR_LOOPBACK);
        callers[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(callers[i].fd, (void *)&a, sizeof a)) die("connect");
        fcntl(callers[i].fd, F_SETFL, O_NONBLOCK);
        no_delay(callers[i].fd);
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = &callers[i] };
        epoll_ctl(epoll, EPOLL_CTL_ADD, callers[i].fd, &e);
    }
    series took = { 0 };
    long started = 0, done = 0, bad = 0;
    int64_t begin = mono();
    int64_t offset = wall() - begin;
    struct epoll_event got[256];
    while (done < count) {
        int64_t now = mono(), next = -1;
        for (int i = 0; i < connections && started < count; i++) {
            caller *c = &callers[i];
            if (c->busy) continue;
            int64_t planned = rate > 0 ? begin + (int64_t)(started * 1e6 / rate) : now;
            if (planned > now) { next = planned; break; }
            c->busy = 1, c->sent = 0, c->n = 0, c->at = planned, started++;
            if (mark) {
                char text[17];
                snprintf(text, sizeof text, "%016ld", (long)(planned + offset));
                memcpy(mark, text, 16);
            }
            ssize_t n = write(c->fd, request, size);
            c->sent = n < 0 ? 0 : n;
            while (c->sent < size) {
                n = write(c->fd, request + c->sent, size - c->sent);
                struct pollfd room = { .fd = c->fd, .events = POLLOUT };
                if (n > 0) c->sent += n; else if (errno != EAGAIN) die("write"); else poll(&room, 1, -1);
            }
        }
        int patience = next < 0 ? 1000 : (int)((next - mono()) / 1000);
        if (next >= 0 && patience > 0) patience--;
        int n = epoll_wait(epoll, got, 256, patience < 0 ? 0 : patience);
        for (int i = 0; i < n; i++) {
            caller *c = got[i].data.ptr;
            ssize_t r = read(c->fd, c->in + c->n, sizeof c->in - c->n);
            if (r <= 0) { fprintf(stderr, "load: the server closed a connection\n"); return 1; }
            c->n += r;
            size_t head = 0, length = whole(c->in, c->n, &head);
            if (!length || c->n < length) { if (c->n == sizeof c->in) c->n = head; continue; }
            if (c->in[9] != '2') bad++;
            put(&took, mono() - c->at);
            c->busy = 0, done++;
        }
    }
    double seconds = (mono() - begin) / 1e6;
    char figures[256];
    describe(&took, figures, sizeof figures);
    printf("{\"count\":%ld,\"bad\":%ld,\"seconds\":%.6f,\"rate\":%.1f,%s}\n", count, bad, seconds, count / seconds, figures);
    return 0;
}

int main(int n, char **word) {
    struct rlimit most;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
    if (n >= 3 && !strcmp(word[1], "sink")) run_sink(atoi(word[2]), n > 3 ? atoi(word[3]) : 0);
    if (n == 6 && !strcmp(word[1], "curl")) return run_curl(word[2], atol(word[3]), atol(word[4]), atol(word[5]));
    if (n >= 6 && !strcmp(word[1], "http")) return run_http(atoi(word[2]), atol(word[3]), atoi(word[4]), word[5], n > 6 ? atof(word[6]) : 0);
    fprintf(stderr, "usage: see the top of load.c\n");
    return 2;
}
