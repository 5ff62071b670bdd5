//! Who knows whom, in memory: the engine that rankings walk. Pure: no I/O but a snapshot's, no clock.
//!
//! Two people are *adjacent* when both are *live* (their consent to the transfer is in force),
//! neither blocks the other, and they are connected in the app or each holds the other's number
//! while neither is set to be found by nobody. A one-way upload is never an edge, so it moves no
//! degree, no count and no score of anybody else.
//!
//! ```text
//! connections   rows of who is connected in the app: mapped from a snapshot, changed rows in front
//! contacts      rows of who holds whose number, with one-way entries on both sides
//! bits          who is live, may be suggested, is found by nobody, may be mutual, has to do with blocks
//! ```
//!
//! What is adjacent is decided while rows are read, by the bits: so somebody's withdrawal, lapse,
//! setting or block needs no row rebuilt. Only degrees are kept, as the number of live neighbours.

mod adjacency;
mod bits;
mod blocks;
mod books;
mod build;
mod consents;
mod csr;
mod edges;
mod entry;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod keys;
mod names;
mod neighbours;
mod signals;
mod snapshot;
#[cfg(test)]
mod tests;

use identifiers::MatchKey;

use crate::domain::{Discoverability, Settings, Subject};
use adjacency::Adjacency;
use bits::Bits;
use blocks::Blocks;
use books::{Books, Held};
pub use build::Builder;
use consents::Consents;
use entry::{EDGE, HELD, HOLDS, flags, person};
use keys::Keys;
use names::Names;
pub use neighbours::Neighbours;
pub use signals::Sample;
pub use snapshot::{Mark, Merged, Merging, Naming, Position, Snapshot, SnapshotError};

/// A person's number within this process. Says nothing outside it.
pub type Ordinal = u32;

/// A position in the store's sequence of changes.
pub type Sequence = i64;

/// The graph as of one position in the store's sequence of changes.
#[derive(Debug, Default)]
pub struct Graph {
    names: Names,
    /// Consent to the transfer.
    transfer: Consents,
    /// Consent to being suggested and to suggestions, as last heard.
    suggestions: Consents,
    /// By ordinal: as of which revision of a person's consents.
    revisions: Vec<i64>,
    keys: Keys,
    books: Books,
    blocks: Blocks,
    connections: Adjacency,
    contacts: Adjacency,
    /// By ordinal: how many live people are neighbours, whether or not the person is live.
    degrees: Vec<u32>,
    /// Who is found by nobody.
    opaque: Bits,
    /// Who is found by everyone who holds their number.
    open: Bits,
    /// Who does not let others be suggested to each other through them.
    private: Bits,
}

