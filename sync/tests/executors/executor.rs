//! The executors, behind one face.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_executor::{LocalPool, LocalSpawner};
use futures_util::task::LocalSpawnExt as _;

/// Runs each body on each executor, as a test of its name. In a body `$spawner` spawns tasks.
macro_rules! on_each_executor {
    ($($(#[$doc:meta])* async fn $name:ident($spawner:ident) $body:block)*) => {
        $(
            $(#[$doc])*
            async fn $name($spawner: crate::executor::Spawner) $body
        )*

        mod on_local_pool {
            $(
                #[test]
                fn $name() {
                    crate::executor::on_local_pool(super::$name);
                }
            )*
        }

        mod on_tokio {
            $(
                #[test]
                fn $name() {
                    crate::executor::on_tokio(super::$name);
                }
            )*
        }
    };
}

/// Spawns tasks on the executor that runs the test.
#[derive(Clone)]
pub(crate) enum Spawner {
    LocalPool(LocalSpawner),
    Tokio,
}

impl Spawner {
    /// Spawns a task. The future is of its result.
    pub(crate) fn spawn<T: 'static>(
        &self,
        task: impl Future<Output = T> + 'static,
    ) -> impl Future<Output = T> + 'static {
        let ended = Rc::new(RefCell::new((None, None::<Waker>)));
        let ends = ended.clone();
        let task = async move {
            let output = task.await;
            let waker = {
                let mut ended = ends.borrow_mut();
                ended.0 = Some(output);
                ended.1.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        };
        match self {
            Self::LocalPool(spawner) => spawner.spawn_local(task).expect("the pool runs"),
            Self::Tokio => drop(tokio::task::spawn_local(task)),
        }
        poll_fn(move |context| {
            let mut ended = ended.borrow_mut();
            ended.1 = Some(context.waker().clone());
            ended.0.take().map_or(Poll::Pending, Poll::Ready)
        })
    }
}

/// Runs a body whose tasks are all in the pool: where none of them can go on, a wake-up was lost.
pub(crate) fn on_local_pool<F: Future<Output = ()> + 'static>(body: fn(Spawner) -> F) {
    let mut pool = LocalPool::new();
    let spawner = Spawner::LocalPool(pool.spawner());
    let mut main = Box::pin(spawner.spawn(body(spawner.clone())));
    pool.run_until_stalled();
    let poll = main.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop()));
    assert!(poll.is_ready(), "nobody can go on");
}

/// The same on tokio, which cannot tell that nobody can go on: then it takes too long.
pub(crate) fn on_tokio<F: Future<Output = ()> + 'static>(body: fn(Spawner) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let tasks = tokio::task::LocalSet::new();
    let run = tasks.run_until(async { tokio::time::timeout(Duration::from_secs(60), body(Spawner::Tokio)).await });
    runtime.block_on(run).expect("nobody can go on");
}
