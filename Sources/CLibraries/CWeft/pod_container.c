// Containers and the commands inside them, from request to exit.
#include "pod_image.h"
#include "pod_serve.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct container *containers[container_limit];
struct command *commands[command_limit];

/// Bytes kept of what a command wrote: enough for a message, as Kubernetes keeps for probes.
enum { output_limit = 10 << 10 };

struct container *container_named(const char *name) {
    for (int i = 0; i < container_limit; i++)
        if (containers[i] != NULL && strcmp(containers[i]->name, name) == 0) return containers[i];
    return NULL;
}

static int free_slot(void) {
    for (int i = 0; i < container_limit; i++)
        if (containers[i] == NULL) return i;
    return -1;
}

static unsigned long mount_namespace(const char *process) {
    char path[64];
    struct stat facts;
    snprintf(path, sizeof path, "/proc/%s/ns/mnt", process);
    return stat(path, &facts) == 0 ? facts.st_ino : 0;
}

/// Notes the mount namespace of a container that has started, and keeps it, so that no other one can get its number.
static void hold_mounts(struct container *container, const char *process) {
    char path[64];
    struct stat facts;
    snprintf(path, sizeof path, "/proc/%s/ns/mnt", process);
    container->space = open(path, O_RDONLY | O_CLOEXEC);
    if (container->space >= 0 && fstat(container->space, &facts) == 0) container->mounts = facts.st_ino;
}

/// The mark of a container is its mount namespace: a daemon that left its session and its parent still carries it.
int container_kill_all(struct container *container, int signal) {
    if (container->mounts == 0 || container->mounts == mount_namespace("self")) return 0;
    DIR *processes = opendir("/proc");
    if (processes == NULL) return 0;
    int found = 0;
    struct dirent *entry;
    while ((entry = readdir(processes)) != NULL) {
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid <= 1 || mount_namespace(entry->d_name) != container->mounts) continue;
        kill((pid_t)pid, signal);
        found++;
    }
    closedir(processes);
    return found;
}

/// Makes a process with its standard streams on `in` (-1: nothing), `out` and `err`, all one for a terminal; the child runs `request`, and says on `errors` why it cannot.
static pid_t launch(struct row request, int in, int out, int err, int errors) {
    // Not `fork`: it would call what libraries registered, and their memory is given back.
    pid_t pod_init = getpid(), pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid != 0) return pid;
    if (in < 0) in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (out == in) {
        setsid();
        if (ioctl(in, TIOCSCTTY, 0) != 0) _exit(127);
    }
    if (in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0) _exit(127);
    if (pod_is_plain) plain_run(request, errors, pod_init);
    run_program(request, errors);
}

static void drop(int *fds, int count) {
    for (int i = 0; i < count; i++)
        if (fds[i] >= 0) close(fds[i]);
}

static const char *reuse_or_make(const char *name, int *slot) {
    struct container *old = container_named(name);
    if (old != NULL) {
        if (old->state == state_running || old->state == state_starting) return "it runs already";
        for (int i = 0; i < container_limit; i++)
            if (containers[i] == old) *slot = i;
        for (int i = 0; i < 2; i++) stream_end(&old->streams[i], &old->log);
        log_close(&old->log);
        input_close(old);
        return NULL;
    }
    *slot = free_slot();
    if (*slot < 0) return "too many containers in one pod";
    containers[*slot] = calloc(1, sizeof **containers);
    return containers[*slot] == NULL ? "out of memory" : NULL;
}

