//! The generation row: leases on it, what processes know of it, its reopening; and time.

use crate::mutant::Mutant;
use crate::protocol::{Event, Protocol, Step};
use crate::state::{Lease, NOBODY, Phase, Row, State, UNKNOWN};

impl Protocol {
    pub(crate) fn row_steps(&self, s: &State, steps: &mut Vec<Step>) {
        if !self.moves() {
            return;
        }
        steps.push(Step::Tick);
        for replica in 0..self.config.replicas {
            if s.row.open {
                steps.push(Step::ReadLease { replica });
            }
            if s.replicas[usize::from(replica)].reply.is_some() {
                steps.push(Step::TakeLease { replica });
            }
        }
        for (process, known) in (0..).zip(s.known) {
            if known == UNKNOWN && self.writing(s, process) {
                steps.push(Step::LearnRow { process });
            }
        }
        if self.free_generation(s).is_some() {
            for node in 0..self.config.nodes {
                if s.nodes[usize::from(node)].primary {
                    steps.push(Step::Reopen { node: Some(node) });
                }
            }
            if self.config.nodes > 1 {
                steps.push(Step::Reopen { node: None });
            }
        }
    }

    pub(crate) fn apply_row(&self, s: &mut State, step: Step) {
        match step {
            Step::Tick => self.tick(s),
            // The clock is read, then the row. One step: time that passes in between only shortens the lease.
            Step::ReadLease { replica } => {
                let lease = Lease { generation: s.row.generation, left: self.config.wait };
                let replica = &mut s.replicas[usize::from(replica)];
                if self.config.slow_renewals {
                    replica.reply = Some(lease);
                } else {
                    replica.lease = Some(lease);
                }
            }
            Step::TakeLease { replica } => {
                let replica = &mut s.replicas[usize::from(replica)];
                replica.lease = replica.reply.take();
                if let (Some(lease), true) =
                    (&mut replica.lease, self.mutated(Mutant::LeaseFromReply))
                {
                    lease.left = self.config.wait;
                }
            }
            Step::LearnRow { process } => {
                self.learn(s, process);
            }
            Step::Reopen { node } => self.reopen(s, node),
            _ => {}
        }
    }

    /// Some replica's compare-and-set to a fresh generation for the Redis whose identity it has verified: at any time,
    /// from OPEN, too. `None`: the identity it has verified is no longer anybody's.
    ///
    /// Looking at the row and at Redis, and then moving the row, are one step. The row has not moved in between, or
    /// compare-and-set fails; and an identity seen earlier is still that of the same primary, or of nobody for ever.
    fn reopen(&self, s: &mut State, node: Option<u8>) {
        let Some(generation) = self.free_generation(s) else { return };
        if !s.row.open {
            self.note(s, Event::BypassLeft);
        }
        s.identities[usize::from(generation)] =
            node.map_or(NOBODY, |node| s.nodes[usize::from(node)].identity);
        s.move_row(Row { generation, open: true });
    }

    /// One tick of the clocks.
    ///
    /// Only what is left of a lease and how long a row has been known are stored, so that there is no calendar to run
    /// out. The slowest clock allowed measures L on a lease while the fastest measures W on its wait, and a lease that
    /// lasts longer can do all that a shorter one can: so a lease lasts for W ticks of the waiting clock, and any rates
    /// within ε are covered.
    fn tick(&self, s: &mut State) {
        let wait = self.config.wait;
        for replica in &mut s.replicas {
            replica.lease = replica.lease.and_then(shorter);
            replica.reply = match replica.reply {
                Some(lease) if self.mutated(Mutant::LeaseFromReply) => {
                    Some(Lease { left: lease.left.saturating_sub(1), ..lease })
                }
                reply => reply.and_then(shorter),
            };
        }
        for known in s.known.iter_mut().filter(|known| **known != UNKNOWN) {
            *known = wait.min(*known + 1);
        }
        for age in s.writes.iter_mut().filter_map(|write| write.phase.age_mut()) {
            *age = wait.min(*age + 1);
        }
    }

    /// Whether a process still has writes to do.
    pub(crate) fn writing(&self, s: &State, process: u8) -> bool {
        self.config
            .writes
            .iter()
            .zip(&s.writes)
            .any(|(planned, write)| planned.process == process && write.phase != Phase::Done)
    }

    /// A generation that nobody refers to: a fresh random number. Canonical states have those in use at the front and
    /// the row's last, so that the order is that of their making.
    fn free_generation(&self, s: &State) -> Option<u8> {
        let next = s.row.generation + 1;
        (next < self.config.generations).then_some(next)
    }
}

fn shorter(lease: Lease) -> Option<Lease> {
    (lease.left > 1).then(|| Lease { left: lease.left - 1, ..lease })
}
