// Pods without isolation: plain processes on the machine's own network and files. No PID namespace ends what they leave
// behind, so each program runs under a small supervisor that is the parent of everything the program ever starts, however
// often that forks; it ends with all of it, and with the pod init.
#include "include/cweft_pod.h"
#include "pod_serve.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int pod_is_plain = 0;

int plain_end_signal(void) { return cweft_pod_end_signal(); }

int pod_signal(pid_t pid, int signal) {
    return kill(pid, pod_is_plain && signal == SIGKILL ? plain_end_signal() : signal);
}

static void pause_briefly(void) {
    struct timespec pause = {.tv_nsec = 1000000};
    nanosleep(&pause, NULL);
}

/// The parent of a process, or -1.
static long parent_of(const char *process) {
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%.20s/stat", process);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t length = read(fd, line, sizeof line - 1);
    close(fd);
    if (length <= 0) return -1;
    line[length] = 0;
    // The name stands in parentheses and may hold anything.
    const char *end = strrchr(line, ')');
    long parent = -1;
    return end != NULL && sscanf(end + 1, " %*c %ld", &parent) == 1 ? parent : -1;
}

static int is_supervisor(long pid) {
    for (int i = 0; i < container_limit; i++)
        if (containers[i] != NULL && containers[i]->pid == pid) return 1;
    for (int i = 0; i < command_limit; i++)
        if (commands[i] != NULL && commands[i]->pid == pid) return 1;
    return 0;
}

/// Ends every child of this process: a supervisor by its own signal when `gently`, others by SIGKILL.
static void strike_children(int gently) {
    DIR *processes = opendir("/proc");
    if (processes == NULL) return;
    struct dirent *entry;
    long self = getpid();
    while ((entry = readdir(processes)) != NULL) {
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid <= 1 || parent_of(entry->d_name) != self) continue;
        kill((pid_t)pid, gently && is_supervisor(pid) ? plain_end_signal() : SIGKILL);
    }
    closedir(processes);
}

/// What loses its parent becomes a child of this process: when there is none any more, all descendants are gone.
static int end_children(int gently, int64_t patience) {
    int64_t limit = steady_now() + patience;
    while (steady_now() < limit) {
        strike_children(gently);
        for (int turns = 0; turns < 20; turns++) {
            pid_t pid;
            while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) continue;
            if (pid < 0 && errno == ECHILD) return 1;
            pause_briefly();
        }
    }
    return 0;
}

void plain_end(void) {
    if (!end_children(1, 5000000000)) end_children(0, 5000000000);
}

static void end_like(int status) __attribute__((noreturn));
static void end_like(int status) {
    if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
    int number = WTERMSIG(status);
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigaction(number, &standard, NULL);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, number);
    sigprocmask(SIG_UNBLOCK, &one, NULL);
    kill(getpid(), number);
    _exit(128 + number);
}

static void supervise(pid_t program) __attribute__((noreturn));
static void supervise(pid_t program) {
    sigset_t every;
    sigfillset(&every);
    for (;;) {
        int number = sigwaitinfo(&every, NULL);
        if (number == plain_end_signal()) {
            kill(program, SIGKILL);
        } else if (number == SIGCHLD) {
            int status;
            pid_t pid;
            while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
                if (pid != program) continue;
                end_children(0, 10000000000);
                end_like(status);
            }
        } else if (number > 0 && number < SIGRTMIN && number != SIGPIPE) {
            kill(program, number);
        }
    }
}

void plain_run(struct row request, int errors, pid_t pod_init) {
    prctl(PR_SET_PDEATHSIG, plain_end_signal());
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_NAME, "weft-container");
    pid_t self = getpid(), program = getppid() == pod_init ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : -1;
    if (program < 0) _exit(127);
    if (program == 0) {
        if (getppid() != self) _exit(127);
        run_program(request, errors);
    }
    // Whoever waits for the end of the program's output must not wait for this process.
    int nothing = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++) dup2(nothing, fd);
    close_range(3, ~0U, 0);
    supervise(program);
}

struct process {
    long pid, parent;
    int is_ours;
};

