//! Timers against a model, on a clock that stands: which ones are woken, when, and in which order.

mod support;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use proptest::prelude::*;
use quoit_runtime::metrics;
use quoit_runtime::timer::{Instant, Timer, advance, pause, resume};
use support::{alone, end_idle, runtime};

#[derive(Clone, Debug)]
enum Step {
    /// Makes a timer, and polls it.
    Start(Duration),
    /// Sets another deadline, in the future or (`false`) in the past, and polls.
    Reset(usize, bool, Duration),
    /// Drops a timer.
    Drop(usize),
    /// Polls again, with another waker.
    Poll(usize),
    Advance(Duration),
    /// Lets the clock run for an instant.
    ResumeAndPause,
}

fn duration() -> impl Strategy<Value = Duration> {
    // Equal deadlines, some within a tick of the wheel, some far away, and never.
    prop_oneof![
        4 => (0_u64..20).prop_map(Duration::from_nanos),
        4 => (0_u64..40).prop_map(|number| Duration::from_micros(number * 33)),
        2 => (0_u64..100).prop_map(|number| Duration::from_secs(number * 977)),
        1 => Just(Duration::MAX),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let step = duration().prop_filter("the end of time ends the test", |step| *step != Duration::MAX);
    prop_oneof![
        6 => duration().prop_map(Step::Start),
        3 => (any::<usize>(), any::<bool>(), duration()).prop_map(|(nth, later, by)| Step::Reset(nth, later, by)),
        2 => any::<usize>().prop_map(Step::Drop),
        2 => any::<usize>().prop_map(Step::Poll),
        5 => step.prop_map(Step::Advance),
        1 => Just(Step::ResumeAndPause),
    ]
}

/// Notes the number of its timer when that is woken.
struct Recorder(usize, Arc<Mutex<Vec<usize>>>);

impl Wake for Recorder {
    fn wake(self: Arc<Self>) {
        self.1.lock().expect("no panic").push(self.0);
    }
}

#[derive(Default)]
struct Model {
    timers: BTreeMap<usize, Timer>,
    /// The timers that wait, in the order in which they are due: deadline, then when they began to wait.
    waiting: BTreeMap<(Instant, usize), usize>,
    /// Where each timer is in `waiting`.
    places: BTreeMap<usize, (Instant, usize)>,
    woken: Arc<Mutex<Vec<usize>>>,
    count: usize,
}

impl Model {
    fn nth(&self, nth: usize) -> Option<usize> {
        self.timers.keys().nth(nth % self.timers.len().max(1)).copied()
    }

    fn poll(&mut self, number: usize) {
        let waker = Waker::from(Arc::new(Recorder(number, Arc::clone(&self.woken))));
        let timer = self.timers.get_mut(&number).expect("it is there");
        let deadline = timer.deadline();
        let poll = timer.poll_elapsed(&mut Context::from_waker(&waker));
        assert_eq!(poll.is_ready(), Instant::now() >= deadline, "{deadline:?} at {:?}", Instant::now());
        assert_eq!(poll.is_ready(), timer.is_elapsed());
        if poll.is_pending() && !deadline.is_never() && !self.places.contains_key(&number) {
            self.count += 1;
            self.places.insert(number, (deadline, self.count));
            self.waiting.insert((deadline, self.count), number);
        }
    }

    fn forget(&mut self, number: usize) {
        if let Some(place) = self.places.remove(&number) {
            self.waiting.remove(&place);
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Start(duration) => {
                self.count += 1;
                let number = self.count;
                self.timers.insert(number, Timer::new(Instant::now() + duration));
                self.poll(number);
            }
            Step::Reset(nth, later, by) => {
                let Some(number) = self.nth(nth) else { return };
                self.forget(number);
                let deadline = if later { Instant::now() + by } else { Instant::now() - by };
                self.timers.get_mut(&number).expect("it is there").reset(deadline);
                self.poll(number);
            }
            Step::Drop(nth) => {
                let Some(number) = self.nth(nth) else { return };
                self.forget(number);
                self.timers.remove(&number);
            }
            Step::Poll(nth) => {
                let Some(number) = self.nth(nth) else { return };
                self.poll(number);
            }
            Step::Advance(by) => {
                let end = Instant::now() + by;
                advance(by).await;
                assert_eq!(Instant::now(), end);
                self.fire();
            }
            Step::ResumeAndPause => {
                resume();
                pause();
                // As if nobody had noticed: what has become due meanwhile fires at the next step.
                advance(Duration::ZERO).await;
                self.fire();
            }
        }
        assert_eq!(metrics().timers, self.waiting.len());
        assert!(self.woken.lock().expect("no panic").is_empty(), "nobody is woken but by the clock");
    }

    /// What is due was woken, once each, in order.
    fn fire(&mut self) {
        let mut due = Vec::new();
        while let Some(first) = self.waiting.first_entry()
            && first.key().0 <= Instant::now()
        {
            due.push(first.remove());
        }
        assert_eq!(std::mem::take(&mut *self.woken.lock().expect("no panic")), due);
        for number in due {
            self.places.remove(&number);
            self.poll(number);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_of_timers_agrees_with_an_ordered_map(steps in prop::collection::vec(step(), 1..80)) {
        let alone = alone();
        let runtime = runtime();
        runtime.block_on(async {
            pause();
            let mut model = Model::default();
            for step in steps {
                model.step(step).await;
            }
        });
        end_idle(runtime);
        alone.end();
    }
}

#[test]
fn a_hundred_thousand_sleeps_wait_at_once_and_end_each_at_its_time() {
    const MANY: u64 = 100_000;
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        pause();
        let start = Instant::now();
        let mut timers: Vec<_> =
            (0..MANY).map(|number| Timer::new(start + Duration::from_micros(1 + number * 7919 % 1_000_003))).collect();
        let woken = Arc::new(Mutex::new(Vec::with_capacity(timers.len())));
        for (number, timer) in timers.iter_mut().enumerate() {
            let waker = Waker::from(Arc::new(Recorder(number, Arc::clone(&woken))));
            assert!(timer.poll_elapsed(&mut Context::from_waker(&waker)).is_pending());
        }
        assert_eq!(metrics().timers, timers.len());
        advance(Duration::from_secs(2)).await;
        assert_eq!(metrics().timers, 0);
        let woken = woken.lock().expect("no panic");
        assert_eq!(woken.len(), timers.len());
        let in_order = |pair: &[usize]| {
            let key = |number: usize| (timers[number].deadline(), number);
            key(pair[0]) < key(pair[1])
        };
        assert!(woken.windows(2).all(in_order), "each once, and the earliest first");
    });
    end_idle(runtime);
    alone.end();
}

#[test]
fn setting_another_deadline_allocates_nothing() {
    let alone = alone();
    let runtime = runtime();
    runtime.block_on(async {
        let mut timer = pin!(Timer::new(Instant::now() + Duration::from_secs(3600)));
        let waker = quoit_testkit::ManualWaker::new();
        let poll = |timer: &mut Timer| {
            let poll = timer.poll_elapsed(&mut waker.context());
            assert_eq!(poll, Poll::Pending);
        };
        poll(&mut timer);
        let before = quoit_testkit::allocations_of_this_thread();
        for seconds in 1..1_000 {
            timer.reset(Instant::now() + Duration::from_secs(seconds * 60));
            poll(&mut timer);
        }
        assert_eq!(quoit_testkit::allocations_of_this_thread(), before);
        assert_eq!(metrics().timers, 1);
    });
    end_idle(runtime);
    alone.end();
}
