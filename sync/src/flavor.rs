//! The two flavours of everything: for threads, and for one thread.
//!
//! A channel or a lock is a state, its transitions, and something to reach the state through: a mutex where threads share it, a
//! borrow flag where it stays on one thread. [`Flavor`] says which, so that the transitions are written, and tested, once.

use std::cell::{Cell, RefCell, RefMut};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use crate::local;
use crate::oneshot;
use crate::oneshot::state::Channel;
use crate::shim::{Arc, AtomicUsize, Lock, MutexGuard, Ordering};

/// How the halves and the waiters of a thing share its state. [`Threads`] or [`OneThread`].
pub trait Flavor: Sized + 'static {
    /// What guards a state.
    type Lock<S>: Latch<S>;
    /// What keeps something alive for several owners.
    type Shared<S>: Clone + Deref<Target = S> + Unpin;
    /// A number that is read and changed without the lock.
    type Word: Word;
    /// A channel for one message.
    type Channel<T>: Channel<T>;

    /// Gives something to several owners.
    fn share<S>(value: S) -> Self::Shared<S>;
}

/// Guards a state. Nothing of the user's runs while the guard lives, so locking never meets itself.
pub trait Latch<S> {
    /// Unlocks when it is dropped.
    type Guard<'a>: DerefMut<Target = S>
    where
        Self: 'a;

    /// Around this state.
    fn around(state: S) -> Self;

    /// Locks.
    fn lock(&self) -> Self::Guard<'_>;
}

/// A number that is read and changed without a lock. Where threads share it, each access is in one order with all others.
pub trait Word {
    /// Of this value.
    fn new(value: usize) -> Self;

    /// Reads it.
    fn load(&self) -> usize;

    /// Writes it.
    fn store(&self, value: usize);

    /// Writes it where nobody else may change it meanwhile. It costs no exchange, and is not in that order: who reads it sees what
    /// was done before, but it may be read late.
    fn settle(&self, value: usize);

    /// Writes `new` if it is `expected`, and returns whether it was.
    fn replace(&self, expected: usize, new: usize) -> bool;
}

/// For any thread and any executor.
#[derive(Debug)]
pub struct Threads;

impl Flavor for Threads {
    type Lock<S> = Lock<S>;
    type Shared<S> = Arc<S>;
    type Word = AtomicUsize;
    type Channel<T> = Lock<oneshot::state::State<T>>;

    fn share<S>(value: S) -> Arc<S> {
        Arc::new(value)
    }
}

impl<S> Latch<S> for Lock<S> {
    type Guard<'a>
        = MutexGuard<'a, S>
    where
        Self: 'a;

    #[inline]
    fn around(state: S) -> Self {
        Self::new(state)
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, S> {
        self.lock()
    }
}

impl Word for AtomicUsize {
    #[inline]
    fn new(value: usize) -> Self {
        Self::new(value)
    }

    #[inline]
    fn load(&self) -> usize {
        self.load(Ordering::SeqCst)
    }

    #[inline]
    fn store(&self, value: usize) {
        self.store(value, Ordering::SeqCst);
    }

    #[inline]
    fn settle(&self, value: usize) {
        self.store(value, Ordering::Release);
    }

    #[inline]
    fn replace(&self, expected: usize, new: usize) -> bool {
        self.compare_exchange(expected, new, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

/// For one thread, without atomics: neither `Send` nor `Sync`.
#[derive(Debug)]
pub struct OneThread;

impl Flavor for OneThread {
    type Lock<S> = Solo<S>;
    type Shared<S> = Rc<S>;
    type Word = SoloWord;
    type Channel<T> = local::oneshot::state::State<T>;

    fn share<S>(value: S) -> Rc<S> {
        Rc::new(value)
    }
}

/// A state that stays on its thread.
pub struct Solo<S> {
    state: RefCell<S>,
    /// Not `Send` even where the state is: what one thread made it keeps, as with the halves of a channel.
    stays: PhantomData<Rc<()>>,
}

impl<S> Solo<S> {
    #[inline]
    pub(crate) const fn new(state: S) -> Self {
        Self { state: RefCell::new(state), stays: PhantomData }
    }
}

impl<S> Latch<S> for Solo<S> {
    type Guard<'a>
        = RefMut<'a, S>
    where
        Self: 'a;

    #[inline]
    fn around(state: S) -> Self {
        Self::new(state)
    }

    #[inline]
    fn lock(&self) -> RefMut<'_, S> {
        self.state.borrow_mut()
    }
}

/// No code but ours runs while it is borrowed, and each of our transitions is done when that ends: a panic leaves it whole.
impl<S> UnwindSafe for Solo<S> {}
impl<S> RefUnwindSafe for Solo<S> {}

impl<S> fmt::Debug for Solo<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Solo").finish_non_exhaustive()
    }
}

/// A number that stays on its thread.
#[derive(Debug)]
pub struct SoloWord(Cell<usize>);

impl SoloWord {
    pub(crate) const fn new(value: usize) -> Self {
        Self(Cell::new(value))
    }
}

impl Word for SoloWord {
    #[inline]
    fn new(value: usize) -> Self {
        Self::new(value)
    }

    #[inline]
    fn load(&self) -> usize {
        self.0.get()
    }

    #[inline]
    fn store(&self, value: usize) {
        self.0.set(value);
    }

    #[inline]
    fn settle(&self, value: usize) {
        self.0.set(value);
    }

    #[inline]
    fn replace(&self, expected: usize, new: usize) -> bool {
        let found = self.0.get() == expected;
        if found {
            self.0.set(new);
        }
        found
    }
}

impl RefUnwindSafe for SoloWord {}
