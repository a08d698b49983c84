#include "internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Forward secrecy and authenticated encryption, as TLS 1.3 knows nothing else.
static const char safe_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

// Of TLS 1.3, the cheapest first where the processor knows AES; a client without that says so by its own order.
static const char safe_suites[] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

void wtls_error_text(char *text, size_t size, const char *what) {
    unsigned long code = ERR_peek_last_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);
    snprintf(text, size, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
    ERR_clear_error();
}

static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *length, const unsigned char *offered,
    unsigned int offered_length, void *argument) {
    (void)ssl;
    const struct wtls_context *context = argument;
    const uint8_t *own = context->protocols;
    for (size_t at = 0; at < context->protocols_length; at += own[at] + 1u)
        for (unsigned int other = 0; other < offered_length; other += offered[other] + 1u) {
            if (offered[other] != own[at] || other + 1u + own[at] > offered_length) continue;
            if (memcmp(offered + other + 1, own + at + 1, own[at]) != 0) continue;
            *out = offered + other + 1;
            *length = own[at];
            return SSL_TLSEXT_ERR_OK;
        }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int choose_certificate(SSL *ssl, int *alert, void *argument) {
    (void)alert;
    struct wtls_context *context = argument;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == NULL || context->hooks.choose == NULL || context->count < 2) return SSL_TLSEXT_ERR_OK;
    int place = context->hooks.choose(context->owner, name, strlen(name));
    if (place > 0 && place < context->count) SSL_set_SSL_CTX(ssl, context->contexts[place]);
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *make(struct wtls_context *context, char *error, size_t size) {
    const struct wtls_settings *settings = &context->settings;
    SSL_CTX *made = SSL_CTX_new(settings->is_server ? TLS_server_method() : TLS_client_method());
    if (made == NULL) {
        wtls_error_text(error, size, "OpenSSL makes no context");
        return NULL;
    }
    SSL_CTX_set_options(made, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    if (!settings->prefers_client_ciphers)
        SSL_CTX_set_options(made, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(made,
        SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(made, 1);
    SSL_CTX_set_security_level(made, 2);
    SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_OFF);
    if (!settings->is_server && settings->kept_sessions > 0) {
        SSL_CTX_set_session_cache_mode(made, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(made, wtls_keep_session);
    }
    if (settings->session_seconds > 0) SSL_CTX_set_timeout(made, settings->session_seconds);
    if (!settings->is_server) {
        if (settings->kept_sessions <= 0) SSL_CTX_set_options(made, SSL_OP_NO_TICKET);
    } else if (!settings->allows_resumption) {
        SSL_CTX_set_options(made, SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(made, 0);
    } else {
        SSL_CTX_set_num_tickets(made, 1);
    }
    // A session belongs to this context alone.
    SSL_CTX_set_session_id_context(made, (const unsigned char *)&context, sizeof context);
    const char *failed = NULL;
    if (!SSL_CTX_set_min_proto_version(made, settings->minimum_version)) failed = "the lowest version is unusable";
    if (!SSL_CTX_set_max_proto_version(made, settings->maximum_version)) failed = "the highest version is unusable";
    if (!SSL_CTX_set_ciphersuites(made, safe_suites)) failed = "the cipher suites of TLS 1.3 are unusable";
    if (!SSL_CTX_set_cipher_list(made, settings->ciphers ? settings->ciphers : safe_ciphers))
        failed = "no usable cipher suite is among those given";
    if (settings->groups != NULL && !SSL_CTX_set1_groups_list(made, settings->groups))
        failed = "an unknown group is among those given";
    if (settings->signatures != NULL && !SSL_CTX_set1_sigalgs_list(made, settings->signatures))
        failed = "an unknown signature scheme is among those given";
    if (failed != NULL) {
        wtls_error_text(error, size, failed);
        SSL_CTX_free(made);
        return NULL;
    }
    if (settings->is_server) {
        SSL_CTX_set_tlsext_servername_callback(made, choose_certificate);
        SSL_CTX_set_tlsext_servername_arg(made, context);
        if (context->protocols_length > 0) SSL_CTX_set_alpn_select_cb(made, choose_protocol, context);
    } else if (context->protocols_length > 0) {
        SSL_CTX_set_alpn_protos(made, context->protocols, (unsigned int)context->protocols_length);
    }
    if (settings->verify != wtls_verify_none) {
        int mode = SSL_VERIFY_PEER;
        if (settings->verify == wtls_verify_required) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
        SSL_CTX_set_verify(made, mode, NULL);
        SSL_CTX_set_cert_verify_callback(made, wtls_verify_chain, context);
        SSL_CTX_set1_cert_store(made, context->store);
        if (settings->maximum_depth >= 0) SSL_CTX_set_verify_depth(made, settings->maximum_depth);
    }
    return made;
}

struct wtls_context *wtls_context_new(const struct wtls_settings *settings, const struct wtls_hooks *hooks, void *owner,
    char *error, size_t size) {
    struct wtls_context *context = calloc(1, sizeof *context);
    if (context == NULL) {
        if (hooks->release != NULL) hooks->release(owner);
        snprintf(error, size, "out of memory");
        return NULL;
    }
    atomic_init(&context->users, 1);
    pthread_mutex_init(&context->sessions_lock, NULL);
    context->settings = *settings;
    context->hooks = *hooks;
    context->owner = owner;
    context->store = X509_STORE_new();
    if (settings->protocols_length > 0) {
        context->protocols = malloc(settings->protocols_length);
        if (context->protocols != NULL) {
            memcpy(context->protocols, settings->protocols, settings->protocols_length);
            context->protocols_length = settings->protocols_length;
        }
    }
    SSL_CTX *first = context->store == NULL ? NULL : make(context, error, size);
    if (first == NULL) {
        wtls_context_free(context);
        return NULL;
    }
    context->contexts = calloc(1, sizeof *context->contexts);
    if (context->contexts == NULL) {
        SSL_CTX_free(first);
        wtls_context_free(context);
        snprintf(error, size, "out of memory");
        return NULL;
    }
    context->contexts[0] = first;
    context->count = 1;
    // What these point to is the caller's, and read above only.
    context->settings.groups = NULL;
    context->settings.protocols = NULL;
    context->ciphers = settings->ciphers ? strdup(settings->ciphers) : NULL;
    context->groups = settings->groups ? strdup(settings->groups) : NULL;
    context->signatures = settings->signatures ? strdup(settings->signatures) : NULL;
    context->settings.signatures = context->signatures;
    context->settings.ciphers = context->ciphers;
    context->settings.groups = context->groups;
    return context;
}

void wtls_context_free(struct wtls_context *context) {
    if (context == NULL || atomic_fetch_sub(&context->users, 1) != 1) return;
    for (int place = 0; place < context->count; place++) SSL_CTX_free(context->contexts[place]);
    free(context->contexts);
    X509_STORE_free(context->store);
    free(context->protocols);
    free(context->ciphers);
    free(context->groups);
    free(context->signatures);
    wtls_free_sessions(context);
    pthread_mutex_destroy(&context->sessions_lock);
    if (context->hooks.release != NULL) context->hooks.release(context->owner);
    free(context);
}

// Asked for the password of a key: never the terminal.
static int give_password(char *text, int size, int writing, void *argument) {
    (void)writing;
    if (argument == NULL) return 0;
    int length = snprintf(text, (size_t)size, "%s", (const char *)argument);
    return length < size ? length : 0;
}

static int use_chain(SSL_CTX *context, const void *text, size_t length, char *error, size_t size) {
    BIO *source = BIO_new_mem_buf(text, (int)length);
    X509 *leaf = source ? PEM_read_bio_X509_AUX(source, NULL, give_password, NULL) : NULL;
    if (leaf == NULL || SSL_CTX_use_certificate(context, leaf) != 1) {
        wtls_error_text(error, size, leaf ? "the certificate is not acceptable" : "there is no certificate in PEM");
        X509_free(leaf);
        BIO_free(source);
        return 0;
    }
    X509_free(leaf);
    SSL_CTX_clear_chain_certs(context);
    X509 *further;
    while ((further = PEM_read_bio_X509(source, NULL, give_password, NULL)) != NULL)
        if (SSL_CTX_add0_chain_cert(context, further) != 1) {
            X509_free(further);
            wtls_error_text(error, size, "a certificate of the chain is not acceptable");
            BIO_free(source);
            return 0;
        }
    unsigned long code = ERR_peek_last_error();
    int ended = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    if (!ended) wtls_error_text(error, size, "a certificate of the chain is damaged");
    ERR_clear_error();
    BIO_free(source);
    return ended;
}

int wtls_context_add(struct wtls_context *context, const void *chain, size_t chain_length, const void *key,
    size_t key_length, const char *password, int beside, char *error, size_t size) {
    int place = beside;
    if (place < 0 && !context->has_certificate) place = 0;
    ERR_clear_error();
    if (place < 0) {
        SSL_CTX **larger = realloc(context->contexts, ((size_t)context->count + 1) * sizeof *larger);
        if (larger == NULL) return snprintf(error, size, "out of memory"), -1;
        context->contexts = larger;
        SSL_CTX *made = make(context, error, size);
        if (made == NULL) return -1;
        place = context->count++;
        context->contexts[place] = made;
    }
    SSL_CTX *target = context->contexts[place];
    if (!use_chain(target, chain, chain_length, error, size)) return -1;
    BIO *source = BIO_new_mem_buf(key, (int)key_length);
    EVP_PKEY *secret = source ? PEM_read_bio_PrivateKey(source, NULL, give_password, (void *)password) : NULL;
    BIO_free(source);
    if (secret == NULL) {
        wtls_error_text(error, size, "the private key cannot be read");
        return -1;
    }
    int used = SSL_CTX_use_PrivateKey(target, secret) == 1 && SSL_CTX_check_private_key(target) == 1;
    EVP_PKEY_free(secret);
    if (!used) {
        wtls_error_text(error, size, "the private key does not belong to the certificate");
        return -1;
    }
    context->has_certificate = 1;
    return place;
}

// Adds what a PEM text holds of one kind to the store; the number, or -1.
static int add_to_store(struct wtls_context *context, const void *text, size_t length, int lists, char *error,
    size_t size) {
    ERR_clear_error();
    BIO *source = BIO_new_mem_buf(text, (int)length);
    if (source == NULL) return -1;
    int count = 0, sound = 1;
    for (;;) {
        if (lists) {
            X509_CRL *list = PEM_read_bio_X509_CRL(source, NULL, give_password, NULL);
            if (list == NULL) break;
            sound = sound && X509_STORE_add_crl(context->store, list) == 1;
            X509_CRL_free(list);
        } else {
            X509 *authority = PEM_read_bio_X509(source, NULL, give_password, NULL);
            if (authority == NULL) break;
            sound = sound && X509_STORE_add_cert(context->store, authority) == 1;
            if (context->settings.is_server)
                for (int place = 0; place < context->count; place++)
                    SSL_CTX_add_client_CA(context->contexts[place], authority);
            X509_free(authority);
        }
        count++;
    }
    BIO_free(source);
    unsigned long code = ERR_peek_last_error();
    int ended = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    if (!ended || !sound || count == 0) {
        const char *what = lists ? "the revocation lists cannot be read" : "the authorities' certificates cannot be read";
        if (count == 0) what = lists ? "there is no revocation list in PEM" : "there is no certificate in PEM";
        if (count == 0 && ended) ERR_clear_error();
        wtls_error_text(error, size, what);
        return -1;
    }
    ERR_clear_error();
    return count;
}

int wtls_context_trust(struct wtls_context *context, const void *bundle, size_t length, char *error, size_t size) {
    return add_to_store(context, bundle, length, 0, error, size);
}

int wtls_context_revoke(struct wtls_context *context, const void *lists, size_t length, char *error, size_t size) {
    return add_to_store(context, lists, length, 1, error, size);
}

int wtls_context_trust_system(struct wtls_context *context) { return X509_STORE_set_default_paths(context->store); }

void wtls_context_finish(struct wtls_context *context) {
    X509_VERIFY_PARAM *rules = X509_STORE_get0_param(context->store);
    X509_VERIFY_PARAM_set_auth_level(rules, 2);
    unsigned long flags = X509_V_FLAG_TRUSTED_FIRST;
    if (context->settings.checks_revocation) flags |= X509_V_FLAG_CRL_CHECK;
    if (context->settings.checks_revocation && !context->settings.revokes_leaf_only) flags |= X509_V_FLAG_CRL_CHECK_ALL;
    if (context->settings.ignores_dates) flags |= X509_V_FLAG_NO_CHECK_TIME;
    X509_VERIFY_PARAM_set_flags(rules, flags);
}
