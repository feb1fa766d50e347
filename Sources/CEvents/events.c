#include "roost_events.h"
#include <errno.h>
#include <unistd.h>

int roost_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

int roost_epoll_set(int epoll, int fd, int what) {
    if (what == 0) return epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);
    struct epoll_event event = {.data.fd = fd};
    if (what & ROOST_IN) event.events |= EPOLLIN;
    if (what & ROOST_OUT) event.events |= EPOLLOUT;
    if (what & ROOST_EDGE) event.events |= EPOLLET;
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) == 0) return 0;
    return errno == ENOENT ? epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) : -1;
}

int roost_epoll_wait(int epoll, struct roost_event *events, int most, int timeout) {
    struct epoll_event found[256];
    int count = epoll_wait(epoll, found, most < 256 ? most : 256, timeout);
    for (int i = 0; i < count; i++) {
        events[i].fd = found[i].data.fd;
        events[i].what = (found[i].events & EPOLLIN ? ROOST_IN : 0) | (found[i].events & EPOLLOUT ? ROOST_OUT : 0)
            | (found[i].events & (EPOLLERR | EPOLLHUP) ? ROOST_ERROR : 0);
    }
    return count < 0 ? 0 : count;
}

int roost_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
void roost_eventfd_ring(int fd) { uint64_t one = 1; ssize_t ignored = write(fd, &one, sizeof one); (void)ignored; }
