// Walks over what containers have written: how much it is, and to which group it belongs. Nothing in it is trusted.
#include "include/cweft_pod.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/// Directories open at once; what lies deeper is not looked at.
enum { depth_limit = 64 };

static void measure(int directory, int depth, uint64_t limit, uint64_t *bytes) {
    DIR *entries = depth < depth_limit ? fdopendir(directory) : NULL;
    if (entries == NULL) {
        close(directory);
        return;
    }
    struct dirent *entry;
    while (*bytes <= limit && (entry = readdir(entries)) != NULL) {
        struct stat facts;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (fstatat(directory, entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0) continue;
        *bytes += (uint64_t)facts.st_blocks * 512;
        if (!S_ISDIR(facts.st_mode)) continue;
        int child = openat(directory, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (child >= 0) measure(child, depth + 1, limit, bytes);
    }
    closedir(entries);
}

uint64_t cweft_tree_size(const char *path, uint64_t limit) {
    uint64_t bytes = 0;
    int top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top >= 0) measure(top, 0, limit, &bytes);
    return bytes;
}

static void give(int directory, int depth, gid_t group) {
    DIR *entries = depth < depth_limit ? fdopendir(directory) : NULL;
    if (entries == NULL) {
        close(directory);
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(entries)) != NULL) {
        struct stat facts;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (fstatat(directory, entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (S_ISLNK(facts.st_mode)) {
            if (fchownat(directory, entry->d_name, (uid_t)-1, group, AT_SYMLINK_NOFOLLOW) != 0) continue;
            continue;
        }
        // Opened first: what a name means may change under our hands, and a link must never be followed.
        int fd = openat(directory, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0) continue;
        if (fchown(fd, (uid_t)-1, group) == 0)
            fchmod(fd, (facts.st_mode & 07777) | (S_ISDIR(facts.st_mode) ? 02770 : 0660));
        if (S_ISDIR(facts.st_mode))
            give(fd, depth + 1, group);
        else
            close(fd);
    }
    closedir(entries);
}

int cweft_give_group(const char *path, gid_t group, int only_top) {
    struct stat facts;
    int top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top < 0 || fstat(top, &facts) != 0) return errno;
    int has_it = facts.st_gid == group && (facts.st_mode & 02070) == 02070;
    if (fchown(top, (uid_t)-1, group) != 0 || fchmod(top, (facts.st_mode & 07777) | 02770) != 0) {
        int error = errno;
        close(top);
        return error;
    }
    if (only_top && has_it)
        close(top);
    else
        give(top, 0, group);
    return 0;
}
