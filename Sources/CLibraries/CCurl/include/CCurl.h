/// HTTP requests with libcurl, one at a time and blocking. The library is looked for when the first request wants it: whoever
/// pulls no image never loads it.
#ifndef WEFT_CCURL_H
#define WEFT_CCURL_H

#include <stddef.h>
#include <stdint.h>

struct wcurl;

enum wcurl_outcome {
    wcurl_ok,
    /// There is no libcurl on this machine.
    wcurl_no_library,
    /// The name is unknown, or nobody accepts the connection.
    wcurl_unreachable,
    wcurl_timed_out,
    /// The server's certificate is not good, or the peer speaks no TLS.
    wcurl_tls,
    /// The peer broke off, or what it sent is no HTTP.
    wcurl_broken,
    /// A hook said stop.
    wcurl_stopped,
    wcurl_other
};

struct wcurl_request {
    const char *url;
    /// Where to connect in place of the URL's host; NULL: there.
    const char *unix_socket;
    /// `Name: value`, NULL at the end; may be NULL.
    const char *const *headers;
    int is_head;
    /// With a body it is a POST.
    const void *body;
    size_t body_length;
    /// A PEM bundle in addition to none other; NULL: the system's.
    const char *ca_file;
    /// No proxy of the environment is used.
    int is_direct;
    long connect_milliseconds;
    /// Fails when less than a byte a second came for so long.
    long stall_seconds;
};

struct wcurl_hooks {
    void *owner;
    /// A line of the head without its end; the status line comes first.
    void (*head)(void *owner, const char *line, size_t length);
    /// 1: go on.
    int (*body)(void *owner, const void *bytes, size_t length);
    /// Asked now and then; 1: go on.
    int (*goes_on)(void *owner);
};

/// A client that keeps its connection for the next request; NULL when memory is short or there is no library.
struct wcurl *wcurl_new(void);
/// Makes one request, no redirect followed; `error` gets what went wrong in words.
enum wcurl_outcome wcurl_perform(struct wcurl *curl, const struct wcurl_request *request, const struct wcurl_hooks *hooks,
    char *error, size_t size);
void wcurl_free(struct wcurl *curl);

#endif
