//! Queues of any size do: what does not fit waits, what runs over is counted, nothing is lost.

mod support;

use std::os::fd::AsRawFd as _;

use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{self, InFlight, Nop, PollOnce, ReadAt};
use quoit_runtime::{KernelKind, Runtime, metrics};
use quoit_testkit::LiveBuffers;
use support::{Buf, alone, end_idle, pipe, turns_until, write};

fn tiny(entries: u32, completions: u32) -> Runtime {
    let built = Runtime::builder().entries(entries).completion_entries(completions).build();
    built.expect("this machine has io_uring")
}

async fn nops(count: usize) {
    let nops: Vec<_> = (0..count).map(|_| op::submit(Nop::new())).collect();
    for nop in nops {
        nop.await.expect("a nop");
    }
}

#[test]
fn a_ring_of_one_entry_runs_everything() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = Runtime::builder().entries(1).build().expect("this machine has io_uring");
    runtime.block_on(async {
        nops(1000).await;
        let (read, feed) = pipe();
        let reads: Vec<_> =
            (0..100).map(|_| op::submit(ReadAt::new(read.clone(), Buf::new(&live), u64::MAX))).collect();
        drop(reads);
        let last = op::submit(ReadAt::new(read.clone(), Buf::new(&live), u64::MAX));
        turns_until(|| live.live() == 1).await;
        write(&feed, b"x");
        assert_eq!(last.await.0.expect("written"), 1);
    });
    assert_eq!(live.live(), 0);
    end_idle(runtime);
    alone.end();
}

#[test]
fn hundreds_of_completions_at_once_run_over_and_none_is_lost() {
    const OPS: usize = 500;
    let alone = alone();
    let runtime = tiny(8, 16);
    let mut overflows = 0;
    for round in 0..20 {
        runtime.block_on(async {
            let (read, feed) = pipe();
            let polls: Vec<_> = (0..OPS).map(|_| op::submit(PollOnce::readable(read.clone()))).collect();
            quoit_runtime::task::yield_now().await;
            assert_eq!(metrics().in_flight, OPS);
            // One byte ends all of them.
            write(&feed, b"x");
            let dropped = if round % 2 == 0 { OPS / 2 } else { 0 };
            let mut polls = polls;
            drop(polls.drain(..dropped).collect::<Vec<_>>());
            for poll in polls {
                assert_ne!(poll.await.expect("readable") & libc::POLLIN as u32, 0);
            }
            nops(100).await;
            turns_until(|| metrics().in_flight == 0).await;
        });
        overflows = runtime.metrics().overflows;
    }
    // The queue of the emulated ring grows instead.
    assert_eq!(overflows > 0, runtime.kernel() != KernelKind::Epoll, "{:?}", runtime.metrics());
    // Wakes from other threads still come: the poll that brings them has ended with the first overflow.
    runtime.block_on(async {
        let (sender, receiver) = std::sync::mpsc::channel();
        for number in 0..100 {
            let sender = sender.clone();
            let answer = quoit_runtime::blocking::run(move || {
                sender.send(number).expect("received below");
                number
            });
            assert_eq!((answer.await, receiver.recv()), (number, Ok(number)));
        }
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn thousands_of_cancels_fit_through_the_smallest_queues() {
    let alone = alone();
    let live = LiveBuffers::new();
    let runtime = tiny(1, 2);
    runtime.block_on(async {
        let (read, _feed) = pipe();
        let reads: Vec<_> =
            (0..2000).map(|_| op::submit(ReadAt::new(read.clone(), Buf::new(&live), u64::MAX))).collect();
        quoit_runtime::task::yield_now().await;
        reads.iter().for_each(InFlight::cancel);
        for reading in reads {
            assert_eq!(reading.await.0.expect_err("cancelled").raw_os_error(), Some(libc::ECANCELED));
        }
        turns_until(|| metrics().in_flight == 0).await;
    });
    assert_eq!((live.live(), live.made()), (0, 2000));
    end_idle(runtime);
    alone.end();
}

#[test]
fn descriptors_dropped_by_the_hundred_are_all_closed() {
    let alone = alone();
    let runtime = tiny(2, 4);
    runtime.block_on(async {
        let pipes: Vec<_> = (0..500).map(|_| pipe()).collect();
        let polls: Vec<_> = pipes
            .iter()
            .map(|(read, _)| {
                assert!(read.driver().is_running() && read.as_raw_fd() >= 0);
                op::submit(PollOnce::readable(SharedFd::clone(read)))
            })
            .collect();
        quoit_runtime::task::yield_now().await;
        drop((polls, pipes));
    });
    let report = support::end(runtime);
    assert!(report.operations_cancelled <= 500);
    alone.end();
}
