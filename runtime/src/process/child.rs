//! A child, and its end.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{self, ExitStatus, Output};

use crate::io::{AsyncReadExt as _, PipeReader, PipeWriter, try_both};
use crate::process::orphan::{self, wait_for};

/// The standard input of a child, to write to.
pub type ChildStdin = PipeWriter;
/// The standard output of a child, to read from.
pub type ChildStdout = PipeReader;
/// The standard error of a child, to read from.
pub type ChildStderr = PipeReader;

/// A process that we have started. Made by [`Command::spawn`](crate::process::Command::spawn).
///
/// Dropped, the process goes on, unless [`kill_on_drop`](crate::process::Command::kill_on_drop) was asked for. It never
/// becomes a zombie: whoever waits or not, it is reaped when it has ended, by the runtime in which this was dropped, or by a
/// thread where there is none, or none any more.
///
/// # Examples
///
/// ```
/// use std::process::Stdio;
///
/// use quoit_runtime::process::Command;
///
/// quoit_runtime::block_on(async {
///     let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
///     let stdin = child.stdin.take().expect("piped");
///     stdin.write_all("there and back").await.0?;
///     drop(stdin);
///     let output = child.wait_with_output().await?;
///     assert_eq!(output.stdout, b"there and back");
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Child {
    /// Its standard input, where that is piped.
    pub stdin: Option<ChildStdin>,
    /// Its standard output, where that is piped.
    pub stdout: Option<ChildStdout>,
    /// Its standard error, where that is piped.
    pub stderr: Option<ChildStderr>,
    process: Process,
}

/// The process without its streams.
struct Process {
    /// Until it is dropped.
    std: Option<process::Child>,
    /// Its status, once that has been collected: its number may be another's then.
    status: Option<ExitStatus>,
    kill_on_drop: bool,
}

impl Child {
    pub(crate) fn new(mut std: process::Child, kill_on_drop: bool) -> Self {
        let stdin = std.stdin.take().map(|pipe| PipeWriter::from(OwnedFd::from(pipe)));
        let stdout = std.stdout.take().map(|pipe| PipeReader::from(OwnedFd::from(pipe)));
        let stderr = std.stderr.take().map(|pipe| PipeReader::from(OwnedFd::from(pipe)));
        Self { stdin, stdout, stderr, process: Process { std: Some(std), status: None, kill_on_drop } }
    }

    /// Its number; `None` once its end has been told, as the number may be another's then.
    pub fn id(&self) -> Option<u32> {
        let std = self.process.std.as_ref().filter(|_| self.process.status.is_none());
        std.map(process::Child::id)
    }

    /// Waits until it has ended. Its standard input is closed first, if it is still in [`stdin`](Self::stdin): a child that
    /// reads it to the end would else wait for us.
    ///
    /// # Cancel safety
    ///
    /// Loses nothing: the next call tells the end. May be called again after it.
    ///
    /// # Errors
    ///
    /// Those of [`waitid(2)`](https://man7.org/linux/man-pages/man2/waitid.2.html): `ECHILD` where somebody else has waited
    /// for it, or the process ignores `SIGCHLD`.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        self.process.wait().await
    }

    /// Its status, if it has ended.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process.try_wait()
    }

    /// Waits for its end, and reads standard output and standard error to theirs, where they are piped. Standard input is
    /// closed first.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the child is dropped with it, and what had been read is lost.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), and those of reading.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let streams = try_both(read_all(self.stdout.take()), read_all(self.stderr.take()));
        let ((stdout, stderr), status) = try_both(streams, self.process.wait()).await?;
        Ok(Output { status, stdout, stderr })
    }

    /// Kills it (`SIGKILL`), and does not wait.
    ///
    /// # Errors
    ///
    /// Those of [`kill(2)`](https://man7.org/linux/man-pages/man2/kill.2.html). None where it has ended already.
    pub fn start_kill(&mut self) -> io::Result<()> {
        match &mut self.process.std {
            Some(std) => std.kill(),
            None => Ok(()),
        }
    }

    /// Kills it (`SIGKILL`), and waits for its end.
    ///
    /// # Cancel safety
    ///
    /// It is killed at the first poll; the end can be waited for again.
    ///
    /// # Errors
    ///
    /// As [`start_kill`](Self::start_kill) and [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.start_kill()?;
        self.wait().await.map(drop)
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("id", &self.id()).field("status", &self.process.status).finish_non_exhaustive()
    }
}

impl Process {
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        let std = self.std.as_mut().expect("it is there until it is dropped");
        let status = wait_for(std).await?;
        self.status = Some(status);
        Ok(status)
    }

    fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let std = self.std.as_mut().expect("it is there until it is dropped");
        self.status = std.try_wait()?;
        Ok(self.status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(mut std) = self.std.take().filter(|_| self.status.is_none()) else { return };
        if self.kill_on_drop {
            // It may have ended by itself.
            let _ = std.kill();
        }
        orphan::adopt(std);
    }
}

async fn read_all(pipe: Option<PipeReader>) -> io::Result<Vec<u8>> {
    match pipe {
        Some(pipe) => {
            let (result, bytes) = pipe.read_to_end(Vec::new()).await;
            result.map(|_| bytes)
        }
        None => Ok(Vec::new()),
    }
}
