// Removing what a pod leaves behind. Its containers may have filled it: links, directories without permissions, and
// nests deeper than any path may be long.
#include "include/cweft_pod.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/// Directories open at once. What lies deeper is moved up to the top first.
enum { depth_limit = 64 };

struct removal {
    int top;
    dev_t device;
    unsigned moved;
    int error;
};

static int open_directory(int parent, const char *name) {
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(parent, name, flags);
    if (fd >= 0 || errno != EACCES || fchmodat(parent, name, 0700, 0) != 0) return fd;
    return openat(parent, name, flags);
}

static void empty(struct removal *removal, int directory, int depth);

static void remove_entry(struct removal *removal, int parent, const char *name, int depth) {
    struct stat facts;
    if (fstatat(parent, name, &facts, AT_SYMLINK_NOFOLLOW) != 0) return;
    if (!S_ISDIR(facts.st_mode)) {
        if (unlinkat(parent, name, 0) != 0 && errno != ENOENT) removal->error = errno;
        return;
    }
    if (facts.st_dev != removal->device) {
        removal->error = EXDEV;
        return;
    }
    if (depth >= depth_limit) {
        char place[32];
        snprintf(place, sizeof place, ".moved-%u", removal->moved++);
        if (renameat(parent, name, removal->top, place) != 0) removal->error = errno;
        return;
    }
    int directory = open_directory(parent, name);
    if (directory < 0) {
        removal->error = errno;
        return;
    }
    empty(removal, directory, depth + 1);
    if (unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT) removal->error = errno;
}

static void empty(struct removal *removal, int directory, int depth) {
    DIR *entries = fdopendir(directory);
    if (entries == NULL) {
        removal->error = errno;
        close(directory);
        return;
    }
    fchmod(directory, 0700);
    struct dirent *entry;
    while ((entry = readdir(entries)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_entry(removal, directory, entry->d_name, depth);
    closedir(entries);
}

int cweft_remove_tree(const char *path) {
    struct stat facts;
    if (lstat(path, &facts) != 0) return errno == ENOENT ? 0 : errno;
    if (!S_ISDIR(facts.st_mode)) return unlink(path) == 0 ? 0 : errno;
    struct removal removal = {.device = facts.st_dev};
    unsigned before;
    do {
        before = removal.moved;
        removal.error = 0;
        removal.top = open_directory(AT_FDCWD, path);
        int walk = removal.top < 0 ? -1 : open_directory(removal.top, ".");
        if (walk < 0) return errno;
        empty(&removal, walk, 0);
        close(removal.top);
    } while (removal.moved != before);
    if (rmdir(path) == 0) return 0;
    return removal.error != 0 ? removal.error : errno;
}

pid_t cweft_peer_process(int socket) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ? -errno : peer.pid;
}
