#include "internal.h"

#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <string.h>

// A new certificate with its key, in PEM.

static int add_extension(X509 *certificate, X509 *issuer, int kind, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    int is_good = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return is_good;
}

static int add_name(X509_NAME *name, int kind, const char *text) {
    return X509_NAME_add_entry_by_NID(name, kind, MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0) == 1;
}

static int set_random_serial(X509 *certificate) {
    unsigned char bytes[16];
    BIGNUM *number = NULL;
    if (RAND_bytes(bytes, sizeof bytes) == 1) {
        bytes[0] &= 0x7f;
        number = BN_bin2bn(bytes, sizeof bytes, NULL);
    }
    int is_good = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return is_good;
}

static int fill(X509 *certificate, const struct wtls_wish *wish, EVP_PKEY *key, X509 *issuer) {
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_set_version(certificate, 2);
    if (!set_random_serial(certificate) || X509_set_pubkey(certificate, key) != 1) return 0;
    // Clocks differ by minutes.
    if (!X509_gmtime_adj(X509_getm_notBefore(certificate), -300) || !X509_gmtime_adj(X509_getm_notAfter(certificate), wish->seconds))
        return 0;
    for (size_t index = 0; index < wish->organization_count; index++)
        if (!add_name(name, NID_organizationName, wish->organizations[index])) return 0;
    if (!add_name(name, NID_commonName, wish->common_name)) return 0;
    X509 *signer = issuer ? issuer : certificate;
    if (X509_set_issuer_name(certificate, X509_get_subject_name(signer)) != 1) return 0;
    if (!add_extension(certificate, signer, NID_basic_constraints, issuer ? "critical,CA:FALSE" : "critical,CA:TRUE")) return 0;
    if (!add_extension(certificate, signer, NID_key_usage, issuer ? "critical,digitalSignature" : "critical,keyCertSign,cRLSign")) return 0;
    if (issuer && !add_extension(certificate, signer, NID_ext_key_usage, wish->is_server ? "serverAuth" : "clientAuth")) return 0;
    if (wish->names && !add_extension(certificate, signer, NID_subject_alt_name, wish->names)) return 0;
    return add_extension(certificate, signer, NID_subject_key_identifier, "hash") &&
           add_extension(certificate, signer, NID_authority_key_identifier, "keyid:always");
}

static char *text_of(BIO *memory) {
    char *bytes = NULL;
    long length = BIO_get_mem_data(memory, &bytes);
    return length > 0 ? strndup(bytes, (size_t)length) : NULL;
}

int wtls_issue(const struct wtls_wish *wish, const char *issuer_certificate, const char *issuer_key, char **certificate_text,
               char **key_text, char *error, size_t size) {
    *certificate_text = *key_text = NULL;
    X509 *issuer = NULL;
    EVP_PKEY *signing = NULL;
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *certificate = X509_new();
    if (issuer_certificate) {
        BIO *in = BIO_new_mem_buf(issuer_certificate, -1);
        issuer = PEM_read_bio_X509(in, NULL, NULL, NULL);
        BIO_free(in);
        in = BIO_new_mem_buf(issuer_key, -1);
        signing = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
        BIO_free(in);
    }
    BIO *out = BIO_new(BIO_s_mem()), *key_out = BIO_new(BIO_s_mem());
    int is_good = key && certificate && out && key_out && (!issuer_certificate || (issuer && signing)) &&
                  fill(certificate, wish, key, issuer) && X509_sign(certificate, signing ? signing : key, EVP_sha256()) > 0 &&
                  PEM_write_bio_X509(out, certificate) == 1 &&
                  PEM_write_bio_PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL) == 1;
    if (is_good) {
        *certificate_text = text_of(out);
        *key_text = text_of(key_out);
    } else {
        wtls_error_text(error, size, "the certificate cannot be issued");
    }
    BIO_free(out);
    BIO_free(key_out);
    X509_free(certificate);
    X509_free(issuer);
    EVP_PKEY_free(key);
    EVP_PKEY_free(signing);
    ERR_clear_error();
    return is_good && *certificate_text && *key_text;
}

long wtls_peer_name(const struct wtls_session *session, int is_organization, int index, char *text, size_t size) {
    X509 *certificate = SSL_get0_peer_certificate(session->ssl);
    if (!certificate) return -1;
    X509_NAME *name = X509_get_subject_name(certificate);
    int place = -1;
    for (int turn = 0; turn <= index; turn++) {
        place = X509_NAME_get_index_by_NID(name, is_organization ? NID_organizationName : NID_commonName, place);
        if (place < 0) return -1;
    }
    unsigned char *bytes = NULL;
    int length = ASN1_STRING_to_UTF8(&bytes, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, place)));
    if (length >= 0 && (size_t)length <= size) memcpy(text, bytes, (size_t)length);
    OPENSSL_free(bytes);
    return length >= 0 && (size_t)length <= size ? length : -1;
}

int wsig_hmac(const void *secret, size_t secret_length, const void *message, size_t length, uint8_t sum[32]) {
    unsigned sum_length = 32;
    return secret_length <= INT32_MAX && HMAC(EVP_sha256(), secret, (int)secret_length, message, length, sum, &sum_length) != NULL;
}

int wsig_random(uint8_t *bytes, size_t length) { return RAND_bytes(bytes, (int)length) == 1; }
