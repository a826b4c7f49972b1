//! What all datagram sockets share: a queue of received datagrams, and an order among those to be sent.

mod loans;
mod methods;
mod receiving;

use std::cell::Cell;
use std::io;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use quoit_runtime::buf::{BufResult, IoBuf, IoBufMut, RecvBuf, fill, spare};
use quoit_runtime::cancel_scope::stoppable;
use quoit_runtime::fd::SharedFd;
use quoit_runtime::op::{
    self, Behind, Connect, InFlight, Lane, Message, MessageSink, PollOnce, Rearm, RecvEnd, SendMsg, Traffic,
    send_datagram_now, submit_to,
};
use quoit_runtime::socket::{Address, RawAddress};
use quoit_runtime::task::poll_budget;

use crate::datagram::receiving::{Receiving, Taken, Want};
use crate::waiters::{Place, Waiters};

pub(crate) use crate::datagram::loans::Loans;
pub(crate) use crate::datagram::methods::{datagram_handle, datagram_methods};

/// A datagram socket, and what it shares with its operations.
#[derive(Debug)]
pub(crate) struct Datagrams {
    fd: SharedFd,
    traffic: Traffic,
    receiving: Receiving,
    /// The order of what is sent.
    sending: Lane,
    /// Short datagrams answer before they are out.
    write_behind: Cell<bool>,
    /// Those that do.
    behind: Rc<Behind>,
}

/// What was received beside the bytes.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// How many bytes are in the buffer.
    pub(crate) len: usize,
    pub(crate) address: Address,
    /// Whether bytes of it were cut off.
    pub(crate) truncated: bool,
    pub(crate) segment_bytes: Option<u16>,
}

/// How much one receive takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Portion {
    /// One datagram.
    One,
    /// One datagram, which stays in the queue.
    Peek,
    /// What the kernel has put together of one sender's datagrams, as far as whole ones fit.
    Several,
}

impl MessageSink for Datagrams {
    fn received(&self, message: Message) {
        self.receiving.received(message);
    }

    fn ended(self: Rc<Self>, end: RecvEnd) -> Rearm {
        Receiving::ended(&self, end)
    }

    fn waiters(&self) -> Option<&Waiters> {
        Some(self.receiving.waiters())
    }
}

impl Datagrams {
    pub(crate) fn new(fd: SharedFd, traffic: Traffic) -> Rc<Self> {
        let (receiving, sending) = (Receiving::default(), Lane::new());
        Rc::new(Self { fd, traffic, receiving, sending, write_behind: Cell::new(false), behind: Rc::default() })
    }

    pub(crate) fn fd(&self) -> &SharedFd {
        &self.fd
    }

