//! Lanes: one operation after another, whatever becomes of the futures.

mod support;

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use quoit_runtime::fd::SharedFd;
use quoit_runtime::metrics;
use quoit_runtime::op::{self, Driver, InFlight, Lane, ReadAt, Send};
use quoit_testkit::{LiveBuffers, ManualWaker};
use support::{Buf, alone, end, end_idle, pipe, runtime, turns_until, write};

fn read_in(driver: &Rc<Driver>, lane: &Lane, fd: &SharedFd, live: &LiveBuffers) -> InFlight<ReadAt<Buf>> {
    op::submit_to(driver, Some(lane), ReadAt::new(fd.clone(), Buf::new(live), u64::MAX))
}

#[test]
fn ops_of_a_lane_run_one_at_a_time_in_their_order() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    runtime.block_on(async {
        let (read, feed) = pipe();
        let driver = Rc::clone(read.driver());
        let lane = Lane::new();
        let reads: Vec<_> = (0..100).map(|_| read_in(&driver, &lane, &read, &live)).collect();
        for (number, reading) in reads.into_iter().enumerate() {
            assert_eq!((metrics().in_flight, metrics().operations), (1, 100 - number));
            write(&feed, &[number as u8]);
            let (result, buf) = reading.await;
            assert_eq!((result.expect("written"), buf.0.into_vec()), (1, vec![number as u8]));
        }
        assert!(lane.is_idle());
        drop(feed);
    });
    assert_eq!(live.live(), 0);
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_parked_op_that_is_dropped_leaves_no_trace_and_a_forgotten_one_runs() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    let (read, feed) = pipe();
    runtime.block_on(async {
        let driver = Rc::clone(read.driver());
        let lane = Lane::new();
        let first = read_in(&driver, &lane, &read, &live);
        let dropped: Vec<_> = (0..1000).map(|_| read_in(&driver, &lane, &read, &live)).collect();
        let forgotten = read_in(&driver, &lane, &read, &live);
        let last = read_in(&driver, &lane, &read, &live);
        let sqes = metrics().sqes;
        assert_eq!((metrics().operations, live.live()), (1003, 1003));
        drop(dropped);
        assert_eq!((metrics().operations, live.live(), metrics().sqes), (3, 3, sqes));
        std::mem::forget(forgotten);
        // A pipe gives all it has to one read, so each byte is written when its read is there.
        write(&feed, b"1");
        assert_eq!(first.await.1.0.into_vec(), b"1");
        write(&feed, b"2");
        turns_until(|| metrics().in_flight == 1 && metrics().sqes == sqes + 2).await;
        write(&feed, b"3");
        assert_eq!(last.await.1.0.into_vec(), b"3");
        assert!(lane.is_idle());
        assert_eq!((metrics().in_flight, metrics().operations), (0, 1));
    });
    end(runtime);
    // The forgotten one keeps its buffer for ever, but not its descriptor.
    assert_eq!(live.live(), 1);
    drop((read, feed));
    alone.end();
}

#[test]
fn cancelled_ops_leave_their_lane_to_the_next() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    runtime.block_on(async {
        let (read, feed) = pipe();
        let driver = Rc::clone(read.driver());
        let lane = Lane::new();
        let active = read_in(&driver, &lane, &read, &live);
        let parked = read_in(&driver, &lane, &read, &live);
        let next = read_in(&driver, &lane, &read, &live);
        // A parked one answers without the kernel; the others keep their places.
        let sqes = metrics().sqes;
        parked.cancel();
        parked.cancel();
        assert_eq!(metrics().sqes, sqes);
        assert_eq!(parked.await.0.expect_err("cancelled").raw_os_error(), Some(libc::ECANCELED));
        driver.cancel_active(&lane);
        assert_eq!(active.await.0.expect_err("cancelled").raw_os_error(), Some(libc::ECANCELED));
        write(&feed, b"n");
        assert_eq!(next.await.1.0.into_vec(), b"n");
        assert!(lane.is_idle());
        driver.cancel_active(&lane);
        assert_eq!(metrics().sqes, sqes + 2);
        drop(feed);
    });
    assert_eq!(live.live(), 0);
    end_idle(runtime);
    alone.end();
}

