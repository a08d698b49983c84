#include "include/CCurl.h"

// The checks of types at compile time name functions that are only known at run time here.
#define CURL_DISABLE_TYPECHECK 1
#include <curl/curl.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    __typeof__(&curl_global_init) global_init;
    __typeof__(&curl_easy_init) easy_init;
    __typeof__(&curl_easy_setopt) easy_setopt;
    __typeof__(&curl_easy_perform) easy_perform;
    __typeof__(&curl_easy_reset) easy_reset;
    __typeof__(&curl_easy_cleanup) easy_cleanup;
    __typeof__(&curl_easy_strerror) easy_strerror;
    __typeof__(&curl_slist_append) slist_append;
    __typeof__(&curl_slist_free_all) slist_free_all;
    int is_ready;
} library;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_library(void) {
    void *handle = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) handle = dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) return;
#define FIND(field, name) \
    *(void **)&library.field = dlsym(handle, name); \
    if (library.field == NULL) return
    FIND(global_init, "curl_global_init");
    FIND(easy_init, "curl_easy_init");
    FIND(easy_setopt, "curl_easy_setopt");
    FIND(easy_perform, "curl_easy_perform");
    FIND(easy_reset, "curl_easy_reset");
    FIND(easy_cleanup, "curl_easy_cleanup");
    FIND(easy_strerror, "curl_easy_strerror");
    FIND(slist_append, "curl_slist_append");
    FIND(slist_free_all, "curl_slist_free_all");
#undef FIND
    library.is_ready = library.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

struct wcurl {
    CURL *easy;
    char message[CURL_ERROR_SIZE];
};

struct wcurl *wcurl_new(void) {
    pthread_once(&once, find_library);
    if (!library.is_ready) return NULL;
    struct wcurl *curl = calloc(1, sizeof *curl);
    if (curl == NULL) return NULL;
    curl->easy = library.easy_init();
    if (curl->easy != NULL) return curl;
    free(curl);
    return NULL;
}

void wcurl_free(struct wcurl *curl) {
    if (curl == NULL) return;
    library.easy_cleanup(curl->easy);
    free(curl);
}

static size_t take_head(char *bytes, size_t size, size_t count, void *argument) {
    const struct wcurl_hooks *hooks = argument;
    size_t length = size * count;
    while (length > 0 && (bytes[length - 1] == '\n' || bytes[length - 1] == '\r')) length--;
    hooks->head(hooks->owner, bytes, length);
    return size * count;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *argument) {
    const struct wcurl_hooks *hooks = argument;
    // Anything else than the whole length ends the transfer.
    return hooks->body(hooks->owner, bytes, size * count) ? size * count : size * count + 1;
}

static int ask(void *argument, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    const struct wcurl_hooks *hooks = argument;
    (void)a, (void)b, (void)c, (void)d;
    return hooks->goes_on(hooks->owner) ? 0 : 1;
}

static enum wcurl_outcome outcome(CURLcode code) {
    switch (code) {
    case CURLE_OK: return wcurl_ok;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT: return wcurl_unreachable;
    case CURLE_OPERATION_TIMEDOUT: return wcurl_timed_out;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR: return wcurl_tls;
    case CURLE_WRITE_ERROR:
    case CURLE_ABORTED_BY_CALLBACK: return wcurl_stopped;
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_UNSUPPORTED_PROTOCOL: return wcurl_broken;
    default: return wcurl_other;
    }
}

enum wcurl_outcome wcurl_perform(struct wcurl *curl, const struct wcurl_request *request, const struct wcurl_hooks *hooks,
                                 char *error, size_t size) {
    CURL *easy = curl->easy;
    struct curl_slist *headers = NULL;
    // Keeps the connection.
    library.easy_reset(easy);
    curl->message[0] = 0;
    for (const char *const *line = request->headers; line != NULL && *line != NULL; line++) {
        struct curl_slist *longer = library.slist_append(headers, *line);
        if (longer == NULL) break;
        headers = longer;
    }
#define SET(option, value) library.easy_setopt(easy, option, value)
    SET(CURLOPT_ERRORBUFFER, curl->message);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_URL, request->url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_HEADERFUNCTION, take_head);
    SET(CURLOPT_HEADERDATA, (void *)hooks);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, (void *)hooks);
    SET(CURLOPT_XFERINFOFUNCTION, ask);
    SET(CURLOPT_XFERINFODATA, (void *)hooks);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, request->connect_milliseconds);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, request->stall_seconds);
    SET(CURLOPT_BUFFERSIZE, 262144L);
    if (request->ca_file != NULL) SET(CURLOPT_CAINFO, request->ca_file);
    if (request->unix_socket != NULL) SET(CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
    if (request->is_direct) SET(CURLOPT_NOPROXY, "*");
    if (request->is_head) SET(CURLOPT_NOBODY, 1L);
    if (request->body != NULL) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_length);
        SET(CURLOPT_POSTFIELDS, request->body);
    }
#undef SET
    CURLcode code = library.easy_perform(easy);
    library.slist_free_all(headers);
    if (code != CURLE_OK)
        snprintf(error, size, "%s", curl->message[0] != 0 ? curl->message : library.easy_strerror(code));
    return outcome(code);
}
