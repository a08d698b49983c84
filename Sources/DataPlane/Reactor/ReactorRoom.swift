// Pinned workers, epoll, timers, sockets, signals, a seam for system calls, a fake loop for tests.
