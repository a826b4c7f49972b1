//! Sockets as such: accepting, connecting, shutting down, making, closing.

use std::net::{TcpListener, TcpStream};
use std::os::fd::IntoRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use io_uring::{opcode, types};

use super::scene::{BAD, Scenario, Scene, compare, fd, tcp, written};

fn listener() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn accept(from: &impl std::os::fd::AsRawFd) -> io_uring::squeue::Entry {
    opcode::Accept::new(fd(from), std::ptr::null_mut(), std::ptr::null_mut()).flags(libc::SOCK_CLOEXEC).build()
}

#[test]
fn accepts_answer_alike() {
    let scenarios: &[(&str, Scenario)] = &[
        ("one that is there, and one that comes", |scene| {
            let (listener, address) = listener();
            let _first = TcpStream::connect(address).unwrap();
            scene.push_maker(1, accept(&listener));
            scene.until(1, 1);
            scene.push_maker(2, accept(&listener));
            scene.turn();
            let _second = TcpStream::connect(address).unwrap();
            scene.until(2, 1);
        }),
        ("the peer's address", |scene| {
            let (listener, address) = listener();
            let client = TcpStream::connect(address).unwrap();
            let room = scene.bytes(&[0; 128]).0;
            let length: *mut libc::socklen_t = scene.keep(128);
            scene.push_maker(1, opcode::Accept::new(fd(&listener), room.cast(), length).build());
            scene.until(1, 1);
            let (length, port) = (written(length), written(room.cast::<[u8; 4]>()));
            scene.note(9, length as i32);
            let port = u16::from_be_bytes([port[2], port[3]]);
            assert_eq!(port, client.local_addr().unwrap().port());
        }),
        ("multishot, cancelled", |scene| {
            let (listener, address) = listener();
            scene.push_maker(1, opcode::AcceptMulti::new(fd(&listener)).build());
            scene.turn();
            let _clients: Vec<_> = (1..=3)
                .map(|count| {
                    let client = TcpStream::connect(address).unwrap();
                    scene.until(1, count);
                    client
                })
                .collect();
            scene.push(2, opcode::AsyncCancel::new(1).build());
            scene.until(1, 4);
            scene.until(2, 1);
        }),
        ("multishot, several at once", |scene| {
            let (listener, address) = listener();
            let _clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
            scene.push_maker(1, opcode::AcceptMulti::new(fd(&listener)).build());
            scene.until(1, 3);
            scene.cancel_all();
        }),
        ("a listener that is shut down", |scene| {
            let (listener, _) = listener();
            scene.push_maker(1, opcode::AcceptMulti::new(fd(&listener)).build());
            scene.turn();
            scene.push(2, opcode::Shutdown::new(fd(&listener), libc::SHUT_RDWR).build());
            scene.until(1, 1);
            scene.until(2, 1);
        }),
        ("what is no listener", |scene| {
            let (ours, _peer) = tcp();
            let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let file = std::fs::File::open("/dev/null").unwrap();
            scene.push_maker(1, accept(&ours));
            scene.push_maker(2, accept(&datagrams));
            scene.push_maker(3, accept(&file));
            scene.push_maker(4, opcode::Accept::new(BAD, std::ptr::null_mut(), std::ptr::null_mut()).build());
            (1..=4).for_each(|key| scene.until(key, 1));
        }),
        ("a Unix listener", |scene| {
            let address = SocketAddr::from_abstract_name(name());
            let listener = UnixListener::bind_addr(&address.unwrap()).unwrap();
            scene.push_maker(1, accept(&listener));
            scene.turn();
            let _client = UnixStream::connect_addr(&listener.local_addr().unwrap()).unwrap();
            scene.until(1, 1);
        }),
    ];
    compare(scenarios);
}

