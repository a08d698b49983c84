/// What the pod init is told, and the small tools that its files share.
///
/// Settings, requests and replies are rows of NUL-ended `key=value` strings. Keys of the settings:
///   name      namespace/name of the pod, for messages
///   hostname  host name of the pod
///   pod-dir   directory of the pod: the sockets and the logs live in it
///   hide      directory that containers must not see (weft's state); may be missing
///   ip        address of the pod                     dns   address of the cluster's name server
///   port      port of the proxy's listener in the pod
///   isolation `none`: plain processes on the machine itself, no namespaces; missing: namespaces
///   probe     only finds out whether namespaces can be had, and ends
///   users     `identity` (root: every id means itself) or `single` (one id: ours becomes root)
///   group     CONTAINER '\n' FILE: a `cgroup.procs` file that the container's processes join; repeated
///   tree      directory of the host that containers need though it lies in /tmp or /run; repeated
///   volume    NAME '\n' SOURCE: a directory or file of the host that containers may mount, or `tmpfs:`
///             BYTES ':' MODE ':' GROUP; repeated
///   layers    directory of the host with the layers of images, and
///   writes    the one that takes what containers of such images write; each may be missing
///   file      PATH '\n' CONTENT: a small file of the pod's own, such as /etc/resolv.conf; repeated
#ifndef WEFT_POD_SETTINGS_H
#define WEFT_POD_SETTINGS_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// A row of NUL-ended `key=value` strings. `data[length - 1]` is NUL (or length is 0).
struct row {
    const char *data;
    size_t length;
};

/// The next value of `key` behind `*cursor` (NULL at first), or NULL.
const char *row_next(struct row row, const char *key, const char **cursor);
/// The first value of `key`, or NULL.
const char *row_get(struct row row, const char *key);
/// The first value of `key` as a number, or `fallback`.
long row_number(struct row row, const char *key, long fallback);
/// How many times `key` occurs.
size_t row_count(struct row row, const char *key);

/// Remembers a message for `failure()` and returns -1. `%m` is the current errno.
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *failure(void);

/// A growing row; `failed` is set when memory ran out.
struct text {
    char *data;
    size_t length, capacity;
    int failed;
};
/// Appends one NUL-ended string.
void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
/// Appends bytes as they are.
void text_bytes(struct text *text, const void *bytes, size_t count);

/// Nanoseconds of the wall clock since 1970, and of the monotonic clock.
int64_t wall_now(void);
int64_t steady_now(void);

/// Directory of the pod, opened before the root changes.
extern int pod_directory;
/// Whether every user id is mapped to itself.
extern int pod_maps_all_users;
/// Whether the pod has no namespaces.
extern int pod_is_plain;

/// Opens the control groups of the containers while the host's files can be seen. 0 or -1 (`fail`).
int pod_open_groups(struct row settings);
/// Moves the calling process into the groups of a container. 0 or -1 (`fail`).
int pod_join_groups(const char *container);

/// Brings `lo` up, gives it the pod's address, makes every address local and redirects TCP. 0 or -1 (`fail`).
int pod_network(struct row settings);
/// Builds the pod's own root and moves into it. 0 or -1 (`fail`).
int pod_root(struct row settings);
/// Mounts a container's volumes in a mount namespace of its own and hides what is not the container's. 0 or -1.
int pod_container_mounts(struct row request);
/// Gives back the memory of libraries that a pod init never calls. From here on only libc may be called, and no `fork`,
/// which would call what libraries registered.
void pod_forget_libraries(void);
/// Serves the sockets, the logs and the containers until told to end. `control` and `broker` listen already.
int pod_serve(int control, int broker);

/// Writes `value` to a file that exists. 0 or -1 with errno.
int write_file(const char *path, const char *value);
/// Makes a directory and its parents. 0 or -1 with errno.
int make_directories(const char *path, mode_t mode);

#endif
