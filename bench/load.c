/* An origin of known capacity, and clients that keep a rate whatever the answers do.
 *
 *   load origin PORT SLOTS SERVICE_US             answers each request after SERVICE_US, SLOTS of them at a time; the rest queues
 *   load open [ADDRESS:]PORT RATE SECONDS DEADLINE_MS [CONNECTIONS [PATH [FIELD [SKIP]]]]
 *                                                 sends by the clock, and says how many were answered within the deadline;
 *                                                 `settled_p99_ms`: of those that were due after SKIP seconds
 *
 * The origin's paths: /set?service=US&slots=N&fail=0|1&hang=0|1 changes it, /count says what it has seen, /b/N answers with N bytes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { most = 16384, head_limit = 8192 };

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static long long now_us(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (long long)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static unsigned where = INADDR_LOOPBACK;

static struct sockaddr_in place(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(where);
    return address;
}

static int loop;

static void watch(int fd, unsigned events, int operation) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(loop, operation, fd, &event) != 0) fail("epoll_ctl");
}

static int wait_until(struct epoll_event *events, long long due) {
    long long left = due - now_us();
    if (left < 0) left = 0;
    struct timespec limit = {.tv_sec = left / 1000000, .tv_nsec = left % 1000000 * 1000};
    return epoll_pwait2(loop, events, 512, &limit, NULL);
}

/* --- The origin ------------------------------------------------------------------------------------------------------------- */

struct work {
    long long due;
    int fd;
    unsigned generation;
    long size;
};
static struct {
    char head[head_limit];
    int length;
    unsigned generation;
    int busy, open;
} peers[most];
static struct work *heap, *queue;
static long heap_count, queue_first, queue_count, queue_room = 1 << 18;
static long slots, service_us, failing, hanging, requests, peak;
static char body[1 << 16];

static void push(struct work work) {
    long at = heap_count++;
    while (at > 0 && heap[(at - 1) / 2].due > work.due) heap[at] = heap[(at - 1) / 2], at = (at - 1) / 2;
    heap[at] = work;
}

static struct work pop(void) {
    struct work top = heap[0], last = heap[--heap_count];
    long at = 0;
    for (;;) {
        long child = 2 * at + 1;
        if (child >= heap_count) break;
        if (child + 1 < heap_count && heap[child + 1].due < heap[child].due) child++;
        if (heap[child].due >= last.due) break;
        heap[at] = heap[child], at = child;
    }
    heap[at] = last;
    return top;
}

static void end_peer(int fd) {
    if (!peers[fd].open) return;
    peers[fd].open = 0;
    peers[fd].generation++;
    close(fd);
}

static void write_all(int fd, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t done = send(fd, bytes, count, MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0 && errno == EAGAIN) { usleep(100); continue; }
        if (done <= 0) return;
        bytes += done, count -= (size_t)done;
    }
}

static void answer(int fd, int status, const char *text, long size) {
    static char out[sizeof body + 512];
    if (size > (long)sizeof body) size = sizeof body;
    int length = sprintf(out, "HTTP/1.1 %d %s\r\nContent-Length: %ld\r\n\r\n", status, status == 200 ? "OK" : "Error", size);
    memcpy(out + length, text ? text : body, (size_t)size);
    write_all(fd, out, (size_t)(length + size));
}

static long number(const char *text, const char *name, long standard) {
    const char *found = strstr(text, name);
    return found ? atol(found + strlen(name)) : standard;
}

static void take(int fd);

static void begin_work(struct work work) {
    work.due = now_us() + service_us;
    push(work);
    if (heap_count > peak) peak = heap_count;
}

static void admit(void) {
    while (queue_count > 0 && (slots == 0 || heap_count < slots)) {
        begin_work(queue[queue_first]);
        queue_first = (queue_first + 1) % queue_room;
        queue_count--;
    }
}

