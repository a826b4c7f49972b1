//! Nothing, asked of the kernel and answered by it: the template for an op, and the measure of what one costs.

use std::io;

use io_uring::opcode;

use crate::op::{Completion, Driver, Op, Step};

/// An operation that does nothing: `IORING_OP_NOP`.
#[derive(Debug, Default)]
pub struct Nop(());

impl Nop {
    /// A new one.
    pub fn new() -> Self {
        Self(())
    }
}

// SAFETY: the entry names no memory.
#[expect(unsafe_code, reason = "ops answer for the memory that they name")]
unsafe impl Op for Nop {
    type Output = io::Result<()>;

    const NAME: &'static str = "nop";

    unsafe fn prepare(&mut self, _: &Driver) -> Step {
        Step::Submit(opcode::Nop::new().build().into())
    }

    unsafe fn complete(self, answer: Completion) -> io::Result<()> {
        answer.value().map(drop)
    }
}
