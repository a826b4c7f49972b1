//! The protocol of the example `sharded_kv`: the same requests, in whatever pieces they arrive, and never a panic.

#[path = "../examples/sharded_kv/resp.rs"]
mod resp;

use bytes::Bytes;
use quoit_testkit::Rng;
use resp::{Parser, Reply};

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

/// Feeds the bytes in pieces, and takes what is there after each.
fn parse(bytes: &[u8], mut piece: impl FnMut() -> usize) -> (Vec<Vec<Bytes>>, Option<String>) {
    let mut parser = Parser::new();
    let mut requests = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(piece().clamp(1, rest.len()));
        parser.feed(now);
        rest = later;
        loop {
            let (some, end) = parser.take(3);
            let count = some.len();
            requests.extend(some);
            if end.is_some() {
                return (requests, end);
            }
            if count < 3 {
                break;
            }
        }
    }
    (requests, None)
}

const STREAM: &[u8] =
    b"*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\na\r\nb\r\nGET k\r\n\r\n  ECHO   hi \r\n*0\r\n*-1\r\n\
    *2\r\n$3\r\nGET\r\n$0\r\n\r\nPING\n";

#[test]
fn requests_are_the_same_in_whatever_pieces_they_arrive() {
    let expected: [&[&[u8]]; 6] =
        [&[b"PING"], &[b"SET", b"k", b"a\r\nb"], &[b"GET", b"k"], &[b"ECHO", b"hi"], &[b"GET", b""], &[b"PING"]];
    let (whole, end) = parse(STREAM, || usize::MAX);
    assert_eq!((whole.len(), end), (6, None));
    assert!(whole.iter().zip(expected).all(|(request, expected)| request == expected), "{whole:?}");
    for size in 1..STREAM.len() {
        assert_eq!(parse(STREAM, || size), (whole.clone(), None), "in pieces of {size}");
    }
}

#[test]
fn what_makes_no_sense_ends_the_stream_behind_what_did() {
    for (rest, text) in [
        (b"*x\r\n".as_slice(), "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*1\r\nPING\r\n", "expected '$', got 'P'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$99999999999999999999\r\n", "invalid bulk length"),
        (b"*2\r\n$67108864\r\n", "no end"),
    ] {
        let (requests, end) = parse(&[STREAM, rest].concat(), || 7);
        assert_eq!(requests.len(), 6);
        match end {
            Some(end) => assert!(end.starts_with("ERR Protocol error: ") && end.contains(text), "{end}"),
            None => assert_eq!(text, "no end", "a large argument may still come"),
        }
    }
    let (requests, end) = parse(&vec![b'x'; 200_000], || 1000);
    assert_eq!((requests.len(), end.as_deref()), (0, Some("ERR Protocol error: too big inline request")));
}

#[test]
fn no_stream_of_bytes_panics_the_parser() {
    let seed = 11;
    let mut rng = Rng::new(seed);
    for round in 0..2000 {
        // A stream that made sense, with some bytes changed.
        let mut bytes = STREAM.to_vec();
        for _ in 0..rng.below(6) {
            let place = rng.below(bytes.len() as u64) as usize;
            bytes[place] = rng.below(256) as u8;
        }
        let (requests, _end) = parse(&bytes, || rng.below(9) as usize);
        assert!(requests.len() < bytes.len(), "round {round} of seed {seed}");
    }
}

#[test]
fn replies_are_written_as_clients_read_them() {
    let mut out = Vec::new();
    let replies = [
        Reply::Status("OK"),
        Reply::error("ERR a\r\nb"),
        Reply::Integer(-3),
        Reply::Bulk(None),
        Reply::Array(vec![Reply::Bulk(Some(Bytes::from_static(b"x")))]),
    ];
    replies.iter().for_each(|reply| reply.write(&mut out));
    assert_eq!(out, b"+OK\r\n-ERR a  b\r\n:-3\r\n$-1\r\n*1\r\n$1\r\nx\r\n");
}
