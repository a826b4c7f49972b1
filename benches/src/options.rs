//! The command line of `compare`.

use std::error::Error;

use crate::modes::{MODES, Mode};
use crate::servers::{SERVERS, Server};

/// How to call it.
pub(crate) fn usage() -> String {
    let modes: Vec<&str> = MODES.iter().map(|mode| mode.name).collect();
    let servers: Vec<&str> = SERVERS.iter().map(|server| server.name).collect();
    format!(
        "\
usage: quoit-benches compare [OPTION]..

  --rounds N        how often each server has its turn in each mode ({ROUNDS}; 1 with --quick)
  --modes A,B       only these: {}
  --servers A,B     only these: {}
  --quick           a twentieth of the load: whether it works, not how fast
  --write           writes tables and charts into docs/benchmarks/",
        modes.join(", "),
        servers.join(", ")
    )
}

pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) modes: Vec<&'static Mode>,
    pub(crate) servers: Vec<&'static Server>,
    /// What the modes' loads are divided by.
    pub(crate) divisor: u64,
    pub(crate) write: bool,
    /// As it was given.
    pub(crate) command: String,
}

impl Options {
    pub(crate) fn parse(words: &[&str]) -> Result<Options, Box<dyn Error>> {
        let mut rounds = None;
        let mut options = Options {
            rounds: 0,
            modes: MODES.iter().filter(|mode| mode.is_asked).collect(),
            servers: SERVERS.iter().collect(),
            divisor: 1,
            write: false,
            command: format!("compare {}", words.join(" ")).trim_end().to_owned(),
        };
        let mut words = words.iter().copied();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word {
                "--rounds" => rounds = Some(value()?.parse()?),
                "--modes" => options.modes = pick(&MODES, |mode| mode.name, value()?)?,
                "--servers" => options.servers = pick(&SERVERS, |server| server.name, value()?)?,
                "--quick" => options.divisor = 20,
                "--write" => options.write = true,
                _ => return Err(format!("{word} is no option\n{}", usage()).into()),
            }
        }
        options.rounds = rounds.unwrap_or(if options.divisor > 1 { 1 } else { ROUNDS });
        if options.rounds == 0 {
            return Err("there must be at least 1 round".into());
        }
        Ok(options)
    }
}

/// Those of `all` whose names are given, in the order of `all`.
fn pick<T>(all: &'static [T], name: impl Fn(&T) -> &str, names: &str) -> Result<Vec<&'static T>, Box<dyn Error>> {
    if let Some(unknown) = names.split(',').find(|given| !all.iter().any(|one| name(one) == *given)) {
        return Err(format!("{unknown} is none of {}", all.iter().map(name).collect::<Vec<_>>().join(", ")).into());
    }
    Ok(all.iter().filter(|one| names.split(',').any(|given| given == name(one))).collect())
}

/// Enough for a median that one bad round does not move.
const ROUNDS: usize = 3;
