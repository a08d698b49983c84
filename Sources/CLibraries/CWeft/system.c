#include "cweft_system.h"

#include <malloc.h>

int cweft_fcntl(int fd, int command, long argument) { return fcntl(fd, command, argument); }

void cweft_trim_heap(void) { malloc_trim(0); }
