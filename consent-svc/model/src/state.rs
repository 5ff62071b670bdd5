//! Everything the protocol remembers: database, Redis, replicas, and the checks and writes in flight.
//!
//! Small `Copy` values throughout: a search holds tens of millions of them.

/// Most subjects of any scenario.
pub(crate) const SUBJECTS: usize = 2;
/// Most writes of any scenario.
pub(crate) const WRITES: usize = 4;
/// Most checks in flight at once.
pub(crate) const CHECKS: usize = 4;
/// Most cache generations that somebody still refers to at once.
pub(crate) const GENERATIONS: usize = 5;
/// Most Redis nodes.
pub(crate) const NODES: usize = 2;
/// Most replicas that hold leases.
pub(crate) const REPLICAS: usize = 2;
/// Most replicas that write.
pub(crate) const PROCESSES: usize = 2;

/// An identity that no node has any more, and none will ever have again.
pub(crate) const NOBODY: u8 = 0;
/// A fence of an attempt that its write has given up.
pub(crate) const ORPHAN: u8 = u8::MAX;
/// A process that has not yet seen the row as it is now.
pub(crate) const UNKNOWN: u8 = u8::MAX;

/// What a check answers, and from which revision of its subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Answer {
    pub(crate) revision: u8,
    pub(crate) granted: bool,
}

/// A subject's row in the database, and what is known about it from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Subject {
    /// Counts the committed writes that could change this subject's answer, those on linked subjects included.
    pub(crate) revision: u8,
    /// What the subject itself chose.
    pub(crate) granted: bool,
    /// The latest revision whose answer is no; 0 before the first.
    pub(crate) last_no: u8,
    /// Which write's random fence stands here.
    pub(crate) fence: Option<u8>,
    /// The fence that a crash of the database would bring back. Only where it may crash.
    pub(crate) flushed: Option<u8>,
    /// The latest acknowledged revision whose answer is no. Literal reading only.
    pub(crate) acknowledged_no: u8,
    /// The latest revision that an ended check answered from. Literal reading only.
    pub(crate) answered: u8,
}

/// The generation row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    pub(crate) generation: u8,
    /// Mode OPEN; otherwise BYPASS.
    pub(crate) open: bool,
}

/// What Redis holds under the key of one subject and generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    #[default]
    Empty,
    /// The nonce of that check's fill.
    Nonce(u8),
    Answer(Answer),
}

/// The keys of one node by generation and subject.
pub(crate) type Keys = [[Key; SUBJECTS]; GENERATIONS];

/// One Redis server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    /// `role:master`; otherwise a replica of the other node.
    pub(crate) primary: bool,
    /// `master_replid`; under [`crate::Mutant::RunIdAlone`] the `run_id`.
    pub(crate) identity: u8,
    pub(crate) keys: Keys,
}

/// A connection to Redis and the identity found when it was made. Kept only for mutants that trust it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Connection {
    pub(crate) node: u8,
    pub(crate) identity: u8,
}

/// Leave to use one generation for checks that start in the `left` ticks to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Lease {
    pub(crate) generation: u8,
    pub(crate) left: u8,
}

/// A replica as its checks see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Replica {
    pub(crate) lease: Option<Lease>,
    /// The row was read for a renewal, whose reply has not been looked at yet.
    pub(crate) reply: Option<Lease>,
}

/// What a check that has started must not fall behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Floor {
    /// Revision of the latest refusal that binds this check: a yes from before it is stale.
    pub(crate) no: u8,
    /// Revision that a check which ended before this one started may have answered from.
    pub(crate) any: u8,
}

/// How far a check has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Check {
    /// Not started, or ended.
    #[default]
    Idle,
    /// Only [`crate::Mutant::LeaseTestedEarly`]: the lease was tested, the check starts later.
    Tested { generation: u8 },
    /// Started under a valid lease on this generation.
    Started { subject: u8, generation: u8, floor: Floor },
    /// Missed, and has set its nonce.
    Marked { subject: u8, generation: u8, floor: Floor },
    /// Has read the database and answered; the fill, if no fence stood, is still to come.
    Read { subject: u8, generation: u8, answer: Answer, fenced: bool },
}

impl Check {
    /// The subject of a check under way.
    pub(crate) fn subject(self) -> Option<u8> {
        match self {
            Check::Idle | Check::Tested { .. } => None,
            Check::Started { subject, .. }
            | Check::Marked { subject, .. }
            | Check::Read { subject, .. } => Some(subject),
        }
    }

