//! What was measured, and what follows from it.

use std::collections::BTreeMap;

/// What is measured of a server in a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    CpuUs,
    Calls,
    Instructions,
    Rate,
    P50Us,
    P99Us,
    P999Us,
    ServerBusy,
    LoadBusy,
    ConnectionBytes,
}

impl Figure {
    pub(crate) const ALL: [Figure; 10] = [
        Figure::CpuUs,
        Figure::Calls,
        Figure::Instructions,
        Figure::Rate,
        Figure::P50Us,
        Figure::P99Us,
        Figure::P999Us,
        Figure::ServerBusy,
        Figure::LoadBusy,
        Figure::ConnectionBytes,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Figure::CpuUs => "CPU us/request",
            Figure::Calls => "system calls/request",
            Figure::Instructions => "instructions/request",
            Figure::Rate => "requests/s",
            Figure::P50Us => "p50 us",
            Figure::P99Us => "p99 us",
            Figure::P999Us => "p99.9 us",
            Figure::ServerBusy => "server busy %",
            Figure::LoadBusy => "load busy %",
            Figure::ConnectionBytes => "bytes/connection",
        }
    }

    pub(crate) fn is_better_if_larger(self) -> bool {
        self == Figure::Rate
    }

    /// A value with the digits that mean something.
    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Figure::CpuUs => format!("{value:.2}"),
            Figure::Calls => format!("{value:.3}"),
            Figure::P50Us | Figure::P99Us | Figure::P999Us => format!("{value:.1}"),
            Figure::Instructions | Figure::Rate | Figure::ServerBusy | Figure::LoadBusy | Figure::ConnectionBytes => {
                format!("{value:.0}")
            }
        }
    }
}

/// The figures of all servers in all modes, by round.
#[derive(Default)]
pub(crate) struct Figures {
    rounds: BTreeMap<(&'static str, &'static str, Figure), BTreeMap<usize, f64>>,
}

/// The median of several rounds, and the quartiles around it.
#[derive(Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) quartiles: (f64, f64),
}

impl Figures {
    pub(crate) fn add(&mut self, mode: &'static str, server: &'static str, round: usize, figure: Figure, value: f64) {
        self.rounds.entry((mode, server, figure)).or_default().insert(round, value);
    }

    /// The value of each round.
    pub(crate) fn rounds(&self, mode: &'static str, server: &'static str, figure: Figure) -> &BTreeMap<usize, f64> {
        const NONE: &BTreeMap<usize, f64> = &BTreeMap::new();
        self.rounds.get(&(mode, server, figure)).unwrap_or(NONE)
    }

    pub(crate) fn summary(&self, mode: &'static str, server: &'static str, figure: Figure) -> Option<Summary> {
        summary(self.rounds(mode, server, figure).values().copied().collect())
    }

    /// The median of the ratios inside the rounds that both were in: what the machine did besides is in neither.
    pub(crate) fn ratio(
        &self,
        mode: &'static str,
        server: &'static str,
        to: &'static str,
        figure: Figure,
    ) -> Option<f64> {
        let others = self.rounds(mode, to, figure);
        let rounds = self.rounds(mode, server, figure).iter();
        let ratios = rounds.filter_map(|(round, value)| Some(value / others.get(round)?));
        summary(ratios.collect()).map(|summary| summary.median)
    }
}

fn summary(mut values: Vec<f64>) -> Option<Summary> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    // Between two values in proportion.
    let at = |part: f64| {
        let position = part * last as f64;
        let (below, above) = (values[position.floor() as usize], values[position.ceil() as usize]);
        below + (above - below) * position.fract()
    };
    Some(Summary { median: at(0.5), quartiles: (at(0.25), at(0.75)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_inside_the_rounds_that_both_were_in() {
        let mut figures = Figures::default();
        for (round, own, other) in [(0, 2.0, 1.0), (1, 30.0, 10.0), (2, 400.0, 100.0)] {
            figures.add("mode", "own", round, Figure::Rate, own);
            figures.add("mode", "other", round, Figure::Rate, other);
        }
        figures.add("mode", "own", 3, Figure::Rate, 1e9);
        assert_eq!(figures.ratio("mode", "own", "other", Figure::Rate), Some(3.0));
        assert_eq!(figures.ratio("mode", "own", "nobody", Figure::Rate), None);
        assert!(figures.summary("mode", "nobody", Figure::Rate).is_none());
    }

    #[test]
    fn quartiles_lie_between_the_values() {
        let summary = summary(vec![4.0, 1.0, 3.0, 2.0, 5.0]).expect("there are values");
        assert_eq!((summary.median, summary.quartiles), (3.0, (2.0, 4.0)));
        let of_two = super::summary(vec![1.0, 2.0]).expect("there are values");
        assert_eq!((of_two.median, of_two.quartiles), (1.5, (1.25, 1.75)));
    }
}
