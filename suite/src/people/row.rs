//! One row of a list: the values by which a person can be found, and what is wrong with it.

use std::{borrow::Cow, fmt, ops::Range};

use encoding_rs::WINDOWS_1252;
use identifiers::{Kind, Region, Rejection};

/// The most bytes of one row, and of the text of one card's numbers and addresses.
pub(super) const MAX_ROW: usize = 1 << 20;
/// The most values of one row.
pub(super) const MAX_VALUES: usize = 1_000;
/// What Google's address books put between several values in one cell.
const SEPARATOR: &str = " ::: ";

/// How a list is to be read.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Which column holds what; if empty, their headers tell.
    pub(crate) columns: Vec<ColumnChoice>,
    /// There is no header.
    pub(crate) no_header: bool,
    /// What is looked for.
    pub(crate) kinds: &'static [Kind],
    /// The region of phone numbers without a country code.
    pub(crate) region: Option<Region>,
}

/// A column as `--column` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnChoice {
    /// What it holds.
    pub(crate) kind: Kind,
    /// Its header, or its number from 1.
    pub(crate) column: String,
}

impl std::str::FromStr for ColumnChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, column) =
            text.split_once('=').ok_or("not KIND=HEADER, as in email=\"Private e-mail\"")?;
        let kind = Kind::from_name(&kind.trim().to_lowercase().replace('-', "_"))
            .ok_or("the kind is one of email, phone, external_id")?;
        let column = column.trim();
        if column.is_empty() {
            return Err("the header is missing, as in email=\"Private e-mail\"".to_owned());
        }
        Ok(Self { kind, column: column.to_owned() })
    }
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// In clear.
    Clear,
    /// As a SHA-256 digest.
    Digest,
}

/// Why something of a row is not sent. Says nothing of the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The value is not one of its kind.
    Value(Reason),
    /// The row has something in it, and nothing by which a person can be found.
    NothingToFindBy,
    /// More values than the header has columns: which is which cannot be known.
    TooManyFields,
    /// A vCard without its end.
    NoEnd,
    /// The service refused it, and said this.
    Service(proto::types::v1::RejectionReason),
}

/// [`Rejection`], ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reason(pub(crate) Rejection);

impl Reason {
    fn rank(self) -> u8 {
        self.0 as u8
    }
}

impl PartialOrd for Reason {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Reason {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        Self::Value(Reason(rejection))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(Reason(Rejection::RegionNeeded)) => f.write_str(REGION_NEEDED),
            Self::Value(Reason(rejection)) => rejection.fmt(f),
            Self::NothingToFindBy => f.write_str("nothing by which a person can be found"),
            Self::TooManyFields => f.write_str("more values than the header has columns"),
            Self::NoEnd => f.write_str("the card has no END:VCARD"),
            Self::Service(reason) => f.write_str(service_says(*reason)),
        }
    }
}

/// Numbers that begin with 00 in place of + are of this kind too: what dials abroad differs by region.
const REGION_NEEDED: &str =
    "the phone number does not begin with + and no --region was given to read it in";

/// A reason of the service in the words of the same reason here.
pub(crate) fn service_says(reason: proto::types::v1::RejectionReason) -> &'static str {
    use proto::types::v1::RejectionReason as Reason;
    match reason {
        Reason::Unspecified => "the service refused it",
        Reason::Empty => "the value is empty",
        Reason::WrongLength => "the value has not the length of its kind",
        Reason::DigestOfEmpty => "the value is the SHA-256 digest of empty text",
        Reason::DigestEncodedTwice => "the value is an encoded digest that was encoded again",
        Reason::DigestMalformed => "the value is neither hex nor base64",
        Reason::KindUnknown => "the kind is unknown to the service",
        Reason::NotAnEmail => "the value is not an email address",
        Reason::NotAPhoneNumber => "the value is not a phone number",
        Reason::NotValidInRegion => "the phone number is not valid in its region",
        Reason::RegionNeeded => REGION_NEEDED,
        Reason::NotAnExternalId => "the value contains a control character",
    }
}

/// One row of a table or one card of an address book. Read into again and again, so that a list
/// does not cost an allocation a value. Without `Debug`: it holds identifiers.
#[derive(Default)]
pub(crate) struct Row {
    /// As a spreadsheet numbers rows (the header is row 1); of a card, its place from 1.
    pub(crate) number: u64,
    /// What the reader found wrong, with the column where it is one column's.
    pub(crate) faults: Vec<(Option<u16>, Fault)>,
    /// Whether nothing at all is in it.
    pub(crate) is_blank: bool,
    text: String,
    values: Vec<Place>,
    is_windows_1252: bool,
}

struct Place {
    kind: Kind,
    form: Form,
    column: u16,
    range: Range<usize>,
}

/// One value of a row.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a> {
    /// What it identifies a person by.
    pub(crate) kind: Kind,
    /// How it is written.
    pub(crate) form: Form,
    /// Which of [`super::Rows::columns`] it is from.
    pub(crate) column: u16,
    /// As it is written, without white space around it. Not empty.
    pub(crate) text: &'a str,
}

impl Row {
    /// The values, in the order of the columns.
    pub(crate) fn values(&self) -> impl Iterator<Item = Value<'_>> {
        self.values.iter().filter_map(|place| {
            let text = self.text.get(place.range.clone())?;
            Some(Value { kind: place.kind, form: place.form, column: place.column, text })
        })
    }

    /// Whether something in it was in no Unicode encoding.
    pub(super) fn is_windows_1252(&self) -> bool {
        self.is_windows_1252
    }

    pub(super) fn clear(&mut self) {
        self.number = 0;
        self.faults.clear();
        self.is_blank = false;
        self.text.clear();
        self.values.clear();
        self.is_windows_1252 = false;
    }

    /// Whether nothing was found in it, neither a value nor a fault.
    pub(super) fn has_nothing(&self) -> bool {
        self.values.is_empty() && self.faults.is_empty()
    }

    pub(super) fn fault(&mut self, column: Option<u16>, fault: impl Into<Fault>) {
        self.faults.push((column, fault.into()));
    }

    /// Adds what a cell holds, if it holds anything; false if the row is too full for it.
    #[must_use]
    pub(super) fn add(&mut self, kind: Kind, form: Form, column: u16, cell: &str) -> bool {
        for text in cell.split(SEPARATOR).map(str::trim).filter(|text| !text.is_empty()) {
            if self.values.len() == MAX_VALUES || self.text.len() + text.len() > MAX_ROW {
                return false;
            }
            let start = self.text.len();
            self.text.push_str(text);
            let form = if is_digest(kind, text) { Form::Digest } else { form };
            self.values.push(Place { kind, form, column, range: start..self.text.len() });
        }
        true
    }

    /// Something in it was in no Unicode encoding, if this is so.
    pub(super) fn note_encoding(&mut self, is_windows_1252: bool) {
        self.is_windows_1252 |= is_windows_1252;
    }

    /// The text of bytes that should be UTF-8, and are Windows-1252 where they are not.
    pub(super) fn decode<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, str> {
        decode(bytes).unwrap_or_else(|text| {
            self.is_windows_1252 = true;
            text.into()
        })
    }
}

/// Text from UTF-8; as an error, what the bytes are in Windows-1252, in which everything is text.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.into()),
        Err(_) => Err(WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned()),
    }
}

/// Whether a value is a digest though its column does not say so. An external id can look like one.
fn is_digest(kind: Kind, text: &str) -> bool {
    kind != Kind::ExternalId && text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}