    /// A place for a future that is to wait for datagrams.
    pub(crate) fn place(&self) -> Place<'_> {
        self.receiving.place()
    }

    /// Whether the kernel puts several datagrams together, which takes larger buffers than the pool's.
    pub(crate) fn set_coalesces(&self, coalesces: bool) {
        self.receiving.set_coalesces(coalesces);
    }

    /// Receives into a buffer.
    pub(crate) async fn receive<B: IoBufMut>(self: &Rc<Self>, mut buf: B, portion: Portion) -> BufResult<Received, B> {
        let room = spare(&buf);
        if room == 0 {
            return (Err(no_room()), buf);
        }
        let place = self.place();
        let result = stoppable(|cx| {
            let taken = ready!(Receiving::poll_next(self, cx, &place, Want::Room(room)));
            Poll::Ready(taken.map(|taken| match taken {
                Some(mut taken) => copy(taken.message(), &mut buf, portion, room),
                None => Received::default(),
            }))
        });
        (result.await, buf)
    }

    /// The next datagram, in the buffer that it lies in; `None` when receiving was shut down.
    pub(crate) fn poll_loan(
        self: &Rc<Self>,
        cx: &mut Context<'_>,
        place: &Place<'_>,
    ) -> Poll<io::Result<Option<(RecvBuf, Address)>>> {
        let taken = ready!(Receiving::poll_next(self, cx, place, Want::Loans));
        let loan = |mut taken: Taken<'_>| {
            let message = taken.message();
            if let Some(whole) = message
                && let Some(size) = whole.segment_bytes.map(usize::from)
                && whole.bytes.len() > size
            {
                return (whole.bytes.split_to(size), whole.address.clone());
            }
            let whole = message.take().expect("a message that was taken is there");
            (whole.bytes, whole.address)
        };
        Poll::Ready(taken.map(|taken| taken.map(loan)))
    }

    /// Somebody wants datagrams by the stream: from now on a multishot receive may feed the queue.
    pub(crate) fn begin_loans(&self) {
        self.receiving.begin_loans();
    }

    /// One such stream is gone.
    pub(crate) fn end_loans(&self) {
        self.receiving.end_loans();
    }

    /// Sends a datagram behind those that are being sent.
    pub(crate) async fn send<B: IoBuf>(&self, buf: B, address: Option<impl Into<RawAddress>>) -> BufResult<usize, B> {
        // As the kernel reads it, it is long: made only now, and in its place.
        let address = address.map(Into::into);
        if let Some(result) = self.send_now(buf.as_bytes(), address.as_ref()) {
            return (result, buf);
        }
        let op = SendMsg::new(self.fd.clone(), buf, address);
        submit_to(self.fd.driver(), Some(&self.sending), op).await
    }

    /// Sends a datagram without waiting, where that is possible.
    fn send_now(&self, bytes: &[u8], address: Option<&RawAddress>) -> Option<io::Result<usize>> {
        if self.write_behind.get()
            && let Some(result) = self.behind.send(&self.fd, &self.sending, bytes, address)
        {
            return Some(result);
        }
        // It must not overtake those that leave at the end of the turn; an operation does not.
        if self.behind.is_busy() {
            return None;
        }
        if let Some(error) = self.behind.take_error() {
            return Some(Err(error));
        }
        send_datagram_now(&self.fd, &self.sending, bytes, address)
    }

    pub(crate) fn set_write_behind(&self, on: bool) {
        self.write_behind.set(on);
    }

    pub(crate) fn write_behind(&self) -> bool {
        self.write_behind.get()
    }

    /// Connects, behind the datagrams that are being sent.
    pub(crate) async fn connect(&self, address: RawAddress) -> io::Result<()> {
        let op = Connect::new(self.fd.clone(), address);
        submit_to(self.fd.driver(), Some(&self.sending), op).await
    }

    /// Shuts down a direction, or both; sending behind what is being sent.
    pub(crate) async fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Write {
            self.receiving.shut();
        }
        let op = op::Shutdown::new(self.fd.clone(), how);
        let lane = (how != Shutdown::Read).then_some(&self.sending);
        submit_to(self.fd.driver(), lane, op).await
    }

    /// Waits until there is a datagram or an error to be received.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        let place = self.place();
        let mut polling: Option<InFlight<PollOnce>> = None;
        stoppable(|cx| {
            ready!(poll_budget(cx));
            if self.receiving.has_something() {
                return Poll::Ready(Ok(()));
            }
            self.fd.driver().assert_running("readable");
            // A receive that is in flight brings it into the queue.
            place.wait(cx);
            if self.receiving.is_armed() {
                return Poll::Pending;
            }
            let poll =
                polling.get_or_insert_with(|| submit_to(self.fd.driver(), None, PollOnce::readable(self.fd.clone())));
            let ready = ready!(Pin::new(poll).poll(cx));
            polling = None;
            Poll::Ready(ready.map(drop))
        })
        .await
    }

    /// Waits until the kernel has room for a datagram.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        submit_to(self.fd.driver(), None, PollOnce::writable(self.fd.clone())).await.map(drop)
    }

    /// Ends what is in flight, as far as it takes no waiting. Whether nothing is left, neither an operation nor a datagram that
    /// nobody has taken.
    pub(crate) fn quiesce(&self) -> bool {
        // Datagrams that were sent behind in this turn are on their way first.
        if let (false, Some(driver)) = (self.sending.is_finished(), self.fd.bound_driver()) {
            driver.hurry();
        }
        self.sending.is_finished() && self.receiving.quiesce(&self.fd)
    }

    /// The handle of the socket is gone: nothing is received any more, and what is being sent goes out.
    pub(crate) fn abandon(&self) {
        self.receiving.close();
        if let Some(driver) = self.fd.bound_driver() {
            driver.finish_later(&self.sending);
        }
    }

    /// The handle of the socket is about to go: waits until what is being sent has gone out.
    pub(crate) async fn finish(&self) -> io::Result<()> {
        self.receiving.close();
        match self.fd.bound_driver() {
            Some(driver) => driver.finish(&self.sending).await,
            None => Ok(()),
        }
    }
}

/// Copies a message, or the datagram that it begins with, and takes it off if it is not to stay.
fn copy<B: IoBufMut>(message: &mut Option<Message>, buf: &mut B, portion: Portion, room: usize) -> Received {
    let whole = message.as_mut().expect("a message that was taken is there");
    let segment_bytes = whole.segment_bytes;
    let datagram = segment_bytes.map_or(usize::MAX, usize::from);
    // As many as fit whole, or the first one cut.
    let wanted = if portion == Portion::Several { (room / datagram).max(1).saturating_mul(datagram) } else { datagram };
    let wanted = wanted.min(whole.bytes.len());
    let is_rest = wanted == whole.bytes.len();
    let received = Received {
        len: fill(buf, &whole.bytes[..wanted]),
        address: whole.address.clone(),
        truncated: wanted > room || (is_rest && whole.bytes.is_truncated()),
        segment_bytes: segment_bytes.filter(|size| wanted > usize::from(*size)),
    };
    match portion {
        Portion::Peek => {}
        _ if is_rest => *message = None,
        _ => whole.bytes.advance(wanted),
    }
    received
}

/// The descriptor of a socket whose handle is given up: `release` drops that.
///
/// # Errors
///
/// `ResourceBusy` where operations are under way, or something has arrived that nobody has taken.
pub(crate) fn give_up(core: Rc<Datagrams>, release: impl FnOnce()) -> io::Result<OwnedFd> {
    let (is_idle, fd) = (core.quiesce(), core.fd().clone());
    release();
    drop(core);
    let text = "operations are under way, or something has arrived that nobody has taken";
    let busy = || io::Error::new(io::ErrorKind::ResourceBusy, text);
    if is_idle { fd.try_unwrap().map_err(|_| busy()) } else { Err(busy()) }
}

/// The count of bytes, where all of a datagram is there.
pub(crate) fn whole(received: &Received) -> io::Result<usize> {
    if received.truncated { Err(io::Error::from_raw_os_error(EMSGSIZE)) } else { Ok(received.len) }
}

fn no_room() -> io::Error {
    let text = "the buffer has no room for a datagram: give a Vec a capacity beyond its length";
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

const EMSGSIZE: i32 = 90;
