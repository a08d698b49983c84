/// System headers for which glibc's own Swift module has no room, and wrappers of their variadic calls.
#ifndef WEFT_SYSTEM_H
#define WEFT_SYSTEM_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/// `errno` of the last failed call on this thread.
static inline int cweft_errno(void) { return errno; }

/// Has this process get `signal` when its parent ends; 0, or -errno when the parent is gone already.
int cweft_end_with_parent(int signal);

/// Gives memory that the allocator keeps for later back to the system.
void cweft_trim_heap(void);

/// `fcntl` with one integer argument.
int cweft_fcntl(int fd, int command, long argument);

#endif
