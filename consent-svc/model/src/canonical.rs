//! One representative for states that no future can tell apart.
//!
//! Each rule maps a state to one that allows the same steps to whatever can still be observed (answers of checks that
//! start or go on), so that searching representatives alone searches everything. They are applied after every step and
//! are part of the transition system; a test searches with and without them, and compares. Numbering what is random in
//! reality (generations, identities) and dropping the nonces of ended checks is always done: it is what makes each new
//! one different from all that are in use.

use crate::mutant::Mutant;
use crate::protocol::{Protocol, unanswered};
use crate::state::{CHECKS, Check, GENERATIONS, Key, NOBODY, Phase, State, UNKNOWN, bits};

impl Protocol {
    pub(crate) fn canonicalise(&self, s: &mut State) {
        if !self.config.crashes {
            s.flush();
        }
        if self.reduced {
            self.forget_dead_identities(s);
            self.forget_unreadable_generations(s);
            self.forget_idle_knowledge(s);
        }
        forget_orphaned_nonces(s);
        self.forget_unshareable(s);
        renumber_generations(s);
        renumber_identities(s);
        if self.reduced {
            // Replicas differ in their leases alone.
            s.replicas[..usize::from(self.config.replicas)].sort_unstable();
            self.sort_checks(s);
        }
    }

    /// An identity that nobody has will never be anybody's again: all such are one. Redis refuses every command for
    /// its generations, which leaves a check the database, as if it had no lease.
    fn forget_dead_identities(&self, s: &mut State) {
        if self.config.nodes < 2 {
            return;
        }
        if !matches!(self.mutant, Some(Mutant::ReplidAlone | Mutant::RunIdAlone)) {
            // A replica is refused for its role, whatever its identity.
            for node in s.nodes.iter_mut().filter(|node| !node.primary) {
                node.identity = NOBODY;
            }
        }
        let mut alive = 0_u8;
        for identity in s
            .nodes
            .iter()
            .map(|node| node.identity)
            .chain(s.connections.iter().flatten().map(|to| to.identity))
        {
            alive |= 1 << identity;
        }
        for identity in s.identities.iter_mut().filter(|identity| alive & (1 << **identity) == 0) {
            *identity = NOBODY;
        }
        if self.mutated(Mutant::IdentityNotVerified) {
            return;
        }
        let dead = |generation: u8| s.identities[usize::from(generation)] == NOBODY;
        for replica in &mut s.replicas {
            replica.lease = replica.lease.filter(|lease| !dead(lease.generation));
            replica.reply = replica.reply.filter(|reply| !dead(reply.generation));
        }
        for check in &mut s.checks {
            if check.generation_mut().is_some_and(|generation| dead(*generation)) {
                *check = Check::Idle;
            }
        }
    }

    /// A generation that no check can look into any more: the row has left it or is in BYPASS, no lease on it is left,
    /// no check has it still to read. Its keys, and the fills under way to them, are as good as gone.
    fn forget_unreadable_generations(&self, s: &mut State) {
        let mut readable = if s.row.open { 1_u8 << s.row.generation } else { 0 };
        for lease in s.replicas.iter().flat_map(|replica| [replica.lease, replica.reply]).flatten()
        {
            readable |= 1 << lease.generation;
        }
        for check in &s.checks {
            if let Check::Tested { generation } | Check::Started { generation, .. } = check {
                readable |= 1 << generation;
            }
        }
        for check in &mut s.checks {
            // Another check may still share the read of this one.
            if !self.config.sharing
                && check
                    .generation_mut()
                    .is_some_and(|generation| readable & (1 << *generation) == 0)
            {
                *check = Check::Idle;
            }
        }
        for generation in
            bits(!readable).map(usize::from).take_while(|generation| *generation < GENERATIONS)
        {
            for node in &mut s.nodes {
                node.keys[generation] = Default::default();
            }
        }
    }

    /// What a process knows of the row matters to the writes that it still has to do.
    fn forget_idle_knowledge(&self, s: &mut State) {
        for process in 0..s.known.len() {
            if !u8::try_from(process).is_ok_and(|process| self.writing(s, process)) {
                s.known[process] = UNKNOWN;
            }
        }
    }

