/* An echo server on libuv. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

enum { BUFFER_BYTES = 8192, BACKLOG = 1024 };

/* A buffer that is being written. */
struct answer {
    uv_write_t request;
    uv_buf_t buffer;
};

static void check(int result, const char *what) {
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, uv_strerror(result));
        exit(1);
    }
}

static void closed(uv_handle_t *connection) {
    free(connection);
}

static void end(uv_stream_t *connection) {
    if (!uv_is_closing((uv_handle_t *)connection)) {
        uv_close((uv_handle_t *)connection, closed);
    }
}

static void allocate(uv_handle_t *connection, size_t suggested, uv_buf_t *buffer) {
    (void)connection;
    (void)suggested;
    buffer->base = malloc(BUFFER_BYTES);
    buffer->len = buffer->base ? BUFFER_BYTES : 0;
}

static void written(uv_write_t *request, int status) {
    struct answer *answer = (struct answer *)request;
    if (status < 0) {
        end(request->handle);
    }
    free(answer->buffer.base);
    free(answer);
}

static void received(uv_stream_t *connection, ssize_t count, const uv_buf_t *buffer) {
    if (count <= 0) {
        free(buffer->base);
        if (count < 0) {
            end(connection);
        }
        return;
    }
    /* Most of the time all of it fits into the socket's buffer. */
    uv_buf_t rest = uv_buf_init(buffer->base, (unsigned)count);
    int sent = uv_try_write(connection, &rest, 1);
    if (sent == count) {
        free(buffer->base);
        return;
    }
    struct answer *answer = malloc(sizeof *answer);
    if (!answer) {
        abort();
    }
    size_t start = sent > 0 ? (size_t)sent : 0;
    answer->buffer = *buffer;
    rest = uv_buf_init(buffer->base + start, (unsigned)((size_t)count - start));
    if (uv_write(&answer->request, connection, &rest, 1, written) < 0) {
        free(buffer->base);
        free(answer);
        end(connection);
    }
}

static void connected(uv_stream_t *listener, int status) {
    check(status, "accept");
    uv_tcp_t *connection = malloc(sizeof *connection);
    if (!connection) {
        abort();
    }
    check(uv_tcp_init(listener->loop, connection), "a connection");
    check(uv_accept(listener, (uv_stream_t *)connection), "accept");
    check(uv_read_start((uv_stream_t *)connection, allocate, received), "read");
}

int main(void) {
    uv_tcp_t listener;
    struct sockaddr_in address;
    int bytes = sizeof address;
    check(uv_ip4_addr("127.0.0.1", 0, &address), "an address");
    check(uv_tcp_init(uv_default_loop(), &listener), "a listener");
    check(uv_tcp_bind(&listener, (const struct sockaddr *)&address, 0), "bind");
    check(uv_listen((uv_stream_t *)&listener, BACKLOG, connected), "listen");
    check(uv_tcp_getsockname(&listener, (struct sockaddr *)&address, &bytes), "getsockname");
    printf("127.0.0.1:%d %d\n", ntohs(address.sin_port), (int)getpid());
    fflush(stdout);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
