//! Writes to sockets whose peer is gone, in a process that a `SIGPIPE` would end.

mod common;

use std::env;
use std::fs::File;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Command;

use quoit_net::{TcpStream, UnixDatagram, UnixStream};
use quoit_runtime::block_on;
use quoit_runtime::task::yield_now;

const NAME: &str = "a_write_to_a_peer_that_is_gone_is_an_error_where_the_signal_has_its_default_action";

#[test]
fn a_write_to_a_peer_that_is_gone_is_an_error_where_the_signal_has_its_default_action() {
    if env::var_os("QUOIT_CHILD").is_some() {
        #[expect(unsafe_code, reason = "std ignores the signal, and cannot be told otherwise")]
        // SAFETY: the default action runs no code of ours.
        unsafe {
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        }
        block_on(write_to_the_dead());
        // Behind what the test harness has printed.
        return eprint!("survived");
    }
    let mut command = Command::new(env::current_exe().unwrap());
    let output = command.args(["--exact", NAME, "--nocapture"]).env("QUOIT_CHILD", "1").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).ends_with("survived"), "{output:?}");
}

async fn write_to_the_dead() {
    for kind in 0..6 {
        let (stream, peer) = common::pair();
        common::reset(peer);
        assert!(tcp_write_fails(&stream, kind).await, "kind {kind}");
    }
    for kind in 0..4 {
        let (near, peer) = StdUnixStream::pair().unwrap();
        let stream = UnixStream::from_std(near).unwrap();
        drop(peer);
        assert!(unix_write_fails(&stream, kind).await, "kind {kind}");
    }
    let (socket, peer) = UnixDatagram::pair().unwrap();
    drop(peer);
    yield_now().await;
    assert!(socket.send("nobody").await.0.is_err());
}

/// The first write may be told of the reset, which is no `EPIPE`: those behind it are.
async fn tcp_write_fails(stream: &TcpStream, kind: u32) -> bool {
    let mut failed = true;
    for _again in 0..3 {
        failed = match kind {
            0 => stream.write("x").await.0.is_err(),
            1 => stream.write_all(vec![0; 300_000]).await.0.is_err(),
            2 => stream.write_vectored(vec!["x", "y"]).await.0.is_err(),
            3 => stream.write_all_vectored(vec!["x", "y"]).await.0.is_err(),
            4 => stream.write_all_zc(vec![0; 300_000]).await.0.is_err(),
            _ => {
                stream.set_write_behind(true);
                let failed = stream.write_all("x").await.0.is_err();
                yield_now().await;
                failed
            }
        };
    }
    failed
}

async fn unix_write_fails(stream: &UnixStream, kind: u32) -> bool {
    let mut failed = true;
    for _again in 0..3 {
        failed = match kind {
            0 => stream.write_all("x").await.0.is_err(),
            1 => stream.write_all_vectored(vec!["x", "y"]).await.0.is_err(),
            2 => stream.send_fds("x", vec![File::open("/dev/null").unwrap().into()]).await.0.is_err(),
            _ => {
                stream.set_write_behind(true);
                let failed = stream.write_all("x").await.0.is_err();
                yield_now().await;
                failed
            }
        };
    }
    failed
}
