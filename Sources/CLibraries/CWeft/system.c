#include "cweft_system.h"

int cweft_fcntl(int fd, int command, long argument) { return fcntl(fd, command, argument); }
