//! Received bytes in the ring's own buffers: they outlive the runtime, and may end anywhere (I6).

mod support;

use std::cell::{Cell, RefCell};
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use bytes::Bytes;
use quoit_runtime::buf::RecvBuf;
use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{self, InFlight, Rearm, RecvEnd, RecvMulti, RecvSink};
use quoit_runtime::{Runtime, metrics};
use support::{alone, end, end_idle, turns_until};

#[derive(Default)]
struct Queue {
    bytes: RefCell<Vec<RecvBuf>>,
    end: Cell<Option<RecvEnd>>,
}

impl RecvSink for Queue {
    fn received(&self, bytes: RecvBuf) {
        self.bytes.borrow_mut().push(bytes);
    }

    fn ended(self: Rc<Self>, end: RecvEnd) -> Rearm {
        self.end.set(Some(end));
        Rearm::No
    }
}

fn runtime() -> Runtime {
    Runtime::builder().buffer_pool(16, 256).build().expect("this machine has io_uring")
}

fn receive(fd: &SharedFd, queue: &Rc<Queue>) -> InFlight<RecvMulti> {
    op::submit(RecvMulti::new(fd.clone(), Rc::clone(queue) as Rc<dyn RecvSink>))
}

fn pair() -> (SharedFd, UnixStream) {
    let (ours, peer) = UnixStream::pair().expect("descriptors");
    (SharedFd::new(OwnedFd::from(ours)), peer)
}

#[test]
fn loans_outlive_the_runtime_and_the_socket() {
    let alone = alone();
    let runtime = runtime();
    let (fd, mut peer) = pair();
    let queue = Rc::new(Queue::default());
    runtime.block_on(async {
        let receiving = receive(&fd, &queue);
        for number in 0..10_u8 {
            peer.write_all(&[number; 200]).expect("the socket has room");
            turns_until(|| queue.bytes.borrow().len() == usize::from(number) + 1).await;
        }
        assert_eq!((metrics().buffers_lent, metrics().buffers), (10, 16));
        drop(receiving);
        turns_until(|| metrics().operations == 0).await;
        assert_eq!(queue.end.get(), Some(RecvEnd::Cancelled));
    });
    drop((fd, peer));
    end_idle(runtime);
    let loans = queue.bytes.take();
    for (number, loan) in loans.iter().enumerate() {
        assert_eq!(*loan, vec![number as u8; 200]);
    }
    let bytes: Vec<Bytes> = loans.into_iter().map(RecvBuf::into_bytes).collect();
    std::thread::spawn(move || {
        for (number, bytes) in bytes.into_iter().enumerate() {
            assert_eq!(bytes, vec![number as u8; 200]);
        }
    })
    .join()
    .expect("no panic");
    alone.end();
}

#[test]
fn loans_outlive_a_runtime_that_is_dropped_while_it_receives() {
    let alone = alone();
    for _ in 0..50 {
        let runtime = runtime();
        let (fd, mut peer) = pair();
        let queue = Rc::new(Queue::default());
        let mut receiving = None;
        runtime.block_on(async {
            receiving = Some(receive(&fd, &queue));
            peer.write_all(&[1; 100]).expect("room");
            turns_until(|| queue.bytes.borrow().len() == 1).await;
        });
        // More comes while the runtime ends.
        peer.write_all(&[2; 100]).expect("room");
        assert_eq!(end(runtime).operations_cancelled, 1);
        assert!(queue.bytes.borrow().iter().all(|loan| loan.len() == 100));
        drop((receiving, fd, peer));
        drop(queue);
    }
    alone.end();
}

#[test]
fn bytes_dropped_on_other_threads_go_back_to_the_kernel() {
    const MESSAGES: usize = 5000;
    let alone = alone();
    let runtime = runtime();
    let (fd, mut peer) = pair();
    let queue = Rc::new(Queue::default());
    let (sender, receiver) = std::sync::mpsc::channel::<Bytes>();
    let dropper = std::thread::spawn(move || receiver.into_iter().map(|bytes| bytes.len()).sum::<usize>());
    runtime.block_on(async {
        let mut receiving = Some(receive(&fd, &queue));
        let mut sent = 0;
        let mut received = 0;
        while received < MESSAGES {
            if sent < MESSAGES && sent < received + 8 {
                peer.write_all(&[7; 1]).expect("the socket has room");
                sent += 1;
            }
            quoit_runtime::task::yield_now().await;
            for loan in queue.bytes.take() {
                received += loan.len();
                assert!(loan.iter().all(|byte| *byte == 7));
                sender.send(loan.into_bytes()).expect("the thread lives");
            }
            // The pool ran dry, because the other thread is slow: once more when it has buffers again.
            if queue.end.take().is_some_and(|end| end == RecvEnd::NoBuffers) {
                drop(receiving.take());
                receiving = Some(receive(&fd, &queue));
            }
        }
        drop((receiving, sender));
        assert_eq!(dropper.join().expect("no panic"), MESSAGES);
        turns_until(|| metrics().operations == 0 && metrics().buffers_lent == 0).await;
    });
    drop((fd, peer));
    end_idle(runtime);
    alone.end();
}
