//! The macros, as users write them.

use std::io;
use std::rc::Rc;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

/// The entry of a program, called like any function.
#[quoit::main]
async fn program() -> io::Result<u32> {
    let shared = Rc::new(40);
    let task = quoit::spawn({
        let shared = Rc::clone(&shared);
        async move { *shared + 2 }
    });
    Ok(task.await?)
}

#[test]
fn main_runs_its_body_on_a_runtime_and_gives_its_result() {
    assert_eq!(program().expect("no error"), 42);
    // Again: the first runtime is gone.
    assert_eq!(program().expect("no error"), 42);
}

#[quoit::test]
async fn a_test_has_a_runtime_of_its_own() {
    assert_eq!(quoit::metrics().tasks, 0);
    quoit::task::yield_now().await;
}

#[quoit::test]
async fn a_test_may_give_a_result() -> io::Result<()> {
    let listener = quoit::net::TcpListener::bind("127.0.0.1:0").await?;
    assert_ne!(listener.local_addr()?.port(), 0);
    Ok(())
}

#[quoit::test(kernel = "uring")]
#[should_panic(expected = "as it should")]
async fn a_test_may_be_expected_to_panic() {
    panic!("as it should");
}

/// A number of threads may be computed.
fn two() -> usize {
    1 + 1
}

#[quoit::main(threads = two())]
async fn program_on_threads() -> io::Result<Vec<usize>> {
    let shared = Rc::new(quoit::Workers::current().expect("the first of a set"));
    assert_eq!((shared.len(), quoit::Workers::current_index()), (2, Some(0)));
    let mut indexes = Vec::new();
    for index in shared.broadcast(|_| async { quoit::Workers::current_index() }) {
        indexes.extend(index.await?);
    }
    Ok(indexes)
}

#[test]
fn main_with_threads_runs_its_body_on_the_first_and_ends_the_others() {
    assert_eq!(program_on_threads().expect("no error"), [0, 1]);
    assert!(quoit::Workers::current().is_none());
}

#[quoit::test(threads = 2)]
async fn a_test_may_have_several_threads() {
    let workers = quoit::Workers::current().expect("the first of a set");
    let there = workers.spawn_on(1, || async { std::thread::current().id() }).await.expect("no panic");
    assert_ne!(there, std::thread::current().id());
}

#[quoit::test(kernel = "epoll")]
async fn a_test_may_name_the_emulated_ring() -> io::Result<()> {
    let listener = quoit::net::TcpListener::bind("127.0.0.1:0").await?;
    let client = quoit::net::TcpStream::connect(listener.local_addr()?).await?;
    assert_eq!(listener.accept().await?.1, client.local_addr()?);
    Ok(())
}

#[quoit::main(kernel = "epoll", threads = 2)]
async fn program_on_emulated_rings() -> io::Result<usize> {
    let mut polls = 0;
    for task in quoit::Workers::current().expect("a set").broadcast(|_| async { quoit::metrics().polls }) {
        polls += usize::from(task.await? > 0);
    }
    Ok(polls)
}

#[test]
fn main_may_name_the_emulated_ring_for_all_of_its_threads() {
    assert_eq!(program_on_emulated_rings().expect("no error"), 2);
}
