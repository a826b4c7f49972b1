//! Bar charts, as SVG.

use std::fmt::Write as _;

use crate::figures::{Figure, Summary};

/// A bar for each server: the median, with a line from quartile to quartile. Shorter is better.
pub(crate) fn bars(title: &str, figure: Figure, bars: &[(&str, Summary)]) -> String {
    let longest =
        bars.iter().map(|(_, summary)| summary.quartiles.1.max(summary.median)).fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| NAMES + value.max(0.0) / longest * BARS;
    let height = HEADER + bars.len() as f64 * ROW + 8.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"8\" y=\"20\" font-weight=\"bold\">{title}</text>\n\
         <text x=\"8\" y=\"38\" fill=\"#555555\">{}; shorter is better</text>\n",
        figure.title(),
    );
    for (index, (name, summary)) in bars.iter().enumerate() {
        let top = HEADER + index as f64 * ROW;
        let (middle, text) = (top + ROW / 2.0 - 2.0, top + ROW / 2.0 + 2.5);
        let (end, lower, upper) = (x(summary.median), x(summary.quartiles.0), x(summary.quartiles.1));
        let colour = if name.starts_with("quoit") {
            "#2f6f4f"
        } else if name.starts_with("bare") {
            "#9aa0a6"
        } else {
            "#7aa6d8"
        };
        write!(
            svg,
            "<text x=\"{}\" y=\"{text:.1}\" text-anchor=\"end\">{name}</text>\n\
             <rect x=\"{NAMES}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\n\
             <path d=\"M{lower:.1} {middle:.1}H{upper:.1}\" stroke=\"#202020\" stroke-width=\"2\"/>\n\
             <text x=\"{:.1}\" y=\"{text:.1}\">{}</text>\n",
            NAMES - 8.0,
            end - NAMES,
            ROW - 6.0,
            upper.max(end) + 6.0,
            figure.text(summary.median),
        )
        .expect("a String takes everything");
    }
    svg + "</svg>\n"
}

const WIDTH: f64 = 680.0;
const HEADER: f64 = 50.0;
const ROW: f64 = 24.0;
/// The width of the names, and of the longest bar.
const NAMES: f64 = 110.0;
const BARS: f64 = 480.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_bar_is_full_and_the_others_are_in_proportion() {
        let summary = |median| Summary { median, quartiles: (median, median) };
        let svg = bars("title", Figure::CpuUs, &[("tokio", summary(8.0)), ("quoit", summary(2.0))]);
        assert!(svg.contains("width=\"480.0\"") && svg.contains("width=\"120.0\""), "{svg}");
        assert!(svg.contains(">8.00<") && svg.contains(">2.00<"), "{svg}");
        assert_eq!((svg.matches("<text").count(), svg.matches("</text>").count()), (6, 6));
    }
}
