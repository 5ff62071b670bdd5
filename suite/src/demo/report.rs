//! The table at the end: who did what, and what they saw.

use std::{fmt, time::Duration};

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

/// What each party saw, in order.
#[derive(Debug, Default)]
pub(super) struct Report {
    rows: Vec<[String; 3]>,
    /// Figures under the table.
    figures: Vec<(String, String)>,
}

impl Report {
    /// Somebody did something and saw something.
    pub(super) fn scene(&mut self, who: &str, what: impl Into<String>, saw: impl Into<String>) {
        self.rows.push([who.to_owned(), what.into(), saw.into()]);
    }

    /// A figure under the table.
    pub(super) fn figure(&mut self, name: &str, value: impl fmt::Display) {
        self.figures.push((name.to_owned(), value.to_string()));
    }

    /// How long a step took and how many it did a second.
    pub(super) fn rate(&mut self, name: &str, count: usize, took: Duration) {
        #[allow(clippy::cast_precision_loss)] // a figure for people
        let per_second = count as f64 / took.as_secs_f64().max(1e-9);
        self.figure(name, format!("{count} in {:.1} s ({per_second:.0}/s)", took.as_secs_f64()));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(110);
        table.set_header(["Who", "Does", "Sees"]);
        table.add_rows(&self.rows);
        writeln!(f, "{table}")?;
        for (name, value) in &self.figures {
            writeln!(f, "  {name:<34} {value}")?;
        }
        write!(f, "\nEvery step showed what it should.")
    }
}
