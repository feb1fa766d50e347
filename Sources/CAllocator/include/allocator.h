// The memory allocator of the process: jemalloc takes malloc's place where this target is linked. See allocator.c.
const char *roost_allocator(void);
