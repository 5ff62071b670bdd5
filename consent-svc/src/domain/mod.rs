//! The rules: what a policy may say, what a person's choices mean, and what may still be changed.
//!
//! Pure: time comes in, nothing goes out. Every rule is documented where it lives:
//!
//! | question | where |
//! |---|---|
//! | may this be done now? | [`decide()`] |
//! | which policy decides? | [`Policies::deciding`] |
//! | which of a person's choices counts? | [`Subject::standing_choice`] |
//! | does a policy ask this person? | [`applicable()`] |
//! | what can the person still change? | [`change()`] |
//! | may a policy be published? | [`contradictions`] |

mod applicable;
mod change;
mod contradiction;
mod decide;
mod event;
mod finding;
mod jurisdiction;
mod policies;
mod policy;
mod subject;
mod time;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod sample;

pub use applicable::applicable;
pub use change::{Change, ChangeOption, change, change_under};
pub use contradiction::contradictions;
pub use decide::{Decision, Reason, accept_until, decide};
pub use event::{Event, EventContent, Evidence};
pub use finding::{Complaint, Finding};
pub use jurisdiction::Jurisdiction;
pub use policies::{Offer, Policies, Slot, Version, place};
pub use policy::{
    AfterWindow, AppliesTo, ConsentRegime, LawfulBasis, Mechanism, Notice, OnLapse, Policy,
    PolicyNumber, PolicyState, Purpose, PurposeKind, PurposeText, Spec,
};
pub use subject::{AgeBand, Asked, Attributes, Choice, Stance, Subject};
pub use time::{Moment, Span};
