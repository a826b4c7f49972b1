//! Child processes: std's builder, pipes that are read and written through the ring, and a wait that blocks nobody.

mod child;
mod command;
mod orphan;

pub use crate::process::child::{Child, ChildStderr, ChildStdin, ChildStdout};
pub use crate::process::command::Command;
