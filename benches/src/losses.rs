//! Where quoit is not the best: the section of the report that nobody likes to write, so that it is written by itself.

use std::fmt::Write as _;

use crate::figures::{Figure, Figures};
use crate::modes::Mode;
use crate::options::Options;

/// A figure of a mode in which a peer is better.
struct Loss {
    figure: Figure,
    peer: &'static str,
    /// By how much it is better than each of quoit's servers: more than 1 is worse for us.
    by: Vec<(&'static str, f64)>,
}

/// What is said of quoit beside the best peer of each mode; nothing if it did not run.
pub(crate) fn section(options: &Options, figures: &Figures) -> String {
    let own: Vec<&'static str> = options.servers.iter().map(|server| server.name).filter(|name| is_own(name)).collect();
    if own.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for mode in &options.modes {
        for loss in losses(mode, &own, options, figures) {
            let by: Vec<String> = loss.by.iter().map(|(name, ratio)| format!("{name} {ratio:.2}")).collect();
            writeln!(rows, "| {} | {} | {} | {} |", mode.name, loss.figure.title(), loss.peer, by.join(", "))
                .expect("a String takes everything");
        }
    }
    let percent = (BEARABLE - 1.0) * 100.0;
    let text = if rows.is_empty() {
        format!("Nowhere in this run by more than {percent:.0} per cent, beside any peer.\n")
    } else {
        format!(
            "Each figure by which `quoit` is more than {percent:.0} per cent worse than the best peer (the bare servers are no \
             peers; less than {NO_CALLS} system calls are none), and how many times as much it costs, or takes:\n\n\
             | mode | figure | best peer | worse by |\n|---|---|---|---|\n{rows}"
        )
    };
    format!("\n## Where we lose\n\n{text}")
}

fn losses(mode: &Mode, own: &[&'static str], options: &Options, figures: &Figures) -> Vec<Loss> {
    let peers = options.servers.iter().map(|server| server.name);
    let peers: Vec<&'static str> = peers.filter(|name| !is_own(name) && !name.starts_with("bare")).collect();
    let worse_by = |name, peer, figure: Figure| {
        let ratio = figures.ratio(mode.name, name, peer, figure)?;
        let ratio = if figure.is_better_if_larger() { 1.0 / ratio } else { ratio };
        let is_told = figure != Figure::Calls || {
            let median = |name| figures.summary(mode.name, name, figure).map_or(0.0, |summary| summary.median);
            median(name) - median(peer) > NO_CALLS
        };
        // What was too little to count says nothing.
        (is_told && ratio.is_finite() && ratio > 0.0).then_some(ratio)
    };
    let first = own[0];
    let loss = |figure| {
        let best = peers.iter().filter_map(|peer| Some((*peer, worse_by(first, *peer, figure)?)));
        let (peer, ratio) = best.max_by(|(_, one), (_, other)| one.total_cmp(other))?;
        let by = own.iter().filter_map(|name| Some((*name, worse_by(name, peer, figure)?))).collect();
        (ratio > BEARABLE).then_some(Loss { figure, peer, by })
    };
    // Of the latencies only the median, which is the same in each run.
    let figures =
        [Figure::CpuUs, Figure::Calls, Figure::Instructions, Figure::Rate, Figure::P50Us, Figure::ConnectionBytes];
    figures.into_iter().filter_map(loss).collect()
}

fn is_own(name: &str) -> bool {
    name.starts_with("quoit")
}

/// What is not called a loss.
const BEARABLE: f64 = 1.05;

/// A difference in system calls for each request that costs nothing, however large the ratio.
const NO_CALLS: f64 = 0.05;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_worse_than_the_best_peer_is_listed_and_nothing_else() {
        let options = Options::parse(&["--modes", "echo-64,udp", "--servers", "bare-ring,quoit,tokio,monoio"])
            .expect("these options exist");
        let mut figures = Figures::default();
        // Nothing to say: as good, better, worse than a bare server only.
        add(
            &mut figures,
            [
                ("udp", "quoit", Figure::CpuUs, 1.04),
                ("udp", "tokio", Figure::CpuUs, 1.0),
                ("udp", "quoit", Figure::Calls, 0.05),
                ("udp", "tokio", Figure::Calls, 0.01),
                ("udp", "quoit", Figure::Rate, 1.2),
                ("udp", "tokio", Figure::Rate, 1.0),
                ("echo-64", "bare-ring", Figure::CpuUs, 0.1),
                ("echo-64", "quoit", Figure::CpuUs, 1.0),
                ("echo-64", "tokio", Figure::CpuUs, 1.2),
            ],
        );
        assert!(section(&options, &figures).contains("Nowhere"));

        add(
            &mut figures,
            [
                ("echo-64", "quoit", Figure::Instructions, 3000.0),
                ("echo-64", "tokio", Figure::Instructions, 1500.0),
                ("echo-64", "monoio", Figure::Instructions, 1000.0),
                ("echo-64", "quoit", Figure::Rate, 100.0),
                ("echo-64", "tokio", Figure::Rate, 150.0),
            ],
        );
        let section = section(&options, &figures);
        assert!(section.contains("| echo-64 | instructions/request | monoio | quoit 3.00 |"), "{section}");
        assert!(section.contains("| echo-64 | requests/s | tokio | quoit 1.50 |"), "{section}");
        assert_eq!(section.lines().filter(|line| line.starts_with("| echo") || line.starts_with("| udp")).count(), 2);
    }

    /// What one round has measured: of a mode and a server, a figure.
    fn add<const COUNT: usize>(figures: &mut Figures, measured: [(&'static str, &'static str, Figure, f64); COUNT]) {
        for (mode, server, figure, value) in measured {
            figures.add(mode, server, 0, figure, value);
        }
    }
}
