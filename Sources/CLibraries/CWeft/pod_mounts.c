// The pod's own root: the host's directories under an overlay, so that a pod reads them all and its writes stay its own;
// fresh /proc, /dev, /sys, /tmp and /run; and each container's volumes in a mount namespace of its own.
#include "pod_image.h"
#include "pod_mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/// The new root while it is built, and the layer that takes the writes, both below the pod's directory.
static char root[PATH_MAX], layer[PATH_MAX];
static char hidden[PATH_MAX];

int make_read_only(const char *path) {
    struct mount_attr change = {.attr_set = MOUNT_ATTR_RDONLY};
    return (int)syscall(SYS_mount_setattr, AT_FDCWD, path, AT_RECURSIVE, &change, sizeof change);
}

static int bind_read_only(const char *source, const char *target) {
    if (mount(source, target, NULL, MS_BIND | MS_REC, NULL) != 0) return -1;
    return make_read_only(target);
}

int overlay_directory(const char *source, const char *target, const char *place, const char *name) {
    static unsigned serial;
    char upper[PATH_MAX], work[PATH_MAX], options[3 * PATH_MAX];
    struct stat facts;
    if (stat(source, &facts) != 0) return -1;
    // `:` and `,` are separators in the options of an overlay.
    if (strpbrk(source, ":,\\") != NULL || strpbrk(place, ":,\\") != NULL) return errno = EINVAL, -1;
    if (!JOIN(upper, "%s/u%u-%s", place, serial, name) || !JOIN(work, "%s/w%u", place, serial)) return -1;
    serial++;
    if (mkdir(upper, 0700) != 0 || mkdir(work, 0700) != 0) return -1;
    if (chown(upper, facts.st_uid, facts.st_gid) != 0) errno = 0;  // another owner's id may have no mapping
    chmod(upper, facts.st_mode & 07777);
    for (int user_attributes = 1; user_attributes >= 0; user_attributes--) {
        if (!JOIN(
                options, "lowerdir=%s,upperdir=%s,workdir=%s%s", source, upper, work, user_attributes ? ",userxattr" : ""
            ))
            return -1;
        if (mount("overlay", target, "overlay", MS_NOSUID | MS_NODEV, options) == 0) return 0;
    }
    return -1;
}

/// Shows the directory `source` at `target`: under an overlay when the file system can, read-only otherwise.
static int show_directory(const char *source, const char *target, const char *name) {
    return overlay_directory(source, target, layer, name) == 0 ? 0 : bind_read_only(source, target);
}

/// `/proc/self/mountinfo` writes blanks and backslashes of a path as three octal digits.
void unescape_mount(char *path) {
    char *to = path;
    for (char *from = path; *from != 0;) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] != 0 && from[3] != 0) {
            *to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to++ = *from++;
        }
    }
    *to = 0;
}

static int is_below(const char *path, const char *directory) {
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 && (path[length] == '/' || path[length] == 0);
}

static int is_own(const char *path) {
    static const char *const made_fresh[] = {"/proc", "/sys", "/dev", "/tmp", "/run"};
    for (size_t i = 0; i < sizeof made_fresh / sizeof *made_fresh; i++)
        if (is_below(path, made_fresh[i])) return 1;
    return 0;
}

/// File systems mounted below the top-level directories are no part of an overlay: they are bound on top of it.
static void show_nested_mounts(void) {
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    if (mounts == NULL) return;
    char *line = NULL, path[PATH_MAX], target[PATH_MAX], last[PATH_MAX] = "";
    size_t capacity = 0;
    while (getline(&line, &capacity, mounts) > 0) {
        if (sscanf(line, "%*s %*s %*s %*s %4095s", path) != 1) continue;
        unescape_mount(path);
        if (strchr(path + 1, '/') == NULL || is_own(path) || is_below(path, root) || is_below(path, layer)) continue;
        if (hidden[0] != 0 && is_below(path, hidden)) continue;
        if (last[0] != 0 && is_below(path, last)) continue;  // came with the recursive bind above it
        if (!JOIN(target, "%s%s", root, path)) continue;
        if (bind_read_only(path, target) == 0) strcpy(last, path);
    }
    free(line);
    fclose(mounts);
}

