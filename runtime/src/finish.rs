//! Letting writes finish behind a socket that nobody holds any more, but not for ever.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use crate::context;
use crate::driver::Driver;
use crate::driver::lane::Lane;
use crate::spawn::spawn;
use crate::task::yield_now;
use crate::timer::{Instant, Timer};

impl Driver {
    /// Waits until the operations of a lane have ended; those that have not after the
    /// [deadline](Self::close_deadline) are cancelled. Whether that was needed.
    pub async fn finish(&self, lane: &Lane) -> bool {
        let mut deadline = Timer::new(Instant::now() + self.close_deadline());
        let in_time = poll_fn(|cx| match lane.poll_idle(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending => deadline.poll_elapsed(cx).map(|()| false),
        });
        if in_time.await {
            return false;
        }
        // Those that wait first, so that none of them begins behind one that is cut.
        self.cancel_parked(lane);
        while !lane.is_idle() {
            self.cancel_active(lane);
            yield_now().await;
        }
        true
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
