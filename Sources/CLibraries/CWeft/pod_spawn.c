// The side of weft: starting a pod init and passing descriptors. Called from any thread.
#include "include/cweft_pod.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

// The library path is all that the new program needs of our environment; the rest may hold secrets.
static void pod_environment(char **environment) {
    extern char **environ;
    size_t count = 0;
    for (char **entry = environ; *entry != NULL && count < 1; entry++)
        if (strncmp(*entry, "LD_LIBRARY_PATH=", 16) == 0) environment[count++] = *entry;
    environment[count] = NULL;
}

static int write_all(int fd, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t written = write(fd, bytes, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return errno;
        bytes += written;
        count -= (size_t)written;
    }
    return 0;
}

/// The small program beside this one when it is there, else this program itself.
static const char *init_program(char *buffer, size_t size) {
    static const char name[] = "weft-pod-init", itself[] = "/proc/self/exe";
    ssize_t length = readlink(itself, buffer, size - 1);
    if (length <= 0) return itself;
    buffer[length] = 0;
    char *slash = strrchr(buffer, '/');
    if (slash == NULL || (size_t)(slash + 1 - buffer) + sizeof name > size) return itself;
    strcpy(slash + 1, name);
    return access(buffer, X_OK) == 0 ? buffer : itself;
}

static int spawn_with(int settings, int report, pid_t *spawned) {
    char *arguments[] = {"weft-pod-init", NULL};
    char *environment[2], path[4096];
    pod_environment(environment);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, settings, 3);
    posix_spawn_file_actions_adddup2(&actions, report, 4);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int error = posix_spawn(spawned, init_program(path, sizeof path), &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

int cweft_pod_spawn(const char *settings, size_t length, pid_t *spawned, int *report) {
    // Above 4, so that the two dup2 of the spawn never meet their own targets.
    int low = memfd_create("pod", MFD_CLOEXEC), pipes[2] = {-1, -1};
    if (low < 0) return errno;
    int memory = fcntl(low, F_DUPFD_CLOEXEC, 5);
    close(low);
    if (memory < 0) return errno;
    int error = write_all(memory, settings, length);
    if (error == 0 && pipe2(pipes, O_CLOEXEC) != 0) error = errno;
    int ours = -1, theirs = -1;
    if (error == 0) {
        ours = fcntl(pipes[0], F_DUPFD_CLOEXEC, 5);
        theirs = fcntl(pipes[1], F_DUPFD_CLOEXEC, 5);
        if (ours < 0 || theirs < 0) error = errno;
    }
    if (error == 0) error = spawn_with(memory, theirs, spawned);
    close(memory);
    if (pipes[0] >= 0) close(pipes[0]);
    if (pipes[1] >= 0) close(pipes[1]);
    if (theirs >= 0) close(theirs);
    if (error != 0 && ours >= 0) close(ours);
    if (error == 0) {
        fcntl(ours, F_SETFL, O_NONBLOCK);
        *report = ours;
    }
    return error;
}

int cweft_pidfd_open(pid_t pid) {
    long fd = syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : (int)fd;
}

int cweft_pidfd_signal(int pidfd, int signal) {
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) == 0 ? 0 : errno;
}

int cweft_pod_end_signal(void) { return SIGRTMIN + 5; }

int cweft_reap(pid_t pid, int *status) {
    pid_t reaped = waitpid(pid, status, WNOHANG);
    return reaped < 0 ? -errno : reaped > 0;
}

int cweft_pod_connect(const char *path, int type) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int directory = -1;
    if (strlen(path) < sizeof address.sun_path) {
        strcpy(address.sun_path, path);
    } else {
        char parent[4096], name[4096];
        if (strlen(path) >= sizeof parent) return -ENAMETOOLONG;
        strcpy(parent, path);
        strcpy(name, path);
        directory = open(dirname(parent), O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0) return -errno;
        int length = snprintf(
            address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory, basename(name)
        );
        if (length < 0 || (size_t)length >= sizeof address.sun_path) {
            close(directory);
            return -ENAMETOOLONG;
        }
    }
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int result = fd;
    if (fd < 0) {
        result = -errno;
    } else if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        result = -errno;
        close(fd);
    }
    if (directory >= 0) close(directory);
    return result;
}

ssize_t cweft_receive_descriptors(int socket, void *bytes, size_t length, int *fds, int *count) {
    enum { most = 8 };
    struct iovec part = {.iov_base = bytes, .iov_len = length};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * most)];
    } control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control,
    };
    int room = *count;
    *count = 0;
    ssize_t received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (received < 0) return -errno;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t sent = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < sent; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof fd);
            if (*count < room)
                fds[(*count)++] = fd;
            else
                close(fd);
        }
    }
    return received;
}

int cweft_set_terminal_size(int fd, int columns, int rows) {
    struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};
    return ioctl(fd, TIOCSWINSZ, &size) == 0 ? 0 : errno;
}

const char *cweft_next_entry(const char *path, void **state) {
    if (*state == NULL && (*state = opendir(path)) == NULL) return NULL;
    struct dirent *entry = NULL;
    do entry = readdir(*state);
    while (entry != NULL && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    if (entry != NULL) return entry->d_name;
    closedir(*state);
    *state = NULL;
    return NULL;
}
