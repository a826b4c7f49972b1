//! Work on a resource whose end takes time: the tear-down runs after success, error, panic, and where nobody waits any more.
//!
//!     cargo run --example teardown

use std::time::Duration;

use quoit::task::{self, Outcome};
use quoit::time::{sleep, timeout};

/// Something that has to be said goodbye to, not only dropped.
struct Session {
    name: &'static str,
    requests: u32,
}

impl Session {
    async fn request(&mut self, request: &str) -> Result<usize, String> {
        self.requests += 1;
        sleep(Duration::from_millis(5)).await;
        if request.is_empty() { Err(String::from("an empty request")) } else { Ok(request.len()) }
    }

    async fn close(self, reason: &str) {
        sleep(Duration::from_millis(5)).await;
        println!("{}: closed after {} requests, {reason}", self.name, self.requests);
    }
}

/// Sends the requests in a session, which is closed whatever happens.
async fn in_session(name: &'static str, requests: &[&str]) -> Result<usize, String> {
    let work = async |session: &mut Session| {
        let mut sum = 0;
        for request in requests {
            match *request {
                "hang" => sleep(Duration::from_secs(3600)).await,
                "panic" => panic!("the work of {name} panics, as it should"),
                request => sum += session.request(request).await?,
            }
        }
        Ok(sum)
    };
    let tear_down = async |session: Session, outcome: Outcome<'_, Result<usize, String>>| {
        let reason = match outcome {
            Outcome::Finished(Ok(sum)) => format!("{sum} bytes"),
            Outcome::Finished(Err(error)) => format!("error: {error}"),
            Outcome::Panicked => String::from("panicked"),
            Outcome::Dropped => String::from("nobody waits any more"),
        };
        session.close(&reason).await;
    };
    task::with(Session { name, requests: 0 }, work, tear_down).await
}

#[quoit::main]
async fn main() {
    println!("success: {:?}", in_session("success", &["a", "bc"]).await);
    println!("failure: {:?}", in_session("failure", &["a", "", "b"]).await);

    let panicked = quoit::spawn(in_session("panic", &["a", "panic"])).await;
    println!("panic: is_panic = {}", panicked.expect_err("it panics").is_panic());

    // The session is closed by a task of its own. The program waits for that before it ends.
    let dropped = timeout(Duration::from_millis(50), in_session("dropped", &["a", "hang"])).await;
    println!("dropped: {dropped:?}");
    while quoit::metrics().tasks > 0 {
        sleep(Duration::from_millis(1)).await;
    }
}
