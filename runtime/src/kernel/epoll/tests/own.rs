//! What the emulated ring has to see to by itself: threads, fairness, descriptors that change behind its back.

use std::ffi::CString;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use io_uring::{opcode, squeue, types};

use super::scene::{end_pool, fd, inheritable, owned, put_in_the_place_of, tcp};
use crate::buf::{BufferPool, PoolConfig};
use crate::kernel::epoll::{Epoll, MOST_SHOTS};
use crate::kernel::setup::SetupRequest;
use crate::kernel::{Cqe, Sqe, Wait};

fn epoll() -> Epoll {
    Epoll::new(&SetupRequest { entries: 64, completion_entries: None, sqpoll: None }).expect("an epoll")
}

fn push(kernel: &mut Epoll, key: u64, entry: squeue::Entry) {
    assert!(kernel.push(&Sqe::from(entry.user_data(key))), "room for an entry");
}

fn turn(kernel: &mut Epoll, wait: Wait) -> Vec<Cqe> {
    kernel.enter(wait).expect("an entry");
    let mut cqes = Vec::new();
    kernel.take_completions(&mut cqes);
    cqes
}

/// The next completion.
fn next(kernel: &mut Epoll) -> Cqe {
    let start = Instant::now();
    loop {
        let cqes = turn(kernel, Wait::For(Duration::from_millis(20)));
        if let Some(cqe) = cqes.first() {
            assert_eq!(cqes.len(), 1, "{cqes:?}");
            return *cqe;
        }
        assert!(start.elapsed() < PATIENCE, "nothing has come");
    }
}

#[test]
fn a_job_that_a_thread_has_cannot_be_cancelled_and_answers_for_itself() {
    let path = std::env::temp_dir().join(format!("quoit-fifo-{}", std::process::id()));
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
    let name = CString::new(path.as_os_str().as_bytes()).expect("a path");
    let mut kernel = epoll();
    let open = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), name.as_ptr());
    push(&mut kernel, 1, open.flags(libc::O_RDONLY | libc::O_CLOEXEC).build());
    assert_eq!(turn(&mut kernel, Wait::No), []);
    // Without a reader this fails; so it is open once the thread is at its call, which ends by that.
    let writer = loop {
        match OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&path) {
            Ok(writer) => break writer,
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENXIO)),
        }
        std::thread::yield_now();
    };
    push(&mut kernel, 2, opcode::AsyncCancel::new(1).build());
    let mut cqes = Vec::new();
    while cqes.len() < 2 {
        cqes.extend(turn(&mut kernel, Wait::For(PATIENCE)));
    }
    cqes.sort_by_key(|cqe| cqe.user_data);
    let [opened, cancel] = cqes[..] else { panic!("{cqes:?}") };
    assert!(opened.result >= 0, "{opened:?}");
    // The answer of the thread may have been there before the cancel.
    assert!([-libc::EALREADY, -libc::ENOENT].contains(&cancel.result), "{cancel:?}");
    drop(owned(opened.result));
    drop(writer);
    std::fs::remove_file(path).expect("the FIFO is there");
}

#[test]
fn a_listener_that_others_have_is_accepted_from_by_a_thread_and_hangs_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    // As one that came from another program, or goes to one.
    let listener = inheritable(listener);
    let address = listener.local_addr().expect("an address");
    let (mut kernel, mut rival) = (epoll(), epoll());
    for kernel in [&mut kernel, &mut rival] {
        push(kernel, 1, opcode::AcceptMulti::new(fd(&listener)).build());
        assert_eq!(turn(kernel, Wait::No), []);
    }
    let mut accepted = 0;
    for _connection in 0..20 {
        let client = TcpStream::connect(address).expect("a connection");
        // Both may see it, and only one can have it. The other is not stuck: it takes its turns.
        let before = accepted;
        while accepted == before {
            for kernel in [&mut kernel, &mut rival] {
                for cqe in turn(kernel, Wait::For(Duration::from_millis(1))) {
                    assert!(cqe.result >= 0 && cqe.more(), "{cqe:?}");
                    drop(owned(cqe.result));
                    accepted += 1;
                }
            }
        }
        drop(client);
    }
    assert_eq!(accepted, 20);
    // What a thread may be waiting in is ended by the listener.
    socket2::SockRef::from(&listener).shutdown(std::net::Shutdown::Both).expect("a listener");
    for kernel in [&mut kernel, &mut rival] {
        let last = next(kernel);
        assert_eq!((last.result, last.more()), (-libc::EINVAL, false));
    }
}

