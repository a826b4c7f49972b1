//! `StreamExt`: time as methods of every stream.

use std::time::Duration;

use futures_core::Stream;

use crate::stream_timeout::StreamTimeout;
use crate::throttle::Throttle;

/// Time as methods of every stream.
pub trait StreamExt: Stream {
    /// Waits for each item no longer than `duration`, and else answers [`Elapsed`](crate::Elapsed) in its place.
    ///
    /// The time runs while somebody waits: from the first poll for an item on, not from the item before. So it is as if each
    /// `next()` were under a [`timeout`](crate::timeout), with one timer for all of them. The stream goes on after an
    /// `Elapsed`, and what it brings late is the next item. [`Duration::MAX`] is no limit.
    ///
    /// # Cancel safety
    ///
    /// A `next()` that is dropped loses no item, if it loses none of the stream; the time goes on.
    ///
    /// # Panics
    ///
    /// Outside a runtime, at the caller's location.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::pin::pin;
    /// use std::time::Duration;
    ///
    /// use futures_util::{StreamExt as _, stream};
    /// use quoit_time::StreamExt as _;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// quoit_runtime::Runtime::new()?.block_on(async {
    ///     let items = stream::iter([1, 2]).chain(stream::pending());
    ///     let mut items = pin!(items.timeout(Duration::from_millis(5)));
    ///     assert_eq!(items.next().await, Some(Ok(1)));
    ///     assert_eq!(items.next().await, Some(Ok(2)));
    ///     assert!(items.next().await.expect("the stream goes on").is_err());
    /// });
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    fn timeout(self, duration: Duration) -> StreamTimeout<Self>
    where
        Self: Sized,
    {
        StreamTimeout::new(self, duration)
    }

    /// Answers at most one item each `duration`: after an item, the stream is not polled for so long. The end is not held
    /// back beyond that.
    ///
    /// # Cancel safety
    ///
    /// As for [`timeout`](Self::timeout).
    ///
    /// # Panics
    ///
    /// Outside a runtime, at the caller's location.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use futures_util::{StreamExt as _, stream};
    /// use quoit_time::{Instant, StreamExt as _};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// quoit_runtime::Runtime::new()?.block_on(async {
    ///     let start = Instant::now();
    ///     let numbers: Vec<u32> = stream::iter([1, 2, 3]).throttle(Duration::from_millis(2)).collect().await;
    ///     assert_eq!(numbers, [1, 2, 3]);
    ///     assert!(start.elapsed() >= Duration::from_millis(4));
    /// });
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    fn throttle(self, duration: Duration) -> Throttle<Self>
    where
        Self: Sized,
    {
        Throttle::new(self, duration)
    }
}

impl<S: Stream + ?Sized> StreamExt for S {}
