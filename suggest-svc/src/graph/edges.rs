//! Which pairs are edges, and keeping that true when something about a person changes.

use std::collections::hash_map::Entry;

use identifiers::MatchKey;

use super::{Contact, Graph, Ordinal, OwnedKey, Owner, Person, Sequence, contains};
use crate::domain::{Discoverability, Settings, Subject};

impl Graph {
    /// Sets the people's identifiers, replacing those known before.
    pub fn set_keys(&mut self, subject: &Subject, keys: Vec<OwnedKey>) {
        let Some(person) = self.named(subject, keys.is_empty()) else { return };
        self.replace_keys(person, keys);
        self.relate_all(person);
    }

    /// Sets a person's contacts as of the sync at `synced`. Keys by which nobody is found at that
    /// position are left out: they are padding, or people who are gone.
    pub fn set_book(&mut self, subject: &Subject, synced: Sequence, keys: Vec<MatchKey>) {
        let Some(person) = self.named(subject, keys.is_empty()) else { return };
        self.replace_book(person, synced, keys);
        self.relate_all(person);
    }

    /// Sets a person's settings.
    pub fn set_settings(&mut self, subject: &Subject, settings: Settings) {
        let person = self.intern(subject);
        self.person_mut(person).settings = settings;
        self.relate_all(person);
    }

    /// Records that two people are connected in the app.
    pub fn connect(&mut self, one: &Subject, other: &Subject) {
        let (one, other) = (self.intern(one), self.intern(other));
        insert(&mut self.person_mut(one).connections, other);
        insert(&mut self.person_mut(other).connections, one);
        self.relate(one, other);
    }

    /// Records that they no longer are.
    pub fn disconnect(&mut self, one: &Subject, other: &Subject) {
        let (Some(one), Some(other)) = (self.ordinal(one), self.ordinal(other)) else { return };
        remove(&mut self.person_mut(one).connections, other);
        remove(&mut self.person_mut(other).connections, one);
        self.relate(one, other);
    }

    /// Records that `one` blocks `other`, or no longer does.
    pub fn set_block(&mut self, one: &Subject, other: &Subject, blocks: bool) {
        let (one, other) = (self.named(one, !blocks), self.named(other, !blocks));
        let (Some(one), Some(other)) = (one, other) else { return };
        let list = &mut self.person_mut(one).blocks;
        if blocks {
            insert(list, other);
        } else {
            remove(list, other);
        }
        self.relate(one, other);
    }

    /// Whether `holder` has a number by which `owner` is found, uploaded when it was theirs.
    pub(super) fn holds(&self, holder: Ordinal, owner: Ordinal) -> bool {
        let book = &self.person(holder).book;
        self.person(owner)
            .keys
            .iter()
            .any(|owned| owned.since <= book.synced && book.keys.binary_search(&owned.key).is_ok())
    }

    /// The live people whose number a live person holds; sorted, each once.
    pub(super) fn held(&self, person: Ordinal) -> Vec<Ordinal> {
        let holder = self.person(person);
        if !holder.live {
            return Vec::new();
        }
        let owners = holder.book.keys.iter().filter_map(|key| self.owners.get(key)).flatten();
        let mut held: Vec<Ordinal> = owners
            .filter(|owner| owner.since <= holder.book.synced && owner.person != person)
            .map(|owner| owner.person)
            .filter(|other| self.person(*other).live)
            .collect();
        held.sort_unstable();
        held.dedup();
        held
    }

    /// How a person who holds `other`'s number may find them by it.
    pub(super) fn finds(&self, person: Ordinal, other: Ordinal) -> Option<Contact> {
        let discoverability = self.person(other).settings.discoverability;
        match (discoverability, self.holds(other, person)) {
            (Discoverability::Nobody, _) | (Discoverability::Reciprocal, false) => None,
            (Discoverability::Everyone, false) => Some(Contact::OneWay),
            (_, true) => Some(Contact::Reciprocal),
        }
    }

