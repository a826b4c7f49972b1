//! The load against servers on plain threads: one that echoes, and some that do not quite.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use quoit_testkit::{EchoLoad, EchoReport};

/// Starts a server that runs `serve` on a thread for each connection, until the test's process ends.
fn server(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a loopback");
    let address = listener.local_addr().expect("it is bound");
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            // A client that has seen enough hangs up: how the connection ends is the client's to judge.
            thread::spawn(move || drop(serve(stream)));
        }
    });
    address
}

/// Echoes until the end; `change` sees each piece and its offset before it goes back.
fn echo(mut stream: TcpStream, change: impl Fn(u64, &mut [u8])) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    let mut offset = 0;
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        change(offset, &mut buffer[..count]);
        stream.write_all(&buffer[..count])?;
        offset += count as u64;
    }
}

fn faithful() -> SocketAddr {
    server(|stream| echo(stream, |_, _| {}))
}

/// A load that is small enough for a test.
fn load(address: SocketAddr) -> EchoLoad {
    let mut load = EchoLoad::new(address);
    load.connections = 4;
    load.messages_per_connection = 20;
    load.max_bytes = 10_000;
    load
}

fn error(load: &EchoLoad) -> (ErrorKind, String) {
    let error = load.run().expect_err("the server is at fault");
    (error.kind(), error.to_string())
}

#[test]
fn every_byte_comes_back_from_an_echo_server() {
    static BYTES: AtomicU64 = AtomicU64::new(0);
    let address = server(|stream| echo(stream, |_, piece| _ = BYTES.fetch_add(piece.len() as u64, Ordering::SeqCst)));
    let mut load = load(address);
    load.connections = 100;
    load.threads = 3;
    let report = load.run().expect("the server echoes");
    assert_eq!((report.connections, report.messages), (100, 2000));
    assert_eq!(report.bytes, BYTES.load(Ordering::SeqCst));
    assert!((2000 * 4_000..2000 * 6_000).contains(&report.bytes), "{report}");
    // The same seed sends the same, on however many threads.
    load.threads = 1;
    let again = load.run().expect("the server echoes");
    assert_eq!(again, EchoReport { elapsed: again.elapsed, ..report.clone() });
    load.seed = 2;
    assert_ne!(load.run().expect("the server echoes").bytes, report.bytes);
}

#[test]
fn message_larger_than_all_buffers_does_not_deadlock() {
    let mut load = load(faithful());
    load.connections = 2;
    load.messages_per_connection = 2;
    (load.min_bytes, load.max_bytes) = (24 * 1024 * 1024, 24 * 1024 * 1024);
    let report = load.run().expect("the server echoes");
    assert_eq!((report.messages, report.bytes), (4, 4 * 24 * 1024 * 1024));
}

#[test]
fn more_connections_than_the_backlog_are_served() {
    // The thread that accepts is slower than the kernel by far, and the backlog of std is 128.
    let mut load = load(faithful());
    load.connections = 600;
    load.messages_per_connection = 2;
    (load.min_bytes, load.max_bytes) = (1, 1);
    let report = load.run().expect("the server echoes");
    assert_eq!((report.connections, report.messages, report.bytes), (600, 1200, 1200));
}

#[test]
fn several_messages_are_under_way_and_the_clock_is_read_for_each() {
    // It answers three at once: with fewer under way it would wait for ever.
    let mut load = load(server(|mut stream| {
        let mut buffer = [0; 30];
        while stream.read_exact(&mut buffer).is_ok() {
            stream.write_all(&buffer)?;
        }
        Ok(())
    }));
    (load.min_bytes, load.max_bytes) = (10, 10);
    load.messages_per_connection = 30;
    load.under_way = 3;
    load.threads = 2;
    let report = load.run().expect("the server echoes");
    assert_eq!((report.messages, report.bytes, report.latencies_ns.len()), (120, 1200, 0));
    load.sample_latency = true;
    let report = load.run().expect("the server echoes");
    assert_eq!((report.messages, report.latencies_ns.len()), (120, 120));
    assert!(report.latencies_ns.iter().all(|nanoseconds| (1..=report.elapsed.as_nanos() as u64).contains(nanoseconds)));
    load.under_way = 2;
    load.idle_timeout = Duration::from_millis(200);
    assert_eq!(error(&load).0, ErrorKind::TimedOut);
}

#[test]
fn no_more_connections_are_open_than_allowed() {
    static OPEN: AtomicU64 = AtomicU64::new(0);
    static MOST: AtomicU64 = AtomicU64::new(0);
    let mut load = load(server(|stream| {
        MOST.fetch_max(OPEN.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let result = echo(stream.try_clone()?, |_, _| {});
        OPEN.fetch_sub(1, Ordering::SeqCst);
        drop(stream);
        result
    }));
    load.connections = 50;
    load.open_at_once = 3;
    load.messages_per_connection = 1;
    assert_eq!(load.run().expect("the server echoes").connections, 50);
    assert!((1..=3).contains(&MOST.load(Ordering::SeqCst)), "{MOST:?}");
}

#[test]
fn connection_without_messages_ends_cleanly() {
    let mut load = load(faithful());
    load.messages_per_connection = 0;
    let report = load.run().expect("the server echoes");
    assert_eq!((report.connections, report.messages, report.bytes), (4, 0, 0));
}

#[test]
fn ipv6_is_spoken() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || drop(echo(stream, |_, _| {})));
        }
    });
    assert_eq!(load(address).run().expect("the server echoes").connections, 4);
}

