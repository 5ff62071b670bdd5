//! Checking a request against the field rules of the contract.

use std::fmt;

use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation};

use crate::{errors::v1::Reason, status};

/// The most violations that one error lists, and the most bytes of their names and descriptions: a
/// reply's metadata must stay within what clients accept (commonly 8 KiB), and names stand there
/// three times. What is beyond is counted.
const MAX_LISTED: usize = 40;
const MAX_LISTED_BYTES: usize = 1_800;
/// The most bytes of one name: deeply nested messages have long paths.
const MAX_NAME_BYTES: usize = 200;

/// A message that can be checked against the contract's field rules. Implemented, from the
/// options in the `.proto` files, for every request and every message inside one.
pub trait Checked {
    /// Adds to `bad` every field that breaks its rule; `at` is where this message stands.
    fn check(&self, at: &At<'_>, bad: &mut FieldErrors);

    /// The subject whose data the request touches, where the contract marks a field so.
    fn own_subject(&self) -> Option<&str> {
        None
    }
}

/// A place in a request, written as the field path of `google.rpc.BadRequest`
/// (`registrations[3].subject_id`). Built on the stack; text only when something is wrong.
#[derive(Debug, Clone, Copy)]
pub enum At<'a> {
    /// The request itself.
    Root,
    /// A field of the message at a place.
    Field(&'a At<'a>, &'static str),
    /// An item of a repeated field of the message at a place.
    Item(&'a At<'a>, &'static str, usize),
}

impl At<'_> {
    /// The place of a field of the message here.
    pub fn field(&self, name: &'static str) -> At<'_> {
        At::Field(self, name)
    }

    /// The place of an item, counted from 0, of a repeated field of the message here.
    pub fn item(&self, name: &'static str, index: usize) -> At<'_> {
        At::Item(self, name, index)
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = |f: &mut fmt::Formatter<'_>, parent: &At<'_>| match parent {
            At::Root => Ok(()),
            parent => write!(f, "{parent}."),
        };
        match self {
            At::Root => Ok(()),
            At::Field(parent, name) => dot(f, parent).and_then(|()| f.write_str(name)),
            At::Item(parent, name, index) => {
                dot(f, parent).and_then(|()| write!(f, "{name}[{index}]"))
            }
        }
    }
}

/// The bad fields of one request: all of them, each named once.
#[derive(Debug, Default)]
pub struct FieldErrors {
    listed: Vec<FieldViolation>,
    listed_bytes: usize,
    unlisted: usize,
}

impl FieldErrors {
    /// The fields of `request` that break the contract's rules. A service adds its own findings
    /// and then calls [`FieldErrors::finish`], so that the caller hears of everything at once.
    pub fn of(request: &impl Checked) -> Self {
        let mut bad = Self::default();
        request.check(&At::Root, &mut bad);
        bad
    }

    /// Adds a bad field. The first finding about a field is kept: later ones follow from it.
    /// The description must not repeat the field's value.
    pub fn add(&mut self, field: impl fmt::Display, description: impl Into<String>) {
        if self.listed.len() == MAX_LISTED || self.listed_bytes > MAX_LISTED_BYTES {
            self.unlisted += 1;
            return;
        }
        let mut field = field.to_string();
        if field.len() > MAX_NAME_BYTES {
            field.truncate(field.floor_char_boundary(MAX_NAME_BYTES));
            field.push('…');
        }
        if !self.listed.iter().any(|known| known.field == field) {
            let violation = FieldViolation::new(field, description);
            self.listed_bytes += violation.field.len() + violation.description.len();
            self.listed.push(violation);
        }
    }

    /// `Some(value)`, or nothing and the field added with the error's text.
    pub fn keep<T, E: fmt::Display>(
        &mut self,
        field: impl fmt::Display,
        parsed: Result<T, E>,
    ) -> Option<T> {
        parsed.map_err(|error| self.add(field, error.to_string())).ok()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// `Ok` when nothing was found, else INVALID_ARGUMENT with [`Reason::FieldsInvalid`].
    ///
    /// # Errors
    /// The status described above, naming every bad field.
    #[allow(clippy::result_large_err)] // tonic's own error type
    pub fn finish(self) -> Result<(), Status> {
        self.finish_as(Reason::FieldsInvalid)
    }

    /// As [`FieldErrors::finish`], with the reason that fits what was found.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with `reason`, naming every bad field.
    #[allow(clippy::result_large_err)] // tonic's own error type
    pub fn finish_as(self, reason: Reason) -> Result<(), Status> {
        if self.is_empty() { Ok(()) } else { Err(self.into_status(reason)) }
    }

    fn into_status(self, reason: Reason) -> Status {
        let names: Vec<&str> = self.listed.iter().map(|bad| bad.field.as_str()).collect();
        let mut message = format!("invalid: {}", names.join(", "));
        if self.unlisted > 0 {
            message = format!("{message} and {} more", self.unlisted);
        }
        let mut details = ErrorDetails::new();
        details.set_bad_request(self.listed);
        status::with_details(reason, message, details)
    }
}
