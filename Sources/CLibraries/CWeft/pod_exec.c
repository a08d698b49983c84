// Commands that somebody outside talks to (`weft exec`): a terminal or three pipes, whose outer ends are handed to the
// caller. Data never passes through the pod init; it starts the command, tells its end, and ends it when the caller goes.
#include "pod_serve.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// <sys/ioctl.h> and <asm/termbits.h> cannot be included together; the number is the kernel's ABI.
#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

/// Commands with a caller at once in one pod, and how long one may live on after its caller has gone.
enum { session_limit = 16, hangup_milliseconds = 2000, session_descriptors = 3 };

/// What the program of a container was started with, but for its arguments and mounts: commands run in the same way.
struct manner {
    char container[128];
    struct text row;
};

struct session {
    pid_t pid;
    unsigned client;        // the connection that asked; the command ends with it
    int errors;             // the pipe on which a start that fails says why; -1: closed
    int failed;             // the program could not be started
    int64_t deadline;       // steady clock; 0: its caller is there
    char token[32];
};

static struct manner manners[container_limit];
static struct session *sessions[session_limit];

static int is_of_start(const char *entry) {
    static const char *const keys[] = {
        "do=", "token=", "arg=", "mount=", "log=", "attempt=", "stdin", "tty=", "lower=", "config=",
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strncmp(entry, keys[i], strlen(keys[i])) == 0) return 1;
    return 0;
}

void session_remember(struct row request) {
    const char *name = row_get(request, "name");
    if (name == NULL || strlen(name) >= sizeof manners[0].container) return;
    struct manner *manner = NULL;
    for (int i = container_limit - 1; i >= 0; i--)
        if (manners[i].container[0] == 0 || strcmp(manners[i].container, name) == 0) {
            manner = &manners[i];
            if (manner->container[0] != 0) break;
        }
    if (manner == NULL) return;
    free(manner->row.data);
    manner->row = (struct text){0};
    snprintf(manner->container, sizeof manner->container, "%s", name);
    for (const char *at = request.data, *end = at + request.length; at < end; at += strlen(at) + 1)
        if (!is_of_start(at)) text_bytes(&manner->row, at, strlen(at) + 1);
}

static struct manner *manner_of(const char *container) {
    for (int i = 0; i < container_limit; i++)
        if (strcmp(manners[i].container, container) == 0) return &manners[i];
    return NULL;
}

/// Both ends of what the command speaks through. `outer` goes to the caller in the order input, output, errors; a terminal
/// has one outer end for all.
struct ends {
    int outer[session_descriptors], inner[session_descriptors];
    int is_terminal;
};

static void close_all(int *fds) {
    for (int i = 0; i < session_descriptors; i++) {
        if (fds[i] >= 0) close(fds[i]);
        fds[i] = -1;
    }
}

int terminal_open(struct row request, int *inner) {
    int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), locked = 0;
    if (master < 0) return -1;
    struct winsize size = {
        .ws_col = (unsigned short)row_number(request, "columns", 80),
        .ws_row = (unsigned short)row_number(request, "rows", 24),
    };
    int slave = ioctl(master, TIOCSPTLCK, &locked) != 0 ? -1 : ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) {
        close(master);
        return -1;
    }
    *inner = slave;
    ioctl(master, TIOCSWINSZ, &size);
    // The terminal belongs to who runs the command; where only one id is mapped it does already.
    if (fchown(slave, (uid_t)row_number(request, "uid", 0), (gid_t)-1) != 0) errno = 0;
    return master;
}

static int open_terminal(struct row request, struct ends *ends) {
    ends->is_terminal = 1;
    ends->outer[0] = terminal_open(request, &ends->inner[0]);
    return ends->outer[0] < 0 ? -1 : 0;
}

