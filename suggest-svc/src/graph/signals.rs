//! What is counted of an account's place in the graph, for the spam score.

use super::{Graph, HELD, HOLDS, Ordinal, flags, person};
use crate::domain::Subject;

/// Some of a list, evenly taken from it, and how long it is.
#[derive(Debug)]
pub struct Sample<T> {
    /// Those taken.
    pub some: Vec<T>,
    /// How many there are.
    pub total: usize,
}

impl<T> Default for Sample<T> {
    fn default() -> Self {
        Self { some: Vec::new(), total: 0 }
    }
}

impl Graph {
    /// The live people whose number a live person has, and whether they have that person's; at
    /// most so many.
    pub fn sample_contacts(&self, of: Ordinal, at_most: usize) -> Sample<(Subject, bool)> {
        if !self.is_live(of) {
            return Sample::default();
        }
        let row = self.contacts.row(of).iter();
        let held = row.filter(|entry| flags(**entry) & HOLDS != 0 && self.is_live(person(**entry)));
        let held: Vec<_> = held.collect();
        let some = spread(held.len(), at_most).map(|place| {
            let entry = *held[place];
            (self.subject(person(entry)).into(), flags(entry) & HELD != 0)
        });
        Sample { some: some.collect(), total: held.len() }
    }

    /// The people adjacent to a person; at most so many.
    pub fn sample_neighbours(&self, of: Ordinal, at_most: usize) -> Sample<Subject> {
        let all: Vec<Ordinal> = self.neighbours(of).collect();
        let some = spread(all.len(), at_most).map(|place| self.subject(all[place]).into());
        Sample { some: some.collect(), total: all.len() }
    }
}

/// At most `at_most` places of `total`, in equal steps.
fn spread(total: usize, at_most: usize) -> impl Iterator<Item = usize> {
    (0..total).step_by(total.div_ceil(at_most.max(1)).max(1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use identifiers::MatchKey;

    use super::*;
    use crate::graph::OwnedKey;

    #[test]
    fn contacts_are_counted_with_whether_they_are_returned() {
        let mut graph = Graph::default();
        let name = |n: u8| Subject::from(format!("p{n}"));
        let key = |n: u8| MatchKey::from_bytes([n; 16]);
        for n in 0..10 {
            graph.set_consent(&name(n), i64::MAX, i64::MAX);
            graph.set_keys(&name(n), vec![OwnedKey { key: key(n), since: 1 }]);
        }
        graph.set_book(&name(0), 2, &(1..8).map(key).collect::<Vec<_>>());
        graph.set_book(&name(1), 2, &[key(0)]);
        // One who has the number and whose own is not in the book is no contact.
        graph.set_book(&name(9), 2, &[key(0)]);
        graph.connect(&name(0), &name(8));
        let zero = graph.ordinal(&name(0)).unwrap();
        let contacts = graph.sample_contacts(zero, 100);
        assert_eq!((contacts.some.len(), contacts.total), (7, 7));
        let returned: Vec<_> = contacts.some.iter().filter(|(_, returned)| *returned).collect();
        assert_eq!(returned, [&(name(1), true)]);
        assert_eq!(graph.sample_neighbours(zero, 100).some, [name(1), name(8)]);
        let few = graph.sample_contacts(zero, 3);
        assert_eq!((few.some.len(), few.total), (3, 7));
        graph.set_consent(&name(7), i64::MIN, i64::MIN);
        assert_eq!(graph.sample_contacts(zero, 100).total, 6);
    }
}
