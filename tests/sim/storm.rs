//! Storms in simulated worlds: futures are dropped at random while the network misbehaves, and in the end the books must
//! balance. `QUOIT_SIM_SEEDS=4000` sets how many seeds each storm runs, `QUOIT_SIM_FROM=17` where they begin; seeds that once
//! failed are kept in `seeds.txt` and come first.

use std::cell::Cell;
use std::env;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join;
use quoit::FutureExt;
use quoit::net::{TcpListener, TcpStream};
use quoit::sim::{self, Faults};
use quoit::time::{sleep, timeout};
use quoit_testkit::Rng;

/// Runs a storm for each of its seeds.
fn storm<F: Future>(name: &str, make: impl Fn() -> F) {
    let kept = include_str!("seeds.txt").lines().filter_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    for seed in kept {
        sim::check(seed..seed + 1, &make);
    }
    let number = |name: &str| env::var(name).ok().map(|text| text.parse().expect("a number"));
    let from: u64 = number("QUOIT_SIM_FROM").unwrap_or(0);
    sim::check(from..from + number("QUOIT_SIM_SEEDS").unwrap_or(40), make);
}

/// Numbers that the world's seed decides.
fn dice() -> Rng {
    Rng::exact(sim::random())
}

/// Gives a future up after a short while, now and then.
async fn maybe<T>(rng: &mut Rng, future: impl Future<Output = T>) -> Option<T> {
    if rng.below(3) == 0 {
        timeout(Duration::from_micros(rng.below(3_000)), future).await.ok()
    } else {
        Some(future.await)
    }
}

/// A frame: its length, its number, and bytes that follow from both.
fn frame(stream: u64, number: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    Rng::exact(stream << 32 | u64::from(number)).bytes(&mut bytes);
    [&(length as u32).to_le_bytes()[..], &number.to_le_bytes(), &bytes].concat()
}

/// Sends frames, some of which it gives up; the numbers of those that were sent for certain.
async fn send(stream: &TcpStream, id: u64, rng: &mut Rng) -> Vec<u32> {
    let mut sent = Vec::new();
    for number in 0..rng.below(12) as u32 {
        let length = if rng.below(4) == 0 { rng.below(20_000) } else { rng.below(600) };
        let frame = frame(id, number, length as usize);
        let written = match rng.below(4) {
            0 => maybe(rng, stream.write_all_zc(frame)).await,
            _ => maybe(rng, stream.write_all(frame)).await,
        };
        match written {
            Some((Ok(()), _)) => sent.push(number),
            Some((Err(_), _)) => break,
            None => {}
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Write).await;
    sent
}

/// Receives until the end, giving up again and again. Whether it came to an orderly end.
async fn receive(stream: &TcpStream, rng: &mut Rng) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    loop {
        let room = 1 + rng.below(3_000) as usize;
        let got = match rng.below(3) {
            0 => maybe(rng, stream.recv())
                .await
                .map(|got| got.map(|got| got.map(|got| got.to_vec()).unwrap_or_default())),
            1 => {
                let read = maybe(rng, stream.read(Vec::with_capacity(room))).await;
                read.map(|(count, buffer)| count.map(|_| buffer))
            }
            _ => {
                let read = maybe(rng, stream.read_exact(Vec::with_capacity(room))).await;
                match read {
                    Some((Err(error), _)) if error.kind() == std::io::ErrorKind::UnexpectedEof => None,
                    read => read.map(|(count, buffer)| count.map(|_| buffer)),
                }
            }
        };
        match got {
            None => {}
            Some(Ok(more)) if more.is_empty() => return (bytes, true),
            Some(Ok(more)) => bytes.extend(more),
            Some(Err(_)) => return (bytes, false),
        }
    }
}

/// The numbers of the frames that arrived: each whole, but for the last one where the connection broke.
fn frames(id: u64, mut bytes: &[u8], is_whole: bool) -> Vec<u32> {
    let mut numbers = Vec::new();
    while bytes.len() >= 8 {
        let length = u32::from_le_bytes(bytes[..4].try_into().expect("four bytes")) as usize;
        let number = u32::from_le_bytes(bytes[4..8].try_into().expect("four bytes"));
        let expected = frame(id, number, length);
        let there = expected.len().min(bytes.len());
        assert!(bytes[..there] == expected[..there], "stream {id}: frame {number} is not what was sent");
        bytes = &bytes[there..];
        if there == expected.len() {
            numbers.push(number);
        } else {
            assert!(!is_whole, "stream {id}: frame {number} is cut");
        }
    }
    assert!(bytes.is_empty() || !is_whole, "stream {id}: a frame is cut");
    assert!(numbers.is_sorted_by(|one, next| one < next), "stream {id}: frames out of order: {numbers:?}");
    numbers
}

/// Talks in both directions; `id` names what is sent, `peer` what is received. What was sent for certain, and what arrived.
async fn talk(stream: TcpStream, id: u64, peer: u64) -> (Vec<u32>, Vec<u32>, bool) {
    let (mut sending, mut receiving) = (dice(), Rng::exact(id));
    let (sent, (bytes, is_whole)) = join(send(&stream, id, &mut sending), receive(&stream, &mut receiving)).await;
    (sent, frames(peer, &bytes, is_whole), is_whole)
}

/// What both ends of all connections have told, added up.
#[derive(Default)]
struct Books {
    /// Frames that were sent for certain less those that arrived; what was given up may have arrived, too.
    missing: Cell<i64>,
    ended: Cell<u64>,
}