static int open_pipes(struct row request, struct ends *ends) {
    static const char *const wishes[] = {"stdin", "stdout", "stderr"};
    for (int i = 0; i < session_descriptors; i++) {
        int pipes[2];
        if (row_number(request, wishes[i], 0) == 0) {
            ends->inner[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
            if (ends->inner[i] < 0) return -1;
            continue;
        }
        if (pipe2(pipes, O_CLOEXEC) != 0) return -1;
        ends->inner[i] = pipes[i == 0 ? 0 : 1];
        ends->outer[i] = pipes[i == 0 ? 1 : 0];
        fcntl(ends->outer[i], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

/// Makes the process; the child becomes the program or says on `errors` why it cannot.
static pid_t launch(struct row row, struct ends *ends, int errors) {
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid != 0) return pid;
    setsid();
    if (ends->is_terminal && ioctl(ends->inner[0], TIOCSCTTY, 0) != 0) _exit(127);
    for (int i = 0; i < session_descriptors; i++)
        if (dup2(ends->inner[ends->is_terminal ? 0 : i], i) < 0) _exit(127);
    run_program(row, errors);
}

/// The answer: which of the three descriptors come with it, and they themselves.
int descriptors_hand_out(struct client *client, const char *token, const int *outer) {
    struct text text = {0};
    int fds[session_descriptors], count = 0;
    text_add(&text, "reply=%s", token);
    for (int i = 0; i < session_descriptors; i++) {
        if (outer[i] < 0) continue;
        text_add(&text, "descriptor=%d", i);
        fds[count++] = outer[i];
    }
    uint32_t length = (uint32_t)text.length;
    struct iovec parts[2] = {{&length, sizeof length}, {text.data, text.length}};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof fds)];
    } control;
    memset(&control, 0, sizeof control);
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * (size_t)count);
    }
    int result = -1;
    if (!text.failed && client != NULL) {
        ssize_t sent = sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        result = sent == (ssize_t)(sizeof length + text.length) ? 0 : -1;
    }
    free(text.data);
    return result;
}

/// The container's manner, the new arguments, and the way into the container.
static struct text program_row(struct row request, struct manner *manner, pid_t container) {
    struct text row = {0};
    text_bytes(&row, manner->row.data, manner->row.length);
    const char *value;
    for (const char *cursor = NULL; (value = row_next(request, "arg", &cursor)) != NULL;) text_add(&row, "arg=%s", value);
    int has_term = 0;
    struct row plain = {manner->row.data, manner->row.length};
    for (const char *cursor = NULL; (value = row_next(plain, "env", &cursor)) != NULL;)
        if (strncmp(value, "TERM=", 5) == 0) has_term = 1;
    if (!has_term && row_number(request, "tty", 0) != 0) text_add(&row, "env=TERM=xterm");
    text_add(&row, "mounts-of=/proc/%d/ns/mnt", container);
    return row;
}

static void session_free(unsigned slot) {
    if (sessions[slot]->errors >= 0) close(sessions[slot]->errors);
    free(sessions[slot]);
    sessions[slot] = NULL;
}

static const char *begin(
    struct session *session, unsigned slot, struct row request, struct container *container, struct manner *manner
) {
    struct ends ends = {.outer = {-1, -1, -1}, .inner = {-1, -1, -1}};
    int errors[2] = {-1, -1};
    const char *refusal = NULL;
    if (row_number(request, "tty", 0) != 0) {
        if (open_terminal(request, &ends) != 0) refusal = "the pod can make no terminal: it has no /dev/pts";
    } else if (open_pipes(request, &ends) != 0) {
        refusal = "cannot make pipes";
    }
    if (refusal == NULL && pipe2(errors, O_CLOEXEC) != 0) refusal = "cannot make pipes";
    struct text row = refusal == NULL ? program_row(request, manner, container->pid) : (struct text){0};
    if (refusal == NULL) {
        session->pid = row.failed ? -1 : launch((struct row){row.data, row.length}, &ends, errors[1]);
        if (session->pid < 0) refusal = "cannot make a process";
    }
    free(row.data);
    if (refusal == NULL && descriptors_hand_out(client_at(session->client), session->token, ends.outer) != 0) {
        kill(session->pid, SIGKILL);
        session->deadline = steady_now();
    }
    close_all(ends.inner);
    close_all(ends.outer);
    if (errors[1] >= 0) close(errors[1]);
    if (refusal != NULL && errors[0] >= 0) close(errors[0]);
    if (refusal != NULL) return refusal;
    session->errors = errors[0];
    fcntl(session->errors, F_SETFL, O_NONBLOCK);
    watch(session->errors, kind_session, slot, 0);
    return NULL;
}

