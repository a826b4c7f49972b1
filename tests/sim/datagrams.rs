//! UDP in simulated worlds.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use futures_util::StreamExt;
use quoit::FutureExt;
use quoit::net::UdpSocket;
use quoit::sim::{self, Faults};

/// Sends so many numbered datagrams to a machine that counts; the numbers that arrive, in their order.
async fn numbers(count: u32, write_behind: bool) -> Vec<u32> {
    let receiver = UdpSocket::bind("0.0.0.0:9").await.expect("a free port");
    let main = sim::ip();
    let sender = sim::host("sender", move || async move {
        let socket = UdpSocket::bind("0.0.0.0:0").await.expect("a free port");
        socket.set_write_behind(write_behind);
        for number in 0..count {
            socket.send_to(number.to_le_bytes().to_vec(), (main, 9)).await.0.expect("sent, or lost");
        }
        // Waits for those that are under way.
        socket.close().await.expect("closed");
    });
    let mut arrived = Vec::new();
    let messages = receiver.recv_msgs();
    let mut messages = std::pin::pin!(messages);
    while let Ok(Some(message)) = messages.next().timeout(Duration::from_secs(1)).await {
        let (bytes, from) = message.expect("no error");
        assert_eq!(from.ip(), sender.ip());
        arrived.push(u32::from_le_bytes(bytes[..].try_into().expect("four bytes")));
    }
    sender.join().await;
    arrived
}

#[test]
fn datagrams_overtake_each_other_and_none_is_lost_unless_told_so() {
    let reordered = Cell::new(0);
    sim::check(0..20, || async {
        let mut arrived = numbers(20, false).await;
        reordered.set(reordered.get() + usize::from(!arrived.is_sorted()));
        arrived.sort_unstable();
        assert_eq!(arrived, (0..20).collect::<Vec<_>>());
    });
    assert!(reordered.get() > 0);
}

#[test]
fn datagrams_that_are_sent_behind_arrive_once_each_though_some_find_no_room_at_first() {
    sim::check(0..40, || async {
        let mut arrived = numbers(100, true).await;
        arrived.sort_unstable();
        assert_eq!(arrived, (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn datagrams_are_lost_and_doubled_as_the_faults_say() {
    let (lost, doubled) = (Cell::new(0), Cell::new(0));
    sim::check(0..20, || async {
        sim::set_faults(Faults::new().datagram_loss(0.3));
        let mut arrived = numbers(20, false).await;
        arrived.sort_unstable();
        let count = arrived.len();
        arrived.dedup();
        doubled.set(doubled.get() + count - arrived.len());
        lost.set(lost.get() + 20 - arrived.len());
    });
    assert!(lost.get() > 0 && doubled.get() > 0, "{} lost, {} doubled", lost.get(), doubled.get());
}

#[test]
fn a_partition_loses_datagrams_for_good() {
    sim::check(0..10, || async {
        let receiver = sim::host("receiver", || async {
            let socket = UdpSocket::bind("0.0.0.0:9").await.expect("a free port");
            let (received, buf) = socket.recv_from(Vec::with_capacity(16)).await;
            let (count, from) = received.expect("no error");
            assert_eq!(&buf[..count], b"after");
            socket.send_to("answer", from).await.0.expect("sent");
        });
        // Bound before the first datagram comes.
        quoit::time::sleep(Duration::from_secs(1)).await;
        let socket = UdpSocket::bind("0.0.0.0:0").await.expect("a free port");
        socket.connect("receiver:9").await.expect("a name");
        sim::partition(sim::ip(), receiver.ip());
        socket.send("before").await.0.expect("sent, and lost");
        quoit::time::sleep(Duration::from_secs(1)).await;
        sim::heal();
        socket.send("after").await.0.expect("sent");
        let (count, buf) = socket.recv(Vec::with_capacity(16)).await;
        assert_eq!(&buf[..count.expect("an answer")], b"answer");
        receiver.join().await;
    });
}

#[test]
fn a_connected_socket_hears_that_nobody_is_there_and_a_cut_datagram_is_told() {
    sim::check(0..10, || async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        socket.connect("127.0.0.1:9").await.expect("an address");
        socket.send("anybody?").await.0.expect("sent");
        let (answer, _) = socket.recv(Vec::with_capacity(16)).await;
        assert_eq!(answer.expect_err("nobody").kind(), io::ErrorKind::ConnectionRefused);
        let receiver = UdpSocket::bind("127.0.0.1:10").await.expect("a free port");
        let sender = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        sender.send_to("0123456789", "127.0.0.1:10").await.0.expect("sent");
        let (meta, buf) = receiver.recv_msg(Vec::with_capacity(4)).await;
        let meta = meta.expect("a datagram");
        assert!(meta.truncated && meta.len == 4 && buf == b"0123", "{meta:?}, {buf:?}");
        assert_eq!(meta.addr, sender.local_addr().expect("bound"));
    });
}
