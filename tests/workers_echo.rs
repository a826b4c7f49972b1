//! An echo served by two threads, by both ways of sharing a port: every byte comes back.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quoit::net::{TcpListener, TcpSocket, TcpStream, serve};
use quoit::{FutureExt as _, Workers, sync::CancellationToken};
use quoit_testkit::{EchoLoad, FdCount};

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

const CONNECTIONS: usize = 24;
const LONG: Duration = Duration::from_secs(30);

/// Connections that each thread has served.
type Served = Arc<[AtomicU64; 2]>;

async fn echo(stream: TcpStream, served: &Served) -> io::Result<()> {
    served[Workers::current_index().expect("a worker")].fetch_add(1, Ordering::Relaxed);
    while let Some(received) = stream.recv().await? {
        stream.write_all(received).await.0?;
    }
    Ok(())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

fn load(address: SocketAddr) {
    let mut load = EchoLoad::new(address);
    (load.connections, load.messages_per_connection, load.max_bytes) = (CONNECTIONS, 10, 64 << 10);
    let report = load.run().expect("every byte comes back");
    assert_eq!((report.connections, report.messages), (CONNECTIONS, 10 * CONNECTIONS as u64));
}

#[test]
fn two_threads_with_a_listener_each_and_one_that_deals_both_echo_every_byte() {
    let fds = FdCount::now();
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let workers = Workers::builder().threads(2).build().expect("this machine has io_uring");

    // A listener each; a token ends them in order.
    let (served, token) = (Served::default(), CancellationToken::new());
    let first = listen(anywhere).expect("a port");
    let address = first.local_addr().expect("it is bound");
    let serving = workers.broadcast({
        let (served, token) = (Arc::clone(&served), token.clone());
        move |_| {
            let (served, token) = (Arc::clone(&served), token.clone());
            async move {
                let handler = move |stream| {
                    let served = Arc::clone(&served);
                    async move { echo(stream, &served).await }
                };
                serve(listen(address)?, handler).with_cancel(&token).await
            }
        }
    });
    // Both listen before the one that nobody serves goes: what the kernel had given to that would be reset.
    workers
        .broadcast(|_| quoit::task::yield_now())
        .into_iter()
        .for_each(|task| task.join_blocking().expect("no panic"));
    drop(first);
    load(address);
    token.cancel();
    for task in serving {
        task.join_blocking().expect("no panic").expect("an orderly end");
    }
    let counts = [0, 1].map(|index| served[index].load(Ordering::Relaxed));
    assert_eq!(counts.iter().sum::<u64>(), CONNECTIONS as u64);
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");

    // One that deals, as descriptors: who has the fewest tasks gets the next.
    let served = Served::default();
    let (sender, addresses) = std::sync::mpsc::channel();
    let dealing = workers.spawn_on(0, {
        let served = Arc::clone(&served);
        move || async move {
            let listener = TcpListener::bind(anywhere).await?;
            sender.send(listener.local_addr()?).expect("the test waits");
            let workers = Workers::current().expect("a worker");
            serve(listener, move |stream| {
                let (served, workers) = (Arc::clone(&served), workers.clone());
                async move {
                    let descriptor = stream.into_std()?;
                    workers.spawn(move || async move { echo(TcpStream::from_std(descriptor)?, &served).await }).await?
                }
            })
            .await
        }
    });
    load(addresses.recv_timeout(LONG).expect("it listens"));
    let counts = [0, 1].map(|index| served[index].load(Ordering::Relaxed));
    assert_eq!(counts.iter().sum::<u64>(), CONNECTIONS as u64);
    // The one that deals has a task for each of them as well, so it may get none itself.
    assert!(counts[1] > 0, "{counts:?}");
    assert!(!dealing.is_finished());

    // It still serves when the set ends.
    let report = workers.shutdown(LONG);
    assert!(report.is_clean() && report.tasks_dropped >= 1 && report.operations_cancelled >= 1, "{report}");
    assert!(dealing.join_blocking().expect_err("it had no end").is_cancelled());
    fds.assert_same();
}
