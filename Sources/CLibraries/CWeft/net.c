#include "cweft_net.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// linux/netfilter_ipv4.h clashes with netinet/in.h; these two numbers are kernel ABI.
#define WEFT_SO_ORIGINAL_DST 80
#define WEFT_IP6T_SO_ORIGINAL_DST 80

union any_address {
    struct sockaddr base;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage storage;
};

static socklen_t to_native(const struct cweft_address *from, union any_address *to) {
    memset(to, 0, sizeof *to);
    if (from->family == 6) {
        to->v6.sin6_family = AF_INET6;
        to->v6.sin6_port = htons(from->port);
        memcpy(&to->v6.sin6_addr, from->ip, 16);
        return sizeof to->v6;
    }
    to->v4.sin_family = AF_INET;
    to->v4.sin_port = htons(from->port);
    memcpy(&to->v4.sin_addr, from->ip, 4);
    return sizeof to->v4;
}

static void from_native(const union any_address *from, struct cweft_address *to) {
    memset(to, 0, sizeof *to);
    if (from->base.sa_family == AF_INET) {
        to->family = 4;
        to->port = ntohs(from->v4.sin_port);
        memcpy(to->ip, &from->v4.sin_addr, 4);
    } else if (from->base.sa_family == AF_INET6) {
        to->port = ntohs(from->v6.sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&from->v6.sin6_addr)) {
            to->family = 4;
            memcpy(to->ip, from->v6.sin6_addr.s6_addr + 12, 4);
        } else {
            to->family = 6;
            memcpy(to->ip, &from->v6.sin6_addr, 16);
        }
    }
}

static int own_namespace(void) { return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC); }

int cweft_socket(int domain, int type, int namespace_fd) {
    int home = -1;
    if (namespace_fd >= 0) {
        home = own_namespace();
        if (home < 0) return -errno;
        if (setns(namespace_fd, CLONE_NEWNET) != 0) {
            int error = errno;
            close(home);
            return -error;
        }
    }
    int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = errno;
    if (home >= 0) {
        // A thread that cannot return would serve the wrong network from here on: better no process at all.
        if (setns(home, CLONE_NEWNET) != 0) _exit(70);
        close(home);
    }
    return fd < 0 ? -error : fd;
}

int cweft_bind_listener(int fd, const struct cweft_address *address, int flags) {
    int on = 1;
    union any_address native;
    socklen_t length = to_native(address, &native);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (flags & CWEFT_REUSEPORT) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    return bind(fd, &native.base, length) == 0 ? 0 : -errno;
}

int cweft_set_option(int fd, int level, int name, const void *value, size_t length) {
    return setsockopt(fd, level, name, value, (socklen_t)length) == 0 ? 0 : -errno;
}

int cweft_listen_on(int fd, const struct cweft_address *address, int backlog, int flags) {
    int result = cweft_bind_listener(fd, address, flags);
    if (result < 0) return result;
    return listen(fd, backlog) == 0 ? 0 : -errno;
}

int cweft_connect(int fd, const struct cweft_address *address) {
    union any_address native;
    socklen_t length = to_native(address, &native);
    return connect(fd, &native.base, length) == 0 ? 0 : -errno;
}

int cweft_bind(int fd, const struct cweft_address *address) {
    union any_address native;
    socklen_t length = to_native(address, &native);
    int on = 1;
    setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    return bind(fd, &native.base, length) == 0 ? 0 : -errno;
}

int cweft_accept(int fd, struct cweft_address *peer) {
    union any_address native;
    socklen_t length = sizeof native;
    int accepted = accept4(fd, &native.base, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted < 0) return -errno;
    from_native(&native, peer);
    return accepted;
}

int cweft_local_address(int fd, struct cweft_address *address) {
    union any_address native;
    socklen_t length = sizeof native;
    if (getsockname(fd, &native.base, &length) != 0) return -errno;
    from_native(&native, address);
    return 0;
}

int cweft_peer_address(int fd, struct cweft_address *address) {
    union any_address native;
    socklen_t length = sizeof native;
    if (getpeername(fd, &native.base, &length) != 0) return -errno;
    from_native(&native, address);
    return 0;
}

