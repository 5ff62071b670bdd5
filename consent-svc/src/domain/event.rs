//! What happened to a subject's consent.

use super::{Attributes, Decider, Moment, PolicyNumber};

/// Something that happened. Never changed or removed, except that erasing the subject leaves of
/// what happened only its digest; the subject's revision counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The subject's revision after it.
    pub revision: u64,
    /// When it happened, as the caller says.
    pub occurred_at: Moment,
    /// When it was recorded.
    pub recorded_at: Moment,
    /// What happened.
    pub content: EventContent,
    /// SHA-256 over the digest of what happened and the digest of the subject's previous event.
    pub digest: [u8; 32],
}

impl Event {
    /// Names the event: its revision, which finds it, and the beginning of its digest, which
    /// makes the name unlike any other subject's.
    pub fn id(&self) -> String {
        Self::id_of(self.revision, &self.digest)
    }

    /// As [`Event::id`], from the parts.
    pub fn id_of(revision: u64, digest: &[u8]) -> String {
        use std::fmt::Write as _;
        let mut id = format!("{revision}-");
        for byte in digest.iter().take(8) {
            // Writing to a String cannot fail.
            let _ = write!(id, "{byte:02x}");
        }
        id
    }
}

/// What happened. Purposes are named by a policy version and their place in it: a version never
/// changes, so the name is good for ever, and small.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventContent {
    /// The subject became known, or its attributes changed.
    SubjectPut(Attributes),
    /// A notice of this version was served: the one at this place in it.
    NoticeServed {
        /// The version.
        policy: PolicyNumber,
        /// The notice's place in the version.
        notice: u16,
    },
    /// The person decided.
    DecisionRecorded {
        /// The version decided on.
        policy: PolicyNumber,
        /// Places of the purposes in the version, and whether the person agreed.
        choices: Vec<(u16, bool)>,
        /// Who decided.
        by: Decider,
        /// The guardian, if it was they.
        guardian: Option<String>,
        /// How the decision was made.
        evidence: Evidence,
    },
    /// The person withdrew.
    Withdrawn {
        /// The purposes: a version and the place in it.
        purposes: Vec<(PolicyNumber, u16)>,
    },
    /// The objection signal was set or cleared.
    ObjectionSignalSet {
        /// Whether the person's device objects.
        objects: bool,
    },
    /// The account was linked to others of the same person.
    Linked {
        /// All others that are linked after it.
        with: Vec<String>,
    },
    /// The account, or one to which it was linked, was taken out of its links.
    Unlinked {
        /// All others that are linked after it.
        with: Vec<String>,
    },
    /// Somebody else, or nobody, decides for the subject while it is under age.
    GuardianSet {
        /// Who; nothing: nobody.
        guardian: Option<String>,
    },
    /// The subject became, or ceased to be, somebody's guardian.
    WardsSet {
        /// Everyone whose guardian it is after it.
        wards: Vec<String>,
    },
    /// The subject was erased.
    Erased,
    /// Something that happened to a subject that was erased since.
    ErasedContent {
        /// The digest of what happened, over which the chain goes.
        content_digest: [u8; 32],
    },
}

/// How a decision was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The interface.
    pub method: String,
    /// The language in which the person was asked.
    pub locale: String,
    /// The place, in the version decided on, of the notice shown.
    pub notice: u16,
    /// The app and its version.
    pub client: String,
}
