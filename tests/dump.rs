//! `quoit::dump()`: which tasks there are, where they stand, and what each waits for.

use std::future::{Future, pending};
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use quoit::io::pipe;
use quoit::net::{TcpListener, TcpStream, UdpSocket};
use quoit::sync::mpsc;
use quoit::task::{Builder, yield_now};
use quoit::time::{pause, sleep};
use quoit::{AbortOnDrop, Dump, KernelKind, Runtime, TaskDump, TaskState, WaitsFor, dump, spawn};

/// Sees writes into freed memory, the kernel's as well; looks for the last time when the process exits.
#[global_allocator]
static ALLOC: quoit_testkit::QuarantineAlloc = quoit_testkit::QuarantineAlloc::new();

const HOUR: Duration = Duration::from_secs(3600);

/// A task of this name, until the answer is dropped.
#[track_caller]
fn named(name: &str, future: impl Future<Output = ()> + 'static) -> AbortOnDrop<()> {
    Builder::new().name(name).spawn(future).abort_on_drop()
}

#[track_caller]
fn find<'a>(dump: &'a Dump, name: &str) -> &'a TaskDump {
    let mut found = dump.tasks().iter().filter(|task| task.name() == Some(name));
    let task = found.next().unwrap_or_else(|| panic!("no task {name} in {dump}"));
    assert!(found.next().is_none(), "two tasks {name} in {dump}");
    task
}

/// It waits for one operation and nothing else: the operation's name, and whether it is behind others.
#[track_caller]
fn operation(task: &TaskDump) -> (&'static str, bool) {
    assert_eq!(task.state(), TaskState::Waiting, "{task}");
    match task.waits_for() {
        [WaitsFor::Operation { name, descriptor: Some(descriptor), is_queued, .. }] => {
            assert!(*descriptor >= 0, "{task}");
            (name, *is_queued)
        }
        other => panic!("{other:?}"),
    }
}

async fn pair() -> (TcpListener, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (client, accepted) = quoit::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (listener, client.unwrap(), accepted.unwrap().0)
}

/// Tasks that wait for all kinds of things, on whatever kernel.
async fn tasks_that_wait() -> Dump {
    let (listener, client, server) = pair().await;
    let client = Rc::new(client);
    let (sender, mut receiver) = mpsc::channel::<()>(1);
    let big = vec![7; 64 << 20];
    let (writer, second) = (Rc::clone(&client), Rc::clone(&client));
    let sleeper = spawn(sleep(HOUR));
    let sleeper_id = sleeper.id();
    let tasks = [
        named("accept", async move { drop(listener.accept().await) }),
        named("recv", async move { drop(client.recv().await) }),
        named("write", async move { drop(writer.write_all(big).await) }),
        named("second write", async move {
            yield_now().await;
            drop(second.write_all(vec![8; 1 << 20]).await)
        }),
        named("channel", async move { receiver.recv().await.unwrap_or_default() }),
        named("join", async move { drop(sleeper.await) }),
        named("pending", pending()),
    ];
    for _ in 0..3 {
        yield_now().await;
    }
    let dumper = Builder::new().name("dumper").spawn(dump());
    let dumper_id = dumper.id();
    let dump = dumper.await.unwrap();

    assert_eq!(dump.tasks().len(), 9, "{dump}");
    assert!(dump.tasks().windows(2).all(|pair| pair[0].id() < pair[1].id()), "{dump}");
    assert_eq!(operation(find(&dump, "accept")), ("accept (multishot)", false));
    assert_eq!(operation(find(&dump, "recv")), ("recv (multishot)", false));
    assert_eq!(operation(find(&dump, "write")), ("send", false));
    assert_eq!(operation(find(&dump, "second write")), ("send", true));
    let channel = find(&dump, "channel");
    assert_eq!((channel.state(), channel.waits_for()), (TaskState::Waiting, &[][..]));
    assert!(channel.to_string().contains("something outside"), "{channel}");
    match find(&dump, "join").waits_for() {
        [WaitsFor::Task { id, .. }] => assert_eq!(*id, sleeper_id),
        other => panic!("{other:?}"),
    }
    let sleeper = dump.tasks().iter().find(|task| task.id() == sleeper_id).expect("it sleeps");
    assert_eq!((sleeper.name(), sleeper.state(), sleeper.polls()), (None, TaskState::Waiting, 1));
    assert!(sleeper.spawned_at().file().ends_with("dump.rs"));
    match sleeper.waits_for() {
        [WaitsFor::Timer { left, .. }] => assert!(*left <= HOUR && *left > HOUR / 2, "{left:?}"),
        other => panic!("{other:?}"),
    }
    let pending = find(&dump, "pending");
    assert_eq!((pending.state(), pending.polls(), pending.waits_for()), (TaskState::Waiting, 1, &[][..]));
    let dumper = find(&dump, "dumper");
    assert_eq!((dumper.id(), dumper.state(), dumper.polls()), (dumper_id, TaskState::Running, 1));
    match dump.root_waits_for() {
        [WaitsFor::Task { id, .. }] => assert_eq!(*id, dumper_id),
        other => panic!("{other:?}"),
    }
    let text = dump.to_string();
    assert_eq!(text.matches("\n\n").count(), 9, "a paragraph for each task: {text}");
    assert!(text.starts_with("9 tasks") && text.contains("waits for a timer that is due in"), "{text}");
    drop((tasks, sender, server));
    dump
}

