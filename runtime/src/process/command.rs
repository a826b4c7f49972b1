//! The builder.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::{self, ExitStatus, Output, Stdio};

use crate::kernel::file;
use crate::process::child::Child;

/// A program to run, with its arguments, its environment and its standard streams: std's builder.
///
/// What is not here is done through [`as_std_mut`](Self::as_std_mut), or before, on std's own, of which this can be made.
///
/// # Examples
///
/// ```
/// use quoit_runtime::process::Command;
///
/// quoit_runtime::block_on(async {
///     let output = Command::new("sh").args(["-c", "echo $GREETING"]).env("GREETING", "hello").output().await?;
///     assert!(output.status.success());
///     assert_eq!(output.stdout, b"hello\n");
///     Ok::<(), std::io::Error>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Command {
    std: process::Command,
    kill_on_drop: bool,
}

impl Command {
    /// Runs this program, which is looked for in `PATH` where its name has no `/`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self::from(process::Command::new(program))
    }

    /// One argument more.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.std.arg(arg);
        self
    }

    /// Several arguments more.
    pub fn args<A: AsRef<OsStr>>(&mut self, args: impl IntoIterator<Item = A>) -> &mut Self {
        self.std.args(args);
        self
    }

    /// Sets a variable of the environment.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.std.env(key, value);
        self
    }

    /// Sets several variables of the environment.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(&mut self, vars: impl IntoIterator<Item = (K, V)>) -> &mut Self {
        self.std.envs(vars);
        self
    }

    /// Takes a variable out of the environment.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Self {
        self.std.env_remove(key);
        self
    }

    /// Takes all variables out of the environment.
    pub fn env_clear(&mut self) -> &mut Self {
        self.std.env_clear();
        self
    }

    /// Where to run.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.std.current_dir(directory);
        self
    }

    /// Standard input; ours, unless told otherwise.
    pub fn stdin(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.std.stdin(stream);
        self
    }

    /// Standard output; ours, unless told otherwise.
    pub fn stdout(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.std.stdout(stream);
        self
    }

    /// Standard error; ours, unless told otherwise.
    pub fn stderr(&mut self, stream: impl Into<Stdio>) -> &mut Self {
        self.std.stderr(stream);
        self
    }

    /// Whether dropping the [`Child`] kills it (`SIGKILL`). By default it goes on running. In either case it is reaped behind
    /// your back when it has ended.
    pub fn kill_on_drop(&mut self, kill_on_drop: bool) -> &mut Self {
        self.kill_on_drop = kill_on_drop;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// Those of std, such as `NotFound`; `Unsupported` on a simulated machine.
    ///
    /// # Kernel
    ///
    /// Starting a process blocks the thread until the child has executed its program, or told why it could not: half a
    /// millisecond or so.
    pub fn spawn(&mut self) -> io::Result<Child> {
        file::real_world_only("child processes")?;
        Ok(Child::new(self.std.spawn()?, self.kill_on_drop))
    }

    /// Starts it and waits for its end. Its streams are ours, unless told otherwise; those that are piped are closed at once.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the child is treated as if its [`Child`] had been dropped.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn) and [`Child::wait`].
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn status(&mut self) -> io::Result<ExitStatus> {
        let mut child = self.spawn()?;
        drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
        child.wait().await
    }

    /// Starts it, reads what it writes to standard output and standard error, whatever they were set to, and waits for its
    /// end.
    ///
    /// # Cancel safety
    ///
    /// Dropped early, the child is treated as if its [`Child`] had been dropped; its output is lost.
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn) and [`Child::wait_with_output`].
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    pub async fn output(&mut self) -> io::Result<Output> {
        self.std.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.spawn()?.wait_with_output().await
    }

    /// std's builder.
    pub fn as_std(&self) -> &process::Command {
        &self.std
    }

    /// std's builder, for what is not here: users, groups, `arg0`.
    pub fn as_std_mut(&mut self) -> &mut process::Command {
        &mut self.std
    }
}

impl From<process::Command> for Command {
    fn from(std: process::Command) -> Self {
        Self { std, kill_on_drop: false }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.std.fmt(f)
    }
}
