//! A whole graph at once: what is derived is derived at the end, once.

use identifiers::MatchKey;

use super::{
    Adjacency, Graph, Neighbours, Ordinal, OwnedKey, Sequence,
    csr::Rows,
    entry::{EDGE, Entry, HELD, HOLDS, entry, flags, person},
    snapshot::Snapshot,
};
use crate::domain::{Settings, Subject};

/// Takes in a store's content in any order, then derives the rest. Connections are best given by
/// person, in the order in which people were named first.
#[derive(Debug, Default)]
pub struct Builder {
    graph: Graph,
    keys: Vec<(Ordinal, OwnedKey)>,
    books: Vec<(Ordinal, Sequence, Vec<MatchKey>)>,
    rows: Rows,
    row: Option<(Ordinal, Vec<Entry>)>,
    /// Rows that came out of order.
    late: Vec<(Ordinal, Vec<Entry>)>,
}

impl Builder {
    /// Begins with the connections of a snapshot.
    pub fn with(snapshot: Snapshot) -> Self {
        let mut graph = Graph::default();
        for (place, name) in snapshot.names().enumerate() {
            // Of a name that comes twice, which only a file has that something else wrote, the second
            // place is nobody's too: rows go by places.
            if name.is_empty() || graph.names.intern(name) as usize != place {
                graph.names.skip();
            }
        }
        graph.connections = Adjacency::new(snapshot.connections);
        Self { graph, ..Self::default() }
    }

    /// As [`Graph::set_consent`].
    pub fn consent(&mut self, subject: &Subject, transfer: i64, suggestions: i64) {
        let person = self.graph.intern(subject);
        self.graph.transfer.set(person, transfer);
        self.graph.suggestions.set(person, suggestions);
    }

    /// As [`Graph::set_revision`].
    pub fn revision(&mut self, subject: &Subject, revision: i64) {
        self.graph.set_revision(subject, revision);
    }

    /// One more key by which a person is found.
    pub fn key(&mut self, subject: &Subject, key: OwnedKey) {
        let person = self.graph.intern(subject);
        self.keys.push((person, key));
    }

    /// As [`Graph::set_book`].
    pub fn book(&mut self, subject: &Subject, synced: Sequence, keys: Vec<MatchKey>) {
        let person = self.graph.intern(subject);
        self.books.push((person, synced, keys));
    }

    /// As [`Graph::set_settings`].
    pub fn settings(&mut self, subject: &Subject, settings: Settings) {
        let person = self.graph.intern(subject);
        self.graph.replace_settings(person, settings);
    }

    /// One direction of a connection; the other comes too. Not after [`Builder::with`].
    pub fn connection(&mut self, subject: &Subject, other: &Subject) {
        let (person, other) = (self.graph.intern(subject), self.graph.intern(other));
        if self.row.as_ref().is_none_or(|(of, _)| *of != person) {
            self.end_row();
            self.row = Some((person, Vec::new()));
        }
        if let Some((_, row)) = &mut self.row {
            row.push(entry(other, EDGE));
        }
    }

    /// Makes room for as many people and connections, each counted from both ends.
    pub fn expect(&mut self, people: usize, entries: usize) {
        self.rows = Rows::with_capacity(people, entries);
    }

    /// All connections of a person who is named here for the first time, by ordinals in ascending
    /// order, those of people not named yet among them. They stand in both rows.
    pub fn row(&mut self, subject: &Subject, others: impl Iterator<Item = Ordinal>) {
        let of = self.graph.intern(subject);
        self.row = Some((of, others.map(|other| entry(other, EDGE)).collect()));
        self.end_row();
    }

    /// A connection that came or went after the snapshot was written.
    pub fn change_connection(&mut self, one: &Subject, other: &Subject, connected: bool) {
        let (one, other) = (self.graph.intern(one), self.graph.intern(other));
        let flags = if connected { EDGE } else { 0 };
        self.graph.connections.set(one, other, flags);
        self.graph.connections.set(other, one, flags);
    }

    /// As [`Graph::set_block`].
    pub fn block(&mut self, subject: &Subject, blocked: &Subject) {
        let (person, blocked) = (self.graph.intern(subject), self.graph.intern(blocked));
        self.graph.blocks.set(person, blocked, true);
    }

    fn end_row(&mut self) {
        let Some((of, mut row)) = self.row.take() else { return };
        row.sort_unstable();
        row.dedup();
        if self.rows.len() > of as usize {
            self.late.push((of, row));
            return;
        }
        while self.rows.len() < of as usize {
            self.rows.push([]);
        }
        self.rows.push(row);
    }

    /// The graph at `now`, in Unix milliseconds.
    pub fn finish(mut self, now: i64) -> Graph {
        self.end_row();
        let Self { mut graph, mut keys, books, rows, late, .. } = self;
        if rows.len() > 0 {
            graph.connections = Adjacency::new(rows.finish());
        }
        for (of, row) in late {
            for entry in row {
                graph.connections.set(of, person(entry), EDGE);
            }
        }
        keys.sort_by_key(|(person, _)| *person);
        for person in keys.chunk_by(|(one, _), (other, _)| one == other) {
            let owned = person.iter().map(|(_, key)| *key).collect();
            graph.keys.set(person[0].0, owned);
        }
        for (person, synced, keys) in books {
            graph.replace_book(person, synced, &keys);
        }
        graph.contacts = Adjacency::new(contacts(&graph).finish());
        graph.transfer.advance(now);
        graph.suggestions.advance(now);
        graph.degrees = degrees(&graph);
        graph
    }
}

/// The rows of contacts that books make.
fn contacts(graph: &Graph) -> Rows {
    let of = |person: Ordinal| graph.books.people(person);
    let mut starts = vec![0_usize; graph.len() + 1];
    for (person, _) in graph.books.iter() {
        for other in of(person) {
            starts[person as usize + 1] += 1;
            starts[other as usize + 1] += 1;
        }
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let (mut all, mut next) = (vec![0; starts[graph.len()]], starts.clone());
    let mut put = |of: Ordinal, entry: Entry| {
        all[next[of as usize]] = entry;
        next[of as usize] += 1;
    };
    for (person, _) in graph.books.iter() {
        for other in of(person) {
            put(person, entry(other, HOLDS));
            put(other, entry(person, HELD));
        }
    }
    let mut rows = Rows::with_capacity(graph.len(), all.len());
    for range in starts.windows(2) {
        let row = &mut all[range[0]..range[1]];
        row.sort_unstable();
        // Who holds and is held stands in it twice.
        let both = row.chunk_by(|one, other| person(*one) == person(*other));
        let merged = both.map(|some| {
            entry(person(some[0]), some.iter().fold(0, |all, entry| all | flags(*entry)))
        });
        rows.push(merged);
    }
    rows
}

fn degrees(graph: &Graph) -> Vec<u32> {
    // As many people as ordinals.
    let people = Ordinal::try_from(graph.len()).unwrap_or(Ordinal::MAX);
    let degree = |of: Ordinal| {
        Neighbours::related(graph, of)
            .fold(0, |count, other| count + u32::from(graph.is_live(other)))
    };
    (0..people).map(degree).collect()
}
