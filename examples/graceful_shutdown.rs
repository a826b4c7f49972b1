//! An echo server on several threads that ends in order: `graceful_shutdown [ADDRESS]`, then Ctrl-C.
//!
//! The first SIGINT or SIGTERM stops accepting, and lets each connection end what it has in hand; who has not ended after
//! three seconds is cut off. A second signal ends the program at once.
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use quoit::net::{TcpListener, TcpSocket, TcpStream, serve};
use quoit::{FutureExt as _, Workers};

#[quoit::main(threads = 2)]
async fn main() -> io::Result<()> {
    let address: SocketAddr = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into()).parse().expect("an address");
    let workers = Workers::current().expect("the threads of this program");
    let token = quoit::signal::shutdown();
    let stop = token.clone();
    let mut serving = workers.broadcast(move |index| {
        let stop = stop.clone();
        async move {
            // A token reaches across threads: each `serve` closes its listener, and waits for its connections.
            let result = serve(listen(address)?, echo).with_cancel(&stop).await;
            println!("thread {index} has ended");
            result
        }
    });
    println!("listening on {address}");
    token.cancelled().await;
    println!("ending");
    let all = async {
        for thread in serving.drain(..) {
            thread.await??;
        }
        io::Result::Ok(())
    };
    let Ok(result) = all.timeout(Duration::from_secs(3)).await else {
        // What is left is dropped with the runtimes, when `main` returns.
        eprintln!("some connections did not end in time");
        return Ok(());
    };
    result
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    while let Some(received) = stream.recv().await? {
        stream.write_all(received).await.0?;
    }
    Ok(())
}
