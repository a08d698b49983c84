// The way from `weft-pod-init` to the first process of a pod: namespaces, user map, sockets, network, root, service.
#include "pod_settings.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { settings_descriptor = 3, report_descriptor = 4 };

int pod_directory = -1;
int pod_maps_all_users = 0;

static void give_up(void) {
    dprintf(report_descriptor, "error %s\n", failure());
    _exit(1);
}

static struct row read_settings(void) {
    struct stat facts;
    struct row row = {NULL, 0};
    if (fstat(settings_descriptor, &facts) != 0 || facts.st_size <= 0 || facts.st_size > 16 << 20) return row;
    char *data = malloc((size_t)facts.st_size + 1);
    if (data == NULL) return row;
    ssize_t length = pread(settings_descriptor, data, (size_t)facts.st_size, 0);
    close(settings_descriptor);
    if (length <= 0) return row;
    data[length] = 0;
    row.data = data;
    row.length = (size_t)length + 1;
    return row;
}

/// The inner side of each range that this user namespace knows, mapped to itself: a range that is not ours cannot be.
static int identity_map(const char *of_self, const char *of_pod) {
    FILE *ranges = fopen(of_self, "re");
    if (ranges == NULL) return -1;
    char map[2048];
    size_t length = 0;
    unsigned long inside, outside, count;
    while (fscanf(ranges, "%lu %lu %lu", &inside, &outside, &count) == 3) {
        int added = snprintf(map + length, sizeof map - length, "%lu %lu %lu\n", inside, inside, count);
        if (added < 0 || (size_t)added >= sizeof map - length) break;
        length += (size_t)added;
    }
    fclose(ranges);
    return write_file(of_pod, map);
}

static int map_users(pid_t pod, int all) {
    char users[64], groups[64], refusal[64], map[64];
    snprintf(users, sizeof users, "/proc/%d/uid_map", pod);
    snprintf(groups, sizeof groups, "/proc/%d/gid_map", pod);
    snprintf(refusal, sizeof refusal, "/proc/%d/setgroups", pod);
    if (all) {
        if (identity_map("/proc/self/uid_map", users) != 0) return fail("cannot write %s: %m", users);
        if (identity_map("/proc/self/gid_map", groups) != 0) return fail("cannot write %s: %m", groups);
        return 0;
    }
    snprintf(map, sizeof map, "0 %u 1\n", geteuid());
    if (write_file(users, map) != 0) return fail("cannot write %s: %m", users);
    if (write_file(refusal, "deny") != 0) return fail("cannot write %s: %m", refusal);
    snprintf(map, sizeof map, "0 %u 1\n", getegid());
    if (write_file(groups, map) != 0) return fail("cannot write %s: %m", groups);
    return 0;
}

static int listen_on(const char *name, int type) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, name, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return fail("cannot make the socket %s: %m", name);
    unlink(name);
    mode_t before = umask(0177);
    int result = bind(fd, (struct sockaddr *)&address, sizeof address);
    umask(before);
    if (result != 0 || listen(fd, 64) != 0) {
        fail("cannot listen on %s in the pod's directory: %m", name);
        close(fd);
        return -1;
    }
    return fd;
}

