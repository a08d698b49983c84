// The loop of the pod init: control requests, sockets for the proxy, output, exits.
#include "pod_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int poller = -1;
static struct client clients[client_limit];
static uint32_t next_serial;
/// Steady time at which everything is killed; 0: nobody asked to stop.
static int64_t stop_at;

int watch(int fd, enum kind kind, unsigned slot, unsigned part) {
    struct epoll_event event = {.events = EPOLLIN};
    event.data.u64 = (uint64_t)kind | (uint64_t)slot << 8 | (uint64_t)part << 40;
    return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

/// A slot names the connection by place and serial, so that an answer never reaches a later connection.
struct client *client_at(unsigned slot) {
    struct client *client = &clients[slot % client_limit];
    return client->fd >= 0 && client->serial == slot / client_limit ? client : NULL;
}

static unsigned slot_of(struct client *client) {
    return client->serial * client_limit + (unsigned)(client - clients);
}

static void close_client(struct client *client) {
    unsigned slot = slot_of(client);
    close(client->fd);
    client->fd = -1;
    session_client_gone(slot);
    attach_client_gone(slot);
    free(client->input.data);
    client->input = (struct text){0};
}

void say(struct client *client, struct text *text) {
    if (client == NULL || client->fd < 0 || text->failed) return;
    uint32_t length = (uint32_t)text->length;
    struct iovec parts[2] = {{&length, sizeof length}, {text->data, text->length}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t sent = sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    // Who does not read for so long that its buffer is full has to connect again and ask for the state.
    if (sent != (ssize_t)(sizeof length + text->length)) close_client(client);
}

void announce(struct text *text) {
    for (int i = 0; i < client_limit; i++)
        if (clients[i].fd >= 0) say(&clients[i], text);
}

void answer(struct client *client, const char *token, const char *error) {
    struct text text = {0};
    text_add(&text, "reply=%s", token);
    if (error != NULL) text_add(&text, "error=%s", error);
    say(client, &text);
    free(text.data);
}

static void describe(struct client *client, const char *token) {
    struct text text = {0};
    text_add(&text, "reply=%s", token);
    text_add(&text, "pod-init=1");
    for (int i = 0; i < container_limit; i++)
        if (containers[i] != NULL) container_describe(containers[i], &text, "container=");
    say(client, &text);
    free(text.data);
}

static void tell_listeners(struct client *client, const char *token) {
    struct text text = {0};
    text_add(&text, "reply=%s", token);
    plain_listeners(&text);
    say(client, &text);
    free(text.data);
}

static const char *signal_container(struct row request) {
    const char *name = row_get(request, "name");
    struct container *container = name == NULL ? NULL : container_named(name);
    long number = row_number(request, "signal", 0);
    if (container == NULL) return "no such container";
    if (number <= 0 || number >= NSIG) return "no such signal";
    if (container->state != state_running && container->state != state_starting) return NULL;
    if (container->state == state_starting && container->by_runtime && number != SIGKILL) {
        container->wanted_signal = (int)number;
        return NULL;
    }
    if (number == SIGKILL) container_kill_all(container, SIGKILL);
    return pod_signal(container->pid, (int)number) == 0 || errno == ESRCH ? NULL : "cannot send the signal";
}

static void stop_everything(long grace_milliseconds) {
    if (grace_milliseconds < 0) grace_milliseconds = 0;
    stop_at = steady_now() + (int64_t)grace_milliseconds * 1000000;
    for (int i = 0; i < container_limit; i++)
        if (containers[i] != NULL && containers[i]->state == state_running) kill(containers[i]->pid, SIGTERM);
}

static int anything_runs(void) {
    for (int i = 0; i < container_limit; i++)
        if (containers[i] != NULL && (containers[i]->state == state_running || containers[i]->state == state_starting))
            return 1;
    return 0;
}

static void obey(struct client *client, struct row request) {
    const char *verb = row_get(request, "do"), *token = row_get(request, "token");
    if (token == NULL) token = "";
    if (verb == NULL) {
        answer(client, token, "no verb");
    } else if (strcmp(verb, "start") == 0) {
        const char *refusal = container_start(request, token);
        if (refusal == NULL) session_remember(request);
        answer(client, token, refusal);
    } else if (strcmp(verb, "signal") == 0) {
        answer(client, token, signal_container(request));
    } else if (strcmp(verb, "exec") == 0) {
        const char *refusal = command_start(request, slot_of(client), token);
        if (refusal != NULL) answer(client, token, refusal);
    } else if (strcmp(verb, "command") == 0) {
        const char *refusal = session_start(request, slot_of(client), token);
        if (refusal != NULL) answer(client, token, refusal);
    } else if (strcmp(verb, "attach") == 0) {
        const char *refusal = attach(request, slot_of(client), token);
        if (refusal != NULL) answer(client, token, refusal);
    } else if (strcmp(verb, "status") == 0) {
        describe(client, token);
    } else if (strcmp(verb, "listeners") == 0) {
        tell_listeners(client, token);
    } else if (strcmp(verb, "stop") == 0) {
        answer(client, token, NULL);
        stop_everything(row_number(request, "grace", 0));
    } else {
        answer(client, token, "unknown verb");
    }
}

static void read_client(unsigned slot) {
    struct client *client = client_at(slot);
    if (client == NULL) return;
    char bytes[16384];
    ssize_t length = recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length > 0) text_bytes(&client->input, bytes, (size_t)length);
    if (length <= 0 || client->input.failed) {
        close_client(client);
        return;
    }
    uint32_t size;
    size_t used = 0;
    while (client->fd >= 0 && client->input.length - used >= sizeof size) {
        memcpy(&size, client->input.data + used, sizeof size);
        if (size == 0 || size > message_limit) {
            close_client(client);
            return;
        }
        if (client->input.length - used - sizeof size < size) break;
        const char *data = client->input.data + used + sizeof size;
        used += sizeof size + size;
        if (data[size - 1] == 0) obey(client, (struct row){data, size});
    }
    if (client->fd < 0 || used == 0) return;
    client->input.length -= used;
    memmove(client->input.data, client->input.data + used, client->input.length);
    if (client->input.length == 0) {
        free(client->input.data);
        client->input = (struct text){0};
    }
}

/// Only weft's own user and root speak to a pod init.
static int is_trusted(int fd) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return 0;
    return peer.uid == 0 || peer.uid == geteuid();
}

