//! Values of the contract to domain types and back.

use identifiers::{Digest, Kind, MatchKey, MatchKeySecret, Region, Rejection as Why};
use proto::{
    At, FieldErrors,
    errors::v1::Reason as ErrorReason,
    status,
    suggest::v1::{
        ContactSettings, Discoverability as Discoverable, MutualCount,
        SpamReason as SpamReasonMessage, SuggestionReason,
    },
    types::v1::{Identifier, IdentifierKind, Rejection, RejectionReason, identifier::Value},
};
use tonic::Status;

use crate::domain::{
    Discoverability, Settings, Subject,
    identifiers::{self as rules, Given, Refusal},
    listing::{MutualRange, Reason},
    spam::SpamReason,
};

/// The region of numbers without a country code; nothing when none was given.
pub(super) fn region(at: &At<'_>, code: &str, bad: &mut FieldErrors) -> Option<Region> {
    if code.is_empty() { None } else { bad.keep(at.field("default_region"), code.parse()) }
}

/// The match keys of one identifier.
pub(super) fn keys(
    secret: &MatchKeySecret,
    identifier: &Identifier,
    region: Option<Region>,
) -> Result<Vec<MatchKey>, Refusal> {
    rules::match_keys(secret, kind(identifier), given(identifier), region)
}

/// The match keys of one identifier that is registered, and the digest of its range, if it is a
/// phone number in clear.
pub(super) fn registered_keys(
    secret: &MatchKeySecret,
    identifier: &Identifier,
    region: Option<Region>,
) -> Result<(Vec<MatchKey>, Option<Digest>), Refusal> {
    rules::registered_keys(secret, kind(identifier), given(identifier), region)
}

fn kind(identifier: &Identifier) -> Option<Kind> {
    match identifier.kind() {
        IdentifierKind::Unspecified => None,
        IdentifierKind::Email => Some(Kind::Email),
        IdentifierKind::Phone => Some(Kind::Phone),
        IdentifierKind::ExternalId => Some(Kind::ExternalId),
    }
}

fn given(identifier: &Identifier) -> Given<'_> {
    match &identifier.value {
        None => Given::Nothing,
        Some(Value::Raw(text)) => Given::Raw(text),
        Some(Value::Sha256(bytes)) => Given::Digest(bytes),
        Some(Value::Sha256Text(text)) => Given::DigestText(text),
    }
}

pub(super) fn rejection(index: u32, refusal: Refusal) -> Rejection {
    let reason = match refusal {
        Refusal::KindUnknown => RejectionReason::KindUnknown,
        Refusal::Value(why) => match why {
            Why::Empty => RejectionReason::Empty,
            Why::TooLong | Why::WrongLength => RejectionReason::WrongLength,
            Why::NotADigest => RejectionReason::DigestMalformed,
            Why::HashOfEmpty => RejectionReason::DigestOfEmpty,
            Why::HashOfHash => RejectionReason::DigestEncodedTwice,
            Why::NotAnEmail => RejectionReason::NotAnEmail,
            Why::NotAPhoneNumber => RejectionReason::NotAPhoneNumber,
            Why::RegionNeeded => RejectionReason::RegionNeeded,
            Why::InvalidForRegion => RejectionReason::NotValidInRegion,
            Why::ControlCharacter => RejectionReason::NotAnExternalId,
        },
    };
    Rejection { index, reason: reason.into() }
}

/// The two ends of a connection. Nobody knows themselves.
pub(super) fn ends(
    at: &At<'_>,
    one: &str,
    other: &str,
    bad: &mut FieldErrors,
) -> (Subject, Subject) {
    if one == other && !one.is_empty() {
        bad.add(at.field("other_subject_id"), "the same as subject_id");
    }
    (one.into(), other.into())
}

/// The settings of a message in which they are required.
pub(super) fn settings(settings: Option<ContactSettings>) -> Settings {
    let settings = settings.unwrap_or_default();
    let discoverability = match settings.discoverability() {
        Discoverable::Everyone => Discoverability::Everyone,
        // Not said is found by the contract's rules; were it not, this is the default.
        Discoverable::Unspecified | Discoverable::Reciprocal => Discoverability::Reciprocal,
        Discoverable::Nobody => Discoverability::Nobody,
    };
    Settings { discoverability, may_be_mutual: settings.may_be_mutual_connection }
}

pub(super) fn contact_settings(settings: Settings) -> ContactSettings {
    let discoverability = match settings.discoverability {
        Discoverability::Everyone => Discoverable::Everyone,
        Discoverability::Reciprocal => Discoverable::Reciprocal,
        Discoverability::Nobody => Discoverable::Nobody,
    };
    ContactSettings {
        discoverability: discoverability.into(),
        may_be_mutual_connection: settings.may_be_mutual,
    }
}

pub(super) fn reason(reason: Reason) -> SuggestionReason {
    match reason {
        Reason::MutualConnections => SuggestionReason::MutualConnections,
        Reason::ReciprocalContact => SuggestionReason::ReciprocalContact,
        Reason::InYourContacts => SuggestionReason::InYourContacts,
        Reason::WiderCircle => SuggestionReason::WiderCircle,
        Reason::PopularNearYou => SuggestionReason::PopularNearYou,
    }
}

pub(super) fn spam_reason(reason: SpamReason) -> SpamReasonMessage {
    match reason {
        SpamReason::OneSidedContacts => SpamReasonMessage::OneSidedContacts,
        SpamReason::LowReciprocity => SpamReasonMessage::LowReciprocity,
        SpamReason::Blocked => SpamReasonMessage::Blocked,
        SpamReason::Reported => SpamReasonMessage::Reported,
        SpamReason::Burst => SpamReasonMessage::Burst,
    }
}

pub(super) fn mutual_count(range: Option<MutualRange>) -> MutualCount {
    match range {
        None => MutualCount::Unspecified,
        Some(MutualRange::From3) => MutualCount::MutualCount3To5,
        Some(MutualRange::From6) => MutualCount::MutualCount6To10,
        Some(MutualRange::From11) => MutualCount::MutualCount11To20,
        Some(MutualRange::From21) => MutualCount::MutualCount21To50,
        Some(MutualRange::From51) => MutualCount::MutualCount51OrMore,
    }
}

/// A task of ours panicked; the kit logs where.
pub(super) fn failed() -> Status {
    status::status(ErrorReason::Internal, "internal error")
}
