//! Calls to the system that neither std nor the io-uring crate offers in the form we need: no policy, no state.

pub(crate) mod address;
pub(crate) mod affinity;
pub(crate) mod epoll;
pub(crate) mod event;
pub(crate) mod host;
pub(crate) mod mapping;
pub(crate) mod message;
pub(crate) mod option;
pub(crate) mod placeholder;
pub(crate) mod poll;
pub(crate) mod prefetch;
pub(crate) mod process;
pub(crate) mod signal;
pub(crate) mod sqe;
pub(crate) mod tcp;
pub(crate) mod uring;