int cweft_peer_owner(int fd, unsigned *uid) {
    union any_address own, peer;
    socklen_t length = sizeof own;
    if (getsockname(fd, &own.base, &length) != 0) return -errno;
    length = sizeof peer;
    if (getpeername(fd, &peer.base, &length) != 0) return -errno;
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 question;
    } request;
    memset(&request, 0, sizeof request);
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.header.nlmsg_flags = NLM_F_REQUEST;
    request.question.sdiag_family = own.base.sa_family;
    request.question.sdiag_protocol = IPPROTO_TCP;
    request.question.idiag_states = ~0U;
    struct inet_diag_sockid *id = &request.question.id;
    id->idiag_cookie[0] = id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    if (own.base.sa_family == AF_INET) {
        id->idiag_sport = peer.v4.sin_port;
        id->idiag_dport = own.v4.sin_port;
        memcpy(id->idiag_src, &peer.v4.sin_addr, 4);
        memcpy(id->idiag_dst, &own.v4.sin_addr, 4);
    } else if (own.base.sa_family == AF_INET6) {
        id->idiag_sport = peer.v6.sin6_port;
        id->idiag_dport = own.v6.sin6_port;
        memcpy(id->idiag_src, &peer.v6.sin6_addr, 16);
        memcpy(id->idiag_dst, &own.v6.sin6_addr, 16);
    } else {
        return -EAFNOSUPPORT;
    }
    int channel = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (channel < 0) return -errno;
    union {
        struct nlmsghdr header;
        char bytes[4096];
    } answer;
    long count = send(channel, &request, sizeof request, 0);
    if (count > 0) count = recv(channel, &answer, sizeof answer, 0);
    int problem = count < 0 ? -errno : -ENOENT;
    close(channel);
    if (count < (long)NLMSG_LENGTH(sizeof(struct inet_diag_msg)) || answer.header.nlmsg_type != SOCK_DIAG_BY_FAMILY) return problem;
    const struct inet_diag_msg *found = NLMSG_DATA(&answer.header);
    if (found->idiag_inode == 0) return -ENOENT;
    *uid = found->idiag_uid;
    return 0;
}

int cweft_original_destination(int fd, struct cweft_address *address) {
    union any_address native;
    socklen_t length = sizeof native;
    memset(&native, 0, sizeof native);
    if (getsockopt(fd, SOL_IP, WEFT_SO_ORIGINAL_DST, &native, &length) != 0) {
        length = sizeof native;
        if (getsockopt(fd, SOL_IPV6, WEFT_IP6T_SO_ORIGINAL_DST, &native, &length) != 0) return -errno;
    }
    from_native(&native, address);
    return 0;
}

int cweft_socket_error(int fd) {
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return -errno;
    return -error;
}

int cweft_set_nodelay(int fd) {
    int on = 1;
    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 ? 0 : -errno;
}

int cweft_set_reset_on_close(int fd) {
    struct linger linger = {1, 0};
    return setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0 ? 0 : -errno;
}

int cweft_set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL, 0);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 ? 0 : -errno;
}

int cweft_set_liveness(int fd, int user_timeout) {
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    return setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof user_timeout) == 0 ? 0 : -errno;
}

// `@name` stands for a name in the abstract name space: no file, and gone with its socket.
static int unix_address(const char *path, struct sockaddr_un *address, socklen_t *size) {
    size_t length = strlen(path);
    if (length >= sizeof address->sun_path) return -ENAMETOOLONG;
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, length + 1);
    *size = sizeof *address;
    if (path[0] == '@') {
        address->sun_path[0] = 0;
        *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    }
    return 0;
}

int cweft_listen_unix(const char *path, int type, int backlog) {
    struct sockaddr_un address;
    socklen_t size;
    int result = unix_address(path, &address, &size);
    if (result < 0) return result;
    int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    // The name gets the mode of the socket. The umask would do too, but all threads share it: a directory that another one
    // makes at that moment would be closed to its owner.
    if (fchmod(fd, 0600) != 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, backlog) != 0) {
        result = -errno;
        close(fd);
        return result;
    }
    return fd;
}

int cweft_connect_unix(const char *path, int type, int nonblocking) {
    struct sockaddr_un address;
    socklen_t size;
    int result = unix_address(path, &address, &size);
    if (result < 0) return result;
    // Without waiting a full queue says EAGAIN; there is no connection under way that could be waited for.
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);
    if (fd < 0) return -errno;
    if (connect(fd, (struct sockaddr *)&address, size) != 0) {
        result = -errno;
        close(fd);
        return result;
    }
    return fd;
}

int cweft_send_fd(int channel, const void *bytes, size_t length, int fd) {
    struct iovec piece = {(void *)bytes, length};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof control);
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control.space;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    ssize_t sent = sendmsg(channel, &message, MSG_NOSIGNAL);
    return sent < 0 ? -errno : (int)sent;
}

int cweft_receive_fd(int channel, void *bytes, size_t length, int *fd) {
    struct iovec piece = {bytes, length};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * 4)];
    } control;
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control.space};
    *fd = -1;
    ssize_t got = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
    if (got < 0) return -errno;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t index = 0; index < count; index++) {
            int received;
            memcpy(&received, CMSG_DATA(header) + index * sizeof(int), sizeof received);
            if (*fd < 0) {
                *fd = received;
            } else {
                close(received);
            }
        }
    }
    return (int)got;
}

