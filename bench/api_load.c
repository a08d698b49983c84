// A load client for the API that costs next to nothing itself: every connection of a Unix socket asks, reads its answer
// whole, and asks again.
//
//   api_load SOCKET CONNECTIONS COUNT METHOD PATH [BODY]      %d in PATH and BODY is the number of the request
//
// Prints one line of JSON: requests, failures (answers outside 200-299), seconds, microseconds at p50 and p99.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST = 64 << 20, MOST = 256 };

struct client {
    int socket;
    char *input;
    size_t held, room;
    double asked;
};

static const char *method, *path, *body;
static long count, begun, ended, failed;
static double *times;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void die(const char *what) {
    fprintf(stderr, "api_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

// Writes `text` with the number in the place of the first %d.
static int fill(char *place, size_t room, const char *text, long number) {
    const char *mark = strstr(text, "%d");
    if (!mark) return snprintf(place, room, "%s", text);
    return snprintf(place, room, "%.*s%ld%s", (int)(mark - text), text, number, mark + 2);
}

static void ask(struct client *client) {
    static char request[1 << 16], target[4096], content[1 << 15];
    if (begun >= count) return;
    long number = begun++;
    fill(target, sizeof target, path, number);
    int length = body ? fill(content, sizeof content, body, number) : 0;
    int size = snprintf(request, sizeof request,
                        "%s %s HTTP/1.1\r\nHost: weft\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
                        "Content-Length: %d\r\n\r\n%s",
                        method, target, length, body ? content : "");
    client->asked = now();
    for (int sent = 0; sent < size;) {
        ssize_t step = send(client->socket, request + sent, (size_t)(size - sent), MSG_NOSIGNAL);
        if (step <= 0) die("send");
        sent += (int)step;
    }
}

// True when the answer in `input` is whole.
static int is_whole(struct client *client) {
    char *end = memmem(client->input, client->held, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t head = (size_t)(end - client->input) + 4;
    *end = 0;
    char *field = strcasestr(client->input, "\r\nContent-Length:");
    *end = '\r';
    if (!field) { fprintf(stderr, "api_load: an answer without Content-Length\n"); exit(1); }
    return client->held >= head + (size_t)atol(field + 17);
}

static void answer(struct client *client) {
    if (client->room - client->held < 1 << 16) {
        client->room = client->room ? client->room * 2 : 1 << 18;
        if (client->room > LARGEST) die("an answer too large");
        client->input = realloc(client->input, client->room);
        if (!client->input) die("memory");
    }
    ssize_t step = recv(client->socket, client->input + client->held, client->room - client->held - 1, 0);
    if (step <= 0) die("the server closed the connection");
    client->held += (size_t)step;
    if (!is_whole(client)) return;
    times[ended++] = now() - client->asked;
    if (client->held < 12 || client->input[9] != '2') failed++;
    client->held = 0;
    ask(client);
}

static int earlier(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv) {
    if (argc < 6) { fprintf(stderr, "usage: api_load SOCKET CONNECTIONS COUNT METHOD PATH [BODY]\n"); return 2; }
    int connections = atoi(argv[2]);
    count = atol(argv[3]);
    method = argv[4], path = argv[5], body = argc > 6 ? argv[6] : NULL;
    if (connections < 1 || connections > MOST || count < 1) { fprintf(stderr, "api_load: numbers\n"); return 2; }
    times = calloc((size_t)count, sizeof *times);
    static struct client clients[MOST];
    static struct pollfd polls[MOST];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", argv[1]);
    for (int index = 0; index < connections; index++) {
        int made = socket(AF_UNIX, SOCK_STREAM, 0);
        if (made < 0 || connect(made, (struct sockaddr *)&address, sizeof address)) die(argv[1]);
        clients[index].socket = made;
        polls[index] = (struct pollfd){made, POLLIN, 0};
    }
    double start = now();
    for (int index = 0; index < connections; index++) ask(&clients[index]);
    while (ended < count) {
        if (poll(polls, (nfds_t)connections, 10000) <= 0) die("no answer in 10 s");
        for (int index = 0; index < connections; index++)
            if (polls[index].revents) answer(&clients[index]);
    }
    double seconds = now() - start;
    qsort(times, (size_t)count, sizeof *times, earlier);
    printf("{\"requests\": %ld, \"failures\": %ld, \"seconds\": %.6f, \"p50\": %.1f, \"p99\": %.1f}\n", ended, failed, seconds,
           times[count / 2] * 1e6, times[count * 99 / 100] * 1e6);
    return 0;
}
