/* A server of HTTP/2 in clear text that answers every call with one message and trailers, as gRPC does: grpc_origin PORT */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct peer {
    int fd;
    nghttp2_session *session;
};

#define FIELD(name, value) {(uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1, NGHTTP2_NV_FLAG_NONE}
static const uint8_t message[] = {0, 0, 0, 0, 7, 10, 5, 'h', 'e', 'l', 'l', 'o'};

static ssize_t give(nghttp2_session *session, int32_t stream, uint8_t *into, size_t room, uint32_t *flags, nghttp2_data_source *source, void *user) {
    (void)source, (void)user, (void)room;
    nghttp2_nv trailers[] = {FIELD("grpc-status", "0")};
    memcpy(into, message, sizeof message);
    *flags = NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    nghttp2_submit_trailer(session, stream, trailers, 1);
    return sizeof message;
}

static int received(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
    (void)user;
    if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM) || (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)) return 0;
    nghttp2_nv fields[] = {FIELD(":status", "200"), FIELD("content-type", "application/grpc")};
    nghttp2_data_provider body = {.read_callback = give};
    return nghttp2_submit_response(session, frame->hd.stream_id, fields, 2, &body);
}

static ssize_t put(nghttp2_session *session, const uint8_t *bytes, size_t count, int flags, void *user) {
    (void)session, (void)flags;
    static uint8_t waiting[1 << 18];
    static size_t have;
    struct peer *peer = user;
    if (bytes == NULL || have + count > sizeof waiting) {
        if (have > 0 && send(peer->fd, waiting, have, MSG_NOSIGNAL) != (ssize_t)have) return NGHTTP2_ERR_CALLBACK_FAILURE;
        have = 0;
    }
    if (bytes != NULL) memcpy(waiting + have, bytes, count), have += count;
    return (ssize_t)count;
}

static int flush(struct peer *peer) {
    return nghttp2_session_send(peer->session) == 0 && put(NULL, NULL, 0, 0, peer) == 0;
}

static void end(struct peer *peer) {
    nghttp2_session_del(peer->session);
    close(peer->fd);
    free(peer);
}

static void take(int listener, int loop, nghttp2_session_callbacks *callbacks) {
    int one = 1, fd = accept(listener, NULL, NULL);
    if (fd < 0) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct peer *peer = calloc(1, sizeof *peer);
    peer->fd = fd;
    nghttp2_session_server_new(&peer->session, callbacks, peer);
    nghttp2_settings_entry limit = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000};
    nghttp2_submit_settings(peer->session, NGHTTP2_FLAG_NONE, &limit, 1);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
    if (!flush(peer)) end(peer);
}

int main(int count, char **words) {
    static uint8_t bytes[1 << 17];
    if (count != 2) return 2;
    int one = 1, loop = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(words[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1024) != 0) return perror("listen"), 1;
    struct epoll_event first = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(loop, EPOLL_CTL_ADD, listener, &first);
    nghttp2_session_callbacks *callbacks;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_send_callback(callbacks, put);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, received);
    for (;;) {
        struct epoll_event events[256];
        int found = epoll_wait(loop, events, 256, -1);
        for (int index = 0; index < found; index++) {
            struct peer *peer = events[index].data.ptr;
            if (peer == NULL) {
                take(listener, loop, callbacks);
                continue;
            }
            ssize_t got = recv(peer->fd, bytes, sizeof bytes, 0);
            if (got <= 0 || nghttp2_session_mem_recv(peer->session, bytes, (size_t)got) != got || !flush(peer)) end(peer);
        }
    }
}
