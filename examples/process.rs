//! Child processes: their output, a filter that is fed and read at the same time, and one that takes too long.
use std::process::Stdio;
use std::time::Duration;

use quoit::io::{AsyncReadExt, copy};
use quoit::process::Command;
use quoit::time::timeout;

#[quoit::main]
async fn main() -> std::io::Result<()> {
    let output = Command::new("uname").arg("-sr").output().await?;
    print!("{}: {}", output.status, String::from_utf8_lossy(&output.stdout));

    // A pipeline of our own: what one child writes goes to the next, through us.
    let mut source = Command::new("seq").arg("1000").stdout(Stdio::piped()).spawn()?;
    let mut sorted = Command::new("sort").arg("-rn").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (numbers, into, from) = (source.stdout.take(), sorted.stdin.take(), sorted.stdout.take());
    let (Some(numbers), Some(into), Some(from)) = (numbers, into, from) else { unreachable!("all of them are piped") };
    let feeding = quoit::spawn(async move { copy(&numbers, &into).await });
    let (result, first) = from.take(13).read_to_string(String::new()).await;
    result?;
    println!("the largest: {}", first.split_whitespace().collect::<Vec<_>>().join(" "));
    // The rest is nobody's: `sort` may find its output closed.
    println!("{} bytes went through, {}", feeding.await??, source.wait().await?);
    println!("the filter: {}", sorted.wait().await?);

    // Dropped, it is killed and reaped.
    let nap = Command::new("sleep").arg("60").kill_on_drop(true).spawn()?;
    let id = nap.id();
    let ended = timeout(Duration::from_millis(50), nap.wait_with_output()).await;
    println!("the nap of process {} is {}", id.unwrap_or(0), if ended.is_err() { "cut short" } else { "over" });
    Ok(())
}
