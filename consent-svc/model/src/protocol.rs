//! The transition system: which steps a state allows, what each does, and what must hold.

use stateright::{Model, Property};

use crate::config::Config;
use crate::mutant::Mutant;
use crate::state::{Answer, Check, Floor, NOBODY, Node, Row, State, Subject, UNKNOWN};

/// Always: no check that starts after a withdrawal was acknowledged answers yes from before it.
pub const NO_STALE_YES: &str = "no stale yes";
/// Always: no check that starts after another has ended answers from an older revision.
pub const NO_INVERSION: &str = "no inversion";
/// Sometimes: the awaited [`Event`] happens.
pub const EVENT: &str = "the event happens";

/// What has to be possible, lest a promise be kept because nothing ever happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// A check is answered from Redis.
    Hit,
    /// A check is answered from Redis in a generation that the row has left.
    HitUnderOldGeneration,
    /// A check stores what it read.
    Fill,
    /// A check finds its nonce gone and stores nothing.
    Discard,
    /// A crash of the database brings back another fence, or none.
    FenceLost,
    /// A check answers from another's database read.
    Share,
    /// A write finds its fence gone and starts over.
    StartOver,
    /// The row moves to BYPASS.
    BypassEntered,
    /// The row is reopened from BYPASS.
    BypassLeft,
    /// A withdrawal is committed while no Redis has the identity of the row's generation.
    WithdrawnWithoutRedis,
    /// A withdrawal of one of two linked subjects is committed.
    WithdrawnLinked,
    /// A policy is published.
    Published,
}

/// One step of somebody. `node` is the Redis that a command reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is documented where it is applied")]
pub enum Step {
    Tick,
    TestLease { generation: u8 },
    StartTested { check: u8, subject: u8 },
    Start { subject: u8, generation: u8 },
    Hit { check: u8, node: u8 },
    SetNonce { check: u8, node: u8 },
    ReadDatabase { check: u8 },
    TakeSharedRead { check: u8, from: u8 },
    Fill { check: u8, node: u8 },
    EndWithoutFill { check: u8 },
    CheckWithoutCache { subject: u8 },
    ReadGroup { write: u8 },
    Fence { write: u8 },
    ReadRow { write: u8 },
    Delete { write: u8, node: u8 },
    MoveToBypass { write: u8 },
    Commit { write: u8 },
    Acknowledge { write: u8 },
    ClearFence { subject: u8 },
    Flush,
    CrashDatabase,
    ReadLease { replica: u8 },
    TakeLease { replica: u8 },
    LearnRow { process: u8 },
    Reopen { node: Option<u8> },
    Replicate { node: u8 },
    Promote { node: u8 },
    Demote { node: u8 },
    RestartFromDump { node: u8 },
    Evict { subject: u8 },
    Connect { connection: u8, node: u8 },
}

/// A scenario under the protocol, or under one of its mutants.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    pub(crate) config: Config,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) awaited: Option<Event>,
    /// Search representatives only; see [`crate::canonical`].
    pub(crate) reduced: bool,
}

impl Protocol {
    pub(crate) fn mutated(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Whether the row can move at all.
    pub(crate) fn moves(&self) -> bool {
        self.config.replicas > 0
    }

    pub(crate) fn note(&self, s: &mut State, event: Event) {
        s.reached |= self.awaited == Some(event);
    }

    /// What binds a check that starts now.
    ///
    /// By the letter: what was acknowledged, and what other checks ended with. Otherwise the worst that these can be.
    /// A write may be acknowledged at its commit and not before; a check without cache may read and end right after the
    /// commit; nothing can be acknowledged or answered that is not committed. So being bound by the committed revision
    /// is the strongest obligation that the letter can lead to, at every moment, and it needs no memory of either.
    pub(crate) fn floor(&self, s: &State, subject: u8) -> Floor {
        let subject = &s.subjects[usize::from(subject)];
        if self.config.literal {
            Floor { no: subject.acknowledged_no, any: subject.answered }
        } else {
            Floor { no: subject.last_no, any: subject.revision }
        }
    }

    /// A check answers, and ends as far as its caller can tell.
    pub(crate) fn end(&self, s: &mut State, subject: u8, floor: Floor, answer: Answer) {
        s.stale_yes |= answer.granted && answer.revision < floor.no;
        s.inversion |= answer.revision < floor.any;
        if self.config.literal {
            let subject = &mut s.subjects[usize::from(subject)];
            subject.answered = subject.answered.max(answer.revision);
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let mut subjects = [Subject::default(); crate::state::SUBJECTS];
        for subject in &mut subjects[..usize::from(self.config.subjects)] {
            subject.granted = true;
        }
        let mut known = [UNKNOWN; crate::state::PROCESSES];
        for planned in self.config.writes {
            known[usize::from(planned.process)] = self.config.wait;
        }
        let mut nodes = [Node::default(); crate::state::NODES];
        let mut identities = [NOBODY; crate::state::GENERATIONS];
        for node in &mut nodes[..usize::from(self.config.nodes)] {
            node.identity = 1;
        }
        nodes[0].primary = true;
        identities[0] = 1;
        if self.mutated(Mutant::RunIdAlone) {
            nodes[1].identity = 2;
        }
        let mut s = State {
            subjects,
            linked: self.config.linked,
            refused: false,
            row: Row { generation: 0, open: true },
            identities,
            nodes,
            connections: Default::default(),
            replicas: Default::default(),
            known,
            writes: Default::default(),
            checks: Default::default(),
            shareable: Default::default(),
            stale_yes: false,
            inversion: false,
            reached: false,
        };
        self.canonicalise(&mut s);
        vec![s]
    }

    fn actions(&self, s: &State, steps: &mut Vec<Step>) {
        // What comes after the end of a search does not matter.
        if s.stale_yes || s.inversion || s.reached {
            return;
        }
        self.check_steps(s, steps);
        self.write_steps(s, steps);
        self.row_steps(s, steps);
        self.redis_steps(s, steps);
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut s = *last;
        match step {
            Step::Tick
            | Step::ReadLease { .. }
            | Step::TakeLease { .. }
            | Step::LearnRow { .. }
            | Step::Reopen { .. } => {
                self.apply_row(&mut s, step);
            }
            Step::ReadGroup { write }
            | Step::Fence { write }
            | Step::ReadRow { write }
            | Step::Delete { write, .. }
            | Step::MoveToBypass { write }
            | Step::Commit { write }
            | Step::Acknowledge { write } => self.apply_write(&mut s, write, step),
            Step::ClearFence { .. } | Step::Flush | Step::CrashDatabase => {
                self.apply_database(&mut s, step);
            }
            Step::Replicate { .. }
            | Step::Promote { .. }
            | Step::Demote { .. }
            | Step::RestartFromDump { .. }
            | Step::Evict { .. }
            | Step::Connect { .. } => self.apply_redis(&mut s, step),
            _ => self.apply_check(&mut s, step),
        }
        self.canonicalise(&mut s);
        (s != *last).then_some(s)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always(NO_STALE_YES, |_, s: &State| !s.stale_yes),
            Property::always(NO_INVERSION, |_, s: &State| !s.inversion),
        ];
        if self.awaited.is_some() {
            properties.push(Property::sometimes(EVENT, |_, s: &State| s.reached));
        }
        properties
    }
}

/// A check whose floor can still matter: it may yet answer from something other than its own database read.
pub(crate) fn unanswered(check: Check) -> bool {
    matches!(check, Check::Started { .. } | Check::Marked { .. })
}
