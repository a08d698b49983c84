// Container output as log lines: `2026-01-31T12:00:00.000000000Z stdout F text`, F for a full line, P for a part.
#include "pod_serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/// Kubernetes' rotation: 10 MiB, 5 files. A line longer than 16 KiB is written in parts, as CRI runtimes do.
enum { rotate_at = 10 << 20, files_kept = 5, line_limit = 16 << 10, read_size = 16 << 10, reads_at_once = 4 };

static void open_file(struct log *log) {
    log->file = openat(pod_directory, log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
    struct stat facts;
    log->size = log->file >= 0 && fstat(log->file, &facts) == 0 ? facts.st_size : 0;
}

void log_open(struct log *log, const char *path) {
    snprintf(log->path, sizeof log->path, "%s", path);
    char parent[sizeof log->path];
    for (size_t i = 1; log->path[i] != 0; i++) {
        if (log->path[i] != '/') continue;
        memcpy(parent, log->path, i);
        parent[i] = 0;
        mkdirat(pod_directory, parent, 0750);
    }
    open_file(log);
}

void log_close(struct log *log) {
    if (log->file >= 0) close(log->file);
    log->file = -1;
}

void log_complete(struct log *log) {
    if (log->file >= 0) fchmod(log->file, 0440);
    log_close(log);
}

static void rotate(struct log *log) {
    char from[sizeof log->path + 8], to[sizeof log->path + 8];
    log_close(log);
    for (int i = files_kept - 1; i >= 1; i--) {
        snprintf(to, sizeof to, "%s.%d", log->path, i);
        if (i > 1)
            snprintf(from, sizeof from, "%s.%d", log->path, i - 1);
        else
            snprintf(from, sizeof from, "%s", log->path);
        renameat(pod_directory, from, pod_directory, to);
    }
    open_file(log);
}

static size_t stamp(char *place, size_t size) {
    static time_t cached_second = -1;
    static char cached[32];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != cached_second) {
        struct tm parts;
        gmtime_r(&now.tv_sec, &parts);
        strftime(cached, sizeof cached, "%Y-%m-%dT%H:%M:%S", &parts);
        cached_second = now.tv_sec;
    }
    int length = snprintf(place, size, "%s.%09ldZ", cached, now.tv_nsec);
    return length < 0 ? 0 : (size_t)length;
}

/// Lines that wait for one write: those of one turn of one stream, so that two streams never mix within a line.
static char waiting[64 << 10];
static size_t waiting_length;
static int64_t waiting_lines;

/// A disk that takes nothing costs the lines only: the container is never held up.
static void write_waiting(struct log *log) {
    if (waiting_length == 0) return;
    if (log->size >= rotate_at) rotate(log);
    if (log->file < 0) open_file(log);
    ssize_t written = log->file < 0 ? -1 : write(log->file, waiting, waiting_length);
    if (written == (ssize_t)waiting_length) {
        log->size += written;
    } else {
        log->dropped += waiting_lines;
        // A line cut short by a full disk must not swallow the next one.
        if (written > 0 && ftruncate(log->file, log->size) != 0) log->size += written;
    }
    waiting_length = 0;
    waiting_lines = 0;
}

static void put_line(struct log *log, const char *stream, char mark, const char *text, size_t length) {
    char head[64];
    size_t head_length = stamp(head, sizeof head);
    head_length += (size_t)snprintf(head + head_length, sizeof head - head_length, " %s %c ", stream, mark);
    if (waiting_length + head_length + length + 1 > sizeof waiting) write_waiting(log);
    memcpy(waiting + waiting_length, head, head_length);
    memcpy(waiting + waiting_length + head_length, text, length);
    waiting_length += head_length + length + 1;
    waiting[waiting_length - 1] = '\n';
    waiting_lines++;
}

static void keep(struct stream *stream, struct log *log, const char *text, size_t length) {
    while (length > 0) {
        if (stream->line == NULL && (stream->line = malloc(line_limit)) == NULL) {
            log->dropped++;
            return;
        }
        size_t room = line_limit - stream->length, part = length < room ? length : room;
        memcpy(stream->line + stream->length, text, part);
        stream->length += part;
        text += part;
        length -= part;
        if (stream->length == line_limit) {
            put_line(log, stream->name, 'P', stream->line, stream->length);
            stream->length = 0;
        }
    }
}

static void take_text(struct stream *stream, struct log *log, const char *text, size_t length) {
    while (length > 0) {
        const char *end = memchr(text, '\n', length);
        if (end == NULL) {
            keep(stream, log, text, length);
            return;
        }
        size_t part = (size_t)(end - text);
        if (stream->length == 0 && part <= line_limit) {
            put_line(log, stream->name, 'F', text, part);
        } else {
            keep(stream, log, text, part);
            put_line(log, stream->name, 'F', stream->line, stream->length);
            stream->length = 0;
        }
        text = end + 1;
        length -= part + 1;
    }
    if (stream->length == 0) {
        free(stream->line);
        stream->line = NULL;
    }
}

int stream_read(struct container *container, int part) {
    struct stream *stream = &container->streams[part];
    struct log *log = &container->log;
    static char buffer[read_size];
    int goes_on = 1;
    for (int i = 0; i < reads_at_once; i++) {
        ssize_t length = read(stream->fd, buffer, sizeof buffer);
        if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR)) goes_on = 0;
        if (length > 0) {
            take_text(stream, log, buffer, (size_t)length);
            attach_pass_on(container, part, buffer, (size_t)length);
        }
        if (length < read_size) break;
    }
    write_waiting(log);
    return goes_on;
}

void stream_end(struct stream *stream, struct log *log) {
    if (stream->length > 0) put_line(log, stream->name, 'F', stream->line, stream->length);
    write_waiting(log);
    free(stream->line);
    stream->line = NULL;
    stream->length = 0;
    if (stream->fd >= 0) close(stream->fd);
    stream->fd = -1;
}
