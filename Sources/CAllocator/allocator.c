#include "allocator.h"

#include <jemalloc/jemalloc.h>

// A message is a few hundred small pieces that one thread makes and another frees, beside bodies and batches of any size. glibc's
// malloc spends a tenth of all time on merging and splitting them (ops/bench.d/NOTES.md).
//
// Two arenas for a process whose work is done by a few threads; what a burst has freed goes back to the system in two seconds.
const char *malloc_conf = "narenas:2,dirty_decay_ms:2000,muzzy_decay_ms:0";

// The version; asking for it is also what makes the linker keep the library.
const char *roost_allocator(void) {
  const char *version = "unknown";
  size_t size = sizeof version;
  mallctl("version", &version, &size, NULL, 0);
  return version;
}
