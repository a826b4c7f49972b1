//! The crate's only unsafe code: a value behind permits, which mutex and read-write lock have in common, and at the end of the file
//! memory with two owners, which is what a oneshot channel is.
//!
//! The permits decide who may touch the value: one of them lets read, all of them let write. A [`Claim`] is the only way to take
//! them, and returns them when it is dropped; [`Shared`] and [`Exclusive`] keep one and lend out the value, or the part of it that
//! they were mapped to.
//!
//! # Safety
//!
//! **Exclusion.** A cell's permits are private to this file, which takes them in `Claim` and returns in its `Drop` just what it
//! took. `Permits` never hands out more than it was made with (`permits.rs`: what is free and what is out add up to that, and
//! only what was taken is returned). So who holds all of them is alone, and who holds one is together with readers only. A
//! claim that is forgotten keeps its permits for good, which excludes more than it must.
//!
//! **Place.** A claim finds its permits through a [`Keeper`], whose contract is that they, and the cell around them, stay what and
//! where they are while the keeper lives. A guard's pointer leads to the value of that cell, or to a part that was borrowed from
//! it, and the guard lends it for no longer than it is borrowed itself, so not longer than the keeper and the claim live.
//!
//! **Threads.** A value behind a lock that only lends it exclusively is in one thread at a time: `Send` will do. One that is
//! shared is seen by several: `Sync` too. [`Cell::Access`] says which, and [`Shared`] is made for the latter only. A guard sends
//! and shares as the reference that it lends would. The flavor for one thread is neither `Send` nor `Sync`, by its permits.
//!
//! **Halves.** A block is made with two [`Half`]s and there never are more. Each reads it until it is dropped; the one that is
//! dropped first leaves a mark by an atomic exchange and never touches the block again, so the one that finds the mark is alone,
//! and sees all that the other did. A half that is forgotten leaves no mark, and the block is leaked.
//!
//! **Spares.** A room in the list of a thread's spares is in no other list, and nobody else has it: it was a box, leaked on its
//! way in, and becomes one again on its way out. It begins with a [`Spare`], written on its way in. The list is the thread's
//! alone, and no foreign code runs while it is changed.
#![allow(unsafe_code, reason = "lends `&mut T` from `&self`, as the lock allows it")]

use std::cell::{self, UnsafeCell};
use std::fmt;
use std::marker::PhantomData;
use std::mem::{self, MaybeUninit};
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::Arc;

use crate::flavor::{Flavor, OneThread, Threads, Word};
use crate::local;
use crate::mutex::Mutex;
use crate::permits::Permits;
use crate::rwlock::RwLock;

/// A value, and the permits to touch it.
pub(crate) struct Guarded<T: ?Sized, A, F: Flavor = Threads> {
    permits: Permits<F>,
    /// How many permits there are, at least one. Never changes.
    all: u32,
    access: PhantomData<A>,
    value: UnsafeCell<T>,
}

// SAFETY: who shares the lock gets `&mut T` in one thread at a time, see Threads and Exclusion above.
unsafe impl<T: ?Sized + Send> Sync for Guarded<T, OneAtATime, Threads> {}

// SAFETY: beside that it gets `&T` in several threads, see Threads and Exclusion above.
unsafe impl<T: ?Sized + Send + Sync> Sync for Guarded<T, ManyReaders, Threads> {}

/// The value is lent exclusively only.
pub(crate) struct OneAtATime;

/// The value is also shared.
pub(crate) struct ManyReaders;

impl<T, A> Guarded<T, A, Threads> {
    /// `all` is how many may read at once, at least one.
    #[cfg(not(loom))]
    pub(crate) const fn new(value: T, all: u32) -> Self {
        Self { permits: Permits::new(all as usize), all, access: PhantomData, value: UnsafeCell::new(value) }
    }

    #[cfg(loom)]
    pub(crate) fn new(value: T, all: u32) -> Self {
        Self { permits: Permits::new(all as usize), all, access: PhantomData, value: UnsafeCell::new(value) }
    }
}

impl<T, A> Guarded<T, A, OneThread> {
    /// The same for one thread.
    pub(crate) const fn alone(value: T, all: u32) -> Self {
        Self { permits: Permits::alone(all as usize), all, access: PhantomData, value: UnsafeCell::new(value) }
    }
}

