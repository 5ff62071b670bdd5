//! The rules case by case: one row a branch, and windows to the millisecond.

mod asked;
mod changes;
mod chosen;
mod contradictions;
mod duration;
mod guarded;
mod row;
mod silent;
mod throughout;

use super::{
    properties::{Step, recorded},
    sample::*,
    *,
};

const SHARE: &str = "messenger.share_phone";
const ADS: &str = "social.ads";
const MESSAGES: &str = "social.messages";
const SPAM: &str = "social.spam";

/// Yes or no to the sample's purposes, in their order; the last is not asked.
fn choose(choices: [bool; 4]) -> Step {
    Step::Choose(0, choices, 0, false)
}

fn by_guardian(choices: [bool; 4]) -> Step {
    Step::Choose(0, choices, 0, true)
}

const YES: [bool; 4] = [true; 4];
const NO: [bool; 4] = [false; 4];

/// The subject that steps leave, each on its day.
fn after(policies: &Policies, steps: &[(i64, Step)]) -> Subject {
    let mut subject = subject("US");
    for (at, step) in steps {
        let (content, occurred_at) = recorded(policies, &subject, step, day(*at));
        subject.apply(policies, &content, occurred_at, day(*at));
    }
    subject
}

/// The millisecond before an instant.
fn before(at: Moment) -> Moment {
    Moment::from_millis(at.millis() - 1)
}
