//! What a receipt says: the fields of ISO/IEC TS 27560:2023 under the names by which its public
//! guides know them, and two sections of our own (`details`, `integrity`), which the standard
//! leaves room for. What does not apply to an event is left out.

use serde::{Deserialize, Serialize};

/// The version of this structure: goes up with every change of it.
pub(super) const SCHEMA_VERSION: &str = "assent.consent.receipt/1 ISO/IEC TS 27560:2023";

/// A consent record, and the receipt that hands it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Which structure this is.
    pub schema_version: String,
    /// Names this receipt: the record, and the millisecond in which it was handed out.
    pub receipt_id: String,
    /// When it was handed out and signed.
    pub issued_at: String,
    /// Names the record: the event's id.
    pub record_id: String,
    /// The person's account.
    pub pii_principal_id: String,
    /// What is done with the person's data.
    pub pii_processing: Processing,
    /// Everyone named.
    pub party_identification: Vec<Party>,
    /// What happened: once a purpose where it is about purposes, in their order; else once.
    pub events: Vec<ConsentEvent>,
    /// What else happened.
    pub details: Details,
    /// What proves it.
    pub integrity: Integrity,
}

/// What is done with the person's data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Processing {
    /// What the person was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy_notice: Option<PrivacyNotice>,
    /// The language in which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Whose law applied to the person after the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// What for. Of a decision or withdrawal those decided on; of a notice all that it is about.
    pub purposes: Vec<RecordedPurpose>,
    /// Where data are stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub storage_locations: Vec<String>,
    /// For how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_period: Option<String>,
}

/// Names one version of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyName {
    /// The policy.
    pub policy_id: String,
    /// The version of it.
    pub version: u32,
    /// The number under which events know this version.
    pub number: u32,
}

/// What a person was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivacyNotice {
    /// The policy version that it announces.
    pub policy: PolicyName,
    /// That version's title.
    pub title: String,
    /// The language of the text.
    pub locale: String,
    /// SHA-256 of the text in UTF-8, in hexadecimal digits.
    pub sha256: String,
    /// Its place among the version's notices, from 0.
    pub place: u16,
}

/// What data are processed for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedPurpose {
    /// Names the purpose, everywhere and for good.
    pub purpose: String,
    /// What the person read about it: the heading.
    pub purpose_description: String,
    /// `transfer` or `use`.
    pub purpose_type: String,
    /// The legal ground: GDPR Art. 6(1).
    pub lawful_basis: String,
    /// The data concerned.
    pub pii_information: Vec<PiiInformation>,
    /// Who answers for it, by `party_id`.
    pub pii_controllers: Vec<String>,
    /// Who receives the data, by `party_id`.
    pub recipient_third_parties: Vec<String>,
    /// How to withdraw, where there is something to withdraw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawal_method: Option<String>,
    /// The policy version that asks.
    pub policy: PolicyName,
    /// Its place among the version's purposes, from 0.
    pub place: u16,
}

/// A kind of data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PiiInformation {
    /// The category: `phone number`.
    pub pii_type: String,
}

/// Somebody named in the record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// Names the party within the record.
    pub party_id: String,
    /// `pii_principal`, `guardian`, `pii_controller`, `recipient`.
    pub party_role: String,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party_name: Option<String>,
    /// Whom to write to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party_contact: Option<String>,
    /// Where it says more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party_url: Option<String>,
    /// Its postal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party_address: Option<String>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentEvent {
    /// When, as whoever reported it says.
    pub event_time: String,
    /// What: `subject_put`, `notice_served`, `decision_recorded`, `withdrawn`,
    /// `objection_signal_set`, `linked`, `unlinked`, `guardian_set`, `wards_set`, `erased`.
    pub event_type: String,
    /// What became of the consent: `requested`, `given`, `refused`, `withdrawn`; absent where the
    /// event is not one person's choice about one purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_state: Option<String>,
    /// How long a given consent lasts (ISO 8601); absent: until it is withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity_duration: Option<String>,
    /// Whose doing it was, by `party_id`.
    pub entity_id: String,
    /// The purpose concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
}

/// What else an event says, by its type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Details {
    /// A decision: the interface in which it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// A decision: the app and its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// A decision: `adult`, `child`, `guardian`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// Attributes: whose law applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jurisdiction: Option<String>,
    /// Attributes: `unspecified`, `adult`, `under_age`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_band: Option<String>,
    /// Attributes: when the account was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_created_at: Option<String>,
    /// Attributes: the apps with an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apps: Option<Vec<String>>,
    /// The objection signal: whether it is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<bool>,
    /// Links: all other accounts that are linked after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked: Option<Vec<String>>,
    /// The guardian: who it is after it; empty: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardian: Option<String>,
    /// Wards: everyone whose guardian the person is after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wards: Option<Vec<String>>,
}

/// What proves that the record is of this event, and where the event stands in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Integrity {
    /// The subject's revision after the event: counts its events.
    pub revision: u64,
    /// When the event was recorded.
    pub recorded_at: String,
    /// The digest of the subject's previous event; zeros before the first. All digests are
    /// SHA-256 in hexadecimal digits.
    pub previous_digest: String,
    /// The digest of the event: over the previous digest, the revision and the content digest.
    pub digest: String,
    /// The digest of what happened: over the salt, the subject's id and the content.
    pub content_digest: String,
    /// The event's salt: 16 bytes in hexadecimal digits.
    pub salt: String,
    /// What happened, as the bytes that were hashed, in base64.
    pub content: String,
}
