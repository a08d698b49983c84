#include "pod_settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char *row_next(struct row row, const char *key, const char **cursor) {
    const char *end = row.data + row.length;
    const char *at = *cursor == NULL ? row.data : *cursor;
    size_t key_length = strlen(key);
    while (at != NULL && at < end) {
        size_t length = strnlen(at, (size_t)(end - at));
        const char *entry = at;
        at += length + 1;
        if (length > key_length && entry[key_length] == '=' && memcmp(entry, key, key_length) == 0) {
            *cursor = at;
            return entry + key_length + 1;
        }
    }
    *cursor = end;
    return NULL;
}

const char *row_get(struct row row, const char *key) {
    const char *cursor = NULL;
    return row_next(row, key, &cursor);
}

long row_number(struct row row, const char *key, long fallback) {
    const char *value = row_get(row, key);
    if (value == NULL || *value == 0) return fallback;
    char *end = NULL;
    errno = 0;
    long number = strtol(value, &end, 10);
    return errno != 0 || *end != 0 ? fallback : number;
}

size_t row_count(struct row row, const char *key) {
    size_t count = 0;
    for (const char *cursor = NULL; row_next(row, key, &cursor) != NULL;) count++;
    return count;
}

static char failure_text[1024];

int fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure_text, sizeof failure_text, format, arguments);
    va_end(arguments);
    return -1;
}

const char *failure(void) { return failure_text; }

void text_bytes(struct text *text, const void *bytes, size_t count) {
    if (text->length + count > text->capacity) {
        size_t capacity = (text->length + count) * 2 + 128;
        char *data = realloc(text->data, capacity);
        if (data == NULL) {
            text->failed = 1;
            return;
        }
        text->data = data;
        text->capacity = capacity;
    }
    memcpy(text->data + text->length, bytes, count);
    text->length += count;
}

void text_add(struct text *text, const char *format, ...) {
    char line[2048];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length < 0) return;
    if ((size_t)length >= sizeof line) length = sizeof line - 1;
    text_bytes(text, line, (size_t)length + 1);
}

static int64_t clock_now(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t wall_now(void) { return clock_now(CLOCK_REALTIME); }
int64_t steady_now(void) { return clock_now(CLOCK_MONOTONIC); }

int write_file(const char *path, const char *value) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    size_t length = strlen(value);
    ssize_t written = write(fd, value, length);
    int error = written == (ssize_t)length ? 0 : errno;
    close(fd);
    errno = error;
    return error == 0 ? 0 : -1;
}

int make_directories(const char *path, mode_t mode) {
    char copy[4096];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof copy) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(copy, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (copy[i] != '/' && copy[i] != 0) continue;
        char kept = copy[i];
        copy[i] = 0;
        if (mkdir(copy, mode) != 0 && errno != EEXIST) {
            struct stat there;
            if (stat(copy, &there) != 0 || !S_ISDIR(there.st_mode)) return -1;
        }
        copy[i] = kept;
    }
    return 0;
}
