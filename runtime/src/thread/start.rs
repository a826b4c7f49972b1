//! Starting a thread whose runtime is known before it does anything.

use std::io;
use std::sync::mpsc;
use std::thread;

use crate::handle::Handle;
use crate::runtime::Runtime;

/// Starts a thread, which builds a runtime and hands it to `body`; waits until the runtime is there. `prepare` is called
/// first, on the thread.
pub(super) fn start(
    thread: thread::Builder,
    runtime: crate::Builder,
    prepare: impl FnOnce() -> io::Result<()> + Send + 'static,
    body: impl FnOnce(Runtime) + Send + 'static,
) -> io::Result<(Handle, thread::JoinHandle<()>)> {
    let (tell, told) = mpsc::sync_channel(1);
    let thread = thread.spawn(move || {
        match prepare().and_then(|()| runtime.build()) {
            Ok(runtime) => {
                // Whoever is to be told waits below.
                let _ = tell.send(Ok(runtime.handle()));
                body(runtime);
            }
            Err(error) => _ = tell.send(Err(error)),
        }
    })?;
    match told.recv() {
        Ok(Ok(handle)) => Ok((handle, thread)),
        Ok(Err(error)) => {
            let _ = thread.join();
            Err(error)
        }
        Err(mpsc::RecvError) => Err(io::Error::other("the thread panicked before it had a runtime")),
    }
}