impl<T, A, F: Flavor> Guarded<T, A, F> {
    pub(crate) fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized, A, F: Flavor> Guarded<T, A, F> {
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// A lock: it has a cell.
///
/// # Safety
///
/// `guarded` returns the same cell each time, a field of the lock, which nobody borrows but through `&` while the lock is shared.
pub(crate) unsafe trait Cell {
    /// What the cell holds.
    type Value: ?Sized;
    /// [`OneAtATime`] or [`ManyReaders`].
    type Access;
    type Flavor: Flavor;

    fn guarded(&self) -> &Guarded<Self::Value, Self::Access, Self::Flavor>;
}

/// Has the lock types' cells, which are all in a field of this name.
macro_rules! cell {
    ($lock:ty, $access:ty, $flavor:ty) => {
        // SAFETY: a field of the lock.
        unsafe impl<T: ?Sized> Cell for $lock {
            type Value = T;
            type Access = $access;
            type Flavor = $flavor;

            #[inline]
            fn guarded(&self) -> &Guarded<T, $access, $flavor> {
                &self.guarded
            }
        }
    };
}

cell!(Mutex<T>, OneAtATime, Threads);
cell!(RwLock<T>, ManyReaders, Threads);
cell!(local::Mutex<T>, OneAtATime, OneThread);
cell!(local::RwLock<T>, ManyReaders, OneThread);

/// Keeps a cell's permits, with the cell around them.
///
/// # Safety
///
/// `permits` returns the same permits each time, and they stay there with their cell, borrowed by nobody but through `&`, as long
/// as the keeper lives, also while the keeper is moved.
pub(crate) unsafe trait Keeper {
    type Flavor: Flavor;

    fn permits(&self) -> &Permits<Self::Flavor>;
}

// SAFETY: they are borrowed, for the life of the keeper, from a cell that is borrowed as long.
unsafe impl<F: Flavor> Keeper for &Permits<F> {
    type Flavor = F;

    #[inline]
    fn permits(&self) -> &Permits<F> {
        self
    }
}

/// Keeps a lock.
///
/// # Safety
///
/// It leads to the same lock each time, whose permits are the keeper's.
pub(crate) unsafe trait Handle: Keeper<Flavor = <Self::Lock as Cell>::Flavor> {
    type Lock: Cell + ?Sized;

    fn lock(&self) -> &Self::Lock;
}

/// What leads to a lock by its `Deref`: each is the same lock, which stays where it is while it is borrowed, or while an `Arc` or
/// an `Rc` keeps it alive; those lend `&mut` only if there is no other handle.
macro_rules! handle {
    ($handle:ty) => {
        // SAFETY: a part of the lock that stays, see above.
        unsafe impl<L: Cell + ?Sized> Keeper for $handle {
            type Flavor = L::Flavor;

            #[inline]
            fn permits(&self) -> &Permits<L::Flavor> {
                &self.guarded().permits
            }
        }

        // SAFETY: the lock that stays, see above, and whose permits are the keeper's.
        unsafe impl<L: Cell + ?Sized> Handle for $handle {
            type Lock = L;

            #[inline]
            fn lock(&self) -> &L {
                self
            }
        }
    };
}

handle!(&L);
handle!(Arc<L>);
handle!(Rc<L>);

/// Permits of a cell.
struct Claim<K: Keeper> {
    keeper: K,
    /// How many.
    count: u32,
}

impl<K: Keeper> Claim<K> {
    /// Waits for so many.
    async fn wait(keeper: K, count: u32) -> Self {
        let acquired = keeper.permits().acquire(count as usize).await;
        acquired.expect("nobody closes a lock");
        Self { keeper, count }
    }

    #[inline]
    fn take(keeper: K, count: u32) -> Option<Self> {
        keeper.permits().try_acquire(count as usize).ok()?;
        Some(Self { keeper, count })
    }
}

impl<K: Keeper> Claim<K> {
    /// Returns all but one.
    fn keep_one(&mut self) {
        let returned = mem::replace(&mut self.count, 1) - 1;
        self.keeper.permits().add(returned as usize);
    }
}

impl<'a, L: Cell + ?Sized> Claim<&'a L> {
    /// Keeps less in mind: the permits, not the type of what they guard.
    fn erase(mut self) -> Claim<&'a Permits<L::Flavor>> {
        let count = mem::take(&mut self.count);
        let lock = self.keeper;
        Claim { keeper: &lock.guarded().permits, count }
    }
}

impl<K: Keeper> Drop for Claim<K> {
    #[inline]
    fn drop(&mut self) {
        if self.count > 0 {
            self.keeper.permits().add(self.count as usize);
        }
    }
}

/// The right to read.
pub(crate) struct Shared<K: Keeper, U: ?Sized> {
    /// Leads into the cell that the claim is for.
    value: *const U,
    claim: Claim<K>,
}

// SAFETY: sends `&U`, and the claim, see Threads above.
unsafe impl<K: Keeper + Send, U: ?Sized + Sync> Send for Shared<K, U> {}

// SAFETY: as above.
unsafe impl<K: Keeper + Sync, U: ?Sized + Sync> Sync for Shared<K, U> {}

impl<H: Handle> Shared<H, <H::Lock as Cell>::Value>
where
    H::Lock: Cell<Access = ManyReaders>,
{
    pub(crate) async fn wait(handle: H) -> Self {
        Self::of(Claim::wait(handle, 1).await)
    }

    pub(crate) fn take(handle: H) -> Option<Self> {
        Claim::take(handle, 1).map(Self::of)
    }

    fn of(claim: Claim<H>) -> Self {
        Self { value: claim.keeper.lock().guarded().value.get(), claim }
    }
}

impl<K: Keeper, U: ?Sized> Shared<K, U> {
    pub(crate) fn handle(&self) -> &K {
        &self.claim.keeper
    }

