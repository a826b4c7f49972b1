//! `Notify` against a model as simple as can be, in both flavors: random histories, every readiness and every wake-up compared.
#![cfg(not(loom))]

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use proptest::prelude::{Strategy, prop_oneof};
use proptest::test_runner::Config;
use proptest::{collection, proptest};

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

/// Counts wakes.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Whether it is ready.
fn poll(notified: std::pin::Pin<&mut impl Future<Output = ()>>, wakes: &Arc<Wakes>) -> bool {
    notified.poll(&mut Context::from_waker(&Waker::from(wakes.clone()))).is_ready()
}

/// What a history is made of. A number picks one of the futures there are.
#[derive(Clone, Copy, Debug)]
enum Step {
    Make,
    Poll(usize),
    Enable(usize),
    Drop(usize),
    NotifyOne,
    NotifyLast,
    NotifyWaiters,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => proptest::strategy::Just(Step::Make),
        4 => (0..8_usize).prop_map(Step::Poll),
        1 => (0..8_usize).prop_map(Step::Enable),
        2 => (0..8_usize).prop_map(Step::Drop),
        3 => proptest::strategy::Just(Step::NotifyOne),
        1 => proptest::strategy::Just(Step::NotifyLast),
        1 => proptest::strategy::Just(Step::NotifyWaiters),
    ]
}

/// How a future stands in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stands {
    Made,
    Queues,
    Notified { last: bool },
    Ready,
}

#[derive(Default)]
struct Model {
    permit: bool,
    queue: VecDeque<usize>,
    /// By number.
    futures: Vec<Stands>,
}

impl Model {
    /// Returns who is answered.
    fn notify(&mut self, last: bool) -> Option<usize> {
        let number = if last { self.queue.pop_back() } else { self.queue.pop_front() };
        match number {
            Some(number) => self.futures[number] = Stands::Notified { last },
            None => self.permit = true,
        }
        number
    }

    fn notify_waiters(&mut self) {
        self.queue.clear();
        for stands in &mut self.futures {
            if matches!(stands, Stands::Made | Stands::Queues) {
                *stands = Stands::Ready;
            }
        }
    }

    /// Whether it is ready; if not, it queues.
    fn look(&mut self, number: usize) -> bool {
        match self.futures[number] {
            Stands::Made if std::mem::take(&mut self.permit) => self.futures[number] = Stands::Ready,
            Stands::Made => {
                self.futures[number] = Stands::Queues;
                self.queue.push_back(number);
            }
            Stands::Queues => {}
            Stands::Notified { .. } | Stands::Ready => self.futures[number] = Stands::Ready,
        }
        self.futures[number] == Stands::Ready
    }

    fn leave(&mut self, number: usize) {
        self.queue.retain(|queues| *queues != number);
        if let Stands::Notified { last } = std::mem::replace(&mut self.futures[number], Stands::Ready) {
            self.notify(last);
        }
    }
}

/// Plays a history on a `Notify` of one flavor and on the model.
macro_rules! play {
    ($notify:expr, $history:expr) => {{
        let notify = $notify;
        let mut model = Model::default();
        let mut futures = Vec::new();
        for step in $history {
            let pick = |index: usize| (!futures.is_empty()).then(|| index % futures.len());
            match step {
                Step::Make => {
                    futures.push((model.futures.len(), Arc::new(Wakes::default()), Box::pin(notify.notified())));
                    model.futures.push(Stands::Made);
                }
                Step::Poll(index) => {
                    let Some(index) = pick(index) else { continue };
                    let (number, wakes, future) = &mut futures[index];
                    assert_eq!(poll(future.as_mut(), wakes), model.look(*number));
                }
                Step::Enable(index) => {
                    let Some(index) = pick(index) else { continue };
                    let (number, _, future) = &mut futures[index];
                    assert_eq!(future.as_mut().enable(), model.look(*number));
                }
                Step::Drop(index) => {
                    let Some(index) = pick(index) else { continue };
                    let (number, _, future) = futures.swap_remove(index);
                    drop(future);
                    model.leave(number);
                }
                Step::NotifyOne => {
                    notify.notify_one();
                    model.notify(false);
                }
                Step::NotifyLast => {
                    notify.notify_last();
                    model.notify(true);
                }
                Step::NotifyWaiters => {
                    notify.notify_waiters();
                    model.notify_waiters();
                }
            }
            // Nobody is woken before it is answered, and nobody twice.
            for (number, wakes, _) in &futures {
                let waits = matches!(model.futures[*number], Stands::Made | Stands::Queues);
                assert!(wakes.count() <= usize::from(!waits));
            }
            assert!(!model.permit || model.queue.is_empty());
        }
        // What is left over is there for who comes.
        drop(futures);
        (0..model.futures.len()).for_each(|number| model.leave(number));
        assert_eq!(poll(std::pin::pin!(notify.notified()), &Arc::new(Wakes::default())), model.permit);
    }};
}

proptest! {
    #![proptest_config(Config { cases: 100, failure_persistence: None, ..Config::default() })]

    #[test]
    fn notify_does_what_its_model_does(history in collection::vec(step(), 1..60)) {
        play!(quoit_sync::Notify::new(), history.clone());
        play!(quoit_sync::local::Notify::new(), history);
    }
}