/// The kernels differ in what they offer, not in what is waited for.
fn on(kernel: KernelKind) {
    let runtime = Runtime::builder().kernel(kernel).build().unwrap();
    // As a root of its own, so that the dumper is what it waits for.
    drop(runtime.block_on(tasks_that_wait()));
    assert!(runtime.shutdown(HOUR).is_clean());
}

#[test]
fn each_task_tells_what_it_waits_for() {
    on(KernelKind::Auto);
}

#[test]
fn each_task_tells_what_it_waits_for_without_io_uring() {
    on(KernelKind::Epoll);
}

#[test]
fn each_task_tells_what_it_waits_for_in_a_simulation_and_the_same_when_it_is_repeated() {
    // Ids and descriptors are the process's.
    let facts = |dump: &Dump| {
        let fact = |task: &TaskDump| {
            let name = task.name().map(str::to_owned);
            (name, task.state(), task.polls(), task.age(), task.since_poll(), task.waits_for().len())
        };
        dump.tasks().iter().map(fact).collect::<Vec<_>>()
    };
    for seed in 0..4 {
        let (first, second) = (quoit::sim::run(seed, tasks_that_wait()), quoit::sim::run(seed, tasks_that_wait()));
        assert_eq!(facts(&first), facts(&second), "seed {seed}");
    }
}

#[quoit::test]
async fn datagrams_and_pipes_are_waited_for_like_streams() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (reader, _writer) = pipe().unwrap();
    let _tasks = [
        named("datagram", async move { drop(socket.recv_from(Vec::with_capacity(10)).await) }),
        named("pipe", async move { drop(reader.read(Vec::with_capacity(10)).await) }),
    ];
    yield_now().await;
    let dump = dump().await;
    let datagram = operation(find(&dump, "datagram")).0;
    assert!(datagram.starts_with("recvmsg"), "{datagram}");
    assert_eq!(operation(find(&dump, "pipe")), ("read (next)", false));
}

#[quoit::test]
async fn a_task_that_was_not_polled_yet_or_yielded_is_ready() {
    let yielding = named("yielding", async {
        loop {
            yield_now().await;
        }
    });
    yield_now().await;
    let fresh = named("fresh", pending());
    let here = Location::caller();
    let dump = dump().await;
    let task = find(&dump, "yielding");
    assert_eq!((task.state(), task.polls()), (TaskState::Ready, 1));
    let task = find(&dump, "fresh");
    assert_eq!((task.state(), task.polls(), task.since_poll()), (TaskState::Ready, 0, None));
    assert_eq!(task.spawned_at().file(), here.file());
    assert_eq!(task.spawned_at().line(), here.line() - 1);
    assert!(task.to_string().contains("never polled"), "{task}");
    drop((yielding, fresh));
}

