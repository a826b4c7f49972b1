//! Sends.

use std::io::Read;
use std::net::{TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use io_uring::{opcode, squeue};

use super::scene::{BAD, Scenario, Scene, compare, fd, reset, tcp};

/// More than the buffers of a connection hold.
const MUCH: usize = 8 << 20;

fn send(scene: &mut Scene, to: &impl AsRawFd, bytes: usize, flags: i32) -> squeue::Entry {
    let content: Vec<u8> = (0..bytes).map(|index| (index % 251) as u8).collect();
    let (memory, bytes) = scene.bytes(&content);
    opcode::Send::new(fd(to), memory, bytes).flags(flags).build()
}

/// A connection whose buffers are small, and do not grow.
fn narrow() -> (TcpStream, TcpStream) {
    let (ours, peer) = tcp();
    socket2::SockRef::from(&ours).set_send_buffer_size(1 << 14).unwrap();
    socket2::SockRef::from(&peer).set_recv_buffer_size(1 << 14).unwrap();
    (ours, peer)
}

/// A connection that takes nothing more.
fn full() -> (TcpStream, TcpStream) {
    let (ours, peer) = narrow();
    let socket = socket2::SockRef::from(&ours);
    while socket.send_with_flags(&[0; 1 << 12], libc::MSG_DONTWAIT).is_ok() {}
    while socket.send_with_flags(&[0; 1], libc::MSG_DONTWAIT).is_ok() {}
    (ours, peer)
}

#[test]
fn sends_answer_alike() {
    let scenarios: &[(&str, Scenario)] = &[
        ("a few bytes, and none", |scene| {
            let (ours, mut peer) = tcp();
            for (key, count) in [(1, 5), (2, 0)] {
                let entry = send(scene, &ours, count, 0);
                scene.push(key, entry);
                scene.until(key, 1);
            }
            peer.set_nonblocking(true).unwrap();
            scene.note(9, peer.read(&mut [0; 64]).unwrap() as i32);
        }),
        ("silently", |scene| {
            let (ours, peer) = tcp();
            let entry = send(scene, &ours, 100, libc::MSG_DONTWAIT | libc::MSG_WAITALL);
            scene.push_silent(1, entry.flags(squeue::Flags::SKIP_SUCCESS));
            scene.turn();
            scene.note_received(9, &peer, 100);
            assert_eq!(scene.count(1), 0);
        }),
        ("all of it, while the peer reads", |scene| {
            let (ours, peer) = narrow();
            let entry = send(scene, &ours, MUCH, libc::MSG_WAITALL);
            scene.push(1, entry);
            scene.turn();
            scene.note_received(9, &peer, MUCH);
            scene.until(1, 1);
        }),
        ("not to wait, on a connection that is full", |scene| {
            let (ours, _peer) = full();
            for (key, flags) in [(1, libc::MSG_DONTWAIT), (2, libc::MSG_DONTWAIT | libc::MSG_WAITALL)] {
                let entry = send(scene, &ours, 100, flags).flags(squeue::Flags::SKIP_SUCCESS);
                scene.push(key, entry);
                scene.until(key, 1);
            }
        }),
        ("to a connection that is full, cancelled", |scene| {
            let (ours, _peer) = full();
            let entry = send(scene, &ours, 100, libc::MSG_WAITALL);
            scene.push(1, entry);
            scene.turn();
            scene.push(2, opcode::AsyncCancel::new(1).build());
            scene.until(1, 1);
            scene.until(2, 1);
        }),
        ("to a peer that is gone", |scene| {
            let (ours, peer) = UnixStream::pair().unwrap();
            drop(peer);
            let entry = send(scene, &ours, 10, 0);
            scene.push(1, entry);
            scene.until(1, 1);
        }),
        ("behind a reset", |scene| {
            let (ours, peer) = tcp();
            reset(peer);
            for key in [1, 2] {
                let entry = send(scene, &ours, 10, 0);
                scene.push(key, entry);
                scene.until(key, 1);
            }
        }),
        ("to no socket, and to nothing", |scene| {
            let file = std::fs::File::open("/dev/null").unwrap();
            let entry = send(scene, &file, 10, 0);
            scene.push(1, entry);
            let (memory, bytes) = scene.bytes(b"x");
            scene.push(2, opcode::Send::new(BAD, memory, bytes).build());
            scene.until(1, 1);
            scene.until(2, 1);
        }),
        ("behind our own end", |scene| {
            let (ours, _peer) = tcp();
            scene.push(1, opcode::Shutdown::new(fd(&ours), libc::SHUT_WR).build());
            scene.until(1, 1);
            let entry = send(scene, &ours, 10, 0);
            scene.push(2, entry);
            scene.until(2, 1);
        }),
        ("a datagram to an address", |scene| {
            let (ours, peer) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
            let (address, length) = scene.address(peer.local_addr().unwrap());
            let (memory, bytes) = scene.bytes(b"datagram");
            let entry = opcode::Send::new(fd(&ours), memory, bytes).dest_addr(address).dest_addr_len(length);
            scene.push(1, entry.build());
            scene.until(1, 1);
            scene.note(9, peer.recv(&mut [0; 64]).unwrap() as i32);
        }),
        ("without a copy", |scene| {
            let (ours, peer) = tcp();
            let (memory, bytes) = scene.bytes(&[5; 1000]);
            scene.push(1, opcode::SendZc::new(fd(&ours), memory, bytes).build());
            scene.note_received(9, &peer, 1000);
            scene.until(1, 2);
            drop(peer);
        }),
        ("without a copy, to a peer that is gone", |scene| {
            let (ours, peer) = tcp();
            reset(peer);
            let entry = send(scene, &ours, 10, 0);
            scene.push(1, entry);
            scene.until(1, 1);
            let (memory, bytes) = scene.bytes(&[5; 1000]);
            scene.push(2, opcode::SendZc::new(fd(&ours), memory, bytes).build());
            scene.until(2, 2);
        }),
        ("without a copy and silently", |scene| {
            let (ours, _peer) = tcp();
            let (memory, bytes) = scene.bytes(&[5; 10]);
            let entry = opcode::SendZc::new(fd(&ours), memory, bytes).build();
            scene.push(1, entry.flags(squeue::Flags::SKIP_SUCCESS));
            scene.until(1, 1);
        }),
    ];
    compare(scenarios);
}

#[test]
fn sent_messages_answer_alike() {
    let scenarios: &[(&str, Scenario)] = &[
        ("a few bytes", |scene| {
            let (ours, peer) = tcp();
            let message = scene.message(&[10, 0, 20], 0);
            scene.push(1, opcode::SendMsg::new(fd(&ours), message).build());
            scene.note_received(9, &peer, 30);
            scene.until(1, 1);
        }),
        ("all of it, while the peer reads", |scene| {
            let (ours, peer) = narrow();
            let message = scene.message(&[10, 0, MUCH - 10], 0);
            scene.push(1, opcode::SendMsg::new(fd(&ours), message).flags(libc::MSG_WAITALL as u32).build());
            scene.turn();
            scene.note_received(9, &peer, MUCH);
            scene.until(1, 1);
        }),
        ("without a copy", |scene| {
            let (ours, peer) = tcp();
            let message = scene.message(&[10, 0, 20], 0);
            scene.push(1, opcode::SendMsgZc::new(fd(&ours), message).build());
            scene.note_received(9, &peer, 30);
            scene.until(1, 2);
        }),
        ("to a peer that is gone", |scene| {
            let (ours, peer) = UnixStream::pair().unwrap();
            drop(peer);
            let message = scene.message(&[10, 0, 20], 0);
            scene.push(1, opcode::SendMsg::new(fd(&ours), message).build());
            scene.until(1, 1);
        }),
    ];
    compare(scenarios);
}
