//! A counter that three machines share, and how a simulation finds what is wrong with it.
//!
//!     cargo run --example sim_counter             # the right one: 100 worlds
//!     cargo run --example sim_counter -- naive    # the naive one: the first seed that breaks it
//!
//! Each machine counts, and tells the others until they have confirmed it. The naive one tells *how many more*; the right
//! one tells *how many in all*, so that it does no harm to be told twice.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use quoit::FutureExt;
use quoit::net::{TcpListener, TcpStream};
use quoit::sim;
use quoit::time::sleep;

const MACHINES: [&str; 3] = ["a", "b", "c"];
const COUNTED_BY_EACH: u64 = 5;

/// What one machine knows: the count of each.
type Counts = Rc<[Cell<u64>; 3]>;

/// Takes in what the others tell: who has counted, and how much.
async fn listen(counts: Counts, naive: bool) -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:7").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let counts = Rc::clone(&counts);
        drop(quoit::spawn(async move {
            loop {
                let (read, news) = stream.read_exact(Vec::with_capacity(9)).await;
                read?;
                let number = u64::from_le_bytes(news[1..].try_into().expect("eight bytes"));
                let count = &counts[usize::from(news[0])];
                count.set(if naive { count.get() + number } else { count.get().max(number) });
                stream.write_all("k").await.0?;
            }
            #[allow(unreachable_code, reason = "tells the type of the error")]
            io::Result::Ok(())
        }));
    }
}

/// Tells one of the others what this machine has counted, until it has confirmed it, from `told` on.
async fn tell(other: &str, own: u8, counts: &Counts, naive: bool, told: &Cell<u64>) -> io::Result<()> {
    let stream = TcpStream::connect((other, 7)).await?;
    loop {
        let counted = counts[usize::from(own)].get();
        if counted == told.get() {
            sleep(Duration::from_millis(100)).await;
            continue;
        }
        let number = if naive { counted - told.get() } else { counted };
        stream.write_all([&[own][..], &number.to_le_bytes()].concat()).await.0?;
        // No answer within a second: perhaps it never came, perhaps only the answer is late.
        let (read, _) = stream.read_exact(Vec::with_capacity(1)).timeout(Duration::from_secs(1)).await?;
        read?;
        told.set(counted);
    }
}

async fn machine(own: u8, counts: Counts, naive: bool) {
    drop(quoit::spawn(listen(Rc::clone(&counts), naive)));
    for other in MACHINES.into_iter().filter(|other| *other != MACHINES[usize::from(own)]) {
        let counts = Rc::clone(&counts);
        drop(quoit::spawn(async move {
            let told = Cell::new(0);
            loop {
                let _broken = tell(other, own, &counts, naive, &told).await;
                sleep(Duration::from_millis(100)).await;
            }
        }));
    }
    for _ in 0..COUNTED_BY_EACH {
        sleep(Duration::from_millis(sim::random() % 1_000)).await;
        let count = &counts[usize::from(own)];
        count.set(count.get() + 1);
    }
    std::future::pending::<()>().await;
}

/// Three machines count while the network fails; once it is healed, all must know the same.
async fn world(naive: bool) {
    let known: [Counts; 3] = Default::default();
    let hosts: Vec<sim::Host> = (0..3)
        .map(|own: u8| {
            let counts = Rc::clone(&known[usize::from(own)]);
            sim::host(MACHINES[usize::from(own)], move || machine(own, Rc::clone(&counts), naive))
        })
        .collect();
    for _ in 0..3 {
        sleep(Duration::from_millis(sim::random() % 2_000)).await;
        let one = (sim::random() % 3) as usize;
        sim::partition(hosts[one].ip(), hosts[(one + 1) % 3].ip());
        sleep(Duration::from_millis(sim::random() % 5_000)).await;
        sim::heal();
    }
    sleep(Duration::from_secs(60)).await;
    for (name, counts) in MACHINES.iter().zip(&known) {
        let sum: u64 = counts.iter().map(Cell::get).sum();
        assert_eq!(sum, 3 * COUNTED_BY_EACH, "machine {name} has counted wrongly");
    }
}

fn main() {
    let naive = std::env::args().nth(1).as_deref() == Some("naive");
    sim::check(0..100, || world(naive));
    println!("100 worlds, and all of them count to {}", 3 * COUNTED_BY_EACH);
}
