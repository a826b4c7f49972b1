//! Letting writes finish behind a socket that nobody holds any more, but not for ever.

use std::io;
use std::rc::Rc;
use std::task::Poll;

use crate::cancel_scope::stoppable;
use crate::context;
use crate::driver::Driver;
use crate::driver::lane::Lane;
use crate::spawn::spawn;
use crate::task::yield_now;
use crate::timer::{Instant, Timer};

impl Driver {
    /// Waits until the operations of a lane have ended; those that have not after the [deadline](Self::close_deadline), or
    /// when a cancel scope is cancelled, are cut off.
    ///
    /// # Errors
    ///
    /// `TimedOut`, or the error of the scope, where that was needed.
    pub async fn finish(&self, lane: &Lane) -> io::Result<()> {
        if lane.is_idle() {
            return Ok(());
        }
        let mut deadline = Timer::new(Instant::now() + self.close_deadline());
        let too_late = || io::Error::new(io::ErrorKind::TimedOut, "the peer did not take what was written");
        let in_time = stoppable(|cx| match lane.poll_idle(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(())),
            Poll::Pending => deadline.poll_elapsed(cx).map(|()| Err(too_late())),
        });
        let finished = in_time.await;
        if finished.is_err() {
            // Those that wait first, so that none of them begins behind one that is cut.
            self.cancel_parked(lane);
            while !lane.is_idle() {
                self.cancel_active(lane);
                yield_now().await;
            }
        }
        finished
    }

    /// As [`finish`](Self::finish), behind everybody's back: from now on, or from when the runtime runs again.
    pub fn finish_later(self: &Rc<Self>, lane: &Lane) {
        if lane.is_idle() || self.is_closed() {
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
