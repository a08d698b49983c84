#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include "include/cweft_files.h"
#include "include/cweft_pod.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/// There is no lsetxattrat(2) before Linux 6.13; the last name is not followed.
static int place_of(char path[PATH_MAX], int directory, const char *name) {
    return snprintf(path, PATH_MAX, "/proc/self/fd/%d/%s", directory, name) < PATH_MAX ? 0 : ENAMETOOLONG;
}

int cweft_set_attribute(int directory, const char *name, const char *attribute, const void *value, size_t size) {
    char path[PATH_MAX];
    int error = place_of(path, directory, name);
    if (error != 0) return error;
    return lsetxattr(path, attribute, value, size, 0) == 0 ? 0 : errno;
}

int cweft_get_attribute(int directory, const char *name, const char *attribute, void *value, size_t *size) {
    char path[PATH_MAX];
    int error = place_of(path, directory, name);
    if (error != 0) return error;
    ssize_t count = lgetxattr(path, attribute, value, *size);
    if (count < 0) return errno;
    *size = (size_t)count;
    return 0;
}

int cweft_list_attributes(int directory, const char *name, char *names, size_t *size) {
    char path[PATH_MAX];
    int error = place_of(path, directory, name);
    if (error != 0) return error;
    ssize_t count = llistxattr(path, names, *size);
    if (count < 0) return errno;
    *size = (size_t)count;
    return 0;
}

int cweft_make_node(int directory, const char *name, uint32_t mode, uint32_t major, uint32_t minor) {
    return mknodat(directory, name, mode, makedev(major, minor)) == 0 ? 0 : errno;
}

int cweft_remove_entry(int directory, const char *name) {
    char path[PATH_MAX];
    int error = place_of(path, directory, name);
    return error != 0 ? error : cweft_remove_tree(path);
}

int cweft_sync(int fd) { return syncfs(fd) == 0 ? 0 : errno; }

void cweft_device_numbers(uint64_t device, uint32_t *number, uint32_t *part) {
    *number = major(device);
    *part = minor(device);
}
