#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

// MARK: The socket as OpenSSL sees it

static int source_read(BIO *bio, char *bytes, int length) {
    struct wtls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    size_t held = session->prefix_length - session->prefix_used;
    if (held > 0) {
        size_t count = held < (size_t)length ? held : (size_t)length;
        memcpy(bytes, session->prefix + session->prefix_used, count);
        session->prefix_used += count;
        if (session->prefix_used == session->prefix_length) {
            free(session->prefix);
            session->prefix = NULL;
            session->prefix_length = session->prefix_used = 0;
        }
        return (int)count;
    }
    // The last read took all there was; readiness will tell of more.
    if (session->is_drained) {
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t count;
    do count = recv(session->fd, bytes, (size_t)length, 0);
    while (count < 0 && errno == EINTR);
    session->is_drained = count > 0 && count < length;
    if (count > 0) return (int)count;
    if (count == 0)
        session->has_ended = 1;
    else if (errno == EAGAIN)
        BIO_set_retry_read(bio);
    else
        session->socket_error = errno;
    return (int)count;
}

static int source_write(BIO *bio, const char *bytes, int length) {
    struct wtls_session *session = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t count;
    do count = send(session->fd, bytes, (size_t)length, MSG_NOSIGNAL | (session->more_follows ? MSG_MORE : 0));
    while (count < 0 && errno == EINTR);
    if (count >= 0) return (int)count;
    if (errno == EAGAIN)
        BIO_set_retry_write(bio);
    else
        session->socket_error = errno;
    return -1;
}

static long source_control(BIO *bio, int command, long number, void *argument) {
    (void)number;
    (void)argument;
    const struct wtls_session *session = BIO_get_data(bio);
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return session != NULL && session->has_ended;
    return 0;
}

static BIO_METHOD *source_method(void) {
    static _Atomic(BIO_METHOD *) shared;
    BIO_METHOD *method = atomic_load(&shared);
    if (method != NULL) return method;
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weft socket");
    if (method == NULL) return NULL;
    BIO_meth_set_read(method, source_read);
    BIO_meth_set_write(method, source_write);
    BIO_meth_set_ctrl(method, source_control);
    BIO_METHOD *none = NULL;
    if (atomic_compare_exchange_strong(&shared, &none, method)) return method;
    BIO_meth_free(method);
    return none;
}

// MARK: Life

// Called at steps of the handshake, never per record.
static void observe(const SSL *ssl, int where, int value) {
    (void)value;
    struct wtls_session *session = SSL_get_app_data(ssl);
    // TLS 1.3 tells of no beginning after the first handshake, only of steps.
    if (session != NULL && session->is_established && (where & SSL_CB_LOOP) && session->later_steps < UINT16_MAX)
        session->later_steps++;
}

struct wtls_session *wtls_session_new(struct wtls_context *context, int fd, const char *name, const char *wanted,
    const void *prefix, size_t prefix_length) {
    struct wtls_session *session = calloc(1, sizeof *session);
    if (session == NULL) return NULL;
    session->fd = fd;
    session->context = context;
    atomic_fetch_add(&context->users, 1);
    BIO_METHOD *method = source_method();
    BIO *bio = method == NULL ? NULL : BIO_new(method);
    session->ssl = SSL_new(context->contexts[0]);
    int sound = bio != NULL && session->ssl != NULL;
    if (sound && prefix_length > 0) {
        session->prefix = malloc(prefix_length);
        sound = session->prefix != NULL;
        if (sound) {
            memcpy(session->prefix, prefix, prefix_length);
            session->prefix_length = prefix_length;
        }
    }
    if (sound && wanted != NULL) sound = (session->wanted = strdup(wanted)) != NULL;
    if (!sound) {
        BIO_free(bio);
        wtls_session_free(session);
        return NULL;
    }
    BIO_set_data(bio, session);
    BIO_set_init(bio, 1);
    SSL_set_bio(session->ssl, bio, bio);
    SSL_set_app_data(session->ssl, session);
    SSL_set_info_callback(session->ssl, observe);
    if (context->settings.is_server) {
        SSL_set_accept_state(session->ssl);
    } else {
        if (name != NULL) SSL_set_tlsext_host_name(session->ssl, name);
        SSL_set_connect_state(session->ssl);
        if (context->settings.kept_sessions > 0) {
            size_t length = snprintf(NULL, 0, "%s\n%s", name ? name : "", wanted ? wanted : "") + 1u;
            session->name = malloc(length);
            if (session->name != NULL)
                snprintf(session->name, length, "%s\n%s", name ? name : "", wanted ? wanted : "");
            wtls_resume_session(session);
        }
    }
    return session;
}

void wtls_session_free(struct wtls_session *session) {
    if (session == NULL) return;
    // Without a declared end OpenSSL takes the session for one that must not be resumed; how a connection ends says nothing
    // about that any more (RFC 5246 section 7.2.1).
    if (session->name != NULL && session->is_established && !session->has_failed)
        SSL_set_shutdown(session->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(session->ssl);
    free(session->name);
    wtls_context_free(session->context);
    free(session->prefix);
    free(session->wanted);
    free(session);
}

// MARK: What went wrong

static const char *known_reason(int reason) {
    switch (reason) {
        case SSL_R_NO_SHARED_CIPHER: return "no cipher suite in common with the peer";
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_VERSION_TOO_LOW:
        case SSL_R_VERSION_TOO_HIGH: return "no protocol version in common with the peer";
        case SSL_R_HTTP_REQUEST:
        case SSL_R_HTTPS_PROXY_REQUEST: return "the peer speaks plaintext HTTP, not TLS";
        case SSL_R_WRONG_VERSION_NUMBER: return "the peer does not speak TLS";
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return "the peer gave no certificate";
        case SSL_R_NO_APPLICATION_PROTOCOL: return "no application protocol (ALPN) in common with the peer";
        case SSL_R_UNEXPECTED_EOF_WHILE_READING: return "the peer cut the connection off";
        case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM: return "no signature algorithm in common with the peer";
        default: return NULL;
    }
}

// Keeps why the session failed; the `-errno` that stands for it.
static long fail(struct wtls_session *session) {
    session->has_failed = 1;
    if (session->failure == wtls_failure_none) session->failure = wtls_failure_other;
    unsigned long code = ERR_peek_last_error();
    int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) session->failure = wtls_failure_no_certificate;
    if (session->reason[0] == 0) {
        const char *text = known_reason(reason);
        if (text == NULL && reason > SSL_AD_REASON_OFFSET) {
            snprintf(session->reason, sizeof session->reason, "the peer refused with the alert \"%s\"",
                SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
        } else {
            if (text == NULL && session->has_ended) text = known_reason(SSL_R_UNEXPECTED_EOF_WHILE_READING);
            if (text == NULL && session->socket_error != 0) text = strerrordesc_np(session->socket_error);
            if (text == NULL && code != 0) text = ERR_reason_error_string(code);
            snprintf(session->reason, sizeof session->reason, "%s", text ? text : "the session broke");
        }
    }
    ERR_clear_error();
    // The alert about the end may have met an error of its own.
    if (session->has_ended) return -ECONNRESET;
    return session->socket_error != 0 ? -session->socket_error : -EPROTO;
}

int wtls_handshake(struct wtls_session *session) {
    if (session->has_failed) return -1;
    session->is_drained = 0;
    ERR_clear_error();
    int result = SSL_do_handshake(session->ssl);
    if (result == 1) {
        session->is_established = 1;
        // The peer may have sent its first bytes together with the end of the handshake.
        session->stopped_full = SSL_has_pending(session->ssl) != 0;
        return 1;
    }
    switch (SSL_get_error(session->ssl, result)) {
        case SSL_ERROR_WANT_READ: return 0;
        case SSL_ERROR_WANT_WRITE: return 2;
        default: fail(session); return -1;
    }
}

// MARK: Bytes

static int changes_too_often(struct wtls_session *session) {
    if (session->later_steps <= wtls_later_steps) return 0;
    snprintf(session->reason, sizeof session->reason, "the peer changes its keys without end");
    return 1;
}

long wtls_receive(struct wtls_session *session, void *bytes, size_t length) {
    if (session->has_failed) return session->has_ended ? -ECONNRESET : -EPROTO;
    size_t total = 0;
    session->stopped_full = 0;
    session->is_drained = 0;
    ERR_clear_error();
    // Also where bytes came between the changes.
    if (changes_too_often(session)) return fail(session);
    while (total < length) {
        size_t count = 0;
        int result = SSL_read_ex(session->ssl, (char *)bytes + total, length - total, &count);
        if (result == 1) {
            total += count;
            // Nothing decoded or undecoded is left: the socket will tell of more.
            if (!SSL_has_pending(session->ssl)) return (long)total;
            continue;
        }
        int error = SSL_get_error(session->ssl, result);
        if (changes_too_often(session)) error = SSL_ERROR_SSL;
        if (error == SSL_ERROR_WANT_READ) return total > 0 ? (long)total : -EAGAIN;
        if (total > 0) {
            // First the bytes; the next call meets the same again.
            session->stopped_full = 1;
            return (long)total;
        }
        if (error == SSL_ERROR_ZERO_RETURN) return 0;
        // A peer that wants answers without reading them is not served.
        return fail(session);
    }
    session->stopped_full = SSL_has_pending(session->ssl) != 0;
    return (long)total;
}

int wtls_has_more(const struct wtls_session *session) { return session->stopped_full; }

long wtls_send(struct wtls_session *session, const void *bytes, size_t length) {
    if (session->has_failed) return -EPIPE;
    size_t total = 0;
    ERR_clear_error();
    while (total < length) {
        size_t count = 0;
        int result = SSL_write_ex(session->ssl, (const char *)bytes + total, length - total, &count);
        if (result == 1) {
            total += count;
            continue;
        }
        int error = SSL_get_error(session->ssl, result);
        if (error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ) break;
        if (total > 0) break;
        return fail(session);
    }
    return total > 0 || length == 0 ? (long)total : -EAGAIN;
}

long wtls_send3_more(struct wtls_session *session, const void *first, size_t first_length, const void *second,
    size_t second_length, const void *third, size_t third_length) {
    session->more_follows = 1;
    long sent = wtls_send3(session, first, first_length, second, second_length, third, third_length);
    session->more_follows = 0;
    return sent;
}

long wtls_send3(struct wtls_session *session, const void *first, size_t first_length, const void *second,
    size_t second_length, const void *third, size_t third_length) {
    size_t total = first_length + second_length + third_length;
    if (first_length == total) return wtls_send(session, first, first_length);
    if (second_length == total) return wtls_send(session, second, second_length);
    // One record for what fits into one, so that a head and its body are one packet.
    uint8_t record[SSL3_RT_MAX_PLAIN_LENGTH];
    size_t used = 0;
    const void *pieces[] = {first, second, third};
    const size_t lengths[] = {first_length, second_length, third_length};
    size_t taken[3] = {0, 0, 0};
    for (int piece = 0; piece < 3; piece++) {
        size_t room = sizeof record - used;
        taken[piece] = lengths[piece] < room ? lengths[piece] : room;
        if (taken[piece] > 0) memcpy(record + used, pieces[piece], taken[piece]);
        used += taken[piece];
    }
    long sent = wtls_send(session, record, used);
    if (sent < 0 || (size_t)sent < used) return sent;
    for (int piece = 0; piece < 3; piece++) {
        size_t rest = lengths[piece] - taken[piece];
        if (rest == 0) continue;
        long more = wtls_send(session, (const char *)pieces[piece] + taken[piece], rest);
        if (more < 0) return sent;
        sent += more;
        if ((size_t)more < rest) return sent;
    }
    return sent;
}

int wtls_is_quiet(struct wtls_session *session) {
    if (session->has_failed) return 0;
    char byte;
    session->is_drained = 0;
    ERR_clear_error();
    int result = SSL_peek(session->ssl, &byte, 1);
    int quiet = result <= 0 && SSL_get_error(session->ssl, result) == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    return quiet;
}

void wtls_end(struct wtls_session *session) {
    if (session->has_failed || !session->is_established) return;
    ERR_clear_error();
    session->more_follows = 1;
    SSL_shutdown(session->ssl);
    session->more_follows = 0;
    ERR_clear_error();
}

// MARK: What is known of it

const char *wtls_reason(const struct wtls_session *session) { return session->reason; }
int wtls_is_version13(const struct wtls_session *session) { return SSL_version(session->ssl) == TLS1_3_VERSION; }
const char *wtls_version(const struct wtls_session *session) { return SSL_get_version(session->ssl); }
const char *wtls_cipher(const struct wtls_session *session) { return SSL_get_cipher_name(session->ssl); }
int wtls_was_resumed(const struct wtls_session *session) { return SSL_session_reused(session->ssl); }

const char *wtls_server_name(const struct wtls_session *session) {
    return SSL_get_servername(session->ssl, TLSEXT_NAMETYPE_host_name);
}

size_t wtls_protocol(const struct wtls_session *session, const uint8_t **bytes) {
    unsigned int length = 0;
    SSL_get0_alpn_selected(session->ssl, bytes, &length);
    return length;
}

size_t wtls_session_id(const struct wtls_session *session, uint8_t id[32]) {
    const SSL_SESSION *known = SSL_get_session(session->ssl);
    unsigned int length = 0;
    const unsigned char *bytes = known == NULL ? NULL : SSL_SESSION_get_id(known, &length);
    if (bytes == NULL || length > 32) return 0;
    memcpy(id, bytes, length);
    return length;
}

const char *wtls_group(const struct wtls_session *session) {
    int group = SSL_get_negotiated_group(session->ssl);
    const char *name = group == 0 ? NULL : SSL_group_to_name(session->ssl, group);
    return name == NULL ? "" : name;
}

enum wtls_failure wtls_failure(const struct wtls_session *session) { return session->failure; }

int wtls_has_peer(const struct wtls_session *session) { return SSL_get0_peer_certificate(session->ssl) != NULL; }

int wtls_is_verified(const struct wtls_session *session) {
    return session->context->settings.verify != wtls_verify_none && wtls_has_peer(session) && !session->is_untrusted;
}

// MARK: Sessions that are resumed

// Nothing of the peer is looked at again when a session is resumed: its certificate must still be good.
static int is_fresh(SSL_SESSION *session) {
    X509 *peer = SSL_SESSION_get0_peer(session);
    return SSL_SESSION_is_resumable(session)
        && (peer == NULL || X509_cmp_current_time(X509_get0_notAfter(peer)) > 0);
}

static void forget(struct kept_session *kept) {
    SSL_SESSION_free(kept->session);
    free(kept->name);
    free(kept);
}

int wtls_keep_session(SSL *ssl, SSL_SESSION *session) {
    struct wtls_session *own = SSL_get_app_data(ssl);
    if (own == NULL || own->name == NULL || own->is_untrusted || own->has_failed) return 0;
    struct wtls_context *context = own->context;
    struct kept_session *kept = calloc(1, sizeof *kept);
    char *name = strdup(own->name);
    if (kept == NULL || name == NULL) {
        free(kept);
        free(name);
        return 0;
    }
    kept->session = session;
    kept->name = name;
    struct kept_session *oldest = NULL;
    pthread_mutex_lock(&context->sessions_lock);
    kept->next = context->sessions;
    context->sessions = kept;
    if (++context->sessions_count > context->settings.kept_sessions) {
        struct kept_session **place = &context->sessions;
        while ((*place)->next != NULL) place = &(*place)->next;
        oldest = *place;
        *place = NULL;
        context->sessions_count--;
    }
    pthread_mutex_unlock(&context->sessions_lock);
    if (oldest != NULL) forget(oldest);
    return 1;
}

void wtls_resume_session(struct wtls_session *session) {
    struct wtls_context *context = session->context;
    struct kept_session *found = NULL;
    if (session->name == NULL) return;
    pthread_mutex_lock(&context->sessions_lock);
    for (struct kept_session **place = &context->sessions; *place != NULL; place = &(*place)->next) {
        if (strcmp((*place)->name, session->name) != 0) continue;
        // A ticket is used once (RFC 8446 appendix C.4).
        found = *place;
        *place = found->next;
        context->sessions_count--;
        break;
    }
    pthread_mutex_unlock(&context->sessions_lock);
    if (found == NULL) return;
    if (is_fresh(found->session)) SSL_set_session(session->ssl, found->session);
    forget(found);
}

void wtls_free_sessions(struct wtls_context *context) {
    while (context->sessions != NULL) {
        struct kept_session *kept = context->sessions;
        context->sessions = kept->next;
        forget(kept);
    }
}
