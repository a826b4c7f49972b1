//! A chat on simulated machines: the same seed tells the same story, and ends with the same hash.
//!
//!     cargo run --example sim_chat -- 7

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use quoit::net::{TcpListener, TcpStream};
use quoit::sim::{self, Faults};
use quoit::sync::broadcast;
use quoit::time::{Instant, sleep};

const GUESTS: [&str; 3] = ["ada", "grace", "linus"];
const LINES: usize = 3;

/// Sends every line that a guest says to all guests.
async fn room() {
    let listener = TcpListener::bind("0.0.0.0:7000").await.expect("a free port");
    let (lines, _) = broadcast::channel(64);
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        let (stream, said, mut heard) = (Rc::new(stream), lines.clone(), lines.subscribe());
        let speaking = Rc::clone(&stream);
        drop(quoit::spawn(async move {
            while let Ok(line) = heard.recv().await {
                speaking.write_all(line).await.0?;
            }
            io::Result::Ok(())
        }));
        drop(quoit::spawn(async move {
            while let Some(bytes) = stream.recv().await? {
                let _ = said.send(bytes.to_vec());
            }
            io::Result::Ok(())
        }));
    }
}

/// Says a few lines, and listens until all guests have said theirs.
async fn guest(name: &'static str, story: Rc<Story>) {
    let stream = loop {
        match TcpStream::connect("room:7000").await {
            Ok(stream) => break Rc::new(stream),
            Err(error) => story.tell(&format!("{name} stands before the door: {error}")),
        }
        sleep(Duration::from_secs(1)).await;
    };
    story.tell(&format!("{name} comes in"));
    let speaking = Rc::clone(&stream);
    drop(quoit::spawn(async move {
        sleep(Duration::from_secs(10)).await;
        for number in 1..=LINES {
            speaking.write_all(format!("{name} says {number}\n")).await.0?;
            sleep(Duration::from_millis(sim::random() % 2_000)).await;
        }
        io::Result::Ok(())
    }));
    let mut heard = String::new();
    while heard.lines().count() < GUESTS.len() * LINES {
        let bytes = stream.recv().await.expect("a room").expect("more to hear");
        heard.push_str(std::str::from_utf8(&bytes).expect("text"));
    }
    story.tell(&format!(
        "{name} has heard {} lines, the first: {}",
        heard.lines().count(),
        heard.lines().next().unwrap_or("")
    ));
}

/// What has happened, each line with its time.
struct Story {
    start: Instant,
    lines: RefCell<Vec<String>>,
}

impl Story {
    fn tell(&self, line: &str) {
        self.lines.borrow_mut().push(format!("{:>9.3} s  {line}", self.start.elapsed().as_secs_f64()));
    }
}

async fn evening() -> (Vec<String>, u64) {
    sim::set_faults(Faults::new().latency(Duration::ZERO..Duration::from_millis(200)));
    let story = Rc::new(Story { start: Instant::now(), lines: RefCell::default() });
    let room = sim::host("room", room);
    let guests = GUESTS.map(|name| {
        let story = Rc::clone(&story);
        sim::host(name, move || guest(name, Rc::clone(&story)))
    });
    sleep(Duration::from_secs(11)).await;
    let unlucky = (sim::random() % 3) as usize;
    story.tell(&format!("the line to {} is cut", GUESTS[unlucky]));
    sim::partition(room.ip(), guests[unlucky].ip());
    sleep(Duration::from_secs(30)).await;
    story.tell("all lines are mended");
    sim::heal();
    for guest in &guests {
        guest.join().await;
    }
    (story.lines.take(), sim::trace_hash())
}

fn main() {
    let seed = std::env::args().nth(1).map_or(7, |text| text.parse().expect("sim_chat [SEED]"));
    let (story, hash) = sim::run(seed, evening());
    for line in story {
        println!("{line}");
    }
    println!("seed {seed}, trace {hash:016x}");
}
