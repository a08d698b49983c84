#include "include/COpenSSL.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct wdig {
    EVP_MD_CTX *context;
    int is_good;
};

struct wdig *wdig_new(void) {
    struct wdig *digest = calloc(1, sizeof *digest);
    if (digest == NULL) return NULL;
    digest->context = EVP_MD_CTX_new();
    if (digest->context != NULL && EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) == 1) {
        digest->is_good = 1;
        return digest;
    }
    wdig_free(digest);
    return NULL;
}

void wdig_add(struct wdig *digest, const void *bytes, size_t length) {
    if (length > 0 && EVP_DigestUpdate(digest->context, bytes, length) != 1) digest->is_good = 0;
}

void wdig_finish(struct wdig *digest, uint8_t sum[32]) {
    unsigned length = 32;
    // A sum that could not be made equals none.
    if (!digest->is_good || EVP_DigestFinal_ex(digest->context, sum, &length) != 1) memset(sum, 0, 32);
    digest->is_good = EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) == 1;
}

void wdig_free(struct wdig *digest) {
    if (digest == NULL) return;
    EVP_MD_CTX_free(digest->context);
    free(digest);
}
