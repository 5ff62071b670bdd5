//! What a table is, from its beginning: how cells are delimited, whether there is a header, and which
//! columns hold what.

use std::io::Cursor;

use identifiers::{Kind, Profile};

use super::{
    ReadError, names,
    row::{ColumnChoice, Form, MAX_ROW, Options, decode},
    splitter::Splitter,
};

/// How many rows of a table without a header are looked at to find out what its columns hold.
const LOOKED_AT: usize = 50;
/// What may stand between cells.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// How a table is laid out.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) delimiter: u8,
    /// Bytes of a first line that names the delimiter and nothing else (`sep=;`).
    pub(super) separator_line: usize,
    /// How many columns the header has; without a header, nothing.
    pub(super) width: Option<usize>,
    /// The columns that are read.
    pub(super) columns: Vec<Column>,
}

/// A column that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) index: usize,
    pub(super) kind: Kind,
    pub(super) form: Form,
    pub(super) name: String,
}

impl Layout {
    /// Of a table that begins with `head`, which is all of it or not.
    pub(super) fn of(head: &[u8], is_all: bool, options: &Options) -> Result<Self, ReadError> {
        let (separator_line, named) = separator_line(head);
        let table = &head[separator_line..];
        let delimiter = named.unwrap_or_else(|| delimiter(table));
        let rows = rows(table, is_all, delimiter)?;
        let Some(first) = rows.first() else { return Err(ReadError::Empty) };
        let is_header = !options.no_header && !has_people(first, options);
        let columns = match (options.columns.as_slice(), is_header) {
            ([], true) => recognised(first, options),
            ([], false) => guessed(&rows, options),
            (chosen, _) => picked(chosen, is_header.then_some(first.as_slice()))?,
        };
        if columns.is_empty() {
            let found = first.iter().map(|name| name.trim().to_owned()).collect();
            // Without a header, the first row may be somebody.
            let found = if is_header { found } else { Vec::new() };
            return Err(ReadError::NoColumn { wanted: options.kinds, found });
        }
        let width = is_header.then_some(first.len());
        Ok(Self { delimiter, separator_line, width, columns })
    }
}

/// A first line that names the delimiter, as Excel reads and writes: its length, and what it names.
fn separator_line(head: &[u8]) -> (usize, Option<u8>) {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let bare: Vec<u8> = line.iter().copied().filter(|byte| *byte != b'"').collect();
    match bare.as_slice() {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', delimiter] => {
            let rest = &head[line.len()..];
            let end = if rest.starts_with(b"\r\n") { 2 } else { rest.len().min(1) };
            (line.len() + end, Some(*delimiter))
        }
        _ => (0, None),
    }
}

/// What stands most often between the cells of the first row.
fn delimiter(table: &[u8]) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut is_quoted = false;
    let begun = table.iter().skip_while(|byte| matches!(byte, b'\r' | b'\n'));
    for byte in begun {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\r' | b'\n' if !is_quoted => break,
            _ if is_quoted => {}
            _ => {
                if let Some(which) = DELIMITERS.iter().position(|one| one == byte) {
                    counts[which] += 1;
                }
            }
        }
    }
    let most = counts.iter().max().copied().unwrap_or_default();
    let which = counts.iter().position(|count| *count == most).unwrap_or_default();
    DELIMITERS[which]
}

/// The first rows, as text.
fn rows(table: &[u8], is_all: bool, delimiter: u8) -> Result<Vec<Vec<String>>, ReadError> {
    let mut splitter = Splitter::new(Cursor::new(table), delimiter, 0);
    let mut rows = Vec::new();
    while rows.len() < LOOKED_AT {
        match splitter.next() {
            Ok(true) => {}
            Ok(false) => break,
            // It may be closed after the head.
            Err(ReadError::QuoteOpen { .. }) if !is_all => {
                rows.push(Vec::new());
                break;
            }
            Err(error) => return Err(error),
        }
        let text = |bytes| decode(bytes).map_or_else(|text| text, Into::into);
        rows.push((0..splitter.len()).map(|index| text(splitter.cell(index))).collect());
    }
    if !is_all && rows.len() < LOOKED_AT {
        // The last of them is cut where the head ends.
        rows.pop();
        if rows.is_empty() {
            return Err(ReadError::RowTooLong { row: 1, limit: table.len().min(MAX_ROW) });
        }
    }
    Ok(rows)
}

/// The columns whose headers are known.
fn recognised(header: &[String], options: &Options) -> Vec<Column> {
    let columns = header.iter().enumerate().filter_map(|(index, name)| {
        let (kind, form) = names::recognise(name)?;
        let name = name.trim().to_owned();
        options.kinds.contains(&kind).then_some(Column { index, kind, form, name })
    });
    columns.collect()
}

/// Whether the first row of a table is somebody.
fn has_people(first: &[String], options: &Options) -> bool {
    first.iter().any(|cell| kind_of(cell, first.len() == 1, options).is_some())
}

/// What a cell obviously holds. A date or a postcode must not pass for a phone number: unless there
/// is nothing else in the row, a number has to begin as numbers with a prefix do.
fn kind_of(cell: &str, is_alone: bool, options: &Options) -> Option<Kind> {
    let cell = cell.trim();
    let is = |kind, region| {
        options.kinds.contains(&kind)
            && identifiers::digest(kind, Profile::Meta, cell, region).is_ok()
    };
    if is(Kind::Email, None) {
        return Some(Kind::Email);
    }
    let has_prefix = cell.starts_with(['+', '0', '(', '＋']) || is_alone;
    (has_prefix && is(Kind::Phone, options.region)).then_some(Kind::Phone)
}

/// The columns in which the first rows have what is looked for.
fn guessed(rows: &[Vec<String>], options: &Options) -> Vec<Column> {
    let width = rows.iter().map(Vec::len).max().unwrap_or_default();
    let columns = (0..width).filter_map(|index| {
        let mut cells = rows.iter().filter_map(|row| Some((row.get(index)?, row.len() == 1)));
        let kind = cells.find_map(|(cell, is_alone)| kind_of(cell, is_alone, options))?;
        Some(Column { index, kind, form: Form::Clear, name: format!("column {}", index + 1) })
    });
    columns.collect()
}

/// The columns that were named.
fn picked(chosen: &[ColumnChoice], header: Option<&[String]>) -> Result<Vec<Column>, ReadError> {
    let mut columns = Vec::new();
    for ColumnChoice { kind, column } in chosen {
        let names = header.unwrap_or_default();
        let same = |name: &String| name.trim().to_lowercase() == column.to_lowercase();
        let mut indexes: Vec<_> = (0..names.len()).filter(|index| same(&names[*index])).collect();
        if indexes.is_empty() {
            // A header may be a number too; that it is one of these comes first.
            let number = column.parse().ok().and_then(|number: usize| number.checked_sub(1));
            let is_there = |number: &usize| header.is_none_or(|header| *number < header.len());
            indexes.extend(number.filter(is_there));
        }
        if indexes.is_empty() {
            let found = names.iter().map(|name| name.trim().to_owned()).collect();
            return Err(ReadError::ColumnUnknown { wanted: column.clone(), found });
        }
        columns.extend(indexes.into_iter().map(|index| {
            let name = names.get(index).map(|name| name.trim().to_owned());
            let name = name.unwrap_or_else(|| format!("column {}", index + 1));
            let form = match names::recognise(&name) {
                Some((_, form)) => form,
                None => Form::Clear,
            };
            Column { index, kind: *kind, form, name }
        }));
    }
    columns.sort_by_key(|column| column.index);
    Ok(columns)
}
