#define _GNU_SOURCE
#include "roost_process.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void run_child(char *const argv[], const char *log_path, int death_signal, pid_t parent, int report) {
    // The parent may have died before prctl: then nobody would ever send the signal.
    if (prctl(PR_SET_PDEATHSIG, death_signal) != 0 || getppid() != parent) _exit(127);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    setpgid(0, 0);  // Ctrl-C in a terminal is the parent's business: it stops its child last.
    int in = open("/dev/null", O_RDONLY);
    if (in >= 0) dup2(in, 0);
    if (log_path) {
        int out = open(log_path, O_WRONLY | O_CREAT | O_APPEND, 0600);
        if (out >= 0) { dup2(out, 1); dup2(out, 2); }
    }
    // Everything else is closed at exec; the report pipe too, which tells the parent that exec worked.
    if (syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) != 0) fcntl(report, F_SETFD, FD_CLOEXEC);
    execvp(argv[0], argv);
    int error = errno;
    ssize_t ignored = write(report, &error, sizeof error);
    (void)ignored;
    _exit(127);
}

pid_t roost_spawn(char *const argv[], const char *log_path, int death_signal) {
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) return -1;
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) run_child(argv, log_path, death_signal, parent, report[1]);
    int fork_error = errno;
    close(report[1]);
    if (pid < 0) { close(report[0]); errno = fork_error; return -1; }
    int error = 0;
    ssize_t got;
    do { got = read(report[0], &error, sizeof error); } while (got < 0 && errno == EINTR);
    close(report[0]);
    if (got == (ssize_t)sizeof error) {
        waitpid(pid, NULL, 0);
        errno = error;
        return -1;
    }
    return pid;
}

int roost_reap(pid_t pid, int *status) {
    pid_t got;
    do { got = waitpid(pid, status, WNOHANG); } while (got < 0 && errno == EINTR);
    return got == pid ? 1 : (got == 0 ? 0 : -1);
}

int roost_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

int roost_hide_memory(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

int roost_exit_code(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }
