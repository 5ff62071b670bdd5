//! Who knows whom, in memory: adjacency of `u32` ordinals, pure, without I/O.
//!
//! The rest of the service sees [`Graph::neighbours`], [`Graph::degree`], [`Graph::findable`] and
//! what they need around them; a faster engine replaces what is behind.
//!
//! Two people are **adjacent** when both are *live* (their consent to the transfer is in force),
//! neither blocks the other, and they are connected in the app or each holds the other's number
//! while neither is set to be found by nobody. A one-way upload is never an edge, so it moves no
//! degree, no count and no score of anybody else.

mod build;
mod edges;
mod lapse;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use identifiers::MatchKey;

use crate::domain::{Settings, Subject};
pub use build::Builder;
use lapse::Lapses;

/// A person's number within this process. Says nothing outside it.
pub type Ordinal = u32;

/// A position in the store's sequence of changes.
pub type Sequence = i64;

/// The graph as of one position in the store's sequence of changes.
#[derive(Debug, Default)]
pub struct Graph {
    ordinals: HashMap<Subject, Ordinal>,
    people: Vec<Person>,
    owners: HashMap<MatchKey, Vec<Owner>>,
    lapses: Lapses,
}

/// What is known of one person.
#[derive(Debug)]
struct Person {
    subject: Subject,
    /// Until when the consent to the transfer is in force, in Unix milliseconds.
    consent_until: i64,
    /// Whether it is in force at the instant that the graph was last moved to.
    live: bool,
    settings: Settings,
    /// Connected in the app; sorted.
    connections: Vec<Ordinal>,
    /// Whom this person blocks; sorted.
    blocks: Vec<Ordinal>,
    /// Derived from all the rest; sorted.
    adjacent: Vec<Ordinal>,
    keys: Vec<OwnedKey>,
    book: Book,
}

/// By what a person is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnedKey {
    /// The match key.
    pub key: MatchKey,
    /// When it was registered.
    pub since: Sequence,
}

/// Whose a match key is.
#[derive(Debug, Clone, Copy)]
struct Owner {
    person: Ordinal,
    since: Sequence,
}

/// A person's contacts, as of their last sync.
#[derive(Debug, Default)]
struct Book {
    synced: Sequence,
    /// Sorted.
    keys: Vec<MatchKey>,
}

impl Person {
    fn new(subject: Subject) -> Self {
        Self {
            subject,
            consent_until: i64::MIN,
            live: false,
            settings: Settings::default(),
            connections: Vec::new(),
            blocks: Vec::new(),
            adjacent: Vec::new(),
            keys: Vec::new(),
            book: Book::default(),
        }
    }
}

/// How somebody in a person's contacts may be found by that person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// The person holds the other's number, and the other is open to everyone who does.
    OneWay,
    /// Each holds the other's number, and the other allows to be found by that.
    Reciprocal,
}

impl Graph {
    /// How many people have an ordinal: ordinals are below this.
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// The ordinal of a subject, if anything is known of it.
    pub fn ordinal(&self, subject: &Subject) -> Option<Ordinal> {
        self.ordinals.get(subject).copied()
    }

    /// Whose ordinal it is.
    pub fn subject(&self, person: Ordinal) -> &Subject {
        &self.person(person).subject
    }

    /// The people adjacent to a person, in ascending order of ordinal.
    pub fn neighbours(&self, person: Ordinal) -> &[Ordinal] {
        &self.person(person).adjacent
    }

    /// How many they are.
    pub fn degree(&self, person: Ordinal) -> usize {
        self.person(person).adjacent.len()
    }

    /// Whether a person lets others be suggested to each other through them.
    pub fn may_be_mutual(&self, person: Ordinal) -> bool {
        self.person(person).settings.may_be_mutual
    }

    /// Whether the two are connected in the app: they need no suggestion.
    pub fn connected(&self, one: Ordinal, other: Ordinal) -> bool {
        contains(&self.person(one).connections, other)
    }

    /// Whether either blocks the other.
    pub fn blocked(&self, one: Ordinal, other: Ordinal) -> bool {
        contains(&self.person(one).blocks, other) || contains(&self.person(other).blocks, one)
    }

    /// Whether anybody whose consent to the transfer is in force, other than `uploader`, is found
    /// by this key. Always one look-up, hit or miss.
    pub fn is_found(&self, key: &MatchKey, uploader: &Subject) -> bool {
        self.owners.get(key).is_some_and(|owners| {
            owners.iter().any(|owner| {
                let person = self.person(owner.person);
                person.live && person.subject != *uploader
            })
        })
    }

    /// The people who are found by this key.
    pub fn owners(&self, key: &MatchKey) -> impl Iterator<Item = &Subject> {
        let owners = self.owners.get(key).map_or(&[][..], Vec::as_slice);
        owners.iter().map(|owner| self.subject(owner.person))
    }

    /// Whether a key is a contact of the uploader now: somebody else had it when it was uploaded
    /// and has it still.
    pub fn is_contact(&self, uploader: &Subject, key: &MatchKey) -> bool {
        let Some(uploader) = self.ordinal(uploader) else { return false };
        let synced = self.person(uploader).book.synced;
        let owners = self.owners.get(key).map_or(&[][..], Vec::as_slice);
        owners.iter().any(|owner| owner.since <= synced && owner.person != uploader)
    }

    /// The keys of a person's contacts by which somebody was found at the last sync.
    pub fn contact_keys(&self, subject: &Subject) -> &[MatchKey] {
        self.ordinal(subject).map_or(&[], |person| &self.person(person).book.keys)
    }

    /// Those whom a person may find by the numbers they hold; each once, in ascending order.
    ///
    /// Whether somebody holds the person's number shows only where that somebody's setting lets
    /// the person find them: a person set to be found by nobody is never here.
    pub fn findable(&self, person: Ordinal) -> Vec<(Ordinal, Contact)> {
        let held = self.held(person).into_iter();
        held.filter(|other| !self.blocked(person, *other))
            .filter_map(|other| Some((other, self.finds(person, other)?)))
            .collect()
    }
}

/// Membership in a sorted list.
fn contains(sorted: &[Ordinal], person: Ordinal) -> bool {
    sorted.binary_search(&person).is_ok()
}
