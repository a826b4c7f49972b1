//! The first look at a runtime.
use quoit_runtime::timer::{Instant, Timer};
use quoit_runtime::{Runtime, op, spawn, task};
use std::time::Duration;

#[test]
fn nops_tasks_and_timers() {
    let runtime = Runtime::new().unwrap();
    let n = runtime.block_on(async {
        for _ in 0..1000 {
            op::submit(op::Nop::new()).await.unwrap();
        }
        let tasks: Vec<_> = (0..100u32)
            .map(|i| {
                spawn(async move {
                    task::yield_now().await;
                    i
                })
            })
            .collect();
        let mut sum = 0;
        for t in tasks {
            sum += t.await.unwrap();
        }
        let start = Instant::now();
        let mut t = Timer::new(start + Duration::from_millis(20));
        std::future::poll_fn(|cx| t.poll_elapsed(cx)).await;
        assert!(start.elapsed() >= Duration::from_millis(20));
        let x = quoit_runtime::blocking::run(|| {
            std::thread::sleep(Duration::from_millis(10));
            5
        })
        .await;
        sum + x
    });
    assert_eq!(n, 4955);
    println!("{:?}", runtime.metrics());
    println!("{}", runtime.shutdown(Duration::from_secs(1)));
}
