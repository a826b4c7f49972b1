//! Letting writes finish behind a socket that nobody holds any more, but not for ever.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::cancel_scope::stoppable;
use crate::context;
use crate::driver::Driver;
use crate::driver::lane::Lane;
use crate::spawn::spawn;
use crate::timer::{Instant, Timer};

impl Driver {
    /// Waits until the operations of a lane have ended; those that have not after the [deadline](Self::close_deadline), or
    /// when a cancel scope is cancelled, are cut off.
    ///
    /// # Errors
    ///
    /// `TimedOut`, or the error of the scope, where that was needed.
    pub async fn finish(&self, lane: &Lane) -> io::Result<()> {
        if lane.is_pinned() {
            // Copies that are to leave at the end of the turn tell by silence that they have: nobody would wake us.
            self.hurry();
        }
        if lane.is_finished() {
            return Ok(());
        }
        let mut deadline = Timer::new(Instant::now() + self.close_deadline());
        let place = lane.place();
        let too_late = || io::Error::new(io::ErrorKind::TimedOut, "the peer did not take what was written");
        let in_time = stoppable(|cx| match lane.poll_finished(cx, &place) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => deadline.poll_elapsed(cx).map(|()| Err(too_late())),
        });
        let finished = in_time.await;
        if finished.is_err() {
            // Those that wait first, so that none of them begins behind one that is cut.
            self.cancel_parked(lane);
            self.cancel_active(lane);
            if !is_finished_within(lane, GRACE).await {
                // Nothing else makes the kernel give up a buffer that is lent without a copy, and that the peer does not take.
                lane.abort();
                is_finished_within(lane, self.close_deadline()).await;
            }
        }
        finished
    }

    /// As [`finish`](Self::finish), behind everybody's back: from now on, or from when the runtime runs again.
    pub fn finish_later(self: &Rc<Self>, lane: &Lane) {
        if lane.is_finished() || self.is_closed() {
            return;
        }
        let is_current = context::try_with(|core| Rc::ptr_eq(&core.driver, self));
        if is_current != Some(true) {
            return self.unwatched.borrow_mut().push(lane.clone());
        }
        let (driver, lane) = (Rc::clone(self), lane.clone());
        drop(spawn(async move { driver.finish(&lane).await }));
    }

    /// The runtime runs again.
    pub(crate) fn watch_over_lanes(self: &Rc<Self>) {
        for lane in self.unwatched.take() {
            self.finish_later(&lane);
        }
    }
}

/// Waits until the lane is finished, but not longer than this.
async fn is_finished_within(lane: &Lane, limit: Duration) -> bool {
    let (mut limit, place) = (Timer::new(Instant::now() + limit), lane.place());
    poll_fn(|cx| match lane.poll_finished(cx, &place) {
        Poll::Ready(()) => Poll::Ready(true),
        Poll::Pending => limit.poll_elapsed(cx).map(|()| false),
    })
    .await
}

/// How long a write that was cancelled may take to end, before its connection is reset.
const GRACE: Duration = Duration::from_millis(50);
