//! What an event says by itself: the part of a record that the event's digest proves. The rest
//! (the names and texts of purposes, the parties) follows from policies, and is proven by the
//! signature alone. A record is written from the facts, and verified by finding them again in the
//! bytes that were hashed.

use super::{Details, written};
use crate::domain::{AgeBand, Decider, EventContent, Evidence, PolicyNumber};

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts<'a> {
    /// The event's type.
    pub(super) kind: &'static str,
    /// What became of the consent, where that is not said for each purpose.
    pub(super) state: Option<&'static str>,
    /// Version and place of the notice.
    pub(super) notice: Option<(PolicyNumber, u16)>,
    /// The language in which a decision was made.
    pub(super) language: Option<&'a str>,
    /// Version and place of each purpose, and what became of the consent to it.
    pub(super) choices: Vec<(PolicyNumber, u16, &'static str)>,
    /// Whose doing it was.
    pub(super) by: By<'a>,
    /// What else it says.
    pub(super) details: Details,
}

/// Whose doing an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By<'a> {
    /// The person's.
    Principal,
    /// Their guardian's.
    Guardian(&'a str),
    /// The platform's.
    Controller,
}

/// How the controller is named within a record. No account has such an id: it has a space.
pub(super) const CONTROLLER: &str = "pii controller";

impl<'a> By<'a> {
    /// As a record names them.
    pub(super) fn party_id(self, principal: &'a str) -> &'a str {
        match self {
            Self::Principal => principal,
            Self::Guardian(guardian) => guardian,
            Self::Controller => CONTROLLER,
        }
    }
}

impl<'a> Facts<'a> {
    /// Of an event of this type, that and no more.
    fn new(kind: &'static str) -> Self {
        Self {
            kind,
            state: None,
            notice: None,
            language: None,
            choices: Vec::new(),
            by: By::Controller,
            details: Details::default(),
        }
    }

    /// The facts of what happened; nothing, if it was erased.
    pub(super) fn of(content: &'a EventContent) -> Option<Self> {
        let none = Details::default;
        let (kind, details) = match content {
            EventContent::SubjectPut(attributes) => {
                let age_band = match attributes.age_band {
                    AgeBand::Unspecified => "unspecified",
                    AgeBand::Adult => "adult",
                    AgeBand::UnderAge => "under_age",
                };
                let details = Details {
                    jurisdiction: Some(attributes.jurisdiction.code().to_owned()),
                    age_band: Some(age_band.to_owned()),
                    account_created_at: Some(written(attributes.account_created_at)),
                    apps: Some(attributes.apps.clone()),
                    ..none()
                };
                ("subject_put", details)
            }
            EventContent::NoticeServed { policy, notice } => {
                let notice = Some((*policy, *notice));
                let state = Some("requested");
                return Some(Self { state, notice, ..Self::new("notice_served") });
            }
            EventContent::DecisionRecorded { policy, choices, by, guardian, evidence } => {
                let guardian = guardian.as_deref();
                return Some(Self::of_decision(*policy, choices, (*by, guardian), evidence));
            }
            EventContent::Withdrawn { purposes } => {
                let gone = purposes.iter().map(|(policy, at)| (*policy, *at, "withdrawn"));
                let by = By::Principal;
                return Some(Self { choices: gone.collect(), by, ..Self::new("withdrawn") });
            }
            EventContent::ObjectionSignalSet { objects } => {
                let details = Details { objects: Some(*objects), ..none() };
                let by = By::Principal;
                return Some(Self { by, details, ..Self::new("objection_signal_set") });
            }
            EventContent::Linked { with } => {
                ("linked", Details { linked: Some(with.clone()), ..none() })
            }
            EventContent::Unlinked { with } => {
                ("unlinked", Details { linked: Some(with.clone()), ..none() })
            }
            EventContent::GuardianSet { guardian } => {
                let guardian = Some(guardian.clone().unwrap_or_default());
                ("guardian_set", Details { guardian, ..none() })
            }
            EventContent::WardsSet { wards } => {
                ("wards_set", Details { wards: Some(wards.clone()), ..none() })
            }
            EventContent::Erased => ("erased", none()),
            EventContent::ErasedContent { .. } => return None,
        };
        Some(Self { details, ..Self::new(kind) })
    }

    fn of_decision(
        policy: PolicyNumber,
        choices: &[(u16, bool)],
        (by, guardian): (Decider, Option<&'a str>),
        evidence: &'a Evidence,
    ) -> Self {
        let decided_by = match by {
            Decider::Adult => "adult",
            Decider::Child => "child",
            Decider::Guardian => "guardian",
        };
        let state = |granted: bool| if granted { "given" } else { "refused" };
        Self {
            notice: Some((policy, evidence.notice)),
            language: Some(&evidence.locale),
            choices: choices.iter().map(|(at, yes)| (policy, *at, state(*yes))).collect(),
            by: guardian.map_or(By::Principal, By::Guardian),
            details: Details {
                method: Some(evidence.method.clone()),
                client: Some(evidence.client.clone()),
                decided_by: Some(decided_by.to_owned()),
                ..Details::default()
            },
            ..Self::new("decision_recorded")
        }
    }
}
