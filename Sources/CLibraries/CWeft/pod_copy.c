// A layer copied over what is there: for kernels that give a pod no overlay. Whiteouts and opaque directories are obeyed as an
// overlay would. Nothing in a layer is trusted: names are opened one by one, and links never followed.
#include "include/cweft_pod.h"
#include "pod_image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/// Directories open at once.
enum { depth_limit = 256 };

static int is_opaque(int directory) {
    char value[4];
    static const char *const names[] = {"user.overlay.opaque", "trusted.overlay.opaque"};
    for (int i = 0; i < 2; i++)
        if (fgetxattr(directory, names[i], value, sizeof value) == 1 && value[0] == 'y') return 1;
    return 0;
}

int cweft_is_opaque(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return 0;
    int result = is_opaque(fd);
    close(fd);
    return result;
}

int cweft_set_opaque(const char *path) {
    return setxattr(path, "user.overlay.opaque", "y", 1, 0) == 0 ? 0 : errno;
}

static int remove_name(int directory, const char *name, int depth) {
    if (unlinkat(directory, name, 0) == 0 || errno == ENOENT) return 0;
    if (errno != EISDIR || depth >= depth_limit) return -1;
    int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    if (entries == NULL) return -1;
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (entry = readdir(entries)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = remove_name(dirfd(entries), entry->d_name, depth + 1);
    closedir(entries);
    return result != 0 ? -1 : unlinkat(directory, name, AT_REMOVEDIR);
}

static int copy_bytes(int from, int to) {
    char bytes[65536];
    for (;;) {
        ssize_t length = read(from, bytes, sizeof bytes);
        if (length < 0 && errno == EINTR) continue;
        if (length <= 0) return (int)length;
        for (ssize_t done = 0; done < length;) {
            ssize_t written = write(to, bytes + done, (size_t)(length - done));
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) return -1;
            done += written;
        }
    }
}

static int copy_tree(int from, int to, int depth);

static int copy_directory(int from, int to, const char *name, const struct stat *facts, int depth) {
    struct stat there;
    int inner = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (inner < 0) return -1;
    int is_there = fstatat(to, name, &there, AT_SYMLINK_NOFOLLOW) == 0, result = 0;
    if (is_there && (!S_ISDIR(there.st_mode) || is_opaque(inner))) {
        result = remove_name(to, name, 0);
        is_there = 0;
    }
    if (result == 0 && !is_there) result = mkdirat(to, name, 0700);
    int outer = result != 0 ? -1 : openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (outer < 0) result = -1;
    if (result == 0) result = copy_tree(inner, outer, depth + 1);
    if (result == 0 && fchown(outer, facts->st_uid, facts->st_gid) != 0) errno = 0;
    if (result == 0) result = fchmod(outer, facts->st_mode & 07777);
    int error = errno;
    if (outer >= 0) close(outer);
    close(inner);
    errno = error;
    return result;
}

static int copy_file(int from, int to, const char *name, const struct stat *facts) {
    int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int target = source < 0 ? -1 : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int result = target < 0 ? -1 : copy_bytes(source, target);
    if (result == 0 && fchown(target, facts->st_uid, facts->st_gid) != 0) errno = 0;
    if (result == 0) result = fchmod(target, facts->st_mode & 07777);
    int error = errno;
    if (source >= 0) close(source);
    if (target >= 0) close(target);
    errno = error;
    return result;
}

static int copy_entry(int from, int to, const char *name, int depth) {
    struct stat facts;
    char link[PATH_MAX];
    if (fstatat(from, name, &facts, AT_SYMLINK_NOFOLLOW) != 0) return -1;
    if (S_ISDIR(facts.st_mode)) return copy_directory(from, to, name, &facts, depth);
    if (remove_name(to, name, 0) != 0) return -1;
    if (S_ISREG(facts.st_mode)) return copy_file(from, to, name, &facts);
    if (S_ISLNK(facts.st_mode)) {
        ssize_t length = readlinkat(from, name, link, sizeof link - 1);
        if (length < 0) return -1;
        link[length] = 0;
        if (symlinkat(link, to, name) != 0) return -1;
        if (fchownat(to, name, facts.st_uid, facts.st_gid, AT_SYMLINK_NOFOLLOW) != 0) errno = 0;
        return 0;
    }
    if (S_ISFIFO(facts.st_mode)) return mkfifoat(to, name, facts.st_mode & 07777);
    // A whiteout has done its work; devices and sockets of an image mean nothing in a pod.
    return 0;
}

static int copy_tree(int from, int to, int depth) {
    if (depth >= depth_limit) return errno = ELOOP, -1;
    int again = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = again < 0 ? NULL : fdopendir(again);
    if (entries == NULL) return -1;
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (entry = readdir(entries)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = copy_entry(from, to, entry->d_name, depth);
    int error = errno;
    closedir(entries);
    errno = error;
    return result;
}

int copy_layer(int from, int to) {
    struct stat facts;
    if (fstat(from, &facts) != 0 || copy_tree(from, to, 0) != 0) return -1;
    if (fchown(to, facts.st_uid, facts.st_gid) != 0) errno = 0;
    return fchmod(to, facts.st_mode & 07777);
}