const char *container_start(struct row request, const char *token) {
    const char *name = row_get(request, "name"), *log = row_get(request, "log");
    if (name == NULL || log == NULL || strlen(name) >= sizeof containers[0]->name) return "malformed start request";
    if (log[0] == '/' || strstr(log, "..") != NULL || strlen(log) >= sizeof containers[0]->log.path)
        return "malformed log path";
    int pipes[6] = {-1, -1, -1, -1, -1, -1}, slot = -1;
    const char *refusal = reuse_or_make(name, &slot);
    if (refusal != NULL) return refusal;
    struct container *container = containers[slot];
    *container = (struct container){.attempt = row_number(request, "attempt", 0), .state = state_starting};
    container->by_runtime = row_get(request, "runtime") != NULL;
    container->begun = steady_now();
    snprintf(container->name, sizeof container->name, "%s", name);
    snprintf(container->token, sizeof container->token, "%s", token);
    container->streams[0] = (struct stream){.fd = -1, .name = "stdout"};
    container->streams[1] = (struct stream){.fd = -1, .name = "stderr"};
    container->errors = container->log.file = container->space = container->input = -1;
    for (int i = 0; i < 6; i += 2) {
        if (pipe2(pipes + i, O_CLOEXEC) == 0) continue;
        container->state = state_failed;
        drop(pipes, 6);
        return "cannot make pipes";
    }
    int inner = -1;
    if (input_open(container, request, &inner) != 0) {
        container->state = state_failed;
        drop(pipes, 6);
        return "cannot make its input: a terminal needs /dev/pts";
    }
    log_open(&container->log, log);
    if (container->is_terminal) {
        // Our end is read for the log and written by who is attached.
        drop(pipes, 4);
        pipes[0] = fcntl(container->input, F_DUPFD_CLOEXEC, 5);
        pipes[1] = inner;
        pipes[2] = -1;
        pipes[3] = fcntl(inner, F_DUPFD_CLOEXEC, 5);
        container->pid = launch(request, inner, inner, inner, pipes[5]);
    } else {
        container->pid = launch(request, inner, pipes[1], pipes[3], pipes[5]);
        if (inner >= 0) close(inner);
    }
    close(pipes[1]);
    close(pipes[3]);
    close(pipes[5]);
    container->streams[0].fd = pipes[0];
    container->streams[1].fd = pipes[2];
    container->errors = pipes[4];
    for (int i = 0; i < 6; i += 2)
        if (pipes[i] >= 0) fcntl(pipes[i], F_SETFL, O_NONBLOCK);
    if (container->pid < 0) {
        container->state = state_failed;
        for (int i = 0; i < 2; i++) stream_end(&container->streams[i], &container->log);
        log_close(&container->log);
        close(container->errors);
        return "cannot make a process";
    }
    watch(container->streams[0].fd, kind_stream, (unsigned)slot, 0);
    if (container->streams[1].fd >= 0) watch(container->streams[1].fd, kind_stream, (unsigned)slot, 1);
    watch(container->errors, kind_start, (unsigned)slot, 0);
    return NULL;
}

void container_describe(struct container *container, struct text *text, const char *prefix) {
    static const char *const names[] = {"starting", "running", "exited", "failed"};
    text_add(
        text, "%s%s\n%ld\n%s\n%d\n%lld\n%lld\n%d\n%d\n%lld", prefix, container->name, container->attempt,
        names[container->state], container->pid, (long long)container->started, (long long)container->finished,
        container->code, container->signal, (long long)container->log.dropped
    );
}

static void tell(struct container *container, const char *event, const char *why) {
    struct text text = {0};
    text_add(&text, "event=%s", event);
    text_add(&text, "token=%s", container->token);
    if (why != NULL) text_add(&text, "error=%s", why);
    container_describe(container, &text, "container=");
    announce(&text);
    free(text.data);
}

/// Processes that ended and were nobody's, the latest ones: a container may end before its runtime has said which it is.
static struct orphan {
    pid_t pid;
    int status;
    int64_t ended;          // steady clock: an older one had the same number
} orphans[16];
static unsigned next_orphan;

void container_orphan_ended(pid_t pid, int status) {
    orphans[next_orphan++ % (sizeof orphans / sizeof *orphans)] = (struct orphan){pid, status, steady_now()};
}

static void started(struct container *container) {
    char process[16];
    snprintf(process, sizeof process, "%d", container->pid);
    container->state = state_running;
    container->started = wall_now();
    hold_mounts(container, process);
    tell(container, "started", NULL);
}

