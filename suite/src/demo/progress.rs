//! How far a step has come: a bar at a terminal, a line for each tenth elsewhere.

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// A step of many parts, shown on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    what: &'static str,
    bar: ProgressBar,
    as_lines: bool,
}

impl Progress {
    pub(super) fn new(what: &'static str, parts: usize) -> Self {
        let bar = ProgressBar::new(parts as u64);
        if let Ok(style) = ProgressStyle::with_template(
            "{prefix:>28} {bar:30} {human_pos:>9} of {human_len} ({per_sec}) {msg}",
        ) {
            bar.set_style(style);
        }
        bar.set_prefix(what);
        Self { what, bar, as_lines: !stderr().is_terminal() }
    }

    /// So many more parts are done.
    pub(super) fn advance(&self, parts: u64) {
        let before = self.tenths();
        self.bar.inc(parts);
        let after = self.tenths();
        if self.as_lines && after > before {
            eprintln!("{}: {} %", self.what, after * 10);
        }
    }

    /// Something to know while waiting.
    pub(super) fn say(&self, message: &'static str) {
        self.bar.set_message(message);
        if self.as_lines {
            eprintln!("{}: {message}", self.what);
        }
    }

    fn tenths(&self) -> u64 {
        self.bar.position() * 10 / self.bar.length().unwrap_or(1).max(1)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
