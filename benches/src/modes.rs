//! The kinds of load.

use crate::servers::{Server, Service};

/// One kind of load.
pub(crate) struct Mode {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) kind: Kind,
    /// Whether servers of other languages take part.
    has_guests: bool,
    /// Whether it takes part where no modes are named.
    pub(crate) is_asked: bool,
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Messages over connections that stay.
    Echo {
        connections: usize,
        /// On each connection.
        messages: u64,
        bytes: u64,
        /// On each connection at once.
        under_way: usize,
    },
    /// The same, one under way on each, but requests leave so many at once.
    Bursts {
        connections: usize,
        /// On each connection.
        messages: u64,
        bytes: usize,
        burst: usize,
    },
    /// Connections of one message each.
    Short { connections: u64, at_once: usize, bytes: u64 },
    /// Datagrams of one socket.
    Udp { datagrams: u64, under_way: u64, bytes: usize },
    /// Connections on which one message was echoed, and then nothing happens.
    Idle { connections: u64, bytes: usize },
    /// Requests over connections that stay, one under way on each.
    Http {
        connections: usize,
        /// On each connection.
        requests: u64,
    },
    /// Reads of blocks of a file, which the server does by itself.
    Files {
        reads: u64,
        /// How many are under way at once.
        depth: usize,
    },
}

pub(crate) const MODES: [Mode; 19] = [
    echo("echo-1", "echo of 106 bytes, 1 connection", 1, 10_000, 106, 1, true),
    echo("echo-64", "echo of 106 bytes, 64 connections", 64, 1_000, 106, 1, true),
    echo("echo-1000", "echo of 106 bytes, 1,000 connections", 1_000, 70, 106, 1, true),
    bursts("echo-64-step", "echo of 106 bytes, 64 connections, which all send at once", 64, 1_000, 64, true),
    bursts("echo-64-by-1", "echo of 106 bytes, 64 connections, by a load that does less", 64, 1_000, 1, false),
    bursts("echo-64-by-4", "the same, 4 requests at a time", 64, 1_000, 4, false),
    bursts("echo-64-by-16", "the same, 16 requests at a time", 64, 1_000, 16, false),
    bursts("echo-1000-by-1", "echo of 106 bytes, 1,000 connections, by a load that does less", 1_000, 70, 1, false),
    bursts("echo-1000-by-64", "the same, 64 requests at a time", 1_000, 70, 64, false),
    bursts("echo-1000-step", "the same, all at a time", 1_000, 70, 1_000, false),
    echo("echo-64-4k", "echo of 4 KiB, 64 connections", 64, 500, 4 << 10, 1, false),
    echo("echo-64-64k", "echo of 64 KiB, 64 connections", 64, 40, 64 << 10, 1, false),
    echo("pipelined", "echo of 106 bytes, 64 connections, 8 messages under way on each", 64, 2_500, 106, 8, false),
    plain(
        "short",
        "connections of one message of 106 bytes, 64 open at once",
        Kind::Short { connections: 6_000, at_once: 64, bytes: 106 },
    ),
    plain(
        "udp",
        "echo of datagrams of 106 bytes, 32 under way, one task",
        Kind::Udp { datagrams: 40_000, under_way: 32, bytes: 106 },
    ),
    plain("http", "GET by hyper, 64 connections that stay", Kind::Http { connections: 64, requests: 600 }),
    plain(
        "files-1",
        "reads of 4 KiB of a file in the page cache, one at a time",
        Kind::Files { reads: 30_000, depth: 1 },
    ),
    plain(
        "files-64",
        "reads of 4 KiB of a file in the page cache, 64 at a time",
        Kind::Files { reads: 40_000, depth: 64 },
    ),
    plain(
        "idle",
        "connections that are idle after one message of 106 bytes",
        Kind::Idle { connections: 10_000, bytes: 106 },
    ),
];

const fn echo(
    name: &'static str,
    title: &'static str,
    connections: usize,
    messages: u64,
    bytes: u64,
    under_way: usize,
    has_guests: bool,
) -> Mode {
    Mode { name, title, kind: Kind::Echo { connections, messages, bytes, under_way }, has_guests, is_asked: true }
}

const fn plain(name: &'static str, title: &'static str, kind: Kind) -> Mode {
    Mode { name, title, kind, has_guests: false, is_asked: true }
}

/// Messages of 106 bytes.
const fn bursts(
    name: &'static str,
    title: &'static str,
    connections: usize,
    messages: u64,
    burst: usize,
    is_asked: bool,
) -> Mode {
    Mode { name, title, kind: Kind::Bursts { connections, messages, bytes: 106, burst }, has_guests: false, is_asked }
}

impl Mode {
    pub(crate) fn service(&self) -> Service {
        match self.kind {
            Kind::Echo { .. } | Kind::Bursts { .. } | Kind::Short { .. } | Kind::Idle { .. } => Service::Tcp,
            Kind::Udp { .. } => Service::Udp,
            Kind::Http { .. } => Service::Http,
            Kind::Files { .. } => Service::Files,
        }
    }

    pub(crate) fn is_served_by(&self, server: &Server) -> bool {
        server.main(self.service()).is_some() && (self.has_guests || server.program.is_none())
    }
}

impl Kind {
    /// The same for a part of the time, but for at least one message.
    pub(crate) fn divided(self, by: u64) -> Kind {
        self.scaled(|count| (count / by).max(1))
    }

    /// The same for twice the time.
    pub(crate) fn doubled(self) -> Kind {
        self.scaled(|count| 2 * count)
    }

    /// Whether the requests come from outside of the server.
    pub(crate) fn has_clients(self) -> bool {
        !matches!(self, Kind::Files { .. })
    }

    fn scaled(self, scale: impl Fn(u64) -> u64) -> Kind {
        match self {
            Kind::Echo { connections, messages, bytes, under_way } => {
                Kind::Echo { connections, messages: scale(messages), bytes, under_way }
            }
            Kind::Bursts { connections, messages, bytes, burst } => {
                Kind::Bursts { connections, messages: scale(messages), bytes, burst }
            }
            Kind::Short { connections, at_once, bytes } => {
                Kind::Short { connections: scale(connections), at_once, bytes }
            }
            Kind::Udp { datagrams, under_way, bytes } => Kind::Udp { datagrams: scale(datagrams), under_way, bytes },
            Kind::Idle { connections, bytes } => Kind::Idle { connections: scale(connections), bytes },
            Kind::Http { connections, requests } => Kind::Http { connections, requests: scale(requests) },
            Kind::Files { reads, depth } => Kind::Files { reads: scale(reads), depth },
        }
    }
}
