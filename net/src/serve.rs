//! `serve`: an accept loop, a task for each connection, and a graceful end.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use quoit_runtime::cancel_scope::{CancelScope, GracefulScope, transferred};
use quoit_runtime::spawn;

use crate::accepting::is_shortage;
use crate::tcp::{TcpListener, TcpStream};
use crate::unix::{UnixListener, UnixStream};
use crate::waiters::Waiters;

/// A listener of streams: what [`serve`] takes. The trait is sealed.
pub trait Listener: sealed::Accept {}

impl<L: sealed::Accept> Listener for L {}

pub(crate) mod sealed {
    use std::future::Future;
    use std::io;

    pub trait Accept {
        /// What is accepted.
        type Stream;

        /// The next connection, without its address.
        fn next_stream(&self) -> impl Future<Output = io::Result<Self::Stream>>;

        /// Closes the listener.
        fn end(self) -> impl Future<Output = io::Result<()>>;
    }
}

impl sealed::Accept for UnixListener {
    type Stream = UnixStream;

    async fn next_stream(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _peer)| stream)
    }

    async fn end(self) -> io::Result<()> {
        self.close().await
    }
}

impl sealed::Accept for TcpListener {
    type Stream = TcpStream;

    async fn next_stream(&self) -> io::Result<TcpStream> {
        self.core().accept().await.map(TcpStream::from_fd)
    }

    async fn end(self) -> io::Result<()> {
        self.close().await
    }
}

/// Accepts connections and runs the handler for each, in a task of its own on this thread.
///
/// What a handler answers is dropped, and a panic of it ends its connection only. A shortage of descriptors or memory, and
/// connections that are gone before they are accepted, don't end the server: it waits until there is an end to them.
///
/// **It ends gracefully** when it is asked to stop, by `with_cancel`, `cancel_after` or `cancel_at`: it closes the
/// listener; the handlers' receives and accepts give the error that `quoit::is_cancelled` knows, so that whoever waits for
/// a request ends, while who has one in hand can still answer it, as writes are spared; and when the last handler has
/// ended it answers `Ok(())`. Handlers that wait for something else hold it up, for as long as they like: put a
/// `timeout` around it to limit that.
///
/// # Cancel safety
///
/// Dropping it closes the listener. The handlers go on.
///
/// # Errors
///
/// A failure of the listener that is not passing. The handlers then go on.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// use quoit_net::{TcpListener, TcpStream, serve};
///
/// async fn echo(stream: TcpStream) -> std::io::Result<()> {
///     while let Some(received) = stream.recv().await? {
///         stream.write_all(received).await.0?;
///     }
///     Ok(())
/// }
/// # quoit_runtime::block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let address = listener.local_addr()?;
/// quoit_runtime::spawn(serve(listener, echo));
///
/// let client = TcpStream::connect(address).await?;
/// client.write_all("ping").await.0?;
/// assert_eq!(&client.recv().await?.expect("an echo")[..], b"ping");
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub async fn serve<L, H, F>(listener: L, mut handler: H) -> io::Result<()>
where
    L: Listener,
    H: FnMut(L::Stream) -> F,
    F: Future + 'static,
{
    let handlers = Rc::new(Handlers::default());
    loop {
        match listener.next_stream().await {
            // The handler's own code, before its future: a panic of it must not end the server either.
            Ok(stream) => match catch_unwind(AssertUnwindSafe(|| handler(stream))) {
                Ok(handling) => drop(spawn(handlers.begin(handling))),
                // The panic hook has told of it; the payload's destructor might panic again.
                Err(payload) => std::mem::forget(payload),
            },
            Err(error) if transferred(&error).is_some() => break,
            // The next accept waits until there may be an end to it.
            Err(error) if error.raw_os_error().is_some_and(is_shortage) => {}
            Err(error) => return Err(error),
        }
    }
    let closed = listener.end().await;
    handlers.end().await;
    closed
}

/// The handlers that run.
#[derive(Debug, Default)]
struct Handlers {
    scope: GracefulScope,
    count: Cell<usize>,
    /// Who waits for the last one.
    waiters: Waiters,
}

impl Handlers {
    /// Runs a handler in the scope of all.
    fn begin<F: Future>(self: &Rc<Self>, handling: F) -> impl Future<Output = ()> + use<F> {
        self.count.set(self.count.get() + 1);
        let running = Running { of: Rc::clone(self) };
        async move {
            let mut scope = CancelScope::new();
            let mut handling = pin!(handling);
            poll_fn(|cx| match running.of.scope.poll(&mut scope, cx, |cx| handling.as_mut().poll(cx)) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            })
            .await;
        }
    }

    /// Asks them to come to an end, and waits for it.
    async fn end(&self) {
        self.scope.cancel();
        let place = self.waiters.place();
        poll_fn(|cx| {
            if self.count.get() == 0 {
                return Poll::Ready(());
            }
            place.wait(cx);
            Poll::Pending
        })
        .await;
    }
}

/// A handler that has not ended; also where it panics or is dropped.
struct Running {
    of: Rc<Handlers>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.of.count.set(self.of.count.get() - 1);
        if self.of.count.get() == 0 {
            self.of.waiters.wake();
        }
    }
}
