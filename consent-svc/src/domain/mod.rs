//! The rules: what a policy may say, what a person's choices mean, and what may still be changed.
//!
//! Pure: time comes in, nothing goes out. Every rule is documented where it lives:
//!
//! | question | where |
//! |---|---|
//! | may this be done now? | [`decide()`] |
//! | and where it must hold for as long as the clock is uncertain? | [`decide_throughout()`] |
//! | which policy decides? | [`Coverage`] |
//! | which of a person's choices counts? | [`Subject::standing_choice`] |
//! | what does an event change? | [`Subject::apply`] |
//! | does a policy ask this person? | [`applicable()`] |
//! | what can the person still change? | [`change()`] |
//! | may a policy be published? | [`contradictions`] |

mod applicable;
mod apply;
mod change;
mod choice;
mod code;
mod contradiction;
mod coverage;
mod decide;
mod decision;
mod event;
mod finding;
mod jurisdiction;
mod policies;
mod policy;
mod subject;
mod time;
mod under;

#[cfg(test)]
mod cases;
#[cfg(test)]
pub(crate) mod properties;
#[cfg(test)]
mod sample;

pub use applicable::applicable;
pub use apply::replay;
pub use change::{Change, ChangeOption, change, change_under};
pub use choice::{Choice, Decider, Stance};
pub use contradiction::contradictions;
pub use coverage::Coverage;
pub use decide::{Person, answers, decide, decide_slot, decide_throughout, next_change};
pub use decision::{Decision, Reason};
pub use event::{Event, EventContent, Evidence};
pub use finding::{Complaint, Finding};
pub use jurisdiction::Jurisdiction;
pub use policies::{Offer, Policies, Slot, Version, place};
pub use policy::{
    AfterWindow, AppliesTo, ConsentRegime, LawfulBasis, Mechanism, Notice, OnLapse, Policy,
    PolicyNumber, PolicyState, Purpose, PurposeKind, PurposeText, Spec,
};
pub use subject::{AgeBand, Asked, Attributes, Subject};
pub use time::{Interval, Moment, Span};
pub use under::accept_until;