#[test]
fn flipped_bit_is_caught_where_it_is() {
    let address = server(|stream| {
        echo(stream, |offset, piece| {
            if (offset..offset + piece.len() as u64).contains(&30_000) {
                piece[(30_000 - offset) as usize] ^= 1;
            }
        })
    });
    let mut load = load(address);
    load.connections = 1;
    let (kind, text) = error(&load);
    assert_eq!(kind, ErrorKind::InvalidData);
    assert!(text.starts_with("connection 0, offset 30000: sent 0x"), "{text}");
}

#[test]
fn repeated_bytes_are_caught() {
    // A server that sends a piece a second time if the first write was short, as it believes.
    let address = server(|mut stream| {
        let mut buffer = [0; 8];
        let count = stream.read(&mut buffer)?;
        stream.write_all(&buffer[..count])?;
        stream.write_all(&buffer[..count])?;
        echo(stream, |_, _| {})
    });
    let mut load = load(address);
    (load.min_bytes, load.max_bytes) = (8, 8);
    assert_eq!(error(&load).0, ErrorKind::InvalidData);
    // After the last message, too, when nothing is left to compare with.
    load.messages_per_connection = 1;
    let (kind, text) = error(&load);
    assert_eq!(kind, ErrorKind::InvalidData);
    assert!(text.contains("offset 8: got bytes that were not sent"), "{text}");
}

#[test]
fn early_end_is_caught() {
    let address = server(|mut stream| {
        let mut buffer = [0; 10];
        stream.read_exact(&mut buffer)?;
        stream.write_all(&buffer)?;
        stream.shutdown(Shutdown::Write)?;
        // Reads on, so that the end arrives as an end and not as a reset.
        io::copy(&mut stream, &mut io::sink()).map(drop)
    });
    let mut load = load(address);
    load.min_bytes = 100;
    let (kind, text) = error(&load);
    assert_eq!(kind, ErrorKind::UnexpectedEof);
    assert!(text.contains("offset 10: the server has closed the connection early"), "{text}");
}

#[test]
fn reset_is_caught() {
    // Closed with unread bytes: the kernel resets.
    let address = server(|stream| stream.peek(&mut [0]).map(drop));
    let mut load = load(address);
    load.messages_per_connection = 1;
    let (kind, text) = error(&load);
    assert!([ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&kind), "{text}");
    assert!(text.contains("offset 0"), "{text}");
}

#[test]
fn server_that_stalls_is_caught() {
    // It takes all, and keeps it.
    let address = server(|mut stream| io::copy(&mut stream, &mut io::sink()).map(drop));
    let mut load = load(address);
    load.idle_timeout = Duration::from_millis(200);
    let (kind, text) = error(&load);
    assert_eq!(kind, ErrorKind::TimedOut);
    assert!(text.contains("offset 0: what was sent does not come back"), "{text}");
}

#[test]
fn server_that_does_not_close_is_caught() {
    let address = server(|stream| {
        echo(stream.try_clone()?, |_, _| {})?;
        // Held open until the client gives up, without reading or writing.
        thread::park();
        drop(stream);
        Ok(())
    });
    let mut load = load(address);
    load.idle_timeout = Duration::from_millis(500);
    let (kind, text) = error(&load);
    assert_eq!(kind, ErrorKind::TimedOut);
    assert!(text.contains("the server does not close its side"), "{text}");
}

#[test]
fn nobody_who_listens_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a loopback");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    let (kind, text) = error(&load(address));
    assert_eq!(kind, ErrorKind::ConnectionRefused);
    assert!(text.starts_with("connection "), "{text}");
}

#[test]
fn senseless_loads_are_refused() {
    let sensible = load("127.0.0.1:1".parse().expect("an address"));
    let senseless: [fn(&mut EchoLoad); 8] = [
        |load| load.connections = 0,
        |load| load.threads = 0,
        |load| load.under_way = 0,
        |load| load.open_at_once = 0,
        |load| load.min_bytes = 0,
        |load| load.min_bytes = load.max_bytes + 1,
        |load| load.max_bytes = u64::MAX,
        |load| load.messages_per_connection = u64::MAX,
    ];
    for change in senseless {
        let mut load = sensible.clone();
        change(&mut load);
        assert_eq!(error(&load).0, ErrorKind::InvalidInput, "{load:?}");
    }
}

#[test]
fn program_reports_and_exits_0_on_an_echo_and_1_on_a_difference() {
    let good = program(&[&faithful().to_string(), "--connections", "3", "--messages", "5", "--min", "7", "--max", "7"]);
    assert_eq!(good.0, Some(0), "{good:?}");
    assert!(good.1.starts_with("3 connections, 15 messages, 105 bytes in "), "{good:?}");
    let bad = server(|stream| echo(stream, |_, piece| piece[0] ^= 0x80)).to_string();
    let bad = program(&[&bad, "--seed", "7", "--connections", "1"]);
    assert_eq!(bad.0, Some(1), "{bad:?}");
    assert!(bad.2.contains("connection 0, offset 0: sent 0x") && bad.2.contains("(seed 7)"), "{bad:?}");
}

#[test]
fn program_explains_its_usage_and_exits_2() {
    let wrong: [&[&str]; 6] = [
        &[],
        &["--messages", "1"],
        &["127.0.0.1"],
        &["127.0.0.1:1", "--messages"],
        &["127.0.0.1:1", "--messages", "many"],
        &["127.0.0.1:1", "--size", "1"],
    ];
    for arguments in wrong {
        let (code, _, text) = program(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {text}");
        assert!(text.contains("usage: echo-client ADDRESS"), "{arguments:?}: {text}");
    }
    assert_eq!(program(&["--help"]).0, Some(0));
}

/// Runs `echo-client`: its exit code, output and errors.
fn program(arguments: &[&str]) -> (Option<i32>, String, String) {
    let program = env!("CARGO_BIN_EXE_echo-client");
    let output = Command::new(program).args(arguments).output().expect("the program was built");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}
