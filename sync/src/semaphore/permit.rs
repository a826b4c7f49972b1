//! Permits of a semaphore, held until they are dropped.

use std::sync::Arc;

use super::Semaphore;

/// Makes the type of permits that keep their semaphore in this or that way.
macro_rules! permit {
    (
        $(#[$doc:meta])*
        [$($life:lifetime)?] $name:ident $(<$lifetime:lifetime>)?, $keeper:ty, $seen:ty, |$permit:ident| $semaphore:expr
    ) => {
        $(#[$doc])*
        #[must_use = "the permits go back when this is dropped"]
        #[derive(Debug)]
        pub struct $name $(<$lifetime>)? {
            semaphore: $keeper,
            /// How many; zero when they have gone elsewhere.
            count: usize,
        }

        impl $(<$life>)? $name $(<$lifetime>)? {
            pub(super) fn new(semaphore: $keeper, count: usize) -> Self {
                Self { semaphore, count }
            }

            /// Keeps the permits from the semaphore for good.
            pub fn forget(mut self) {
                self.count = 0;
            }

            /// Adds the permits of another of the same semaphore.
            ///
            /// # Panics
            ///
            /// If it is of another semaphore.
            #[track_caller]
            pub fn merge(&mut self, mut other: Self) {
                assert!(std::ptr::eq(&*self.semaphore, &*other.semaphore), "merged permits are of one semaphore");
                self.count += std::mem::take(&mut other.count);
            }

            /// Splits `n` permits off, or returns `None` and changes nothing if there are fewer.
            #[must_use = "the permits go back when what is returned is dropped"]
            pub fn split(&mut self, n: usize) -> Option<Self> {
                self.count = self.count.checked_sub(n)?;
                Some(Self::new(self.semaphore.clone(), n))
            }

            /// How many permits it holds.
            pub fn num_permits(&self) -> usize {
                self.count
            }

            /// Whose permits they are.
            pub fn semaphore(&self) -> $seen {
                let $permit = self;
                $semaphore
            }
        }

        impl $(<$life>)? Drop for $name $(<$lifetime>)? {
            fn drop(&mut self) {
                if self.count > 0 {
                    self.semaphore.add_permits(self.count);
                }
            }
        }
    };
}

pub(crate) use permit;

permit! {
    /// Permits of a [`Semaphore`] that is borrowed.
    ///
    /// Dropping it returns them.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = quoit_sync::Semaphore::new(3);
    /// let mut permit = semaphore.try_acquire_many(2).expect("two permits");
    /// permit.merge(semaphore.try_acquire().expect("the third"));
    /// assert!(permit.split(4).is_none());
    /// permit.split(1).expect("one of three").forget();
    /// assert_eq!((permit.num_permits(), semaphore.available_permits()), (2, 0));
    /// drop(permit);
    /// assert_eq!(semaphore.available_permits(), 2);
    /// ```
    ['a] SemaphorePermit<'a>, &'a Semaphore, &Semaphore, |permit| permit.semaphore
}

permit! {
    /// Permits of a [`Semaphore`] that they keep alive.
    ///
    /// Dropping it returns them.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(quoit_sync::Semaphore::new(2));
    /// let mut permit = semaphore.clone().try_acquire_many_owned(2).expect("two permits");
    /// let one = permit.split(1).expect("one of two");
    /// std::thread::spawn(move || drop(one)).join().expect("no panic");
    /// assert_eq!((permit.num_permits(), permit.semaphore().available_permits()), (1, 1));
    /// ```
    [] OwnedSemaphorePermit, Arc<Semaphore>, &Arc<Semaphore>, |permit| &permit.semaphore
}
