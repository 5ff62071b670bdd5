//! Writes: fence, row, delete, wait, commit, acknowledge.

use crate::check::WRITING;
use crate::config::Change;
use crate::mutant::Mutant;
use crate::protocol::{Event, Protocol, Step};
use crate::state::{Key, ORPHAN, Phase, Row, State, UNKNOWN, Write, bits};

impl Protocol {
    pub(crate) fn write_steps(&self, s: &State, steps: &mut Vec<Step>) {
        for write in 0..self.planned() {
            match s.writes[usize::from(write)].phase {
                Phase::Begin if self.change(write) == Change::Publish => {
                    steps.push(Step::MoveToBypass { write });
                }
                Phase::Begin if self.mutated(Mutant::RowBeforeFence) => {
                    steps.push(Step::ReadRow { write });
                }
                Phase::Begin if self.mutated(Mutant::GroupReadBeforeTx1) => {
                    steps.push(Step::ReadGroup { write });
                }
                Phase::Begin | Phase::Grouped | Phase::EarlyRow { .. } => {
                    steps.push(Step::Fence { write });
                }
                Phase::Fenced => steps.push(Step::ReadRow { write }),
                Phase::Open { generation, .. } => {
                    steps.extend(
                        bits(self.writable(s, generation, WRITING))
                            .map(|node| Step::Delete { write, node }),
                    );
                    if self.moves() {
                        steps.push(Step::MoveToBypass { write });
                    }
                }
                Phase::Waiting { age } | Phase::Publishing { age, .. } => {
                    if age >= self.required_age() {
                        steps.push(Step::Commit { write });
                    }
                }
                Phase::Committed { .. } => steps.push(Step::Acknowledge { write }),
                Phase::Done => {}
            }
        }
        for subject in 0..self.config.subjects {
            if s.subjects[usize::from(subject)].fence.is_some() {
                steps.push(Step::ClearFence { subject });
            }
        }
        if self.config.crashes && s.subjects.iter().any(|subject| subject.fence != subject.flushed)
        {
            steps.extend([Step::Flush, Step::CrashDatabase]);
        }
    }

    /// What befalls fences.
    pub(crate) fn apply_database(&self, s: &mut State, step: Step) {
        match step {
            Step::ClearFence { subject } => {
                s.subjects[usize::from(subject)].fence = None;
                if !self.mutated(Mutant::FenceClearedAsynchronously) {
                    s.flush();
                }
            }
            Step::Flush => s.flush(),
            // Nothing is lost but what was committed asynchronously: fences.
            Step::CrashDatabase => {
                for subject in &mut s.subjects {
                    subject.fence = subject.flushed;
                }
                self.note(s, Event::FenceLost);
            }
            _ => {}
        }
    }

    pub(crate) fn apply_write(&self, s: &mut State, write: u8, step: Step) {
        let slot = usize::from(write);
        match step {
            Step::ReadGroup { .. } => {
                s.writes[slot] = Write { phase: Phase::Grouped, group: self.group(s, write) };
            }
            Step::Fence { .. } => self.fence(s, write),
            Step::ReadRow { .. } => {
                let age = self.know(s, write);
                let Row { generation, open } = s.row;
                s.writes[slot].phase = if s.writes[slot].phase == Phase::Begin {
                    Phase::EarlyRow { generation, open, age }
                } else {
                    with_row(generation, open, age)
                };
            }
            Step::Delete { node, .. } => {
                let Phase::Open { generation, age } = s.writes[slot].phase else { return };
                if !self.mutated(Mutant::NoDelete) {
                    for subject in bits(s.writes[slot].group) {
                        s.nodes[usize::from(node)].keys[usize::from(generation)]
                            [usize::from(subject)] = Key::Empty;
                    }
                }
                s.writes[slot].phase = Phase::Waiting { age };
            }
            Step::MoveToBypass { .. } => self.move_to_bypass(s, write),
            Step::Commit { .. } => self.commit(s, write),
            Step::Acknowledge { .. } => {
                if let (Phase::Committed { no }, Some(subject)) =
                    (s.writes[slot].phase, self.subject(write))
                {
                    let subject = &mut s.subjects[usize::from(subject)];
                    subject.acknowledged_no = subject.acknowledged_no.max(no);
                    s.writes[slot] = Write { phase: Phase::Done, group: 0 };
                }
            }
            _ => {}
        }
    }

    /// tx1, committed asynchronously: a fence on every subject whose answer can change, in one transaction with finding out which these are.
    fn fence(&self, s: &mut State, write: u8) {
        let slot = usize::from(write);
        if !self.mutated(Mutant::GroupReadBeforeTx1) {
            s.writes[slot].group = self.group(s, write);
        }
        for subject in &mut s.subjects {
            // This fence is a new random number: none from an earlier attempt is its own.
            subject.flushed = subject.flushed.map(|of| if of == write { ORPHAN } else { of });
        }
        for subject in bits(self.fenced(s, write)) {
            s.subjects[usize::from(subject)].fence = Some(write);
        }
        s.writes[slot].phase = match s.writes[slot].phase {
            Phase::EarlyRow { generation, open, age } => with_row(generation, open, age),
            _ => Phase::Fenced,
        };
    }

