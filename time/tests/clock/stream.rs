//! Streams with a time: deadlines for items, and a pace. On a clock that stands.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream as _;
use futures_util::stream::FusedStream as _;
use futures_util::{StreamExt as _, stream};
use quoit_time::{Instant, StreamExt as _, advance, interval, pause, sleep};

use crate::{HOUR, block_on, poll_once};

const SECOND: Duration = Duration::from_secs(1);

/// Items that take so many seconds each.
fn slow(seconds: impl IntoIterator<Item = u32>) -> impl stream::Stream<Item = u32> {
    stream::iter(seconds).then(async |seconds| {
        sleep(SECOND * seconds).await;
        seconds
    })
}

#[test]
fn each_item_has_a_deadline_of_its_own_and_a_late_one_is_not_lost() {
    block_on(async {
        pause();
        let start = Instant::now();
        let items: Vec<_> = slow([1, 2, 7, 0]).timeout(SECOND * 3).map(|item| item.ok()).collect().await;
        // Seven seconds are two deadlines and one second.
        assert_eq!(items, [Some(1), Some(2), None, None, Some(7), Some(0)]);
        assert_eq!(start.elapsed(), SECOND * 10);
    });
}

#[test]
fn the_time_between_two_polls_is_the_consumer_s_own() {
    block_on(async {
        pause();
        let mut items = pin!(slow([1, 2]).timeout(SECOND * 2 + SECOND / 2));
        assert_eq!(items.next().await, Some(Ok(1)));
        // The deadline does not run yet.
        advance(HOUR).await;
        assert_eq!(items.next().await, Some(Ok(2)));
        // Dropped and asked again, it is the same wait.
        let mut items = pin!(stream::pending::<()>().timeout(SECOND * 2));
        assert_eq!(poll_once(&mut items.next()), Poll::Pending);
        advance(SECOND).await;
        let start = Instant::now();
        assert!(items.next().await.expect("it goes on").is_err());
        assert_eq!(start.elapsed(), SECOND);
    });
}

#[test]
fn without_a_limit_and_at_the_end_a_deadline_changes_nothing() {
    block_on(async {
        let mut items = pin!(stream::iter([1]).fuse().timeout(Duration::MAX));
        assert_eq!((items.next().await, items.next().await), (Some(Ok(1)), None));
        assert!(items.is_terminated());
        // What is there is there, even with no time at all.
        assert_eq!(
            stream::iter([1, 2]).timeout(Duration::ZERO).map(Result::ok).collect::<Vec<_>>().await,
            [Some(1), Some(2)]
        );
    });
}

#[test]
fn a_throttled_stream_answers_one_item_each_so_often() {
    block_on(async {
        pause();
        let start = Instant::now();
        let mut items = pin!(stream::iter(0..3).fuse().throttle(SECOND));
        assert_eq!(items.size_hint(), (3, Some(3)));
        for number in 0..3 {
            assert_eq!(items.next().await, Some(number));
            assert_eq!(start.elapsed(), SECOND * number);
        }
        assert_eq!((items.next().await, start.elapsed()), (None, SECOND * 3));
        assert!(items.is_terminated());
        // One that is slower by itself keeps its pace (ticks at 0, 2 and 4; the end is behind the last pause), and zero is no
        // throttle.
        let start = Instant::now();
        assert_eq!(interval(SECOND * 2).take(3).throttle(SECOND).count().await, 3);
        assert_eq!(start.elapsed(), SECOND * 5);
        assert_eq!(stream::iter(0..3).throttle(Duration::ZERO).count().await, 3);
        assert_eq!(start.elapsed(), SECOND * 5);
    });
}