    /// Lends a part only.
    pub(crate) fn map<V: ?Sized>(self, part: impl FnOnce(&U) -> &V) -> Shared<K, V> {
        let value: *const V = part(&self);
        Shared { value, claim: self.claim }
    }

    /// Lends a part only, if there is one.
    pub(crate) fn try_map<V: ?Sized>(self, part: impl FnOnce(&U) -> Option<&V>) -> Result<Shared<K, V>, Self> {
        match part(&self) {
            Some(value) => Ok(Shared { value, claim: self.claim }),
            None => Err(self),
        }
    }
}

impl<'a, L: Cell + ?Sized, U: ?Sized> Shared<&'a L, U> {
    /// Forgets the type of the whole, for guards that do not name it.
    pub(crate) fn erase(self) -> Shared<&'a Permits<L::Flavor>, U> {
        Shared { value: self.value, claim: self.claim.erase() }
    }
}

impl<K: Keeper, U: ?Sized> Deref for Shared<K, U> {
    type Target = U;

    #[inline]
    fn deref(&self) -> &U {
        // SAFETY: the claim has a permit, so nobody has all (Exclusion); the cell is there while it is borrowed (Place).
        unsafe { &*self.value }
    }
}

/// The right to write.
pub(crate) struct Exclusive<K: Keeper, U: ?Sized> {
    /// Leads into the cell that the claim is for.
    value: *mut U,
    claim: Claim<K>,
}

// SAFETY: sends `&mut U`, and the claim, see Threads above.
unsafe impl<K: Keeper + Send, U: ?Sized + Send> Send for Exclusive<K, U> {}

// SAFETY: shares `&U`, and the claim, see Threads above.
unsafe impl<K: Keeper + Sync, U: ?Sized + Sync> Sync for Exclusive<K, U> {}

impl<H: Handle> Exclusive<H, <H::Lock as Cell>::Value> {
    pub(crate) async fn wait(handle: H) -> Self {
        let all = handle.lock().guarded().all;
        Self::of(Claim::wait(handle, all).await)
    }

    #[inline]
    pub(crate) fn take(handle: H) -> Option<Self> {
        let all = handle.lock().guarded().all;
        Claim::take(handle, all).map(Self::of)
    }

    fn of(claim: Claim<H>) -> Self {
        Self { value: claim.keeper.lock().guarded().value.get(), claim }
    }

