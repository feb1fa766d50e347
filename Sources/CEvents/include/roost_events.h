// epoll and eventfd, which the Glibc module does not export.
#pragma once
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

// ROOST_EDGE: told once, and again when more comes.
enum { ROOST_IN = 1, ROOST_OUT = 2, ROOST_ERROR = 4, ROOST_EDGE = 8 };

struct roost_event { int fd; int what; };

int roost_epoll_create(void);
// Adds, changes or (what = 0) removes a descriptor.
int roost_epoll_set(int epoll, int fd, int what);
// Milliseconds, -1 for ever; the number of events, 0 on timeout or a signal.
int roost_epoll_wait(int epoll, struct roost_event *events, int most, int timeout);

int roost_eventfd(void);
void roost_eventfd_ring(int fd);
