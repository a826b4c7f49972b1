//! The place of a file that is read often in the ring's table of files.
//!
//! The descriptor counts its reads by the ring; at the 193rd the driver is asked for a place, and from then on entries name the
//! file by that. The place is the descriptor's until it leaves our hands: no op names it by then, as each holds a
//! [`SharedFd`] (I3). It means something to one driver only, that to which the descriptor is bound.

use std::os::fd::AsFd as _;
use std::ptr;

use crate::driver::Driver;
use crate::fd::{Descriptor, SharedFd};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has been read so often.
    Counting(u8),
    /// In the table of the driver that it is bound to.
    At(u16),
    /// It gets none.
    Never,
}

impl SharedFd {
    /// The place by which an entry for that driver may name the file instead of its descriptor. To be asked for each entry.
    #[inline]
    pub(crate) fn place(&self, driver: &Driver) -> Option<u16> {
        match self.descriptor().place.get() {
            Place::At(place) => self.is_bound_to(driver).then_some(place),
            Place::Never => None,
            Place::Counting(reads @ ..OFTEN) => {
                self.descriptor().place.set(Place::Counting(reads + 1));
                None
            }
            Place::Counting(_) => self.take_place(driver),
        }
    }

    #[inline]
    fn is_bound_to(&self, driver: &Driver) -> bool {
        self.bound_driver().is_some_and(|bound| ptr::eq(&raw const **bound, driver))
    }

    #[cold]
    fn take_place(&self, driver: &Driver) -> Option<u16> {
        // Whose place it is has to be known where it is given back.
        let _ = self.try_driver();
        let place = if self.is_bound_to(driver) { driver.register_file(self.as_fd()) } else { None };
        self.descriptor().place.set(place.map_or(Place::Never, Place::At));
        place
    }
}

impl Descriptor {
    /// The descriptor is about to leave our hands: the table must not keep the file open.
    pub(super) fn leave_place(&self) {
        if let (Place::At(place), Some(driver)) = (self.place.replace(Place::Never), self.driver.get()) {
            driver.unregister_file(place);
        }
    }
}

/// So many reads by the ring are often: what it costs to enter a file and to take it out again is won by as many more.
const OFTEN: u8 = 192;
