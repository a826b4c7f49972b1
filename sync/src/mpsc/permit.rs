//! Room in a channel, kept for one message.

use std::fmt;
use std::mem::ManuallyDrop;

use super::sender::Sender;

/// Room for one message, from [`Sender::reserve`]. Dropping it gives the room to the next sender.
///
/// One that is forgotten keeps its room for ever.
#[must_use = "it keeps room from the other senders"]
pub struct Permit<'a, T> {
    pub(super) sender: &'a Sender<T>,
}

impl<T> Permit<'_, T> {
    /// Sends the message. Never waits.
    ///
    /// It cannot fail: if the receiver is dropped, so is the message.
    pub fn send(self, value: T) {
        // The room is used up, not given back.
        let used = ManuallyDrop::new(self);
        used.sender.tx.send_reserved(value);
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        self.sender.tx.release();
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("sender", self.sender).finish()
    }
}

/// Room for one message with its sender, from [`Sender::reserve_owned`]. Dropping it gives the room to the next sender.
#[must_use = "it keeps room from the other senders"]
pub struct OwnedPermit<T> {
    /// None only while the permit ends.
    pub(super) sender: Option<Sender<T>>,
}

impl<T> OwnedPermit<T> {
    /// Sends the message and returns the sender. Never waits.
    ///
    /// It cannot fail: if the receiver is dropped, so is the message.
    pub fn send(mut self, value: T) -> Sender<T> {
        let sender = self.take();
        sender.tx.send_reserved(value);
        sender
    }

    /// Gives the room back and returns the sender.
    pub fn release(mut self) -> Sender<T> {
        let sender = self.take();
        sender.tx.release();
        sender
    }

    /// Whether both send into the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.sender().same_channel(other.sender())
    }

    /// Whether the sender sends into the same channel.
    pub fn same_channel_as_sender(&self, sender: &Sender<T>) -> bool {
        self.sender().same_channel(sender)
    }

    fn sender(&self) -> &Sender<T> {
        self.sender.as_ref().expect("only the end takes the sender")
    }

    fn take(&mut self) -> Sender<T> {
        self.sender.take().expect("only the end takes the sender")
    }
}

impl<T> Drop for OwnedPermit<T> {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.tx.release();
        }
    }
}

impl<T> fmt::Debug for OwnedPermit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").field("sender", &self.sender).finish()
    }
}