    /// Checks are alike: they are sorted by what they do and where their nonces stand.
    fn sort_checks(&self, s: &mut State) {
        let checks = usize::from(self.config.checks);
        if checks < 2 || self.config.sharing {
            return;
        }
        let mut order: [usize; CHECKS] = std::array::from_fn(|check| check);
        order[..checks].sort_by_key(|check| (s.checks[*check], holds(s, *check)));
        if order.is_sorted() {
            return;
        }
        let mut renamed = [0; CHECKS];
        for (new, old) in (0_u8..).zip(order) {
            renamed[old] = new;
        }
        s.checks = order.map(|old| s.checks[old]);
        for key in s.nodes.iter_mut().flat_map(|node| node.keys.iter_mut().flatten()) {
            if let Key::Nonce(check) = key {
                *check = renamed[usize::from(*check)];
            }
        }
    }

    /// Only a check that has not answered shares, and only a read that is still in flight is shared.
    fn forget_unshareable(&self, s: &mut State) {
        if !self.config.sharing {
            return;
        }
        let mut reads = 0;
        for (bit, check) in s.checks.iter().enumerate() {
            reads |= u8::from(matches!(check, Check::Read { .. })) << bit;
        }
        for (check, shareable) in s.checks.iter().zip(&mut s.shareable) {
            *shareable = if unanswered(*check) { *shareable & reads } else { 0 };
        }
    }
}

/// A nonce whose check has ended is compared with nothing any more. It is a miss, like no key.
fn forget_orphaned_nonces(s: &mut State) {
    let checks = s.checks;
    for node in &mut s.nodes {
        for (at, keys) in (0..).zip(&mut node.keys) {
            for (of, key) in (0..).zip(keys) {
                if let Key::Nonce(check) = *key {
                    let fills = match checks[usize::from(check)] {
                        Check::Marked { subject, generation, .. }
                        | Check::Read { subject, generation, .. } => {
                            (generation, subject) == (at, of)
                        }
                        _ => false,
                    };
                    if !fills {
                        *key = Key::Empty;
                    }
                }
            }
        }
    }
}

/// The places, as bits, where the nonce of a check stands.
fn holds(s: &State, check: usize) -> u32 {
    let keys = s.nodes.iter().flat_map(|node| node.keys.iter().flatten());
    keys.enumerate()
        .filter(|(_, key)| matches!(key, Key::Nonce(of) if usize::from(*of) == check))
        .fold(0, |all, (at, _)| all | 1 << at)
}

/// Generations are random numbers: what matters is which are the same. Those in use keep their order and close up.
fn renumber_generations(s: &mut State) {
    let mut used = 1_u8 << s.row.generation;
    each_generation(s, |generation| used |= 1 << *generation);
    if used == (1 << used.count_ones()) - 1 && used.count_ones() == u32::from(s.row.generation) + 1
    {
        return clear_above(s);
    }
    let mut renamed = [0_u8; 8];
    for (new, old) in (0_u8..).zip(bits(used)) {
        let (from, to) = (usize::from(old), usize::from(new));
        renamed[from] = new;
        s.identities[to] = s.identities[from];
        for node in &mut s.nodes {
            node.keys[to] = node.keys[from];
        }
    }
    each_generation(s, |generation| *generation = renamed[usize::from(*generation)]);
    s.row.generation = renamed[usize::from(s.row.generation)];
    clear_above(s);
}

/// Nothing is left of generations that nobody refers to.
fn clear_above(s: &mut State) {
    for generation in usize::from(s.row.generation) + 1..GENERATIONS {
        s.identities[generation] = NOBODY;
        for node in &mut s.nodes {
            node.keys[generation] = Default::default();
        }
    }
}

fn each_generation(s: &mut State, mut visit: impl FnMut(&mut u8)) {
    for lease in
        s.replicas.iter_mut().flat_map(|replica| [&mut replica.lease, &mut replica.reply]).flatten()
    {
        visit(&mut lease.generation);
    }
    s.checks.iter_mut().filter_map(Check::generation_mut).for_each(&mut visit);
    s.writes
        .iter_mut()
        .filter_map(|write| Phase::generation_mut(&mut write.phase))
        .for_each(&mut visit);
}

/// Identities are random numbers, too: they are numbered in the order in which they are met.
fn renumber_identities(s: &mut State) {
    let mut renamed = [NOBODY; 256];
    let mut next = NOBODY + 1;
    let mut visit = |identity: &mut u8| {
        if *identity == NOBODY {
            return;
        }
        let name = &mut renamed[usize::from(*identity)];
        if *name == NOBODY {
            *name = next;
            next += 1;
        }
        *identity = *name;
    };
    s.nodes.iter_mut().for_each(|node| visit(&mut node.identity));
    s.connections.iter_mut().flatten().for_each(|to| visit(&mut to.identity));
    s.identities.iter_mut().for_each(visit);
}
