//! One row of a list, or one registered identifier: from what was sent to its digest.

use identifiers::{Digest, Kind, Profile, Region, Rejection, registered_digests};
use serde::{Deserialize, Serialize};

/// What an identifier was sent as. Borrowed, and without `Debug`: it is forgotten with the request.
#[derive(Clone, Copy)]
pub enum RowValue<'a> {
    /// Nothing was sent.
    Missing,
    /// In clear.
    Raw(&'a str),
    /// A digest in binary.
    Sha256(&'a [u8]),
    /// A digest as hexadecimal digits or base64.
    Sha256Text(&'a str),
}

/// One row of a list, or one registered identifier.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// Its kind; nothing when it is missing or unknown.
    pub kind: Option<Kind>,
    /// Its value.
    pub value: RowValue<'a>,
}

/// How the rows of a list are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Under which profile a row in clear is normalised; hashed rows were, before they came.
    pub profile: Profile,
    /// Where phone numbers without a country code belong.
    pub default_region: Option<Region>,
}

/// Why a row was refused; never its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Refusal {
    /// The kind is missing or unknown.
    KindUnknown,
    /// The value is not one of its kind.
    Value(Rejection),
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self::Value(rejection)
    }
}

impl From<Refusal> for u8 {
    fn from(refusal: Refusal) -> Self {
        refusal.code()
    }
}

impl TryFrom<u8> for Refusal {
    type Error = &'static str;

    fn try_from(code: u8) -> Result<Self, &'static str> {
        Self::from_code(code).ok_or("not the code of a reason")
    }
}

impl Refusal {
    /// Every reason, in the order of [`Refusal::code`].
    pub const ALL: [Self; 12] = [
        Self::KindUnknown,
        Self::Value(Rejection::Empty),
        Self::Value(Rejection::TooLong),
        Self::Value(Rejection::WrongLength),
        Self::Value(Rejection::NotADigest),
        Self::Value(Rejection::HashOfEmpty),
        Self::Value(Rejection::HashOfHash),
        Self::Value(Rejection::NotAnEmail),
        Self::Value(Rejection::NotAPhoneNumber),
        Self::Value(Rejection::RegionNeeded),
        Self::Value(Rejection::InvalidForRegion),
        Self::Value(Rejection::ControlCharacter),
    ];

    /// The number that stands for it in the store; it never changes.
    pub const fn code(self) -> u8 {
        match self {
            Self::KindUnknown => 0,
            Self::Value(Rejection::Empty) => 1,
            Self::Value(Rejection::TooLong) => 2,
            Self::Value(Rejection::WrongLength) => 3,
            Self::Value(Rejection::NotADigest) => 4,
            Self::Value(Rejection::HashOfEmpty) => 5,
            Self::Value(Rejection::HashOfHash) => 6,
            Self::Value(Rejection::NotAnEmail) => 7,
            Self::Value(Rejection::NotAPhoneNumber) => 8,
            Self::Value(Rejection::RegionNeeded) => 9,
            Self::Value(Rejection::InvalidForRegion) => 10,
            Self::Value(Rejection::ControlCharacter) => 11,
        }
    }

    /// The reason that this [`Refusal::code`] stands for.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

impl Row<'_> {
    /// The one digest of a row of a list.
    pub fn digest(&self, reading: Reading) -> Result<(Kind, Digest), Refusal> {
        let kind = self.kind.ok_or(Refusal::KindUnknown)?;
        let digest = match self.value {
            RowValue::Raw(raw) => {
                identifiers::digest(kind, reading.profile, raw, reading.default_region)?
            }
            RowValue::Missing => return Err(Rejection::Empty.into()),
            RowValue::Sha256(bytes) => binary(bytes)?,
            RowValue::Sha256Text(text) => Digest::parse(text)?,
        };
        Ok((kind, digest))
    }

    /// The digests under which a registered identifier must be found: one for each distinct form
    /// that the profiles give it. A hashed one has only the form it was hashed in.
    pub fn registered(&self, region: Option<Region>) -> Result<(Kind, Vec<Digest>), Refusal> {
        let kind = self.kind.ok_or(Refusal::KindUnknown)?;
        let digests = match self.value {
            RowValue::Raw(raw) => registered_digests(kind, raw, region)?,
            RowValue::Missing => return Err(Rejection::Empty.into()),
            RowValue::Sha256(bytes) => vec![binary(bytes)?],
            RowValue::Sha256Text(text) => vec![Digest::parse(text)?],
        };
        Ok((kind, digests))
    }
}

fn binary(bytes: &[u8]) -> Result<Digest, Rejection> {
    if bytes.is_empty() {
        return Err(Rejection::Empty);
    }
    Digest::from_bytes(bytes.try_into().map_err(|_| Rejection::WrongLength)?)
}

#[cfg(test)]
mod tests {
    use super::Refusal;

    #[test]
    fn codes_lead_back_to_their_reason() {
        for (code, refusal) in (0_u8..).zip(Refusal::ALL) {
            assert_eq!(refusal.code(), code);
            assert_eq!(Refusal::from_code(code), Some(refusal));
        }
        assert_eq!(Refusal::from_code(12), None);
    }
}
