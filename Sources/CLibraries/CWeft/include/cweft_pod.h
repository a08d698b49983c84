/// The outside of the pod init: starting one, and passing sockets and descriptors between processes.
///
/// The pod init itself is a single-threaded process: the program `weft-pod-init` beside this one, or else this one executed
/// again under that name. A constructor takes over before `main`, and before any Swift code runs.
#ifndef WEFT_POD_H
#define WEFT_POD_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// Starts a pod init. `settings` is a row of NUL-ended `key=value` strings (`pod_settings.h`
/// lists the keys). On success `*spawned` is the helper process, which the caller has to wait for, and `*report` a
/// descriptor on which `pid N`, then `ready` or `error TEXT` arrive as lines. Returns 0 or an errno.
int cweft_pod_spawn(const char *settings, size_t length, pid_t *spawned, int *report);

/// A pidfd of a process, or -errno.
int cweft_pidfd_open(pid_t pid);

/// Sends a signal through a pidfd, so that a reused pid is never hit. Returns 0 or an errno.
int cweft_pidfd_signal(int pidfd, int signal);

/// The signal on which the init of a pod without namespaces ends all that the pod started, and itself.
int cweft_pod_end_signal(void);

/// Reaps the child behind `pid` without blocking. Returns 1 with `*status` as of `waitpid`, 0 while it runs, -errno
/// otherwise (-ECHILD: no child of ours).
int cweft_reap(pid_t pid, int *status);

/// A non-blocking socket connected to the Unix socket at `path`, which may be longer than `sun_path`. Returns -errno.
int cweft_pod_connect(const char *path, int type);

/// Receives bytes and the descriptors that came with them. `*count` is the room in `fds`, then how many came. Returns the
/// number of bytes, 0 at the end, or -errno.
ssize_t cweft_receive_descriptors(int socket, void *bytes, size_t length, int *fds, int *count);

/// Sets the size of the terminal behind `fd`, which tells its programs by SIGWINCH. Returns 0 or an errno.
int cweft_set_terminal_size(int fd, int columns, int rows);

/// The process behind the other end of a Unix socket (for a listener: who made it), or -errno.
pid_t cweft_peer_process(int socket);

/// Removes a file or a directory with all that is in it. Follows no links, and stays on one file system. 0 or an errno.
int cweft_remove_tree(const char *path);

/// The bytes that a directory's tree takes on the disk, counted until they are more than `limit`. Follows no links.
uint64_t cweft_tree_size(const char *path, uint64_t limit);

/// Gives a directory's tree to a group that may then read and write all of it. With `only_top` what lies below is left
/// alone when the directory has the group already. Follows no links. 0 or an errno.
int cweft_give_group(const char *path, gid_t group, int only_top);

/// Whether a directory of a layer hides what lower layers have in its place.
int cweft_is_opaque(const char *path);
/// Makes it one. 0 or an errno.
int cweft_set_opaque(const char *path);

/// The names of the system calls that containers are refused, one after the other, NULL at the end; `strict` adds those of
/// Kubernetes' RuntimeDefault. The pod init's own filter is made from the same table.
const char *cweft_refused_call(int strict, size_t index);

/// The `d_name` of every entry of a directory in turn; 0 at the end. `*state` begins as NULL and is freed at the end.
const char *cweft_next_entry(const char *path, void **state);

#endif
