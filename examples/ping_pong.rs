//! Two tasks that play with channels, until one of them has had enough.
//!
//!     cargo run --example ping_pong

use quoit::spawn;
use quoit::sync::{mpsc, oneshot};

/// A ball carries the number of its stroke, and where to tell what became of it.
struct Ball {
    stroke: u32,
    answer: oneshot::Sender<&'static str>,
}

/// Sends balls until nobody takes them any more.
async fn serve(balls: mpsc::Sender<Ball>) -> u32 {
    for stroke in 1.. {
        let (answer, answered) = oneshot::channel();
        if balls.send(Ball { stroke, answer }).await.is_err() {
            println!("ping: nobody is there any more");
            return stroke - 1;
        }
        match answered.await {
            Ok(answer) => println!("ping {stroke}: {answer}"),
            Err(_dropped) => println!("ping {stroke}: no answer"),
        }
    }
    unreachable!("numbers do not end")
}

/// Answers some of them, and goes.
async fn receive(mut balls: mpsc::Receiver<Ball>, most: u32) {
    while let Some(Ball { stroke, answer }) = balls.recv().await {
        if stroke > most {
            // Dropped unanswered, and so is the receiver: the other side is told of both.
            break;
        }
        let _ = answer.send("pong");
    }
}

#[quoit::main]
async fn main() {
    let (sender, receiver) = mpsc::channel(1);
    let (ping, pong) = (spawn(serve(sender)), spawn(receive(receiver, 3)));
    pong.await.expect("no panic");
    println!("{} strokes", ping.await.expect("no panic"));
}