/* One request stands at the beginning of the head's bytes. */
static void request(int fd, char *head) {
    char text[256];
    peers[fd].busy = 1;
    if (strncmp(head, "GET /count ", 11) == 0) {
        int length = sprintf(text, "{\"requests\": %ld, \"working\": %ld, \"queued\": %ld, \"peak\": %ld}\n", requests, heap_count, queue_count, peak);
        peak = 0;
        peers[fd].busy = 0;
        return answer(fd, 200, text, length);
    }
    if (strncmp(head, "GET /set?", 9) == 0) {
        service_us = number(head, "service=", service_us), slots = number(head, "slots=", slots);
        failing = number(head, "fail=", failing), hanging = number(head, "hang=", hanging);
        peers[fd].busy = 0;
        admit();
        return answer(fd, 200, "ok\n", 3);
    }
    requests++;
    if (hanging) return;
    struct work work = {.fd = fd, .generation = peers[fd].generation, .size = strncmp(head, "GET /b/", 7) == 0 ? atol(head + 7) : 3};
    if (slots == 0 || heap_count < slots) return begin_work(work);
    if (queue_count == queue_room) return end_peer(fd);
    queue[(queue_first + queue_count++) % queue_room] = work;
}

static void take(int fd) {
    while (peers[fd].open && !peers[fd].busy) {
        char *end = memmem(peers[fd].head, (size_t)peers[fd].length, "\r\n\r\n", 4);
        if (!end) {
            if (peers[fd].length == head_limit) end_peer(fd);
            return;
        }
        int size = (int)(end + 4 - peers[fd].head);
        end[2] = 0;
        request(fd, peers[fd].head);
        if (!peers[fd].open) return;
        peers[fd].length -= size;
        memmove(peers[fd].head, peers[fd].head + size, (size_t)peers[fd].length);
    }
}

static void receive(int fd) {
    ssize_t count = recv(fd, peers[fd].head + peers[fd].length, (size_t)(head_limit - peers[fd].length), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) return end_peer(fd);
    peers[fd].length += (int)count;
    take(fd);
}

static void complete(void) {
    while (heap_count > 0 && heap[0].due <= now_us()) {
        struct work done = pop();
        admit();
        if (!peers[done.fd].open || peers[done.fd].generation != done.generation) continue;
        peers[done.fd].busy = 0;
        answer(done.fd, failing ? 500 : 200, NULL, done.size);
        take(done.fd);
    }
}

static void origin(int port) {
    static struct epoll_event events[512];
    heap = malloc(sizeof *heap * (size_t)queue_room * 2), queue = malloc(sizeof *queue * (size_t)queue_room);
    memset(body, 'o', sizeof body);
    memcpy(body, "ok\n", 3);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = place(port);
    if (bind(server, (struct sockaddr *)&address, sizeof address) != 0 || listen(server, 4096) != 0) fail("listen");
    watch(server, EPOLLIN, EPOLL_CTL_ADD);
    for (;;) {
        int count = wait_until(events, heap_count > 0 ? heap[0].due : now_us() + 1000000);
        for (int index = 0; index < count; index++) {
            int fd = events[index].data.fd;
            if (fd != server) {
                if (peers[fd].open) receive(fd);
                continue;
            }
            while ((fd = accept4(server, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                if (fd >= most) { close(fd); continue; }
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                peers[fd].open = 1, peers[fd].busy = 0, peers[fd].length = 0;
                watch(fd, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_ADD);
            }
        }
        complete();
    }
}

/* --- The clients ------------------------------------------------------------------------------------------------------------ */

enum state { absent, connecting, idle, asking };
static struct {
    enum state state;
    long long due;
    char head[head_limit];
    int length;
    long body;  /* -1: the head is not whole */
    int status, closes;
} clients[most];
static int idle_fds[most], idle_count, client_count, client_limit = 2048;
static long long *waiting, waiting_first, waiting_count;
static double *latencies, *settled, skip;
static long settled_count, sent, good, in_time, refused, other, broken, expired, unsent;
static long long deadline_us;
static char ask[1024];
static int ask_length, port_of_proxy;
static int seconds_ok[4096], seconds_bad[4096];
static long long begun;

static void note(int *seconds, long long due) {
    long long second = (due - begun) / 1000000;
    if (second >= 0 && second < 4096) seconds[second]++;
}

static void drop(int fd) {
    if (clients[fd].state == idle)
        for (int index = 0; index < idle_count; index++)
            if (idle_fds[index] == fd) { idle_fds[index] = idle_fds[--idle_count]; break; }
    clients[fd].state = absent;
    client_count--;
    close(fd);
}

static void lose(int fd, long *counter) {
    if (clients[fd].state == asking || clients[fd].state == connecting) {
        ++*counter;
        note(seconds_bad, clients[fd].due);
    }
    drop(fd);
}

static void start(int fd, long long due) {
    clients[fd].due = due, clients[fd].length = 0, clients[fd].body = -1, clients[fd].closes = 0;
    clients[fd].state = asking;
    sent++;
    if (send(fd, ask, (size_t)ask_length, MSG_NOSIGNAL | MSG_DONTWAIT) != ask_length) lose(fd, &broken);
}

static int dial(long long due) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    if (fd < 0 || fd >= most) { if (fd >= 0) close(fd); return 0; }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct sockaddr_in address = place(port_of_proxy);
    client_count++;
    clients[fd].state = connecting, clients[fd].due = due;
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) {
        lose(fd, &broken);
        return 1;
    }
    watch(fd, EPOLLOUT, EPOLL_CTL_ADD);
    return 1;
}