int cweft_socket_from_broker(const char *path, int domain, int type) {
    int channel = cweft_connect_unix(path, SOCK_SEQPACKET, 0);
    if (channel < 0) return channel;
    uint32_t request[2] = {(uint32_t)domain, (uint32_t)type};
    struct timeval patience = {0, 200000};
    setsockopt(channel, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    int fd = -1;
    uint8_t status = 0;
    int result = cweft_send_fd(channel, request, sizeof request, -1);
    if (result >= 0) result = cweft_receive_fd(channel, &status, 1, &fd);
    close(channel);
    if (fd < 0) return result < 0 ? result : -ECONNREFUSED;
    int error = cweft_set_nonblocking(fd);
    if (error < 0) {
        close(fd);
        return error;
    }
    return fd;
}

long cweft_receive(int fd, void *bytes, size_t length) {
    ssize_t got;
    do got = recv(fd, bytes, length, 0);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

long cweft_send(int fd, const void *bytes, size_t length) {
    ssize_t sent;
    do sent = send(fd, bytes, length, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

long cweft_send_more(int fd, const void *bytes, size_t length) {
    ssize_t sent;
    do sent = send(fd, bytes, length, MSG_NOSIGNAL | MSG_MORE);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

long cweft_peek(int fd, void *bytes, size_t length) {
    ssize_t got = recv(fd, bytes, length, MSG_PEEK);
    return got < 0 ? -errno : got;
}

int cweft_parse_address(const char *text, uint16_t port, struct cweft_address *address) {
    memset(address, 0, sizeof *address);
    address->port = port;
    if (inet_pton(AF_INET, text, address->ip) == 1) {
        address->family = 4;
        return 0;
    }
    if (inet_pton(AF_INET6, text, address->ip) == 1) {
        address->family = 6;
        return 0;
    }
    return -EINVAL;
}

int cweft_format_address(const struct cweft_address *address, char *text) {
    text[0] = 0;
    if (address->family == 4) inet_ntop(AF_INET, address->ip, text, 46);
    if (address->family == 6) inet_ntop(AF_INET6, address->ip, text, 46);
    return (int)strlen(text);
}

int cweft_pin_thread(int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    return -pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

int cweft_processor_count(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? count : 1;
}

int64_t cweft_silence(int fd) {
    struct tcp_info facts;
    socklen_t size = sizeof facts;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &facts, &size) != 0) return -errno;
    return facts.tcpi_last_data_recv;
}

int cweft_has_full_queue(int fd) {
    struct tcp_info facts;
    socklen_t size = sizeof facts;
    // Of a socket that listens: connections that wait to be accepted, and how many may.
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &facts, &size) == 0 && facts.tcpi_state == TCP_LISTEN && facts.tcpi_sacked > 0
        && facts.tcpi_unacked >= facts.tcpi_sacked;
}

int cweft_is_ended(int fd) {
    struct tcp_info facts;
    socklen_t size = sizeof facts;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &facts, &size) != 0) return -errno;
    return facts.tcpi_state != TCP_ESTABLISHED && facts.tcpi_state != TCP_SYN_RECV;
}

uint64_t cweft_monotonic(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t cweft_wall_clock(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

int cweft_signal_fd(uint64_t signals) {
    sigset_t set;
    sigemptyset(&set);
    for (int signal = 1; signal < 64; signal++) {
        if (signals >> signal & 1) sigaddset(&set, signal);
    }
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

void cweft_name_thread(const char *name) {
    char text[16] = {0};
    strncpy(text, name, sizeof text - 1);
    pthread_setname_np(pthread_self(), text);
}

static long send_pieces(int fd, const void *first, size_t first_length, const void *second, size_t second_length,
                        const void *third, size_t third_length, int flags) {
    struct iovec pieces[3];
    int count = 0;
    if (first_length > 0) pieces[count++] = (struct iovec){(void *)first, first_length};
    if (second_length > 0) pieces[count++] = (struct iovec){(void *)second, second_length};
    if (third_length > 0) pieces[count++] = (struct iovec){(void *)third, third_length};
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
    ssize_t sent;
    do sent = count == 1 ? send(fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL | flags)
                         : sendmsg(fd, &message, MSG_NOSIGNAL | flags);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

long cweft_send3(int fd, const void *first, size_t first_length, const void *second, size_t second_length,
                 const void *third, size_t third_length) {
    return send_pieces(fd, first, first_length, second, second_length, third, third_length, 0);
}

long cweft_send3_more(int fd, const void *first, size_t first_length, const void *second, size_t second_length,
                      const void *third, size_t third_length) {
    return send_pieces(fd, first, first_length, second, second_length, third, third_length, MSG_MORE);
}

int cweft_pipe(int ends[2], int size) {
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return -errno;
    // Beyond the limit of the user the pipe stays as it is.
    fcntl(ends[1], F_SETPIPE_SZ, size);
    return 0;
}

long cweft_splice(int from, int to, size_t length) {
    ssize_t moved;
    do moved = splice(from, NULL, to, NULL, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (moved < 0 && errno == EINTR);
    return moved < 0 ? -errno : moved;
}
