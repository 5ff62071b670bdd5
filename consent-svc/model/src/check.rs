//! Checks: the clock, the lease, Redis, the database, the fill.

use crate::mutant::Mutant;
use crate::protocol::{Event, Protocol, Step, unanswered};
use crate::state::{CHECKS, Check, Floor, Key, REPLICAS, State, bits};

impl Protocol {
    pub(crate) fn check_steps(&self, s: &State, steps: &mut Vec<Step>) {
        // Checks that are not under way are all alike: the first of them starts.
        let idle = s.checks[..usize::from(self.config.checks)].contains(&Check::Idle);
        if idle {
            for generation in self.leased(s) {
                if self.mutated(Mutant::LeaseTestedEarly) {
                    steps.push(Step::TestLease { generation });
                } else {
                    steps.extend(
                        (0..self.config.subjects)
                            .map(|subject| Step::Start { subject, generation }),
                    );
                }
            }
        }
        for check in 0..self.config.checks {
            match s.checks[usize::from(check)] {
                Check::Idle => {}
                Check::Tested { .. } => {
                    steps.extend(
                        (0..self.config.subjects)
                            .map(|subject| Step::StartTested { check, subject }),
                    );
                }
                Check::Started { subject, generation, .. } => {
                    for node in bits(self.admitted(s, generation, READING)) {
                        if let Key::Answer(_) = key(s, node, generation, subject) {
                            steps.push(Step::Hit { check, node });
                        }
                    }
                    steps.extend(
                        bits(self.writable(s, generation, READING))
                            .map(|node| Step::SetNonce { check, node }),
                    );
                }
                Check::Marked { .. } => steps.push(Step::ReadDatabase { check }),
                Check::Read { generation, fenced, .. } => {
                    if !fenced {
                        steps.extend(
                            bits(self.writable(s, generation, READING))
                                .map(|node| Step::Fill { check, node }),
                        );
                    }
                    steps.push(Step::EndWithoutFill { check });
                }
            }
            if self.config.sharing && unanswered(s.checks[usize::from(check)]) {
                steps.extend(
                    (0..self.config.checks)
                        .filter(|from| self.may_share(s, check, *from))
                        .map(|from| Step::TakeSharedRead { check, from }),
                );
            }
        }
        if self.config.literal {
            steps.extend(
                (0..self.config.subjects).map(|subject| Step::CheckWithoutCache { subject }),
            );
        }
    }

    pub(crate) fn apply_check(&self, s: &mut State, step: Step) {
        match step {
            Step::TestLease { generation } => first_idle(s, Check::Tested { generation }),
            Step::StartTested { check, subject } => {
                if let Check::Tested { generation } = s.checks[usize::from(check)] {
                    let floor = self.floor(s, subject);
                    s.checks[usize::from(check)] = Check::Started { subject, generation, floor };
                }
            }
            // The clock is read after the start and the lease tested by it. One step: what a check is bound by only
            // grows, so that the worst start is the one right before the clock is read.
            Step::Start { subject, generation } => {
                let floor = self.floor(s, subject);
                first_idle(s, Check::Started { subject, generation, floor });
            }
            Step::Hit { check, node } => self.hit(s, check, node),
            Step::SetNonce { check, node } => self.set_nonce(s, check, node),
            Step::ReadDatabase { check } => self.read_database(s, check),
            Step::TakeSharedRead { check, from } => self.take_shared_read(s, check, from),
            Step::Fill { check, node } => self.fill(s, check, node),
            // The reply or the command is lost, Redis is not the one it was, or there was a fence.
            Step::EndWithoutFill { check } => s.checks[usize::from(check)] = Check::Idle,
            // A check without a lease. Its answer is current; all it does is to bind those that start after it.
            Step::CheckWithoutCache { subject } => {
                let answer = s.answer(subject);
                self.end(s, subject, Floor::default(), answer);
            }
            _ => {}
        }
    }

    /// The generations in which a check may start now.
    fn leased(&self, s: &State) -> impl Iterator<Item = u8> {
        let mut generations = 0_u8;
        if self.moves() {
            for lease in s.replicas.iter().filter_map(|replica| replica.lease).take(REPLICAS) {
                generations |= 1 << lease.generation;
            }
        } else {
            generations = 1 << s.row.generation;
        }
        bits(generations)
    }

    /// One script compares the identity and reads the key: an answer is there, and ends the check.
    fn hit(&self, s: &mut State, check: u8, node: u8) {
        let Check::Started { subject, generation, floor } = s.checks[usize::from(check)] else {
            return;
        };
        let Key::Answer(answer) = key(s, node, generation, subject) else { return };
        s.checks[usize::from(check)] = Check::Idle;
        self.end(s, subject, floor, answer);
        self.note(s, Event::Hit);
        if generation != s.row.generation {
            self.note(s, Event::HitUnderOldGeneration);
        }
    }

