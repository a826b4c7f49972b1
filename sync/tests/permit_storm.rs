//! Random cancels, seeded: whatever is dropped at whatever point, permits are neither lost nor doubled, and nobody is passed over.
#![cfg(not(loom))]

mod spawned;

use std::collections::VecDeque;
use std::task::Poll;

use quoit_sync::{Semaphore, TryAcquireError};

use spawned::Spawned;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

/// Knuth's MMIX generator.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(self.0 >> 33).expect("31 bits") % sides
    }

    fn index(&mut self, len: usize) -> usize {
        self.roll(u32::try_from(len).expect("few")) as usize
    }
}

/// What a semaphore should do, as simple as can be.
struct Model {
    free: usize,
    /// Who waits, by number, and for how many.
    queue: VecDeque<(usize, usize)>,
    /// Who was served and did not look yet.
    served: Vec<(usize, usize)>,
}

impl Model {
    fn available(&self) -> usize {
        if self.queue.is_empty() { self.free } else { 0 }
    }

    fn release(&mut self, count: usize) {
        self.free += count;
        while let Some(&(number, count)) = self.queue.front()
            && count <= self.free
        {
            self.free -= count;
            self.served.push((number, count));
            self.queue.pop_front();
        }
    }

    fn leave(&mut self, number: usize) {
        if let Some(index) = self.served.iter().position(|served| served.0 == number) {
            let (_, count) = self.served.remove(index);
            self.release(count);
        } else {
            self.queue.retain(|waiting| waiting.0 != number);
            self.release(0);
        }
    }
}

/// Returns how many requests were served after a wait.
fn storm(seed: u64) -> usize {
    let mut dice = Dice(seed);
    let mut total = dice.index(5);
    let semaphore = Semaphore::new(total);
    let mut model = Model { free: total, queue: VecDeque::new(), served: Vec::new() };
    let (mut waiting, mut permits) = (Vec::new(), Vec::new());
    let mut waited = 0;
    for number in 0..400 {
        match dice.roll(9) {
            0..3 => {
                let count = dice.roll(4);
                let mut acquire = Spawned::new(semaphore.acquire_many(count));
                match acquire.poll() {
                    Poll::Ready(permit) => {
                        assert!(model.available() >= count as usize, "seed {seed}");
                        model.free -= count as usize;
                        permits.push(permit.expect("nobody closes it"));
                    }
                    Poll::Pending => {
                        assert!(model.available() < count as usize, "seed {seed}");
                        model.queue.push_back((number, count as usize));
                        waiting.push((number, acquire));
                    }
                }
            }
            3 => {
                let count = dice.roll(3);
                match semaphore.try_acquire_many(count) {
                    Ok(permit) => {
                        assert!(model.available() >= count as usize, "seed {seed}");
                        model.free -= count as usize;
                        permits.push(permit);
                    }
                    Err(error) => {
                        assert_eq!(error, TryAcquireError::NoPermits);
                        assert!(model.available() < count as usize, "seed {seed}");
                    }
                }
            }
            4 if !waiting.is_empty() => {
                let (number, acquire) = waiting.swap_remove(dice.index(waiting.len()));
                drop(acquire);
                model.leave(number);
            }
            5 if !permits.is_empty() => {
                let mut permit = permits.swap_remove(dice.index(permits.len()));
                let part = permit.split(dice.index(permit.num_permits() + 1)).expect("not more than there are");
                model.release(permit.num_permits());
                drop(permit);
                permits.push(part);
            }
            6 if !permits.is_empty() => {
                let permit = permits.swap_remove(dice.index(permits.len()));
                let count = permit.num_permits();
                if dice.roll(4) == 0 {
                    total -= count;
                    permit.forget();
                } else {
                    model.release(count);
                    drop(permit);
                }
            }
            7 if total < 6 => {
                semaphore.add_permits(1);
                total += 1;
                model.release(1);
            }
            _ if dice.roll(4) == 0 => {
                let forgotten = semaphore.forget_permits(1);
                assert_eq!(forgotten, model.available().min(1), "seed {seed}");
                model.free -= forgotten;
                total -= forgotten;
            }
            _ => {}
        }
        // Just those the model has served were woken, once; half of them look.
        waiting.retain_mut(|(number, acquire)| {
            let served = model.served.iter().position(|served| served.0 == *number);
            assert_eq!(acquire.wakes(), usize::from(served.is_some()), "seed {seed}");
            let Some(index) = served.filter(|_| dice.roll(2) == 0) else { return true };
            let Poll::Ready(Ok(permit)) = acquire.poll() else { panic!("it was woken for a reason, seed {seed}") };
            assert_eq!(permit.num_permits(), model.served.swap_remove(index).1);
            permits.push(permit);
            waited += 1;
            false
        });
        assert_eq!(semaphore.available_permits(), model.available(), "seed {seed}");
    }
    drop((waiting, permits));
    assert_eq!(semaphore.available_permits(), total, "all came back, seed {seed}");
    waited
}

#[test]
fn semaphore_does_as_its_model_in_a_storm_of_cancels() {
    let waited: usize = (0..500).map(storm).sum();
    assert!(waited > 5_000, "the storm makes wait: {waited}");
}
