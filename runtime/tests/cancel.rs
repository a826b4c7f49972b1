//! Operations dropped, cancelled and forgotten at every moment of their lives: each buffer comes home, no key goes astray.

mod support;

use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::Poll;

use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{self, InFlight, Nop, PollOnce, ReadAt};
use quoit_runtime::timer::{Instant, Timer};
use quoit_runtime::{Runtime, metrics, spawn};
use quoit_testkit::{LiveBuffers, ManualWaker};
use support::{Buf, alone, end, end_idle, pipe, runtime, turns_until, write};

const MANY: usize = 10_000;

fn small() -> Runtime {
    Runtime::builder().entries(64).build().expect("this machine has io_uring")
}

fn read_forever(fd: &SharedFd, live: &LiveBuffers) -> InFlight<ReadAt<Buf>> {
    op::submit(ReadAt::new(fd.clone(), Buf::new(live), u64::MAX))
}

fn errno<T: std::fmt::Debug>(result: std::io::Result<T>) -> i32 {
    result.expect_err("nothing comes").raw_os_error().expect("the kernel's")
}

#[test]
fn ten_thousand_ops_dropped_in_one_turn_on_a_small_ring_all_end() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = small();
    runtime.block_on(async {
        let (read, _feed) = pipe();
        let reads: Vec<_> = (0..MANY).map(|_| read_forever(&read, &live)).collect();
        let polls: Vec<_> = (0..MANY).map(|_| op::submit(PollOnce::readable(read.clone()))).collect();
        assert_eq!((metrics().in_flight, metrics().operations), (2 * MANY, 2 * MANY));
        // They are in the kernel.
        quoit_runtime::task::yield_now().await;
        assert_eq!((metrics().in_flight, live.live()), (2 * MANY, MANY));
        drop((reads, polls));
        turns_until(|| metrics().in_flight == 0).await;
        assert!(read.is_unshared());
        assert!(metrics().sqes >= 4 * MANY as u64, "an entry and a cancel each: {:?}", metrics());
    });
    assert_eq!((live.live(), live.made()), (0, MANY));
    end_idle(runtime);
    alone.end();
}

#[test]
fn ten_thousand_ops_dropped_in_the_turn_in_which_they_were_submitted_all_end() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = small();
    runtime.block_on(async {
        let (read, _feed) = pipe();
        for _ in 0..MANY {
            drop(read_forever(&read, &live));
        }
        turns_until(|| metrics().in_flight == 0).await;
        assert!(read.is_unshared());
    });
    assert_eq!((live.live(), live.made()), (0, MANY));
    end_idle(runtime);
    alone.end();
}

#[test]
fn ten_thousand_ops_that_are_cancelled_all_answer_so() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = small();
    runtime.block_on(async {
        let (read, _feed) = pipe();
        let reads: Vec<_> = (0..MANY).map(|_| read_forever(&read, &live)).collect();
        let polls: Vec<_> = (0..MANY).map(|_| op::submit(PollOnce::readable(read.clone()))).collect();
        quoit_runtime::task::yield_now().await;
        reads.iter().for_each(InFlight::cancel);
        polls.iter().for_each(InFlight::cancel);
        // A second time is one too many, and harmless.
        reads.iter().for_each(InFlight::cancel);
        for reading in reads {
            let (result, buf) = reading.await;
            assert_eq!((errno(result), buf.0.as_vec().len()), (libc::ECANCELED, 0));
        }
        for poll in polls {
            assert_eq!(errno(poll.await), libc::ECANCELED);
        }
        turns_until(|| metrics().in_flight == 0).await;
    });
    assert_eq!((live.live(), live.made()), (0, MANY));
    end_idle(runtime);
    alone.end();
}

