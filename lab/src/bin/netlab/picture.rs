//! What each router carries over time, as lines, in SVG.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 40.0;
const COLOURS: [&str; 5] = ["#4878a8", "#58a068", "#c08030", "#a04858", "#705090"];

/// The points, and what happened when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Track {
    routers: u8,
    points: Vec<(f64, Vec<u64>)>,
    marks: Vec<(f64, String)>,
}

impl Track {
    pub(crate) fn new(routers: u8) -> Self {
        Self {
            routers,
            ..Self::default()
        }
    }

    /// At so many seconds each router carried so many bit/s.
    pub(crate) fn point(&mut self, seconds: f64, rates: Vec<u64>) {
        self.points.push((seconds, rates));
    }

    /// At so many seconds something happened.
    pub(crate) fn mark(&mut self, seconds: f64, what: &str) {
        self.marks.push((seconds, what.into()));
    }

    /// Draws it.
    pub(crate) fn draw(&self) -> String {
        let end = self
            .points
            .last()
            .map_or(1.0, |(seconds, _)| seconds.max(1.0));
        let rates = self.points.iter().flat_map(|(_, rates)| rates);
        let most = rates.copied().max().unwrap_or_default().max(1) as f64 * 1.05;
        let x = |seconds: f64| LEFT + seconds / end * (WIDTH - LEFT - RIGHT);
        let y = |rate: f64| HEIGHT - BOTTOM - rate / most * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"10\" y=\"20\" font-weight=\"bold\">What each router carries, Mbit/s, over seconds</text>\n"
        );
        // Writing to a string does not fail.
        for fourth in 0..=4 {
            let rate = most * f64::from(fourth) / 4.0;
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{1:.1}\" y2=\"{1:.1}\" stroke=\"#ccc\"/>\
                 <text x=\"{2:.1}\" y=\"{3:.1}\" text-anchor=\"end\">{4:.2}</text>",
                WIDTH - RIGHT,
                y(rate),
                LEFT - 6.0,
                y(rate) + 4.0,
                rate / 1e6
            );
        }
        for fifth in 0..=5 {
            let seconds = end * f64::from(fifth) / 5.0;
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{seconds:.0}</text>",
                x(seconds),
                HEIGHT - BOTTOM + 18.0
            );
        }
        for (seconds, what) in &self.marks {
            let _ = writeln!(
                svg,
                "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{1:.1}\" stroke=\"#888\" stroke-dasharray=\"4\"/>\
                 <text x=\"{2:.1}\" y=\"{3:.1}\" fill=\"#666\">{what}</text>",
                x(*seconds),
                HEIGHT - BOTTOM,
                x(*seconds) + 4.0,
                TOP - 4.0
            );
        }
        for router in 0..usize::from(self.routers) {
            let colour = COLOURS[router % COLOURS.len()];
            let points: Vec<String> = self
                .points
                .iter()
                .filter_map(|(seconds, rates)| {
                    let rate = *rates.get(router)? as f64;
                    Some(format!("{:.1},{:.1}", x(*seconds), y(rate)))
                })
                .collect();
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
                 <text x=\"{}\" y=\"20\" fill=\"{colour}\">\u{25cf} r{}</text>",
                points.join(" "),
                400 + 60 * router,
                router + 1
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}
