// Child processes that never outlive their parent. Foundation's Process gives the child a signal mask that blocks
// SIGTERM and no hook before exec, so this is done by hand.
#pragma once
#include <sys/types.h>

// Starts argv[0] (found through PATH) with stdout and stderr appended to the file log_path, or inherited if NULL.
// The kernel sends the child death_signal when the calling *thread* ends: call it from a thread that stays.
// Returns the pid, or -1 with errno set (of fork, or of the exec in the child).
pid_t roost_spawn(char *const argv[], const char *log_path, int death_signal);

// 1 and *status as waitpid tells it when the child has ended, 0 while it runs, -1 on error. Never blocks.
int roost_reap(pid_t pid, int *status);

// Exit code of a status, or 128 + signal.
int roost_exit_code(int status);

// No core dump of this process, and /proc/<pid> (environ, mem, maps) for root only. 0, or -1 with errno set.
int roost_hide_memory(void);

// A file without a place in any folder, to be written and then read as /proc/self/fd/N. A descriptor, or -1 with errno set.
int roost_memory_file(const char *name);
