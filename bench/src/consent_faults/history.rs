//! What was asked and answered, and whether it can have been so.
//!
//! Exact, while it happens: nothing is judged that could be otherwise. Every subject has one
//! writer. Before a check is sent, it is noted what is known of its subject: how far its writer
//! is, the highest revision that was acknowledged, and the highest that any check has answered.
//! The answer is judged against that, and against how far the writer is when it has arrived.
//!
//! - **Stale yes**: GRANTED, although the subject's withdrawal (or that of an account that is
//!   linked to it) was acknowledged before the check was sent, and no new grant had begun when its
//!   answer came.
//! - **Stale no**: DENIED, although everybody's grant was acknowledged and no withdrawal begun. As
//!   wrong, but nobody's data goes anywhere.
//! - **Behind**: the answer is of an earlier revision than one that was acknowledged before.
//! - **Inversion**: the answer is of an earlier revision than another check had answered before
//!   this one was sent: new, then old.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// How far a subject's writer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing was granted yet, or the withdrawal was acknowledged.
    Denied = 0,
    /// A grant was sent.
    Granting = 1,
    /// The grant was acknowledged.
    Granted = 2,
    /// A withdrawal was sent.
    Withdrawing = 3,
}

/// A subject's steps, counted: the two lowest bits are the phase.
type Step = u64;

fn is_in(step: Step, phase: Phase) -> bool {
    step % 4 == phase as u64
}

#[derive(Debug, Default)]
struct Subject {
    step: AtomicU64,
    acknowledged: AtomicU64,
    seen: AtomicU64,
}

/// Subjects by their numbers.
#[derive(Debug)]
pub struct History {
    subjects: Vec<Subject>,
    ids: Vec<String>,
    /// How many accounts a person has: those with neighbouring numbers.
    linked: usize,
    /// From this number on, accounts are linked to nothing.
    alone_from: usize,
    /// From this number on, what is granted depends on whether their policy is in force.
    governed_from: usize,
}

/// What was known of a subject before a check was sent.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    acknowledged: u64,
    seen: u64,
    /// The steps of the person's accounts; the first `linked` of them, or one.
    steps: [Step; LINKED],
}

/// How many accounts a person with several has.
pub const LINKED: usize = 2;

/// What can be wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// Granted after an acknowledged withdrawal.
    StaleYes,
    /// Denied after an acknowledged grant.
    StaleNo,
    /// Of an earlier revision than was acknowledged.
    Behind,
    /// Of an earlier revision than was answered.
    Inversion,
}

/// What an answer was worth.
#[derive(Debug, Clone, Copy)]
pub struct Verdict {
    /// What is wrong with it, the worst first.
    pub wrong: Option<Wrong>,
    /// Whether the subject was denied throughout, so that a stale yes would have been seen.
    pub denied_throughout: bool,
    /// What is wrong with the order of revisions, whatever else is.
    pub inverted: bool,
}

impl History {
    /// So many subjects, of whom the first `linked` are the accounts of people with
    /// [`LINKED`] each, and the last `governed` have a policy that comes and goes.
    pub fn new(subjects: usize, linked: usize, governed: usize) -> Self {
        // Ids of 16 bytes.
        let ids = (0..subjects).map(|number| format!("subject-{number:08}")).collect();
        let subjects: Vec<Subject> = (0..subjects).map(|_| Subject::default()).collect();
        let governed_from = subjects.len().saturating_sub(governed);
        let alone_from = linked.min(governed_from) / LINKED * LINKED;
        Self { subjects, ids, linked: LINKED, alone_from, governed_from }
    }

    /// How many subjects there are.
    pub fn len(&self) -> usize {
        self.subjects.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    /// The subjects whose policy comes and goes.
    pub fn governed(&self) -> std::ops::Range<usize> {
        self.governed_from..self.subjects.len()
    }

    /// Whether a subject is one of them.
    pub fn is_governed(&self, subject: usize) -> bool {
        subject >= self.governed_from
    }

    /// A subject's id.
    pub fn id(&self, subject: usize) -> &str {
        &self.ids[subject]
    }

    /// The people with several accounts.
    pub fn linked_groups(&self) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let linked = self.linked;
        (0..self.alone_from).step_by(linked).map(move |first| first..first + linked)
    }

    /// The numbers of all accounts of a subject's person.
    fn person(&self, subject: usize) -> std::ops::Range<usize> {
        if subject >= self.alone_from {
            return subject..subject + 1;
        }
        let first = subject / self.linked * self.linked;
        first..first + self.linked
    }

    /// Whether the latest that was acknowledged is a grant.
    pub fn is_granted(&self, subject: usize) -> bool {
        is_in(self.subjects[subject].step.load(SeqCst), Phase::Granted)
    }

