//! The tables, and the files of a report.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::chart;
use crate::figures::{Figure, Figures, Summary};
use crate::losses;
use crate::modes::{Kind, Mode};
use crate::options::Options;
use crate::servers::Server;

/// What a run has brought.
pub(crate) struct Report<'a> {
    pub(crate) options: &'a Options,
    /// Where and with what, in Markdown.
    pub(crate) description: String,
    pub(crate) figures: &'a Figures,
    pub(crate) failures: &'a [String],
}

impl Report<'_> {
    /// The whole report, without charts.
    pub(crate) fn markdown(&self) -> String {
        self.page(false)
    }

    /// Writes the page, the charts, and two files of comma-separated values into `docs/benchmarks/`.
    pub(crate) fn write(&self) -> io::Result<()> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks");
        fs::create_dir_all(&directory)?;
        let write = |name: PathBuf, text: String| fs::write(directory.join(name), text);
        write("README.md".into(), self.page(true))?;
        write("summary.csv".into(), self.summary_csv())?;
        write("rounds.csv".into(), self.rounds_csv())?;
        for mode in &self.options.modes {
            if let Some(chart) = self.chart(mode) {
                write(format!("{}.svg", mode.name).into(), chart)?;
            }
        }
        eprintln!("written: {}", directory.display());
        Ok(())
    }

    fn page(&self, with_charts: bool) -> String {
        let mut page = format!("# Figures\n\n{}\n", self.description);
        if self.options.divisor > 1 {
            page += "- **a quick run: it shows that everything works, not how fast**\n";
        }
        page += &losses::section(self.options, self.figures);
        page += "\n## How to read the tables\n\nMedians over the rounds, and their quartiles in brackets. Ratios are medians of the ratios inside a round.\n";
        for mode in &self.options.modes {
            let table = self.table(mode);
            if !table.is_empty() {
                let chart = if with_charts { format!("\n![{0}]({0}.svg)\n", mode.name) } else { String::new() };
                write!(page, "\n## {}: {}\n\n{table}{chart}", mode.name, mode.title)
                    .expect("a String takes everything");
            }
        }
        if !self.failures.is_empty() {
            page += "\n## What failed\n\n";
            page.extend(self.failures.iter().map(|failure| format!("- {failure}\n")));
        }
        page
    }

    /// A row for each server, a column for each figure that there is.
    fn table(&self, mode: &Mode) -> String {
        let servers = self.servers(mode);
        if servers.is_empty() {
            return String::new();
        }
        let bare = bare(&servers);
        let headline = headline(mode);
        let figures: Vec<Figure> = Figure::ALL
            .into_iter()
            .filter(|figure| servers.iter().any(|server| self.summary(mode, server, *figure).is_some()))
            .collect();
        let references: Vec<&str> = bare.into_iter().chain(["tokio"]).collect();
        let mut table = "| server |".to_owned();
        table.extend(references.iter().map(|reference| format!(" {} / {reference} |", headline.title())));
        table.extend(figures.iter().map(|figure| format!(" {} |", figure.title())));
        table += "\n|---|";
        table += &"---|".repeat(references.len());
        table += &"---|".repeat(figures.len());
        for server in &servers {
            let ratio = |to| {
                let ratio = self.figures.ratio(mode.name, server.name, to, headline);
                ratio.map_or(String::new(), |ratio| format!("{ratio:.2}"))
            };
            write!(table, "\n| {} |", server.name).expect("a String takes everything");
            table.extend(references.iter().map(|reference| format!(" {} |", ratio(reference))));
            table.extend(figures.iter().map(|figure| {
                let summary = self.summary(mode, server, *figure);
                format!(" {} |", summary.map_or(String::new(), |summary| cell(*figure, summary)))
            }));
        }
        table + "\n"
    }

    fn summary_csv(&self) -> String {
        let mut text =
            "mode,server,figure,median,lower_quartile,upper_quartile,ratio_to_bare,ratio_to_tokio\n".to_owned();
        for (mode, server, figure) in self.cells() {
            let Some(summary) = self.summary(mode, server, figure) else { continue };
            let bare = bare(&self.servers(mode)).unwrap_or_default();
            let ratio = |to| {
                let ratio = self.figures.ratio(mode.name, server.name, to, figure);
                ratio.map_or(String::new(), |ratio| format!("{ratio:.4}"))
            };
            let (lower, upper) = summary.quartiles;
            let values = format!("{:.4},{lower:.4},{upper:.4},{},{}", summary.median, ratio(bare), ratio("tokio"));
            writeln!(text, "{},{},{},{values}", mode.name, server.name, figure.title())
                .expect("a String takes everything");
        }
        text
    }

    fn rounds_csv(&self) -> String {
        let mut text = "mode,server,round,figure,value\n".to_owned();
        for (mode, server, figure) in self.cells() {
            for (round, value) in self.figures.rounds(mode.name, server.name, figure) {
                writeln!(text, "{},{},{},{},{value:.4}", mode.name, server.name, round + 1, figure.title())
                    .expect("a String takes everything");
            }
        }
        text
    }

    fn chart(&self, mode: &Mode) -> Option<String> {
        let figure = headline(mode);
        let bars: Vec<_> = self
            .servers(mode)
            .into_iter()
            .filter_map(|server| Some((server.name, self.summary(mode, server, figure)?)))
            .collect();
        (!bars.is_empty()).then(|| chart::bars(mode.title, figure, &bars))
    }

    fn cells(&self) -> impl Iterator<Item = (&'static Mode, &'static Server, Figure)> {
        let rows = self
            .options
            .modes
            .iter()
            .flat_map(|mode| self.servers(mode).into_iter().map(move |server| (*mode, server)));
        rows.flat_map(|(mode, server)| Figure::ALL.into_iter().map(move |figure| (mode, server, figure)))
    }

    /// The servers of which there is a headline in this mode.
    fn servers(&self, mode: &Mode) -> Vec<&'static Server> {
        let mut servers = self.options.servers.clone();
        servers.retain(|server| self.summary(mode, server, headline(mode)).is_some());
        servers
    }

    fn summary(&self, mode: &Mode, server: &Server, figure: Figure) -> Option<Summary> {
        self.figures.summary(mode.name, server.name, figure)
    }
}

/// The first server of a mode that has no runtime.
fn bare(servers: &[&Server]) -> Option<&'static str> {
    servers.iter().map(|server| server.name).find(|name| name.starts_with("bare"))
}

/// What the servers of a mode are compared by.
fn headline(mode: &Mode) -> Figure {
    if matches!(mode.kind, Kind::Idle { .. }) { Figure::ConnectionBytes } else { Figure::CpuUs }
}

fn cell(figure: Figure, summary: Summary) -> String {
    let (lower, upper) = (figure.text(summary.quartiles.0), figure.text(summary.quartiles.1));
    let median = figure.text(summary.median);
    if lower == upper { median } else { format!("{median} ({lower} to {upper})") }
}
