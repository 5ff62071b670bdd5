//! What a measurement prints: figures on standard output, one a line, for scripts; everything
//! else on standard error, for people.

use std::{fmt, process::ExitCode};

/// What a figure counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Calls a second.
    PerSecond,
    /// Millions a second.
    MillionPerSecond,
    /// Seconds.
    Seconds,
    /// Millions of bytes.
    Megabytes,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// One figure over another.
    Ratio,
    /// How many.
    Count,
    /// Bytes.
    Bytes,
}

/// A result. Its line is `FIGURE <name> <value> <unit>`, and its name never changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// In lower case, words joined by `-`.
    pub name: &'static str,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digits, unit) = match self.unit {
            Unit::PerSecond => (0, "1/s"),
            Unit::MillionPerSecond => (2, "10^6/s"),
            Unit::Seconds => (2, "s"),
            Unit::Megabytes => (0, "MB"),
            Unit::Milliseconds => (3, "ms"),
            Unit::Microseconds => (1, "us"),
            Unit::Ratio => (3, "ratio"),
            Unit::Count => (0, "count"),
            Unit::Bytes => (1, "bytes"),
        };
        write!(f, "FIGURE {} {:.digits$} {unit}", self.name, self.value)
    }
}

/// The figures of one run and whether they may be believed.
#[derive(Debug, Default)]
pub struct Report {
    figures: Vec<Figure>,
    complaints: Vec<String>,
}

impl Report {
    /// Adds a figure.
    pub fn figure(&mut self, name: &'static str, value: f64, unit: Unit) {
        self.figures.push(Figure { name, value, unit });
        if !value.is_finite() {
            self.invalid(format!("{name} has no value"));
        }
    }

    /// Makes the run invalid: its figures must not be used, and here is why.
    pub fn invalid(&mut self, why: impl Into<String>) {
        self.complaints.push(why.into());
    }

    /// The figures so far.
    pub fn figures(&self) -> &[Figure] {
        &self.figures
    }

    /// Why the run is invalid, if it is.
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// Prints the figures, and says what is wrong with them. A failure if anything is.
    pub fn finish(self) -> ExitCode {
        for figure in &self.figures {
            println!("{figure}");
        }
        for complaint in &self.complaints {
            eprintln!("INVALID {complaint}");
        }
        if self.complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