    /// The generation this check goes by.
    pub(crate) fn generation_mut(&mut self) -> Option<&mut u8> {
        match self {
            Check::Idle => None,
            Check::Tested { generation }
            | Check::Started { generation, .. }
            | Check::Marked { generation, .. }
            | Check::Read { generation, .. } => Some(generation),
        }
    }
}

/// How far a write has come. `age` counts the ticks its process has known the row, up to W.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// At step 1: not begun, or started over.
    #[default]
    Begin,
    /// Only [`crate::Mutant::GroupReadBeforeTx1`]: knows which subjects to fence, has not fenced them.
    Grouped,
    /// Only [`crate::Mutant::RowBeforeFence`]: has read the row, has not fenced.
    EarlyRow { generation: u8, open: bool, age: u8 },
    /// tx1 is committed.
    Fenced,
    /// Has read the row and found it OPEN.
    Open { generation: u8, age: u8 },
    /// Nothing to delete (any more), waits for W.
    Waiting { age: u8 },
    /// A policy being published: has moved the row to BYPASS and waits for W.
    Publishing { generation: u8, age: u8 },
    /// Committed but not acknowledged: literal reading only.
    Committed { no: u8 },
    /// Acknowledged.
    Done,
}

impl Phase {
    /// The generation this write goes by.
    pub(crate) fn generation_mut(&mut self) -> Option<&mut u8> {
        match self {
            Phase::EarlyRow { generation, .. }
            | Phase::Open { generation, .. }
            | Phase::Publishing { generation, .. } => Some(generation),
            _ => None,
        }
    }

    /// How long the row has been known.
    pub(crate) fn age_mut(&mut self) -> Option<&mut u8> {
        match self {
            Phase::EarlyRow { age, .. }
            | Phase::Open { age, .. }
            | Phase::Waiting { age }
            | Phase::Publishing { age, .. } => Some(age),
            _ => None,
        }
    }
}

/// A write under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Write {
    pub(crate) phase: Phase,
    /// The subjects whose answer it can change, as bits, as seen in tx1.
    pub(crate) group: u8,
}

/// One state of the whole system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct State {
    pub(crate) subjects: [Subject; SUBJECTS],
    /// The two subjects are linked: each gets the stricter of both answers.
    pub(crate) linked: bool,
    /// A published policy refuses everybody.
    pub(crate) refused: bool,
    pub(crate) row: Row,
    /// The identity each generation was opened for.
    pub(crate) identities: [u8; GENERATIONS],
    pub(crate) nodes: [Node; NODES],
    /// The connections of the checks and of the writes, for mutants that trust them.
    pub(crate) connections: [Option<Connection>; 2],
    pub(crate) replicas: [Replica; REPLICAS],
    /// How many ticks each writing process has known the row as it is now, up to W, or [`UNKNOWN`].
    pub(crate) known: [u8; PROCESSES],
    pub(crate) writes: [Write; WRITES],
    pub(crate) checks: [Check; CHECKS],
    /// Per check, as bits: the checks whose database read in flight began after this one started.
    pub(crate) shareable: [u8; CHECKS],
    pub(crate) stale_yes: bool,
    pub(crate) inversion: bool,
    /// The awaited [`crate::Event`] has happened.
    pub(crate) reached: bool,
}

impl State {
    /// The answer the database gives for a subject now.
    pub(crate) fn answer(&self, subject: u8) -> Answer {
        let own = &self.subjects[usize::from(subject)];
        let granted = !self.refused
            && if self.linked {
                self.subjects.iter().all(|each| each.granted)
            } else {
                own.granted
            };
        Answer { revision: own.revision, granted }
    }

    /// Everything committed so far survives a crash: so does every transaction that commits synchronously.
    pub(crate) fn flush(&mut self) {
        for subject in &mut self.subjects {
            subject.flushed = subject.fence;
        }
    }

    /// The row becomes another: nobody knows it yet.
    pub(crate) fn move_row(&mut self, row: Row) {
        self.flush();
        self.row = row;
        self.known = [UNKNOWN; PROCESSES];
    }
}

/// The positions of the set bits.
pub(crate) fn bits(mask: u8) -> impl Iterator<Item = u8> {
    (0..8).filter(move |bit| mask & (1 << bit) != 0)
}
