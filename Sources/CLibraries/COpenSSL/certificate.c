#include "internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void name_text(const X509_NAME *name, char *text, size_t size) {
    BIO *out = BIO_new(BIO_s_mem());
    text[0] = 0;
    if (out == NULL) return;
    if (X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253) >= 0) {
        int count = BIO_read(out, text, (int)size - 1);
        text[count > 0 ? count : 0] = 0;
    }
    BIO_free(out);
}

static int64_t seconds(const ASN1_TIME *time) {
    struct tm parts;
    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : 0;
}

static void date_text(const ASN1_TIME *time, char *text, size_t size) {
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1 || strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        snprintf(text, size, "an unreadable date");
}

int wtls_with_peer(X509 *certificate, const char *wanted, int (*use)(void *, const struct wtls_peer *), void *argument) {
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int total = names ? sk_GENERAL_NAME_num(names) : 0;
    struct wtls_san *list = total > 0 ? calloc((size_t)total, sizeof *list) : NULL;
    size_t count = 0;
    for (int index = 0; list != NULL && index < total; index++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
        const ASN1_STRING *text;
        switch (name->type) {
            case GEN_DNS: text = name->d.dNSName; break;
            case GEN_URI: text = name->d.uniformResourceIdentifier; break;
            case GEN_EMAIL: text = name->d.rfc822Name; break;
            case GEN_IPADD: text = name->d.iPAddress; break;
            default: continue;
        }
        list[count++] = (struct wtls_san){name->type, ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text)};
    }
    char subject[512];
    name_text(X509_get_subject_name(certificate), subject, sizeof subject);
    uint32_t uses = X509_get_key_usage(certificate);
    uint8_t digest[EVP_MAX_MD_SIZE] = {0}, key_digest[EVP_MAX_MD_SIZE] = {0};
    X509_digest(certificate, EVP_sha256(), digest, NULL);
    uint8_t *key = NULL;
    int key_length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &key);
    if (key_length > 0) EVP_Digest(key, (size_t)key_length, key_digest, NULL, EVP_sha256(), NULL);
    OPENSSL_free(key);
    struct wtls_peer peer = {
        .names = list,
        .count = count,
        .is_authority = X509_check_ca(certificate) == 1,
        .may_sign_certificates = uses != UINT32_MAX && (uses & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != 0,
        .subject = subject,
        .wanted_name = wanted,
        .digest = digest,
        .key_digest = key_digest,
    };
    int result = use(argument, &peer);
    free(list);
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return result;
}

// MARK: Verification

static void explain(X509_STORE_CTX *store, char *text, size_t size) {
    X509 *certificate = X509_STORE_CTX_get_current_cert(store);
    int error = X509_STORE_CTX_get_error(store), depth = X509_STORE_CTX_get_error_depth(store);
    char subject[160] = "", issuer[160] = "", date[32];
    if (certificate != NULL) {
        name_text(X509_get_subject_name(certificate), subject, sizeof subject);
        name_text(X509_get_issuer_name(certificate), issuer, sizeof issuer);
    }
    const char *whose = depth == 0 ? "the certificate" : "the authority's certificate";
    switch (certificate == NULL ? X509_V_OK : error) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
            date_text(X509_get0_notAfter(certificate), date, sizeof date);
            snprintf(text, size, "%s of %s is expired since %s", whose, subject, date);
            return;
        case X509_V_ERR_CERT_NOT_YET_VALID:
            date_text(X509_get0_notBefore(certificate), date, sizeof date);
            snprintf(text, size, "%s of %s is not valid before %s", whose, subject, date);
            return;
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
        case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
            snprintf(text, size, "unknown authority: %s of %s is signed by %s, which is not trusted", whose, subject, issuer);
            return;
        case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
            snprintf(text, size, "unknown authority: %s signed itself and is not trusted", subject);
            return;
        case X509_V_ERR_INVALID_PURPOSE:
            snprintf(text, size, "%s of %s may not be used for this (extended key usage)", whose, subject);
            return;
        default:
            snprintf(text, size, "%s of %s: %s", whose, subject, X509_verify_cert_error_string(error));
    }
}

struct judgement {
    struct wtls_context *context;
    char *reason;
    size_t size;
};

static int judge(void *argument, const struct wtls_peer *peer) {
    const struct judgement *judgement = argument;
    return judgement->context->hooks.judge(judgement->context->owner, peer, judgement->reason, judgement->size);
}

// An RSA key whose certificate names its uses has to be for signatures: nothing else is done with it here.
static int may_sign(X509 *leaf) {
    EVP_PKEY *key = X509_get0_pubkey(leaf);
    uint32_t uses = X509_get_key_usage(leaf);
    return key == NULL || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || uses == UINT32_MAX
        || (uses & KU_DIGITAL_SIGNATURE) != 0;
}

static int refuse(X509_STORE_CTX *store, struct wtls_session *session, enum wtls_failure failure) {
    session->is_untrusted = 1;
    if (session->context->settings.accepts_untrusted) {
        session->reason[0] = 0;
        return 1;
    }
    session->failure = (uint8_t)failure;
    if (failure == wtls_failure_identity) X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
}

