//! An async runtime for Linux in which every I/O is an io_uring completion.
//!
//! *quoit*: a ring that you throw and get back. You hand a buffer to the ring; the ring hands it back with the answer.
//!
#![doc = "```no_run"]
#![doc = include_str!("../examples/echo.rs")]
#![doc = "```"]
//!
//! - **A dropped future loses nothing.** Connections and bytes belong to the socket until a future has returned them, so every
//!   await is safe in a `select!` and under a [`timeout`](time::timeout).
//! - **The kernel never writes into memory that was given back.** The driver owns the buffers of an operation until its final
//!   completion, whatever happens to the future.
//! - **No operation is refused because a queue is full, and no cancel gets lost.**
//! - **One kernel entry per turn** submits, waits, and looks after timers and wakes from other threads.
//!
//! One thread owns one ring: futures need not be `Send`, and waking a task costs no atomic operation.
//!
//! Buffers go into an operation by value, and come out of it with the answer: `let (result, buf) = stream.read(buf).await;`
//! ([`BufResult`]). Streams of values, such as [`incoming`](net::TcpListener::incoming), are those of `futures_util`, whose
//! `StreamExt` has their methods.
//!
//! Many of these items live in packages of their own, which their examples name: `quoit_runtime::spawn` is [`spawn`] here,
//! `quoit_net::TcpStream` is [`net::TcpStream`], and so on.
//!
//! | module | what is in it |
//! |---|---|
//! | [`main`], [`test`], [`block_on`], [`Runtime`] | ways in |
//! | [`spawn`], [`task`] | tasks |
//! | [`select!`], [`join!`], [`try_join!`] | several futures at once |
//! | [`net`] | TCP, UDP, Unix sockets |
//! | [`fs`] | names of files and directories |
//! | [`io`] | traits for reading and writing, pipes, standard streams |
//! | [`process`] | child processes |
//! | [`signal`] | Ctrl-C, other signals, and a token for an orderly end |
//! | [`thread`], [`Workers`], [`Handle`], [`spawn_blocking`] | other threads |
//! | [`time`] | sleeping, intervals, timeouts |
//! | [`stream`] | generators; deadlines and a pace for streams |
//! | [`sync`] | channels, locks and notification, for any executor |
//! | [`IoBuf`], [`IoBufMut`], [`Slice`], [`RecvBuf`] | what may be lent to the kernel |
//! | [`sim`] | the same program in a simulated world that a seed decides |
//! | [`probe`], [`metrics`], [`dump()`] | what the machine supports, what the runtime does, what its tasks wait for |
//! | [`driver`] | operations of one's own |
#![forbid(unsafe_code)]

pub use futures_util::{join, try_join};
pub use quoit_macros::{main, test};
pub use quoit_runtime::buf::{BufResult, IoBuf, IoBufMut, IoVectoredBuf, IoVectoredBufMut, RecvBuf, Slice};
pub use quoit_runtime::cancel_scope::{is_cancelled, transferred};
pub use quoit_runtime::task::{
    AbortHandle, AbortOnDrop, JoinError, JoinHandle, RemoteAbortOnDrop, RemoteJoinHandle, on_complete,
};
pub use quoit_runtime::{
    Builder, Cause, Dump, Features, Handle, KernelKind, Metrics, Refusal, Runtime, ShutdownReport, Support, TaskDump,
    TaskState, ThreadBound, WaitsFor, Workers, WorkersBuilder, block_on, dump, metrics, probe, spawn, spawn_blocking,
    task_local,
};

mod future_ext;

pub use crate::future_ext::{CancelAt, FutureExt, WithCancel};

/// Reading and writing by what a thing can do: traits with owned buffers, pipes, standard streams, any descriptor.
pub mod io {
    pub use quoit_runtime::io::{
        AsyncFd, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter, Chain, Interest, Lines,
        PipeReader, PipeWriter, Ready, Split, Stderr, Stdin, Stdout, Take, copy, copy_bidirectional, pipe, stderr,
        stdin, stdout,
    };
}

/// The names of files and directories: std's functions, through the ring.
pub mod fs {
    pub use quoit_fs::{create_dir, hard_link, remove_dir, remove_file, rename, symlink};
}

/// Sockets that lose nothing.
pub mod net {
    pub use quoit_net::{
        Incoming, Listener, TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream,
    };
    pub use quoit_net::{ToSocketAddrs, lookup_host, serve, tcp, udp, unix};
}

/// Child processes: std's builder, pipes that are read and written through the ring, and a wait that blocks nobody.
pub mod process {
    pub use quoit_runtime::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
}

pub mod signal;

/// Channels, locks and notification: they work on any executor, and have tokio's names and semantics.
pub mod sync {
    pub use quoit_sync::{
        AcquireError, Barrier, BarrierWaitResult, CancellationToken, Condvar, DropGuard, MappedMutexGuard, Mutex,
        MutexGuard, Notified, Notify, OnceCell, OwnedMappedMutexGuard, OwnedMutexGuard, OwnedNotified,
        OwnedRwLockMappedWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit, RwLock,
        RwLockMappedWriteGuard, RwLockReadGuard, RwLockWriteGuard, Semaphore, SemaphorePermit, SetError,
        TryAcquireError, TryLockError, WaitGroup, WaitGuard, broadcast, local, mpsc, oneshot, watch,
    };
}

/// Tasks: ids, yielding, and work with a tear-down. [`spawn`](crate::spawn()) makes one.
pub mod task {
    pub use quoit_runtime::task::{
        AbortHandle, AbortOnDrop, AccessError, Builder, Id, JoinError, JoinHandle, JoinSet, LocalKey,
        RemoteAbortOnDrop, RemoteJoinHandle, Scope, consume_budget, id, poll_budget, try_id, yield_now,
    };
    pub use quoit_runtime::task::{Outcome, with};
}

/// Threads that have a runtime of their own.
pub mod thread {
    pub use quoit_runtime::thread::{Builder, ThreadHandle, spawn};
}

/// Sleeping, intervals and timeouts.
pub mod time {
    pub use quoit_time::{
        Elapsed, Instant, Interval, MissedTickBehavior, Sleep, Timeout, advance, interval, interval_at, pause, resume,
        sleep, sleep_until, timeout, timeout_at,
    };
}

/// Generators: streams written as one `async` block, with values going in and out. And time for streams.
pub mod stream {
    pub use quoit_stream::{Co, Generator, Resume, Yield, generator, generator_with};
    pub use quoit_time::{StreamExt, StreamTimeout, Throttle};
}

/// Simulated worlds: machines, a network, disks and a clock that a seed decides.
///
/// `docs/simulation.md` goes through an example.
pub mod sim {
    pub use quoit_runtime::sim::{
        Faults, Host, check, fails, heal, host, ip, is_simulated, open_files, partition, random, run, set_faults,
        trace_hash,
    };
}

/// The driver itself, for operations of one's own.
pub mod driver {
    pub use quoit_runtime::fd::SharedFd;
    pub use quoit_runtime::op::{Completion, Driver, InFlight, Lane, Nop, Op, ReadAt, Sqe, Step, submit, submit_to};
}

mod select;

/// The programs of the page on simulation run as tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/simulation.md")]
mod simulation_page {}

/// What the macros expand to. Not part of the public API.
#[doc(hidden)]
pub mod __private;

/// The Rust of docs/coming-from.md, which the tests compile.
#[cfg(doctest)]
#[doc = include_str!("../docs/coming-from.md")]
struct ComingFrom;