#[test]
fn ops_that_end_in_the_turn_of_their_drop_or_cancel_are_counted_once() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = small();
    runtime.block_on(async {
        for round in 0..200_usize {
            let (read, feed) = pipe();
            let mut reads: Vec<_> = (0..8).map(|_| read_forever(&read, &live)).collect();
            if round % 2 == 0 {
                quoit_runtime::task::yield_now().await;
            }
            // Enough for some of them, in the same turn as the cancels.
            write(&feed, &[7; 3 * 128]);
            let kept = reads.split_off(4);
            kept.iter().for_each(InFlight::cancel);
            drop(reads);
            for reading in kept {
                let (result, buf) = reading.await;
                match result {
                    // It was faster: the answer is the true one, and nothing of it is lost.
                    Ok(count) => assert_eq!((count, buf.0.as_vec().as_slice()), (128, &[7; 128][..])),
                    Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ECANCELED)),
                }
            }
            turns_until(|| metrics().in_flight == 0).await;
            assert!(read.is_unshared());
        }
    });
    assert_eq!((live.live(), live.made()), (0, 1600));
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_read_that_was_faster_than_its_cancel_answers_with_its_bytes() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    runtime.block_on(async {
        let (read, feed) = pipe();
        write(&feed, b"already here");
        let reading = read_forever(&read, &live);
        // Behind it in the queue: the pipe has something, so the read ends while it is submitted.
        reading.cancel();
        let (result, buf) = reading.await;
        assert_eq!((result.expect("faster"), buf.0.into_vec()), (12, b"already here".to_vec()));
        turns_until(|| metrics().in_flight == 0).await;
    });
    assert_eq!(live.live(), 0);
    end_idle(runtime);
    alone.end();
}

#[test]
fn an_op_dropped_when_it_has_ended_and_was_not_taken_frees_its_buffer_at_once() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    runtime.block_on(async {
        let (read, feed) = pipe();
        write(&feed, b"x");
        let mut reading = read_forever(&read, &live);
        let waker = ManualWaker::new();
        assert!(waker.poll(Pin::new(&mut reading)).is_pending());
        turns_until(|| waker.count() == 1).await;
        assert_eq!((metrics().in_flight, metrics().operations, live.live()), (0, 1, 1));
        // A cancel of what has ended asks the kernel for nothing.
        let before = metrics().sqes;
        reading.cancel();
        drop(reading);
        assert_eq!((metrics().sqes, metrics().operations, live.live(), waker.held()), (before, 0, 0, 0));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn the_late_cancel_of_an_op_does_not_hit_the_next_op_of_its_slot() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    runtime.block_on(async {
        let (ready, feed) = pipe();
        let (silent, feed_silent) = pipe();
        for _ in 0..1000 {
            write(&feed, b"x");
            let quick = read_forever(&ready, &live);
            quick.cancel();
            // Ends, and frees its slot for the next: the cancel, wherever it is, names a use of the slot that is over.
            drop(quick.await);
            let slow = read_forever(&silent, &live);
            let waker = ManualWaker::new();
            let mut slow = std::pin::pin!(slow);
            quoit_runtime::task::yield_now().await;
            assert!(waker.poll(slow.as_mut()).is_pending());
            quoit_runtime::task::yield_now().await;
            assert_eq!(waker.count(), 0);
            write(&feed_silent, b"y");
            let (result, buf) = slow.await;
            assert_eq!((result.expect("not cancelled"), buf.0.as_vec().as_slice()), (1, &b"y"[..]));
        }
        turns_until(|| metrics().in_flight == 0).await;
    });
    assert_eq!((live.live(), live.made()), (0, 2000));
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_canceller_that_outlives_its_op_cancels_nothing_else() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    let (read, feed) = pipe();
    let (done, last) = runtime.block_on(async {
        let mut late = Vec::new();
        for _ in 0..3 {
            let quick = op::submit(Nop::new());
            late.push(quick.canceller());
            quick.await.expect("a nop");
        }
        // In the slot that all of them had.
        let slow = read_forever(&read, &live);
        let right = slow.canceller();
        quoit_runtime::task::yield_now().await;
        late.into_iter().for_each(op::Canceller::cancel);
        write(&feed, b"y");
        let (result, buf) = slow.await;
        assert_eq!((result.expect("not cancelled"), buf.0.as_vec().as_slice()), (1, &b"y"[..]));
        let next = read_forever(&read, &live);
        right.cancel();
        write(&feed, b"z");
        assert_eq!(next.await.0.expect("not cancelled"), 1);
        let (ended, pending) = (op::submit(Nop::new()), read_forever(&read, &live));
        turns_until(|| metrics().in_flight == 1).await;
        let cancellers = [ended.canceller(), pending.canceller()];
        (cancellers, (ended, pending))
    });
    let report = end(runtime);
    assert!(report.is_clean());
    // Behind the end of the runtime, with the answers still there, and without.
    let [first, second] = done;
    first.cancel();
    drop(last);
    second.cancel();
    drop((read, feed));
    assert_eq!(live.live(), 0);
    alone.end();
}

#[test]
fn forgotten_ops_tasks_and_timers_hold_up_no_shutdown() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = small();
    let (read, feed) = pipe();
    runtime.block_on(async {
        for _ in 0..200 {
            let mut reading = read_forever(&read, &live);
            let waker = ManualWaker::new();
            assert!(waker.poll(Pin::new(&mut reading)).is_pending());
            std::mem::forget(reading);
            std::mem::forget(op::submit(Nop::new()));
            std::mem::forget(spawn(std::future::pending::<()>()));
            std::mem::forget(spawn(async {}));
            let mut timer = Timer::new(Instant::now() + std::time::Duration::from_secs(3600));
            assert!(timer.poll_elapsed(&mut waker.context()).is_pending());
            std::mem::forget(timer);
        }
        turns_until(|| metrics().in_flight == 200 && metrics().tasks == 200).await;
        // The nops have ended; their answers wait for ever.
        let held = metrics();
        assert_eq!((held.operations, held.tasks, held.timers), (400, 200, 200));
    });
    let report = end(runtime);
    assert_eq!((report.tasks_dropped, report.operations_cancelled), (200, 200));
    // Forgetting leaks, as it says: the buffers are there for ever. Not the pipe, as an op that has ended lets go of it.
    assert_eq!(live.live(), 200);
    assert!(read.is_unshared());
    drop((read, feed));
    alone.end();
}