/// The runtime has made the container's process, which is ours by now.
static void take_process(struct container *container, pid_t pid) {
    if (pid <= 1) return;
    container->pid = pid;
    started(container);
    if (container->wanted_signal != 0) kill(pid, container->wanted_signal);
    for (size_t i = 0; i < sizeof orphans / sizeof *orphans; i++) {
        if (orphans[i].pid != pid || orphans[i].ended < container->begun) continue;
        orphans[i].pid = 0;
        container_ended(container, orphans[i].status);
    }
}

/// The end of the error pipe without a word means that the program runs: exec closed it.
void container_start_event(unsigned slot) {
    struct container *container = slot < container_limit ? containers[slot] : NULL;
    if (container == NULL || container->errors < 0) return;
    char why[1024];
    ssize_t length = read(container->errors, why, sizeof why - 1);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    close(container->errors);
    container->errors = -1;
    if (container->state != state_starting) return;
    if (length <= 0 && !container->by_runtime) return started(container);
    if (length <= 0) length = snprintf(why, sizeof why, "killed before its program ran");
    why[length] = 0;
    if (container->by_runtime && why[0] == image_process) return take_process(container, (pid_t)strtol(why + 1, NULL, 10));
    container->state = state_failed;
    container->finished = wall_now();
    container->code = 128;
    for (int i = 0; i < 2; i++) stream_end(&container->streams[i], &container->log);
    log_close(&container->log);
    tell(container, "failed", why);
}

void container_stream_event(unsigned slot, unsigned part) {
    struct container *container = slot < container_limit ? containers[slot] : NULL;
    if (container == NULL || part > 1 || container->streams[part].fd < 0) return;
    if (stream_read(container, (int)part) == 0)
        stream_end(&container->streams[part], &container->log);
}

/// What the container wrote before its end belongs to its log, however much that is, within reason.
static void read_out(struct container *container) {
    for (int i = 0; i < 2; i++) {
        struct stream *stream = &container->streams[i];
        for (int turns = 0; stream->fd >= 0 && turns < 256; turns++) {
            struct pollfd there = {.fd = stream->fd, .events = POLLIN};
            if (poll(&there, 1, 0) <= 0 || stream_read(container, i) == 0) break;
        }
        stream_end(stream, &container->log);
    }
    log_complete(&container->log);
}

void container_ended(struct container *container, int status) {
    // The exit may be seen before the end of the pipe on which the start speaks.
    pid_t pid = container->pid;
    for (unsigned slot = 0; slot < container_limit; slot++)
        if (containers[slot] == container && container->state == state_starting) container_start_event(slot);
    // What ended was the process that called the runtime, or this is told twice.
    if (container->state != state_running || container->pid != pid) return;
    container->state = state_exited;
    container->finished = wall_now();
    container->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    container->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    // The endpoint must leave at once: what follows can wait.
    tell(container, "exited", NULL);
    for (int turns = 0; turns < 16 && container_kill_all(container, SIGKILL) > 0; turns++) continue;
    container->mounts = 0;
    if (container->space >= 0) close(container->space);
    container->space = -1;
    read_out(container);
    attach_ended(container);
}

static void command_free(unsigned slot) {
    struct command *command = commands[slot];
    commands[slot] = NULL;
    if (command->output >= 0) close(command->output);
    if (command->errors >= 0) close(command->errors);
    free(command->collected.data);
    free(command);
}

