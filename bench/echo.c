/* Both ends of what wrk and h2load cannot do.
 *
 *   echo origin PORT                          answers a WebSocket's handshake and echoes what follows; after `S`, sends without end
 *   echo load ws PORT CONNECTIONS SECONDS     one message of 64 bytes at a time on each connection; prints the messages echoed
 *   echo load tcp PORT CONNECTIONS SECONDS    takes what the origin sends; prints KiB
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { message = 70, most = 65536 };
static char block[1 << 18];
static const char asked[] =
    "GET /ws HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
static const char granted[] =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

enum mode { fresh, echoing, streaming };
static char modes[most];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct sockaddr_in place(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void watch(int loop, int fd, unsigned events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

/* A short or refused write ends the connection: messages are far smaller than a socket's buffer. */
static void serve(int loop, int fd) {
    if (modes[fd] == streaming) {
        if (send(fd, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN) close(fd);
        return;
    }
    ssize_t count = recv(fd, block, sizeof block, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
        close(fd);
    } else if (modes[fd] == fresh && block[0] == 'S') {
        modes[fd] = streaming;
        struct epoll_event event = {.events = EPOLLOUT, .data.fd = fd};
        epoll_ctl(loop, EPOLL_CTL_MOD, fd, &event);
    } else if (modes[fd] == fresh) {
        if (memmem(block, (size_t)count, "\r\n\r\n", 4) == NULL) return;
        modes[fd] = echoing;
        if (send(fd, granted, sizeof granted - 1, MSG_NOSIGNAL) < 0) close(fd);
    } else if (send(fd, block, (size_t)count, MSG_NOSIGNAL) != count) {
        close(fd);
    }
}

static void origin(int port) {
    int one = 1, loop = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = place(port);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 4096) != 0) fail("listen");
    watch(loop, listener, EPOLLIN);
    for (;;) {
        struct epoll_event events[256];
        int count = epoll_wait(loop, events, 256, -1);
        for (int index = 0; index < count; index++) {
            int fd = events[index].data.fd;
            if (fd != listener) {
                serve(loop, fd);
                continue;
            }
            int taken = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            if (taken < 0 || taken >= most) continue;
            setsockopt(taken, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            modes[taken] = fresh;
            watch(loop, taken, EPOLLIN);
        }
    }
}

static int dial(int port, int is_ws) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = place(port);
    if (fd < 0 || fd >= most || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (!is_ws) return send(fd, "S", 1, MSG_NOSIGNAL) == 1 ? fd : -1;
    if (send(fd, asked, sizeof asked - 1, MSG_NOSIGNAL) < 0) fail("send");
    size_t have = 0;
    while (memmem(block, have, "\r\n\r\n", 4) == NULL) {
        ssize_t count = recv(fd, block + have, 4096, 0);
        if (count <= 0 || have > 65536) fail("handshake");
        have += (size_t)count;
    }
    if (strncmp(block, "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "no WebSocket: %.60s\n", block);
        exit(1);
    }
    return fd;
}

static int load(int is_ws, int port, int connections, double seconds) {
    static unsigned short got[most];
    static const char text[message] = {(char)0x82, (char)0xC0};
    int loop = epoll_create1(0);
    unsigned long long done = 0;
    for (int index = 0; index < connections; index++) {
        int fd = dial(port, is_ws);
        watch(loop, fd, EPOLLIN);
        if (is_ws && send(fd, text, message, MSG_NOSIGNAL) != message) fail("send");
    }
    double end = now() + seconds;
    while (now() < end) {
        struct epoll_event events[256];
        int count = epoll_wait(loop, events, 256, 100);
        for (int index = 0; index < count; index++) {
            int fd = events[index].data.fd;
            ssize_t taken = recv(fd, block, sizeof block, MSG_DONTWAIT);
            if (taken <= 0) fail("recv");
            if (!is_ws) {
                done += (unsigned long long)taken;
            } else if ((got[fd] = (unsigned short)(got[fd] + taken)) >= message) {
                got[fd] = 0;
                done++;
                if (send(fd, text, message, MSG_NOSIGNAL) != message) fail("send");
            }
        }
    }
    printf("%llu\n", is_ws ? done : done / 1024);
    return 0;
}

int main(int count, char **words) {
    if (count == 3 && strcmp(words[1], "origin") == 0) origin(atoi(words[2]));
    if (count == 6 && strcmp(words[1], "load") == 0)
        return load(strcmp(words[2], "ws") == 0, atoi(words[3]), atoi(words[4]), atof(words[5]));
    fprintf(stderr, "usage: echo origin PORT | echo load ws|tcp PORT CONNECTIONS SECONDS\n");
    return 2;
}
