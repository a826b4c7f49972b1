//! A small store that speaks the protocol of Redis, sharded over threads: `sharded_kv [ADDRESS [THREADS]]`.
//!
//! Each thread has a listener of its own on the same port, and owns the keys whose hash is its number: a plain map, without
//! a lock. What arrives together on a connection is answered together: the keys of this thread are looked up here, and each
//! other thread that owns some is asked once. Commands are answered in order; those that touch keys of several threads, such as
//! `MSET`, are not atomic.
//!
//! Try it with `redis-cli -p 6380` and `redis-benchmark -p 6380 -t ping,set,get,incr,mset -P 16 -q`.

mod command;
mod resp;
mod store;

use std::io;
use std::net::SocketAddr;

use quoit::Workers;
use quoit::net::{TcpListener, TcpSocket, TcpStream};

use crate::command::Command;
use crate::resp::{Parser, Reply};
use crate::store::Shards;

#[quoit::main(threads = threads())]
async fn main() -> io::Result<()> {
    let address: SocketAddr = std::env::args().nth(1).unwrap_or("127.0.0.1:6380".into()).parse().expect("an address");
    let workers = Workers::current().expect("the threads of this program");
    let shards = Shards::new(workers.clone());
    println!("listening on {address}, {} threads", workers.len());
    let serving = workers.broadcast(move |_| {
        let shards = shards.clone();
        async move { quoit::net::serve(listen(address)?, move |stream| serve(stream, shards.clone())).await }
    });
    for thread in serving {
        thread.await??;
    }
    Ok(())
}

fn threads() -> usize {
    std::env::args().nth(2).map_or(2, |threads| threads.parse().expect("a number of threads"))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// Answers the commands of one connection until it ends, or sends what is no command.
async fn serve(stream: TcpStream, shards: Shards) -> io::Result<()> {
    let mut parser = Parser::new();
    let mut out = Vec::new();
    while let Some(received) = stream.recv().await? {
        parser.feed(&received);
        drop(received);
        loop {
            let (requests, end) = parser.take(MOST_COMMANDS);
            let commands: Vec<Command> = requests.into_iter().map(Command::read).collect();
            if commands.is_empty() && end.is_none() {
                break;
            }
            for reply in shards.answer(commands).await {
                reply.write(&mut out);
                // Large values are sent as they come, instead of all at once.
                if out.len() >= MOST_BYTES {
                    out = send(&stream, out).await?;
                }
            }
            if let Some(error) = end {
                Reply::error(&error).write(&mut out);
                send(&stream, out).await?;
                return stream.close().await;
            }
            out = send(&stream, out).await?;
        }
    }
    Ok(())
}

/// Sends the bytes, and gives the buffer back, empty.
async fn send(stream: &TcpStream, out: Vec<u8>) -> io::Result<Vec<u8>> {
    let (result, mut out) = stream.write_all(out).await;
    result?;
    out.clear();
    Ok(out)
}

/// Commands that are answered together.
const MOST_COMMANDS: usize = 256;
/// Answers are sent when there is this much of them.
const MOST_BYTES: usize = 256 << 10;
