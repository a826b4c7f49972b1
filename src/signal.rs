//! Ctrl-C, other signals of the process, and a token for an orderly end.

use std::sync::OnceLock;

pub use quoit_runtime::signal::{Signal, SignalKind, ctrl_c, signal};

use crate::sync::CancellationToken;

/// A token that the first `SIGINT` (Ctrl-C) or `SIGTERM` cancels; the second ends the process, as if nobody listened.
///
/// All calls give the same token, so cancelling it by hand begins the same orderly end; the first signal after that still
/// counts as the first. It works in any number of runtimes, and on any executor: a thread waits for the signal, from the
/// first call on. The end by the second signal needs nobody's help, so it comes also where the program is stuck.
///
/// # Panics
///
/// At the first call, where the thread or the handlers cannot be made.
///
/// # Examples
///
/// ```no_run
/// # async fn serve() -> std::io::Result<()> { Ok(()) }
/// # quoit::block_on(async {
/// let end = quoit::signal::shutdown();
/// quoit::select! {
///     result = serve() => result?,
///     _ = end.cancelled() => println!("finishing what has begun; once more to end at once"),
/// }
/// # Ok::<(), std::io::Error>(())
/// # })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn shutdown() -> CancellationToken {
    static TOKEN: OnceLock<CancellationToken> = OnceLock::new();
    let token = TOKEN.get_or_init(|| {
        let token = CancellationToken::new();
        let cancelled = token.clone();
        let listening = quoit_runtime::signal::on_first_request_to_end(move || cancelled.cancel());
        listening.unwrap_or_else(|error| panic!("nobody can listen to signals: {error}"));
        token
    });
    token.clone()
}