#[test]
fn all_who_wait_for_an_idle_lane_are_woken_once_when_the_last_op_has_ended() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = runtime();
    runtime.block_on(async {
        let (read, feed) = pipe();
        let driver = Rc::clone(read.driver());
        let lane = Lane::new();
        let mut ops: Vec<_> = (0..3).map(|_| read_in(&driver, &lane, &read, &live)).collect();
        let wakers: Vec<_> = (0..5).map(|_| (ManualWaker::new(), lane.place())).collect();
        for (waker, place) in &wakers {
            assert!(lane.poll_idle(&mut waker.context(), place).is_pending());
            assert!(lane.poll_idle(&mut waker.context(), place).is_pending());
            assert_eq!(waker.held(), 1);
        }
        // One that is given up leaves nothing.
        let (waker, place) = (ManualWaker::new(), lane.place());
        assert!(lane.poll_idle(&mut waker.context(), &place).is_pending());
        drop(place);
        assert_eq!(waker.held(), 0);
        // One is dropped parked, one in the kernel, and one ends.
        drop(ops.pop());
        let last = ops.pop().expect("three");
        drop(ops);
        assert!(!lane.is_idle());
        turns_until(|| live.live() == 1).await;
        assert!(wakers.iter().all(|(waker, _)| waker.count() == 0));
        write(&feed, b"x");
        assert_eq!(last.await.0.expect("written"), 1);
        assert!(wakers.iter().all(|(waker, _)| (waker.count(), waker.held()) == (1, 0)));
        drop(feed);
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn sends_that_are_dropped_when_they_have_begun_are_finished_whole_and_those_parked_are_not_begun() {
    const BYTES: usize = 1 << 20;
    let alone = alone();
    let runtime = runtime();
    let (ours, mut peer) = UnixStream::pair().expect("descriptors");
    let ours = SharedFd::new(OwnedFd::from(ours));
    runtime.block_on(async {
        let driver = Rc::clone(ours.driver());
        let lane = Lane::new();
        let send = |byte: u8| op::submit_to(&driver, Some(&lane), Send::all(ours.clone(), vec![byte; BYTES]));
        let begun = send(b'a');
        let parked = send(b'b');
        let kept = send(b'c');
        quoit_runtime::task::yield_now().await;
        drop((begun, parked));
        let thread = std::thread::spawn(move || {
            let mut bytes = vec![0; 2 * BYTES];
            peer.read_exact(&mut bytes).expect("all is sent");
            (bytes, peer)
        });
        assert_eq!(kept.await.0.expect("sent"), BYTES);
        let (bytes, mut peer) = thread.join().expect("no panic");
        assert!(bytes[..BYTES].iter().all(|byte| *byte == b'a') && bytes[BYTES..].iter().all(|byte| *byte == b'c'));
        peer.set_nonblocking(true).expect("a socket");
        assert!(peer.read(&mut [0; 1]).is_err(), "nothing else was sent");
    });
    ours.try_unwrap().expect("no op has it");
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_lane_of_another_runtime_is_refused_at_every_try() {
    let alone = alone();
    let (one, other) = (runtime(), runtime());
    let lane = Lane::new();
    let submit = |runtime: &quoit_runtime::Runtime| {
        runtime.block_on(async {
            let (read, _feed) = pipe();
            op::submit_to(read.driver(), Some(&lane), op::Nop::new()).await
        })
    };
    submit(&one).expect("a nop");
    for _ in 0..2 {
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| submit(&other)));
        assert!(refused.is_err());
    }
    submit(&one).expect("a nop");
    end(one);
    end(other);
    alone.end();
}