int wtls_verify_chain(X509_STORE_CTX *store, void *argument) {
    struct wtls_context *context = argument;
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct wtls_session *session = ssl ? SSL_get_app_data(ssl) : NULL;
    if (session == NULL) return 0;
    if (!context->settings.skips_chain && X509_verify_cert(store) <= 0) {
        explain(store, session->reason, sizeof session->reason);
        return refuse(store, session, wtls_failure_chain);
    }
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    if (leaf == NULL || context->hooks.judge == NULL) return leaf != NULL;
    if (context->settings.checks_key_usage && !may_sign(leaf)) {
        snprintf(session->reason, sizeof session->reason, "the certificate's RSA key may not be used for signatures");
        return refuse(store, session, wtls_failure_chain);
    }
    struct judgement judgement = {context, session->reason, sizeof session->reason};
    if (wtls_with_peer(leaf, session->wanted, judge, &judgement)) return 1;
    return refuse(store, session, wtls_failure_identity);
}

// MARK: Reading

struct use_once {
    void (*use)(void *, const struct wtls_peer *);
    void *argument;
};

static int call(void *argument, const struct wtls_peer *peer) {
    const struct use_once *once = argument;
    once->use(once->argument, peer);
    return 1;
}

int wtls_peer(const struct wtls_session *session, void (*use)(void *, const struct wtls_peer *), void *argument) {
    X509 *certificate = SSL_get0_peer_certificate(session->ssl);
    if (certificate == NULL) return 0;
    struct use_once once = {use, argument};
    return wtls_with_peer(certificate, NULL, call, &once);
}

static int digest_text(const struct wtls_session *session, const EVP_MD *kind, char *digits) {
    X509 *certificate = SSL_get0_peer_certificate(session->ssl);
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    if (certificate == NULL || X509_digest(certificate, kind, digest, &length) != 1) return 0;
    for (unsigned int index = 0; index < length; index++) snprintf(digits + 2 * index, 3, "%02x", digest[index]);
    return 1;
}

int wtls_peer_digest(const struct wtls_session *session, char digits[65]) {
    return digest_text(session, EVP_sha256(), digits);
}

int wtls_peer_short_digest(const struct wtls_session *session, char digits[41]) {
    return digest_text(session, EVP_sha1(), digits);
}

char *wtls_peer_text(const struct wtls_session *session, int chain, size_t *length) {
    X509 *leaf = SSL_get0_peer_certificate(session->ssl);
    BIO *out = leaf == NULL ? NULL : BIO_new(BIO_s_mem());
    if (out == NULL) return NULL;
    int sound = PEM_write_bio_X509(out, leaf);
    STACK_OF(X509) *rest = chain ? SSL_get_peer_cert_chain(session->ssl) : NULL;
    for (int index = 0; sound && rest != NULL && index < sk_X509_num(rest); index++) {
        X509 *further = sk_X509_value(rest, index);
        if (index > 0 || X509_cmp(further, leaf) != 0) sound = PEM_write_bio_X509(out, further);
    }
    char *bytes = NULL, *copy = NULL;
    long count = sound ? BIO_get_mem_data(out, &bytes) : 0;
    if (count > 0) copy = malloc((size_t)count);
    if (copy != NULL) {
        memcpy(copy, bytes, (size_t)count);
        *length = (size_t)count;
    }
    BIO_free(out);
    ERR_clear_error();
    return copy;
}

struct reading {
    X509 *certificate;
    void (*use)(void *, const struct wtls_certificate *);
    void *argument;
};

static int describe(void *argument, const struct wtls_peer *peer) {
    const struct reading *reading = argument;
    char issuer[512], serial[128] = "";
    name_text(X509_get_issuer_name(reading->certificate), issuer, sizeof issuer);
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(reading->certificate), NULL);
    char *digits = number ? BN_bn2hex(number) : NULL;
    if (digits != NULL) snprintf(serial, sizeof serial, "%s", digits);
    for (char *digit = serial; *digit; digit++)
        if (*digit >= 'A' && *digit <= 'F') *digit = (char)(*digit + 32);
    OPENSSL_free(digits);
    BN_free(number);
    EVP_PKEY *key = X509_get0_pubkey(reading->certificate);
    const char *type = key ? EVP_PKEY_get0_type_name(key) : NULL;
    struct wtls_certificate found = {
        .peer = peer,
        .issuer = issuer,
        .serial = serial,
        .not_before = seconds(X509_get0_notBefore(reading->certificate)),
        .not_after = seconds(X509_get0_notAfter(reading->certificate)),
        .key_type = type ? type : "",
    };
    reading->use(reading->argument, &found);
    return 1;
}

int wtls_certificates(const void *text, size_t length, void (*use)(void *, const struct wtls_certificate *),
    void *argument, char *error, size_t size) {
    ERR_clear_error();
    BIO *source = BIO_new_mem_buf(text, (int)length);
    int count = 0;
    X509 *certificate;
    while (source != NULL && (certificate = PEM_read_bio_X509(source, NULL, NULL, (void *)"")) != NULL) {
        struct reading reading = {certificate, use, argument};
        wtls_with_peer(certificate, NULL, describe, &reading);
        X509_free(certificate);
        count++;
    }
    BIO_free(source);
    if (count == 0) {
        ERR_clear_error();
        snprintf(error, size, "there is no certificate in PEM");
        return -1;
    }
    ERR_clear_error();
    return count;
}

int wtls_session_certificate(const struct wtls_session *session, int own,
    void (*use)(void *, const struct wtls_certificate *), void *argument) {
    X509 *certificate = own ? SSL_get_certificate(session->ssl) : SSL_get0_peer_certificate(session->ssl);
    if (certificate == NULL) return 0;
    struct reading reading = {certificate, use, argument};
    return wtls_with_peer(certificate, NULL, describe, &reading);
}