    /// A miss and the nonce it sets. One step, possible whatever the key holds: a miss learns nothing that could not
    /// be learnt at the moment when the nonce is set, except that an answer may have been stored in between.
    fn set_nonce(&self, s: &mut State, check: u8, node: u8) {
        let Check::Started { subject, generation, floor } = s.checks[usize::from(check)] else {
            return;
        };
        if !self.mutated(Mutant::NoNonce) {
            s.nodes[usize::from(node)].keys[usize::from(generation)][usize::from(subject)] =
                Key::Nonce(check);
        }
        // From here on the check answers from its own read, which began after it did: no floor can be missed, and
        // forgetting it joins states that differ in nothing else.
        let floor =
            if self.config.sharing || self.config.literal { floor } else { Floor::default() };
        s.checks[usize::from(check)] = Check::Marked { subject, generation, floor };
    }

    /// Reads state and fence in one snapshot, and answers at once: the earlier a check ends, the more checks start
    /// after it. The fill goes on behind the answer.
    fn read_database(&self, s: &mut State, check: u8) {
        let Check::Marked { subject, generation, floor } = s.checks[usize::from(check)] else {
            return;
        };
        let answer = s.answer(subject);
        let fenced = s.subjects[usize::from(subject)].fence.is_some();
        self.end(s, subject, floor, answer);
        if self.config.sharing {
            // The read may be shared by whoever has started. It began at the latest possible moment, which lets the
            // most checks share it.
            for other in 0..CHECKS {
                if unanswered(s.checks[other]) && s.checks[other].subject() == Some(subject) {
                    s.shareable[other] |= 1 << check;
                }
            }
        }
        s.checks[usize::from(check)] = if fenced && !self.config.sharing {
            Check::Idle
        } else {
            Check::Read { subject, generation, answer, fenced }
        };
    }

    /// Whether a check may answer from a read whose result has not been handed out yet.
    fn may_share(&self, s: &State, check: u8, from: u8) -> bool {
        let reads = matches!(s.checks[usize::from(from)], Check::Read { .. });
        let same = s.checks[usize::from(check)].subject() == s.checks[usize::from(from)].subject();
        let began_after = s.shareable[usize::from(check)] & (1 << from) != 0;
        reads && same && (began_after || self.mutated(Mutant::SharedReadBegunEarlier))
    }

    /// A shared read answers; it never fills, for it may have begun before this check set its nonce.
    fn take_shared_read(&self, s: &mut State, check: u8, from: u8) {
        let Check::Read { answer, fenced, .. } = s.checks[usize::from(from)] else { return };
        let (next, subject, floor) = match s.checks[usize::from(check)] {
            Check::Marked { subject, generation, floor }
                if self.mutated(Mutant::SharedReadFilled) =>
            {
                (Check::Read { subject, generation, answer, fenced }, subject, floor)
            }
            Check::Started { subject, floor, .. } | Check::Marked { subject, floor, .. } => {
                (Check::Idle, subject, floor)
            }
            _ => return,
        };
        s.checks[usize::from(check)] = next;
        self.end(s, subject, floor, answer);
        self.note(s, Event::Share);
    }

    /// Compare-and-set from the own nonce to the answer.
    fn fill(&self, s: &mut State, check: u8, node: u8) {
        let Check::Read { subject, generation, answer, .. } = s.checks[usize::from(check)] else {
            return;
        };
        let own = key(s, node, generation, subject) == Key::Nonce(check);
        if own || self.mutated(Mutant::NoNonce) {
            s.nodes[usize::from(node)].keys[usize::from(generation)][usize::from(subject)] =
                Key::Answer(answer);
            self.note(s, Event::Fill);
        } else {
            self.note(s, Event::Discard);
        }
        s.checks[usize::from(check)] = Check::Idle;
    }
}

/// The connection that checks use, where it matters.
pub(crate) const READING: usize = 0;
/// The connection that writes use, where it matters.
pub(crate) const WRITING: usize = 1;

fn key(s: &State, node: u8, generation: u8, subject: u8) -> Key {
    s.nodes[usize::from(node)].keys[usize::from(generation)][usize::from(subject)]
}

fn first_idle(s: &mut State, next: Check) {
    if let Some(check) = s.checks.iter_mut().find(|check| **check == Check::Idle) {
        *check = next;
    }
}
