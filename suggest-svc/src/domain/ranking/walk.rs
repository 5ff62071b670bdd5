//! The first tier: two-hop neighbours and contacts.

use super::{
    Candidate, Evidence, Rank, Ranking, SHORT_LIST, Scratch, Tier, WALKED_AT_MOST, neighbours,
    scratch::Tally,
};
use crate::graph::{Contact, Ordinal};

/// How many rows after the next one a row is asked for.
const READ_AHEAD: usize = 1;

impl Ranking<'_> {
    /// Tallies the two-hop neighbours: the kernel. The mutual connections who count most come
    /// first; one who does not fit into what is left of the budget ends the walk. What is left of
    /// the budget.
    pub(super) fn walk(&self, scratch: &mut Scratch) -> usize {
        let (graph, beta) = (self.graph, self.tuning.beta);
        neighbours(graph, self.viewer).for_each(|person| {
            scratch.is_adjacent(person);
            if self.may_be_between(person) {
                scratch.walked.push((person, graph.degree(person) as u64));
            }
        });
        scratch.walked.sort_unstable_by_key(|(_, degree)| *degree);
        for same in scratch.walked.chunk_by_mut(|(_, one), (_, other)| one == other) {
            same.sort_unstable_by(|(a, _), (b, _)| graph.subject(*a).cmp(graph.subject(*b)));
        }
        let mut left = self.tuning.work_budget;
        let (mut place, mut read) = (0, 0);
        while place < scratch.walked.len().min(WALKED_AT_MOST) {
            let mutual = scratch.walked[place].0;
            let Some(rest) = left.checked_sub(graph.degree(mutual)) else { break };
            left = rest;
            let weight = scratch.weights.of(graph.degree(mutual), beta);
            scratch.walked[place].1 = weight;
            place += 1;
            // On its way from memory while the rows before it are tallied.
            if let Some((later, _)) = scratch.walked.get(place + READ_AHEAD) {
                read ^= graph.read_ahead(*later);
            }
            // At most WALKED_AT_MOST.
            scratch.places[mutual as usize] = u32::try_from(place).unwrap_or(u32::MAX);
            // Whether somebody is live is asked of those who come into question (`may_be_listed`).
            scratch.two_hop.add(graph.neighbours_live_or_not(mutual), Tally::one(weight));
        }
        std::hint::black_box(read);
        scratch.walked.truncate(place);
        left
    }

    /// Contacts, and the best two-hop neighbours, with their scores; the latter as they would be if
    /// nobody were a contact or had been shown too often; and whether that is the same.
    pub(super) fn candidates(
        &self,
        scratch: &mut Scratch,
        at_most: usize,
    ) -> (Vec<Candidate>, Vec<Candidate>, bool) {
        self.short_list(scratch, at_most.saturating_add(1).max(SHORT_LIST));
        let findable = self.graph.findable(self.viewer);
        let is_contact =
            |person: Ordinal| findable.binary_search_by_key(&person, |(one, _)| *one).is_ok();
        let mut candidates = std::mem::take(&mut scratch.candidates);
        let mut alone = std::mem::take(&mut scratch.alone);
        for (person, contact) in &findable {
            if self.is_open(*person) {
                candidates.push(self.candidate(*person, Some(*contact), scratch));
            }
        }
        let mut is_plain = findable.is_empty();
        for (_, person) in &scratch.short {
            let mut candidate = self.candidate(*person, None, scratch);
            alone.push(candidate);
            if !is_contact(*person) {
                let shown_too_often = self.is_shown_too_often(*person, None);
                let score = self.tuning.discounted(candidate.rank.score, shown_too_often);
                candidate.rank.score = score;
                is_plain &= !shown_too_often;
                candidates.push(candidate);
            }
        }
        (candidates, alone, is_plain)
    }

    /// Puts the best by weight into `scratch.short`, in no order. Ties are broken by the subject,
    /// so that whom it leaves out does not depend on the numbering.
    fn short_list(&self, scratch: &mut Scratch, limit: usize) {
        let order = |(one, a): &(u64, Ordinal), (other, b): &(u64, Ordinal)| {
            let names = || self.graph.subject(*a).cmp(self.graph.subject(*b));
            other.cmp(one).then_with(names)
        };
        let Scratch { two_hop, short, places, .. } = scratch;
        let (mut least, min) = (0, self.tuning.min_mutuals);
        for person in two_hop.touched() {
            let tally = two_hop.of(*person);
            if (tally.weights() < least) | (tally.mutuals() < min)
                || !self.may_be_listed(*person, places)
            {
                continue;
            }
            short.push((tally.weights(), *person));
            // Sorted out in bulk: each is moved a bounded number of times.
            if short.len() >= limit.saturating_mul(2) {
                least = short.select_nth_unstable_by(limit - 1, order).1.0;
                short.truncate(limit);
            }
        }
        if short.len() > limit {
            short.select_nth_unstable_by(limit - 1, order);
            short.truncate(limit);
        }
    }

    /// Whether a two-hop neighbour may be suggested.
    fn may_be_listed(&self, person: Ordinal, places: &[u32]) -> bool {
        // Whoever is connected without being adjacent has no neighbours, or is blocked.
        if !Scratch::is_stranger(places[person as usize]) {
            return self.is_open(person);
        }
        person != self.viewer
            && !self.graph.blocked(self.viewer, person)
            && self.graph.is_live(person)
            && self.graph.may_be_suggested(person)
            && !(self.beside.is_hidden)(person)
    }

    /// As if nobody had been shown too often: a contact never was.
    fn candidate(&self, person: Ordinal, contact: Option<Contact>, scratch: &Scratch) -> Candidate {
        let tally = scratch.two_hop.of(person);
        let evidence = Evidence {
            weights: tally.weights(),
            mutuals: tally.mutuals(),
            degree: self.graph.degree(person),
            viewer_degree: self.graph.degree(self.viewer),
        };
        let score = self.tuning.score(contact, &evidence);
        Candidate { person, contact, rank: Rank { tier: Tier::Known, score } }
    }
}
