/// The terminal: its size and its input mode.
#ifndef WEFT_TERMINAL_H
#define WEFT_TERMINAL_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

/// Puts the columns and rows of the terminal behind `fd` into the two places; 0, or -1 when it is no terminal.
int cweft_terminal_size(int fd, int *columns, int *rows);

/// Turns the echo of typed characters off (so that ^C leaves no mark in a live table) or on again; 0 or -1.
int cweft_terminal_echo(int fd, int is_on);

/// Hands every key to the program as it comes. With `all` also ^C and its like, and output goes out as it is; without,
/// those keys still send signals. The mode before comes back with `cweft_terminal_restore`, at the process's end, and on
/// signals that end it; `farewell` (NULL: nothing) is written to the standard output then, and has to live as long as the
/// process. 0, or -1 when it is no terminal.
int cweft_terminal_raw(int fd, int all, const char *farewell);

/// Puts back the mode before `cweft_terminal_raw`. May be called from a signal's handler, and when nothing was changed.
void cweft_terminal_restore(void);

#endif
