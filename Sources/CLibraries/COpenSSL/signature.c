#include "internal.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

// Key of a signature; the same key may be used by several threads at once.
struct wsig_key {
    EVP_PKEY *key;
};

static struct wsig_key *made_key(EVP_PKEY *key) {
    struct wsig_key *result = key ? malloc(sizeof *result) : NULL;
    if (result)
        result->key = key;
    else
        EVP_PKEY_free(key);
    ERR_clear_error();
    return result;
}

static EVP_PKEY *from_data(const char *kind, OSSL_PARAM *parameters) {
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = parameters ? EVP_PKEY_CTX_new_from_name(NULL, kind, NULL) : NULL;
    if (context && (EVP_PKEY_fromdata_init(context) <= 0 ||
                    EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) <= 0))
        key = NULL;
    EVP_PKEY_CTX_free(context);
    if (key) {
        EVP_PKEY_CTX *check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
        if (!check || EVP_PKEY_public_check_quick(check) <= 0) {
            EVP_PKEY_free(key);
            key = NULL;
        }
        EVP_PKEY_CTX_free(check);
    }
    return key;
}

struct wsig_key *wsig_rsa(const uint8_t *n, size_t n_length, const uint8_t *e, size_t e_length) {
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *modulus = BN_bin2bn(n, (int)n_length, NULL), *exponent = BN_bin2bn(e, (int)e_length, NULL);
    if (builder && modulus && exponent && BN_is_odd(exponent) && !BN_is_one(exponent) && BN_num_bits(exponent) <= 64 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent)) {
        OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
        key = from_data("RSA", parameters);
        OSSL_PARAM_free(parameters);
    }
    OSSL_PARAM_BLD_free(builder);
    BN_free(modulus);
    BN_free(exponent);
    if (key && (EVP_PKEY_get_bits(key) < wsig_rsa_least_bits || EVP_PKEY_get_bits(key) > wsig_rsa_most_bits)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return made_key(key);
}

struct wsig_key *wsig_ec(const char *group, const uint8_t *point, size_t length) {
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (builder && OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, length)) {
        OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
        key = from_data("EC", parameters);
        OSSL_PARAM_free(parameters);
    }
    OSSL_PARAM_BLD_free(builder);
    return made_key(key);
}

struct wsig_key *wsig_ed25519(const uint8_t *bytes, size_t length) {
    return made_key(EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, bytes, length));
}

void wsig_free(struct wsig_key *key) {
    if (!key) return;
    EVP_PKEY_free(key->key);
    free(key);
}

static const EVP_MD *digest_of(int bits) {
    return bits == 256 ? EVP_sha256() : bits == 384 ? EVP_sha384() : bits == 512 ? EVP_sha512() : NULL;
}

// The form of RFC 7518 section 3.4 (both numbers in full length) as OpenSSL wants it; NULL when it is none.
static uint8_t *der_of(const uint8_t *signature, size_t length, int *der_length) {
    uint8_t *der = NULL;
    ECDSA_SIG *numbers = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, (int)(length / 2), NULL);
    BIGNUM *s = BN_bin2bn(signature + length / 2, (int)(length / 2), NULL);
    *der_length = 0;
    if (numbers && r && s && ECDSA_SIG_set0(numbers, r, s)) {
        r = s = NULL;
        *der_length = i2d_ECDSA_SIG(numbers, &der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(numbers);
    return *der_length > 0 ? der : NULL;
}

int wsig_verify(const struct wsig_key *key, enum wsig_scheme scheme, int bits, const void *message, size_t length,
                const void *signature, size_t signature_length) {
    EVP_PKEY_CTX *options = NULL;
    const EVP_MD *digest = scheme == wsig_eddsa ? NULL : digest_of(bits);
    uint8_t *der = NULL;
    int der_length = 0, is_good = 0;
    EVP_MD_CTX *context;
    if (scheme != wsig_eddsa && !digest) return 0;
    if (scheme == wsig_ecdsa) {
        size_t half = ((size_t)EVP_PKEY_get_bits(key->key) + 7) / 8;
        if (signature_length != 2 * half) return 0;
        der = der_of(signature, signature_length, &der_length);
        if (!der) return 0;
        signature = der;
        signature_length = (size_t)der_length;
    }
    context = EVP_MD_CTX_new();
    if (context && EVP_DigestVerifyInit(context, &options, digest, NULL, key->key) == 1) {
        int is_ready = 1;
        if (scheme == wsig_rsa_pss)
            is_ready = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) > 0 &&
                       EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) > 0;
        is_good = is_ready && EVP_DigestVerify(context, signature, signature_length, message, length) == 1;
    }
    EVP_MD_CTX_free(context);
    OPENSSL_free(der);
    ERR_clear_error();
    return is_good;
}

int wsig_verify_hmac(int bits, const void *secret, size_t secret_length, const void *message, size_t length,
                     const void *signature, size_t signature_length) {
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned sum_length = sizeof sum;
    const EVP_MD *digest = digest_of(bits);
    if (!digest || secret_length > INT32_MAX) return 0;
    if (!HMAC(digest, secret, (int)secret_length, message, length, sum, &sum_length)) return 0;
    return sum_length == signature_length && CRYPTO_memcmp(sum, signature, sum_length) == 0;
}