    fn edge(&self, one: Ordinal, other: Ordinal) -> bool {
        let (first, second) = (self.person(one), self.person(other));
        let opaque = |person: &Person| person.settings.discoverability == Discoverability::Nobody;
        one != other
            && first.live
            && second.live
            && !self.blocked(one, other)
            && (contains(&first.connections, other)
                || (!opaque(first)
                    && !opaque(second)
                    && self.holds(one, other)
                    && self.holds(other, one)))
    }

    /// Makes the adjacency of a pair what it should be.
    fn relate(&mut self, one: Ordinal, other: Ordinal) {
        let change = if self.edge(one, other) { insert } else { remove };
        change(&mut self.person_mut(one).adjacent, other);
        change(&mut self.person_mut(other).adjacent, one);
    }

    /// The same for every pair that a change in this person can touch.
    pub(super) fn relate_all(&mut self, person: Ordinal) {
        let mut others = self.person(person).adjacent.clone();
        others.extend_from_slice(&self.person(person).connections);
        others.extend(self.held(person));
        others.sort_unstable();
        others.dedup();
        for other in others {
            self.relate(person, other);
        }
    }

    /// The adjacency of one person from scratch, for a graph that is being built.
    pub(super) fn derive(&self, person: Ordinal) -> Vec<Ordinal> {
        let mut adjacent = self.person(person).connections.clone();
        adjacent.extend(self.held(person));
        adjacent.sort_unstable();
        adjacent.dedup();
        adjacent.retain(|other| self.edge(person, *other));
        adjacent.shrink_to_fit();
        adjacent
    }

    pub(super) fn replace_keys(&mut self, person: Ordinal, keys: Vec<OwnedKey>) {
        let before = std::mem::replace(&mut self.person_mut(person).keys, keys.clone());
        for gone in before {
            if let Entry::Occupied(mut owners) = self.owners.entry(gone.key) {
                owners.get_mut().retain(|owner| owner.person != person);
                if owners.get().is_empty() {
                    owners.remove();
                }
            }
        }
        for OwnedKey { key, since } in keys {
            self.owners.entry(key).or_default().push(Owner { person, since });
        }
    }

    pub(super) fn replace_book(
        &mut self,
        person: Ordinal,
        synced: Sequence,
        mut keys: Vec<MatchKey>,
    ) {
        keys.retain(|key| {
            let owners = self.owners.get(key).map_or(&[][..], Vec::as_slice);
            owners.iter().any(|owner| owner.since <= synced && owner.person != person)
        });
        keys.sort_unstable();
        keys.dedup();
        keys.shrink_to_fit();
        let book = &mut self.person_mut(person).book;
        book.synced = synced;
        book.keys = keys;
    }

    /// The ordinal of a subject. One that has none gets none for being told that there is nothing.
    pub(super) fn named(&mut self, subject: &Subject, is_nothing: bool) -> Option<Ordinal> {
        if is_nothing { self.ordinal(subject) } else { Some(self.intern(subject)) }
    }

    /// The ordinal of a subject, given now if it has none.
    pub(super) fn intern(&mut self, subject: &Subject) -> Ordinal {
        if let Some(known) = self.ordinals.get(subject) {
            return *known;
        }
        // As many people as ordinals: 4 thousand million do not fit in memory.
        let ordinal = Ordinal::try_from(self.people.len()).unwrap_or(Ordinal::MAX);
        self.people.push(Person::new(subject.clone()));
        self.ordinals.insert(subject.clone(), ordinal);
        ordinal
    }

    pub(super) fn person(&self, ordinal: Ordinal) -> &Person {
        &self.people[ordinal as usize]
    }

    pub(super) fn person_mut(&mut self, ordinal: Ordinal) -> &mut Person {
        &mut self.people[ordinal as usize]
    }
}

pub(super) fn insert(sorted: &mut Vec<Ordinal>, person: Ordinal) {
    if let Err(place) = sorted.binary_search(&person) {
        sorted.insert(place, person);
    }
}

fn remove(sorted: &mut Vec<Ordinal>, person: Ordinal) {
    if let Ok(place) = sorted.binary_search(&person) {
        sorted.remove(place);
    }
}
