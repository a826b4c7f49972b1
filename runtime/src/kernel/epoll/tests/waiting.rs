//! Polls, timeouts, cancels, links, children.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use io_uring::squeue::Flags;
use io_uring::{opcode, types};

use super::scene::{BAD, Scenario, Scene, compare, fd, tcp, written};
use crate::sys::event::event;

/// What becomes readable when it is rung.
fn bell() -> File {
    File::from(event().expect("a descriptor"))
}

fn ring(mut bell: &File) {
    bell.write_all(&1_u64.to_ne_bytes()).expect("a count far from its end");
}

#[test]
fn polls_answer_alike() {
    let scenarios: &[(&str, Scenario)] = &[
        ("what is ready, what becomes ready, what never is", |scene| {
            let (ours, mut peer) = UnixStream::pair().unwrap();
            scene.push(1, opcode::PollAdd::new(fd(&ours), libc::POLLOUT as u32).build());
            scene.until(1, 1);
            scene.push(2, opcode::PollAdd::new(fd(&ours), libc::POLLIN as u32).build());
            scene.push(3, opcode::PollAdd::new(fd(&ours), libc::POLLPRI as u32).build());
            scene.turn();
            peer.write_all(b"x").unwrap();
            scene.until(2, 1);
            // It is ready by now, and has been for long.
            scene.push(4, opcode::PollAdd::new(fd(&ours), libc::POLLIN as u32).build());
            scene.until(4, 1);
            scene.push(5, opcode::PollRemove::new(3).build());
            scene.until(5, 1);
        }),
        ("an end", |scene| {
            let (ours, peer) = tcp();
            let events = (libc::POLLIN | libc::POLLRDHUP) as u32;
            scene.push(1, opcode::PollAdd::new(fd(&ours), events).build());
            scene.turn();
            peer.shutdown(std::net::Shutdown::Write).unwrap();
            scene.until(1, 1);
        }),
        ("a hang-up that nobody asked for", |scene| {
            let (ours, peer) = UnixStream::pair().unwrap();
            scene.push(1, opcode::PollAdd::new(fd(&ours), libc::POLLPRI as u32).build());
            scene.turn();
            drop(peer);
            scene.until(1, 1);
        }),
        ("multishot, as often as it rings", |scene| {
            let bell = bell();
            scene.push(1, opcode::PollAdd::new(fd(&bell), libc::POLLIN as u32).multi(true).build());
            scene.turn();
            for count in 1..=3 {
                ring(&bell);
                scene.until(1, count);
            }
            scene.push(2, opcode::PollRemove::new(1).build());
            scene.until(1, 4);
        }),
        ("multishot, of what is ready", |scene| {
            let bell = bell();
            ring(&bell);
            scene.push(1, opcode::PollAdd::new(fd(&bell), libc::POLLIN as u32).multi(true).build());
            scene.until(1, 1);
            scene.cancel_all();
        }),
        ("multishot and silently, and nothing", |scene| {
            let bell = bell();
            let entry = opcode::PollAdd::new(fd(&bell), libc::POLLIN as u32).multi(true).build();
            scene.push(1, entry.flags(Flags::SKIP_SUCCESS));
            scene.push(2, opcode::PollAdd::new(BAD, libc::POLLIN as u32).build());
            scene.push(3, opcode::PollRemove::new(77).build());
            (1..=3).for_each(|key| scene.until(key, 1));
        }),
        ("a file on a disk", |scene| {
            let file = std::fs::File::open("/proc/self/exe").unwrap();
            scene.push(1, opcode::PollAdd::new(fd(&file), libc::POLLIN as u32).build());
            scene.until(1, 1);
        }),
    ];
    compare(scenarios);
}