#[quoit::test]
async fn a_dump_wakes_nobody() {
    let _tasks = [named("one", sleep(HOUR)), named("other", pending())];
    yield_now().await;
    let polls = |dump: &Dump| dump.tasks().iter().map(TaskDump::polls).collect::<Vec<_>>();
    let first = dump().await;
    yield_now().await;
    let second = dump().await;
    assert_eq!((polls(&first), polls(&second)), (vec![1, 1], vec![1, 1]));
    assert_eq!(second.tasks().iter().map(TaskDump::state).collect::<Vec<_>>(), [TaskState::Waiting; 2]);
}

#[quoit::test]
async fn a_task_waits_for_all_that_would_wake_it() {
    let (_listener, client, _server) = pair().await;
    let _task = named("both", async move {
        quoit::select! {
            _ = client.recv() => {}
            () = sleep(HOUR) => {}
            () = sleep(HOUR * 2) => {}
        }
    });
    yield_now().await;
    let dump = dump().await;
    match find(&dump, "both").waits_for() {
        [WaitsFor::Operation { .. }, WaitsFor::Timer { left: one, .. }, WaitsFor::Timer { left: other, .. }] => {
            assert!(*one <= HOUR && *other > HOUR, "{one:?}, {other:?}");
        }
        other => panic!("{other:?}"),
    }
}

#[quoit::test]
async fn wakers_of_others_are_left_alone() {
    let _task = named("unordered", async {
        let mut all: FuturesUnordered<_> = (1..4).map(|hours| sleep(HOUR * hours)).collect();
        all.next().await;
    });
    yield_now().await;
    let dump = dump().await;
    let task = find(&dump, "unordered");
    assert_eq!((task.state(), task.waits_for()), (TaskState::Waiting, &[][..]));
}

#[quoit::test]
async fn times_are_those_of_the_runtimes_clock() {
    pause();
    let _early = named("early", sleep(HOUR * 100));
    sleep(HOUR).await;
    let _late = named("late", sleep(HOUR * 100));
    sleep(HOUR).await;
    let dump = dump().await;
    let (early, late) = (find(&dump, "early"), find(&dump, "late"));
    assert_eq!((late.age(), late.since_poll()), (HOUR, Some(HOUR)));
    // Stamped before the clock was stopped: at most so long.
    assert!(early.age() >= HOUR * 2 && early.age() < HOUR * 3, "{early}");
    assert!(early.since_poll() >= Some(HOUR * 2) && early.since_poll() <= Some(early.age()), "{early}");
    match late.waits_for() {
        [WaitsFor::Timer { left, .. }] => assert_eq!(*left, HOUR * 99),
        other => panic!("{other:?}"),
    }
}

#[quoit::test]
async fn thousands_of_tasks_are_told_one_by_one() {
    const COUNT: u32 = 5000;
    let tasks: Vec<_> = (0..COUNT).map(|index| named(&index.to_string(), sleep(HOUR + HOUR * index))).collect();
    yield_now().await;
    while quoit::metrics().timers < COUNT as usize {
        yield_now().await;
    }
    let full = dump().await;
    assert_eq!(full.tasks().len(), COUNT as usize);
    for (index, task) in full.tasks().iter().enumerate() {
        assert_eq!((task.name(), task.polls()), (Some(index.to_string().as_str()), 1));
        let deadline = HOUR + HOUR * index as u32;
        match task.waits_for() {
            [WaitsFor::Timer { left, .. }] => assert!(*left <= deadline && *left > deadline - HOUR, "{task}"),
            other => panic!("{other:?}"),
        }
    }
    drop(tasks);
    while quoit::metrics().tasks > 0 {
        yield_now().await;
    }
    let empty = dump().await;
    assert_eq!((empty.tasks().len(), empty.root_waits_for().len()), (0, 0));
    assert_eq!(empty.to_string(), "0 tasks");
}

#[test]
#[should_panic(expected = "no quoit runtime on this thread")]
fn a_dump_outside_a_runtime_panics() {
    let _ = futures_util::FutureExt::now_or_never(dump());
}
