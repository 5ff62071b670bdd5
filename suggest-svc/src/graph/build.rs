//! A whole graph at once: what is derived is derived at the end, once.

use identifiers::MatchKey;

use super::{Graph, Ordinal, OwnedKey, Sequence};
use crate::domain::{Settings, Subject};

/// Takes in a store's content in any order, then derives the adjacency.
#[derive(Debug, Default)]
pub struct Builder {
    graph: Graph,
    books: Vec<(Ordinal, Sequence, Vec<MatchKey>)>,
}

impl Builder {
    /// As [`Graph::set_consent`].
    pub fn consent(&mut self, subject: &Subject, until: i64) {
        let person = self.graph.intern(subject);
        self.graph.replace_consent(person, until);
    }

    /// As [`Graph::set_suggestible`].
    pub fn suggestible(&mut self, subject: &Subject, until: i64) {
        let person = self.graph.intern(subject);
        self.graph.person_mut(person).suggest_until = until;
    }

    /// One more key by which a person is found.
    pub fn key(&mut self, subject: &Subject, key: OwnedKey) {
        let person = self.graph.intern(subject);
        self.graph
            .owners
            .entry(key.key)
            .or_default()
            .push(super::Owner { person, since: key.since });
        self.graph.person_mut(person).keys.push(key);
    }

    /// As [`Graph::set_book`].
    pub fn book(&mut self, subject: &Subject, synced: Sequence, keys: Vec<MatchKey>) {
        let person = self.graph.intern(subject);
        self.books.push((person, synced, keys));
    }

    /// As [`Graph::set_settings`].
    pub fn settings(&mut self, subject: &Subject, settings: Settings) {
        let person = self.graph.intern(subject);
        self.graph.person_mut(person).settings = settings;
    }

    /// One direction of a connection; the other comes too.
    pub fn connection(&mut self, subject: &Subject, other: &Subject) {
        let (person, other) = (self.graph.intern(subject), self.graph.intern(other));
        self.graph.person_mut(person).connections.push(other);
    }

    /// As [`Graph::set_block`].
    pub fn block(&mut self, subject: &Subject, blocked: &Subject) {
        let (person, blocked) = (self.graph.intern(subject), self.graph.intern(blocked));
        self.graph.person_mut(person).blocks.push(blocked);
    }

    /// The graph at `now`, in Unix milliseconds.
    pub fn finish(self, now: i64) -> Graph {
        let Self { mut graph, books } = self;
        for person in &mut graph.people {
            for list in [&mut person.connections, &mut person.blocks] {
                list.sort_unstable();
                list.dedup();
                list.shrink_to_fit();
            }
        }
        for (person, synced, keys) in books {
            graph.replace_book(person, synced, keys);
        }
        graph.advance(now);
        for person in 0..graph.people.len() {
            // Unwrap-free: every index was given out as an ordinal.
            let ordinal = Ordinal::try_from(person).unwrap_or(Ordinal::MAX);
            graph.people[person].adjacent = graph.derive(ordinal);
        }
        graph
    }
}
