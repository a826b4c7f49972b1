//! Chat rooms: `cargo run --example chat -- 127.0.0.1:7000`, then `nc 127.0.0.1 7000` several times.
//!
//! The first line of a client is its name. Each later one goes to all others in its room; `/join ROOM` takes it to another
//! one. A client that does not read what it is sent misses lines, and is told how many: it holds up nobody.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::StreamExt;
use quoit::AbortOnDrop;
use quoit::net::{TcpListener, TcpStream};
use quoit::sync::broadcast::{self, error::RecvError};

/// A line, and the number of the client that said it.
type Line = (u64, Arc<str>);

/// The rooms that have been entered, by their names.
#[derive(Clone, Default)]
struct Rooms(Rc<RefCell<HashMap<String, broadcast::Sender<Line>>>>);

impl Rooms {
    fn enter(&self, name: &str) -> broadcast::Sender<Line> {
        let mut rooms = self.0.borrow_mut();
        // Those that everybody has left are forgotten.
        rooms.retain(|_, room| room.receiver_count() > 0);
        rooms.entry(name.to_owned()).or_insert_with(|| broadcast::channel(BACKLOG).0).clone()
    }
}

#[quoit::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(&address).await?;
    println!("listening on {}", listener.local_addr()?);

    let rooms = Rooms::default();
    let mut incoming = listener.incoming().enumerate();
    while let Some((number, stream)) = incoming.next().await {
        match stream {
            Ok(stream) => drop(quoit::spawn(client(number as u64, stream, rooms.clone()))),
            Err(error) => eprintln!("accept: {error}"),
        }
    }
    Ok(())
}

async fn client(number: u64, stream: TcpStream, rooms: Rooms) -> io::Result<()> {
    let stream = Rc::new(stream);
    let mut lines = Lines { stream: &stream, bytes: Vec::new() };
    stream.write_all("your name? ").await.0?;
    let Some(name) = lines.next().await? else { return Ok(()) };

    let mut room = rooms.enter("lobby");
    let mut listening = listen(number, &stream, &room);
    stream.write_all("* you are in the lobby\n").await.0?;
    say(&room, number, format!("* {name} is here\n"));
    while let Some(line) = lines.next().await? {
        if let Some(other) = line.strip_prefix("/join ") {
            say(&room, number, format!("* {name} goes to {other}\n"));
            room = rooms.enter(other);
            // The task for the old room ends; a line that it is writing is written whole.
            listening = listen(number, &stream, &room);
            stream.write_all(format!("* you are in {other}\n")).await.0?;
            say(&room, number, format!("* {name} is here\n"));
        } else {
            say(&room, number, format!("{name}: {line}\n"));
        }
    }
    drop(listening);
    say(&room, number, format!("* {name} is gone\n"));
    Ok(())
}

fn say(room: &broadcast::Sender<Line>, number: u64, line: String) {
    // An error means that nobody listens.
    let _ = room.send((number, line.into()));
}

/// Sends a client what the others in a room say, until the handle is dropped.
fn listen(number: u64, stream: &Rc<TcpStream>, room: &broadcast::Sender<Line>) -> AbortOnDrop<io::Result<()>> {
    let (stream, mut lines) = (Rc::clone(stream), room.subscribe());
    let listening = async move {
        loop {
            let line = match lines.recv().await {
                Ok((from, _)) if from == number => continue,
                Ok((_, line)) => line.to_string(),
                Err(RecvError::Lagged(count)) => format!("* you are slow: {count} lines were lost\n"),
                Err(RecvError::Closed) => return Ok(()),
            };
            stream.write_all(line).await.0?;
        }
    };
    quoit::spawn(listening).abort_on_drop()
}

/// The lines of a stream.
struct Lines<'a> {
    stream: &'a TcpStream,
    /// What has come of the next ones.
    bytes: Vec<u8>,
}

impl Lines<'_> {
    async fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            if self.bytes.len() > LONGEST_LINE {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without an end"));
            }
            match self.stream.recv().await? {
                Some(bytes) => self.bytes.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }
}

/// Lines that a room keeps for a client that is slow.
const BACKLOG: usize = 256;
const LONGEST_LINE: usize = 4 << 10;
