#include "cweft_system.h"

#include <malloc.h>
#include <sys/prctl.h>
#include <unistd.h>

int cweft_fcntl(int fd, int command, long argument) { return fcntl(fd, command, argument); }

void cweft_trim_heap(void) { malloc_trim(0); }

int cweft_end_with_parent(int signal) {
    pid_t parent = getppid();
    if (prctl(PR_SET_PDEATHSIG, signal) != 0) return -errno;
    // It may have ended just before.
    return parent > 1 && getppid() == parent ? 0 : -ESRCH;
}
