//! The kinds of channels: with a bound or without, for threads or for one thread.

use std::fmt;
use std::marker::PhantomData;

use crate::flavor::{Flavor, Threads};

/// What the halves of a channel have in their types. [`Bounded`] or [`Unbounded`].
pub trait Kind: 'static {
    /// Whether threads share the channel.
    type Flavor: Flavor;
    /// How the receiver prints.
    const RECEIVER: &str;
    /// How a sender prints.
    const SENDER: &str;
    /// How a weak sender prints.
    const WEAK_SENDER: &str;
}

/// With a bound, which in a rendezvous is none: sending may have to wait.
pub struct Bounded<F = Threads>(PhantomData<F>);

/// Without a bound: sending never waits.
pub struct Unbounded<F = Threads>(PhantomData<F>);

impl<F: Flavor> Kind for Bounded<F> {
    type Flavor = F;
    const RECEIVER: &str = "Receiver";
    const SENDER: &str = "Sender";
    const WEAK_SENDER: &str = "WeakSender";
}

impl<F: Flavor> Kind for Unbounded<F> {
    type Flavor = F;
    const RECEIVER: &str = "UnboundedReceiver";
    const SENDER: &str = "UnboundedSender";
    const WEAK_SENDER: &str = "WeakUnboundedSender";
}

impl<F> fmt::Debug for Bounded<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bounded")
    }
}

impl<F> fmt::Debug for Unbounded<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unbounded")
    }
}