#[test]
fn cancels_answer_alike() {
    let scenarios: &[(&str, Scenario)] = &[
        ("nothing by a key, by a descriptor, all", |scene| {
            let bell = bell();
            scene.push(1, opcode::AsyncCancel::new(77).build());
            scene.push(2, opcode::AsyncCancel2::new(types::CancelBuilder::fd(fd(&bell))).build());
            scene.push(3, opcode::AsyncCancel2::new(types::CancelBuilder::fd(fd(&bell)).all()).build());
            scene.push(4, opcode::AsyncCancel2::new(types::CancelBuilder::any()).build());
            scene.push(5, opcode::AsyncCancel2::new(types::CancelBuilder::fd(BAD)).build());
            (1..=5).for_each(|key| scene.until(key, 1));
        }),
        ("before its op", |scene| {
            let bell = bell();
            scene.push(1, opcode::AsyncCancel::new(2).build());
            scene.push(2, opcode::PollAdd::new(fd(&bell), 1).build());
            scene.until(1, 1);
            scene.cancel_all();
        }),
        ("in the same turn as its op", |scene| {
            let bell = bell();
            scene.push(2, opcode::PollAdd::new(fd(&bell), 1).build());
            scene.push(1, opcode::AsyncCancel::new(2).build());
            scene.until(1, 1);
            scene.until(2, 1);
        }),
        ("all of a descriptor, and nothing else", |scene| {
            let (one, other) = (bell(), bell());
            for key in 1..=3 {
                scene.push(key, opcode::PollAdd::new(fd(&one), 1).build());
            }
            scene.push(4, opcode::PollAdd::new(fd(&other), 1).build());
            scene.turn();
            scene.push(5, opcode::AsyncCancel2::new(types::CancelBuilder::fd(fd(&one)).all()).build());
            (1..=3).for_each(|key| scene.until(key, 1));
            scene.until(5, 1);
            ring(&other);
            scene.until(4, 1);
        }),
        ("all of a key, and one of a key", |scene| {
            let bell = bell();
            for _twin in 0..3 {
                scene.push(1, opcode::PollAdd::new(fd(&bell), 1).build());
            }
            scene.turn();
            scene.push(2, opcode::AsyncCancel::new(1).build());
            scene.until(2, 1);
            scene.until(1, 1);
            scene.push(3, opcode::AsyncCancel2::new(types::CancelBuilder::user_data(1).all()).build());
            scene.until(3, 1);
            scene.until(1, 3);
        }),
        ("whatever there is", |scene| {
            let (bell, (ours, _peer)) = (bell(), tcp());
            scene.provide(2, 16);
            scene.push(1, opcode::PollAdd::new(fd(&bell), 1).multi(true).build());
            scene.push(2, opcode::RecvMulti::new(fd(&ours), 0).build());
            let (memory, bytes) = scene.bytes(&[0; 8]);
            scene.push(3, opcode::Read::new(fd(&bell), memory, bytes).build());
            scene.turn();
            scene.push(4, opcode::AsyncCancel2::new(types::CancelBuilder::any()).build());
            (1..=4).for_each(|key| scene.until(key, 1));
        }),
        ("a number that is no descriptor of the op", |scene| {
            let bell = bell();
            let late = time(scene, 999_999_999);
            let timeout = crate::sys::sqe::RawSqe::from(&opcode::Timeout::new(late).build());
            scene.push(1, Scene::raw(|sqe| *sqe = crate::sys::sqe::RawSqe { fd: fd(&bell).0, ..timeout }));
            scene.turn();
            scene.push(2, opcode::AsyncCancel2::new(types::CancelBuilder::fd(fd(&bell))).build());
            scene.until(2, 1);
            scene.cancel_all();
        }),
        ("with flags that are none", |scene| {
            scene.push(1, Scene::raw(|sqe| (sqe.opcode, sqe.op_flags) = (opcode::AsyncCancel::CODE, 1 << 20)));
            scene.until(1, 1);
        }),
    ];
    compare(scenarios);
}

/// A time for an entry.
fn time(scene: &mut Scene, nanoseconds: u32) -> *const types::Timespec {
    &raw const *scene.keep(types::Timespec::new().nsec(nanoseconds))
}

#[test]
fn timeouts_answer_alike() {
    const LONG: u32 = 999_999_999;
    let scenarios: &[(&str, Scenario)] = &[
        ("the time is up", |scene| {
            let soon = time(scene, 1_000_000);
            scene.push(1, opcode::Timeout::new(soon).build());
            scene.push(2, opcode::Timeout::new(soon).flags(types::TimeoutFlags::ETIME_SUCCESS).build());
            scene.until(1, 1);
            scene.until(2, 1);
        }),
        ("so many completions have come", |scene| {
            let late = time(scene, LONG);
            scene.push(1, opcode::Timeout::new(late).count(2).build());
            scene.turn();
            for key in [2, 3] {
                scene.push(key, opcode::Nop::new().build());
                scene.until(key, 1);
            }
            scene.until(1, 1);
        }),
        ("removed, and cancelled, and not there", |scene| {
            let late = time(scene, LONG);
            scene.push(1, opcode::Timeout::new(late).build());
            scene.push(2, opcode::Timeout::new(late).build());
            scene.turn();
            scene.push(3, opcode::TimeoutRemove::new(1).build());
            scene.push(4, opcode::AsyncCancel::new(2).build());
            scene.push(5, opcode::TimeoutRemove::new(77).build());
            (1..=5).for_each(|key| scene.until(key, 1));
        }),
        ("brought forward", |scene| {
            let (late, soon) = (time(scene, LONG), time(scene, 1_000_000));
            scene.push(1, opcode::Timeout::new(late).build());
            scene.turn();
            scene.push(2, opcode::TimeoutUpdate::new(1, soon).build());
            scene.until(1, 1);
            scene.until(2, 1);
        }),
        ("a time that is none", |scene| {
            let wrong: *const types::Timespec = scene.keep(types::Timespec::new().sec(u64::MAX));
            scene.push(1, opcode::Timeout::new(wrong).build());
            scene.until(1, 1);
        }),
    ];
    compare(scenarios);
}