/// All processes of the machine, with those marked that descend from this one. Returns how many there are.
static size_t family(struct process **found) {
    struct process *list = NULL;
    size_t count = 0, room = 0;
    DIR *processes = opendir("/proc");
    struct dirent *entry;
    while (processes != NULL && (entry = readdir(processes)) != NULL) {
        long pid = strtol(entry->d_name, NULL, 10), parent = pid > 1 ? parent_of(entry->d_name) : -1;
        if (parent < 0) continue;
        if (count == room) {
            struct process *more = realloc(list, (room = room * 2 + 128) * sizeof *list);
            if (more == NULL) break;
            list = more;
        }
        list[count++] = (struct process){pid, parent, parent == getpid()};
    }
    if (processes != NULL) closedir(processes);
    for (int changed = 1; changed;) {
        changed = 0;
        for (size_t i = 0; i < count; i++) {
            for (size_t j = 0; !list[i].is_ours && j < count; j++)
                if (list[j].is_ours && list[j].pid == list[i].parent) list[i].is_ours = changed = 1;
        }
    }
    *found = list;
    return count;
}

/// The inodes of a process' sockets, behind those that are there.
static void add_sockets(long pid, struct text *inodes) {
    char path[320], target[64];
    snprintf(path, sizeof path, "/proc/%ld/fd", pid);
    DIR *descriptors = opendir(path);
    if (descriptors == NULL) return;
    struct dirent *entry;
    while ((entry = readdir(descriptors)) != NULL) {
        snprintf(path, sizeof path, "/proc/%ld/fd/%s", pid, entry->d_name);
        ssize_t length = readlink(path, target, sizeof target - 1);
        if (length <= 0) continue;
        target[length] = 0;
        unsigned long inode;
        if (sscanf(target, "socket:[%lu]", &inode) == 1) text_bytes(inodes, &inode, sizeof inode);
    }
    closedir(descriptors);
}

static int holds(const struct text *inodes, unsigned long inode) {
    const unsigned long *list = (const unsigned long *)(const void *)inodes->data;
    for (size_t i = 0; i < inodes->length / sizeof inode; i++)
        if (list[i] == inode) return 1;
    return 0;
}

/// The kernel's text of an address: 32-bit words in the machine's own order.
static int read_address(const char *hex, char *text, size_t size) {
    uint32_t words[4] = {0};
    size_t count = strlen(hex) / 8;
    if (count != 1 && count != 4) return -1;
    for (size_t i = 0; i < count; i++)
        if (sscanf(hex + 8 * i, "%8x", &words[i]) != 1) return -1;
    if (count == 1) return inet_ntop(AF_INET, words, text, (socklen_t)size) == NULL ? -1 : 0;
    int is_any = (words[0] | words[1] | words[2] | words[3]) == 0;
    int is_mapped = words[0] == 0 && words[1] == 0 && words[2] == htonl(0xffff);
    // A socket on [::] takes IPv4 as well, as a rule.
    if (is_any || is_mapped) return inet_ntop(AF_INET, &words[3], text, (socklen_t)size) == NULL ? -1 : 0;
    return inet_ntop(AF_INET6, words, text, (socklen_t)size) == NULL ? -1 : 0;
}

static void add_listeners(const char *table, const struct text *inodes, struct text *text) {
    enum { listening = 0x0a };
    FILE *file = fopen(table, "re");
    if (file == NULL) return;
    char line[512], hex[40], address[64];
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned port, state;
        unsigned long inode;
        if (sscanf(line, " %*d: %39[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*s %*s %lu", hex, &port, &state, &inode) != 4) continue;
        if (state != listening || !holds(inodes, inode) || read_address(hex, address, sizeof address) != 0) continue;
        text_add(text, "listen=%s %u", address, port);
    }
    fclose(file);
}

void plain_listeners(struct text *text) {
    struct process *list = NULL;
    struct text inodes = {0};
    size_t count = family(&list);
    for (size_t i = 0; i < count; i++)
        if (list[i].is_ours) add_sockets(list[i].pid, &inodes);
    free(list);
    if (inodes.length > 0 && !inodes.failed) {
        add_listeners("/proc/self/net/tcp", &inodes, text);
        add_listeners("/proc/self/net/tcp6", &inodes, text);
    }
    free(inodes.data);
}