#[test]
fn a_socket_that_never_runs_dry_leaves_room_for_the_others() {
    const PIECES: usize = 10 * MOST_SHOTS;
    let (flooded, mut flood) = UnixStream::pair().expect("descriptors");
    let (quiet, mut peer) = UnixStream::pair().expect("descriptors");
    let pool = BufferPool::new(PoolConfig { group: 0, initial: 512, cap: 512, bytes: 16 }).expect("a pool");
    let mut kernel = epoll();
    kernel.register_buffers(&pool).expect("the kernel takes the buffers");
    push(&mut kernel, 1, opcode::RecvMulti::new(fd(&flooded), 0).build());
    push(&mut kernel, 2, opcode::RecvMulti::new(fd(&quiet), 0).build());
    assert_eq!(turn(&mut kernel, Wait::No), []);
    flood.write_all(&[7; PIECES * 16]).expect("room in the socket");
    peer.write_all(b"me too").expect("room in the socket");
    let (mut received, mut turns) = (0, 0);
    while received < PIECES {
        let cqes = turn(&mut kernel, Wait::For(PATIENCE));
        let of = |key| cqes.iter().filter(|cqe| cqe.user_data == key).count();
        assert!(of(1) <= MOST_SHOTS, "{} in a turn", of(1));
        assert_eq!(of(2), usize::from(turns == 0), "the quiet one is heard in the first turn");
        received += of(1);
        turns += 1;
        cqes.iter().for_each(|cqe| drop(pool.take(cqe.buffer_id().expect("a buffer"), cqe.result as u32)));
    }
    assert!(turns >= PIECES / MOST_SHOTS, "{turns} turns");
    end(kernel, &pool);
}

#[test]
fn a_descriptor_may_be_closed_and_its_number_used_again_behind_our_back() {
    let mut kernel = epoll();
    for round in 0..3 {
        let (first, peer) = tcp();
        let number = first.as_raw_fd();
        // Registered, and left.
        push(&mut kernel, 1, opcode::PollAdd::new(fd(&first), libc::POLLIN as u32).build());
        assert_eq!(turn(&mut kernel, Wait::No), []);
        push(&mut kernel, 2, opcode::PollRemove::new(1).build());
        assert_eq!(turn(&mut kernel, Wait::No).len(), 2);
        // In one round the file lives on by a duplicate, and epoll goes on telling of it.
        let duplicate = (round == 1).then(|| first.try_clone().expect("a descriptor"));
        let (second, mut second_peer) = UnixStream::pair().expect("descriptors");
        let second = put_in_the_place_of(first.into_raw_fd(), second);
        assert_eq!(second.as_raw_fd(), number);
        push(&mut kernel, 3, opcode::PollAdd::new(fd(&second), libc::POLLIN as u32).build());
        (&peer).write_all(b"to the first").ok();
        assert_eq!(turn(&mut kernel, Wait::No), [], "nothing has come for the second");
        second_peer.write_all(b"to the second").expect("a peer");
        let told = next(&mut kernel);
        assert_eq!((told.user_data, told.result), (3, i32::from(libc::POLLIN)));
        drop((duplicate, second));
    }
}

#[test]
fn closing_lets_go_of_a_file_that_lives_on_by_a_duplicate() {
    let mut kernel = epoll();
    let (ours, mut peer) = UnixStream::pair().expect("descriptors");
    let duplicate = ours.try_clone().expect("a descriptor");
    push(&mut kernel, 1, opcode::PollAdd::new(fd(&ours), libc::POLLIN as u32).multi(true).build());
    assert_eq!(turn(&mut kernel, Wait::No), []);
    push(&mut kernel, 2, opcode::AsyncCancel::new(1).build());
    push(&mut kernel, 3, opcode::Close::new(types::Fd(ours.into_raw_fd())).build());
    assert_eq!(turn(&mut kernel, Wait::No).len(), 3);
    let mut events = Vec::new();
    peer.write_all(b"x").expect("a peer");
    kernel.poller.wait(Some(Duration::ZERO), &mut events).expect("a look");
    assert_eq!(events, []);
    drop(duplicate);
}

/// Cancels what is left, before descriptors and buffers go.
fn end(mut kernel: Epoll, pool: &BufferPool) {
    push(&mut kernel, 9, opcode::AsyncCancel2::new(types::CancelBuilder::any()).build());
    while !turn(&mut kernel, Wait::For(PATIENCE)).iter().any(|cqe| cqe.user_data == 9) {}
    kernel.unregister_buffers(0);
    end_pool(pool);
}

const PATIENCE: Duration = Duration::from_secs(10);
