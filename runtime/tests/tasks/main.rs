//! Tasks that panic, abort, outlive their runtime, spawn while it ends: nobody else is harmed, and all end.

#[path = "../support/mod.rs"]
mod support;

mod aborts;
mod ends;
mod panics;
mod runtimes;
mod turns;