static void offer(long long due) {
    if (idle_count > 0) return start(idle_fds[--idle_count], due);
    if (client_count < client_limit && dial(due)) return;
    waiting[(waiting_first + waiting_count++) % (1 << 20)] = due;
}

/* A connection is free: the oldest request that somebody still waits for. */
static void next(int fd) {
    long long now = now_us();
    while (waiting_count > 0) {
        long long due = waiting[waiting_first];
        waiting_first = (waiting_first + 1) % (1 << 20), waiting_count--;
        if (now - due < deadline_us) return start(fd, due);
        unsent++;
        note(seconds_bad, due);
    }
    clients[fd].state = idle;
    idle_fds[idle_count++] = fd;
}

static void ended(int fd) {
    long long took = now_us() - clients[fd].due;
    if (clients[fd].status == 200) {
        latencies[good++] = (double)took / 1000;
        if ((double)(clients[fd].due - begun) >= skip * 1e6) settled[settled_count++] = (double)took / 1000;
        in_time += took <= deadline_us;
        note(seconds_ok, clients[fd].due);
    } else {
        if (clients[fd].status == 503 || clients[fd].status == 429) refused++; else other++;
        note(seconds_bad, clients[fd].due);
    }
    if (clients[fd].closes) return drop(fd);
    next(fd);
}

static void hear(int fd) {
    static char rest[1 << 16];
    if (clients[fd].state == connecting) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) return lose(fd, &broken);
        watch(fd, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_MOD);
        return start(fd, clients[fd].due);
    }
    int is_head = clients[fd].body < 0;
    ssize_t count = is_head ? recv(fd, clients[fd].head + clients[fd].length, (size_t)(head_limit - 1 - clients[fd].length), MSG_DONTWAIT)
                            : recv(fd, rest, sizeof rest, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0 || clients[fd].state == idle) return lose(fd, &broken);
    if (!is_head) {
        clients[fd].body -= count;
    } else {
        clients[fd].length += (int)count;
        char *end = memmem(clients[fd].head, (size_t)clients[fd].length, "\r\n\r\n", 4);
        if (!end) {
            if (clients[fd].length >= head_limit - 1) lose(fd, &broken);
            return;
        }
        *end = 0;
        clients[fd].status = atoi(clients[fd].head + 9);
        char *length = strcasestr(clients[fd].head, "\r\ncontent-length:");
        clients[fd].closes = strcasestr(clients[fd].head, "\r\nconnection: close") != NULL || !length;
        clients[fd].body = (length ? atol(length + 17) : 0) - (clients[fd].length - (end + 4 - clients[fd].head));
    }
    if (clients[fd].body <= 0) ended(fd);
}