/// By what a person is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnedKey {
    /// The match key.
    pub key: MatchKey,
    /// When it was registered.
    pub since: Sequence,
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
        self.names.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ordinal of a subject, if anything is known of it.
    pub fn ordinal(&self, subject: &Subject) -> Option<Ordinal> {
        self.names.ordinal(subject.as_str())
    }

    /// Whose ordinal it is.
    #[inline]
    pub fn subject(&self, person: Ordinal) -> &str {
        self.names.name(person)
    }

    /// The people adjacent to a person, in ascending order of ordinal.
    #[inline]
    pub fn neighbours(&self, person: Ordinal) -> Neighbours<'_> {
        Neighbours::of(self, person)
    }

    /// The same, and those who would be adjacent if they were live: for who asks later about the few
    /// that matter, which takes less than asking about each of many.
    #[inline]
    pub fn neighbours_live_or_not(&self, person: Ordinal) -> Neighbours<'_> {
        Neighbours::related(self, person)
    }

    /// Reads a number of every 64 bytes of a person's connections and gives what means nothing: they
    /// are at hand afterwards.
    #[inline]
    pub fn read_ahead(&self, person: Ordinal) -> u32 {
        self.connections.touch(person)
    }

    /// How many they are.
    #[inline]
    pub fn degree(&self, person: Ordinal) -> usize {
        if !self.is_live(person) {
            return 0;
        }
        self.degrees.get(person as usize).map_or(0, |degree| *degree as usize)
    }

    /// Whether the two are adjacent.
    pub fn adjacent(&self, one: Ordinal, other: Ordinal) -> bool {
        self.is_live(one) && self.is_live(other) && self.related(one, other)
    }

    /// Whether a person's consent to the transfer is in force.
    #[inline]
    pub fn is_live(&self, person: Ordinal) -> bool {
        self.transfer.has(person)
    }

    /// Until when a person's consent to the transfer is in force, in Unix milliseconds, and as of
    /// which revision of their consents; nothing where none is known.
    pub fn standing(&self, person: Ordinal) -> Option<(i64, i64)> {
        let revision = self.revisions.get(person as usize)?;
        Some((self.transfer.until(person), *revision))
    }

    /// Whether a person agrees to suggestions, as last heard: who is shown or named is asked about
    /// strictly in any case.
    #[inline]
    pub fn may_be_suggested(&self, person: Ordinal) -> bool {
        self.suggestions.has(person)
    }

    /// Whether a person lets others be suggested to each other through them.
    #[inline]
    pub fn may_be_mutual(&self, person: Ordinal) -> bool {
        !self.private.has(person)
    }

    /// Whether the two are connected in the app: they need no suggestion.
    pub fn connected(&self, one: Ordinal, other: Ordinal) -> bool {
        self.connections.flags(one, other) == EDGE
    }

    /// Whether either blocks the other.
    #[inline]
    pub fn blocked(&self, one: Ordinal, other: Ordinal) -> bool {
        self.blocks.between(one, other)
    }

    /// Whether anybody whose consent to the transfer is in force, other than `uploader`, is found
    /// by this key. Always one look-up, hit or miss.
    pub fn is_found(&self, key: &MatchKey, uploader: &Subject) -> bool {
        self.keys.owners(key).any(|owner| {
            self.is_live(owner.person) && self.subject(owner.person) != uploader.as_str()
        })
    }

    /// The people who are found by this key.
    pub fn owners(&self, key: &MatchKey) -> impl Iterator<Item = &str> {
        self.keys.owners(key).map(|owner| self.subject(owner.person))
    }

    /// Whether a key is a contact of the uploader now: somebody else had it when it was uploaded
    /// and has it still.
    pub fn is_contact(&self, uploader: &Subject, key: &MatchKey) -> bool {
        let Some(uploader) = self.ordinal(uploader) else { return false };
        self.keys.owners(key).any(|owner| self.books.has(uploader, Held::new(owner.person, key)))
    }

    /// Those whom a person may find by the numbers they hold; each once, in ascending order.
    ///
    /// Whether somebody holds the person's number shows only where that somebody's setting lets
    /// the person find them: a person set to be found by nobody is never here.
    pub fn findable(&self, of: Ordinal) -> Vec<(Ordinal, Contact)> {
        if !self.is_live(of) {
            return Vec::new();
        }
        let found = |entry: &u32| {
            let (other, flags) = (person(*entry), flags(*entry));
            if flags & HOLDS == 0
                || !self.is_live(other)
                || self.opaque.has(other)
                || self.blocked(of, other)
            {
                return None;
            }
            if flags & HELD != 0 {
                return Some((other, Contact::Reciprocal));
            }
            self.open.has(other).then_some((other, Contact::OneWay))
        };
        self.contacts.row(of).iter().filter_map(found).collect()
    }

    /// Whether anybody's consent may have ended by this instant, so that [`Graph::advance`] would
    /// change something.
    pub fn lapses_by(&self, now: i64) -> bool {
        self.transfer.lapses_by(now) || self.suggestions.lapses_by(now)
    }

    /// Bytes in memory or mapped, about.
    pub fn bytes(&self) -> usize {
        self.names.bytes()
            + self.transfer.bytes()
            + self.suggestions.bytes()
            + self.keys.bytes()
            + self.books.bytes()
            + self.connections.bytes()
            + self.contacts.bytes()
            + 4 * self.degrees.capacity()
    }

    /// A person's settings.
    pub fn settings(&self, person: Ordinal) -> Settings {
        let discoverability = if self.opaque.has(person) {
            Discoverability::Nobody
        } else if self.open.has(person) {
            Discoverability::Everyone
        } else {
            Discoverability::Reciprocal
        };
        Settings { discoverability, may_be_mutual: self.may_be_mutual(person) }
    }

    /// Whether nothing is left of a person but an ordinal.
    fn is_gone(&self, person: Ordinal) -> bool {
        self.transfer.until(person) == i64::MIN
            && self.connections.row(person).is_empty()
            && self.contacts.row(person).is_empty()
            && self.keys.of(person).is_empty()
            && self.books.of(person).is_empty()
            && !self.blocks.involve(person)
            && self.settings(person) == Settings::default()
    }

    /// Whether two people would be adjacent if both were live.
    fn related(&self, one: Ordinal, other: Ordinal) -> bool {
        one != other
            && !self.blocked(one, other)
            && (self.connected(one, other) || self.by_contacts(one, other))
    }

    /// Whether each holds the other's number, and neither is found by nobody.
    fn by_contacts(&self, one: Ordinal, other: Ordinal) -> bool {
        self.contacts.flags(one, other) == EDGE && !self.opaque.has(one) && !self.opaque.has(other)
    }
}
