use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::rc::Rc;

use quoit_runtime::block_on;
use quoit_runtime::buf::{BufResult, IoBuf, IoBufMut, fill};
use quoit_runtime::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::support::alone;

/// Gives out and takes in a few bytes at a time, and is interrupted now and then.
#[derive(Default)]
struct Dribble {
    bytes: RefCell<Vec<u8>>,
    step: usize,
    calls: Cell<u32>,
}

impl Dribble {
    fn new(bytes: &[u8], step: usize) -> Self {
        Self { bytes: RefCell::new(bytes.to_vec()), step, calls: Cell::new(0) }
    }

    fn interrupted(&self) -> bool {
        self.calls.set(self.calls.get() + 1);
        self.calls.get().is_multiple_of(3)
    }
}

impl AsyncRead for Dribble {
    async fn read<B: IoBufMut>(&self, mut buf: B) -> BufResult<usize, B> {
        if self.interrupted() {
            return (Err(ErrorKind::Interrupted.into()), buf);
        }
        let mut bytes = self.bytes.borrow_mut();
        let step = self.step.min(bytes.len());
        let count = fill(&mut buf, &bytes[..step]);
        bytes.drain(..count);
        (Ok(count), buf)
    }
}

impl AsyncWrite for Dribble {
    async fn write<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
        if self.interrupted() {
            return (Err(ErrorKind::Interrupted.into()), buf);
        }
        let count = self.step.min(buf.len());
        self.bytes.borrow_mut().extend_from_slice(&buf.as_bytes()[..count]);
        (Ok(count), buf)
    }

    async fn shutdown(&self) -> io::Result<()> {
        Ok(())
    }
}

async fn generic<S: AsyncRead + AsyncWrite>(stream: S) -> io::Result<Vec<u8>> {
    stream.write_all("0123456789").await.0?;
    stream.flush().await?;
    stream.shutdown().await?;
    let (result, buf) = stream.read_exact(Vec::with_capacity(10)).await;
    result.map(|_| buf)
}

#[test]
fn a_trait_from_outside_has_all_methods_behind_every_pointer() {
    let alone = alone();
    block_on(async {
        let new = || Dribble::new(b"", 3);
        assert_eq!(generic(new()).await.unwrap(), b"0123456789");
        assert_eq!(generic(&new()).await.unwrap(), b"0123456789");
        assert_eq!(generic(&mut new()).await.unwrap(), b"0123456789");
        assert_eq!(generic(Box::new(new())).await.unwrap(), b"0123456789");
        assert_eq!(generic(Rc::new(new())).await.unwrap(), b"0123456789");
    });
    alone.end();
}

#[test]
fn read_exact_goes_on_in_every_kind_of_buffer_and_tells_an_early_end() {
    let alone = alone();
    block_on(async {
        let source = Dribble::new(b"abcdefghijklmnopqrst", 2);
        let (result, buf) = source.read_exact(Box::new([0; 5])).await;
        assert_eq!((result.unwrap(), *buf), (5, *b"abcde"));
        let mut head = b">".to_vec();
        head.reserve_exact(3);
        let (result, buf) = source.read_exact(head).await;
        assert_eq!((result.unwrap(), &buf[..]), (3, &b">fgh"[..]));
        let (result, part) = source.read_exact(vec![0; 8].slice(2..6)).await;
        assert_eq!((result.unwrap(), part.into_inner()), (4, b"\0\0ijkl\0\0".to_vec()));
        assert_eq!(source.read_exact(Box::new([0; 100])).await.0.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    });
    alone.end();
}

#[test]
fn a_writer_that_takes_nothing_is_an_error() {
    let alone = alone();
    block_on(async {
        let sink = Dribble::new(b"", 0);
        assert_eq!(sink.write_all("x").await.0.unwrap_err().kind(), ErrorKind::WriteZero);
        sink.write_all("").await.0.unwrap();
    });
    alone.end();
}

#[test]
fn strings_are_read_whole_or_not_at_all() {
    let alone = alone();
    block_on(async {
        let (result, text) = Dribble::new("grüße".as_bytes(), 1).read_to_string("> ".to_owned()).await;
        assert_eq!((result.unwrap(), text.as_str()), (7, "> grüße"));
        let (result, text) = Dribble::new(b"ok\xff", 1).read_to_string("> ".to_owned()).await;
        assert_eq!((result.unwrap_err().kind(), text.as_str()), (ErrorKind::InvalidData, "> "));
    });
    alone.end();
}

#[test]
fn take_ends_at_its_limit_and_chain_goes_on_behind_the_end() {
    let alone = alone();
    block_on(async {
        let both = Dribble::new(b"abcdef", 4).take(5).chain(Dribble::new(b"xyz", 2));
        let (result, bytes) = both.read_to_end(Vec::new()).await;
        assert_eq!((result.unwrap(), &bytes[..]), (8, &b"abcdexyz"[..]));
        let (head, _) = both.into_inner();
        assert_eq!(head.limit(), 0);
        head.set_limit(10);
        assert_eq!(head.read_to_end(Vec::new()).await.1, b"f");
        assert_eq!((head.limit(), head.read(Vec::new()).await.0.unwrap_err().kind()), (9, ErrorKind::InvalidInput));
    });
    alone.end();
}

#[test]
fn write_from_copies_to_the_end() {
    let alone = alone();
    block_on(async {
        let (from, to) = (Dribble::new(&[7; 10_000], 999), Dribble::new(b"", 333));
        assert_eq!(to.write_from(&from).await.unwrap(), 10_000);
        assert_eq!(*to.bytes.borrow(), [7; 10_000]);
    });
    alone.end();
}
