//! A minimal HTTP/1.1 responder for curl and wrk: `http_hello [ADDRESS]`. It answers every request with the same page, keeps
//! connections alive, and answers pipelined requests in one write. Requests with bodies are beyond it.
use std::io;

use quoit::FutureExt as _;
use quoit::net::{TcpListener, TcpStream, serve};

const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\nhello, world\n";
const END: &[u8] = b"\r\n\r\n";
/// The longest head of a request.
const MOST: usize = 16 << 10;

#[quoit::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    serve(listener, respond).with_cancel(&quoit::signal::shutdown()).await
}

async fn respond(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // The beginning of a request whose end has not come yet; nearly always empty.
    let mut begun: Vec<u8> = Vec::new();
    let mut answers = Vec::new();
    while let Some(received) = stream.recv().await? {
        let mut rest: &[u8] = &received;
        if !begun.is_empty() {
            begun.extend_from_slice(rest);
            rest = &begun;
        }
        let mut is_last = false;
        while let (false, Some(end)) = (is_last, rest.windows(END.len()).position(|bytes| bytes == END)) {
            answers.extend_from_slice(PAGE);
            is_last = wants_close(&rest[..end]);
            rest = &rest[end + END.len()..];
        }
        begun = rest.to_vec();
        if begun.len() > MOST {
            return stream
                .write_all("HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n")
                .await
                .0;
        }
        if !answers.is_empty() {
            let (written, buf) = stream.write_all(answers).await;
            written?;
            answers = buf;
            answers.clear();
        }
        if is_last {
            break;
        }
    }
    stream.close().await
}

/// HTTP/1.0 closes after the answer, HTTP/1.1 where it is asked to.
fn wants_close(head: &[u8]) -> bool {
    let head = head.to_ascii_lowercase();
    let has = |text: &[u8]| head.windows(text.len()).any(|bytes| bytes == text);
    has(b" http/1.0") || has(b"connection: close")
}
