//! The table against a model: a queue of numbers.

use std::collections::VecDeque;
use std::future::pending;

use quoit_testkit::Rng;

use super::*;
use crate::task::{Here, Origin, Owner, Spares, TaskCell};

struct Model {
    table: Table,
    spares: Spares,
    /// The tasks that have not ended.
    tasks: Vec<Owner<Here<()>>>,
    /// The keys of those that are ready. Of those that ended in the queue nothing is told.
    ready: VecDeque<TaskKey>,
    /// Keys of tasks that have ended.
    stale: Vec<TaskKey>,
}

impl Model {
    fn new() -> Self {
        let table = Table::new(TaskKey::NOBODY.runtime());
        Self { table, spares: Spares::new(), tasks: Vec::new(), ready: VecDeque::new(), stale: Vec::new() }
    }

    fn spawn(&mut self) {
        let task = TaskCell::make(Origin::here(), pending::<()>(), Here::new(), &self.spares);
        self.table.insert(task.task(), Instant::from_nanos(0));
        self.ready.push_back(task.task().key());
        self.tasks.push(task);
    }

    fn wake(&mut self, key: TaskKey) {
        self.table.wake(key);
        if !self.ready.contains(&key) && self.tasks.iter().any(|task| task.task().key() == key) {
            self.ready.push_back(key);
        }
    }

    fn remove(&mut self, place: usize) {
        let key = self.tasks.swap_remove(place).task().key();
        let removed = self.table.remove(key.index()).expect("it had not ended");
        assert_eq!(removed.key(), key);
        assert!(removed.is_last());
        self.ready.retain(|ready| *ready != key);
        self.stale.push(key);
    }

    /// The next turn is of whom the model says.
    fn run(&mut self) {
        let next = loop {
            match self.table.begin_turn() {
                Next::Turn(turn) => break Some(turn.task.key()),
                Next::Gone => {}
                Next::Nobody => break None,
            }
        };
        assert_eq!(next, self.ready.pop_front());
    }
}

#[test]
fn any_history_of_tasks_agrees_with_a_queue() {
    let mut rng = Rng::new(1);
    for _ in 0..200 {
        let mut model = Model::new();
        for _ in 0..300 {
            match rng.below(6) {
                0 => model.spawn(),
                1 if !model.tasks.is_empty() => model.remove(rng.below(model.tasks.len() as u64) as usize),
                2 if !model.tasks.is_empty() => {
                    let place = rng.below(model.tasks.len() as u64) as usize;
                    model.wake(model.tasks[place].task().key());
                }
                3 if !model.stale.is_empty() => {
                    let place = rng.below(model.stale.len() as u64) as usize;
                    model.wake(model.stale[place]);
                }
                4 => {
                    model.table.yielded.extend(model.tasks.first().map(|task| task.task().key()));
                    assert!(!model.table.wake_yielded(TaskKey::NOBODY));
                    if let Some(first) = model.tasks.first().map(|task| task.task().key()) {
                        model.wake(first);
                    }
                }
                _ => model.run(),
            }
            assert_eq!(model.table.len(), model.tasks.len());
        }
        while !model.ready.is_empty() {
            model.run();
        }
        model.run();
        while !model.tasks.is_empty() {
            model.remove(0);
        }
        model.table.clear_queues();
        assert!(!model.table.has_ready());
    }
}

#[test]
fn whoever_is_put_first_runs_first_and_the_others_keep_their_order() {
    for count in 1..5 {
        for chosen in 0..count {
            let mut model = Model::new();
            (0..count).for_each(|_| model.spawn());
            model.table.put_first(chosen);
            assert_eq!(model.table.ready_count(), count);
            let first = model.ready.remove(chosen).expect("it is there");
            model.ready.push_front(first);
            // The end of the queue is where it was.
            model.spawn();
            (0..=count + 1).for_each(|_| model.run());
            while !model.tasks.is_empty() {
                model.remove(0);
            }
        }
    }
}

#[test]
fn a_wake_from_sixteen_million_tasks_ago_does_not_put_a_vacant_place_into_the_queue() {
    let mut model = Model::new();
    for _ in 0..3 {
        model.spawn();
    }
    let key = model.tasks[1].task().key();
    while !model.tasks.is_empty() {
        model.run();
        model.remove(0);
    }
    // As if its place had been used so often since that the generations have come round.
    assert!(model.table.live(key.index()).is_none());
    model.table.entries[(key.index() - FIRST_TASK) as usize].marks = key.generation();
    model.table.wake(key);
    assert!(!model.table.has_ready());
    // All three places serve once, and no place twice.
    for _ in 0..3 {
        model.spawn();
    }
    let mut places: Vec<_> = model.tasks.iter().map(|task| task.task().key().index()).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!((places.len(), model.table.entries.len()), (3, 3));
}
