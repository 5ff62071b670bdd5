//! The cards of an address book: vCard 2.1 (versit), 3.0 (RFC 2426) and 4.0 (RFC 6350). Only numbers
//! and addresses are read; whatever else a card has (photographs, notes) is passed over.

use std::{io::BufRead, sync::Arc};

use identifiers::Kind;

use super::{
    ReadError,
    property::{self, Property},
    row::{Fault, Form, MAX_ROW, Options, Row},
};
use identifiers::Rejection;

/// The most bytes of a property that are looked at.
const MAX_LINE: usize = 1 << 16;
/// Which property holds what.
const PROPERTIES: [(&str, Kind); 2] = [("TEL", Kind::Phone), ("EMAIL", Kind::Email)];

/// Whether text begins as an address book does.
pub(super) fn are_in(head: &[u8]) -> bool {
    let begin = head.trim_ascii_start();
    begin.get(..BEGIN.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(BEGIN))
}

const BEGIN: &[u8] = b"BEGIN:VCARD";

/// An address book.
pub(super) struct Cards<R> {
    lines: Lines<R>,
    line: Vec<u8>,
    /// The number of the card that has begun last.
    card: u64,
    /// Whether it has not ended yet.
    is_open: bool,
    kinds: &'static [Kind],
}

impl<R: BufRead> Cards<R> {
    pub(super) fn new(input: R, options: &Options) -> Self {
        let lines = Lines { input, after_return: false };
        Self { lines, line: Vec::new(), card: 0, is_open: false, kinds: options.kinds }
    }

    #[allow(clippy::unused_self)] // as of a table
    pub(super) fn columns(&self) -> Arc<[String]> {
        PROPERTIES.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    /// Reads the next card.
    pub(super) fn next(&mut self, row: &mut Row) -> Result<bool, ReadError> {
        // A card of another person in this one (vCard 2.1): `AGENT:` and then the card.
        let (mut agent_follows, mut in_agent) = (false, false);
        row.number = self.card;
        loop {
            let Some(is_whole) = self.lines.next_property(&mut self.line)? else {
                return if self.is_open {
                    Err(ReadError::CardCut { card: self.card })
                } else {
                    Ok(false)
                };
            };
            let Some(property) = Property::parse(&self.line) else { continue };
            let is_of_cards = property.value().trim_ascii().eq_ignore_ascii_case(b"VCARD");
            if property.is("BEGIN") && is_of_cards {
                if agent_follows {
                    (agent_follows, in_agent) = (false, true);
                    continue;
                }
                let was_open = std::mem::replace(&mut self.is_open, true);
                self.card += 1;
                if was_open {
                    row.fault(None, Fault::NoEnd);
                    return Ok(true);
                }
                row.number = self.card;
            } else if property.is("END") && is_of_cards {
                if std::mem::take(&mut in_agent) {
                    continue;
                }
                if !std::mem::take(&mut self.is_open) {
                    continue;
                }
                if row.has_nothing() {
                    row.fault(None, Fault::NothingToFindBy);
                }
                return Ok(true);
            } else if self.is_open && !in_agent {
                agent_follows = property.is("AGENT") && property.value().trim_ascii().is_empty();
                self.read(is_whole, row)?;
            }
        }
    }

    /// Takes from a property what is looked for.
    fn read(&self, is_whole: bool, row: &mut Row) -> Result<(), ReadError> {
        let Some(property) = Property::parse(&self.line) else { return Ok(()) };
        let wanted = (0..).zip(PROPERTIES).find(|(_, (name, _))| property.is(name));
        let Some((column, (_, kind))) = wanted else { return Ok(()) };
        if !self.kinds.contains(&kind) {
            return Ok(());
        }
        if !is_whole {
            row.fault(Some(column), Rejection::TooLong);
            return Ok(());
        }
        let (text, guessed) = property.text();
        row.note_encoding(guessed);
        let value = match kind {
            Kind::Phone => property::number(&text),
            Kind::Email | Kind::ExternalId => property::address(&text),
        };
        if row.add(kind, Form::Clear, column, &value) {
            Ok(())
        } else {
            Err(ReadError::RowTooLong { row: self.card, limit: MAX_ROW })
        }
    }
}

/// Lines of which each may go on in the next ones.
struct Lines<R> {
    input: R,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    after_return: bool,
}

impl<R: BufRead> Lines<R> {
    /// The next property, unfolded; whether it is whole, or so long that its end was left out.
    /// Nothing at the end.
    fn next_property(&mut self, line: &mut Vec<u8>) -> Result<Option<bool>, ReadError> {
        line.clear();
        let mut is_whole = true;
        loop {
            let Some(physical) = self.take_line(line)? else { return Ok(None) };
            is_whole &= physical.is_whole;
            let mut last = physical.last;
            loop {
                if last == Some(b'=') && property::continues(line) {
                    // Quoted-printable goes on after a `=` at the end.
                    if is_whole {
                        line.pop();
                    }
                } else if matches!(self.peek()?, Some(b' ' | b'\t')) {
                    self.input.consume(1);
                } else {
                    break;
                }
                let Some(physical) = self.take_line(line)? else { break };
                is_whole &= physical.is_whole;
                last = physical.last;
            }
            if !line.is_empty() {
                return Ok(Some(is_whole));
            }
        }
    }

    /// The first byte of the next line, which is left there.
    fn peek(&mut self) -> Result<Option<u8>, ReadError> {
        if self.after_return {
            self.after_return = false;
            if self.input.fill_buf()?.first() == Some(&b'\n') {
                self.input.consume(1);
            }
        }
        Ok(self.input.fill_buf()?.first().copied())
    }

    /// Appends a line to `to`, as much as there is room for. Nothing at the end.
    fn take_line(&mut self, to: &mut Vec<u8>) -> Result<Option<Physical>, ReadError> {
        if self.peek()?.is_none() {
            return Ok(None);
        }
        let mut line = Physical { is_whole: true, last: None };
        loop {
            let input = self.input.fill_buf()?;
            if input.is_empty() {
                return Ok(Some(line));
            }
            let end = input.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let text = &input[..end.unwrap_or(input.len())];
            let room = MAX_LINE.saturating_sub(to.len()).min(text.len());
            to.extend_from_slice(&text[..room]);
            line.is_whole &= room == text.len();
            line.last = text.last().copied().or(line.last);
            let Some(end) = end else {
                let all = input.len();
                self.input.consume(all);
                continue;
            };
            self.after_return = input[end] == b'\r';
            self.input.consume(end + 1);
            return Ok(Some(line));
        }
    }
}

/// A line as it is in the file.
struct Physical {
    /// Whether there was room for all of it.
    is_whole: bool,
    last: Option<u8>,
}