const CONNECTIONS: u64 = 4;

async fn serve(books: Rc<Books>) {
    let listener = TcpListener::bind("[::]:7").await.expect("a free port");
    let mut rng = dice();
    let mut tasks = Vec::new();
    while tasks.len() < CONNECTIONS as usize {
        // Given up again and again: a connection goes to the next call.
        let Some(accepted) = maybe(&mut rng, listener.accept()).await else { continue };
        let (stream, _) = accepted.expect("a connection");
        tasks.push(quoit::spawn(async move {
            let (id, _) = stream.read_exact(Vec::with_capacity(1)).await;
            id.expect("the first byte");
            talk(stream, 1_000, 1).await
        }));
    }
    let _ = &books;
    for task in tasks {
        let (sent, arrived, is_whole) = task.await.expect("no panic");
        assert!(is_whole);
        books.missing.set(books.missing.get() + sent.len() as i64 - arrived.len() as i64);
        books.ended.set(books.ended.get() + 1);
    }
    drop(listener);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(sim::open_files(), 0, "descriptors of the server are left");
}

async fn connect(books: Rc<Books>) {
    let stream = loop {
        match TcpStream::connect("server:7").await {
            Ok(stream) => break stream,
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    };
    stream.write_all(vec![1]).await.0.expect("a connection");
    let (sent, arrived, is_whole) = talk(stream, 1, 1_000).await;
    assert!(is_whole);
    books.missing.set(books.missing.get() + sent.len() as i64 - arrived.len() as i64);
    books.ended.set(books.ended.get() + 1);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(sim::open_files(), 0, "descriptors of a client are left");
}

fn weather() -> Faults {
    let mut faults = Faults::new();
    faults.latency(Duration::ZERO..Duration::from_millis(20)).short_io(0.1);
    faults
}

/// Nothing is reset, so nothing may be missing: every frame that was sent for certain has arrived, whole and in order, and
/// every connection was accepted. Partitions come and go.
#[test]
fn storm_loses_nothing() {
    storm("loses_nothing", || async {
        sim::set_faults(&weather());
        let books = Rc::new(Books::default());
        let server = sim::host("server", {
            let books = Rc::clone(&books);
            move || serve(Rc::clone(&books))
        });
        let clients: Vec<sim::Host> = (0..CONNECTIONS)
            .map(|number| {
                let books = Rc::clone(&books);
                sim::host(&format!("client{number}"), move || connect(Rc::clone(&books)))
            })
            .collect();
        let mut rng = dice();
        for _ in 0..rng.below(4) {
            sleep(Duration::from_millis(rng.below(200))).await;
            sim::partition(server.ip(), clients[rng.below(CONNECTIONS) as usize].ip());
            sleep(Duration::from_millis(rng.below(2_000))).await;
            sim::heal();
            sim::set_faults(&weather());
        }
        sim::heal();
        let all = async {
            server.join().await;
            for client in &clients {
                client.join().await;
            }
        };
        all.timeout(Duration::from_secs(3600)).await.expect("after healing everything finishes");
        assert_eq!(books.ended.get(), 2 * CONNECTIONS);
        assert!(books.missing.get() <= 0, "{} frames are missing", books.missing.get());
    });
}

/// Connections are reset, and the server crashes: what arrives is still a beginning of what was sent, and all ends.
#[test]
fn storm_of_resets_and_crashes_keeps_order() {
    async fn serve() {
        let listener = TcpListener::bind("0.0.0.0:7").await.expect("a free port");
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            drop(quoit::spawn(talk(stream, 1_000, 1)));
        }
    }
    async fn connect() {
        let mut rng = dice();
        for _ in 0..4 {
            let Some(connected) = maybe(&mut rng, TcpStream::connect("server:7")).await else { continue };
            let Ok(stream) = connected else { continue };
            let _ = talk(stream, 1, 1_000).timeout(Duration::from_secs(60)).await;
        }
        sleep(Duration::from_secs(60)).await;
        assert_eq!(sim::open_files(), 0, "descriptors of a client are left");
    }
    storm("resets_and_crashes", || async {
        sim::set_faults(weather().reset(0.02));
        let server = sim::host("server", serve);
        let clients = ["a", "b", "c"].map(|name| sim::host(name, connect));
        let mut rng = dice();
        for _ in 0..rng.below(4) {
            sleep(Duration::from_millis(rng.below(500))).await;
            server.crash();
            sleep(Duration::from_millis(rng.below(500))).await;
            server.restart();
        }
        for client in &clients {
            client.join().timeout(Duration::from_secs(7200)).await.expect("all ends");
        }
    });
}

/// A storm with all that it does is repeated by its seed.
#[test]
fn storm_is_repeated_by_its_seed() {
    let hash = |seed| {
        sim::run(seed, async {
            sim::set_faults(weather().reset(0.01));
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("bound");
            let client = quoit::spawn(async move {
                let stream = TcpStream::connect(address).await?;
                let _ = talk(stream, 1, 2).timeout(Duration::from_secs(60)).await;
                std::io::Result::Ok(())
            });
            if let Ok(Ok((stream, _))) = listener.accept().timeout(Duration::from_secs(60)).await {
                let _ = talk(stream, 2, 1).timeout(Duration::from_secs(60)).await;
            }
            let _ = client.await.expect("no panic");
            sim::trace_hash()
        })
    };
    for seed in 0..30 {
        assert_eq!(hash(seed), hash(seed), "seed {seed}");
    }
}
