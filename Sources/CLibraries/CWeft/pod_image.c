// Containers of images made of layers. Their root is an overlay of the layers with writes of the run's own on top (on the
// disk of weft's state, else in memory; a copy where the kernel gives no overlay), in which the pod's /proc, /dev, /sys, its
// names and the container's volumes are mounted. All of it lives in the mount namespace of the process that starts the
// container: nothing of it is left when the container ends.
#include "pod_image.h"
#include "pod_mounts.h"
#include "pod_serve.h"

#include <errno.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAYERS STORE "/.layers"
#define WRITES STORE "/.writes"
/// Private to the process that starts a container. `RuntimeConfiguration.swift` knows these places too.
#define PLACE STORE "/.own"
#define ROOT PLACE "/root"
#define STAGED PLACE "/m"

enum { layer_limit = 256 };

static int bind_store(const char *source, const char *root, const char *place, int read_only) {
    char target[PATH_MAX];
    if (!JOIN(target, "%s%s", root, place) || mkdir(target, 0700) != 0) return fail("cannot make %s: %m", place);
    if (mount(source, target, NULL, MS_BIND, NULL) != 0) return fail("cannot bind %s: %m", source);
    if (read_only && make_read_only(target) != 0) return fail("cannot make %s read-only: %m", place);
    return 0;
}

int pod_gather_layers(struct row settings, const char *root) {
    const char *layers = row_get(settings, "layers"), *writes = row_get(settings, "writes");
    if (layers != NULL && bind_store(layers, root, LAYERS, 1) != 0) return -1;
    return writes == NULL ? 0 : bind_store(writes, root, WRITES, 0);
}

int pod_is_image(struct row request) { return row_get(request, "lower") != NULL; }

// MARK: Places inside the root

static int open_inside(int root, const char *path, int flags) {
    struct open_how how = {
        .flags = (unsigned long long)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, root, *path == 0 ? "." : path, &how, sizeof how);
}

