//! The place of a file that is read often in the ring's table of files.
//!
//! The descriptor counts its reads by the ring; at the 193rd the driver is asked for a place, and from then on entries name the
//! file by that. The place is the descriptor's until it leaves our hands: no op names it by then, as each holds a
//! [`SharedFd`] (I3). It means something to one driver only, that to which the descriptor is bound.

use std::os::fd::AsFd as _;
use std::ptr;

use crate::driver::Driver;
use crate::fd::{Descriptor, SharedFd};

/// What a descriptor knows of its place: how often it has been read, while that is not often yet; or the place, behind
/// [`OFTEN`]; or that it gets none. Two bytes, as there are many descriptors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u16);

impl Place {
    /// For what has not been read yet.
    pub(super) const UNREAD: Self = Self(0);
    /// It gets none.
    pub(super) const NEVER: Self = Self(u16::MAX);

    fn at(place: u16) -> Self {
        assert!(place < MOST_PLACES, "a driver has no more places than can be told here");
        Self(OFTEN + 1 + place)
    }

    fn place(self) -> Option<u16> {
        if self == Self::NEVER { None } else { self.0.checked_sub(OFTEN + 1) }
    }
}

impl SharedFd {
    /// The place by which an entry for that driver may name the file instead of its descriptor. To be asked for each entry.
    #[inline]
    pub(crate) fn place(&self, driver: &Driver) -> Option<u16> {
        let known = self.descriptor().place.get();
        match known.0 {
            ..OFTEN => {
                self.descriptor().place.set(Place(known.0 + 1));
                None
            }
            OFTEN => self.take_place(driver),
            _ => known.place().filter(|_| self.is_bound_to(driver)),
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
        self.descriptor().place.set(place.map_or(Place::NEVER, Place::at));
        place
    }
}

impl Descriptor {
    /// The descriptor is about to leave our hands: the table must not keep the file open.
    pub(super) fn leave_place(&self) {
        if let (Some(place), Some(driver)) = (self.place.replace(Place::NEVER).place(), self.driver.get()) {
            driver.unregister_file(place);
        }
    }
}

/// So many reads by the ring are often: what it costs to enter a file and to take it out again is won by as many more.
const OFTEN: u16 = 192;

/// More places can't be told in [`Place`].
pub(crate) const MOST_PLACES: u16 = u16::MAX - OFTEN - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_a_place_and_none_are_told_apart() {
        let told = |place: Place| (place.0 < OFTEN, place.place());
        assert_eq!(
            (told(Place::UNREAD), told(Place(OFTEN)), told(Place::NEVER)),
            ((true, None), (false, None), (false, None))
        );
        for place in [0, 1, MOST_PLACES - 1] {
            assert_eq!(told(Place::at(place)), (false, Some(place)));
        }
    }

    #[test]
    fn a_descriptor_is_no_larger_by_it() {
        assert!(size_of::<Descriptor>() <= 40);
    }
}
