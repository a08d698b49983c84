// Containers that somebody outside talks to (`kubectl attach`): their input, and a copy of what they write from now on.
#include "pod_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/// Who listens to one container, at most; and how much may wait for one of them: who reads slower is let go of, the
/// container is never held up.
enum { tap_limit = 8, waiting_limit = 1 << 20 };

struct tap {
    int fds[2];             // our ends, by stream; -1: not wanted, or closed
    unsigned client;
    char token[32];
};

/// One for each container, by its slot.
static struct tap taps[container_limit][tap_limit];
static int is_set_up;

static struct tap *taps_of(struct container *container) {
    if (!is_set_up) {
        for (int i = 0; i < container_limit; i++)
            for (int j = 0; j < tap_limit; j++) taps[i][j].fds[0] = taps[i][j].fds[1] = -1;
        is_set_up = 1;
    }
    for (int i = 0; i < container_limit; i++)
        if (containers[i] == container) return taps[i];
    return NULL;
}

static int is_free(const struct tap *tap) { return tap->token[0] == 0; }

static void close_tap(struct tap *tap) {
    for (int i = 0; i < 2; i++) {
        if (tap->fds[i] >= 0) close(tap->fds[i]);
        tap->fds[i] = -1;
    }
}

void input_close(struct container *container) {
    if (container->input >= 0) close(container->input);
    container->input = -1;
}

int input_open(struct container *container, struct row request, int *inner) {
    container->is_terminal = row_number(request, "tty", 0) != 0;
    container->closes_input = row_number(request, "stdin-once", 0) != 0;
    if (container->is_terminal) {
        int master = terminal_open(request, inner);
        if (master < 0) return -1;
        container->input = master;
        return 0;
    }
    if (row_number(request, "stdin", 0) == 0) return 0;
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0) return -1;
    *inner = pipes[0];
    container->input = pipes[1];
    fcntl(container->input, F_SETFL, O_NONBLOCK);
    return 0;
}

static void tell_tap(struct tap *tap, const char *state, struct container *container) {
    struct text text = {0};
    text_add(&text, "event=command");
    text_add(&text, "token=%s", tap->token);
    text_add(&text, "state=%s", state);
    text_add(&text, "code=%d", container->code);
    text_add(&text, "signal=%d", container->signal);
    say(client_at(tap->client), &text);
    free(text.data);
}

const char *attach(struct row request, unsigned client_slot, const char *token) {
    static const char *const wishes[] = {"stdout", "stderr"};
    const char *name = row_get(request, "name");
    struct container *container = name == NULL ? NULL : container_named(name);
    if (container == NULL || container->state != state_running) return "the container does not run";
    struct tap *all = taps_of(container), *tap = NULL;
    for (int i = 0; all != NULL && i < tap_limit && tap == NULL; i++)
        if (is_free(&all[i])) tap = &all[i];
    if (tap == NULL) return "too many are attached to this container";
    int outer[3] = {-1, -1, -1};
    for (int i = 0; i < 2; i++) {
        // A terminal has one stream for both.
        if (row_number(request, wishes[i], 0) == 0 || (i == 1 && container->is_terminal)) continue;
        int ends[2], room = waiting_limit;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) break;
        setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        shutdown(ends[0], SHUT_RD);
        tap->fds[i] = ends[0];
        outer[i + 1] = ends[1];
    }
    int hands_over = 0;
    if (row_number(request, "stdin", 0) != 0 && container->input >= 0) {
        outer[0] = fcntl(container->input, F_DUPFD_CLOEXEC, 5);
        // The first one who has it and goes ends it.
        hands_over = container->closes_input && !container->is_terminal;
    }
    tap->client = client_slot;
    strncpy(tap->token, token, sizeof tap->token - 1);
    int failed = descriptors_hand_out(client_at(client_slot), token, outer);
    for (int i = 0; i < 3; i++)
        if (outer[i] >= 0) close(outer[i]);
    if (failed != 0) {
        close_tap(tap);
        tap->token[0] = 0;
        return NULL;
    }
    if (hands_over) input_close(container);
    tell_tap(tap, "running", container);
    return NULL;
}

void attach_pass_on(struct container *container, int part, const char *bytes, size_t length) {
    struct tap *all = taps_of(container);
    for (int i = 0; all != NULL && i < tap_limit; i++) {
        int fd = all[i].fds[part];
        if (fd < 0) continue;
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent == (ssize_t)length) continue;
        close(fd);
        all[i].fds[part] = -1;
    }
}

void attach_ended(struct container *container) {
    struct tap *all = taps_of(container);
    for (int i = 0; all != NULL && i < tap_limit; i++) {
        if (all[i].token[0] == 0) continue;
        close_tap(&all[i]);
        tell_tap(&all[i], "ended", container);
        all[i].token[0] = 0;
    }
    input_close(container);
}

void attach_client_gone(unsigned client_slot) {
    for (int i = 0; is_set_up && i < container_limit; i++)
        for (int j = 0; j < tap_limit; j++)
            if (taps[i][j].token[0] != 0 && taps[i][j].client == client_slot) {
                close_tap(&taps[i][j]);
                taps[i][j].token[0] = 0;
            }
}
