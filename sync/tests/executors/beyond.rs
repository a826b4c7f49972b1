//! What there is for threads only.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::join_all;

use quoit_sync::broadcast::error::RecvError;
use quoit_sync::{
    Barrier, CancellationToken, Condvar, Mutex, MutexGuard, OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard,
    broadcast, watch,
};

use crate::tools::{Dice, ENDLESS, impatiently, yield_times};

on_each_executor! {
    async fn broadcast_reaches_every_receiver(spawner) {
        let (tx, rx) = broadcast::channel(4);
        let receivers: Vec<_> = [rx, tx.subscribe()].into_iter().map(|rx| spawner.spawn(rx.collect::<Vec<_>>())).collect();
        for number in 0..20 {
            assert_eq!(tx.send(number), Ok(2));
            yield_times(2).await;
        }
        drop(tx);
        for received in join_all(receivers).await {
            assert_eq!(received, Vec::from_iter((0..20).map(Ok)));
        }
    }

    async fn broadcast_storm_of_cancels_counts_what_it_misses(spawner) {
        let (tx, rx) = broadcast::channel(4);
        let receivers: Vec<_> = (0..3)
            .map(|receiver| {
                let mut rx = rx.resubscribe();
                spawner.spawn(async move {
                    let (mut dice, mut next) = (Dice::new(receiver + 61), 0_u64);
                    loop {
                        match impatiently(dice.roll(4), rx.recv()).await {
                            Some(Ok(number)) => {
                                assert_eq!(number, next);
                                next += 1;
                            }
                            Some(Err(RecvError::Lagged(missed))) => next += missed,
                            Some(Err(RecvError::Closed)) => break next,
                            None => {}
                        }
                    }
                })
            })
            .collect();
        drop(rx);
        let mut dice = Dice::new(6);
        for number in 0..500 {
            assert_eq!(tx.send(number), Ok(3));
            yield_times(dice.roll(3)).await;
        }
        drop(tx);
        assert_eq!(join_all(receivers).await, [500; 3]);
    }

    async fn watch_storm_of_cancels_ends_with_the_last_value(spawner) {
        let (tx, rx) = watch::channel(0);
        let receivers: Vec<_> = (0..3)
            .map(|receiver| {
                let mut rx = rx.clone();
                spawner.spawn(async move {
                    let (mut dice, mut last) = (Dice::new(receiver + 71), 0);
                    loop {
                        match impatiently(dice.roll(4), rx.changed()).await {
                            Some(Ok(())) => {
                                let value = *rx.borrow_and_update();
                                assert!(value > last);
                                last = value;
                            }
                            Some(Err(_)) => break last,
                            None => {}
                        }
                    }
                })
            })
            .collect();
        drop(rx);
        let mut dice = Dice::new(7);
        for value in 1..=300 {
            assert!(tx.send(value).is_ok());
            yield_times(dice.roll(3)).await;
        }
        drop(tx);
        assert_eq!(join_all(receivers).await, [300; 3]);
    }

    async fn watch_sender_sees_the_receivers_go(spawner) {
        let (tx, rx) = watch::channel(0);
        let closed = spawner.spawn(async move { tx.closed().await });
        let other = rx.clone();
        yield_times(2).await;
        drop(rx);
        yield_times(2).await;
        drop(other);
        closed.await;
    }

    async fn barrier_lets_all_pass_with_one_leader(spawner) {
        let barrier = Arc::new(Barrier::new(4));
        for _ in 0..10 {
            let tasks: Vec<_> = (0..4)
                .map(|task| {
                    let barrier = barrier.clone();
                    spawner.spawn(async move {
                        yield_times(task).await;
                        barrier.wait().await.is_leader()
                    })
                })
                .collect();
            assert_eq!(join_all(tasks).await.into_iter().filter(|leads| *leads).count(), 1);
        }
    }

    async fn once_cell_is_made_once_though_makers_give_up(spawner) {
        let (cell, made) = (Arc::new(OnceCell::new()), Rc::new(Cell::new(0)));
        let tasks: Vec<_> = (0..6)
            .map(|task| {
                let (cell, made) = (cell.clone(), made.clone());
                spawner.spawn(async move {
                    let make = || async {
                        yield_times(3).await;
                        made.set(made.get() + 1);
                        task
                    };
                    let patience = if task < 3 { task + 1 } else { ENDLESS };
                    impatiently(patience, cell.get_or_init(make)).await.copied()
                })
            })
            .collect();
        let seen = join_all(tasks).await;
        let value = cell.get().copied();
        assert_eq!((made.get(), &seen[3..]), (1, &[value, value, value][..]));
    }

    async fn token_stops_a_tree_of_tasks(spawner) {
        let token = CancellationToken::new();
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let child = token.child_token();
                spawner.spawn(async move { child.run_until_cancelled(std::future::pending::<()>()).await })
            })
            .collect();
        yield_times(3).await;
        token.cancel();
        assert_eq!(join_all(tasks).await, [None; 5]);
    }

    async fn condvar_storm_of_cancels_serves_all(spawner) {
        let shelf = Arc::new((Mutex::new(0_usize), Condvar::new()));
        let sold = Rc::new(Cell::new(0_usize));
        let buyers: Vec<_> = (0..4)
            .map(|buyer| {
                let (shelf, sold) = (shelf.clone(), sold.clone());
                spawner.spawn(async move {
                    let mut dice = Dice::new(buyer + 81);
                    let mut bought = 0;
                    while bought < 50 {
                        let patience = if dice.roll(2) == 0 { dice.roll(5) } else { ENDLESS };
                        let (bread, baked) = &*shelf;
                        let wait = async { baked.wait_while(bread.lock().await, |bread| *bread == 0).await };
                        let Some(mut bread) = impatiently(patience, wait).await else { continue };
                        *bread -= 1;
                        bought += 1;
                        sold.set(sold.get() + 1);
                    }
                })
            })
            .collect();
        let mut dice = Dice::new(8);
        for _ in 0..200 {
            // One notification each, and never more than one piece of bread for one that was woken: a lost wake-up leaves
            // somebody hungry.
            *shelf.0.lock().await += 1;
            shelf.1.notify_one();
            yield_times(dice.roll(3)).await;
        }
        join_all(buyers).await;
        assert_eq!((sold.get(), *shelf.0.lock().await), (200, 0));
    }

    async fn condvar_notify_all_wakes_everybody_and_notify_one_the_first(spawner) {
        let pair = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let waiters: Vec<_> = (0..4)
            .map(|number| {
                let pair = pair.clone();
                spawner.spawn(async move {
                    let (order, notified) = &*pair;
                    let mut order = notified.wait(order.lock().await).await;
                    order.push(number);
                })
            })
            .collect();
        yield_times(3).await;
        pair.1.notify_one();
        yield_times(3).await;
        assert_eq!(*pair.0.lock().await, [0]);
        pair.1.notify_all();
        join_all(waiters).await;
        let mut order = pair.0.lock().await;
        order.sort_unstable();
        assert_eq!(*order, [0, 1, 2, 3]);
        // Nobody waits: it leaves no trace.
        pair.1.notify_one();
        assert!(impatiently(3, pair.1.wait(order)).await.is_none());
        assert!(pair.0.try_lock().is_ok(), "who gives up leaves it unlocked");
    }

    async fn guards_of_parts_keep_the_whole_locked(spawner) {
        let mutex = Arc::new(Mutex::new((1, vec![2, 3])));
        let list = MutexGuard::map(mutex.lock().await, |pair| &mut pair.1);
        let waiting = spawner.spawn({
            let mutex = mutex.clone();
            async move { mutex.lock().await.1[0] }
        });
        yield_times(2).await;
        let mut first = quoit_sync::MappedMutexGuard::try_map(list, |list| list.first_mut()).expect("there is one");
        *first += 10;
        drop(first);
        assert_eq!(waiting.await, 12);
        let lock = RwLock::new((1, 2));
        let second = RwLockWriteGuard::downgrade_map(lock.write().await, |pair| &pair.1);
        assert_eq!((*second, lock.try_write().is_err()), (2, true));
        let other = RwLockReadGuard::map(lock.read().await, |pair| &pair.0);
        drop(second);
        assert_eq!((*other, lock.try_write().is_err()), (1, true));
        drop(other);
        let kept = RwLockWriteGuard::try_map(lock.write().await, |_| None::<&mut u8>).expect_err("there is no such part");
        assert!(lock.try_read().is_err());
        let kept = RwLockWriteGuard::try_downgrade_map(kept, |_| None::<&u8>).expect_err("nor here");
        assert!(lock.try_read().is_err(), "still locked to write");
        *RwLockWriteGuard::into_mapped(kept) = (5, 6);
        assert_eq!(lock.into_inner(), (5, 6));
    }
}
