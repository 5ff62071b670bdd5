//! What people are asked: a policy version and its parts.

use serde::{Deserialize, Serialize};

use super::{Jurisdiction, Moment, Span};

/// Names one version of one policy for good; smaller than its id and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyNumber(pub u32);

/// One version of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Names the version.
    pub number: PolicyNumber,
    /// The policy of which this is a version.
    pub id: String,
    /// From 1.
    pub version: u32,
    /// Draft, published or retired.
    pub state: PolicyState,
    /// When the draft was stored.
    pub created_at: Moment,
    /// When it was published.
    pub published_at: Option<Moment>,
    /// When it was retired.
    pub retired_at: Option<Moment>,
    /// What its author wrote.
    pub spec: Spec,
}

/// What a policy's author writes. Stored as JSON in this shape: fields may be added with a
/// default, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// For people.
    pub title: String,
    /// Where it applies.
    pub jurisdictions: Vec<Jurisdiction>,
    /// How the law there sees silence.
    pub regime: ConsentRegime,
    /// When it takes effect; before that it is announced.
    pub effective_at: Moment,
    /// What people are shown, one text a locale.
    pub notices: Vec<Notice>,
    /// What is asked.
    pub purposes: Vec<Purpose>,
    /// How long people may accept.
    pub accept_within: Span,
    /// How long after accepting a choice may be changed in either direction.
    pub change_within: Span,
    /// What becomes of undecided purposes when `accept_within` has passed.
    pub on_lapse: OnLapse,
    /// What may still be changed when `change_within` has passed.
    pub after_window: AfterWindow,
    /// Whether a subject who refused may agree later.
    pub refusal_reversible: bool,
    /// Whom it asks.
    pub applies_to: AppliesTo,
}

/// What a person is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// The language of the text.
    pub locale: String,
    /// The text, whole.
    pub text: String,
    /// SHA-256 of the text in UTF-8.
    pub sha256: [u8; 32],
}

/// One thing that may be done with a person's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purpose {
    /// `<group>.<name>`, everywhere and for good.
    pub id: String,
    /// Whether it moves data to another app, or uses it there.
    pub kind: PurposeKind,
    /// Purposes of the same policy that must be granted for this one to be.
    pub requires: Vec<String>,
    /// How it is asked.
    pub mechanism: Mechanism,
    /// The legal ground on which it rests.
    pub lawful_basis: LawfulBasis,
    /// The categories of data concerned.
    pub data_categories: Vec<String>,
    /// Who receives the data.
    pub recipients: Vec<String>,
    /// How long a grant lasts; nothing: until it is withdrawn.
    pub consent_lifetime: Option<Span>,
    /// Only people with an account in this app are concerned; nothing: everyone.
    pub receiving_app: Option<String>,
    /// For people, one text a locale.
    pub texts: Vec<PurposeText>,
}

impl Spec {
    /// Whether accounts opened at this instant are asked.
    pub(super) fn asks(&self, account_created_at: Moment) -> bool {
        self.applies_to != AppliesTo::ExistingSubjects || account_created_at < self.effective_at
    }
}

impl Purpose {
    /// Whether there is something to choose.
    pub fn choosable(&self) -> bool {
        self.mechanism != Mechanism::NoticeOnly
    }
}

/// A purpose in plain words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurposeText {
    /// The language.
    pub locale: String,
    /// A heading.
    pub title: String,
    /// What is done, and with what.
    pub text: String,
}

/// The life of a policy version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyState {
    /// Stored, and without effect.
    Draft,
    /// Announced until `effective_at`, in force after it.
    Published,
    /// Ended.
    Retired,
}

/// How a jurisdiction sees silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentRegime {
    /// Silence is a no, and the way out never closes.
    OptIn,
    /// Silence may become a yes.
    OptOut,
}

/// The kinds of purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PurposeKind {
    /// Data may move to the other app.
    Transfer,
    /// Data that moved may be used there for this.
    Use,
}

/// How a purpose is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// Not granted unless chosen.
    OptIn,
    /// Granted by agreeing, or by lapse where the policy says so, unless unchecked.
    OptOut,
    /// Granted once the notice was served: there is nothing to choose.
    NoticeOnly,
}

/// The legal ground of a purpose: GDPR Art. 6(1), points (a) to (f).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LawfulBasis {
    /// Point (a).
    Consent,
    /// Point (b).
    Contract,
    /// Point (c).
    LegalObligation,
    /// Point (d).
    VitalInterests,
    /// Point (e).
    PublicTask,
    /// Point (f).
    LegitimateInterests,
}

impl LawfulBasis {
    /// Whether a person may object to what rests on it: GDPR Art. 21(1) names points (e) and (f);
    /// consent (a) is the person's to refuse anyway.
    pub fn open_to_objection(self) -> bool {
        matches!(self, Self::Consent | Self::PublicTask | Self::LegitimateInterests)
    }
}

/// What becomes of undecided purposes when the time to accept has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLapse {
    /// They are denied.
    Deny,
    /// `OPT_OUT` purposes are granted, the others denied.
    Default,
}

/// What may be changed when the time to change a choice has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterWindow {
    /// A grant can be withdrawn at any time.
    WithdrawAlways,
    /// Nothing.
    Closed,
}

/// Whom a policy asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppliesTo {
    /// Subjects whose account is older than `effective_at`.
    ExistingSubjects,
    /// Everyone.
    AllSubjects,
}
