//! While the table is an owner of open files, and when it is none any more.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _};

use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{self, ReadAt};
use quoit_runtime::{metrics, task};
use quoit_testkit::{LiveBuffers, Rng};

use crate::support::{Buf, end, end_idle, pipe, write};
use crate::{
    BYTES, OFTEN, Scratch, at, begin, counted, freed, is_locked_by_process, lock, lock_for_process, read_often,
    with_places,
};

#[test]
fn a_file_that_is_read_often_has_a_place_until_it_is_closed() {
    let Some(alone) = begin() else { return };
    let scratch = Scratch::new("often", 1);
    let runtime = with_places(1024);
    runtime.block_on(async {
        let file = scratch.open();
        for _ in 0..30 {
            // Alone or in company, but not often yet.
            assert_eq!(at(&file, 7, 100).await.1, scratch.content(7, 100));
        }
        assert_eq!(counted(), (0, 0));
        read_often(&scratch, &file).await;
        assert_eq!(counted(), (1, 0));
        // By its place now: the same bytes, the same end.
        read_often(&scratch, &file).await;
        for (offset, bytes) in [(BYTES - 5, 5), (BYTES, 0), (BYTES + 100, 0)] {
            let (one, other) = (at(&file, offset, 16), at(&file, offset, 16));
            for (result, buf) in [one.await, other.await] {
                assert_eq!((result.expect("readable"), buf), (bytes, scratch.content(offset, bytes)));
            }
        }
        let clone = file.clone();
        drop(file);
        assert_eq!(counted(), (1, 0));
        drop(clone);
        assert_eq!(counted(), (0, 0));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn only_files_that_nobody_may_wait_for_have_a_place() {
    let Some(alone) = begin() else { return };
    let scratch = Scratch::new("others", 2);
    let runtime = with_places(1024);
    runtime.block_on(async {
        let writable = OpenOptions::new().read(true).write(true).open(&scratch.path).expect("it is there");
        let writable = SharedFd::new(writable.into());
        read_often(&scratch, &writable).await;
        let locked = scratch.open();
        lock(&locked);
        read_often(&scratch, &locked).await;
        let (pipe, feed) = pipe();
        write(&feed, &[5; OFTEN]);
        let reads: Vec<_> =
            (0..OFTEN).map(|_| op::submit(ReadAt::new(pipe.clone(), Vec::with_capacity(1), u64::MAX))).collect();
        for read in reads {
            assert_eq!(read.await.1, [5]);
        }
        assert_eq!(counted(), (0, 0));
    });
    end_idle(runtime);
    alone.end();
}

/// Locks of a process go with the first descriptor of the file that it closes, whichever that is: so none may be closed that
/// nobody has asked for.
#[test]
fn a_lock_of_the_process_is_not_lost_when_a_file_is_looked_at() {
    let Some(alone) = begin() else { return };
    let scratch = Scratch::new("process-lock", 9);
    let holder = OpenOptions::new().read(true).write(true).open(&scratch.path).expect("it is there");
    let looker = scratch.file();
    assert!(lock_for_process(&holder));
    assert!(is_locked_by_process(&looker));
    let runtime = with_places(1024);
    let file = scratch.open();
    runtime.block_on(async {
        read_often(&scratch, &file).await;
        assert_eq!((counted(), is_locked_by_process(&looker)), ((1, 0), true));
    });
    drop(file);
    end_idle(runtime);
    drop((holder, looker));
    alone.end();
}

#[test]
fn a_lock_goes_with_the_close_of_a_registered_file() {
    let Some(alone) = begin() else { return };
    let scratch = Scratch::new("lock", 3);
    let runtime = with_places(1024);
    runtime.block_on(async {
        for round in 0..3 {
            let file = scratch.open();
            read_often(&scratch, &file).await;
            lock(&file);
            assert_eq!((counted(), scratch.is_free()), ((1, 0), false));
            match round {
                0 => file.close().await.expect("a file can be closed"),
                1 => drop(file),
                _ => drop(file.try_unwrap().expect("nobody else has it")),
            }
            assert_eq!(counted(), (0, 0), "round {round}");
            freed(&scratch).await;
        }
    });
    // Outside of `block_on`.
    let file = scratch.open();
    runtime.block_on(read_often(&scratch, &file));
    lock(&file);
    assert_eq!((runtime.metrics().registered_files, scratch.is_free()), (1, false));
    drop(file);
    assert_eq!(runtime.metrics().registered_files, 0);
    runtime.block_on(freed(&scratch));
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_file_that_is_closed_while_it_is_read_has_its_place_until_the_last_answer() {
    let Some(alone) = begin() else { return };
    let scratch = Scratch::new("closed", 4);
    let live = LiveBuffers::new();
    let runtime = with_places(1024);
    runtime.block_on(async {
        let file = scratch.open();
        read_often(&scratch, &file).await;
        lock(&file);
        let reads: Vec<_> = (0..OFTEN).map(|number| at(&file, number, 16)).collect();
        let dropped: Vec<_> = (0..OFTEN).map(|_| op::submit(ReadAt::new(file.clone(), Buf::new(&live), 0))).collect();
        drop(file);
        drop(dropped);
        assert_eq!((counted(), scratch.is_free()), ((1, 0), false));
        for (number, read) in reads.into_iter().enumerate() {
            let (result, buf) = read.await;
            assert_eq!((result.expect("readable"), buf), (16, scratch.content(number, 16)));
        }
        freed(&scratch).await;
        assert_eq!((counted(), live.live()), ((0, 0), 0));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn a_file_that_is_handed_out_is_its_owners_alone() {
    let Some(alone) = begin() else { return };
    let scratch = Scratch::new("handed-out", 5);
    let runtime = with_places(1024);
    runtime.block_on(async {
        let file = scratch.open();
        read_often(&scratch, &file).await;
        // In use, a duplicate is handed out, and the place stays.
        let read = (at(&file, 0, 16), at(&file, 0, 16));
        let duplicate = file.clone().into_owned();
        assert_eq!(counted(), (1, 0));
        assert_eq!((read.0.await.1, read.1.await.1), (scratch.content(0, 16), scratch.content(0, 16)));
        drop(duplicate);
        let mut owned = File::from(file.try_unwrap().expect("nobody else has it"));
        assert_eq!(counted(), (0, 0));
        let mut bytes = Vec::new();
        owned.rewind().expect("a file");
        owned.read_to_end(&mut bytes).expect("a file");
        assert_eq!(bytes, scratch.content(0, BYTES));
        // A new owner begins anew.
        let file = SharedFd::new(owned.into());
        read_often(&scratch, &file).await;
        assert_eq!(counted(), (1, 0));
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn the_end_of_a_runtime_keeps_no_file_open() {
    let Some(alone) = begin() else { return };
    let scratch = Scratch::new("end", 8);
    let mut others = Vec::new();
    for round in 0..4 {
        let runtime = with_places(1024);
        let file = scratch.open();
        runtime.block_on(read_often(&scratch, &file));
        lock(&file);
        assert_eq!((runtime.metrics().registered_files, scratch.is_free()), (1, false));
        if round % 2 == 0 {
            // It outlives the runtime, and is the only owner then.
            end_idle(runtime);
            assert!(!scratch.is_free());
            if round == 0 { drop(file) } else { drop(file.into_owned()) }
        } else {
            // Dropped by a task that the shutdown drops, with reads in flight.
            runtime.block_on(async {
                let read = (at(&file, 0, 16), at(&file, 0, 16));
                drop(quoit_runtime::spawn(async move {
                    std::future::pending::<()>().await;
                    drop((file, read));
                }));
            });
            let _report = end(runtime);
        }
        assert!(scratch.is_free(), "round {round}");
        // What was registered there means nothing to another runtime.
        others.push(scratch.open());
    }
    let (first, second) = (with_places(1024), with_places(1024));
    let file = others.pop().expect("four");
    first.block_on(read_often(&scratch, &file));
    second.block_on(read_often(&scratch, &file));
    second.block_on(read_often(&scratch, &file));
    assert_eq!((first.metrics().registered_files, second.metrics().registered_files), (1, 0));
    drop((file, others));
    assert_eq!(first.metrics().registered_files, 0);
    end_idle(first);
    end_idle(second);
    alone.end();
}

/// Opens, reads, closes, hands out and drops in any order, in a table that is too small.
#[test]
fn each_read_brings_the_bytes_of_its_own_file_whatever_becomes_of_the_others() {
    let Some(alone) = begin() else { return };
    let scratches: Vec<_> = (0..6).map(|number| Scratch::new("storm", number)).collect();
    let mut rng = Rng::new(0x5eed);
    let seed = rng.seed();
    eprintln!("QUOIT_SEED={seed}");
    let runtime = with_places(3);
    let mut most = 0;
    runtime.block_on(async {
        let mut open: Vec<(usize, SharedFd)> = Vec::new();
        let mut reads = Vec::new();
        for _ in 0..4000 {
            let which = rng.range(0..scratches.len() as u64) as usize;
            match rng.range(0..16) {
                0..3 if open.len() < 8 => open.push((which, scratches[which].open())),
                3..10 if !open.is_empty() => {
                    let (scratch, file) = &open[rng.range(0..open.len() as u64) as usize];
                    for _ in 0..rng.range(1..100) {
                        let offset = rng.range(0..(BYTES - 64) as u64) as usize;
                        reads.push((*scratch, offset, at(file, offset, 64)));
                    }
                }
                10 if open.len() > 3 => {
                    let (_, file) = open.swap_remove(rng.range(0..open.len() as u64) as usize);
                    match rng.range(0..3) {
                        0 => drop(file),
                        1 => drop(file.into_owned()),
                        _ => drop(op::submit(ReadAt::new(file, Vec::<u8>::with_capacity(8), 0))),
                    }
                }
                11 if !reads.is_empty() => drop(reads.split_off(rng.range(0..reads.len() as u64) as usize)),
                12 => task::yield_now().await,
                _ => {
                    for (scratch, offset, read) in reads.drain(..) {
                        let (result, buf) = read.await;
                        let expected = (64, scratches[scratch].content(offset, 64));
                        assert_eq!((result.expect("readable"), buf), expected, "QUOIT_SEED={seed}");
                    }
                }
            }
            most = most.max(counted().0);
            assert!(counted().0 <= 3 && counted().0 <= open.len() + reads.len() + 1, "{:?}", metrics());
        }
    });
    let metrics = runtime.metrics();
    assert_eq!((metrics.registered_files, metrics.failed_closes, most), (0, 0, 3), "{metrics:?}");
    assert!(metrics.files_without_place > 0, "{metrics:?}");
    end_idle(runtime);
    assert!(scratches.iter().all(Scratch::is_free));
    alone.end();
}