    /// The row as compare-and-set moves it: by a write whose delete failed or timed out, which then starts over, or by
    /// a policy that is to be published.
    fn move_to_bypass(&self, s: &mut State, write: u8) {
        let slot = usize::from(write);
        let process = usize::from(self.config.writes[slot].process);
        let publishing = self.change(write) == Change::Publish;
        let expected = match s.writes[slot].phase {
            Phase::Open { generation, .. } => generation,
            _ => s.row.generation,
        };
        if s.row == (Row { generation: expected, open: true }) {
            s.move_row(Row { generation: expected, open: false });
            s.known[process] = 0;
            self.note(s, Event::BypassEntered);
        }
        s.writes[slot] = if publishing {
            let age = self.know(s, write);
            Write { phase: Phase::Publishing { generation: expected, age }, group: 0 }
        } else {
            Write::default()
        };
    }

    /// tx2: the change, if every fence is still its own. Acknowledged in the same step, except by the letter.
    fn commit(&self, s: &mut State, write: u8) {
        let slot = usize::from(write);
        let own = if let Phase::Publishing { generation, .. } = s.writes[slot].phase {
            s.row == Row { generation, open: false } || self.mutated(Mutant::PublishUnconditional)
        } else {
            let own = |subject: u8| s.subjects[usize::from(subject)].fence == Some(write);
            bits(self.fenced(s, write)).all(own)
                || self.mutated(Mutant::AnyFenceWillDo) && bits(self.fenced(s, write)).any(own)
                || self.mutated(Mutant::UnconditionalTx2)
        };
        if !own {
            s.writes[slot] = Write::default();
            self.note(s, Event::StartOver);
            return;
        }
        for subject in bits(self.fenced(s, write)) {
            s.subjects[usize::from(subject)].fence = None;
        }
        s.flush();
        let affected = self.group(s, write);
        match self.change(write) {
            Change::Grant(subject) => s.subjects[usize::from(subject)].granted = true,
            Change::Withdraw(subject) => {
                s.subjects[usize::from(subject)].granted = false;
                self.note_withdrawal(s);
            }
            Change::Link => s.linked = true,
            Change::Unlink => s.linked = false,
            Change::Publish => {
                s.refused = true;
                self.note(s, Event::Published);
            }
        }
        let mut no = 0;
        for subject in bits(affected) {
            s.subjects[usize::from(subject)].revision += 1;
            let answer = s.answer(subject);
            if !answer.granted {
                s.subjects[usize::from(subject)].last_no = answer.revision;
                no = answer.revision;
            }
        }
        let phase = if self.config.literal { Phase::Committed { no } } else { Phase::Done };
        s.writes[slot] = Write { phase, group: 0 };
    }

    fn note_withdrawal(&self, s: &mut State) {
        if s.linked {
            self.note(s, Event::WithdrawnLinked);
        }
        if self.writable(s, s.row.generation, WRITING) == 0 {
            self.note(s, Event::WithdrawnWithoutRedis);
        }
    }

    pub(crate) fn planned(&self) -> u8 {
        u8::try_from(self.config.writes.len()).unwrap_or(u8::MAX)
    }

    fn change(&self, write: u8) -> Change {
        self.config.writes[usize::from(write)].change
    }

    /// The one subject that a write is about.
    fn subject(&self, write: u8) -> Option<u8> {
        match self.change(write) {
            Change::Grant(subject) | Change::Withdraw(subject) => Some(subject),
            Change::Link | Change::Unlink | Change::Publish => None,
        }
    }

    /// The subjects, as bits, whose answer a write can change as things are.
    fn group(&self, s: &State, write: u8) -> u8 {
        match self.subject(write) {
            Some(subject) if !s.linked => 1 << subject,
            _ => (1 << self.config.subjects) - 1,
        }
    }

    /// The subjects, as bits, that a write has fenced. A policy changes everybody's answer and fences nobody.
    fn fenced(&self, s: &State, write: u8) -> u8 {
        match self.subject(write) {
            _ if self.mutated(Mutant::NoFence) => 0,
            Some(subject) if self.mutated(Mutant::LinkedNotFenced) => 1 << subject,
            _ => s.writes[usize::from(write)].group,
        }
    }

    /// For how many ticks the process of a write has known the row as it is now; from now on at the latest.
    ///
    /// What counts is the reply: a lease on an older row was asked for before that row was left, hence before this.
    pub(crate) fn know(&self, s: &mut State, write: u8) -> u8 {
        self.learn(s, self.config.writes[usize::from(write)].process)
    }

    /// A process reads the row.
    pub(crate) fn learn(&self, s: &mut State, process: u8) -> u8 {
        let known = &mut s.known[usize::from(process)];
        if *known == UNKNOWN {
            *known = match self.mutant {
                Some(Mutant::OnlyMoverWaits) => self.config.wait,
                Some(Mutant::WaitFromRequest) => 1,
                _ => 0,
            };
        }
        *known
    }

    /// How long the row has to have been known before tx2.
    fn required_age(&self) -> u8 {
        match self.mutant {
            Some(Mutant::NoWait) => 0,
            Some(Mutant::WaitWithoutDrift) => self.config.wait - 1,
            _ => self.config.wait,
        }
    }
}

/// In BYPASS there is nothing to delete: after W nobody looks into that generation.
fn with_row(generation: u8, open: bool, age: u8) -> Phase {
    if open { Phase::Open { generation, age } } else { Phase::Waiting { age } }
}
