//! Reading who is adjacent: one row of connections and one of contacts, merged.

use std::iter::FusedIterator;

use super::{
    Graph, Ordinal,
    entry::{EDGE, Entry, flags, person},
};

/// The people adjacent to somebody, in ascending order of ordinal.
#[derive(Debug, Clone)]
pub struct Neighbours<'g> {
    graph: &'g Graph,
    of: Ordinal,
    connections: &'g [Entry],
    contacts: &'g [Entry],
    /// Whether those who are not live are left out.
    only_live: bool,
    blocks: bool,
}

impl<'g> Neighbours<'g> {
    /// Those of a live person; of others there are none.
    #[inline]
    pub(super) fn of(graph: &'g Graph, of: Ordinal) -> Self {
        if graph.is_live(of) {
            Self { only_live: true, ..Self::related(graph, of) }
        } else {
            let (connections, contacts): (&[_], &[_]) = (&[], &[]);
            Self { graph, of, connections, contacts, only_live: true, blocks: false }
        }
    }

    /// All who would be adjacent if everybody were live.
    #[inline]
    pub(super) fn related(graph: &'g Graph, of: Ordinal) -> Self {
        let contacts: &[_] = if graph.opaque.has(of) { &[] } else { graph.contacts.row(of) };
        let connections = graph.connections.row(of);
        let blocks = graph.blocks.involve(of);
        Self { graph, of, connections, contacts, only_live: false, blocks }
    }

    #[inline]
    fn counts(&self, other: Ordinal) -> bool {
        (!self.only_live || self.graph.is_live(other))
            && !(self.blocks && self.graph.blocked(self.of, other))
    }

    /// The next contact that is an edge. Its connection is taken with it.
    fn next_contact(&mut self) -> Option<Ordinal> {
        loop {
            let first = *self.contacts.first()?;
            if flags(first) == EDGE && !self.graph.opaque.has(person(first)) {
                return Some(person(first));
            }
            self.contacts = &self.contacts[1..];
        }
    }
}

impl Iterator for Neighbours<'_> {
    type Item = Ordinal;

    #[inline]
    fn next(&mut self) -> Option<Ordinal> {
        loop {
            let connected = self.connections.first().map(|entry| person(*entry));
            let next = match (connected, self.next_contact()) {
                (None, None) => return None,
                (Some(one), None) => {
                    self.connections = &self.connections[1..];
                    one
                }
                (None, Some(other)) => {
                    self.contacts = &self.contacts[1..];
                    other
                }
                (Some(one), Some(other)) => {
                    if one <= other {
                        self.connections = &self.connections[1..];
                    }
                    if other <= one {
                        self.contacts = &self.contacts[1..];
                    }
                    one.min(other)
                }
            };
            if self.counts(next) {
                return Some(next);
            }
        }
    }

    /// Where there are no contacts and no blocks, a plain loop over one slice.
    #[inline]
    fn fold<B, F: FnMut(B, Ordinal) -> B>(mut self, init: B, mut f: F) -> B {
        let mut folded = init;
        // As most rows are.
        if self.next_contact().is_none() && !self.blocks {
            let connected = self.connections.iter().map(|entry| person(*entry));
            if !self.only_live {
                return connected.fold(folded, f);
            }
            let is_live = self.graph.transfer.reading();
            return connected.filter(|other| is_live(*other)).fold(folded, f);
        }
        for next in self {
            folded = f(folded, next);
        }
        folded
    }
}

impl FusedIterator for Neighbours<'_> {}
