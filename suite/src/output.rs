//! What commands print: tables for people, JSON for machines, progress while it lasts.

use std::{
    fmt,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use comfy_table::{Table, presets::NOTHING};
use indicatif::{ProgressBar, ProgressStyle};
use prost_reflect::{DynamicMessage, SerializeOptions};
use prost_types::Timestamp;
use serde_json::Value;

use crate::exit::Error;

/// Prints a line on standard output, as `println!` would, and fails instead of panicking when
/// whoever reads it has closed it (`| head`): pass the error on, the program then ends quietly.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}
pub(crate) use say;

/// How an answer is printed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Output {
    /// Print JSON, with the fields of the contract: one document, or for a list one a line.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Output {
    /// Prints one answer: as a JSON document, or as people read it.
    pub(crate) fn one<M: prost::Name>(
        self,
        answer: &M,
        people: impl fmt::Display,
    ) -> Result<(), Error> {
        if self.json { say!("{}", json(answer)?) } else { say!("{people}") }
    }

    /// Prints a list: one JSON document a line, or a table (what [`table`] gives), or that there is
    /// nothing in it.
    pub(crate) fn list<M: prost::Name>(
        self,
        items: &[M],
        people: &Table,
        empty: &str,
    ) -> Result<(), Error> {
        if self.json {
            return items.iter().try_for_each(|item| say!("{}", json(item)?));
        }
        if items.is_empty() { say!("{empty}") } else { say!("{}", people.trim_fmt()) }
    }
}

/// See [`say`].
pub(crate) fn line(text: fmt::Arguments<'_>) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_fmt(text).and_then(|()| out.write_all(b"\n")).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Error::OutputClosed,
        kind => Error::failed(format!("cannot write to standard output: {kind}")),
    })
}

/// Prints a line on standard error: what is to be known and is not the answer.
pub(crate) fn note(text: impl fmt::Display) {
    // Nobody is left to be told if that fails.
    let _ = writeln!(io::stderr(), "{text}");
}

/// A message in protobuf's JSON form, fields with default values included.
pub(crate) fn json<M: prost::Name>(message: &M) -> Result<Value, Error> {
    let unknown = || Error::failed(format!("{} is not in the contract", M::full_name()));
    let descriptor = proto::contract::pool().get_message_by_name(&M::full_name());
    let bytes = message.encode_to_vec();
    let message = DynamicMessage::decode(descriptor.ok_or_else(unknown)?, bytes.as_slice())
        .map_err(|_| unknown())?;
    let options = SerializeOptions::new().skip_default_fields(false);
    message.serialize_with_options(serde_json::value::Serializer, &options).map_err(|_| unknown())
}

/// An empty table with these columns, without lines, so that other programs can cut it too.
pub(crate) fn table<const N: usize>(columns: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    table.set_header(columns);
    table
}

/// What was named by others, safe to print: without what would move the cursor, break a line or
/// colour the terminal.
pub(crate) fn plain(text: &str) -> String {
    let unsafe_to_print =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.replace(unsafe_to_print, "\u{fffd}")
}

/// A value of an enum of the contract in words: `DECISION_REASON_WINDOW_PENDING`, whose prefix is
/// `DECISION_REASON_`, is "window pending".
pub(crate) fn words(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).replace('_', " ").to_lowercase()
}

/// How many of them there are: `1 row`, `2 rows`.
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A time on the command line.
pub(crate) fn instant(text: &str) -> Result<Timestamp, &'static str> {
    text.parse().map_err(|_| "a time is written as 2027-01-31T12:00:00Z (RFC 3339)")
}

/// A point in time to the second, in UTC; what there is without one.
pub(crate) fn time(at: Option<&Timestamp>, without: &str) -> String {
    at.map_or_else(|| without.to_owned(), |at| Timestamp { nanos: 0, ..*at }.to_string())
}

/// A bar on standard error while something lasts, where that is a terminal; else nothing. `what` is
/// said beside it, `total` is how many `unit`s there are (`rows`, `bytes`).
pub(crate) fn progress(what: &str, total: u64, unit: &str) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let of = if unit == "bytes" {
        "{bytes} of {total_bytes} ({bytes_per_sec})".to_owned()
    } else {
        format!("{{human_pos}} of {{human_len}} {unit} ({{per_sec}})")
    };
    if let Ok(style) = ProgressStyle::with_template(&format!("{{prefix}} {{bar:30}} {of} {{msg}}"))
    {
        bar.set_style(style);
    }
    bar.set_prefix(what.to_owned());
    bar
}

/// A file that is being written beside its place: it appears there whole, for its owner only.
#[derive(Debug)]
pub(crate) struct Unfinished {
    writer: BufWriter<tempfile::NamedTempFile>,
    place: PathBuf,
}

/// Begins to write a file.
pub(crate) fn save(place: &Path) -> Result<Unfinished, Error> {
    let directory = place.parent().filter(|parent| !parent.as_os_str().is_empty());
    let made = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")));
    let file = made.map_err(|error| Error::unwritable(place, &error))?;
    Ok(Unfinished { writer: BufWriter::new(file), place: place.to_owned() })
}

impl Unfinished {
    /// Adds to it.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.writer.write_all(bytes).map_err(|error| Error::unwritable(&self.place, &error))
    }

    /// Adds the last of it and puts it where it belongs, instead of what was there.
    pub(crate) fn finish(mut self, bytes: &[u8]) -> Result<(), Error> {
        self.write(bytes)?;
        let place = self.place;
        let file = self.writer.into_inner().map_err(io::IntoInnerError::into_error);
        let synced = file.and_then(|file| file.as_file().sync_all().map(|()| file));
        let saved = synced.and_then(|file| file.persist(&place).map_err(|error| error.error));
        saved.map(drop).map_err(|error| Error::unwritable(&place, &error))
    }
}
