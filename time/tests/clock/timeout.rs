//! `Timeout`: who wins, and what becomes of the future.

use std::future::{pending, poll_fn, ready};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use quoit_time::{Instant, sleep, timeout, timeout_at};

use crate::{HOUR, SHORT, block_on, hog, poll_once};

#[test]
fn a_future_that_is_ready_wins_even_over_a_deadline_in_the_past() {
    block_on(async {
        assert_eq!(timeout(Duration::ZERO, ready(1)).await, Ok(1));
        assert_eq!(timeout_at(Instant::now() - HOUR, ready(2)).await, Ok(2));
    });
}

#[test]
fn a_pending_future_is_given_up_at_the_deadline_and_not_before() {
    block_on(async {
        let deadline = Instant::now() + SHORT;
        assert!(timeout_at(deadline, pending::<()>()).await.is_err());
        assert!(Instant::now() >= deadline);
        let start = Instant::now();
        assert!(timeout(SHORT, pending::<()>()).await.is_err());
        assert!(start.elapsed() >= SHORT);
        assert!(poll_once(&mut timeout(Duration::ZERO, pending::<()>())).is_ready());
    });
}

#[test]
fn a_future_that_is_ready_before_the_deadline_answers() {
    block_on(async {
        assert_eq!(timeout(HOUR, sleep(SHORT)).await, Ok(()));
        assert_eq!(timeout(Duration::MAX, sleep(SHORT)).await, Ok(()));
        assert_eq!(timeout_at(Instant::NEVER, sleep(SHORT)).await, Ok(()));
    });
}

#[test]
fn a_future_that_is_ready_when_its_deadline_has_passed_meanwhile_is_not_lost() {
    block_on(async {
        let deadline = Instant::now() + SHORT;
        let late = poll_fn(|_| {
            hog(deadline);
            Poll::Ready("late")
        });
        assert_eq!(timeout_at(deadline, late).await, Ok("late"));
    });
}

#[test]
fn giving_up_drops_the_future_and_a_borrowed_one_goes_on() {
    block_on(async {
        let owned = Rc::new(());
        let holder = owned.clone();
        let given_up = timeout(SHORT, async move {
            pending::<()>().await;
            drop(holder);
        });
        assert!(given_up.await.is_err());
        assert_eq!(Rc::strong_count(&owned), 1);

        let mut kept = sleep(HOUR);
        for _ in 0..3 {
            assert!(timeout(Duration::from_micros(100), &mut kept).await.is_err());
        }
        Pin::new(&mut kept).reset(Instant::now() + SHORT);
        assert!(timeout(HOUR, &mut kept).await.is_ok());
        assert!(kept.is_elapsed());
    });
}

#[test]
fn a_timeout_takes_what_becomes_a_future_and_gives_it_back() {
    struct Answer;
    impl IntoFuture for Answer {
        type Output = u8;
        type IntoFuture = std::future::Ready<u8>;
        fn into_future(self) -> Self::IntoFuture {
            ready(42)
        }
    }
    block_on(async {
        assert_eq!(timeout(SHORT, Answer).await, Ok(42));
        let mut timeout = timeout(SHORT, ready(1));
        *timeout.get_mut() = ready(2);
        assert_eq!(timeout.get_ref().clone().await, 2);
        assert_eq!(timeout.into_inner().await, 2);
    });
}

#[test]
fn an_inner_timeout_ends_before_an_outer_one() {
    block_on(async {
        let answer = timeout(HOUR, timeout(SHORT, pending::<()>())).await;
        assert!(matches!(answer, Ok(Err(_))));
        let answer = timeout(SHORT, timeout(HOUR, pending::<()>())).await;
        assert!(answer.is_err());
    });
}

#[test]
fn elapsed_passes_through_a_question_mark_as_timed_out() {
    let answer: io::Result<()> = block_on(async { Ok(timeout(SHORT, pending()).await?) });
    assert_eq!(answer.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
}
