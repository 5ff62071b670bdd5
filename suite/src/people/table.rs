//! The rows of a table.

use std::{io::BufRead, sync::Arc};

use super::{
    ReadError,
    header::Layout,
    row::{Fault, MAX_ROW, Row},
    splitter::Splitter,
};

/// A table whose layout is known.
pub(super) struct Table<R> {
    rows: Splitter<R>,
    layout: Layout,
    names: Arc<[String]>,
}

impl<R: BufRead> Table<R> {
    /// Passes over what comes before the first row of people.
    pub(super) fn open(mut input: R, layout: Layout) -> Result<Self, ReadError> {
        let mut rows = 0;
        if layout.separator_line > 0 {
            input.consume_all(layout.separator_line)?;
            rows = 1;
        }
        let mut rows = Splitter::new(input, layout.delimiter, rows);
        if layout.width.is_some() {
            rows.next()?;
        }
        let names = layout.columns.iter().map(|column| column.name.clone()).collect();
        Ok(Self { rows, layout, names })
    }

    pub(super) fn columns(&self) -> Arc<[String]> {
        self.names.clone()
    }

    /// Which columns are read as what.
    pub(super) fn note(&self) -> Option<String> {
        let columns = self.layout.columns.iter();
        let columns: Vec<_> =
            columns.map(|column| format!("{} ({})", column.name, column.kind)).collect();
        let header = if self.layout.width.is_some() { "" } else { "no header; " };
        Some(format!("{header}read by {}", columns.join(", ")))
    }

    pub(super) fn next(&mut self, row: &mut Row) -> Result<bool, ReadError> {
        if !self.rows.next()? {
            return Ok(false);
        }
        row.number = self.rows.row();
        if let Some(width) = self.layout.width
            && (width..self.rows.len()).any(|index| !is_blank(self.rows.cell(index)))
        {
            row.fault(None, Fault::TooManyFields);
            return Ok(true);
        }
        for (number, column) in (0..).zip(&self.layout.columns) {
            let cell = row.decode(self.rows.cell(column.index));
            if !row.add(column.kind, column.form, number, &cell) {
                return Err(ReadError::RowTooLong { row: row.number, limit: MAX_ROW });
            }
        }
        if row.has_nothing() {
            row.is_blank = (0..self.rows.len()).all(|index| is_blank(self.rows.cell(index)));
            if !row.is_blank {
                row.fault(None, Fault::NothingToFindBy);
            }
        }
        Ok(true)
    }
}

fn is_blank(cell: &[u8]) -> bool {
    cell.iter().all(u8::is_ascii_whitespace)
}

/// Passing over bytes, whatever the buffer holds of them.
trait ConsumeAll: BufRead {
    fn consume_all(&mut self, mut bytes: usize) -> std::io::Result<()> {
        while bytes > 0 {
            let there = self.fill_buf()?.len().min(bytes);
            if there == 0 {
                break;
            }
            self.consume(there);
            bytes -= there;
        }
        Ok(())
    }
}

impl<R: BufRead> ConsumeAll for R {}
