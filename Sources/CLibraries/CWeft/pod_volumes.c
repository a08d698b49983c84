// A container's own view: its volumes, and its root read-only where it wants that, in a mount namespace of its own.
#include "pod_mounts.h"

#include <errno.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int read_mount_wish(const char *value, struct mount_wish *wish) {
    if (!JOIN(wish->text, "%s", value)) return fail("a mount has too long a name");
    char *parts[4] = {wish->text};
    for (int i = 1; i < 4; i++) {
        parts[i] = strchr(parts[i - 1], '\n');
        if (parts[i] == NULL) return fail("a mount is malformed");
        *parts[i]++ = 0;
    }
    wish->volume = parts[0];
    wish->part = parts[1];
    wish->target = parts[2];
    wish->read_only = strcmp(parts[3], "ro") == 0;
    return 0;
}

/// Opens a name that must not lead out of `directory`, however its links point.
static int open_beneath(int directory, const char *name) {
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, directory, name, &how, sizeof how);
}

/// Opens `part` of a volume; directories that are not there yet are made like the volume's own, as in Kubernetes.
static int open_part(int volume, const char *part) {
    char prefix[PATH_MAX];
    struct stat facts;
    int found = open_beneath(volume, part);
    if (found >= 0 || errno != ENOENT || fstat(volume, &facts) != 0) return found;
    for (const char *end = part; end != NULL;) {
        end = strchr(end + 1, '/');
        size_t length = end == NULL ? strlen(part) : (size_t)(end - part);
        if (!JOIN(prefix, "%.*s", (int)length, part)) return errno = ENAMETOOLONG, -1;
        found = open_beneath(volume, prefix);
        if (found < 0 && errno == ENOENT) {
            char *slash = strrchr(prefix, '/');
            const char *name = slash == NULL ? prefix : slash + 1;
            if (slash != NULL) *slash = 0;
            int parent = slash == NULL ? dup(volume) : open_beneath(volume, prefix);
            if (parent < 0) return -1;
            int made = *name == 0 || mkdirat(parent, name, 0755);
            if (made == 0) fchmodat(parent, name, facts.st_mode & 07777, 0);
            if (made == 0 && fchownat(parent, name, facts.st_uid, facts.st_gid, AT_SYMLINK_NOFOLLOW) != 0) errno = 0;
            close(parent);
            if (made != 0) return -1;
        } else if (found < 0) {
            return -1;
        } else {
            close(found);
        }
    }
    return open_beneath(volume, part);
}

static int open_source(const struct mount_wish *wish) {
    char path[PATH_MAX];
    if (!JOIN(path, STORE "/%s", wish->volume)) return errno = ENAMETOOLONG, -1;
    int volume = open(path, O_PATH | O_CLOEXEC | O_NOFOLLOW);
    if (volume < 0 || wish->part[0] == 0) return volume;
    int part = open_part(volume, wish->part);
    int error = errno;
    close(volume);
    errno = error;
    return part;
}

int open_mount_source(const struct mount_wish *wish) {
    int opened = open_source(wish);
    if (opened < 0 && errno == EXDEV)
        return fail("mount %s: subPath %s leads out of the volume %s", wish->target, wish->part, wish->volume);
    return opened < 0 ? fail("mount %s: volume %s, subPath %s: %m", wish->target, wish->volume, wish->part) : opened;
}

static int mount_volume(const struct mount_wish *wish) {
    const char *target = wish->target;
    struct stat facts;
    char source[64];
    int opened = open_mount_source(wish);
    if (opened < 0) return -1;
    if (fstat(opened, &facts) != 0) return fail("mount %s: %m", target);
    snprintf(source, sizeof source, "/proc/self/fd/%d", opened);
    if (make_mount_point(target, S_ISDIR(facts.st_mode)) != 0) return fail("mount %s: cannot make it: %m", target);
    if (mount(source, target, NULL, MS_BIND | MS_REC, NULL) != 0) return fail("mount %s: %m", target);
    close(opened);
    if (wish->read_only && make_read_only(target) != 0) return fail("mount %s read-only: %m", target);
    return 0;
}

static int is_device_or_kernel(const char *path) {
    static const char *const kept[] = {"/dev", "/proc", STORE};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        size_t length = strlen(kept[i]);
        if (strncmp(path, kept[i], length) == 0 && (path[length] == '/' || path[length] == 0)) return 1;
    }
    return 0;
}

/// Makes the pod's root read-only for this container: every mount but devices and the kernel's files.
static int freeze_root(void) {
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    if (mounts == NULL) return fail("cannot read the container's mounts: %m");
    char *line = NULL, path[PATH_MAX];
    size_t capacity = 0;
    int result = 0;
    while (result == 0 && getline(&line, &capacity, mounts) > 0) {
        if (sscanf(line, "%*s %*s %*s %*s %4095s", path) != 1) continue;
        unescape_mount(path);
        if (is_device_or_kernel(path)) continue;
        struct mount_attr change = {.attr_set = MOUNT_ATTR_RDONLY};
        // What lies under another mount, or in a directory that this user may not enter, cannot be reached, and need not be.
        if (syscall(SYS_mount_setattr, AT_FDCWD, path, 0, &change, sizeof change) != 0 && errno != ENOENT && errno != EINVAL &&
            errno != EACCES)
            result = fail("cannot make %s read-only: %m", path);
    }
    free(line);
    fclose(mounts);
    return result;
}

/// Runs over a request's mounts: `volumes` 0 makes the places they stand on, 1 mounts them.
static int each_mount(struct row request, int volumes) {
    struct mount_wish wish;
    const char *value;
    for (const char *cursor = NULL; (value = row_next(request, "mount", &cursor)) != NULL;) {
        if (read_mount_wish(value, &wish) != 0) return -1;
        if (volumes) {
            if (mount_volume(&wish) != 0) return -1;
            continue;
        }
        struct stat facts;
        int opened = open_source(&wish);
        int directory = opened < 0 || fstat(opened, &facts) != 0 || S_ISDIR(facts.st_mode);
        if (opened >= 0) close(opened);
        // Inside another volume it is made when that one is mounted.
        make_mount_point(wish.target, directory);
    }
    return 0;
}

int pod_container_mounts(struct row request) {
    const char *root = row_get(request, "root"), *own = row_get(request, "layer");
    if (unshare(CLONE_NEWNS) != 0) return fail("cannot make a mount namespace: %m");
    if (own != NULL && strcmp(own, "own") == 0 && pod_own_layer() != 0) return -1;
    if (root != NULL && strcmp(root, "ro") == 0 && (each_mount(request, 0) != 0 || freeze_root() != 0)) return -1;
    if (each_mount(request, 1) != 0) return -1;
    if (umount2(STORE, detach) != 0) return fail("cannot hide the volumes of other containers: %m");
    return 0;
}