/// Opens a place inside the root, however the image's links point; what is missing is made: directories, and for a file an
/// empty one. -1 with errno.
static int make_inside(int root, const char *path, int directory) {
    char prefix[PATH_MAX];
    int found = open_inside(root, path, O_PATH);
    if (found >= 0 || errno != ENOENT) return found;
    if (!JOIN(prefix, "%s", path)) return errno = ENAMETOOLONG, -1;
    size_t length = strlen(prefix);
    while (length > 1 && prefix[length - 1] == '/') prefix[--length] = 0;
    char *slash = strrchr(prefix, '/');
    if (slash == NULL || slash[1] == 0) return errno = ENOENT, -1;
    *slash = 0;
    int parent = make_inside(root, slash == prefix ? "/" : prefix, 1);
    if (parent < 0) return -1;
    int made;
    if (directory) {
        made = mkdirat(parent, slash + 1, 0755);
    } else {
        made = openat(parent, slash + 1, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (made >= 0) made = close(made);
    }
    int error = errno;
    close(parent);
    // A link that leads nowhere stands in the way.
    if (made != 0) return errno = error == EEXIST ? ENOENT : error, -1;
    return open_inside(root, path, O_PATH);
}

static int mount_inside(int root, const char *source, const char *target, int directory, int recursive) {
    char place[64];
    int opened = make_inside(root, target, directory);
    if (opened < 0) return -1;
    snprintf(place, sizeof place, "/proc/self/fd/%d", opened);
    int result = mount(source, place, NULL, MS_BIND | (recursive ? MS_REC : 0), NULL);
    int error = errno;
    close(opened);
    errno = error;
    return result;
}

// MARK: The overlay

static int is_plain_path(const char *path) {
    return *path != '/' && *path != 0 && strstr(path, "..") == NULL && strchr(path, '\n') == NULL;
}

/// Links `0`, `1` and so on to the layers, lowest first: options of a mount have one page for all names. Returns how many.
static int link_layers(struct row request) {
    char link[64], target[PATH_MAX];
    const char *layer;
    int count = 0;
    if (mkdir(PLACE "/l", 0700) != 0) return fail("cannot make room for the image's layers: %m");
    for (const char *cursor = NULL; (layer = row_next(request, "lower", &cursor)) != NULL; count++) {
        if (count == layer_limit) return fail("the image has more than %d layers", layer_limit);
        if (!is_plain_path(layer) || !JOIN(target, LAYERS "/%s", layer)) return fail("a layer has a malformed name");
        snprintf(link, sizeof link, PLACE "/l/%d", count);
        if (access(target, F_OK) != 0) return fail("the image's layer %s is not there: %m", layer);
        if (symlink(target, link) != 0) return fail("cannot make room for the image's layers: %m");
    }
    return count;
}

/// Makes the two directories of an overlay's writes. The upper one shows as the root itself: it looks like the image's own.
static int make_writes(const char *place, const char *top, char *upper, char *work, size_t size) {
    struct stat facts;
    if (stat(top, &facts) != 0 || make_directories(place, 0700) != 0) return -1;
    if ((size_t)snprintf(upper, size, "%s/u", place) >= size || (size_t)snprintf(work, size, "%s/w", place) >= size)
        return errno = ENAMETOOLONG, -1;
    if (mkdir(upper, 0700) != 0 || mkdir(work, 0700) != 0) return -1;
    if (chown(upper, facts.st_uid, facts.st_gid) != 0) errno = 0;
    return chmod(upper, facts.st_mode & 07777);
}

static int overlay_layers(int count, const char *place) {
    char upper[PATH_MAX], work[PATH_MAX], top[64], options[4096];
    snprintf(top, sizeof top, PLACE "/l/%d", count - 1);
    if (make_writes(place, top, upper, work, sizeof upper) != 0) return -1;
    int length = snprintf(options, sizeof options, "lowerdir=");
    for (int i = count - 1; i >= 0; i--)
        length += snprintf(options + length, sizeof options - (size_t)length, i == 0 ? "%d" : "%d:", i);
    length += snprintf(
        options + length, sizeof options - (size_t)length, ",upperdir=%s,workdir=%s,userxattr,volatile", upper, work
    );
    if ((size_t)length >= sizeof options) return errno = ENAMETOOLONG, -1;
    if (chdir(PLACE "/l") != 0) return -1;
    int result = mount("overlay", ROOT, "overlay", MS_NOSUID | MS_NODEV, options);
    int error = errno;
    if (chdir("/") != 0) return -1;
    errno = error;
    return result;
}

static int copy_layers(int count, const char *place) {
    char path[PATH_MAX], layer[64];
    if (!JOIN(path, "%s/copy", place) || make_directories(path, 0755) != 0) return -1;
    int to = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = to < 0 ? -1 : 0;
    for (int i = 0; i < count && result == 0; i++) {
        snprintf(layer, sizeof layer, PLACE "/l/%d", i);
        int from = open(layer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        result = from < 0 ? -1 : copy_layer(from, to);
        if (from >= 0) close(from);
    }
    if (to >= 0) close(to);
    return result != 0 ? -1 : mount(path, ROOT, NULL, MS_BIND, NULL);
}

/// Shows the image at ROOT: with writes on the disk, else in memory; as a copy where no overlay can be had.
static int show_image(struct row request) {
    const char *writes = row_get(request, "writes"), *manner = row_get(request, "overlay");
    char place[PATH_MAX] = PLACE "/w";
    int count = link_layers(request);
    if (count < 0) return -1;
    if (count == 0) return fail("the image has no layers");
    int has_disk = writes != NULL && is_plain_path(writes) && JOIN(place, WRITES "/%s", writes);
    if (manner == NULL || strcmp(manner, "copy") != 0) {
        if (has_disk && overlay_layers(count, place) == 0) return 0;
        if (overlay_layers(count, PLACE "/w") == 0) return 0;
    }
    int why = errno;
    if (copy_layers(count, has_disk ? place : PLACE "/w") == 0) return 0;
    return fail(
        "cannot show the image: no overlay (%s), and its layers cannot be copied: %s", strerror(why), strerror(errno)
    );
}

// MARK: The root

static int mount_pod_views(int root) {
    static const char *const views[] = {"/proc", "/dev", "/sys"};
    static const char *const files[] = {"/etc/resolv.conf", "/etc/hostname", "/etc/hosts"};
    for (size_t i = 0; i < sizeof views / sizeof *views; i++)
        if (mount_inside(root, views[i], views[i], 1, 1) != 0) return fail("cannot mount %s: %m", views[i]);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (access(files[i], F_OK) == 0 && mount_inside(root, files[i], files[i], 0, 0) != 0)
            return fail("cannot mount %s: %m", files[i]);
    return 0;
}

static int mount_volume(int root, const struct mount_wish *wish) {
    struct stat facts;
    char source[64];
    int opened = open_mount_source(wish);
    if (opened < 0) return -1;
    if (fstat(opened, &facts) != 0) return fail("mount %s: %m", wish->target);
    snprintf(source, sizeof source, "/proc/self/fd/%d", opened);
    if (mount_inside(root, source, wish->target, S_ISDIR(facts.st_mode), 1) != 0)
        return fail("mount %s: %m", wish->target);
    close(opened);
    if (!wish->read_only) return 0;
    int place = open_inside(root, wish->target, O_PATH);
    snprintf(source, sizeof source, "/proc/self/fd/%d", place);
    if (place < 0 || make_read_only(source) != 0) return fail("mount %s read-only: %m", wish->target);
    close(place);
    return 0;
}

/// Puts a volume where the runtime's configuration names it: its own look at a subPath could be led astray.
static int stage_volume(const struct mount_wish *wish, int number) {
    struct stat facts;
    char source[64], target[64];
    int opened = open_mount_source(wish);
    if (opened < 0) return -1;
    snprintf(source, sizeof source, "/proc/self/fd/%d", opened);
    snprintf(target, sizeof target, STAGED "/%d", number);
    if (fstat(opened, &facts) != 0 || make_mount_point(target, S_ISDIR(facts.st_mode)) != 0
        || mount(source, target, NULL, MS_BIND | MS_REC, NULL) != 0)
        return fail("mount %s: %m", wish->target);
    close(opened);
    if (wish->read_only && make_read_only(target) != 0) return fail("mount %s read-only: %m", wish->target);
    return 0;
}

static int mount_volumes(struct row request, int root, int by_runtime) {
    static struct mount_wish wish;
    const char *value;
    int number = 0;
    if (by_runtime && mkdir(STAGED, 0700) != 0) return fail("cannot make room for the volumes: %m");
    for (const char *cursor = NULL; (value = row_next(request, "mount", &cursor)) != NULL; number++) {
        if (read_mount_wish(value, &wish) != 0) return -1;
        if ((by_runtime ? stage_volume(&wish, number) : mount_volume(root, &wish)) != 0) return -1;
    }
    return 0;
}

/// A container sees its own control group as the top one, as it would on a cluster: runtimes of languages look there for
/// their limits, and runc and crun want to see the kernel's layout, which they may not change.
static void show_groups(void) {
    static const char place[] = "/sys/fs/cgroup";
    const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (unshare(CLONE_NEWCGROUP) == 0 && mount("cgroup2", place, "cgroup2", flags, NULL) == 0) return;
    // crun takes an empty directory of a known kind for a layout without controllers.
    if (mount("tmpfs", place, "tmpfs", flags, "size=4k,mode=0555") != 0) errno = 0;
}

int pod_image_root(struct row request) {
    const char *limit = row_get(request, "writes-limit"), *directory = row_get(request, "cwd");
    char options[64] = "mode=0700";
    int by_runtime = row_get(request, "runtime") != NULL;
    if (unshare(CLONE_NEWNS) != 0) return fail("cannot make a mount namespace: %m");
    show_groups();
    if (limit != NULL && strtoll(limit, NULL, 10) > 0)
        snprintf(options, sizeof options, "mode=0700,size=%lld", strtoll(limit, NULL, 10));
    if ((mkdir(PLACE, 0700) != 0 && errno != EEXIST) || mount("tmpfs", PLACE, "tmpfs", MS_NOSUID | MS_NODEV, options) != 0)
        return fail("cannot make room for the container's root: %m");
    if (mkdir(ROOT, 0755) != 0 || show_image(request) != 0) return -1;
    int root = open(ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) return fail("cannot open the container's root: %m");
    if (directory != NULL && *directory == '/') {
        int made = make_inside(root, directory, 1);
        if (made < 0) return fail("working directory %s: %m", directory);
        close(made);
    }
    if (!by_runtime && mount_pod_views(root) != 0) return -1;
    if (mount_volumes(request, root, by_runtime) != 0) return -1;
    close(root);
    return 0;
}

int pod_enter_image(struct row request) {
    const char *manner = row_get(request, "root");
    struct mount_attr change = {.attr_set = MOUNT_ATTR_RDONLY};
    if (manner != NULL && strcmp(manner, "ro") == 0
        && syscall(SYS_mount_setattr, AT_FDCWD, ROOT, 0, &change, sizeof change) != 0)
        return fail("cannot make the root read-only: %m");
    if (chdir(ROOT) != 0) return fail("cannot enter the container's root: %m");
    if (syscall(SYS_pivot_root, ".", ".") != 0) return fail("cannot make it the root: %m");
    if (umount2(".", detach) != 0) return fail("cannot leave the pod's root: %m");
    if (chdir("/") != 0) return fail("cannot enter /: %m");
    // Programs open their own /dev/stdout, and these pipes are root's.
    uid_t user = (uid_t)row_number(request, "uid", 0);
    if (pod_maps_all_users && user != 0 && (fchown(1, user, (gid_t)-1) != 0 || fchown(2, user, (gid_t)-1) != 0)) errno = 0;
    return 0;
}

// MARK: By a runtime

static void tell(int errors, const char *word) __attribute__((noreturn));
static void tell(int errors, const char *word) {
    _exit(write(errors, word, strlen(word)) < 0 ? 127 : *word == image_process ? 0 : 127);
}

static int write_bundle(struct row request) {
    const char *config = row_get(request, "config");
    if (config == NULL) return fail("no configuration for the runtime");
    int fd = open(PLACE "/config.json", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    size_t length = strlen(config);
    if (fd < 0 || write(fd, config, length) != (ssize_t)length) return fail("cannot write the runtime's bundle: %m");
    close(fd);
    return 0;
}

static void become_runtime(struct row request) __attribute__((noreturn));
static void become_runtime(struct row request) {
    const char *program = row_get(request, "runtime"), *name = row_get(request, "name");
    char *arguments[24], *environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    const char *option;
    int count = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    arguments[count++] = (char *)program;
    for (const char *cursor = NULL; count < 12 && (option = row_next(request, "runtime-option", &cursor)) != NULL;)
        arguments[count++] = (char *)option;
    char *const rest[] = {
        "--root", PLACE "/state", "--log", PLACE "/log", "run", "--detach", "--pid-file", PLACE "/pid", "--bundle", PLACE,
    };
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) arguments[count++] = rest[i];
    arguments[count++] = (char *)(name == NULL ? "container" : name);
    arguments[count] = NULL;
    execve(program, arguments, environment);
    _exit(126);
}

/// The last line that the runtime logged.
static const char *last_words(char *buffer, size_t size) {
    int fd = open(PLACE "/log", O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    ssize_t length = fd < 0 ? 0 : pread(fd, buffer, size - 1, end > (off_t)size - 1 ? end - (off_t)size + 1 : 0);
    if (fd >= 0) close(fd);
    if (length <= 0) return "it said nothing";
    buffer[length] = 0;
    while (length > 0 && (buffer[length - 1] == '\n' || buffer[length - 1] == ' ')) buffer[--length] = 0;
    char *line = strrchr(buffer, '\n');
    return line == NULL ? buffer : line + 1;
}

void pod_run_by_runtime(struct row request, int errors) {
    char words[700], word[900], number[32];
    const char *program = row_get(request, "runtime");
    sigset_t every;
    // Whoever wants the container to end is made to wait until it is known: only SIGKILL ends this process.
    sigfillset(&every);
    sigprocmask(SIG_SETMASK, &every, NULL);
    if (write_bundle(request) != 0) tell(errors, failure());
    int status = 0;
    // Not `fork`: see `launch`.
    pid_t runtime = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (runtime == 0) become_runtime(request);
    if (runtime < 0 || waitpid(runtime, &status, 0) != runtime) tell(errors, "the runtime cannot be started");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        snprintf(word, sizeof word, "%s: %s", program, last_words(words, sizeof words));
        tell(errors, word);
    }
    int fd = open(PLACE "/pid", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, number, sizeof number - 1);
    if (length <= 0) tell(errors, "the runtime did not say which process it started");
    number[length] = 0;
    snprintf(word, sizeof word, "%c%ld", image_process, strtol(number, NULL, 10));
    tell(errors, word);
}