/// Process 1 of the pod, from its birth in the new namespaces.
static void become_init(struct row settings, int mapped) {
    char byte;
    if (read(mapped, &byte, 1) != 1) _exit(1);  // the helper has reported why
    close(mapped);
    const char *hostname = row_get(settings, "hostname"), *directory = row_get(settings, "pod-dir");
    prctl(PR_SET_NAME, "weft-pod-init");
    setsid();
    umask(022);
    sigset_t every;
    sigfillset(&every);
    sigprocmask(SIG_BLOCK, &every, NULL);
    if (pod_maps_all_users && (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)) {
        fail("cannot become root of the pod: %m");
        give_up();
    }
    if (hostname != NULL && !pod_is_plain) sethostname(hostname, strnlen(hostname, 64));
    pod_directory = directory == NULL ? -1 : open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (pod_directory < 0 || fchdir(pod_directory) != 0) {
        fail("cannot open the pod's directory %s: %m", directory == NULL ? "(no pod-dir)" : directory);
        give_up();
    }
    int control = listen_on("control.sock", SOCK_STREAM);
    int broker = listen_on("net.sock", SOCK_SEQPACKET);
    if (control < 0 || broker < 0 || pod_open_groups(settings) != 0) give_up();
    if (pod_is_plain)
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    else if (pod_network(settings) != 0 || pod_root(settings) != 0)
        give_up();
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < 3; fd++) dup2(nothing, fd);
    if (nothing > 2) close(nothing);
    free((char *)settings.data);
    // A weft that died meanwhile will never know of this pod.
    if (dprintf(report_descriptor, "ready\n") < 0) _exit(1);
    close(report_descriptor);
    pod_forget_libraries();
    _exit(pod_serve(control, broker));
}

static const long all_namespaces =
    CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC;

/// Makes the namespaces of a pod around this process, and uses them once: some systems give them without any right in them.
static int try_namespaces(void) {
    char users[64], groups[64];
    snprintf(users, sizeof users, "0 %u 1\n", geteuid());
    snprintf(groups, sizeof groups, "0 %u 1\n", getegid());
    int error = unshare((int)all_namespaces) == 0 ? 0 : errno;
    const char *step = "cannot make namespaces (user, mount, network, PID, UTS, IPC)";
    if (error == 0 && (write_file("/proc/self/uid_map", users) != 0 || write_file("/proc/self/setgroups", "deny") != 0
            || write_file("/proc/self/gid_map", groups) != 0)) {
        error = errno;
        step = "cannot map the user in a user namespace";
    }
    if (error == 0 && sethostname("weft", 4) != 0) {
        error = errno;
        step = "a user namespace gives no rights";
    }
    if (error != 0) {
        dprintf(report_descriptor, "errno %d\n", error);
        fail("%s: %s", step, strerror(error));
        give_up();
    }
    dprintf(report_descriptor, "ready\n");
    return 0;
}

static int run_pod_init(void) {
    close_range(5, ~0U, 0);
    fcntl(report_descriptor, F_SETFD, FD_CLOEXEC);
    struct row settings = read_settings();
    if (settings.data == NULL) {
        fail("no settings on descriptor 3");
        give_up();
    }
    const char *users = row_get(settings, "users"), *isolation = row_get(settings, "isolation");
    pod_is_plain = isolation != NULL && strcmp(isolation, "none") == 0;
    pod_maps_all_users = users != NULL && strcmp(users, "identity") == 0;
    if (row_get(settings, "probe") != NULL) return try_namespaces();
    int mapped[2];
    if (pipe2(mapped, O_CLOEXEC) != 0) {
        fail("cannot make a pipe: %m");
        give_up();
    }
    // CLONE_PARENT: the new process is a child of weft itself, which reaps it; this helper only writes the user map.
    long namespaces = pod_is_plain ? 0 : all_namespaces;
    long pod = syscall(SYS_clone, namespaces | CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
    if (pod < 0) {
        fail("cannot make namespaces (user, mount, network, PID, UTS, IPC): %m");
        give_up();
    }
    if (pod == 0) {
        close(mapped[1]);
        become_init(settings, mapped[0]);
    }
    dprintf(report_descriptor, "pid %ld\n", pod);
    if (!pod_is_plain && map_users((pid_t)pod, pod_maps_all_users) != 0) give_up();
    if (write(mapped[1], "m", 1) != 1) {
        fail("the pod init went away: %m");
        give_up();
    }
    return 0;
}

/// Runs before `main`, and before Swift's runtime does anything: under another name this program is a pod init.
__attribute__((constructor)) static void take_over(int argc, char **argv) {
    if (argc >= 1 && argv != NULL && argv[0] != NULL && strcmp(argv[0], "weft-pod-init") == 0) _exit(run_pod_init());
}
