//! An echo server on several threads, in the two ways in which threads can share a port: `workers [own|dealt] [ADDRESS]`.
//!
//! - `own`: each thread has a listener of its own; the kernel deals connections by a hash of their addresses.
//! - `dealt`: one thread accepts, and deals each connection to the thread that has the fewest tasks.
use std::io;
use std::net::SocketAddr;

use quoit::Workers;
use quoit::net::{TcpListener, TcpSocket, TcpStream, serve};

#[quoit::main(threads = 2)]
async fn main() -> io::Result<()> {
    let way = std::env::args().nth(1).unwrap_or("own".into());
    let address: SocketAddr = std::env::args().nth(2).unwrap_or("127.0.0.1:7000".into()).parse().expect("an address");
    let workers = Workers::current().expect("the threads of this program");
    match way.as_str() {
        "own" => each_its_own(&workers, address).await,
        "dealt" => dealt(workers, address).await,
        _ => panic!("`own` or `dealt`, not `{way}`"),
    }
}

async fn each_its_own(workers: &Workers, address: SocketAddr) -> io::Result<()> {
    // Bound once, for the port; the others follow.
    let first = listen(address)?;
    let address = first.local_addr()?;
    println!("listening on {address}");
    let serving = workers.broadcast(move |_| async move { serve(listen(address)?, echo).await });
    // This one would get its share of the connections, too, and nobody accepts them.
    first.close().await?;
    for thread in serving {
        thread.await??;
    }
    Ok(())
}

async fn dealt(workers: Workers, address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    serve(listener, move |stream| {
        let workers = workers.clone();
        async move {
            // A socket belongs to the runtime of its thread; as a descriptor, it may move to another.
            let descriptor = stream.into_std()?;
            workers.spawn(move || async move { echo(TcpStream::from_std(descriptor)?).await }).await?
        }
    })
    .await
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
