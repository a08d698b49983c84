// Writes of a container's own, where a pod has several: an overlay over each directory that they would share, in the
// container's mount namespace. They are gone with the run, as on a cluster.
#include "pod_mounts.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/// Where the writes of this container lie until the store is hidden from it; the overlays hold on to them.
#define PLACE STORE "/.own"

enum { mount_limit = 512, nested_limit = 64 };

struct places {
    char *paths[mount_limit];
    int overlays[mount_limit];
    int count;
    int incomplete;
};

static int is_inside(const char *path, const char *directory) {
    size_t length = strlen(directory);
    return strncmp(path, directory, length) == 0 && path[length] == '/';
}

static int is_kept(const char *path) {
    static const char *const kept[] = {"/dev", "/proc", "/sys", STORE};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (strcmp(path, kept[i]) == 0 || is_inside(path, kept[i])) return 1;
    return strcmp(path, "/") == 0;
}

static void add_place(struct places *places, const char *path, int overlay) {
    for (int i = 0; i < places->count; i++) {
        if (strcmp(places->paths[i], path) != 0) continue;
        places->overlays[i] = overlay;
        return;
    }
    places->incomplete |= places->count == mount_limit;
    if (places->incomplete || (places->paths[places->count] = strdup(path)) == NULL) {
        places->incomplete = 1;
        return;
    }
    places->overlays[places->count++] = overlay;
}

/// Every mount outside the kernel's directories, in the order in which they were made.
static int read_places(struct places *places) {
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    if (mounts == NULL) return fail("cannot read the container's mounts: %m");
    char *line = NULL, path[PATH_MAX];
    size_t capacity = 0;
    // Plain directories of the pod's root that programs write to.
    add_place(places, "/tmp", 1);
    add_place(places, "/run", 1);
    while (getline(&line, &capacity, mounts) > 0) {
        const char *kind = strstr(line, " - ");
        if (kind == NULL || sscanf(line, "%*s %*s %*s %*s %4095s", path) != 1) continue;
        unescape_mount(path);
        if (!is_kept(path)) add_place(places, path, strncmp(kind, " - overlay ", 11) == 0);
    }
    free(line);
    fclose(mounts);
    return 0;
}

/// Puts an overlay over one directory. Mounts below it are taken before and put on again after, for some of them hide what
/// containers must not see. 0, also when the directory stays shared, or -1 (`fail`).
static int cover(const struct places *places, int index) {
    const char *path = places->paths[index];
    int taken[nested_limit], trees[nested_limit], count = 0, result = 0;
    for (int i = 0; i < places->count; i++) {
        int known = 0;
        if (i == index || !is_inside(places->paths[i], path)) continue;
        for (int j = 0; j < count; j++) known |= is_inside(places->paths[i], places->paths[taken[j]]);
        if (known) continue;
        // With one mount too many it stays shared rather than lose one.
        if (count == nested_limit) goto out;
        trees[count] = (int)syscall(
            SYS_open_tree, AT_FDCWD, places->paths[i], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE
        );
        if (trees[count] < 0) goto out;
        taken[count++] = i;
    }
    if (overlay_directory(path, path, PLACE, "own") == 0)
        for (int i = 0; i < count && result == 0; i++)
            if (syscall(SYS_move_mount, trees[i], "", AT_FDCWD, places->paths[taken[i]], MOVE_MOUNT_F_EMPTY_PATH) != 0)
                result = fail("cannot put %s back in its place: %m", places->paths[taken[i]]);
out:
    for (int i = 0; i < count; i++) close(trees[i]);
    return result;
}

int pod_own_layer(void) {
    struct places places = {.count = 0};
    if (mkdir(PLACE, 0700) != 0 && errno != EEXIST) return fail("cannot make room for the container's writes: %m");
    if (mount("tmpfs", PLACE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700") != 0)
        return fail("cannot make room for the container's writes: %m");
    if (read_places(&places) != 0) return -1;
    int result = 0;
    // A mount that is not known could be covered for good: then all stays shared.
    for (int i = 0; i < places.count && !places.incomplete && result == 0; i++)
        if (places.overlays[i]) result = cover(&places, i);
    for (int i = 0; i < places.count; i++) free(places.paths[i]);
    return result;
}