static void command_finish(unsigned slot) {
    struct command *command = commands[slot];
    struct text text = {0};
    text_add(&text, "reply=%s", command->token);
    if (command->why_length > 0) text_add(&text, "error=%.*s", (int)command->why_length, command->why);
    int status = command->status;
    text_add(&text, "code=%d", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    text_add(&text, "timedout=%d", command->timed_out);
    text_bytes(&text, "output=", 7);
    for (size_t i = 0; i < command->collected.length; i++)
        if (command->collected.data[i] == 0) command->collected.data[i] = ' ';
    if (command->collected.length > 0) text_bytes(&text, command->collected.data, command->collected.length);
    text_bytes(&text, "", 1);
    say(client_at((unsigned)command->client), &text);
    free(text.data);
    command_free(slot);
}

const char *command_start(struct row request, unsigned client_slot, const char *token) {
    const char *name = row_get(request, "name");
    struct container *container = name == NULL ? NULL : container_named(name);
    if (container == NULL || container->state != state_running) return "the container does not run";
    unsigned slot = 0;
    while (slot < command_limit && commands[slot] != NULL) slot++;
    if (slot == command_limit) return "too many commands at once";
    struct command *command = calloc(1, sizeof *command);
    int pipes[4] = {-1, -1, -1, -1};
    if (command == NULL || pipe2(pipes, O_CLOEXEC) != 0 || pipe2(pipes + 2, O_CLOEXEC) != 0) {
        drop(pipes, 4);
        free(command);
        return "cannot make pipes";
    }
    snprintf(command->token, sizeof command->token, "%s", token);
    command->client = (int)client_slot;
    command->deadline = steady_now() + row_number(request, "timeout", 1000) * 1000000;
    // The request is extended by the way into the container; the row is copied, for the caller's is not ours to grow.
    struct text extended = {0};
    text_bytes(&extended, request.data, request.length);
    text_add(&extended, "mounts-of=/proc/%d/ns/mnt", container->pid);
    struct row row = {extended.data, extended.length};
    command->pid = extended.failed ? -1 : launch(row, -1, pipes[1], pipes[1], pipes[3]);
    free(extended.data);
    close(pipes[1]);
    close(pipes[3]);
    if (command->pid < 0) {
        close(pipes[0]);
        close(pipes[2]);
        free(command);
        return "cannot make a process";
    }
    command->output = pipes[0];
    command->errors = pipes[2];
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    fcntl(pipes[2], F_SETFL, O_NONBLOCK);
    commands[slot] = command;
    watch(command->output, kind_command, slot, 0);
    watch(command->errors, kind_command, slot, 1);
    return NULL;
}

static void collect(struct command *command) {
    char bytes[4096];
    ssize_t length = command->output < 0 ? 0 : read(command->output, bytes, sizeof bytes);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) {
        if (command->output >= 0) close(command->output);
        command->output = -1;
        return;
    }
    size_t room = output_limit - command->collected.length;
    text_bytes(&command->collected, bytes, (size_t)length < room ? (size_t)length : room);
}

void command_event(unsigned slot, unsigned part) {
    struct command *command = slot < command_limit ? commands[slot] : NULL;
    if (command == NULL) return;
    if (part == 0) {
        collect(command);
        return;
    }
    ssize_t length = read(command->errors, command->why, sizeof command->why - 1);
    if (length > 0) command->why_length = (size_t)length;
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    close(command->errors);
    command->errors = -1;
}

void command_ended(struct command *command, int status) {
    command->status = status;
    for (unsigned slot = 0; slot < command_limit; slot++) {
        if (commands[slot] != command) continue;
        if (command->errors >= 0) command_event(slot, 1);
        struct pollfd there = {.fd = command->output, .events = POLLIN};
        for (int turns = 0; turns < 8 && command->output >= 0 && poll(&there, 1, 0) > 0; turns++) collect(command);
        command_finish(slot);
    }
}

int command_deadlines(void) {
    int64_t now = steady_now(), next = -1;
    for (int i = 0; i < command_limit; i++) {
        struct command *command = commands[i];
        if (command == NULL || command->timed_out) continue;
        if (command->deadline <= now) {
            command->timed_out = 1;
            kill(-command->pid, SIGKILL);
            pod_signal(command->pid, SIGKILL);
        } else if (next < 0 || command->deadline < next) {
            next = command->deadline;
        }
    }
    return next < 0 ? -1 : (int)((next - now) / 1000000 + 1);
}
