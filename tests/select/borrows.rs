//! What may be borrowed by the futures, the guards and the handlers at the same time.

use std::future::{pending, ready};

use quoit::sync::mpsc;

struct Server {
    requests: mpsc::Receiver<u32>,
    ticks: mpsc::Receiver<()>,
    sum: u32,
    count: u32,
}

impl Server {
    /// Two futures borrow two fields; the handlers use the whole.
    async fn serve(&mut self) {
        loop {
            quoit::select! {
                Some(request) = self.requests.recv(), if self.sum < 1_000 => self.handle(request).await,
                Some(()) = self.ticks.recv() => self.count += 1,
                else => break,
            }
        }
    }

    async fn handle(&mut self, request: u32) {
        // What the branch's own future had borrowed is free again.
        while let Ok(request) = self.requests.try_recv() {
            self.sum += request;
        }
        self.sum += request;
    }
}

#[quoit::test]
async fn handlers_borrow_mutably_what_the_futures_had_borrowed() {
    let ((requester, requests), (ticker, ticks)) = (mpsc::channel(8), mpsc::channel(8));
    for number in 1..=8 {
        requester.try_send(number).expect("room");
        ticker.try_send(()).expect("room");
    }
    drop((requester, ticker));
    let mut server = Server { requests, ticks, sum: 0, count: 0 };
    server.serve().await;
    assert_eq!((server.sum, server.count), (36, 8));
}

#[quoit::test]
async fn futures_borrow_locals_and_handlers_consume_them() {
    let mut text = String::from("a");
    let shared = String::from("shared");
    let (length, text) = quoit::select! {
        length = async { text.push('b'); text.len() } => (length, text),
        () = async { pending::<()>().await; println!("{shared}") } => (0, shared),
    };
    assert_eq!((length, text.as_str()), (2, "ab"));
}

#[quoit::test]
async fn outputs_borrow_from_what_outlives_the_futures() {
    let mut list = vec![1, 2, 3];
    async fn last(list: &mut [u32]) -> &mut u32 {
        &mut list[2]
    }
    let reference = quoit::select! {
        reference = last(&mut list) => reference,
    };
    *reference += 1;
    assert_eq!(list, [1, 2, 4]);
}

#[quoit::test]
async fn futures_move_locals_that_other_branches_do_not_use() {
    let (one, other) = (String::from("one"), String::from("other"));
    let length = quoit::select! {
        length = async move { one.len() } => length,
        () = async move { pending::<()>().await; drop(other) } => 0,
    };
    assert_eq!(length, 3);
}

#[quoit::test]
async fn a_temporary_that_is_borrowed_by_a_future_lives_long_enough() {
    // As in a `let`: the temporary behind `&` lives until the futures are dropped.
    let length = quoit::select! {
        length = &mut Box::pin(async { 3 }) => length,
        length = &mut ready(3) => length,
    };
    assert_eq!(length, 3);
}

#[quoit::test]
async fn one_variable_is_assigned_by_several_handlers() {
    let mut log = Vec::new();
    for round in 0..4 {
        quoit::select! {
            number = ready(round), if round % 2 == 0 => log.push(number),
            () = ready(()), if round % 2 == 1 => log.push(100),
        }
    }
    assert_eq!(log, [0, 100, 2, 100]);
}
