//! The goodput curve as an SVG.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

/// What came of one offered load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    /// What was offered, over the maximum.
    pub(super) factor: f64,
    /// What was served, over the maximum.
    pub(super) goodput: f64,
    /// The share of calls that were not.
    pub(super) shed: f64,
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        write!(
            f,
            "{:.2}x: goodput {:.2}, shed {:.0} %, served: p50 {:.1} ms, p99 {:.1} ms",
            self.factor,
            self.goodput,
            self.shed * 100.0,
            ms(self.p50),
            ms(self.p99)
        )
    }
}

/// The plot's place in the picture, and what its axes end with.
const CORNER: (f64, f64) = (60.0, 40.0);
const SIZE: (f64, f64) = (480.0, 240.0);
const MOST: (f64, f64) = (3.0, 1.2);

/// What is drawn of a point.
type Share = fn(&Point) -> f64;

fn place(factor: f64, share: f64) -> (f64, f64) {
    (CORNER.0 + SIZE.0 * factor / MOST.0, CORNER.1 + SIZE.1 * (1.0 - share / MOST.1))
}

/// Goodput and what is shed over what is offered, with the 99th percentile beside each point.
pub(super) fn draw(points: &[Point], most: f64) -> String {
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 600 350\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"600\" height=\"350\" fill=\"white\"/>\n",
    );
    // Writing to a String does not fail.
    let _ = writeln!(
        svg,
        "<text x=\"60\" y=\"20\">Goodput and shed calls by offered load (1 = {most:.0} calls/s); p99 of \
         what is served</text>"
    );
    let mut line = |from: (f64, f64), to: (f64, f64), style: &str| {
        let _ = writeln!(
            svg,
            "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" {style}/>",
            from.0, from.1, to.0, to.1
        );
    };
    let axis = "stroke=\"black\"";
    line(place(0.0, 0.0), place(MOST.0, 0.0), axis);
    line(place(0.0, 0.0), place(0.0, MOST.1), axis);
    line(place(0.0, 0.8), place(MOST.0, 0.8), "stroke=\"silver\" stroke-dasharray=\"4\"");
    for tick in [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0] {
        let (x, y) = place(tick, 0.0);
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick}x</text>",
            y + 18.0
        );
    }
    for tick in [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] {
        let (x, y) = place(0.0, tick);
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.0} %</text>",
            x - 6.0,
            y + 4.0,
            tick * 100.0
        );
    }
    let (goodput, shed): (Share, Share) = (|point| point.goodput, |point| point.shed);
    for (name, colour, of) in
        [("served, of the maximum", "#06c", goodput), ("shed, of what is offered", "#c60", shed)]
    {
        let places = points.iter().map(|point| {
            let (x, y) = place(point.factor, of(point));
            format!("{x:.1},{y:.1}")
        });
        let places: Vec<_> = places.collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            places.join(" ")
        );
        if let Some(last) = points.last() {
            let (x, y) = place(last.factor, of(last));
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"{colour}\">{name}</text>",
                y + 16.0
            );
        }
    }
    for point in points {
        let (x, y) = place(point.factor, point.goodput);
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#06c\"/>\n\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"10\">{:.0} ms</text>",
            y - 8.0,
            point.p99.as_secs_f64() * 1e3
        );
    }
    svg.push_str("</svg>\n");
    svg
}
