//! What becomes of the futures of a storm.

use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use quoit_runtime::task::yield_now;
use quoit_testkit::Rng;

use super::poll_once;

/// What became of the futures.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    pub(crate) completed: u64,
    pub(crate) dropped_unpolled: u64,
    pub(crate) dropped: u64,
    pub(crate) forgotten: u64,
}

impl Fates {
    pub(crate) fn gone(&self) -> u64 {
        self.dropped_unpolled + self.dropped + self.forgotten
    }

    /// Each fate must have had its share, or else the storm was none.
    pub(crate) fn assert_all(&self, name: &str, seed: u64) {
        println!("{name}: {self:?}, QUOIT_SEED={seed}");
        assert!(self.completed > 0 && self.dropped_unpolled > 0 && self.dropped > 0, "{self:?}");
    }
}

/// Polls a future at most three times, with turns of the runtime between; then it is dropped or forgotten.
pub(crate) async fn brief<F: Future + ?Sized>(
    mut future: Pin<Box<F>>,
    rng: &mut Rng,
    forget: bool,
    fates: &mut Fates,
) -> Option<F::Output> {
    let polls = rng.below(4);
    for poll in 0..polls {
        if let Poll::Ready(output) = poll_once(future.as_mut()).await {
            fates.completed += 1;
            return Some(output);
        }
        if poll + 1 < polls || rng.below(2) == 0 {
            for _turn in 0..rng.below(3) {
                yield_now().await;
            }
        }
    }
    if forget {
        fates.forgotten += 1;
        std::mem::forget(future);
    } else if polls == 0 {
        fates.dropped_unpolled += 1;
    } else {
        fates.dropped += 1;
    }
    None
}
