//! A subject: what the rules look at. How it changes is in `apply.rs`.

use super::{Choice, Jurisdiction, Moment, PolicyNumber};

/// Whether a person decides alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AgeBand {
    /// Not known; as [`AgeBand::UnderAge`].
    Unspecified,
    /// Old enough to decide.
    Adult,
    /// A guardian decides.
    UnderAge,
}

/// What the platform says of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// Whose law applies.
    pub jurisdiction: Jurisdiction,
    /// Whether a guardian decides.
    pub age_band: AgeBand,
    /// When the account was opened.
    pub account_created_at: Moment,
    /// The apps in which the person has an account, sorted, each once.
    pub apps: Vec<String>,
}

impl Attributes {
    /// With the apps put in order.
    pub fn new(
        jurisdiction: Jurisdiction,
        age_band: AgeBand,
        account_created_at: Moment,
        mut apps: Vec<String>,
    ) -> Self {
        apps.sort_unstable();
        apps.dedup();
        Self { jurisdiction, age_band, account_created_at, apps }
    }
}

/// Everything about a subject that an answer can depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What the platform says.
    pub attributes: Attributes,
    /// Since when the person's device signals an objection, if it does.
    pub objection_since: Option<Moment>,
    /// The versions that the person was asked about.
    pub asked: Vec<Asked>,
    /// The choices that still matter, oldest first.
    pub choices: Vec<Choice>,
    /// The *other* accounts of the same person, sorted: the strictest answer of all of them counts.
    pub linked: Vec<String>,
    /// Who decides for this subject while it is under age.
    pub guardian: Option<String>,
    /// The subjects whose guardian this one is, sorted.
    pub wards: Vec<String>,
    /// Since when nothing but this is known of the subject, if it was erased.
    pub erased_at: Option<Moment>,
}

/// How far a person has come with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The version.
    pub policy: PolicyNumber,
    /// When its notice was first served.
    pub served: Moment,
    /// When the person first decided on it.
    pub accepted: Option<Moment>,
}

impl Subject {
    /// A subject of whom nothing is known but this.
    pub fn new(attributes: Attributes) -> Self {
        Self {
            attributes,
            objection_since: None,
            asked: Vec::new(),
            choices: Vec::new(),
            linked: Vec::new(),
            guardian: None,
            wards: Vec::new(),
            erased_at: None,
        }
    }

    /// What remains of an erased subject: that it was, and when it was erased.
    pub fn erased(at: Moment) -> Self {
        let nowhere = Jurisdiction::new("");
        let opened = Moment::from_millis(0);
        let nothing = Attributes::new(nowhere, AgeBand::Unspecified, opened, Vec::new());
        Self { erased_at: Some(at), ..Self::new(nothing) }
    }

    /// Whether this person decides for themselves. Of everyone else the guardian does, if the age
    /// is unknown too.
    pub fn is_adult(&self) -> bool {
        self.attributes.age_band == AgeBand::Adult
    }

    /// What the person was asked about this version.
    pub fn asked(&self, policy: PolicyNumber) -> Option<Asked> {
        self.asked.iter().find(|asked| asked.policy == policy).copied()
    }
}