    /// Keeps the right to read, and nobody writes between.
    pub(crate) fn downgrade(mut self) -> Shared<H, <H::Lock as Cell>::Value>
    where
        H::Lock: Cell<Access = ManyReaders>,
    {
        self.claim.keep_one();
        Shared { value: self.value, claim: self.claim }
    }

    /// Keeps the right to read a part, if there is one.
    pub(crate) fn try_downgrade_map<V: ?Sized>(
        mut self,
        part: impl FnOnce(&<H::Lock as Cell>::Value) -> Option<&V>,
    ) -> Result<Shared<H, V>, Self>
    where
        H::Lock: Cell<Access = ManyReaders>,
    {
        match part(&self).map(|value| value as *const V) {
            Some(value) => {
                self.claim.keep_one();
                Ok(Shared { value, claim: self.claim })
            }
            None => Err(self),
        }
    }
}

impl<K: Keeper, U: ?Sized> Exclusive<K, U> {
    pub(crate) fn handle(&self) -> &K {
        &self.claim.keeper
    }

    /// Lends a part only.
    pub(crate) fn map<V: ?Sized>(mut self, part: impl FnOnce(&mut U) -> &mut V) -> Exclusive<K, V> {
        let value: *mut V = part(&mut self);
        Exclusive { value, claim: self.claim }
    }

    /// Lends a part only, if there is one.
    pub(crate) fn try_map<V: ?Sized>(
        mut self,
        part: impl FnOnce(&mut U) -> Option<&mut V>,
    ) -> Result<Exclusive<K, V>, Self> {
        match part(&mut self).map(|value| value as *mut V) {
            Some(value) => Ok(Exclusive { value, claim: self.claim }),
            None => Err(self),
        }
    }
}

impl<'a, L: Cell + ?Sized, U: ?Sized> Exclusive<&'a L, U> {
    /// Forgets the type of the whole, for guards that do not name it.
    pub(crate) fn erase(self) -> Exclusive<&'a Permits<L::Flavor>, U> {
        Exclusive { value: self.value, claim: self.claim.erase() }
    }
}

impl<K: Keeper, U: ?Sized> Deref for Exclusive<K, U> {
    type Target = U;

    #[inline]
    fn deref(&self) -> &U {
        // SAFETY: the claim has all permits, and `&mut` of the value only with `&mut self` (Exclusion); the cell is there while
        // it is borrowed (Place).
        unsafe { &*self.value }
    }
}

impl<K: Keeper, U: ?Sized> DerefMut for Exclusive<K, U> {
    #[inline]
    fn deref_mut(&mut self) -> &mut U {
        // SAFETY: the claim has all permits, and this is its only borrow (Exclusion); the cell is there while it is borrowed
        // (Place).
        unsafe { &mut *self.value }
    }
}

impl<K: Keeper, U: ?Sized + fmt::Debug> fmt::Debug for Shared<K, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<K: Keeper, U: ?Sized + fmt::Debug> fmt::Debug for Exclusive<K, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// One of the two owners of a value. Who goes last drops it.
pub(crate) struct Half<T, F: Flavor> {
    block: NonNull<Block<T, F>>,
    owns: PhantomData<Block<T, F>>,
}

struct Block<T, F: Flavor> {
    /// Set by the half that goes first.
    mark: F::Word,
    value: T,
}

// SAFETY: reads the value from any thread, and drops it in any, see Halves above.
unsafe impl<T: Send + Sync> Send for Half<T, Threads> {}

// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Half<T, Threads> {}

/// The value never moves with it.
impl<T, F: Flavor> Unpin for Half<T, F> {}

impl<T, F: Flavor> Half<T, F> {
    /// Whether its memory comes from what the thread has left over.
    const FITS: bool = size_of::<Block<T, F>>() <= size_of::<Room>() && align_of::<Block<T, F>>() <= align_of::<Room>();

    /// Gives a value to two owners. It is made in its place: one that is moved there costs more than the rest.
    #[inline]
    pub(crate) fn pair(make: impl FnOnce() -> T) -> (Self, Self) {
        let block = if Self::FITS {
            let room = NonNull::from(Box::leak(Room::take())).cast::<Block<T, F>>();
            // SAFETY: the room is ours, and the block fits in.
            unsafe { room.write(Block { mark: F::Word::new(0), value: make() }) };
            room
        } else {
            NonNull::from(Box::leak(Box::new(Block { mark: F::Word::new(0), value: make() })))
        };
        (Self { block, owns: PhantomData }, Self { block, owns: PhantomData })
    }

