//! Identifiers as they are sent.

use identifiers::{Kind, Profile, Rejection};
use proto::types::v1::{
    self as wire, IdentifierKind, NormalisationProfile, RejectionReason, identifier::Value,
};

use crate::domain::{Refusal, Row, RowValue};

/// The length of a packed row.
pub(super) const PACKED: usize = 32;

pub(super) fn kind(sent: i32) -> Option<Kind> {
    match IdentifierKind::try_from(sent).unwrap_or_default() {
        IdentifierKind::Unspecified => None,
        IdentifierKind::Email => Some(Kind::Email),
        IdentifierKind::Phone => Some(Kind::Phone),
        IdentifierKind::ExternalId => Some(Kind::ExternalId),
    }
}

pub(super) fn row(sent: &wire::Identifier) -> Row<'_> {
    let value = match &sent.value {
        None => RowValue::Missing,
        Some(Value::Raw(raw)) => RowValue::Raw(raw),
        Some(Value::Sha256(bytes)) => RowValue::Sha256(bytes),
        Some(Value::Sha256Text(text)) => RowValue::Sha256Text(text),
    };
    Row { kind: kind(sent.kind), value }
}

/// The rows of a batch: those that stand alone, then those that are packed.
pub(super) fn rows<'a>(
    alone: &'a [wire::Identifier],
    packed: &'a [u8],
    packed_kind: Option<Kind>,
) -> impl Iterator<Item = Row<'a>> {
    let value = move |bytes: &'a [u8]| Row { kind: packed_kind, value: RowValue::Sha256(bytes) };
    let packed = packed.chunks_exact(PACKED).map(value);
    alone.iter().map(row).chain(packed)
}

pub(super) fn profile(sent: NormalisationProfile) -> Profile {
    match sent {
        NormalisationProfile::Unspecified | NormalisationProfile::Meta => Profile::Meta,
        NormalisationProfile::Google => Profile::Google,
        NormalisationProfile::Uid2 => Profile::Uid2,
    }
}

pub(super) fn rejections(refused: Vec<(u32, Refusal)>) -> Vec<wire::Rejection> {
    let rejection = |(index, refusal)| wire::Rejection { index, reason: reason(refusal).into() };
    refused.into_iter().map(rejection).collect()
}

fn reason(refusal: Refusal) -> RejectionReason {
    match refusal {
        Refusal::KindUnknown => RejectionReason::KindUnknown,
        Refusal::Value(Rejection::Empty) => RejectionReason::Empty,
        Refusal::Value(Rejection::TooLong | Rejection::WrongLength) => RejectionReason::WrongLength,
        Refusal::Value(Rejection::NotADigest) => RejectionReason::DigestMalformed,
        Refusal::Value(Rejection::HashOfEmpty) => RejectionReason::DigestOfEmpty,
        Refusal::Value(Rejection::HashOfHash) => RejectionReason::DigestEncodedTwice,
        Refusal::Value(Rejection::NotAnEmail) => RejectionReason::NotAnEmail,
        Refusal::Value(Rejection::NotAPhoneNumber) => RejectionReason::NotAPhoneNumber,
        Refusal::Value(Rejection::RegionNeeded) => RejectionReason::RegionNeeded,
        Refusal::Value(Rejection::InvalidForRegion) => RejectionReason::NotValidInRegion,
        Refusal::Value(Rejection::ControlCharacter) => RejectionReason::NotAnExternalId,
    }
}
