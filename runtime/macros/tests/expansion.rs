//! Expansions that are compiled and run, over a stand-in for the facade's `__private`.

/// The stand-in: polls a future once, which is enough for bodies that only await what is ready.
mod facade {
    pub(crate) mod __private {
        use std::pin::pin;
        use std::task::{Context, Poll, Waker};

        pub(crate) struct TestOptions {
            pub(crate) kernel: Option<&'static str>,
            pub(crate) seed: Option<u64>,
            pub(crate) seeds: Option<u64>,
        }

        pub(crate) fn main<F: Future>(kernel: Option<&'static str>, future: F) -> F::Output {
            assert!(matches!(kernel, None | Some("uring")));
            match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(output) => output,
                Poll::Pending => unreachable!("the bodies below never wait"),
            }
        }

        pub(crate) fn main_on_threads<F: Future>(threads: usize, kernel: Option<&'static str>, future: F) -> F::Output {
            assert_eq!((threads, kernel), (1, Some("uring")));
            main(kernel, future)
        }

        pub(crate) fn test<B: Fn() -> F, F: Future>(options: TestOptions, body: B) -> F::Output {
            assert_eq!((options.seed, options.seeds), (None, None));
            // A simulated kernel calls the body once a seed: it must be callable more than once.
            drop(body());
            main(options.kernel, body())
        }
    }
}

/// A body whose types only work out if the return type is known: `?` converts, and `Ok` and the box are coerced.
#[quoit_macros::main(crate = "crate::facade", threads = 1, kernel = "uring")]
pub(crate) async fn answer() -> Result<Box<dyn std::fmt::Debug>, Box<dyn std::error::Error>> {
    let answer: u32 = std::future::ready("42").await.parse()?;
    if answer == 0 {
        return Err("none".into());
    }
    Ok(Box::new(answer))
}

#[quoit_macros::main(crate = "crate::facade")]
async fn opaque() -> impl std::fmt::Debug {
    7
}

#[quoit_macros::main(crate = "crate::facade")]
#[deprecated = "seen by the caller"]
async fn r#final() {}

#[test]
fn main_returns_what_the_body_returns() {
    assert_eq!(format!("{:?}", answer().expect("it parses")), "42");
    assert_eq!(format!("{:?}", opaque()), "7");
    #[expect(deprecated, reason = "proves that the attribute was kept")]
    r#final();
}

#[quoit_macros::test(crate = "crate::facade")]
async fn test_may_return_a_result() -> Result<(), std::num::ParseIntError> {
    assert_eq!("42".parse::<u32>()?, 42);
    Ok(())
}

#[quoit_macros::test(crate = "crate::facade", kernel = "uring")]
#[should_panic(expected = "no such luck")]
async fn test_may_be_expected_to_panic() {
    panic!("no such luck");
}

#[quoit_macros::test(crate = "crate::facade")]
#[ignore = "must not run: it would fail"]
async fn test_may_be_ignored() {
    panic!("an ignored test ran");
}

#[cfg(any())]
#[quoit_macros::test(crate = "crate::facade")]
async fn test_may_be_configured_out() {
    compile_error!("a test that is configured out was compiled");
}
