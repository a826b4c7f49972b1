//! Runtimes, tasks, wakers and objects in thread-local storage: what dies when the thread does, in whatever order, dies without
//! a panic (which would end the process there), and without waiting for anybody.

mod support;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;

use quoit_runtime::fd::SharedFd;
use quoit_runtime::io::{PipeReader, PipeWriter, Stdin, pipe, stdin};
use quoit_runtime::op::{InFlight, Nop, PollOnce, submit};
use quoit_runtime::task::JoinHandle;
use quoit_runtime::{Runtime, block_on, metrics, spawn, task};
use support::{OnDrop, alone, runtime};

thread_local! {
    // What was touched first dies last, so the tests choose the order.
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
    static WAKER: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
    static OBJECTS: RefCell<Option<Objects>> = const { RefCell::new(None) };
}

/// Code that runs when the thread ends.
type AtTheEnd = OnDrop<Box<dyn FnMut()>>;

/// All that a program may hold of a runtime.
struct Objects {
    _reader: PipeReader,
    _writer: PipeWriter,
    _input: Stdin,
    _waiting: InFlight<PollOnce>,
    _fd: SharedFd,
    _task: JoinHandle<()>,
}

/// What is there in full swing: reads and polls in flight, a write that nobody takes, a task.
async fn objects() -> Objects {
    let (reader, writer) = pipe().unwrap();
    let (fd, feed) = support::pipe();
    {
        let mut read = std::pin::pin!(reader.read(Vec::with_capacity(1)));
        assert!(poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_pending())).await);
    }
    let (_kept, other) = pipe().unwrap();
    let mut written = Box::pin(async move { other.write_all(vec![0; 200_000]).await.0 });
    assert!(poll_fn(|cx| Poll::Ready(written.as_mut().poll(cx).is_pending())).await);
    let waiting = submit(PollOnce::readable(fd.clone()));
    let task = spawn(async move {
        let _feed = feed;
        let _written = written;
        pending().await
    });
    task::yield_now().await;
    Objects { _reader: reader, _writer: writer, _input: stdin(), _waiting: waiting, _fd: fd, _task: task }
}

/// Runs code on a thread of its own, whose locals are gone when this returns.
fn on_a_thread(code: impl FnOnce() + Send + 'static) {
    thread::spawn(code).join().expect("no panic");
}

#[test]
fn a_runtime_in_a_thread_local_ends_with_its_thread() {
    let alone = alone();
    on_a_thread(|| {
        let dropped = Rc::new(Cell::new(false));
        RUNTIME.set(Some(runtime()));
        RUNTIME.with_borrow(|runtime| {
            let runtime = runtime.as_ref().unwrap();
            let guard = OnDrop({
                let dropped = Rc::clone(&dropped);
                move || dropped.set(true)
            });
            drop(runtime.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            }));
            assert_eq!(runtime.block_on(async { spawn(async { 7 }).await.unwrap() }), 7);
        });
        assert!(!dropped.get());
    });
    alone.end();
}

#[test]
fn objects_and_their_runtime_die_with_their_thread_in_either_order() {
    let alone = alone();
    for objects_first in [true, false] {
        on_a_thread(move || {
            if objects_first {
                OBJECTS.set(None);
            } else {
                RUNTIME.set(None);
            }
            RUNTIME.set(Some(runtime()));
            OBJECTS.set(Some(RUNTIME.with_borrow(|runtime| runtime.as_ref().unwrap().block_on(objects()))));
        });
    }
    alone.end();
}

#[test]
fn objects_outlive_a_runtime_of_the_stack_into_the_end_of_the_thread() {
    let alone = alone();
    on_a_thread(|| OBJECTS.set(Some(block_on(objects()))));
    alone.end();
}

#[test]
fn wakers_may_be_woken_at_the_end_of_the_thread_before_and_after_the_runtimes_own() {
    let alone = alone();
    for waker_first in [true, false] {
        on_a_thread(move || {
            let wakers = Rc::new(RefCell::new(Vec::<Waker>::new()));
            let runtime = runtime();
            runtime.block_on(async {
                let wakers = Rc::clone(&wakers);
                drop(spawn(poll_fn(move |cx| -> Poll<()> {
                    wakers.borrow_mut().push(cx.waker().clone());
                    Poll::Pending
                })));
                task::yield_now().await;
            });
            assert_eq!(wakers.borrow().len(), 1);
            if waker_first {
                WAKER.set(None);
            }
            RUNTIME.set(Some(runtime));
            WAKER.set(Some(OnDrop(Box::new(move || wakers.borrow().iter().for_each(Waker::wake_by_ref)))));
        });
    }
    alone.end();
}

#[test]
fn wakers_on_other_threads_survive_the_thread_of_their_runtime() {
    let alone = alone();
    let (send, receive) = mpsc::channel::<Waker>();
    on_a_thread(move || {
        RUNTIME.set(Some(runtime()));
        RUNTIME.with_borrow(|runtime| {
            runtime.as_ref().unwrap().block_on(poll_fn(|cx| {
                send.send(cx.waker().clone()).unwrap();
                Poll::Ready(())
            }));
        });
    });
    let waker = receive.recv().unwrap();
    for _ in 0..100 {
        waker.wake_by_ref();
        drop(waker.clone());
    }
    alone.end();
}

#[test]
fn a_runtime_may_be_made_and_used_while_the_thread_ends() {
    let alone = alone();
    on_a_thread(|| {
        // Touched first, so that it ends last: behind the locals of the runtime's own.
        WAKER.set(Some(OnDrop(Box::new(|| {
            let answer = block_on(async {
                submit(Nop::new()).await.unwrap();
                let (reader, writer) = pipe().unwrap();
                writer.write_all("late").await.0.unwrap();
                let (result, bytes) = reader.read(Vec::with_capacity(8)).await;
                assert_eq!((result.unwrap(), metrics().tasks), (4, 0));
                bytes
            });
            assert_eq!(answer, b"late");
        }))));
        block_on(async { drop(objects().await) });
    });
    alone.end();
}
