/// Socket calls with addresses as one plain struct. Every call answers `-errno` on failure.
#ifndef WEFT_NET_H
#define WEFT_NET_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <stddef.h>
#include <stdint.h>

/// An IPv4 or IPv6 address with port. `family` is 0 (none), 4 or 6; IPv4 lies in the first four bytes.
struct cweft_address {
    uint8_t ip[16];
    uint16_t port;
    uint8_t family;
};

enum cweft_listen_flags { CWEFT_REUSEPORT = 1 };

/// Binds and listens on a socket made elsewhere (by a broker).
int cweft_listen_on(int fd, const struct cweft_address *address, int backlog, int flags);
/// Binds a socket that is going to listen.
int cweft_bind_listener(int fd, const struct cweft_address *address, int flags);
int cweft_set_option(int fd, int level, int name, const void *value, size_t length);
/// A non-blocking stream or datagram socket; `namespace_fd` as above.
int cweft_socket(int domain, int type, int namespace_fd);
int cweft_connect(int fd, const struct cweft_address *address);
int cweft_bind(int fd, const struct cweft_address *address);
int cweft_accept(int fd, struct cweft_address *peer);
int cweft_local_address(int fd, struct cweft_address *address);
int cweft_peer_address(int fd, struct cweft_address *address);
/// Whose socket is at the other end of a TCP connection within this machine (sock_diag(7)).
int cweft_peer_owner(int fd, unsigned *uid);
/// The destination that a client dialled before a redirect of netfilter changed it.
int cweft_original_destination(int fd, struct cweft_address *address);
/// The pending error of a socket (0 = none): the outcome of a connect.
int cweft_socket_error(int fd);
int cweft_set_nodelay(int fd);
/// The next close sends RST.
int cweft_set_reset_on_close(int fd);
int cweft_set_nonblocking(int fd);
/// Keep-alive probes and a bound on unacknowledged data, in milliseconds.
int cweft_set_liveness(int fd, int user_timeout);

/// Unix sockets; a path `@name` is in the abstract name space.
int cweft_listen_unix(const char *path, int type, int backlog);
/// Connects to a Unix socket; `nonblocking`: at once or not at all.
int cweft_connect_unix(const char *path, int type, int nonblocking);
/// Sends `length` bytes and one descriptor.
int cweft_send_fd(int channel, const void *bytes, size_t length, int fd);
/// Receives up to `length` bytes; `*fd` is the descriptor that came along or -1.
int cweft_receive_fd(int channel, void *bytes, size_t length, int *fd);
/// Asks a socket broker (SOCK_SEQPACKET at `path`) for a fresh socket of its namespace. Waits at most 0.2 s.
int cweft_socket_from_broker(const char *path, int domain, int type);

long cweft_receive(int fd, void *bytes, size_t length);
long cweft_send(int fd, const void *bytes, size_t length);
/// Like `cweft_send`, and says that more follows at once.
long cweft_send_more(int fd, const void *bytes, size_t length);
/// Up to three pieces in one call; empty ones are left out.
long cweft_send3(int fd, const void *first, size_t first_length, const void *second, size_t second_length,
                 const void *third, size_t third_length);
/// Like `cweft_send3`, and says that more follows at once.
long cweft_send3_more(int fd, const void *first, size_t first_length, const void *second, size_t second_length,
                      const void *third, size_t third_length);
/// A pipe of `size` bytes, or of what the kernel allows: 0 or -errno.
int cweft_pipe(int ends[2], int size);
/// Moves bytes between a pipe and a socket inside the kernel, without waiting: a count or -errno.
long cweft_splice(int from, int to, size_t length);
/// Looks at the first bytes without taking them.
long cweft_peek(int fd, void *bytes, size_t length);

/// Milliseconds since the last bytes came on a TCP connection, or since it began when none did; -errno.
int64_t cweft_silence(int fd);
/// 1 when the peer of a TCP connection sends nothing more: it has closed, or said that it is done. -errno.
int cweft_is_ended(int fd);

/// 1: as many connections as may wait to be accepted from a listening TCP socket; the kernel drops further ones.
int cweft_has_full_queue(int fd);

/// Parses a literal address. 0, or -EINVAL.
int cweft_parse_address(const char *text, uint16_t port, struct cweft_address *address);
/// Writes the address without the port; the length written. `text` holds at least 46 bytes.
int cweft_format_address(const struct cweft_address *address, char *text);

/// Binds the calling thread to one processor.
int cweft_pin_thread(int processor);
/// Names the calling thread; the first 15 bytes count.
void cweft_name_thread(const char *name);
/// Processors this process may use.
int cweft_processor_count(void);
/// Nanoseconds of the monotonic clock.
uint64_t cweft_monotonic(void);
/// Nanoseconds of the wall clock since 1970.
uint64_t cweft_wall_clock(void);
/// Blocks the given signals (bit n = signal n) for this thread and those it starts, and gives a signalfd for them.
int cweft_signal_fd(uint64_t signals);

#endif
