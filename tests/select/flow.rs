//! Handlers and patterns: what may stand in them.

use std::future::{pending, ready};
use std::io;

use quoit::task::yield_now;

#[quoit::test]
async fn handlers_break_and_continue_the_loops_around() {
    let mut rounds = 0;
    let left = 'outer: loop {
        for number in 0.. {
            quoit::select! {
                biased;
                () = ready(()), if number < 3 => continue,
                () = ready(()), if rounds < 4 => { rounds += 1; break }
                () = ready(()) => break 'outer number,
            }
        }
    };
    assert_eq!((rounds, left), (4, 3));
}

#[quoit::test]
async fn handlers_return_from_the_function_around() {
    async fn answer(early: bool) -> u32 {
        quoit::select! {
            () = ready(()), if early => return 1,
            () = ready(()), if !early => {}
        }
        2
    }
    assert_eq!((answer(true).await, answer(false).await), (1, 2));
}

#[quoit::test]
async fn handlers_and_futures_use_the_question_mark() {
    async fn first(result: io::Result<u32>, other: io::Result<u32>) -> io::Result<u32> {
        let number = quoit::select! {
            number = ready(result) => number?,
            () = { other?; pending() } => 0,
        };
        Ok(number + 1)
    }
    let error = || Err(io::Error::from(io::ErrorKind::NotFound));
    assert_eq!(first(Ok(1), Ok(2)).await.expect("no error"), 2);
    assert_eq!(first(error(), Ok(2)).await.expect_err("an error").kind(), io::ErrorKind::NotFound);
    assert_eq!(first(Ok(1), error()).await.expect_err("an error").kind(), io::ErrorKind::NotFound);
}

#[quoit::test]
async fn handlers_and_futures_await() {
    let answer = quoit::select! {
        number = ready({ yield_now().await; 1 }) => {
            yield_now().await;
            number + async { yield_now().await; 1 }.await
        }
    };
    assert_eq!(answer, 2);
}

#[quoit::test]
async fn selects_nest() {
    let answer = quoit::select! {
        answer = async { quoit::select! { inner = ready(1) => inner, _ = pending::<()>() => 0 } } => quoit::select! {
            biased;
            _ = pending::<()>() => 0,
            other = ready(answer + 1) => other + quoit::select! { last = ready(1) => last },
        },
        _ = pending::<()>() => 0,
    };
    assert_eq!(answer, 3);
}

#[quoit::test]
async fn patterns_move_refer_mutate_and_take_apart() {
    struct Point {
        x: String,
        y: u32,
    }
    const SEVEN: u32 = 7;
    let moved = quoit::select! { text = ready(String::from("moved")) => text };
    assert_eq!(moved, "moved");
    let changed = quoit::select! { mut text = ready(String::from("a")) => { text.push('b'); text } };
    assert_eq!(changed, "ab");
    let length = quoit::select! { Some(ref text) = ready(Some(String::from("abc"))) => text.len(), else => 0 };
    assert_eq!(length, 3);
    let referred = quoit::select! { &number = ready(&5) => number };
    assert_eq!(referred, 5);
    let inside = quoit::select! {
        Some(&(1, ref number) | &(ref number, 1)) = ready(Some(&(2, 1))) => *number,
        else => 9,
    };
    assert_eq!(inside, 2);
    let Point { x, y } = quoit::select! {
        Point { mut x, y: y @ 1..=2 } = ready(Point { x: String::from("x"), y: 2 }) => { x.push('!'); Point { x, y } }
        else => unreachable!("it matches"),
    };
    assert_eq!((x.as_str(), y), ("x!", 2));
    let constant =
        quoit::select! { biased; SEVEN = ready(8) => "seven", 8.. = ready(8) => "more", _ = pending::<()>() => "" };
    assert_eq!(constant, "more");
    let none = quoit::select! { None = ready(None::<u8>) => true, else => false };
    assert!(none);
    let nested =
        quoit::select! { (Ok([first, .., last]), _) = ready((Ok::<_, ()>([1, 2, 3]), "")) => first + last, else => 0 };
    assert_eq!(nested, 4);
    let whole = quoit::select! { whole @ Some(_) = ready(Some(3)) => whole, else => None };
    assert_eq!(whole, Some(3));
    let either = quoit::select! { | Ok(either) | Err(either) = ready(Err::<u8, u8>(4)) => either };
    assert_eq!(either, 4);
    let text = quoit::select! { "yes" = ready("yes") => 1, else => 0 };
    assert_eq!(text, 1);
}

#[quoit::test]
async fn handlers_have_one_type_and_may_diverge() {
    let number: u64 = quoit::select! {
        number = ready(3_u32) => number.into(),
        () = pending() => unreachable!("never"),
        else => return,
    };
    assert_eq!(number, 3);
}

#[quoit::test]
async fn names_of_the_expansion_are_not_seen_by_the_code_inside() {
    let (disabled, future0, output, selected, start, turn, context) = (1, 2, 3, 4, 5, 6, 7);
    let sum = quoit::select! {
        number = async { disabled + future0 + output }, if start + turn == 11 => number + selected + context,
        else => 0,
    };
    assert_eq!(sum, 17);
}

#[quoit::test]
async fn a_select_may_be_sent_to_another_thread() {
    fn is_send<F: Future + Send>(future: F) -> F {
        future
    }
    let future = is_send(async {
        quoit::select! {
            number = ready(1) => { ready(()).await; number }
            () = pending() => 2,
        }
    });
    assert_eq!(future.await, 1);
}
