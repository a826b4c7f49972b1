//! Who is polled, in which order, and which branch is taken.

use std::cell::Cell;
use std::future::{Ready, pending, ready};
use std::pin::pin;
use std::rc::Rc;

use crate::Probe;

#[quoit::test]
async fn the_first_future_that_is_ready_is_taken_and_the_others_are_dropped_before_the_handler() {
    let (slow, fast) = (Probe::default(), Probe::default());
    let answer = quoit::select! {
        () = slow.never() => unreachable!("it is never ready"),
        answer = fast.ready_at(3, 42) => {
            assert_eq!((slow.counts().1, fast.counts().1), (1, 1));
            answer
        }
    };
    assert_eq!((answer, fast.polls.get()), (42, 3));
}

#[quoit::test]
async fn biased_polls_from_top_to_bottom_each_time() {
    let (first, second, third) = (Probe::default(), Probe::default(), Probe::default());
    for _ in 0..20 {
        quoit::select! {
            biased;
            () = first.never() => unreachable!("it is never ready"),
            () = second.ready_at(2, ()) => {}
            () = third.ready_at(2, ()) => unreachable!("the second one is ready, too, and comes before it"),
        }
    }
    assert_eq!((first.counts(), second.counts(), third.counts()), ((40, 20), (40, 20), (20, 20)));
}

#[quoit::test]
async fn without_biased_every_branch_has_its_turn() {
    let mut taken = [0_u32; 3];
    for _ in 0..600 {
        let branch = quoit::select! {
            branch = ready(0) => branch,
            branch = ready(1) => branch,
            branch = ready(2) => branch,
        };
        taken[branch] += 1;
    }
    assert_eq!(taken.iter().sum::<u32>(), 600);
    // Two hundred each: no branch is taken half as often once in 10^15 runs.
    assert!(taken.iter().all(|&count| count > 100), "{taken:?}");
}

#[quoit::test]
async fn a_branch_whose_guard_is_false_is_evaluated_but_not_polled() {
    let (disabled, taken) = (Probe::default(), Probe::default());
    let mut evaluated = 0;
    let mut evaluate = |future| {
        evaluated += 1;
        future
    };
    quoit::select! {
        biased;
        () = evaluate(disabled.ready_at(1, ())), if false => unreachable!("it is disabled"),
        () = taken.ready_at(1, ()), if !disabled.polls.get() > 0 => {}
    }
    assert_eq!((evaluated, disabled.counts(), taken.counts()), (1, (0, 1), (1, 1)));
}

#[quoit::test]
async fn guards_are_evaluated_before_the_futures() {
    let mut list = vec![1];
    let length = quoit::select! {
        length = async { list.push(2); list.len() }, if list.len() == 1 => length,
        else => unreachable!("the guard saw the list as it was"),
    };
    assert_eq!(length, 2);
}

#[quoit::test]
async fn an_output_that_does_not_match_disables_its_branch() {
    let (unmatched, taken) = (Probe::default(), Probe::default());
    quoit::select! {
        biased;
        Some(()) = unmatched.ready_at(1, None) => unreachable!("there is none"),
        () = taken.ready_at(5, ()) => {}
    }
    assert_eq!((unmatched.counts(), taken.counts()), ((1, 1), (5, 1)));
}

#[quoit::test]
async fn else_runs_where_all_branches_are_disabled() {
    let enabled = false;
    let answer = quoit::select! {
        () = pending::<()>(), if enabled => "never",
        Some(answer) = ready(None::<&str>) => answer,
        Ok(answer) = ready(Err::<&str, _>(())) => answer,
        else => "else",
    };
    assert_eq!(answer, "else");
    let answer = quoit::select! {
        Some(answer) = ready(None) => answer,
        else => 7,
    };
    assert_eq!(answer, 7);
}

#[quoit::test]
#[should_panic(expected = "all branches of this `select!` are disabled")]
async fn without_else_it_panics_where_all_branches_are_disabled() {
    quoit::select! {
        Some(()) = ready(None) => {}
        () = ready(()), if false => {}
    }
}

#[quoit::test]
async fn futures_by_reference_go_on_afterwards() {
    let probe = Probe::default();
    let mut slow = pin!(probe.ready_at(9, "slow"));
    let mut rounds = 0;
    let answer = loop {
        quoit::select! {
            biased;
            answer = &mut slow => break answer,
            () = ready(()) => rounds += 1,
        }
    };
    assert_eq!((answer, rounds, probe.counts()), ("slow", 8, (9, 0)));
}

#[quoit::test]
async fn what_becomes_a_future_is_taken_as_one() {
    struct Answer;
    impl IntoFuture for Answer {
        type Output = u8;
        type IntoFuture = Ready<u8>;
        fn into_future(self) -> Ready<u8> {
            ready(42)
        }
    }
    let boxed: std::pin::Pin<Box<dyn Future<Output = u8>>> = Box::pin(pending());
    assert_eq!(quoit::select! { answer = Answer => answer, answer = boxed => answer }, 42);
}

#[quoit::test]
async fn sixty_four_branches_fit() {
    macro_rules! many {
        ($($number:literal)*) => {
            quoit::select! {
                $(() = pending::<()>() => $number,)*
                () = ready(()) => 63,
            }
        };
    }
    let taken = many!(
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40
        41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62
    );
    assert_eq!(taken, 63);
}

#[quoit::test]
async fn select_in_a_task_that_is_woken_by_one_of_many() {
    let (sender, receiver) = quoit::sync::oneshot::channel::<u8>();
    let task = quoit::spawn(async move {
        quoit::select! {
            answer = receiver => answer.expect("it was sent"),
            () = quoit::time::sleep(std::time::Duration::from_secs(3600)) => 0,
        }
    });
    quoit::task::yield_now().await;
    sender.send(7).expect("the task lives");
    assert_eq!((task.await.expect("no panic"), quoit::metrics().timers), (7, 0));
}

#[quoit::test]
async fn a_loop_that_is_always_ready_lets_others_run() {
    let stop = Rc::new(Cell::new(false));
    let other = Rc::clone(&stop);
    let task = quoit::spawn(async move { other.set(true) });
    let mut rounds = 0;
    while !stop.get() {
        quoit::select! {
            () = ready(()) => rounds += 1,
            () = pending() => {}
        }
    }
    assert!((1..1_000).contains(&rounds), "{rounds}");
    task.await.expect("no panic");
}