    #[inline]
    fn block(&self) -> &Block<T, F> {
        // SAFETY: this half is not dropped, so the block is there (Halves).
        unsafe { self.block.as_ref() }
    }
}

impl<T, F: Flavor> Deref for Half<T, F> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.block().value
    }
}

impl<T, F: Flavor> Drop for Half<T, F> {
    #[inline]
    fn drop(&mut self) {
        if self.block().mark.replace(0, 1) {
            return;
        }
        let block = self.block.as_ptr();
        if Self::FITS {
            // SAFETY: the other half is gone, so this one is alone (Halves).
            unsafe { ptr::drop_in_place(block) };
            // SAFETY: `pair` has leaked this box.
            Room::put(unsafe { Box::from_raw(block.cast::<MaybeUninit<Room>>()) });
        } else {
            // SAFETY: likewise alone, and `pair` has leaked this box.
            drop(unsafe { Box::from_raw(block) });
        }
    }
}

/// Memory for a block of moderate size. A few are left over for the next, each with the thread that freed it: a channel for one
/// message is mostly made soon after another has gone, and the way to the allocator and back takes longer than its message.
#[repr(align(16))]
struct Room {
    _bytes: [u8; 128],
}

impl Room {
    #[inline]
    fn take() -> Box<MaybeUninit<Self>> {
        let spare = SPARE.try_with(|spares| {
            let room = spares.first.get()?;
            // SAFETY: `keep` has written it (Spares).
            spares.first.set(unsafe { room.cast::<Spare>().as_ref() }.next);
            Some(room)
        });
        match spare {
            // SAFETY: it came from a box that was leaked, and is in the list no more (Spares).
            Ok(Some(room)) => unsafe { Box::from_raw(room.as_ptr()) },
            _ => Box::new_uninit(),
        }
    }

    #[inline]
    fn put(room: Box<MaybeUninit<Self>>) {
        let room = NonNull::from(Box::leak(room));
        let kept = KEEPS && SPARE.try_with(|spares| spares.keep(room)).is_ok_and(|kept| kept);
        if !kept {
            // SAFETY: leaked above, and not kept.
            drop(unsafe { Box::from_raw(room.as_ptr()) });
        }
    }
}

/// The rooms that a thread has left over: a list through themselves.
struct Spares {
    first: cell::Cell<Option<NonNull<MaybeUninit<Room>>>>,
}

/// What a room that is left over begins with.
struct Spare {
    next: Option<NonNull<MaybeUninit<Room>>>,
    /// How many there are from here on.
    count: usize,
}

const _: () = assert!(size_of::<Spare>() <= size_of::<Room>() && align_of::<Spare>() <= align_of::<Room>());

impl Spares {
    /// Puts it before the others, unless there are enough.
    #[inline]
    fn keep(&self, room: NonNull<MaybeUninit<Room>>) -> bool {
        let next = self.first.get();
        // SAFETY: `keep` has written it (Spares).
        let behind = next.map_or(0, |next| unsafe { next.cast::<Spare>().as_ref() }.count);
        if behind == SPARES {
            return false;
        }
        // SAFETY: the room is ours, and a `Spare` fits in, see below.
        unsafe { room.cast::<Spare>().write(Spare { next, count: behind + 1 }) };
        self.first.set(Some(room));
        true
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        while let Some(room) = self.first.take() {
            // SAFETY: `keep` has written it (Spares).
            self.first.set(unsafe { room.cast::<Spare>().as_ref() }.next);
            // SAFETY: it came from a box that was leaked, and is in the list no more (Spares).
            drop(unsafe { Box::from_raw(room.as_ptr()) });
        }
    }
}

thread_local! {
    static SPARE: Spares = const { Spares { first: cell::Cell::new(None) } };
}

/// How many rooms a thread keeps.
const SPARES: usize = 64;

/// Not in debug builds, in which the tests' allocator and the sanitizers are to see every free.
const KEEPS: bool = !cfg!(debug_assertions);