#[test]
fn links_answer_alike() {
    let scenarios: &[(&str, Scenario)] = &[
        ("one after the other", |scene| {
            scene.push(1, opcode::Nop::new().build().flags(Flags::IO_LINK));
            scene.push(2, opcode::Nop::new().build().flags(Flags::IO_LINK));
            scene.push(3, opcode::Nop::new().build());
            (1..=3).for_each(|key| scene.until(key, 1));
        }),
        ("a failure ends the chain, unless it is a hard one", |scene| {
            for (first, flag) in [(1, Flags::IO_LINK), (11, Flags::IO_HARDLINK)] {
                scene.push(first, opcode::Close::new(BAD).build().flags(flag));
                scene.push(first + 1, opcode::Nop::new().build().flags(flag));
                scene.push(first + 2, opcode::Nop::new().build());
            }
            [1, 2, 3, 11, 12, 13].into_iter().for_each(|key| scene.until(key, 1));
        }),
        ("a link waits for one that waits", |scene| {
            let bell = bell();
            scene.push(1, opcode::PollAdd::new(fd(&bell), 1).build().flags(Flags::IO_LINK));
            scene.push(2, opcode::Nop::new().build());
            scene.turn();
            assert_eq!(scene.count(2), 0);
            ring(&bell);
            scene.until(2, 1);
        }),
        ("a linked timeout that strikes", |scene| {
            let (ours, _peer) = tcp();
            let soon = time(scene, 1_000_000);
            let (memory, bytes) = scene.bytes(&[0; 8]);
            scene.push(1, opcode::Recv::new(fd(&ours), memory, bytes).build().flags(Flags::IO_LINK));
            scene.push(2, opcode::LinkTimeout::new(soon).build());
            scene.until(1, 1);
            scene.until(2, 1);
        }),
        ("linked timeouts that do not", |scene| {
            let (ours, mut peer) = tcp();
            let late = time(scene, 999_999_999);
            let (memory, bytes) = scene.bytes(&[0; 8]);
            scene.push(1, opcode::Recv::new(fd(&ours), memory, bytes).build().flags(Flags::IO_LINK));
            scene.push(2, opcode::LinkTimeout::new(late).build());
            scene.push(3, opcode::Nop::new().build().flags(Flags::IO_LINK));
            scene.push(4, opcode::LinkTimeout::new(late).build());
            scene.turn();
            peer.write_all(b"x").unwrap();
            (1..=4).for_each(|key| scene.until(key, 1));
        }),
        ("an entry that makes no sense", |scene| {
            scene.push(1, Scene::raw(|sqe| sqe.opcode = 250));
            scene.push(2, Scene::raw(|sqe| sqe.flags = 1 << 7));
            scene.push(3, opcode::Nop::new().build().flags(Flags::BUFFER_SELECT));
            (1..=3).for_each(|key| scene.until(key, 1));
        }),
    ];
    compare(scenarios);
}

#[test]
fn children_are_waited_for_alike() {
    let scenarios: &[(&str, Scenario)] = &[
        ("one that ends", |scene| {
            let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
            let told: *const libc::siginfo_t = scene.keep([0_u64; 32]).as_ptr().cast();
            scene.push(1, opcode::WaitId::new(libc::P_PID, child.id(), libc::WEXITED).infop(told).build());
            scene.turn();
            assert_eq!(scene.count(1), 0);
            drop(child.stdin.take());
            scene.until(1, 1);
            // The process id is the fifth number.
            let pid = written(told.cast::<[i32; 5]>())[4];
            assert_eq!(pid, child.id() as i32);
            // It has been waited for already.
            assert!(child.wait().is_err());
        }),
        ("one that is none, and one that is not waited for any more", |scene| {
            let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
            scene.push(1, opcode::WaitId::new(libc::P_PID, 1, libc::WEXITED).build());
            scene.push(2, opcode::WaitId::new(libc::P_PID, child.id(), libc::WEXITED).build());
            scene.until(1, 1);
            scene.push(3, opcode::AsyncCancel::new(2).build());
            scene.until(2, 1);
            // The ring tells how many it has found, where it tells of other requests that it found one.
            scene.leave_out(3);
            drop(child.stdin.take());
            child.wait().unwrap();
        }),
    ];
    compare(scenarios);
}
