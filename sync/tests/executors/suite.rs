// Compiled for each flavor, in a module that names its types.

use std::cell::Cell;
use std::rc::Rc;

use futures_util::{StreamExt as _, future::join_all};

use crate::tools::{Dice, ENDLESS, Message, Tally, impatiently, yield_times};

on_each_executor! {
    async fn oneshot_hands_its_message_over(spawner) {
        let (tx, rx) = oneshot::channel();
        let receiver = spawner.spawn(rx);
        yield_times(2).await;
        assert_eq!(tx.send("done"), Ok(()));
        assert_eq!(receiver.await, Ok("done"));
        let (tx, rx) = oneshot::channel::<u8>();
        let receiver = spawner.spawn(rx);
        yield_times(2).await;
        drop(tx);
        assert!(receiver.await.is_err());
        let (mut tx, rx) = oneshot::channel::<u8>();
        let closed = spawner.spawn(async move { tx.closed().await });
        yield_times(2).await;
        drop(rx);
        closed.await;
    }

    async fn oneshot_message_is_received_returned_or_dropped_once(spawner) {
        let tally = Rc::new(Tally::default());
        let outcomes = Rc::new(Cell::new([0_usize; 3]));
        let mut dice = Dice::new(1);
        let mut tasks = Vec::new();
        for number in 0..1000 {
            let (tx, mut rx) = oneshot::channel();
            let (before, patience, close, give_up) = (dice.roll(4), dice.roll(4), dice.roll(4) == 0, dice.roll(4) == 0);
            let (counts, message) = (outcomes.clone(), Message::new(number, &tally));
            let count = move |outcome: usize| {
                let mut all = counts.get();
                all[outcome] += 1;
                counts.set(all);
            };
            let sent = count.clone();
            tasks.push(spawner.spawn(async move {
                yield_times(before).await;
                match tx.send(message) {
                    Ok(()) => {}
                    Err(message) => {
                        assert_eq!(message.number, number);
                        sent(1);
                    }
                }
            }));
            let _detached = spawner.spawn(async move {
                match impatiently(patience, &mut rx).await {
                    Some(received) => {
                        assert_eq!(received.ok().map(|message| message.number), Some(number));
                        return count(0);
                    }
                    None if close => rx.close(),
                    None => {}
                }
                if !give_up {
                    match rx.await {
                        Ok(message) => {
                            assert_eq!(message.number, number);
                            count(0);
                        }
                        Err(_) => assert!(close),
                    }
                } else if rx.try_recv().is_ok() {
                    count(0);
                }
            });
        }
        join_all(tasks).await;
        yield_times(10).await;
        let [received, returned, _] = outcomes.get();
        assert_eq!((tally.made.get(), tally.dropped.get()), (1000, 1000));
        assert!(received > 500 && returned > 50 && received + returned <= 1000, "{received} {returned}");
    }

    async fn mpsc_messages_arrive_in_order_and_then_none(spawner) {
        let (tx, mut rx) = mpsc::channel(2);
        let sender = spawner.spawn(async move {
            for number in 0..100 {
                tx.send(Rc::new(number)).await.expect("a receiver");
            }
        });
        for number in 0..100 {
            assert_eq!(rx.recv().await.as_deref(), Some(&number));
        }
        assert_eq!(rx.recv().await, None);
        sender.await;
        let (tx, rx) = mpsc::unbounded_channel();
        let receiver = spawner.spawn(rx.collect::<Vec<_>>());
        for number in 0..10 {
            assert!(tx.send(number).is_ok());
            yield_times(number % 2).await;
        }
        drop(tx);
        assert_eq!(receiver.await, Vec::from_iter(0..10));
    }

    async fn mpsc_permits_for_several_are_served_whole_and_in_order(spawner) {
        let (tx, mut rx) = mpsc::channel(3);
        assert!(tx.reserve_many(4).await.is_err());
        assert_eq!(tx.reserve_many(0).await.map(|permits| permits.len()).ok(), Some(0));
        let first = tx.try_reserve_many(2).expect("room");
        assert_eq!((first.len(), tx.capacity()), (2, 1));
        let (large, small) = (tx.clone(), tx.clone());
        let large = spawner.spawn(async move {
            for (permit, number) in large.reserve_many(3).await.expect("a receiver").zip(1..=2) {
                permit.send(number);
            }
        });
        yield_times(2).await;
        let small = spawner.spawn(async move { small.send(3).await });
        yield_times(2).await;
        // What is free piles up for who waits longest.
        assert_eq!((tx.capacity(), tx.try_send(9).is_err()), (0, true));
        drop(first);
        large.await;
        assert_eq!(small.await, Ok(()));
        assert_eq!([rx.recv().await, rx.recv().await, rx.recv().await], [Some(1), Some(2), Some(3)]);
        assert_eq!(tx.capacity(), 3);
        let waiting = spawner.spawn({
            let tx = tx.clone();
            async move {
                let held = tx.try_reserve_many(2).expect("room");
                assert!(impatiently(2, tx.reserve_many(2)).await.is_none());
                drop(held);
                tx.reserve_many(3).await.map(|permits| permits.len())
            }
        });
        assert_eq!(waiting.await, Ok(3));
        rx.close();
        assert!(tx.reserve_many(1).await.is_err() && tx.reserve_many(0).await.is_err());
    }

    async fn mpsc_senders_learn_of_the_close(spawner) {
        let (tx, mut rx) = mpsc::channel(1);
        let other = tx.clone();
        let closed = spawner.spawn(async move { other.closed().await });
        tx.send(1).await.expect("room");
        let sender = spawner.spawn(async move { tx.send(2).await.map_err(|error| error.0) });
        yield_times(3).await;
        rx.close();
        closed.await;
        assert_eq!(sender.await, Err(2));
        assert_eq!((rx.recv().await, rx.recv().await), (Some(1), None));
    }

    async fn mpsc_storm_of_cancels_keeps_exact_counts(spawner) {
        for capacity in [1, 2, 5] {
            let tally = Rc::new(Tally::default());
            let (tx, mut rx) = mpsc::channel(capacity);
            let senders: Vec<_> = (0..4)
                .map(|sender| {
                    let (tx, tally) = (tx.clone(), tally.clone());
                    spawner.spawn(async move {
                        let mut dice = Dice::new(sender as u64 + 1);
                        let mut sent = Vec::new();
                        for round in 0..150 {
                            let message = Message::new(round * 4 + sender, &tally);
                            let number = message.number;
                            let done = match dice.roll(4) {
                                0 => impatiently(dice.roll(3), tx.send(message)).await,
                                1 => match impatiently(dice.roll(3), tx.reserve_many(1 + dice.roll(capacity))).await {
                                    Some(permits) => {
                                        permits.expect("a receiver").next().expect("one at least").send(message);
                                        Some(Ok(()))
                                    }
                                    None => None,
                                },
                                _ => Some(tx.send(message).await),
                            };
                            if let Some(result) = done {
                                assert!(result.is_ok());
                                sent.push(number);
                            }
                        }
                        sent
                    })
                })
                .collect();
            drop(tx);
            let receiver = spawner.spawn(async move {
                let mut dice = Dice::new(9);
                let mut received: [Vec<usize>; 4] = Default::default();
                loop {
                    let message = match dice.roll(3) {
                        0 => impatiently(dice.roll(3), rx.recv()).await,
                        1 => rx.try_recv().ok().map(Some),
                        _ => Some(rx.recv().await),
                    };
                    match message {
                        Some(Some(message)) => received[message.number % 4].push(message.number),
                        Some(None) => break (received, rx.capacity()),
                        None => {}
                    }
                }
            });
            let sent = join_all(senders).await;
            let (received, free) = receiver.await;
            assert_eq!(received.to_vec(), sent, "in the order of each sender");
            assert_eq!(free, capacity, "all room came back");
            assert_eq!((tally.made.get(), tally.dropped.get()), (600, 600));
        }
    }

    async fn mpsc_unbounded_storm_of_cancels_loses_nothing(spawner) {
        let (tx, mut rx) = mpsc::unbounded_channel();
        let sender = spawner.spawn(async move {
            let mut dice = Dice::new(3);
            for number in 0..500 {
                assert!(tx.send(Box::new(number)).is_ok());
                yield_times(dice.roll(3)).await;
            }
        });
        let (mut dice, mut next, mut batch) = (Dice::new(4), 0, Vec::new());
        loop {
            let patience = dice.roll(4);
            if dice.roll(2) == 0 {
                match impatiently(patience, rx.recv()).await {
                    Some(Some(number)) => batch.push(number),
                    Some(None) => break,
                    None => {}
                }
            } else {
                let before = batch.len();
                if impatiently(patience, rx.recv_many(&mut batch, 3)).await.is_none() {
                    assert_eq!(batch.len(), before);
                }
            }
            for number in batch.drain(..) {
                assert_eq!(*number, next);
                next += 1;
            }
        }
        sender.await;
        assert_eq!(next, 500);
    }

    async fn rendezvous_storm_of_cancels_hands_over_once(spawner) {
        let tally = Rc::new(Tally::default());
        let (tx, mut rx) = mpsc::rendezvous();
        let senders: Vec<_> = (0..3)
            .map(|sender| {
                let (tx, tally) = (tx.clone(), tally.clone());
                spawner.spawn(async move {
                    let mut dice = Dice::new(sender as u64 + 11);
                    let (mut sent, mut given_up) = (Vec::new(), Vec::new());
                    for round in 0..200 {
                        let message = Message::new(round * 3 + sender, &tally);
                        let number = message.number;
                        if dice.roll(3) == 0 {
                            match impatiently(dice.roll(4), tx.send(message)).await {
                                Some(result) => {
                                    assert!(result.is_ok());
                                    sent.push(number);
                                }
                                // Dropped before it saw whether the message was taken.
                                None => given_up.push(number),
                            }
                        } else if dice.roll(4) == 0 {
                            tx.reserve().await.expect("a receiver").send(message);
                            sent.push(number);
                        } else {
                            assert!(tx.send(message).await.is_ok());
                            sent.push(number);
                        }
                    }
                    (sent, given_up)
                })
            })
            .collect();
        drop(tx);
        let receiver = spawner.spawn(async move {
            let (mut dice, mut received) = (Dice::new(5), Vec::new());
            loop {
                let message = if dice.roll(2) == 0 {
                    impatiently(dice.roll(3), rx.recv()).await
                } else {
                    Some(rx.recv().await)
                };
                match message {
                    Some(Some(message)) => received.push(message.number),
                    Some(None) => break received,
                    None => {}
                }
            }
        });
        let outcomes = join_all(senders).await;
        let mut received = receiver.await;
        received.sort_unstable();
        let unique = received.len();
        received.dedup();
        assert_eq!(received.len(), unique, "nothing was received twice");
        for (sent, given_up) in outcomes {
            assert!(sent.iter().all(|number| received.binary_search(number).is_ok()), "what was sent was received");
            received.retain(|number| !sent.contains(number) && !given_up.contains(number));
        }
        assert_eq!(received, [0; 0], "what was received was sent or given up");
        assert_eq!((tally.made.get(), tally.dropped.get()), (600, 600));
    }

    async fn mutex_storm_of_cancels_lends_to_one_at_a_time(spawner) {
        let mutex = Shared::new(Mutex::new((false, 0)));
        let tasks: Vec<_> = (0..5)
            .map(|task| {
                let mutex = mutex.clone();
                spawner.spawn(async move {
                    let (mut dice, mut locked) = (Dice::new(task + 21), 0);
                    for _ in 0..150 {
                        let patience = if dice.roll(2) == 0 { dice.roll(4) } else { ENDLESS };
                        if dice.roll(2) == 0 {
                            let Some(mut guard) = impatiently(patience, mutex.clone().lock_owned()).await else { continue };
                            assert!(!std::mem::replace(&mut guard.0, true), "alone");
                            yield_times(dice.roll(3)).await;
                            *guard = (false, guard.1 + 1);
                        } else {
                            let Some(mut guard) = impatiently(patience, mutex.lock()).await else { continue };
                            assert!(!std::mem::replace(&mut guard.0, true), "alone");
                            yield_times(dice.roll(3)).await;
                            *guard = (false, guard.1 + 1);
                        }
                        locked += 1;
                    }
                    locked
                })
            })
            .collect();
        let locked: usize = join_all(tasks).await.into_iter().sum();
        assert_eq!(*mutex.try_lock().expect("all are gone"), (false, locked));
        assert!((300..750).contains(&locked), "some gave up: {locked}");
    }

    async fn rwlock_storm_of_cancels_shows_whole_writes(spawner) {
        let lock = Shared::new(RwLock::new((0, 0)));
        let together = Rc::new(Cell::new((0, 0)));
        let tasks: Vec<_> = (0..6)
            .map(|task| {
                let (lock, together) = (lock.clone(), together.clone());
                spawner.spawn(async move {
                    let (mut dice, mut written) = (Dice::new(task + 31), 0);
                    for _ in 0..120 {
                        let patience = if dice.roll(2) == 0 { dice.roll(4) } else { ENDLESS };
                        if dice.roll(3) > 0 {
                            let Some(pair) = impatiently(patience, lock.read()).await else { continue };
                            let (now, most) = together.get();
                            together.set((now + 1, most.max(now + 1)));
                            yield_times(dice.roll(3)).await;
                            assert_eq!(pair.0, pair.1);
                            together.set((together.get().0 - 1, together.get().1));
                        } else {
                            let Some(mut pair) = impatiently(patience, lock.clone().write_owned()).await else { continue };
                            assert_eq!(together.get().0, 0, "alone");
                            pair.0 += 1;
                            yield_times(dice.roll(3)).await;
                            pair.1 += 1;
                            written += 1;
                            if dice.roll(2) == 0 {
                                let pair = pair.downgrade();
                                yield_times(1).await;
                                assert_eq!(pair.0, pair.1);
                            }
                        }
                    }
                    written
                })
            })
            .collect();
        let written: usize = join_all(tasks).await.into_iter().sum();
        assert_eq!(*lock.try_write().expect("all are gone"), (written, written));
        assert!(together.get().1 > 1, "readers read together");
    }

    async fn semaphore_storm_of_cancels_returns_every_permit(spawner) {
        let semaphore = Shared::new(Semaphore::new(4));
        let (used, served) = (Rc::new(Cell::new(0_usize)), Rc::new(Cell::new(0_usize)));
        let tasks: Vec<_> = (0..6)
            .map(|task| {
                let (semaphore, used, served) = (semaphore.clone(), used.clone(), served.clone());
                spawner.spawn(async move {
                    let mut dice = Dice::new(task + 41);
                    for _ in 0..120 {
                        let count = 1 + dice.roll(4);
                        let patience = if dice.roll(2) == 0 { dice.roll(4) } else { ENDLESS };
                        let acquire = semaphore.clone().acquire_many_owned(u32::try_from(count).expect("few"));
                        let Some(permit) = impatiently(patience, acquire).await else { continue };
                        let mut permit = permit.expect("nobody closes it");
                        used.set(used.get() + count);
                        served.set(served.get() + 1);
                        assert!(used.get() <= 4);
                        yield_times(dice.roll(3)).await;
                        let half = permit.split(count / 2);
                        used.set(used.get() - count);
                        drop((permit, half));
                    }
                })
            })
            .collect();
        join_all(tasks).await;
        assert_eq!((semaphore.available_permits(), used.get()), (4, 0));
        assert!((200..720).contains(&served.get()), "some gave up: {}", served.get());
        let waiting = spawner.spawn({
            let semaphore = semaphore.clone();
            async move { semaphore.acquire_many(5).await.is_err() }
        });
        yield_times(2).await;
        semaphore.close();
        assert!(waiting.await && semaphore.is_closed());
    }

    async fn notify_storm_of_cancels_loses_no_notification(spawner) {
        let notify = Shared::new(Notify::new());
        // Each notification is for one piece of work, and there is never a notification without somebody who waits for it, so
        // that none of them meets a permit that is there.
        let (work, done) = (Rc::new(Cell::new(0_usize)), Rc::new(Cell::new(0_usize)));
        let waiters: Vec<_> = (0..4)
            .map(|task| {
                let (notify, work, done) = (notify.clone(), work.clone(), done.clone());
                spawner.spawn(async move {
                    let mut dice = Dice::new(task + 51);
                    while done.get() < 300 {
                        let patience = if dice.roll(3) == 0 { dice.roll(4) } else { ENDLESS };
                        let notified = notify.notified();
                        if impatiently(patience, notified).await.is_some() && work.get() > 0 {
                            work.set(work.get() - 1);
                            done.set(done.get() + 1);
                        }
                    }
                    // The others may wait for what will not come.
                    notify.notify_waiters();
                })
            })
            .collect();
        while done.get() < 300 {
            if work.get() == 0 {
                work.set(1);
                notify.notify_one();
            }
            yield_times(1).await;
        }
        notify.notify_waiters();
        join_all(waiters).await;
        assert_eq!(done.get(), 300);
    }

    async fn notify_waiters_reaches_all_of_them(spawner) {
        let notify = Shared::new(Notify::new());
        let waiters: Vec<_> = (0..5)
            .map(|_| {
                let notify = notify.clone();
                spawner.spawn(async move { notify.notified().await })
            })
            .collect();
        yield_times(3).await;
        notify.notify_waiters();
        join_all(waiters).await;
        assert!(impatiently(2, notify.notified()).await.is_none(), "no permit is left");
    }

    async fn wait_group_waits_for_all_that_was_added(spawner) {
        let group = WaitGroup::new();
        group.wait().await;
        for round in 0..20 {
            let ended = Rc::new(Cell::new(0));
            for task in 0..5 {
                let (working, ended) = (group.add(), ended.clone());
                let _detached = spawner.spawn(async move {
                    yield_times((round + task) % 4).await;
                    ended.set(ended.get() + 1);
                    drop(working);
                });
            }
            assert!(impatiently(round % 3, group.wait()).await.is_none() || ended.get() == 5);
            group.clone().wait().await;
            assert_eq!((ended.get(), group.count()), (5, 0));
        }
    }

    async fn wait_group_that_had_no_work_lets_pass_though_there_is_some_again(spawner) {
        let group = WaitGroup::new();
        let working = group.add();
        let waiting = spawner.spawn({
            let group = group.clone();
            async move { group.wait().await }
        });
        yield_times(2).await;
        drop(working);
        let _more = group.add();
        waiting.await;
        assert_eq!(group.count(), 1);
        assert!(impatiently(3, group.wait()).await.is_none());
    }
}