    /// The writer is about to send: the next phase begins.
    pub fn begin(&self, subject: usize) {
        self.subjects[subject].step.fetch_add(1, SeqCst);
    }

    /// What it sent was acknowledged, with a revision.
    pub fn acknowledge(&self, subject: usize, revision: u64) {
        let subject = &self.subjects[subject];
        subject.acknowledged.fetch_max(revision, SeqCst);
        subject.step.fetch_add(1, SeqCst);
    }

    /// To be asked before a check is sent.
    pub fn before(&self, subject: usize) -> Before {
        let person = self.person(subject);
        let mut steps = [0; LINKED];
        for (step, account) in steps.iter_mut().zip(person) {
            *step = self.subjects[account].step.load(SeqCst);
        }
        let subject = &self.subjects[subject];
        Before {
            acknowledged: subject.acknowledged.load(SeqCst),
            seen: subject.seen.load(SeqCst),
            steps,
        }
    }

    /// Judges an answer that has just arrived.
    pub fn judge(&self, subject: usize, before: &Before, granted: bool, revision: u64) -> Verdict {
        let mut denied_throughout = false;
        let mut granted_throughout = true;
        for (step, account) in before.steps.iter().zip(self.person(subject)) {
            let same = self.subjects[account].step.load(SeqCst) == *step;
            denied_throughout |= same && is_in(*step, Phase::Denied);
            granted_throughout &= same && is_in(*step, Phase::Granted);
        }
        self.subjects[subject].seen.fetch_max(revision, SeqCst);
        let inverted = revision < before.seen;
        let wrong = match granted {
            true if denied_throughout => Some(Wrong::StaleYes),
            false if granted_throughout => Some(Wrong::StaleNo),
            _ if revision < before.acknowledged => Some(Wrong::Behind),
            _ if inverted => Some(Wrong::Inversion),
            _ => None,
        };
        Verdict { wrong, denied_throughout, inverted }
    }

    /// What is known of a subject now, for people to read.
    pub fn describe(&self, subject: usize) -> String {
        let Subject { step, acknowledged, seen } = &self.subjects[subject];
        let step = step.load(SeqCst);
        let phase = ["denied", "granting", "granted", "withdrawing"][(step % 4) as usize];
        format!(
            "{} is {phase} (step {step}), revision {} was acknowledged and {} answered",
            self.ids[subject],
            acknowledged.load(SeqCst),
            seen.load(SeqCst)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(history: &History, subject: usize, revision: u64) {
        history.begin(subject);
        history.acknowledge(subject, revision);
    }

    #[test]
    fn a_yes_after_an_acknowledged_withdrawal_is_stale_unless_a_grant_has_begun() {
        let history = History::new(1, 0, 0);
        write(&history, 0, 1);
        write(&history, 0, 2);
        let before = history.before(0);
        assert_eq!(history.judge(0, &before, true, 1).wrong, Some(Wrong::StaleYes));
        assert_eq!(history.judge(0, &before, false, 2).wrong, None);
        history.begin(0);
        // It may have been granted meanwhile, but not at the revision of before.
        assert_eq!(history.judge(0, &before, true, 3).wrong, None);
        assert_eq!(history.judge(0, &before, true, 1).wrong, Some(Wrong::Behind));
        // Sent while the grant was under way: either may be.
        let before = history.before(0);
        assert_eq!(history.judge(0, &before, true, 3).wrong, None);
        assert_eq!(history.judge(0, &before, false, 3).wrong, None);
        history.acknowledge(0, 3);
        assert_eq!(history.judge(0, &before, false, 3).wrong, None);
        let before = history.before(0);
        assert_eq!(history.judge(0, &before, false, 3).wrong, Some(Wrong::StaleNo));
    }

    #[test]
    fn the_strictest_account_of_a_person_counts() {
        let history = History::new(3, 2, 0);
        for subject in 0..3 {
            write(&history, subject, 1);
        }
        write(&history, 1, 2);
        // The other account's withdrawal was acknowledged, so this one is denied too.
        assert_eq!(history.judge(0, &history.before(0), true, 1).wrong, Some(Wrong::StaleYes));
        assert!(history.judge(0, &history.before(0), false, 1).denied_throughout);
        assert_eq!(history.judge(2, &history.before(2), true, 1).wrong, None);
    }

    #[test]
    fn new_then_old_is_an_inversion_only_between_checks_that_follow_one_another() {
        let history = History::new(1, 0, 0);
        history.begin(0);
        let (first, overlapping) = (history.before(0), history.before(0));
        assert_eq!(history.judge(0, &first, true, 7).wrong, None);
        assert_eq!(history.judge(0, &overlapping, false, 6).wrong, None);
        let after = history.before(0);
        assert_eq!(history.judge(0, &after, false, 6).wrong, Some(Wrong::Inversion));
    }
}
