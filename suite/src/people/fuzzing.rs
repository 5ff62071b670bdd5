//! What must hold of lists, whatever is in the file.

use std::io::{Cursor, Read};

use identifiers::Kind;

use super::{ReadError, Row, Rows, row::Options};

/// A row: its number, its values, how many faults it has.
type Seen = (u64, Vec<(Kind, String)>, usize);

/// The first two bytes say in what pieces the rest comes, and how it is to be read.
///
/// # Panics
/// When the pieces matter, or rows are not as they should be.
pub(crate) fn list(data: &[u8]) {
    let Some(([piece, choice], file)) = data.split_first_chunk() else { return };
    let options = Options {
        columns: Vec::new(),
        no_header: choice % 2 == 1,
        kinds: &Kind::ALL,
        region: "DE".parse().ok(),
    };
    let whole = read(Cursor::new(file.to_vec()), &options);
    let pieces = Pieces { bytes: file.to_vec(), at: 0, piece: usize::from(*piece).max(1) };
    let (seen, error) = read(pieces, &options);
    assert_eq!((&seen, &error), (&whole.0, &whole.1));
    assert!(seen.is_sorted_by_key(|(number, ..)| *number), "rows are out of order");
    for (_, values, _) in &seen {
        assert!(values.iter().all(|(_, text)| !text.is_empty() && text.trim() == text));
    }
}

fn read(text: impl Read + Send + 'static, options: &Options) -> (Vec<Seen>, Option<String>) {
    let mut seen = Vec::new();
    let ended = all(text, options, &mut seen);
    (seen, ended.err().map(|error| error.to_string()))
}

fn all(
    text: impl Read + Send + 'static,
    options: &Options,
    seen: &mut Vec<Seen>,
) -> Result<(), ReadError> {
    let (mut rows, mut row) = (Rows::open(text, options)?, Row::default());
    while rows.next(&mut row)? {
        let values = row.values().map(|value| (value.kind, value.text.to_owned())).collect();
        seen.push((row.number, values, row.faults.len()));
    }
    let _ = (rows.columns(), rows.notes());
    Ok(())
}

/// Gives out bytes so many at a time.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
}

impl Read for Pieces {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let left = &self.bytes[self.at..];
        let some = left.len().min(to.len()).min(self.piece);
        to[..some].copy_from_slice(&left[..some]);
        self.at += some;
        Ok(some)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_list_is_too_odd(
            head in any::<[u8; 2]>(),
            list in "((email|phone|a@b\\.de|\\+4930123|BEGIN:VCARD|END:VCARD|TEL:|x)[,;\t\n\r\"= :]{0,2}){0,20}",
        ) {
            super::list(&[&head, list.as_bytes()].concat());
        }
    }
}
