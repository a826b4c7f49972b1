/* An echo server on libevent, by its buffers. */

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BACKLOG = 1024, MOST_UNSENT_BYTES = 256 * 1024 };

static void received(struct bufferevent *connection, void *unused) {
    (void)unused;
    /* Moves the chunks, copies nothing. */
    struct evbuffer *output = bufferevent_get_output(connection);
    evbuffer_add_buffer(output, bufferevent_get_input(connection));
    if (evbuffer_get_length(output) > MOST_UNSENT_BYTES) {
        bufferevent_disable(connection, EV_READ);
    }
}

/* All is out. */
static void written(struct bufferevent *connection, void *unused) {
    (void)unused;
    bufferevent_enable(connection, EV_READ);
}

static void happened(struct bufferevent *connection, short events, void *unused) {
    (void)unused;
    if (events & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
        bufferevent_free(connection);
    }
}

static void connected(struct evconnlistener *listener, evutil_socket_t socket, struct sockaddr *address, int bytes,
                      void *unused) {
    (void)address;
    (void)bytes;
    (void)unused;
    struct event_base *base = evconnlistener_get_base(listener);
    struct bufferevent *connection = bufferevent_socket_new(base, socket, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(connection, received, written, happened, NULL);
    bufferevent_enable(connection, EV_READ | EV_WRITE);
}

int main(void) {
    struct event_base *base = event_base_new();
    struct sockaddr_in address;
    socklen_t bytes = sizeof address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct evconnlistener *listener =
        evconnlistener_new_bind(base, connected, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, BACKLOG,
                                (struct sockaddr *)&address, sizeof address);
    if (!listener || getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &bytes) != 0) {
        perror("listen");
        return 1;
    }
    printf("127.0.0.1:%d %d\n", ntohs(address.sin_port), (int)getpid());
    fflush(stdout);
    return event_base_dispatch(base);
}
