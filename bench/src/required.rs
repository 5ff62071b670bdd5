//! What figures must reach.

use std::fmt::Write as _;

use crate::report::{Figure, Report};

/// What a figure must be.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    /// No less.
    AtLeast(f64),
    /// No more.
    AtMost(f64),
}

/// The figures against what they must reach, for people to read.
pub fn table(report: &Report, required: &[(&str, Bound)]) -> String {
    let mut table = String::new();
    for Figure { name, value, .. } in report.figures() {
        let Some((_, bound)) = required.iter().find(|(known, _)| known == name) else { continue };
        let (sign, limit, reached) = match *bound {
            Bound::AtLeast(limit) => ("≥", limit, *value >= limit),
            Bound::AtMost(limit) => ("≤", limit, *value <= limit),
        };
        let verdict = if reached { "reached" } else { "MISSED" };
        // A String takes everything.
        let _ = writeln!(table, "{name:36} {value:>12.3} {sign} {limit:<12} {verdict}");
    }
    table
}
