//! The macros of quoit: `#[quoit::main]`, `#[quoit::test]`, and what `quoit::select!` expands to.
//!
//! This file holds only the entry points that the compiler calls, with their manual. The work is done over
//! `proc_macro2` tokens, which unit tests can make: `options` reads what stands in the parentheses and says what is
//! supported today, `function` reads the annotated function and says which shapes are refused, `expand` puts the two
//! together. `select` is what the macro of that name in the facade expands to. The examples here are text, as this crate does not know
//! the facade, where such programs are compiled and run.

mod expand;
mod function;
mod options;
mod select;

use proc_macro::TokenStream;

/// Makes an `async fn main` the program's entry point: a runtime is built, and the body runs on it until it returns.
///
/// The function must be `async` and take neither arguments nor generic parameters; it needs not be called `main`. Its
/// return type stays as it is, so `std::io::Result<()>` and everything else that a plain `fn main` may return works. If
/// no runtime can be built, the program prints the cause and the fix to standard error and exits with code 1.
///
/// # Options
///
/// | Option | Value | Meaning |
/// |---|---|---|
/// | `threads` | an integer or an expression of type `usize` | How many threads run a runtime each; the body runs on the first. `quoit::Workers::current()` names the set. |
/// | `kernel` | `"uring"` or `"epoll"` | What the runtime drives, whatever the environment says. Without it, io_uring, or its emulation where that is refused; `QUOIT_KERNEL` decides by hand. |
/// | `crate` | a path in quotes | Where quoit is found if it is not `::quoit`, for example `"::my::quoit"`. |
///
/// # Errors
///
/// A function or an option that is refused is a compile error at the token that is to blame. All of them are reported
/// at once.
///
/// # Examples
///
/// ```text
/// #[quoit::main]
/// async fn main() -> std::io::Result<()> {
///     println!("on a ring");
///     Ok(())
/// }
/// ```
///
/// With quoit behind another name:
///
/// ```text
/// #[my::quoit::main(crate = "::my::quoit", kernel = "uring")]
/// async fn main() {}
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::main(arguments.into(), item.into()).into()
}

/// Makes an `async fn` a test that runs on a runtime of its own.
///
/// It adds `#[test]`, so `cargo test` finds the function; `#[ignore]`, `#[should_panic]` and all other attributes stay
/// as they are. The function must be `async` and take neither arguments nor generic parameters. It may return all that
/// a plain test may return, for example a `Result`, whose `Err` fails the test.
///
/// # Options
///
/// | Option | Value | Meaning |
/// |---|---|---|
/// | `threads` | an integer or an expression of type `usize` | How many threads run a runtime each; the body runs on the first. `quoit::Workers::current()` names the set. |
/// | `kernel` | `"uring"`, `"epoll"` or `"sim"` | What the runtime drives. |
/// | `seed` | an integer | With `kernel = "sim"`: the seed of the world; 0 unless it is given. |
/// | `seeds` | an integer | With `kernel = "sim"`: how many worlds to run the body in, by the seeds from 0 on. A failure names its seed, and the command that repeats it; `QUOIT_SEED` runs one seed alone. |
/// | `crate` | a path in quotes | Where quoit is found if it is not `::quoit`, for example `"::my::quoit"`. |
///
/// # Errors
///
/// A function or an option that is refused is a compile error at the token that is to blame. All of them are reported
/// at once. A second `#[test]`, of whichever crate, is refused as well: the function would run twice.
///
/// # Examples
///
/// ```text
/// #[quoit::test]
/// async fn an_answer_is_found() -> Result<(), std::num::ParseIntError> {
///     let answer: u32 = "42".parse()?;
///     assert_eq!(answer, 42);
///     Ok(())
/// }
///
/// #[quoit::test(kernel = "uring")]
/// #[should_panic(expected = "no such luck")]
/// async fn a_panic_is_seen() {
///     panic!("no such luck");
/// }
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::test(arguments.into(), item.into()).into()
}

/// The branches of `quoit::select!`, which hands its input on to this with its own path before it.
#[doc(hidden)]
#[proc_macro]
pub fn select(input: TokenStream) -> TokenStream {
    select::expand(input.into()).into()
}
