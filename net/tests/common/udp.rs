//! What the tests of UDP sockets share.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::net::{SocketAddr, UdpSocket as StdSocket};

use futures_util::StreamExt;
use quoit_net::UdpSocket;

use super::{PATIENCE, arena, run};

/// A socket of ours and one of std that is connected to it.
pub(crate) async fn socket_and_peer() -> (UdpSocket, StdSocket) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let peer = StdSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.connect(socket.local_addr().unwrap()).unwrap();
    (socket, peer)
}

/// Runs a test on a runtime of its own.
pub(crate) fn test(body: impl AsyncFnOnce()) {
    arena(|runtime| run(runtime, body()));
}

/// Receives by each way in turn.
pub(crate) async fn any_recv(socket: &UdpSocket, kind: u64) -> (Vec<u8>, SocketAddr) {
    match kind {
        0 => {
            let (received, buf) = socket.recv_from(Vec::with_capacity(70_000)).await;
            let (len, from) = received.unwrap();
            assert_eq!(len, buf.len());
            (buf, from)
        }
        1 => {
            let (meta, buf) = socket.recv_msg(Vec::with_capacity(70_000)).await;
            let meta = meta.unwrap();
            assert_eq!((meta.len, meta.truncated, meta.segment_bytes), (buf.len(), false, None));
            (buf, meta.addr)
        }
        _ => {
            let (datagram, from) = socket.recv_msgs().next().await.unwrap().unwrap();
            assert!(!datagram.is_truncated());
            (datagram.to_vec(), from)
        }
    }
}
