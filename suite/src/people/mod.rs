//! Lists of people as files: tables (CSV) and address books (vCard), read whatever program wrote
//! them, in memory that does not grow with them.
//!
//! ```text
//! file ─▶ text (`source`) ─▶ rows (`table`, `cards`) ─▶ digests (`hashing`) ─▶ audience, contacts
//!                                            └────────── refused (`rejects`) ─▶ told, or a file
//! ```
//!
//! Nothing here calls anybody. Identifiers are hashed before they go any further, unless `--raw` is
//! given; what is kept in files (`state`) is digests at most.

mod arguments;
mod cards;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod hashing;
mod header;
mod names;
mod property;
mod rejects;
mod row;
mod source;
mod splitter;
mod state;
mod table;
#[cfg(test)]
mod tests;

use std::{
    io::{self, BufReader, Cursor, Read},
    sync::Arc,
};

pub(crate) use self::{
    arguments::Reading,
    hashing::{Hashing, Prepared, wire},
    rejects::{Reject, Rejects, Told},
    row::{Fault, Row, service_says},
    source::Source,
    state::{StateArguments, StateFile},
};
use self::{cards::Cards, header::Layout, row::Options, source::Text, table::Table};

/// The rows of a list, one after the other.
pub(crate) struct Rows {
    format: Format,
    /// Rows of which something was in no Unicode encoding, and the first of them.
    windows_1252: Option<(u64, u64)>,
}

enum Format {
    Table(Box<Table<Input>>),
    Cards(Box<Cards<Input>>),
}

/// What was looked at to find out what it is, and the rest.
type Input = BufReader<io::Chain<Cursor<Vec<u8>>, Text>>;

/// Why a list cannot be read, or not any further.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The file or pipe failed.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// A spreadsheet program's own format.
    #[error("it is a spreadsheet program's own file")]
    Spreadsheet,
    /// Packed.
    #[error("it is compressed")]
    Compressed,
    /// Neither text in bytes nor UTF-16 that says so.
    #[error("there are zero bytes in it, as in UTF-16 without a byte order mark")]
    ZeroBytes,
    /// One row is larger than any row is.
    #[error("row {row} is longer than {limit} bytes")]
    RowTooLong {
        /// Which.
        row: u64,
        /// The most bytes, or values, of one.
        limit: usize,
    },
    /// The list ends within a quoted value.
    #[error("a quote is opened in row {row} and never closed")]
    QuoteOpen {
        /// Which.
        row: u64,
    },
    /// A vCard begins and does not end.
    #[error("card {card} is cut off: END:VCARD is missing")]
    CardCut {
        /// Which, from 1.
        card: u64,
    },
    /// Nothing says which column holds what.
    #[error("none of its columns is known to hold {}", kinds(wanted))]
    NoColumn {
        /// What was looked for.
        wanted: &'static [identifiers::Kind],
        /// The first row.
        found: Vec<String>,
    },
    /// A column that `--column` names is not there.
    #[error("it has no column {wanted:?}")]
    ColumnUnknown {
        /// As it was named.
        wanted: String,
        /// The columns there are; without a header, none.
        found: Vec<String>,
    },
}

fn kinds(kinds: &[identifiers::Kind]) -> String {
    let names: Vec<_> = kinds.iter().map(|kind| kind.name().replace('_', " ")).collect();
    names.join(", ")
}

impl Rows {
    /// Finds out what `text` is and how it is laid out.
    pub(crate) fn open(
        text: impl Read + Send + 'static,
        options: &Options,
    ) -> Result<Self, ReadError> {
        let mut text = source::decoded(Box::new(text));
        let (head, is_all) = source::head(&mut text)?;
        source::refuse_other_formats(&head)?;
        let format = if cards::are_in(&head) {
            let input = BufReader::with_capacity(source::BUFFER, Cursor::new(head).chain(text));
            Format::Cards(Box::new(Cards::new(input, options)))
        } else {
            let layout = Layout::of(&head, is_all, options)?;
            let input = BufReader::with_capacity(source::BUFFER, Cursor::new(head).chain(text));
            Format::Table(Box::new(Table::open(input, layout)?))
        };
        Ok(Self { format, windows_1252: None })
    }

    /// Reads the next row into `row`; false when there is none.
    pub(crate) fn next(&mut self, row: &mut Row) -> Result<bool, ReadError> {
        row.clear();
        let more = match &mut self.format {
            Format::Table(table) => table.next(row)?,
            Format::Cards(cards) => cards.next(row)?,
        };
        if row.is_windows_1252() {
            let (first, rows) = self.windows_1252.unwrap_or((row.number, 0));
            self.windows_1252 = Some((first, rows + 1));
        }
        Ok(more)
    }

    /// The names of the columns (of a table), or of the properties (of cards), that are read: what
    /// the numbers of columns stand for.
    pub(crate) fn columns(&self) -> Arc<[String]> {
        match &self.format {
            Format::Table(table) => table.columns(),
            Format::Cards(cards) => cards.columns(),
        }
    }

    /// What to know of how it was read, a sentence each.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if let Format::Table(table) = &self.format {
            notes.push(table.note());
        }
        if let Some((first, rows)) = self.windows_1252 {
            notes.push(format!(
                "{rows} rows were not in UTF-8 and were read as Windows-1252, row {first} first"
            ));
        }
        notes
    }
}
