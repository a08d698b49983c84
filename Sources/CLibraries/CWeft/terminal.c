#include "cweft_terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

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

static struct termios mode_before;
static volatile sig_atomic_t changed_terminal = -1;
static const char *last_words;

void cweft_terminal_restore(void) {
    int fd = changed_terminal;
    changed_terminal = -1;
    if (fd < 0) return;
    tcsetattr(fd, TCSANOW, &mode_before);
    if (last_words != NULL && write(STDOUT_FILENO, last_words, strlen(last_words)) < 0) return;
}

enum { known_signals = 32 };
static struct sigaction handlers_before[known_signals];

/// The terminal first, then whatever would have happened without us.
static void restore_and_die(int number, siginfo_t *facts, void *context) {
    struct sigaction *before = &handlers_before[number % known_signals];
    cweft_terminal_restore();
    if ((before->sa_flags & SA_SIGINFO) != 0) {
        before->sa_sigaction(number, facts, context);
        return;
    }
    sigaction(number, before, NULL);
    raise(number);
}

int cweft_terminal_raw(int fd, int all, const char *farewell) {
    static const int deadly[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGSEGV, SIGFPE};
    static int is_registered;
    struct termios mode;
    if (tcgetattr(fd, &mode) != 0) return -1;
    if (changed_terminal < 0) mode_before = mode;
    if (!is_registered) {
        is_registered = 1;
        atexit(cweft_terminal_restore);
        for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) {
            struct sigaction before, ours = {.sa_sigaction = restore_and_die, .sa_flags = SA_SIGINFO};
            if (sigaction(deadly[i], NULL, &before) != 0 || before.sa_handler == SIG_IGN) continue;
            handlers_before[deadly[i]] = before;
            sigaction(deadly[i], &ours, NULL);
        }
    }
    if (all)
        cfmakeraw(&mode);
    else
        mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    mode.c_cc[VMIN] = 1;
    mode.c_cc[VTIME] = 0;
    last_words = farewell;
    changed_terminal = fd;
    return tcsetattr(fd, TCSANOW, &mode);
}
