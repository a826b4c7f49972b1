//! Commands: which operations on which keys a request comes to, and what reply their answers make.

use bytes::Bytes;

use crate::resp::Reply;
use crate::store::{Answer, Operation};

/// A request, understood.
pub(crate) struct Command {
    pub(crate) operations: Vec<Operation>,
    then: Then,
}

/// What becomes of the answers.
enum Then {
    /// There were no operations.
    Reply(Reply),
    /// The only one is the reply.
    One,
    /// A reply each.
    Each,
    /// Their sum.
    Sum,
    /// They are not told.
    Ok,
}

impl Command {
    /// Never fails: what is wrong with a request is its reply.
    pub(crate) fn read(request: Vec<Bytes>) -> Self {
        let mut arguments = request.into_iter();
        let name = arguments.next().unwrap_or_default().to_ascii_uppercase();
        let arguments: Vec<Bytes> = arguments.collect();
        let all = |operation: fn(Bytes) -> Operation, then| {
            let operations = arguments.iter().cloned().map(operation).collect();
            Self { operations, then }
        };
        let count = arguments.len();
        match (name.as_slice(), count) {
            (b"PING", 0) => Self::reply(Reply::Status("PONG")),
            (b"PING" | b"ECHO", 1) => Self::reply(Reply::Bulk(arguments.into_iter().next())),
            (b"GET", 1) => all(Operation::Get, Then::One),
            (b"MGET", 1..) => all(Operation::Get, Then::Each),
            (b"DEL", 1..) => all(Operation::Delete, Then::Sum),
            (b"EXISTS", 1..) => all(Operation::Exists, Then::Sum),
            (b"INCR", 1) => all(Operation::Increment, Then::One),
            (b"SET", 2) => Self::set(&arguments),
            (b"SET", 3..) => Self::reply(Reply::error("ERR syntax error")),
            (b"MSET", 2..) if count.is_multiple_of(2) => Self::set(&arguments),
            (b"DBSIZE", 0) => Self { operations: vec![Operation::Size], then: Then::Sum },
            (b"FLUSHALL", 0 | 1) => Self { operations: vec![Operation::Clear], then: Then::Ok },
            (b"COMMAND", _) => Self::reply(Reply::Array(Vec::new())),
            (b"CONFIG", 2..) if arguments[0].eq_ignore_ascii_case(b"GET") => Self::reply(config(&arguments[1..])),
            (b"CONFIG", 1..) => Self::reply(Reply::error("ERR only CONFIG GET is known")),
            _ => Self::reply(refusal(&name)),
        }
    }

    fn reply(reply: Reply) -> Self {
        Self { operations: Vec::new(), then: Then::Reply(reply) }
    }

    fn set(arguments: &[Bytes]) -> Self {
        let pairs = arguments.chunks_exact(2);
        let operations = pairs.map(|pair| Operation::Set(pair[0].clone(), pair[1].clone())).collect();
        Self { operations, then: Then::Ok }
    }

    /// The reply, when the operations have been answered, in their order.
    pub(crate) fn finish(self, mut answers: impl Iterator<Item = Answer>) -> Reply {
        match self.then {
            Then::Reply(reply) => reply,
            Then::One => answers.next().map_or(Reply::error("ERR a thread is gone"), Reply::from),
            Then::Each => Reply::Array(answers.map(Reply::from).collect()),
            Then::Sum => Reply::Integer(answers.map(|answer| answer.count()).sum()),
            Then::Ok => Reply::Status("OK"),
        }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Value(value) => Self::Bulk(value),
            Answer::Number(number) => Self::Integer(number),
            Answer::NotANumber => Self::error("ERR value is not an integer or out of range"),
        }
    }
}

/// What clients ask for before they begin; all else is unknown, which is an empty list.
fn config(names: &[Bytes]) -> Reply {
    let known = [("save", ""), ("appendonly", "no")];
    let asked = known.iter().filter(|(name, _)| names.iter().any(|asked| asked.eq_ignore_ascii_case(name.as_bytes())));
    let bulk = |text: &'static str| Reply::Bulk(Some(Bytes::from_static(text.as_bytes())));
    Reply::Array(asked.flat_map(|(name, value)| [bulk(name), bulk(value)]).collect())
}

fn refusal(name: &[u8]) -> Reply {
    let known: [&[u8]; 13] = [
        b"PING",
        b"ECHO",
        b"GET",
        b"MGET",
        b"DEL",
        b"EXISTS",
        b"INCR",
        b"SET",
        b"MSET",
        b"DBSIZE",
        b"FLUSHALL",
        b"COMMAND",
        b"CONFIG",
    ];
    let shown = name[..name.len().min(64)].escape_ascii().to_string();
    match known.contains(&name) {
        true => Reply::error(&format!("ERR wrong number of arguments for '{}' command", shown.to_lowercase())),
        false => Reply::error(&format!("ERR unknown command '{shown}'")),
    }
}
