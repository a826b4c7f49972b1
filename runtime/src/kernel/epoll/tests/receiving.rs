//! Receives.

use std::io::Write;
use std::net::{Shutdown, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

use io_uring::{opcode, squeue, types};

use super::scene::{BAD, Scenario, Scene, compare, fd, reset, tcp, written};

fn pair() -> (UnixStream, UnixStream) {
    UnixStream::pair().expect("descriptors")
}

fn recv(scene: &mut Scene, from: &impl AsRawFd, room: usize, flags: i32) -> squeue::Entry {
    let (memory, bytes) = scene.bytes(&vec![0; room]);
    opcode::Recv::new(fd(from), memory, bytes).flags(flags).build()
}

#[test]
fn single_receives_answer_alike() {
    let scenarios: &[(&str, Scenario)] = &[
        ("bytes that are there", |scene| {
            let (ours, mut peer) = pair();
            peer.write_all(b"hello").unwrap();
            let entry = recv(scene, &ours, 64, 0);
            scene.push(1, entry);
            scene.until(1, 1);
        }),
        ("bytes that come later", |scene| {
            let (ours, mut peer) = tcp();
            let entry = recv(scene, &ours, 64, 0);
            scene.push(1, entry);
            scene.turn();
            peer.write_all(b"hello").unwrap();
            scene.until(1, 1);
        }),
        ("more bytes than room, twice", |scene| {
            let (ours, mut peer) = tcp();
            peer.write_all(&[7; 12]).unwrap();
            for key in [1, 2] {
                let entry = recv(scene, &ours, 8, 0);
                scene.push(key, entry);
                scene.until(key, 1);
            }
        }),
        ("the end", |scene| {
            let (ours, peer) = tcp();
            drop(peer);
            let entry = recv(scene, &ours, 64, 0);
            scene.push(1, entry);
            scene.until(1, 1);
        }),
        ("the end of one that waits", |scene| {
            let (ours, peer) = tcp();
            let entry = recv(scene, &ours, 64, 0);
            scene.push(1, entry);
            scene.turn();
            peer.shutdown(Shutdown::Write).unwrap();
            scene.until(1, 1);
        }),
        ("a reset", |scene| {
            let (ours, peer) = tcp();
            let entry = recv(scene, &ours, 64, 0);
            scene.push(1, entry);
            scene.turn();
            reset(peer);
            scene.until(1, 1);
            let entry = recv(scene, &ours, 64, 0);
            scene.push(2, entry);
            scene.until(2, 1);
        }),
        ("no socket, no descriptor, no connection", |scene| {
            let file = std::fs::File::open("/dev/null").unwrap();
            let entry = recv(scene, &file, 8, 0);
            scene.push(1, entry);
            let (memory, bytes) = scene.bytes(&[0; 8]);
            scene.push(2, opcode::Recv::new(BAD, memory, bytes).build());
            let unconnected = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            let entry = recv(scene, &unconnected, 8, 0);
            scene.push(3, entry);
            for key in 1..=3 {
                scene.until(key, 1);
            }
        }),
        ("no room", |scene| {
            let (ours, mut peer) = pair();
            peer.write_all(b"hello").unwrap();
            let entry = recv(scene, &ours, 0, 0);
            scene.push(1, entry);
            scene.until(1, 1);
        }),
        ("not to wait", |scene| {
            let (ours, _peer) = tcp();
            let entry = recv(scene, &ours, 8, libc::MSG_DONTWAIT);
            scene.push(1, entry);
            scene.until(1, 1);
        }),
        ("a look", |scene| {
            let (ours, mut peer) = tcp();
            peer.write_all(b"hello").unwrap();
            for (key, flags) in [(1, libc::MSG_PEEK), (2, 0)] {
                let entry = recv(scene, &ours, 64, flags);
                scene.push(key, entry);
                scene.until(key, 1);
            }
        }),
        ("all of it, in two parts", |scene| {
            let (ours, mut peer) = tcp();
            peer.write_all(&[1; 5]).unwrap();
            let entry = recv(scene, &ours, 8, libc::MSG_WAITALL);
            scene.push(1, entry);
            scene.turn();
            peer.write_all(&[1; 3]).unwrap();
            scene.until(1, 1);
        }),
        ("all of it, but the end comes first", |scene| {
            let (ours, mut peer) = tcp();
            peer.write_all(&[1; 5]).unwrap();
            let entry = recv(scene, &ours, 8, libc::MSG_WAITALL).flags(squeue::Flags::SKIP_SUCCESS);
            scene.push(1, entry);
            scene.turn();
            drop(peer);
            scene.until(1, 1);
        }),
        ("all of it, but it is cancelled", |scene| {
            let (ours, mut peer) = tcp();
            peer.write_all(&[1; 5]).unwrap();
            let entry = recv(scene, &ours, 8, libc::MSG_WAITALL);
            scene.push(1, entry);
            scene.turn();
            scene.push(2, opcode::AsyncCancel::new(1).build());
            scene.until(1, 1);
            scene.until(2, 1);
        }),
        ("two that wait", |scene| {
            let (ours, mut peer) = pair();
            for key in [1, 2] {
                let entry = recv(scene, &ours, 4, 0);
                scene.push(key, entry);
            }
            scene.turn();
            peer.write_all(b"onetwo").unwrap();
            scene.until(1, 1);
            scene.until(2, 1);
            // Which of them comes first is nobody's promise.
            let sum = scene.result(1) + scene.result(2);
            scene.note(9, sum);
            scene.leave_out(1);
            scene.leave_out(2);
        }),
        ("flags that are none", |scene| {
            let (ours, _peer) = pair();
            let entry = recv(scene, &ours, 8, 0);
            let raw = crate::sys::sqe::RawSqe::from(&entry);
            scene.push(1, Scene::raw(|sqe| *sqe = crate::sys::sqe::RawSqe { ioprio: 1 << 9, ..raw }));
            scene.until(1, 1);
        }),
    ];
    compare(scenarios);
}

#[test]
fn multishot_receives_answer_alike() {
    let scenarios: &[(&str, Scenario)] = &[
        ("messages, then the end", |scene| {
            let (ours, mut peer) = tcp();
            scene.provide(8, 64);
            scene.push(1, opcode::RecvMulti::new(fd(&ours), 0).build());
            scene.turn();
            for count in 1..=3 {
                peer.write_all(&[count as u8; 10]).unwrap();
                scene.until(1, count);
            }
            drop(peer);
            scene.until(1, 4);
        }),
        ("bytes and the end at once", |scene| {
            let (ours, mut peer) = tcp();
            scene.provide(8, 64);
            peer.write_all(&[5; 10]).unwrap();
            drop(peer);
            scene.push(1, opcode::RecvMulti::new(fd(&ours), 0).build());
            scene.until(1, 2);
        }),
        ("more than a buffer holds", |scene| {
            let (ours, mut peer) = tcp();
            scene.provide(8, 16);
            peer.write_all(&[3; 40]).unwrap();
            scene.push(1, opcode::RecvMulti::new(fd(&ours), 0).build());
            scene.until(1, 3);
            scene.cancel_all();
        }),
        ("more than all buffers hold", |scene| {
            let (ours, mut peer) = tcp();
            scene.provide(2, 16);
            peer.write_all(&[3; 40]).unwrap();
            scene.push(1, opcode::RecvMulti::new(fd(&ours), 0).build());
            scene.until(1, 3);
        }),
        ("buffers that are just enough", |scene| {
            let (ours, mut peer) = tcp();
            scene.provide(2, 16);
            peer.write_all(&[3; 32]).unwrap();
            scene.push(1, opcode::RecvMulti::new(fd(&ours), 0).build());
            scene.until(1, 2);
            peer.write_all(&[4; 1]).unwrap();
            scene.until(1, 3);
        }),
        ("no buffer at all", |scene| {
            let (ours, _peer) = pair();
            scene.provide(1, 16);
            scene.push(1, opcode::RecvMulti::new(fd(&ours), 7).build());
            scene.until(1, 1);
        }),
        ("a reset", |scene| {
            let (ours, mut peer) = tcp();
            scene.provide(4, 16);
            scene.push(1, opcode::RecvMulti::new(fd(&ours), 0).build());
            scene.turn();
            peer.write_all(&[3; 4]).unwrap();
            scene.until(1, 1);
            reset(peer);
            scene.until(1, 2);
        }),
        ("a cancel", |scene| {
            let (ours, mut peer) = pair();
            scene.provide(4, 16);
            scene.push(1, opcode::RecvMulti::new(fd(&ours), 0).build());
            peer.write_all(&[3; 4]).unwrap();
            scene.until(1, 1);
            scene.push(2, opcode::AsyncCancel::new(1).build());
            scene.until(1, 2);
            scene.until(2, 1);
        }),
        ("our own side is shut", |scene| {
            let (ours, _peer) = tcp();
            scene.provide(4, 16);
            scene.push(1, opcode::RecvMulti::new(fd(&ours), 0).build());
            scene.turn();
            scene.push(2, opcode::Shutdown::new(fd(&ours), libc::SHUT_RD).build());
            scene.until(1, 1);
            scene.until(2, 1);
        }),
        ("without a group of buffers, or with a wish for all", |scene| {
            let (ours, _peer) = pair();
            scene.push(1, Scene::raw(|sqe| (sqe.opcode, sqe.fd, sqe.ioprio) = (opcode::Recv::CODE, fd(&ours).0, 2)));
            scene.push(2, opcode::RecvMulti::new(fd(&ours), 0).flags(libc::MSG_WAITALL).build());
            scene.until(1, 1);
            scene.until(2, 1);
        }),
        ("a single receive into a provided buffer", |scene| {
            let (ours, mut peer) = tcp();
            scene.provide(4, 16);
            let entry = |group| {
                let entry = opcode::Recv::new(fd(&ours), std::ptr::null_mut(), 8).buf_group(group);
                entry.build().flags(squeue::Flags::BUFFER_SELECT)
            };
            peer.write_all(&[3; 20]).unwrap();
            scene.push(1, entry(0));
            scene.until(1, 1);
            scene.push(2, entry(9));
            scene.until(2, 1);
            drop(peer);
            scene.push(3, entry(0));
            scene.until(3, 1);
            scene.push(4, entry(0));
            scene.until(4, 1);
            scene.push(5, entry(0));
            scene.until(5, 1);
        }),
        ("bytes behind an urgent one", |scene| {
            let (ours, mut peer) = tcp();
            scene.provide(8, 64);
            scene.push(1, opcode::RecvMulti::new(fd(&ours), 0).build());
            scene.turn();
            peer.write_all(b"before").unwrap();
            socket2::SockRef::from(&peer).send_out_of_band(b"!").unwrap();
            peer.write_all(b"behind").unwrap();
            let received = |scene: &Scene| scene.total(1);
            while received(scene) < 12 {
                let count = scene.count(1);
                scene.until(1, count + 1);
            }
            // How they are cut is chance.
            let received = received(scene);
            scene.leave_out(1);
            scene.note(9, received);
            scene.cancel_all();
            scene.leave_out(1);
            scene.leave_out_bytes(1);
        }),
        ("bytes behind descriptors that nobody wants", |scene| {
            let (ours, mut peer) = pair();
            scene.provide(8, 64);
            send_with_descriptor(&peer, b"one");
            peer.write_all(b"another").unwrap();
            scene.push(1, opcode::RecvMulti::new(fd(&ours), 0).build());
            scene.until(1, 2);
            send_with_descriptor(&peer, b"one");
            peer.write_all(b"another").unwrap();
            scene.until(1, 4);
            scene.cancel_all();
        }),
        ("datagrams, one of them empty", |scene| {
            let (ours, peer) = udp();
            scene.provide(8, 16);
            scene.push(1, opcode::RecvMulti::new(fd(&ours), 0).build());
            scene.turn();
            peer.send(b"one").unwrap();
            peer.send(&[9; 40]).unwrap();
            peer.send(b"").unwrap();
            peer.send(b"lost on this one").unwrap();
            scene.until(1, 3);
        }),
    ];
    compare(scenarios);
}

/// Sends bytes, and a descriptor along with them.
fn send_with_descriptor(to: &UnixStream, bytes: &[u8]) {
    // A header of 16 bytes (length, level, type), and a number.
    let mut control = [0_u64; 3];
    control[0] = 20;
    control[1] = libc::SOL_SOCKET as u64 | (libc::SCM_RIGHTS as u64) << 32;
    control[2] = to.as_raw_fd() as u64;
    let control: Vec<u8> = control.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let parts = [std::io::IoSlice::new(bytes)];
    let message = socket2::MsgHdr::new().with_buffers(&parts).with_control(&control);
    assert_eq!(socket2::SockRef::from(to).sendmsg(&message, 0).unwrap(), bytes.len());
}

/// Where the port is in the buffer of a multishot `recvmsg`.
const PORT: std::ops::Range<usize> = 18..20;

fn udp() -> (UdpSocket, UdpSocket) {
    let (ours, peer) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    peer.connect(ours.local_addr().unwrap()).unwrap();
    (ours, peer)
}

#[test]
fn received_messages_answer_alike() {
    let scenarios: &[(&str, Scenario)] = &[
        ("a datagram and who sent it, and one that is cut", |scene| {
            let (ours, peer) = udp();
            for (key, message) in [(1, vec![7; 5]), (2, vec![8; 50])] {
                peer.send(&message).unwrap();
                let header = scene.message(&[16], 128);
                scene.push(key, opcode::RecvMsg::new(fd(&ours), header).build());
                scene.until(key, 1);
                let told = written(header);
                scene.note(10 + key, told.msg_namelen as i32);
                scene.note(10 + key, told.msg_flags);
            }
        }),
        ("multishot, with names, truncation and nothing", |scene| {
            let (ours, peer) = udp();
            scene.provide(8, 64);
            scene.differing = PORT;
            let header = scene.message(&[0], 16);
            scene.push(1, opcode::RecvMsgMulti::new(fd(&ours), header, 0).build());
            scene.turn();
            peer.send(&[3; 10]).unwrap();
            peer.send(&[4; 100]).unwrap();
            scene.until(1, 2);
            peer.send(b"").unwrap();
            scene.until(1, 3);
        }),
        ("multishot, into buffers that are too small", |scene| {
            let (ours, peer) = udp();
            scene.provide(8, 16);
            let header = scene.message(&[0], 16);
            peer.send(&[3; 10]).unwrap();
            scene.push(1, opcode::RecvMsgMulti::new(fd(&ours), header, 0).build());
            scene.until(1, 1);
        }),
        ("multishot, cancelled", |scene| {
            let (ours, peer) = udp();
            scene.provide(8, 64);
            scene.differing = PORT;
            let header = scene.message(&[0], 28);
            scene.push(1, opcode::RecvMsgMulti::new(fd(&ours), header, 0).build());
            peer.send(&[3; 10]).unwrap();
            scene.until(1, 1);
            let by_fd = types::CancelBuilder::fd(fd(&ours)).all();
            scene.push(2, opcode::AsyncCancel2::new(by_fd).build());
            scene.until(2, 1);
            scene.until(1, 2);
        }),
    ];
    compare(scenarios);
}