static int by_size(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double percentile(double share) { return good ? latencies[(long)((double)(good - 1) * share)] : 0; }

static void expire(long long now) {
    for (int fd = 0; fd < most; fd++)
        if ((clients[fd].state == asking || clients[fd].state == connecting) && now - clients[fd].due > deadline_us) lose(fd, &expired);
}

static void list(const char *name, int *seconds, int count) {
    printf(", \"%s\": [", name);
    for (int index = 0; index < count; index++) printf(index ? ", %d" : "%d", seconds[index]);
    printf("]");
}

static void load(double rate, double seconds) {
    static struct epoll_event events[512];
    long total = (long)(rate * seconds), offered = 0;
    latencies = malloc(sizeof *latencies * (size_t)(total + 1)), waiting = malloc(sizeof *waiting << 20);
    settled = malloc(sizeof *settled * (size_t)(total + 1));
    begun = now_us();
    long long swept = begun, last = begun + (long long)(seconds * 1e6);
    while (offered < total || now_us() < last + deadline_us) {
        long long now = now_us(), due = begun + (long long)((double)offered * 1e6 / rate);
        for (int burst = 0; offered < total && due <= now && burst < 512; burst++) {
            offer(due);
            offered++;
            due = begun + (long long)((double)offered * 1e6 / rate);
        }
        int count = wait_until(events, offered < total ? due : now + 10000);
        for (int index = 0; index < count; index++)
            if (clients[events[index].data.fd].state != absent) hear(events[index].data.fd);
        now = now_us();
        if (now - swept > 10000) expire(now), swept = now;
        if (offered == total && client_count == idle_count && waiting_count == 0) break;
    }
    unsent += waiting_count;
    qsort(latencies, (size_t)good, sizeof *latencies, by_size);
    qsort(settled, (size_t)settled_count, sizeof *settled, by_size);
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    printf("{\"offered\": %ld, \"sent\": %ld, \"good\": %ld, \"in_time\": %ld, \"refused\": %ld, \"other\": %ld, \"broken\": %ld, "
           "\"expired\": %ld, \"unsent\": %ld, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"settled_p99_ms\": %.2f, \"max_ms\": %.2f, \"cpu_s\": %.2f",
           offered, sent, good, in_time, refused, other, broken, expired, unsent, percentile(0.5), percentile(0.99),
           settled_count ? settled[(long)((double)(settled_count - 1) * 0.99)] : 0, percentile(1),
           (double)use.ru_utime.tv_sec + (double)use.ru_utime.tv_usec / 1e6 + (double)use.ru_stime.tv_sec + (double)use.ru_stime.tv_usec / 1e6);
    int whole = (int)(seconds + 0.999);
    list("ok_by_second", seconds_ok, whole < 4096 ? whole : 4096);
    list("bad_by_second", seconds_bad, whole < 4096 ? whole : 4096);
    printf("}\n");
}

int main(int count, char **words) {
    struct rlimit limit = {most, most};
    setrlimit(RLIMIT_NOFILE, &limit);
    loop = epoll_create1(0);
    if (count == 5 && strcmp(words[1], "origin") == 0) {
        slots = atol(words[3]), service_us = atol(words[4]);
        origin(atoi(words[2]));
    }
    if (count >= 6 && strcmp(words[1], "open") == 0) {
        char *colon = strchr(words[2], ':');
        if (colon) {
            *colon = 0;
            where = ntohl(inet_addr(words[2]));
        }
        port_of_proxy = atoi(colon ? colon + 1 : words[2]);
        deadline_us = (long long)(atof(words[5]) * 1000);
        if (count > 6) client_limit = atoi(words[6]);
        if (count > 9) skip = atof(words[9]);
        if (client_limit > most - 64) client_limit = most - 64;
        ask_length = snprintf(ask, sizeof ask, "GET %s HTTP/1.1\r\nHost: a\r\n%s%s\r\n", count > 7 ? words[7] : "/", count > 8 ? words[8] : "",
                              count > 8 ? "\r\n" : "");
        if (ask_length >= (int)sizeof ask) return 2;
        load(atof(words[3]), atof(words[4]));
        return 0;
    }
    fprintf(stderr, "usage: load origin PORT SLOTS SERVICE_US | load open PORT RATE SECONDS DEADLINE_MS [CONNECTIONS [PATH [FIELD [SKIP]]]]\n");
    return 2;
}
