//! Standard input to standard output, with the lines numbered; Ctrl-C tells how far it came, and ends well.
//!
//! ```text
//! seq 3 | cargo run --example cat
//! ```
use quoit::io::{BufReader, BufWriter, stdin, stdout};

#[quoit::main]
async fn main() -> std::io::Result<()> {
    let end = quoit::signal::shutdown();
    let mut lines = BufReader::new(stdin()).lines();
    let output = BufWriter::new(stdout());
    let mut number = 0;
    loop {
        quoit::select! {
            // A line that has come in part is not lost where the other branch is faster.
            line = lines.next_line() => {
                let Some(line) = line? else { break };
                number += 1;
                output.write_all(format!("{number:6}  {line}\n")).await.0?;
                // Who types wants to see it at once; what comes through a pipe goes out in gulps.
                if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
                    output.flush().await?;
                }
            }
            _ = end.cancelled() => {
                eprintln!("stopped after {number} lines");
                break;
            }
        }
    }
    output.flush().await
}
