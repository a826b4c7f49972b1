//! Names that are removed, moved, made and linked, also by those who do not wait for it.

use std::ffi::OsStr;
use std::fs;
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use quoit_fs::{create_dir, hard_link, remove_dir, remove_file, rename, symlink};
use quoit_runtime::{Builder, Runtime};
use quoit_testkit::QuarantineAlloc;

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: QuarantineAlloc = QuarantineAlloc::new();

/// Runs a test in a directory of its own, and then looks at what the runtime left behind.
fn arena(configure: impl FnOnce(&mut Builder), body: impl AsyncFnOnce(&Path)) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut builder = Runtime::builder();
    configure(&mut builder);
    let runtime = builder.build().expect("a ring");
    runtime.block_on(body(directory.path()));
    let report = runtime.shutdown(Duration::from_secs(5));
    assert!(report.is_clean() && report.tasks_dropped == 0, "{report}");
    ALLOC.assert_clean();
}

fn names_in(directory: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().map(name).collect();
    names.sort();
    names
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[test]
fn each_change_does_what_its_name_says() {
    arena(
        |_| {},
        async |directory| {
            let at = |name: &str| directory.join(name);
            fs::write(at("file"), "contents").unwrap();
            create_dir(at("inner")).await.unwrap();
            assert!(at("inner").is_dir());
            hard_link(at("file"), at("inner/second")).await.unwrap();
            symlink("../file", at("inner/soft")).await.unwrap();
            assert_eq!(fs::read_link(at("inner/soft")).unwrap(), Path::new("../file"));
            rename(at("file"), at("moved")).await.unwrap();
            assert_eq!(names_in(directory), ["inner", "moved"]);
            assert_eq!(fs::read_to_string(at("inner/second")).unwrap(), "contents");
            remove_file(at("inner/second")).await.unwrap();
            remove_file(at("inner/soft")).await.unwrap();
            remove_dir(at("inner")).await.unwrap();
            assert_eq!(names_in(directory), ["moved"]);
        },
    );
}

#[test]
fn errors_are_those_of_std() {
    arena(
        |_| {},
        async |directory| {
            let at = |name: &str| directory.join(name);
            fs::write(at("file"), "").unwrap();
            fs::create_dir(at("inner")).unwrap();
            fs::write(at("inner/full"), "").unwrap();
            let same = |ours: std::io::Result<()>, std: std::io::Result<()>| {
                assert_eq!(ours.unwrap_err().raw_os_error(), std.unwrap_err().raw_os_error());
            };
            same(remove_file(at("none")).await, fs::remove_file(at("none")));
            same(remove_file(at("inner")).await, fs::remove_file(at("inner")));
            same(remove_dir(at("inner")).await, fs::remove_dir(at("inner")));
            same(remove_dir(at("file")).await, fs::remove_dir(at("file")));
            same(create_dir(at("inner")).await, fs::create_dir(at("inner")));
            same(create_dir(at("none/deep")).await, fs::create_dir(at("none/deep")));
            same(rename(at("none"), at("file")).await, fs::rename(at("none"), at("file")));
            same(hard_link(at("file"), at("inner")).await, fs::hard_link(at("file"), at("inner")));
            same(symlink("x", at("file")).await, std::os::unix::fs::symlink("x", at("file")));
            same(remove_file("").await, fs::remove_file(""));
            assert_eq!(remove_file("zero\0byte").await.unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(names_in(directory), ["file", "inner"]);
        },
    );
}

#[test]
fn names_are_bytes() {
    arena(
        |_| {},
        async |directory| {
            let odd = directory.join(OsStr::from_bytes(b"not \xFF text \n"));
            create_dir(&odd).await.unwrap();
            assert!(odd.is_dir());
            remove_dir(&odd).await.unwrap();
            assert!(names_in(directory).is_empty());
        },
    );
}

#[test]
fn change_whose_future_is_dropped_or_forgotten_is_made_all_the_same() {
    arena(
        |_| {},
        async |directory| {
            let at = |index: usize| directory.join(format!("made {index}"));
            for index in 0..40 {
                let mut change = Box::pin(create_dir(at(index)));
                assert!(poll_once(change.as_mut()).await.is_pending());
                if index == 0 { std::mem::forget(change) } else { drop(change) }
            }
            // One that was never polled has changed nothing.
            drop(create_dir(at(40)));
            // A change is behind those that came before it in no order, so each is waited for.
            for index in 0..40 {
                while !at(index).is_dir() {
                    quoit_runtime::task::yield_now().await;
                }
            }
            assert_eq!(names_in(directory).len(), 40);
        },
    );
}

#[test]
fn many_changes_at_once_fit_into_a_tiny_ring() {
    arena(
        |builder| _ = builder.entries(4).completion_entries(8),
        async |directory| {
            let mut made = Vec::new();
            for index in 0..300 {
                let path = directory.join(index.to_string());
                made.push(quoit_runtime::spawn(async move {
                    create_dir(&path).await?;
                    rename(&path, path.with_extension("moved")).await
                }));
            }
            for task in made {
                task.await.expect("no panic").unwrap();
            }
            let names = names_in(directory);
            assert_eq!(names.len(), 300);
            assert!(names.iter().all(|name| name.ends_with(".moved")));
        },
    );
}

#[test]
fn changes_outside_a_runtime_panic_and_say_what_to_do() {
    let waker = std::task::Waker::noop();
    let mut change = pin!(remove_file("/nowhere"));
    let poll = || _ = change.as_mut().poll(&mut std::task::Context::from_waker(waker));
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll)).unwrap_err();
    let text = payload.downcast_ref::<&str>().expect("a text");
    assert!(text.contains("block_on"), "{text}");
}