/// A name that no other test has.
fn name() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("quoit-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A connect of a socket of the scene's.
fn connect(scene: &mut Scene, key: u64, socket: &socket2::Socket, address: socket2::SockAddr) {
    let (start, length) = scene.address(address);
    scene.push(key, opcode::Connect::new(fd(socket), start, length).build());
}

fn unconnected() -> socket2::Socket {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap()
}

#[test]
fn connects_answer_alike_and_leave_the_socket_blocking() {
    let scenarios: &[(&str, Scenario)] = &[
        ("to a listener, and once more", |scene| {
            let ((listener, address), socket) = (listener(), unconnected());
            for key in [1, 2] {
                connect(scene, key, &socket, address.into());
                scene.until(key, 1);
            }
            assert!(!socket.nonblocking().unwrap());
            drop(listener);
        }),
        ("to nobody", |scene| {
            let ((listener, address), socket) = (listener(), unconnected());
            drop(listener);
            connect(scene, 1, &socket, address.into());
            scene.until(1, 1);
            assert!(!socket.nonblocking().unwrap());
        }),
        ("a datagram socket", |scene| {
            let (_, address) = listener();
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
            connect(scene, 1, &socket, address.into());
            scene.until(1, 1);
        }),
        ("no socket", |scene| {
            let (start, length) = scene.address(listener().1);
            scene.push(1, opcode::Connect::new(BAD, start, length).build());
            let file = std::fs::File::open("/dev/null").unwrap();
            scene.push(2, opcode::Connect::new(fd(&file), start, length).build());
            scene.until(1, 1);
            scene.until(2, 1);
        }),
        ("a Unix listener that is not there", |scene| {
            let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
            connect(scene, 1, &socket, socket2::SockAddr::unix("/nonexistent/socket").unwrap());
            scene.until(1, 1);
        }),
    ];
    compare(scenarios);
}

#[test]
fn a_connect_waits_for_room_in_the_backlog_of_a_unix_listener() {
    let scenarios: &[(&str, Scenario)] = &[("a full backlog", |scene| {
        let address = socket2::SockAddr::unix(format!("\0{}", name())).unwrap();
        let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        listener.bind(&address).unwrap();
        listener.listen(0).unwrap();
        let sockets: Vec<_> = (1..=2)
            .map(|key| {
                let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
                connect(scene, key, &socket, address.clone());
                socket
            })
            .collect();
        for key in 1..=2 {
            scene.until(key, 1);
            drop(listener.accept().unwrap());
        }
        drop(sockets);
    })];
    compare(scenarios);
}

#[test]
fn sockets_are_made_shut_and_closed_alike() {
    let scenarios: &[(&str, Scenario)] = &[
        ("made, bound, made a listener, closed", |scene| {
            scene.push_maker(1, opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0).build());
            scene.until(1, 1);
            let made = types::Fd(scene.made.pop().unwrap().into_raw_fd());
            let (start, length) = scene.address("127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap());
            for (key, entry) in [
                (2, opcode::Bind::new(made, start, length).build()),
                (3, opcode::Bind::new(made, start, length).build()),
                (4, opcode::Listen::new(made, 8).build()),
                (5, opcode::Close::new(made).build()),
                (6, opcode::Close::new(made).build()),
            ] {
                scene.push(key, entry);
                scene.until(key, 1);
            }
        }),
        ("a socket of no kind", |scene| {
            scene.push_maker(1, opcode::Socket::new(libc::AF_INET, 77, 0).build());
            scene.until(1, 1);
        }),
        ("shut without a connection, and wrongly", |scene| {
            let (ours, _peer) = tcp();
            scene.push(1, opcode::Shutdown::new(fd(&unconnected()), libc::SHUT_WR).build());
            scene.push(2, opcode::Shutdown::new(fd(&ours), 7).build());
            scene.push(3, opcode::Shutdown::new(BAD, libc::SHUT_WR).build());
            (1..=3).for_each(|key| scene.until(key, 1));
        }),
        ("closed while something waits for it: only a cancel ends that", |scene| {
            let (ours, mut peer) = tcp();
            let number = fd(&ours);
            let (memory, bytes) = scene.bytes(&[0; 8]);
            scene.push(1, opcode::Recv::new(number, memory, bytes).build());
            scene.turn();
            let _ = ours.into_raw_fd();
            scene.push(2, opcode::Close::new(number).build());
            scene.until(2, 1);
            scene.push(3, opcode::AsyncCancel::new(1).build());
            scene.until(1, 1);
            scene.until(3, 1);
            // The peer hears of the end now at the latest.
            scene.note(9, std::io::Read::read(&mut peer, &mut [0; 8]).unwrap() as i32);
        }),
        ("a pipe", |scene| {
            let ends: *mut [i32; 2] = scene.keep([0_i32; 2]);
            scene.push(1, opcode::Pipe::new(ends.cast()).flags(libc::O_CLOEXEC as u32).build());
            scene.until(1, 1);
            if scene.result(1) == 0 {
                let ends = written(ends);
                for (key, end) in [(2, ends[0]), (3, ends[1])] {
                    scene.push(key, opcode::Close::new(types::Fd(end)).build());
                    scene.until(key, 1);
                }
            }
        }),
    ];
    compare(scenarios);
}