const char *session_start(struct row request, unsigned client_slot, const char *token) {
    const char *name = row_get(request, "name");
    struct container *container = name == NULL ? NULL : container_named(name);
    struct manner *manner = name == NULL ? NULL : manner_of(name);
    if (container == NULL || manner == NULL || container->state != state_running) return "the container does not run";
    if (row_get(request, "arg") == NULL) return "no command";
    unsigned slot = 0;
    while (slot < session_limit && sessions[slot] != NULL) slot++;
    if (slot == session_limit) return "too many commands at once in this pod (16)";
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL) return "out of memory";
    session->client = client_slot;
    session->errors = -1;
    snprintf(session->token, sizeof session->token, "%s", token);
    const char *refusal = begin(session, slot, request, container, manner);
    if (refusal != NULL)
        free(session);
    else
        sessions[slot] = session;
    return refusal;
}

static void tell(struct session *session, const char *state, const char *why, int status) {
    struct text text = {0};
    text_add(&text, "event=command");
    text_add(&text, "token=%s", session->token);
    text_add(&text, "state=%s", state);
    if (why != NULL) text_add(&text, "error=%s", why);
    if (WIFSIGNALED(status)) text_add(&text, "signal=%d", WTERMSIG(status));
    text_add(&text, "code=%d", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    say(client_at(session->client), &text);
    free(text.data);
}

/// The end of the error pipe without a word means that the program runs: exec closed it.
void session_event(unsigned slot) {
    struct session *session = slot < session_limit ? sessions[slot] : NULL;
    if (session == NULL || session->errors < 0) return;
    char why[1024];
    ssize_t length = read(session->errors, why, sizeof why - 1);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    close(session->errors);
    session->errors = -1;
    if (length <= 0) {
        tell(session, "running", NULL, 0);
        return;
    }
    why[length] = 0;
    session->failed = 1;
    tell(session, "failed", why, 127 << 8);
}

int session_ended(pid_t pid, int status) {
    for (unsigned slot = 0; slot < session_limit; slot++) {
        struct session *session = sessions[slot];
        if (session == NULL || session->pid != pid) continue;
        if (session->errors >= 0) session_event(slot);
        if (!session->failed) tell(session, "ended", NULL, status);
        session_free(slot);
        return 1;
    }
    return 0;
}

/// Sends a signal to every process of the command's session: what it started and did not send away.
static void signal_session(struct session *session, int signal) {
    kill(session->pid, signal);
    DIR *processes = opendir("/proc");
    if (processes == NULL) return;
    struct dirent *entry;
    while ((entry = readdir(processes)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 1 && pid != session->pid && getsid(pid) == session->pid) kill(pid, signal);
    }
    closedir(processes);
}

void session_client_gone(unsigned client_slot) {
    for (int i = 0; i < session_limit; i++) {
        struct session *session = sessions[i];
        if (session == NULL || session->client != client_slot || session->deadline != 0) continue;
        session->deadline = steady_now() + (int64_t)hangup_milliseconds * 1000000;
        signal_session(session, SIGHUP);
        signal_session(session, SIGCONT);
    }
}

int session_deadlines(void) {
    int64_t now = steady_now(), next = -1;
    for (int i = 0; i < session_limit; i++) {
        struct session *session = sessions[i];
        if (session == NULL || session->deadline == 0 || session->deadline == INT64_MAX) continue;
        if (session->deadline <= now) {
            signal_session(session, SIGKILL);
            session->deadline = INT64_MAX;
        } else if (next < 0 || session->deadline < next) {
            next = session->deadline;
        }
    }
    return next < 0 ? -1 : (int)((next - now) / 1000000 + 1);
}