static int show_host(void) {
    DIR *top = opendir("/");
    if (top == NULL) return fail("cannot read /: %m");
    struct dirent *entry;
    int result = 0;
    while (result == 0 && (entry = readdir(top)) != NULL) {
        char source[PATH_MAX], target[PATH_MAX], link[PATH_MAX];
        struct stat facts;
        if (entry->d_name[0] == '.' || !JOIN(source, "/%s", entry->d_name) || is_own(source)) continue;
        if (strcmp(entry->d_name, "lost+found") == 0 || !JOIN(target, "%s%s", root, source)) continue;
        if (lstat(source, &facts) != 0) continue;
        if (S_ISLNK(facts.st_mode)) {
            ssize_t length = readlink(source, link, sizeof link - 1);
            if (length < 0) continue;
            link[length] = 0;
            if (symlink(link, target) != 0) result = fail("cannot make the link %s: %m", target);
        } else if (S_ISDIR(facts.st_mode)) {
            if (mkdir(target, 0755) != 0 || show_directory(source, target, entry->d_name) != 0) rmdir(target);
        }
    }
    closedir(top);
    if (result == 0) show_nested_mounts();
    return result;
}

static int make_device_nodes(void) {
    static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
    static const char *const links[][2] = {
        {"/proc/self/fd", "fd"},         {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
        {"/proc/self/fd/2", "stderr"},   {"pts/ptmx", "ptmx"},
    };
    char source[PATH_MAX], target[PATH_MAX];
    if (!JOIN(target, "%s/dev", root) || mkdir(target, 0755) != 0) return fail("cannot make /dev: %m");
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        if (!JOIN(source, "/dev/%s", nodes[i]) || !JOIN(target, "%s/dev/%s", root, nodes[i])) return fail("/dev");
        int fd = open(target, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
        if (fd >= 0) close(fd);
        if (fd < 0 || mount(source, target, NULL, MS_BIND, NULL) != 0) return fail("cannot bind %s: %m", source);
    }
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (!JOIN(target, "%s/dev/%s", root, links[i][1]) || symlink(links[i][0], target) != 0)
            return fail("cannot make /dev/%s: %m", links[i][1]);
    if (JOIN(target, "%s/dev/shm", root) && mkdir(target, 0777) == 0) chmod(target, 01777);
    if (JOIN(target, "%s/dev/pts", root) && mkdir(target, 0755) == 0)
        mount("devpts", target, "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620");
    return 0;
}

/// The kernel's own files. Root of the pod is root of the host by number, so what that number may write is masked.
static int make_kernel_views(void) {
    static const char *const frozen[] = {"sys", "sysrq-trigger", "irq", "bus", "fs"};
    static const char *const masked[] = {
        "kcore", "keys", "timer_list", "latency_stats", "sched_debug", "interrupts", "kmsg", "kallsyms",
    };
    static const char *const closed[] = {"proc/acpi", "proc/asound", "proc/scsi", "sys/firmware", "sys/devices/virtual/powercap"};
    char target[PATH_MAX];
    if (!JOIN(target, "%s/proc", root) || mkdir(target, 0555) != 0) return fail("cannot make /proc: %m");
    if (mount("proc", target, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
        return fail("cannot mount the pod's /proc: %m");
    for (size_t i = 0; i < sizeof frozen / sizeof *frozen; i++) {
        if (!JOIN(target, "%s/proc/%s", root, frozen[i]) || access(target, F_OK) != 0) continue;
        if (bind_read_only(target, target) != 0) return fail("cannot protect /proc/%s: %m", frozen[i]);
    }
    for (size_t i = 0; i < sizeof masked / sizeof *masked; i++) {
        if (!JOIN(target, "%s/proc/%s", root, masked[i]) || access(target, F_OK) != 0) continue;
        if (mount("/dev/null", target, NULL, MS_BIND, NULL) != 0) return fail("cannot mask /proc/%s: %m", masked[i]);
    }
    if (JOIN(target, "%s/sys", root) && mkdir(target, 0555) == 0)
        mount("sysfs", target, "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL);
    for (size_t i = 0; i < sizeof closed / sizeof *closed; i++) {
        if (!JOIN(target, "%s/%s", root, closed[i]) || access(target, F_OK) != 0) continue;
        mount("tmpfs", target, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=0555");
    }
    return 0;
}

static int make_scratch(void) {
    static const char *const open_to_all[] = {"/tmp", "/run/lock"};
    char target[PATH_MAX];
    if (JOIN(target, "%s/run", root)) mkdir(target, 0755);
    for (size_t i = 0; i < 2; i++) {
        if (!JOIN(target, "%s%s", root, open_to_all[i]) || mkdir(target, 0777) != 0 || chmod(target, 01777) != 0)
            return fail("cannot make %s: %m", open_to_all[i]);
    }
    return 0;
}

static int hide(struct row settings) {
    const char *path = row_get(settings, "hide");
    char target[PATH_MAX];
    if (path == NULL || !JOIN(target, "%s%s", root, path) || access(target, F_OK) != 0) return 0;
    if (mount("tmpfs", target, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "size=4k,mode=0555") != 0)
        return fail("cannot hide %s from the pod: %m", path);
    return 0;
}

/// Directories of images that lie where the pod has fresh directories of its own.
static int show_trees(struct row settings) {
    const char *tree;
    char target[PATH_MAX];
    for (const char *cursor = NULL; (tree = row_next(settings, "tree", &cursor)) != NULL;) {
        if (!is_own(tree)) continue;
        if (!JOIN(target, "%s%s", root, tree) || make_directories(target, 0755) != 0)
            return fail("cannot make %s in the pod: %m", tree);
        if (show_directory(tree, target, "tree") != 0) return fail("cannot show the directory %s: %m", tree);
        // It may hold weft's state: that is hidden again.
        if (hidden[0] != 0 && is_below(hidden, tree) && hide(settings) != 0) return -1;
    }
    return 0;
}

int make_mount_point(const char *path, int directory) {
    struct stat facts;
    if (stat(path, &facts) == 0) return 0;
    if (directory) return make_directories(path, 0755);
    char parent[PATH_MAX];
    if (!JOIN(parent, "%s", path)) return errno = ENAMETOOLONG, -1;
    char *slash = strrchr(parent, '/');
    if (slash != NULL && slash != parent) {
        *slash = 0;
        if (make_directories(parent, 0755) != 0) return -1;
    }
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0) return -1;
    close(fd);
    return 0;
}

/// A volume in memory: `tmpfs:` and SIZE ':' MODE ':' GROUP. No size means half of the machine's memory.
static int mount_memory(const char *target, const char *wish) {
    char options[128];
    unsigned mode = 0777, group = 0;
    long long size = strtoll(wish, NULL, 10);
    const char *rest = strchr(wish, ':');
    if (rest != NULL && sscanf(rest, ":%o:%u", &mode, &group) < 1) return errno = EINVAL, -1;
    int length = snprintf(options, sizeof options, "mode=%o", mode);
    if (size > 0) length += snprintf(options + length, sizeof options - (size_t)length, ",size=%lld", size);
    if (group > 0) snprintf(options + length, sizeof options - (size_t)length, ",gid=%u", group);
    if (mkdir(target, 0777) != 0) return -1;
    return mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, options);
}

/// Binds every volume below STORE, from which containers mount them.
static int gather_volumes(struct row settings) {
    const char *value;
    char name[256], target[PATH_MAX];
    if (!JOIN(target, "%s" STORE, root) || mkdir(target, 0700) != 0) return fail("cannot make " STORE ": %m");
    if (mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=0700") != 0)
        return fail("cannot mount " STORE ": %m");
    for (const char *cursor = NULL; (value = row_next(settings, "volume", &cursor)) != NULL;) {
        const char *source = strchr(value, '\n');
        struct stat facts;
        if (source == NULL || (size_t)(source - value) >= sizeof name) return fail("setting volume is malformed");
        memcpy(name, value, (size_t)(source - value));
        name[source - value] = 0;
        source++;
        if (strchr(name, '/') != NULL || name[0] == '.') return fail("volume name %s is malformed", name);
        if (strncmp(source, "tmpfs:", 6) == 0) {
            if (!JOIN(target, "%s" STORE "/%s", root, name) || mount_memory(target, source + 6) != 0)
                return fail("volume %s: cannot mount a tmpfs: %m", name);
            continue;
        }
        if (stat(source, &facts) != 0) return fail("volume %s: %s: %m", name, source);
        if (!JOIN(target, "%s" STORE "/%s", root, name) || make_mount_point(target, S_ISDIR(facts.st_mode)) != 0)
            return fail("cannot make room for the volume %s: %m", name);
        if (mount(source, target, NULL, MS_BIND | MS_REC, NULL) != 0)
            return fail("cannot bind the volume %s from %s: %m", name, source);
    }
    return pod_gather_layers(settings, root);
}

static int write_content(const char *path, const char *content) {
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0) return -1;
    size_t length = strlen(content);
    int result = write(fd, content, length) == (ssize_t)length ? 0 : -1;
    close(fd);
    return result;
}

/// A file of the pod's own. It takes the place of the host's file in the overlay; without an overlay it is bound over it.
static int write_pod_file(const char *path, const char *content, unsigned serial) {
    char target[PATH_MAX], aside[PATH_MAX];
    if (!JOIN(target, "%s%s", root, path)) return errno = ENAMETOOLONG, -1;
    if ((unlink(target) == 0 || errno == ENOENT) && write_content(target, content) == 0) return 0;
    ssize_t length = readlink(target, aside, sizeof aside - 1);
    if (length > 0) {
        aside[length] = 0;
        if (aside[0] != '/' || !is_own(aside) || !JOIN(target, "%s%s", root, aside)) return errno = ELOOP, -1;
        *strrchr(target, '/') = 0;
        if (make_directories(target, 0755) != 0 || !JOIN(target, "%s%s", root, aside)) return -1;
        return write_content(target, content);
    }
    if (!JOIN(aside, "%s/f%u", layer, serial) || write_content(aside, content) != 0) return -1;
    return mount(aside, target, NULL, MS_BIND, NULL);
}

static int write_pod_files(struct row settings) {
    const char *value;
    char path[PATH_MAX];
    unsigned serial = 0;
    for (const char *cursor = NULL; (value = row_next(settings, "file", &cursor)) != NULL; serial++) {
        const char *content = strchr(value, '\n');
        if (content == NULL || !JOIN(path, "%.*s", (int)(content - value), value)) return fail("setting file is malformed");
        if (write_pod_file(path, content + 1, serial) != 0) return fail("cannot write the pod's %s: %m", path);
    }
    return 0;
}

static int enter_root(void) {
    if (chdir(root) != 0) return fail("cannot enter the pod's root: %m");
    if (syscall(SYS_pivot_root, ".", ".") != 0) return fail("cannot make it the root: %m");
    if (umount2(".", detach) != 0) return fail("cannot leave the host's root: %m");
    if (chdir("/") != 0) return fail("cannot enter /: %m");
    return 0;
}

static int mount_scratch(const char *path, const char *options) {
    if (mkdir(path, 0700) != 0 && errno != EEXIST) return fail("cannot make %s: %m", path);
    if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) != 0) return fail("cannot mount %s: %m", path);
    return 0;
}

int pod_root(struct row settings) {
    const char *directory = row_get(settings, "pod-dir"), *state = row_get(settings, "hide");
    if (!JOIN(root, "%s/root", directory) || !JOIN(layer, "%s/layer", directory))
        return fail("the pod's directory has too long a name");
    if (state != NULL) snprintf(hidden, sizeof hidden, "%s", state);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return fail("cannot make mounts private: %m");
    if (mount_scratch(root, "mode=0755") != 0 || mount_scratch(layer, "mode=0700") != 0) return -1;
    if (show_host() != 0 || make_scratch() != 0 || make_device_nodes() != 0 || make_kernel_views() != 0) return -1;
    if (gather_volumes(settings) != 0 || hide(settings) != 0 || show_trees(settings) != 0) return -1;
    if (write_pod_files(settings) != 0) return -1;
    return enter_root();
}
