/// A TLS client for probes. OpenSSL is looked for when the first probe wants it: `weft` does not link it.
#ifndef CTLS_H
#define CTLS_H

struct ctls;

/// A client on a connected, non-blocking socket, which stays the caller's. The server's certificate is not checked, as for
/// probes in Kubernetes; `name` is sent to it unless it is NULL. NULL when there is no OpenSSL on this machine.
struct ctls *ctls_open(int fd, const char *name);

/// What an operation wants before it can go on.
enum { ctls_done = 0, ctls_wants_read = -1, ctls_wants_write = -2, ctls_failed = -3 };

/// Goes on with the handshake.
int ctls_handshake(struct ctls *tls);
/// The number of bytes written, or what it wants.
int ctls_send(struct ctls *tls, const void *bytes, int count);
/// The number of bytes read (0: the end), or what it wants.
int ctls_receive(struct ctls *tls, void *bytes, int count);
void ctls_close(struct ctls *tls);

#endif
