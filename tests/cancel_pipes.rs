//! Cancel scopes reach pipes, and what is read or written above them.

use std::time::Duration;

use quoit::io::{AsyncReadExt as _, BufReader, BufWriter, pipe};
use quoit::process::Command;
use quoit::sync::CancellationToken;
use quoit::{FutureExt as _, is_cancelled, transferred};
use quoit_testkit::QuarantineAlloc;

#[global_allocator]
static ALLOC: QuarantineAlloc = QuarantineAlloc::new();

#[quoit::test]
async fn a_stopped_read_gives_its_buffer_back_and_leaves_the_bytes() {
    let (reader, writer) = pipe().unwrap();
    let token = CancellationToken::new();
    let (waiting, stopping) =
        (reader.read(b"kept".to_vec().into_boxed_slice()).with_cancel(&token), async { token.cancel() });
    let ((result, buf), ()) = quoit::join!(waiting, stopping);
    let error = result.unwrap_err();
    assert!(is_cancelled(&error), "{error}");
    assert_eq!(&*buf, b"kept");
    writer.write_all("later").await.0.unwrap();
    assert_eq!(*reader.read_exact(Box::new([0; 5])).await.1, *b"later");
}

#[quoit::test]
async fn a_stopped_read_exact_tells_how_much_of_it_is_there() {
    let (reader, writer) = pipe().unwrap();
    writer.write_all("part").await.0.unwrap();
    let (result, buf) = reader.read_exact(Vec::with_capacity(10)).cancel_after(Duration::from_millis(20)).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), transferred(&error), &buf[..]), (std::io::ErrorKind::TimedOut, Some(4), &b"part"[..]));
}

#[quoit::test]
async fn a_stopped_write_all_tells_how_much_is_out_and_the_next_goes_on_from_there() {
    let (reader, writer) = pipe().unwrap();
    let sent: Vec<u8> = (0..300_000_u32).map(|index| (index % 251) as u8).collect();
    let (result, sent) = writer.write_all(sent).cancel_after(Duration::from_millis(20)).await;
    let out = transferred(&result.unwrap_err()).expect("it was stopped midway");
    assert!(out > 0 && out < sent.len(), "{out}");
    let rest = sent[out..].to_vec();
    let writing = quoit::spawn(async move { writer.write_all(rest).await.0 });
    let (result, received) = reader.read_to_end(Vec::new()).await;
    assert_eq!((result.unwrap(), received == sent), (300_000, true));
    writing.await.unwrap().unwrap();
}

#[quoit::test]
async fn lines_flushes_and_waits_for_children_can_be_stopped() {
    let soon = Duration::from_millis(20);
    let (reader, writer) = pipe().unwrap();
    let reader = BufReader::new(reader);
    writer.write_all("half a l").await.0.unwrap();
    let mut line = String::new();
    assert!(reader.read_line(&mut line).cancel_after(soon).await.is_err());
    writer.write_all("ine\n").await.0.unwrap();
    assert_eq!(reader.read_line(&mut line).await.unwrap(), 12);
    assert_eq!(line, "half a line\n");

    let writer = BufWriter::with_capacity(400_000, writer);
    writer.write_all(vec![7; 300_000]).await.0.unwrap();
    let out = transferred(&writer.flush().cancel_after(soon).await.unwrap_err()).expect("it was stopped midway");
    // What is not out is in the buffer, and goes out with the next flush.
    assert_eq!((out > 0, writer.buffered()), (true, 300_000 - out));
    let reading = quoit::spawn(async move { reader.read_to_end(Vec::new()).await });
    writer.shutdown().await.unwrap();
    let (result, received) = reading.await.unwrap();
    assert_eq!((result.unwrap(), received == [7; 300_000]), (300_000, true));

    let mut child = Command::new("sleep").arg("60").kill_on_drop(true).spawn().unwrap();
    assert_eq!(child.wait().cancel_after(soon).await.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(child.try_wait().unwrap(), None);
}
