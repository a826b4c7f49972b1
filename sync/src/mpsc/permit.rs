//! Room in a channel, kept for one message.

use std::fmt;
use std::iter::FusedIterator;
use std::mem::ManuallyDrop;

use crate::flavor::{Flavor, Threads};

use super::kind::Bounded;
use super::sender::Sender;

/// Room for one message, from [`Sender::reserve`]. Dropping it gives the room to the next sender.
///
/// One that is forgotten keeps its room for ever.
#[must_use = "it keeps room from the other senders"]
pub struct Permit<'a, T, F: Flavor = Threads> {
    pub(super) sender: &'a Sender<T, Bounded<F>>,
}

impl<T, F: Flavor> Permit<'_, T, F> {
    /// Sends the message. Never waits.
    ///
    /// It cannot fail: if the receiver is dropped, so is the message.
    pub fn send(self, value: T) {
        // The room is used up, not given back.
        let used = ManuallyDrop::new(self);
        used.sender.tx.send_reserved(value);
    }
}

impl<T, F: Flavor> Drop for Permit<'_, T, F> {
    fn drop(&mut self) {
        self.sender.tx.release(1);
    }
}

impl<T, F: Flavor> fmt::Debug for Permit<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("sender", self.sender).finish()
    }
}

/// Room for several messages, from [`Sender::reserve_many`]: an iterator of a [`Permit`] for each.
///
/// Dropping it gives the room for those that are left to the next sender.
#[must_use = "it keeps room from the other senders"]
pub struct PermitIterator<'a, T, F: Flavor = Threads> {
    sender: &'a Sender<T, Bounded<F>>,
    /// How many permits are left.
    count: usize,
}

impl<'a, T, F: Flavor> PermitIterator<'a, T, F> {
    /// Of so many permits, which the sender has.
    pub(super) fn new(sender: &'a Sender<T, Bounded<F>>, count: usize) -> Self {
        Self { sender, count }
    }
}

impl<'a, T, F: Flavor> Iterator for PermitIterator<'a, T, F> {
    type Item = Permit<'a, T, F>;

    fn next(&mut self) -> Option<Self::Item> {
        self.count = self.count.checked_sub(1)?;
        Some(Permit { sender: self.sender })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count, Some(self.count))
    }
}

impl<T, F: Flavor> ExactSizeIterator for PermitIterator<'_, T, F> {}

impl<T, F: Flavor> FusedIterator for PermitIterator<'_, T, F> {}

impl<T, F: Flavor> Drop for PermitIterator<'_, T, F> {
    fn drop(&mut self) {
        if self.count > 0 {
            self.sender.tx.release(self.count);
        }
    }
}

impl<T, F: Flavor> fmt::Debug for PermitIterator<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PermitIterator").field("sender", self.sender).field("count", &self.count).finish()
    }
}

/// Room for one message with its sender, from [`Sender::reserve_owned`]. Dropping it gives the room to the next sender.
#[must_use = "it keeps room from the other senders"]
pub struct OwnedPermit<T, F: Flavor = Threads> {
    /// None only while the permit ends.
    pub(super) sender: Option<Sender<T, Bounded<F>>>,
}

impl<T, F: Flavor> OwnedPermit<T, F> {
    /// Sends the message and returns the sender. Never waits.
    ///
    /// It cannot fail: if the receiver is dropped, so is the message.
    pub fn send(mut self, value: T) -> Sender<T, Bounded<F>> {
        let sender = self.take();
        sender.tx.send_reserved(value);
        sender
    }

    /// Gives the room back and returns the sender.
    pub fn release(mut self) -> Sender<T, Bounded<F>> {
        let sender = self.take();
        sender.tx.release(1);
        sender
    }

    /// Whether both send into the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.sender().same_channel(other.sender())
    }

    /// Whether the sender sends into the same channel.
    pub fn same_channel_as_sender(&self, sender: &Sender<T, Bounded<F>>) -> bool {
        self.sender().same_channel(sender)
    }

    fn sender(&self) -> &Sender<T, Bounded<F>> {
        self.sender.as_ref().expect("only the end takes the sender")
    }

    fn take(&mut self) -> Sender<T, Bounded<F>> {
        self.sender.take().expect("only the end takes the sender")
    }
}

impl<T, F: Flavor> Drop for OwnedPermit<T, F> {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.tx.release(1);
        }
    }
}

impl<T, F: Flavor> fmt::Debug for OwnedPermit<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").field("sender", &self.sender).finish()
    }
}
