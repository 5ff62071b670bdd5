//! A table into rows and cells, by csv-core, in bounded memory.

use std::io::BufRead;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::{ReadError, row::MAX_ROW};

/// The most cells of a row.
const MAX_CELLS: usize = 1 << 14;

/// Splits text into rows.
pub(super) struct Splitter<R> {
    input: R,
    core: Reader,
    /// The cells of the row, one after the other, and where each ends.
    cells: Vec<u8>,
    ends: Vec<usize>,
    /// How many cells the row has.
    count: usize,
    row: u64,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    after_return: bool,
}

impl<R: BufRead> Splitter<R> {
    /// `skipped` rows were read before.
    pub(super) fn new(input: R, delimiter: u8, skipped: u64) -> Self {
        Self {
            input,
            core: ReaderBuilder::new().delimiter(delimiter).build(),
            cells: vec![0; 1 << 12],
            ends: vec![0; 1 << 6],
            count: 0,
            row: skipped,
            after_return: false,
        }
    }

    /// The number of the row that was read last, from 1. Rows without anything count.
    pub(super) fn row(&self) -> u64 {
        self.row
    }

    /// How many cells it has.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// One of its cells, unquoted; nothing where it has none.
    pub(super) fn cell(&self, index: usize) -> &[u8] {
        if index >= self.count {
            return &[];
        }
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.cells[start..self.ends[index]]
    }

    /// Reads the next row; false at the end.
    pub(super) fn next(&mut self) -> Result<bool, ReadError> {
        self.count = 0;
        self.skip_blank()?;
        let (mut length, mut count, mut has_begun) = (0, 0, false);
        loop {
            let input = self.input.fill_buf()?;
            // The end of the list ends its last row, as a line feed does, unless a quote is open.
            let is_end = input.is_empty() && has_begun;
            let input: &[u8] = if is_end { b"\n" } else { input };
            let (result, read, written, ended) =
                self.core.read_record(input, &mut self.cells[length..], &mut self.ends[count..]);
            if !is_end {
                if read > 0 {
                    has_begun = true;
                    self.after_return = input[read - 1] == b'\r';
                }
                self.input.consume(read);
            }
            length += written;
            count += ended;
            match result {
                // Within quotes, a line feed is part of the value.
                ReadRecordResult::InputEmpty if is_end && written > 0 => {
                    return Err(ReadError::QuoteOpen { row: self.row + 1 });
                }
                ReadRecordResult::InputEmpty if is_end => return Ok(false),
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull if self.cells.len() < MAX_ROW => {
                    let larger = (self.cells.len() * 2).min(MAX_ROW);
                    self.cells.resize(larger, 0);
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() < MAX_CELLS => {
                    let larger = (self.ends.len() * 2).min(MAX_CELLS);
                    self.ends.resize(larger, 0);
                }
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    return Err(ReadError::RowTooLong { row: self.row + 1, limit: MAX_ROW });
                }
                ReadRecordResult::Record => {
                    self.row += 1;
                    self.count = count;
                    return Ok(true);
                }
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    /// csv-core passes over lines without anything; they are counted here, so that a row has the
    /// number under which a spreadsheet shows it.
    fn skip_blank(&mut self) -> Result<(), ReadError> {
        loop {
            let input = self.input.fill_buf()?;
            let mut skipped = 0;
            for byte in input {
                match byte {
                    b'\n' if self.after_return => self.after_return = false,
                    b'\n' => self.row += 1,
                    b'\r' => {
                        self.row += 1;
                        self.after_return = true;
                    }
                    _ => break,
                }
                skipped += 1;
            }
            let is_over = skipped < input.len() || input.is_empty();
            self.input.consume(skipped);
            if is_over {
                return Ok(());
            }
        }
    }
}