static int accept_trusted(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0 && is_trusted(fd)) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

static void accept_client(int listener) {
    int fd = accept_trusted(listener);
    if (fd < 0) return;
    for (int i = 0; i < client_limit; i++) {
        if (clients[i].fd >= 0) continue;
        clients[i] = (struct client){.fd = fd, .serial = next_serial++ & 0xffffff};
        watch(fd, kind_client, slot_of(&clients[i]), 0);
        return;
    }
    close(fd);
}

static void accept_peer(int listener) {
    int fd = accept_trusted(listener);
    if (fd >= 0 && watch(fd, kind_peer, (unsigned)fd, 0) != 0) close(fd);
}

/// One byte, and a socket if there is one.
static int hand_over(int peer, unsigned char status, int fd) {
    struct iovec part = {.iov_base = &status, .iov_len = 1};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd, sizeof(int));
    }
    return sendmsg(peer, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? errno : 0;
}

/// The broker: a request is {uint32 domain, uint32 type}, the answer 1 byte (0 or errno) and the new socket.
static void read_peer(int fd) {
    uint32_t wish[2];
    ssize_t length = recv(fd, wish, sizeof wish, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length != sizeof wish) {
        close(fd);
        return;
    }
    uint32_t type = wish[1] & ~(uint32_t)(SOCK_NONBLOCK | SOCK_CLOEXEC);
    int made = -1, error = EINVAL;
    if ((wish[0] == AF_INET || wish[0] == AF_INET6) && (type == SOCK_STREAM || type == SOCK_DGRAM)) {
        made = socket((int)wish[0], (int)(wish[1] | SOCK_CLOEXEC), 0);
        error = made < 0 ? errno : 0;
    }
    int failed = hand_over(fd, (unsigned char)error, made);
    if (made >= 0) close(made);
    if (failed != 0) close(fd);
}

static void reap(void) {
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (session_ended(pid, status)) continue;
        int is_known = 0;
        for (int i = 0; i < container_limit; i++) {
            if (containers[i] == NULL || containers[i]->pid != pid) continue;
            is_known = 1;
            container_ended(containers[i], status);
        }
        for (int i = 0; i < command_limit; i++)
            if (commands[i] != NULL && commands[i]->pid == pid) {
                command_ended(commands[i], status);
                is_known = 1;
                break;
            }
        if (!is_known) container_orphan_ended(pid, status);
    }
}

static void read_signals(int fd) {
    struct signalfd_siginfo facts;
    while (read(fd, &facts, sizeof facts) == sizeof facts) {
        if (facts.ssi_signo == SIGTERM && stop_at == 0) stop_everything(10000);
        if ((int)facts.ssi_signo == plain_end_signal()) stop_at = steady_now();
    }
    reap();
}

static void dispatch(const struct epoll_event *event, int control, int broker, int signals) {
    unsigned slot = (unsigned)(event->data.u64 >> 8 & 0xffffffff), part = (unsigned)(event->data.u64 >> 40);
    switch ((enum kind)(event->data.u64 & 0xff)) {
    case kind_control: accept_client(control); break;
    case kind_broker: accept_peer(broker); break;
    case kind_peer: read_peer((int)slot); break;
    case kind_client: read_client(slot); break;
    case kind_signals: read_signals(signals); break;
    case kind_stream: container_stream_event(slot, part); break;
    case kind_start: container_start_event(slot); break;
    case kind_command: command_event(slot, part); break;
    case kind_session: session_event(slot); break;
    }
}

static int patience(void) {
    int wait = command_deadlines(), hangup = session_deadlines();
    if (hangup >= 0 && (wait < 0 || hangup < wait)) wait = hangup;
    if (stop_at == 0) return wait;
    int64_t left = (stop_at - steady_now()) / 1000000 + 1;
    if (left < 0) left = 0;
    return wait < 0 || left < wait ? (int)left : wait;
}

int pod_serve(int control, int broker) {
    sigset_t watched;
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, plain_end_signal());
    int signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    poller = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < client_limit; i++) clients[i].fd = -1;
    if (signals < 0 || poller < 0 || watch(signals, kind_signals, 0, 0) != 0) return 1;
    if (watch(control, kind_control, 0, 0) != 0 || watch(broker, kind_broker, 0, 0) != 0) return 1;
    struct epoll_event events[32];
    for (;;) {
        int count = epoll_wait(poller, events, 32, patience());
        for (int i = 0; i < count; i++) dispatch(&events[i], control, broker, signals);
        // Leaving ends process 1 of the namespace: the kernel kills what is left and takes every mount down.
        if (stop_at == 0 || (anything_runs() && steady_now() < stop_at)) continue;
        if (pod_is_plain) plain_end();
        return 0;
    }
}
