//! The protocol: requests as arrays of strings or as lines, and replies. See <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use bytes::{Buf, Bytes, BytesMut};

/// Takes requests out of a stream of bytes, in whatever pieces that arrives. Each byte is looked at a bounded number of times.
pub(crate) struct Parser {
    bytes: BytesMut,
    /// The request that is being read, if its head has been seen.
    partial: Option<Partial>,
    /// How much of `bytes` is known to have no end of line.
    without_line: usize,
}

struct Partial {
    /// Arguments that are still to come.
    missing: usize,
    /// The length of the next one, if it is known.
    length: Option<usize>,
    arguments: Vec<Bytes>,
    /// How long they are altogether.
    total: usize,
}

/// What a step of the parser comes to.
enum Step<T> {
    Done(T),
    /// More bytes are needed.
    Incomplete,
    /// The stream makes no sense from here on.
    Malformed(String),
}

impl Parser {
    pub(crate) fn new() -> Self {
        Self { bytes: BytesMut::new(), partial: None, without_line: 0 }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The requests that are complete, at most so many; and what is wrong with what follows them, after which nothing can be
    /// read any more.
    pub(crate) fn take(&mut self, most: usize) -> (Vec<Vec<Bytes>>, Option<String>) {
        let mut requests = Vec::new();
        while requests.len() < most {
            match self.next() {
                // An empty line is no request.
                Step::Done(request) if request.is_empty() => {}
                Step::Done(request) => requests.push(request),
                Step::Incomplete => break,
                Step::Malformed(error) => return (requests, Some(format!("ERR Protocol error: {error}"))),
            }
        }
        (requests, None)
    }

    fn next(&mut self) -> Step<Vec<Bytes>> {
        if self.partial.is_none() {
            match self.bytes.first() {
                None => return Step::Incomplete,
                Some(b'*') => match self.head() {
                    Step::Done(count) => {
                        let arguments = Vec::with_capacity(count.min(64));
                        self.partial = Some(Partial { missing: count, length: None, arguments, total: 0 });
                    }
                    Step::Incomplete => return Step::Incomplete,
                    Step::Malformed(error) => return Step::Malformed(error),
                },
                Some(_) => return self.inline(),
            }
        }
        self.arguments()
    }

    /// `*COUNT`.
    fn head(&mut self) -> Step<usize> {
        match self.line("too big mbulk count string") {
            Step::Done(line) => match number(&line[1..]) {
                Some(count) if count <= MOST_ARGUMENTS => Step::Done(usize::try_from(count).unwrap_or(0)),
                _ => Step::Malformed("invalid multibulk length".into()),
            },
            Step::Incomplete => Step::Incomplete,
            Step::Malformed(error) => Step::Malformed(error),
        }
    }

    /// `$LENGTH`, the bytes, and an end of line, for each argument.
    fn arguments(&mut self) -> Step<Vec<Bytes>> {
        loop {
            let partial = self.partial.as_mut().expect("a request is being read");
            if partial.missing == 0 {
                return Step::Done(self.partial.take().expect("looked at above").arguments);
            }
            let Some(length) = partial.length else {
                match self.length() {
                    Step::Done(length) => {
                        let partial = self.partial.as_mut().expect("a request is being read");
                        partial.total += length;
                        if partial.total > MOST_BYTES {
                            return Step::Malformed("the request is too large".into());
                        }
                        partial.length = Some(length);
                        continue;
                    }
                    Step::Incomplete => return Step::Incomplete,
                    Step::Malformed(error) => return Step::Malformed(error),
                }
            };
            if self.bytes.len() < length + 2 {
                return Step::Incomplete;
            }
            let argument = self.bytes.split_to(length).freeze();
            self.bytes.advance(2);
            partial.arguments.push(argument);
            partial.length = None;
            partial.missing -= 1;
        }
    }

    fn length(&mut self) -> Step<usize> {
        match self.bytes.first() {
            None => Step::Incomplete,
            Some(b'$') => match self.line("too big bulk count string") {
                Step::Done(line) => match number(&line[1..]).and_then(|length| usize::try_from(length).ok()) {
                    Some(length) if length <= MOST_BYTES => Step::Done(length),
                    _ => Step::Malformed("invalid bulk length".into()),
                },
                Step::Incomplete => Step::Incomplete,
                Step::Malformed(error) => Step::Malformed(error),
            },
            Some(other) => Step::Malformed(format!("expected '$', got '{}'", other.escape_ascii())),
        }
    }

    /// Words on a line.
    fn inline(&mut self) -> Step<Vec<Bytes>> {
        match self.line("too big inline request") {
            Step::Done(line) => {
                let words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
                Step::Done(words.map(|word| line.slice_ref(word)).collect())
            }
            Step::Incomplete => Step::Incomplete,
            Step::Malformed(error) => Step::Malformed(error),
        }
    }

    /// The next line, without its end.
    fn line(&mut self, too_long: &str) -> Step<Bytes> {
        let Some(end) = self.bytes[self.without_line..].iter().position(|byte| *byte == b'\n') else {
            self.without_line = self.bytes.len();
            return if self.bytes.len() > MOST_LINE { Step::Malformed(too_long.into()) } else { Step::Incomplete };
        };
        let end = self.without_line + end;
        self.without_line = 0;
        if end > MOST_LINE {
            return Step::Malformed(too_long.into());
        }
        let mut line = self.bytes.split_to(end).freeze();
        self.bytes.advance(1);
        if line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        Step::Done(line)
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Status(&'static str),
    Error(String),
    Integer(i64),
    /// A string, or none.
    Bulk(Option<Bytes>),
    Array(Vec<Reply>),
}

impl Reply {
    /// An error; what would end the line is replaced.
    pub(crate) fn error(text: &str) -> Self {
        Self::Error(text.replace(['\r', '\n'], " "))
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Status(text) => write_line(out, b'+', text.as_bytes()),
            Self::Error(text) => write_line(out, b'-', text.as_bytes()),
            Self::Integer(number) => write_line(out, b':', number.to_string().as_bytes()),
            Self::Bulk(None) => out.extend_from_slice(b"$-1\r\n"),
            Self::Bulk(Some(bytes)) => {
                write_line(out, b'$', bytes.len().to_string().as_bytes());
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
            }
            Self::Array(replies) => {
                write_line(out, b'*', replies.len().to_string().as_bytes());
                replies.iter().for_each(|reply| reply.write(out));
            }
        }
    }
}

fn write_line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// A line of a head, or of an inline request.
const MOST_LINE: usize = 64 << 10;
/// All arguments of a request.
const MOST_BYTES: usize = 64 << 20;
const MOST_ARGUMENTS: i64 = 1 << 20;
