// The child side of a start: identity, privileges, limits, then the program.
#include "pod_image.h"
#include "pod_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/// A request's `caps` is the set of capabilities that a container may have, in hexadecimal; none without it.
static unsigned long long capabilities_kept(struct row request) {
    const char *mask = row_get(request, "caps");
    return mask == NULL ? 0 : strtoull(mask, NULL, 16);
}

/// Those that this kernel knows, of the capabilities 32 * word to 32 * word + 31.
static unsigned all_capabilities(int word) {
    unsigned known = 0;
    for (int bit = 0; bit < 32; bit++)
        if (32 * word + bit <= CAP_LAST_CAP && prctl(PR_CAPBSET_READ, 32 * word + bit, 0, 0, 0) == 1) known |= 1u << bit;
    return known;
}

static void stop_with(int errors) __attribute__((noreturn));
static void stop_with(int errors) {
    const char *why = failure();
    if (write(errors, why, strlen(why)) < 0) _exit(127);
    _exit(127);
}

static void reset_signals(void) {
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &standard, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int become_user(struct row request) {
    long uid = row_number(request, "uid", 0), gid = row_number(request, "gid", 0);
    gid_t groups[64];
    size_t count = 0;
    const char *group;
    for (const char *cursor = NULL; count < 64 && (group = row_next(request, "group", &cursor)) != NULL;)
        groups[count++] = (gid_t)strtoul(group, NULL, 10);
    if (pod_take_identity(uid, gid) != 0) return -1;
    if (pod_maps_all_users && setgroups(count, groups) != 0 && !(pod_is_plain && count == 0)) return fail("cannot set the groups: %m");
    if (setresgid((gid_t)gid, (gid_t)gid, (gid_t)gid) != 0)
        return fail("cannot run as group %ld: %m", gid);
    unsigned long long kept = capabilities_kept(request);
    for (int capability = 0; capability <= 63; capability++)
        if ((kept >> capability & 1) == 0) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    if (setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) != 0)
        return fail("cannot run as user %ld: %m", uid);
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0}, present[2] = {0};
    // Outside of a user namespace of the pod's own, weft may itself have fewer.
    if (syscall(SYS_capget, &header, present) != 0) return fail("cannot read capabilities: %m");
    for (int word = 0; uid == 0 && word < 2; word++)
        data[word].permitted = data[word].effective =
            (unsigned)(kept >> (32 * word)) & all_capabilities(word) & present[word].permitted;
    if (syscall(SYS_capset, &header, data) != 0) return fail("cannot drop capabilities: %m");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail("cannot forbid new privileges: %m");
    return pod_refuse_calls(request);
}

/// A request's `limit` is NUMBER '\n' SOFT '\n' HARD, with the kernel's number of the resource.
static void set_limits(struct row request) {
    const char *value;
    for (const char *cursor = NULL; (value = row_next(request, "limit", &cursor)) != NULL;) {
        int resource;
        unsigned long long soft, hard;
        if (sscanf(value, "%d\n%llu\n%llu", &resource, &soft, &hard) != 3) continue;
        struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
        setrlimit(resource, &limit);
    }
}

static char **strings(struct row request, const char *key) {
    char **list = calloc(row_count(request, key) + 1, sizeof *list);
    if (list == NULL) return NULL;
    const char *value;
    size_t count = 0;
    for (const char *cursor = NULL; (value = row_next(request, key, &cursor)) != NULL;) list[count++] = (char *)value;
    return list;
}

static const char *path_of(char **environment) {
    for (char **entry = environment; *entry != NULL; entry++)
        if (strncmp(*entry, "PATH=", 5) == 0) return *entry + 5;
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/// `execvpe` that says what it tried: a name with a slash is one file, any other is looked for in PATH.
static int execute(char **arguments, char **environment) {
    const char *name = arguments[0];
    if (name == NULL || *name == 0) return fail("no command: give the container a command or the image one");
    if (strchr(name, '/') != NULL) {
        execve(name, arguments, environment);
        return fail("exec %s: %m", name);
    }
    const char *path = path_of(environment);
    char candidate[4096];
    int denied = 0;
    for (const char *at = path; at != NULL;) {
        const char *end = strchr(at, ':');
        int length = end == NULL ? (int)strlen(at) : (int)(end - at);
        if (snprintf(candidate, sizeof candidate, "%.*s/%s", length, at, name) < (int)sizeof candidate && length > 0) {
            execve(candidate, arguments, environment);
            if (errno == EACCES) denied = 1;
            if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) return fail("exec %s: %m", candidate);
        }
        at = end == NULL ? NULL : end + 1;
    }
    if (denied) return fail("exec %s: Permission denied (PATH is %s)", name, path);
    return fail("exec %s: not found in PATH (%s)", name, path);
}

/// Into the root of an image; a runtime that was asked for does the rest, and this does not return.
static void enter_image(struct row request, int errors) {
    const char *rank = row_get(request, "oom");
    // Higher is always allowed; it decides who goes first when the machine has no memory left.
    if (rank != NULL && write_file("/proc/self/oom_score_adj", rank) != 0) errno = 0;
    if (pod_image_root(request) != 0) stop_with(errors);
    if (row_get(request, "runtime") != NULL) pod_run_by_runtime(request, errors);
    if (pod_enter_image(request) != 0) stop_with(errors);
}

void run_program(struct row request, int errors) {
    setsid();
    reset_signals();
    if (pod_is_plain) prctl(PR_SET_PDEATHSIG, SIGKILL);
    const char *joins = row_get(request, "mounts-of"), *directory = row_get(request, "cwd");
    const char *name = row_get(request, "name");
    if (pod_join_groups(name == NULL ? "" : name) != 0) stop_with(errors);
    if (pod_is_plain) {
        // The machine's own files, as they are.
    } else if (joins != NULL) {
        int space = open(joins, O_RDONLY | O_CLOEXEC);
        if (space < 0 || setns(space, CLONE_NEWNS) != 0) {
            fail("cannot enter the container: %m");
            stop_with(errors);
        }
    } else if (pod_is_image(request)) {
        enter_image(request, errors);
    } else if (pod_container_mounts(request) != 0) {
        stop_with(errors);
    }
    set_limits(request);
    if (become_user(request) != 0) stop_with(errors);
    if (directory == NULL || *directory == 0) directory = "/";
    if (chdir(directory) != 0) {
        fail("working directory %s: %m", directory);
        stop_with(errors);
    }
    char **arguments = strings(request, "arg"), **environment = strings(request, "env");
    if (arguments == NULL || environment == NULL)
        fail("out of memory");
    else
        execute(arguments, environment);
    stop_with(errors);
}
