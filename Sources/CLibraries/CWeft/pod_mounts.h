/// What building the pod's root and a container's mounts have in common.
#ifndef WEFT_POD_MOUNTS_H
#define WEFT_POD_MOUNTS_H
#include "pod_settings.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdio.h>

// glibc's <sys/mount.h> and <linux/mount.h> cannot be included together before glibc 2.37.
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);
enum { detach = 2 };  // MNT_DETACH

/// Where the volumes of the pod wait for its containers.
#define STORE "/.weft"

#define JOIN(buffer, ...) ((size_t)snprintf(buffer, sizeof buffer, __VA_ARGS__) < sizeof buffer)

/// Makes a mount and all below it read-only. 0 or -1 with errno.
int make_read_only(const char *path);
/// Mounts an overlay over the directory `source` at `target`; what is written goes to new directories in `place`. 0 or -1.
int overlay_directory(const char *source, const char *target, const char *place, const char *name);
/// Gives this mount namespace writes of its own: overlays over everything that the pod's containers would share. What cannot
/// have one stays shared. 0 or -1 (`fail`).
int pod_own_layer(void);
/// Makes what a mount needs to stand on: a directory, or an empty file. 0 or -1 with errno.
int make_mount_point(const char *path, int directory);
/// `/proc/self/mountinfo` writes blanks and backslashes of a path as three octal digits: turns them back, in place.
void unescape_mount(char *path);

/// A mount of a request: VOLUME '\n' SUBPATH '\n' TARGET '\n' (`ro` or `rw`).
struct mount_wish {
    char text[3 * PATH_MAX];
    const char *volume, *part, *target;
    int read_only;
};

/// Reads one. 0 or -1 (`fail`).
int read_mount_wish(const char *value, struct mount_wish *wish);
/// Opens what it wants mounted, which never lies outside of its volume. The descriptor or -1 (`fail`).
int open_mount_source(const struct mount_wish *wish);

#endif
