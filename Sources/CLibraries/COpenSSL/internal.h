#ifndef WEFT_COPENSSL_INTERNAL_H
#define WEFT_COPENSSL_INTERNAL_H

#include "include/COpenSSL.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>

struct wtls_context {
    atomic_int users;
    // One for each certificate; they differ in nothing else.
    SSL_CTX **contexts;
    int count;
    int has_certificate;
    X509_STORE *store;
    struct wtls_settings settings;
    char *ciphers;
    char *groups;
    char *signatures;
    // Sessions that a client may resume, the newest first.
    pthread_mutex_t sessions_lock;
    struct kept_session *sessions;
    int sessions_count;
    uint8_t *protocols;
    size_t protocols_length;
    struct wtls_hooks hooks;
    void *owner;
};

struct kept_session {
    SSL_SESSION *session;
    // For whom it was made: what was asked for and what had to be proven.
    char *name;
    struct kept_session *next;
};

struct wtls_session {
    SSL *ssl;
    // What a kept session is found by.
    char *name;
    struct wtls_context *context;
    char *wanted;
    // Bytes that were read from the socket before the session began.
    uint8_t *prefix;
    size_t prefix_length, prefix_used;
    int fd;
    int socket_error;
    uint16_t later_steps;
    uint8_t is_established, has_ended, has_failed, stopped_full, failure, is_untrusted, is_drained, more_follows;
    char reason[256];
};

// Steps of handshakes after the first is over that a connection may bring: three for each of 64 key updates.
enum { wtls_later_steps = 192 };

// Keeps a session that may be resumed; an SSL_CTX calls it.
int wtls_keep_session(SSL *ssl, SSL_SESSION *session);
// Gives a new session one to resume, if there is one.
void wtls_resume_session(struct wtls_session *session);
void wtls_free_sessions(struct wtls_context *context);
void wtls_error_text(char *text, size_t size, const char *what);
int wtls_verify_chain(X509_STORE_CTX *store, void *argument);
// Calls `use` with what stands in a certificate; answers what it answers.
int wtls_with_peer(X509 *certificate, const char *wanted, int (*use)(void *, const struct wtls_peer *), void *argument);

#endif
