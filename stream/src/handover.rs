//! Where a value goes over from the body of a generator to whoever polls it, and back. No futures here.
//!
//! ```text
//!              offer                   take                    resume
//!   Running ----------> Offered(value) ------> Suspended ----------------> Resumed(input)
//!      ^ ^                    | withdraw           |                          |
//!      | +--------------------+                    | leave                    | receive, or leave
//!      +-------------------------------------------+--------------------------+
//! ```
//!
//! A generator begins *suspended*, as if its body had just yielded nothing. *Withdraw* and *leave* are for a yield that is
//! dropped before it has ended: its value, if nobody has taken it, is dropped with it, and so is its input.

use std::cell::{Cell, RefCell};
use std::mem;
use std::task::Waker;

pub(crate) struct Handover<Y, In> {
    state: RefCell<State<Y, In>>,
    /// How often the body has offered something: tells the yields apart.
    offers: Cell<u64>,
    /// Whom the yield wants to be woken when it may go on.
    waker: Cell<Option<Waker>>,
}

enum State<Y, In> {
    /// The body has the word, and has nothing to say.
    Running,
    /// The body has yielded a value, which nobody has taken yet.
    Offered(Y),
    /// The value was taken, and the body waits for the input.
    Suspended,
    /// The input is there.
    Resumed(In),
}

impl<Y, In> Handover<Y, In> {
    pub(crate) fn new() -> Self {
        Self { state: RefCell::new(State::Suspended), offers: Cell::new(0), waker: Cell::new(None) }
    }

    /// The body yields a value. Which offer it is; gives the value back where another yield is under way.
    pub(crate) fn offer(&self, value: Y) -> Result<u64, Y> {
        let mut state = self.state.borrow_mut();
        if !matches!(*state, State::Running) {
            return Err(value);
        }
        *state = State::Offered(value);
        self.offers.set(self.offers.get() + 1);
        Ok(self.offers.get())
    }

    /// Takes the value that the body has yielded.
    pub(crate) fn take(&self) -> Option<Y> {
        let mut state = self.state.borrow_mut();
        match mem::replace(&mut *state, State::Suspended) {
            State::Offered(value) => Some(value),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Lets the body go on from its yield; gives the input back where the body does not wait for any.
    pub(crate) fn resume(&self, input: In) -> Result<Option<Waker>, In> {
        let mut state = self.state.borrow_mut();
        if !matches!(*state, State::Suspended) {
            return Err(input);
        }
        *state = State::Resumed(input);
        drop(state);
        Ok(self.waker.take())
    }

    /// The input for the yield of this offer, or for the first one (0), if it is there.
    pub(crate) fn receive(&self, offer: u64) -> Option<In> {
        let mut state = self.state.borrow_mut();
        if offer != self.offers.get() {
            return None;
        }
        match mem::replace(&mut *state, State::Running) {
            State::Resumed(input) => Some(input),
            other => {
                *state = other;
                None
            }
        }
    }

    /// The yield waits for its input. Who waited before; to be dropped by the caller.
    pub(crate) fn wait(&self, waker: Waker) -> Option<Waker> {
        self.waker.replace(Some(waker))
    }

    /// The yield of this offer is dropped before it has ended: what it had offered, or was to get, goes with it. To be
    /// dropped by the caller.
    pub(crate) fn abandon(&self, offer: u64) -> impl Sized + use<Y, In> {
        let is_current = offer == self.offers.get();
        let state = is_current.then(|| self.state.replace(State::Running));
        (state, is_current.then(|| self.waker.take()))
    }
}
