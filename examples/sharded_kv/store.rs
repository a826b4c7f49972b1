//! The keys and values: each thread has those whose hash is its number, and others ask it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use quoit::Workers;

use crate::command::Command;
use crate::resp::Reply;

/// What is done to one key, or, without one, on every thread.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Get(Bytes),
    Set(Bytes, Bytes),
    Delete(Bytes),
    Exists(Bytes),
    Increment(Bytes),
    Size,
    Clear,
}

/// What an operation answers.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Value(Option<Bytes>),
    Number(i64),
    NotANumber,
}

thread_local! {
    /// This thread's part. Nothing else ever touches it, so it needs no lock.
    static STORE: RefCell<HashMap<Bytes, Bytes>> = RefCell::new(HashMap::new());
}

/// Knows which thread has which key.
#[derive(Clone)]
pub(crate) struct Shards {
    workers: Workers,
    hasher: RandomState,
}

impl Shards {
    pub(crate) fn new(workers: Workers) -> Self {
        Self { workers, hasher: RandomState::new() }
    }

    /// Answers commands, in their order. Each thread that has a key of theirs is asked once.
    pub(crate) async fn answer(&self, commands: Vec<Command>) -> Vec<Reply> {
        // The operations of each thread, with the place of their answers: the order is kept for each key.
        let mut batches: Vec<Vec<(usize, Operation)>> = vec![Vec::new(); self.workers.len()];
        // Where the answers of each command end.
        let mut ends = Vec::with_capacity(commands.len());
        let mut places = 0;
        for command in &commands {
            for operation in &command.operations {
                for thread in self.threads_of(operation) {
                    batches[thread].push((places, operation.clone()));
                    places += 1;
                }
            }
            ends.push(places);
        }
        let mut answers = self.ask(batches, places).await.into_iter();
        let mut begin = 0;
        let finish = commands.into_iter().zip(ends).map(|(command, end)| {
            let count = end - std::mem::replace(&mut begin, end);
            // A thread that is gone has not answered: the program is ending.
            let answered: Vec<Answer> = answers.by_ref().take(count).flatten().collect();
            command.finish(answered.into_iter())
        });
        finish.collect()
    }

    async fn ask(&self, batches: Vec<Vec<(usize, Operation)>>, places: usize) -> Vec<Option<Answer>> {
        let here = Workers::current_index();
        let mut answers = vec![None; places];
        let mut others = Vec::new();
        let mut own = Vec::new();
        for (thread, batch) in batches.into_iter().enumerate().filter(|(_, batch)| !batch.is_empty()) {
            if Some(thread) == here {
                own = batch;
            } else {
                others.push(self.workers.spawn_on(thread, move || async move { perform(batch) }));
            }
        }
        // While they work, we do.
        let mut answered = perform(own);
        for other in others {
            answered.extend(other.await.unwrap_or_default());
        }
        for (place, answer) in answered {
            answers[place] = Some(answer);
        }
        answers
    }

    fn threads_of(&self, operation: &Operation) -> std::ops::Range<usize> {
        let (Operation::Get(key)
        | Operation::Set(key, _)
        | Operation::Delete(key)
        | Operation::Exists(key)
        | Operation::Increment(key)) = operation
        else {
            return 0..self.workers.len();
        };
        let thread = (self.hasher.hash_one(key) % self.workers.len() as u64) as usize;
        thread..thread + 1
    }
}

/// Performs operations on this thread's part.
fn perform(batch: Vec<(usize, Operation)>) -> Vec<(usize, Answer)> {
    STORE.with_borrow_mut(|store| batch.into_iter().map(|(place, operation)| (place, one(store, operation))).collect())
}

fn one(store: &mut HashMap<Bytes, Bytes>, operation: Operation) -> Answer {
    match operation {
        Operation::Get(key) => Answer::Value(store.get(&key).cloned()),
        Operation::Set(key, value) => {
            // Copies, as the originals are parts of what was received together with much else.
            store.insert(Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value));
            Answer::Number(1)
        }
        Operation::Delete(key) => Answer::Number(store.remove(&key).is_some().into()),
        Operation::Exists(key) => Answer::Number(store.contains_key(&key).into()),
        Operation::Increment(key) => {
            let old = store.get(&key).map_or(Some(0), |value| std::str::from_utf8(value).ok()?.parse::<i64>().ok());
            let Some(new) = old.and_then(|old| old.checked_add(1)) else { return Answer::NotANumber };
            store.insert(Bytes::copy_from_slice(&key), Bytes::from(new.to_string()));
            Answer::Number(new)
        }
        Operation::Size => Answer::Number(store.len() as i64),
        Operation::Clear => {
            store.clear();
            Answer::Number(0)
        }
    }
}

impl Answer {
    /// As a part of a sum.
    pub(crate) fn count(&self) -> i64 {
        match self {
            Self::Number(number) => *number,
            Self::Value(_) | Self::NotANumber => 0,
        }
    }
}
