//! The kinds of load.

use crate::servers::Server;

/// One kind of load.
pub(crate) struct Mode {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) kind: Kind,
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
    /// Connections of one message each.
    Short { connections: u64, at_once: usize, bytes: u64 },
    /// Datagrams of one socket.
    Udp { datagrams: u64, under_way: u64, bytes: usize },
    /// Connections on which one message was echoed, and then nothing happens.
    Idle { connections: u64, bytes: usize },
}

pub(crate) const MODES: [Mode; 9] = [
    echo("echo-1", "echo of 106 bytes, 1 connection", 1, 20_000, 106, 1),
    echo("echo-64", "echo of 106 bytes, 64 connections", 64, 2_000, 106, 1),
    echo("echo-1000", "echo of 106 bytes, 1,000 connections", 1_000, 120, 106, 1),
    echo("echo-64-4k", "echo of 4 KiB, 64 connections", 64, 1_000, 4 << 10, 1),
    echo("echo-64-64k", "echo of 64 KiB, 64 connections", 64, 150, 64 << 10, 1),
    echo("pipelined", "echo of 106 bytes, 64 connections, 8 messages under way on each", 64, 4_000, 106, 8),
    Mode {
        name: "short",
        title: "connections of one message of 106 bytes, 64 open at once",
        kind: Kind::Short { connections: 10_000, at_once: 64, bytes: 106 },
    },
    Mode {
        name: "udp",
        title: "echo of datagrams of 106 bytes, 32 under way, one task",
        kind: Kind::Udp { datagrams: 60_000, under_way: 32, bytes: 106 },
    },
    Mode {
        name: "idle",
        title: "connections that are idle after one message of 106 bytes",
        kind: Kind::Idle { connections: 10_000, bytes: 106 },
    },
];

const fn echo(
    name: &'static str,
    title: &'static str,
    connections: usize,
    messages: u64,
    bytes: u64,
    under_way: usize,
) -> Mode {
    Mode { name, title, kind: Kind::Echo { connections, messages, bytes, under_way } }
}

impl Mode {
    pub(crate) fn transport(&self) -> &'static str {
        if matches!(self.kind, Kind::Udp { .. }) { "udp" } else { "tcp" }
    }

    pub(crate) fn is_served_by(&self, server: &Server) -> bool {
        if self.transport() == "udp" { server.udp.is_some() } else { server.tcp.is_some() }
    }
}

impl Kind {
    /// The same for a part of the time, but for at least one message.
    pub(crate) fn divided(self, by: u64) -> Kind {
        let part = |count: u64| (count / by).max(1);
        match self {
            Kind::Echo { connections, messages, bytes, under_way } => {
                Kind::Echo { connections, messages: part(messages), bytes, under_way }
            }
            Kind::Short { connections, at_once, bytes } => {
                Kind::Short { connections: part(connections), at_once, bytes }
            }
            Kind::Udp { datagrams, under_way, bytes } => Kind::Udp { datagrams: part(datagrams), under_way, bytes },
            Kind::Idle { connections, bytes } => Kind::Idle { connections: part(connections), bytes },
        }
    }
}
