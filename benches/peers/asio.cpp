// An echo server on Asio, with completion handlers.

#include <unistd.h>

#include <array>
#include <asio.hpp>
#include <cstdio>
#include <memory>
#include <utility>

using asio::ip::tcp;

class Connection : public std::enable_shared_from_this<Connection> {
public:
    explicit Connection(tcp::socket socket) : socket_(std::move(socket)) {}

    void receive() {
        socket_.async_read_some(asio::buffer(buffer_), [self = shared_from_this()](std::error_code error, size_t count) {
            if (!error) {
                self->send(count);
            }
        });
    }

private:
    void send(size_t count) {
        asio::async_write(socket_, asio::buffer(buffer_, count), [self = shared_from_this()](std::error_code error, size_t) {
            if (!error) {
                self->receive();
            }
        });
    }

    tcp::socket socket_;
    std::array<char, 8192> buffer_;
};

static void accept(tcp::acceptor &acceptor) {
    acceptor.async_accept([&acceptor](std::error_code error, tcp::socket socket) {
        if (!error) {
            std::make_shared<Connection>(std::move(socket))->receive();
        }
        accept(acceptor);
    });
}

int main() {
    // One thread: no locks.
    asio::io_context context(1);
    tcp::acceptor acceptor(context);
    acceptor.open(tcp::v4());
    acceptor.bind(tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    acceptor.listen(1024);
    accept(acceptor);
    std::printf("127.0.0.1:%d %d\n", acceptor.local_endpoint().port(), getpid());
    std::fflush(stdout);
    context.run();
}
