#include "include/CTLS.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

// The few functions of libssl 3 that a probe needs; their shapes are part of its stable interface.
static struct {
    const void *(*client_method)(void);
    void *(*context_new)(const void *method);
    void (*context_set_verify)(void *context, int mode, void *callback);
    void *(*connection_new)(void *context);
    void (*connection_free)(void *connection);
    int (*set_fd)(void *connection, int fd);
    long (*control)(void *connection, int command, long number, void *argument);
    int (*connect)(void *connection);
    int (*read)(void *connection, void *bytes, int count);
    int (*write)(void *connection, const void *bytes, int count);
    int (*get_error)(const void *connection, int result);
    void (*clear_errors)(void);
    void *context;
} ssl;

enum { wants_read = 2, wants_write = 3, clean_end = 6, set_host_name = 55 };

struct ctls {
    void *connection;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void find_library(void) {
    void *library = dlopen("libssl.so.3", RTLD_NOW | RTLD_LOCAL);
    void *crypto = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL || crypto == NULL) return;
#define FIND(field, from, name) \
    *(void **)&ssl.field = dlsym(from, name); \
    if (ssl.field == NULL) return
    FIND(client_method, library, "TLS_client_method");
    FIND(context_new, library, "SSL_CTX_new");
    FIND(context_set_verify, library, "SSL_CTX_set_verify");
    FIND(connection_new, library, "SSL_new");
    FIND(connection_free, library, "SSL_free");
    FIND(set_fd, library, "SSL_set_fd");
    FIND(control, library, "SSL_ctrl");
    FIND(connect, library, "SSL_connect");
    FIND(read, library, "SSL_read");
    FIND(write, library, "SSL_write");
    FIND(get_error, library, "SSL_get_error");
    FIND(clear_errors, crypto, "ERR_clear_error");
#undef FIND
    void *context = ssl.context_new(ssl.client_method());
    if (context != NULL) ssl.context_set_verify(context, 0, NULL);
    ssl.context = context;
}

struct ctls *ctls_open(int fd, const char *name) {
    pthread_once(&once, find_library);
    if (ssl.context == NULL) return NULL;
    struct ctls *tls = calloc(1, sizeof *tls);
    if (tls == NULL) return NULL;
    tls->connection = ssl.connection_new(ssl.context);
    if (tls->connection == NULL || ssl.set_fd(tls->connection, fd) != 1) {
        ctls_close(tls);
        return NULL;
    }
    if (name != NULL) ssl.control(tls->connection, set_host_name, 0, (void *)name);
    return tls;
}

static int wish(struct ctls *tls, int result) {
    switch (ssl.get_error(tls->connection, result)) {
    case wants_read: return ctls_wants_read;
    case wants_write: return ctls_wants_write;
    case clean_end: return 0;
    default: return ctls_failed;
    }
}

int ctls_handshake(struct ctls *tls) {
    ssl.clear_errors();
    int result = ssl.connect(tls->connection);
    if (result == 1) return ctls_done;
    int wanted = wish(tls, result);
    return wanted == 0 ? ctls_failed : wanted;
}

int ctls_send(struct ctls *tls, const void *bytes, int count) {
    ssl.clear_errors();
    int result = ssl.write(tls->connection, bytes, count);
    return result > 0 ? result : wish(tls, result);
}

int ctls_receive(struct ctls *tls, void *bytes, int count) {
    ssl.clear_errors();
    int result = ssl.read(tls->connection, bytes, count);
    return result > 0 ? result : wish(tls, result);
}

void ctls_close(struct ctls *tls) {
    if (tls->connection != NULL) ssl.connection_free(tls->connection);
    free(tls);
}
