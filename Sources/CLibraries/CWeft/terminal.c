#include "cweft_terminal.h"

#include <sys/ioctl.h>
#include <termios.h>

int cweft_terminal_size(int fd, int *columns, int *rows) {
    struct winsize size;
    if (ioctl(fd, TIOCGWINSZ, &size) != 0) return -1;
    *columns = size.ws_col;
    *rows = size.ws_row;
    return 0;
}

int cweft_terminal_echo(int fd, int is_on) {
    struct termios mode;
    if (tcgetattr(fd, &mode) != 0) return -1;
    if (is_on)
        mode.c_lflag |= ECHO;
    else
        mode.c_lflag &= ~(tcflag_t)ECHO;
    return tcsetattr(fd, TCSANOW, &mode);
}
