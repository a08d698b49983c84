/// A TLS client for probes. OpenSSL is looked for when the first probe wants it: `weft` does not link it.
#ifndef WEFT_TLS_H
#define WEFT_TLS_H

struct cweft_tls;

/// A client on a connected, non-blocking socket, which stays the caller's. The server's certificate is not checked, as for
/// probes in Kubernetes; `name` is sent to it unless it is NULL. NULL when there is no OpenSSL on this machine.
struct cweft_tls *cweft_tls_open(int fd, const char *name);

/// What an operation wants before it can go on.
enum { cweft_tls_done = 0, cweft_tls_wants_read = -1, cweft_tls_wants_write = -2, cweft_tls_failed = -3 };

/// Goes on with the handshake.
int cweft_tls_handshake(struct cweft_tls *tls);
/// The number of bytes written, or what it wants.
int cweft_tls_send(struct cweft_tls *tls, const void *bytes, int count);
/// The number of bytes read (0: the end), or what it wants.
int cweft_tls_receive(struct cweft_tls *tls, void *bytes, int count);
void cweft_tls_close(struct cweft_tls *tls);

#endif