#[test]
fn an_answer_can_be_taken_when_its_runtime_is_gone() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    let (read, feed) = pipe();
    let (mut ended, mut pending, dropped) = runtime.block_on(async {
        write(&feed, b"x");
        let ended = read_forever(&read, &live);
        turns_until(|| metrics().in_flight == 0).await;
        (ended, read_forever(&read, &live), read_forever(&read, &live))
    });
    end(runtime);
    let waker = ManualWaker::new();
    let Poll::Ready((result, buf)) = waker.poll(Pin::new(&mut ended)) else { panic!("it had ended") };
    assert_eq!((result.expect("read"), buf.0.into_vec()), (1, b"x".to_vec()));
    let Poll::Ready((result, _)) = waker.poll(Pin::new(&mut pending)) else { panic!("the shutdown has ended it") };
    assert_eq!(errno(result), libc::ECANCELED);
    dropped.cancel();
    drop(dropped);
    drop((ended, pending));
    assert_eq!(live.live(), 0);
    // A descriptor that belongs to the runtime that is gone refuses politely.
    drop((read, feed));
    alone.end();
}

#[test]
fn an_op_for_a_runtime_that_is_gone_is_refused_and_gives_its_buffer_back() {
    let alone = alone();
    let live = LiveBuffers::new();
    let (read, feed) = pipe();
    let gone = runtime();
    let driver = gone.block_on(async { std::rc::Rc::clone(read.driver()) });
    drop(gone);
    assert!(driver.is_closed());
    let other = runtime();
    other.block_on(async {
        let reading = op::submit_to(&driver, None, ReadAt::new(read.clone(), Buf::new(&live), u64::MAX));
        reading.cancel();
        assert_eq!(errno(reading.await.0), libc::ESHUTDOWN);
        drop(op::submit_to(&driver, None, ReadAt::new(read.clone(), Buf::new(&live), u64::MAX)));
        assert_eq!(errno(read.close().await), libc::ESHUTDOWN);
    });
    assert_eq!(live.live(), 0);
    end_idle(other);
    drop((feed, driver));
    alone.end();
}

#[test]
fn an_op_on_a_runtime_that_is_not_running_panics_and_drops_its_buffer() {
    let alone = alone();
    let live = LiveBuffers::new();
    let (idle, other) = (runtime(), runtime());
    let (read, feed) = pipe();
    let driver = idle.block_on(async { std::rc::Rc::clone(read.driver()) });
    other.block_on(async {
        let submitting = spawn({
            let (read, live) = (read.clone(), live.clone());
            async move { op::submit_to(&driver, None, ReadAt::new(read, Buf::new(&live), u64::MAX)).await.0 }
        });
        let error = submitting.await.expect_err("it panicked");
        assert!(error.to_string().contains("is not running"), "{error}");
    });
    assert_eq!(live.live(), 0);
    drop((read, feed));
    end_idle(other);
    end_idle(idle);
    alone.end();
}

#[test]
fn ops_dropped_outside_of_block_on_end_before_the_next_one_or_at_its_first_turns() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = small();
    let (read, feed) = pipe();
    let reads: Vec<_> = runtime.block_on(async { (0..MANY).map(|_| read_forever(&read, &live)).collect() });
    drop(reads);
    runtime.block_on(turns_until(|| metrics().in_flight == 0));
    assert_eq!(live.live(), 0);
    let raw: OwnedFd = read.try_unwrap().expect("no op names it any more");
    drop((raw, feed));
    end_idle(runtime);
    alone.end();
}
