//! Changing the graph. Rows and bits are set; degrees follow.

use identifiers::MatchKey;

use super::{
    Graph, Held, Neighbours, Ordinal, OwnedKey, Sequence,
    entry::{EDGE, HELD, HOLDS, person},
};
use crate::domain::{Discoverability, Settings, Subject};

impl Graph {
    /// Sets until when a person's consent to the transfer and to suggestions is in force, in Unix
    /// milliseconds; `i64::MAX`: until it is withdrawn; `i64::MIN`: not at all.
    pub fn set_consent(&mut self, subject: &Subject, transfer: i64, suggestions: i64) {
        let is_nothing = transfer == i64::MIN && suggestions == i64::MIN;
        let Some(person) = self.named(subject, is_nothing) else { return };
        let before = self.is_live(person);
        let now = self.transfer.set(person, transfer);
        self.suggestions.set(person, suggestions);
        if before != now {
            self.count_for_others(person, now);
        }
    }

    /// Sets as of which revision of the person's consents that is.
    pub fn set_revision(&mut self, subject: &Subject, revision: i64) {
        let Some(person) = self.ordinal(subject) else { return };
        let person = person as usize;
        if person >= self.revisions.len() {
            self.revisions.resize(person + 1, 0);
        }
        self.revisions[person] = revision;
    }

    /// Moves the graph to this instant: whose consent has ended by it counts no more.
    pub fn advance(&mut self, now: i64) {
        for person in self.transfer.advance(now) {
            self.count_for_others(person, false);
        }
        self.suggestions.advance(now);
    }

    /// Sets the person's identifiers, replacing those known before. Whoever held one that is theirs
    /// no longer, or anew, does not hold it any more.
    pub fn set_keys(&mut self, subject: &Subject, keys: Vec<OwnedKey>) {
        let Some(person) = self.named(subject, keys.is_empty()) else { return };
        let gone = self.keys.set(person, keys);
        if gone.is_empty() {
            return;
        }
        let gone: Vec<Held> = gone.iter().map(|key| Held::new(person, key)).collect();
        for holder in self.with_flag(person, HELD) {
            self.books.take_out(holder, &gone);
            if !self.books.holds(holder, person) {
                self.set_holds(holder, person, false);
            }
        }
    }

    /// Sets a person's contacts as of the sync at `synced`. Keys by which nobody was found at that
    /// position are left out: they are padding, or people who are gone.
    pub fn set_book(&mut self, subject: &Subject, synced: Sequence, keys: &[MatchKey]) {
        let Some(person) = self.named(subject, keys.is_empty()) else { return };
        let before = self.books.people(person);
        self.replace_book(person, synced, keys);
        let after = self.books.people(person);
        for gone in before.iter().filter(|other| after.binary_search(other).is_err()) {
            self.set_holds(person, *gone, false);
        }
        for new in after.iter().filter(|other| before.binary_search(other).is_err()) {
            self.set_holds(person, *new, true);
        }
    }

    /// Sets a person's settings.
    pub fn set_settings(&mut self, subject: &Subject, settings: Settings) {
        let person = self.intern(subject);
        let opaque = settings.discoverability == Discoverability::Nobody;
        if self.opaque.has(person) == opaque {
            self.replace_settings(person, settings);
            return;
        }
        // Edges by contacts come or go.
        let others = self.with_flag(person, EDGE);
        let before: Vec<bool> = others.iter().map(|other| self.related(person, *other)).collect();
        self.replace_settings(person, settings);
        for (other, before) in others.into_iter().zip(before) {
            self.count(person, other, before);
        }
    }

    /// Records that two people are connected in the app.
    pub fn connect(&mut self, one: &Subject, other: &Subject) {
        let (one, other) = (self.intern(one), self.intern(other));
        self.set_connected(one, other, EDGE);
    }

    /// Records of many pairs whether they are connected now. Most of the time goes into waiting for
    /// memory, so it is waited for many at a time: first whose ordinals they are, all of them; then
    /// some rows, before any of these is changed.
    pub fn change_connections(&mut self, changes: &[(Subject, Subject, bool)]) {
        let mut pairs = Vec::with_capacity(changes.len());
        for (one, other, connected) in changes {
            let named = [one, other].map(|subject| self.named(subject, !connected));
            if let [Some(one), Some(other)] = named {
                pairs.push((one, other, if *connected { EDGE } else { 0 }));
            }
        }
        for some in pairs.chunks(8) {
            let rows = some.iter().flat_map(|(one, other, _)| [*one, *other]);
            std::hint::black_box(rows.fold(0, |all, of| all ^ self.connections.touch(of)));
            for (one, other, flags) in some {
                self.set_connected(*one, *other, *flags);
            }
        }
    }

    /// Records that they no longer are.
    pub fn disconnect(&mut self, one: &Subject, other: &Subject) {
        let (Some(one), Some(other)) = (self.ordinal(one), self.ordinal(other)) else { return };
        self.set_connected(one, other, 0);
    }

    /// Records that `one` blocks `other`, or no longer does.
    pub fn set_block(&mut self, one: &Subject, other: &Subject, blocks: bool) {
        let (one, other) = (self.named(one, !blocks), self.named(other, !blocks));
        let (Some(one), Some(other)) = (one, other) else { return };
        let before = self.related(one, other);
        self.blocks.set(one, other, blocks);
        self.count(one, other, before);
    }

    /// As [`Graph::connect`] with ordinals.
    pub(super) fn set_connected(&mut self, one: Ordinal, other: Ordinal, flags: u32) {
        if one == other {
            return;
        }
        let before = self.connections.set(one, other, flags);
        if before == flags {
            return;
        }
        self.connections.set(other, one, flags);
        // Neither a block nor a contact has changed.
        if !self.blocked(one, other) && !self.by_contacts(one, other) {
            self.step(one, other, flags == EDGE);
        }
    }

    /// Sets whether one holds the other's number.
    fn set_holds(&mut self, holder: Ordinal, owner: Ordinal, holds: bool) {
        let before = self.related(holder, owner);
        let with = |flags: u32, flag: u32| if holds { flags | flag } else { flags & !flag };
        let flags = self.contacts.flags(holder, owner);
        self.contacts.set(holder, owner, with(flags, HOLDS));
        let flags = self.contacts.flags(owner, holder);
        self.contacts.set(owner, holder, with(flags, HELD));
        self.count(holder, owner, before);
    }

    /// Those in a person's row of contacts with all these flags.
    fn with_flag(&self, of: Ordinal, flags: u32) -> Vec<Ordinal> {
        let row = self.contacts.row(of).iter();
        row.filter(|entry| super::flags(**entry) & flags == flags).map(|e| person(*e)).collect()
    }

    /// The degrees of a pair, when it may have become related or ceased to be.
    fn count(&mut self, one: Ordinal, other: Ordinal, before: bool) {
        let now = self.related(one, other);
        if now != before {
            self.step(one, other, now);
        }
    }

    fn step(&mut self, one: Ordinal, other: Ordinal, up: bool) {
        for (of, by) in [(one, other), (other, one)] {
            if self.is_live(by) {
                self.step_one(of, up);
            }
        }
    }

    fn step_one(&mut self, of: Ordinal, up: bool) {
        let of = of as usize;
        if of >= self.degrees.len() {
            self.degrees.resize(of + 1, 0);
        }
        let degree = &mut self.degrees[of];
        *degree = if up { *degree + 1 } else { degree.saturating_sub(1) };
    }

    /// A person has become live, or ceased to be.
    fn count_for_others(&mut self, person: Ordinal, live: bool) {
        let others: Vec<Ordinal> = Neighbours::related(self, person).collect();
        for other in others {
            self.step_one(other, live);
        }
    }

    pub(super) fn replace_settings(&mut self, person: Ordinal, settings: Settings) {
        self.opaque.set(person, settings.discoverability == Discoverability::Nobody);
        self.open.set(person, settings.discoverability == Discoverability::Everyone);
        self.private.set(person, !settings.may_be_mutual);
    }

    /// Sets a book; gives nothing to rows.
    pub(super) fn replace_book(&mut self, of: Ordinal, synced: Sequence, keys: &[MatchKey]) {
        let mut book = Vec::new();
        for key in keys {
            let owners = self.keys.owners(key);
            let others = owners.filter(|owner| owner.since <= synced && owner.person != of);
            book.extend(others.map(|owner| Held::new(owner.person, key)));
        }
        self.books.set(of, book);
    }

    /// The ordinal of a subject. One that has none gets none for being told that there is nothing.
    fn named(&mut self, subject: &Subject, is_nothing: bool) -> Option<Ordinal> {
        if is_nothing { self.ordinal(subject) } else { Some(self.intern(subject)) }
    }

    pub(super) fn intern(&mut self, subject: &Subject) -> Ordinal {
        self.names.intern(subject.as_str())
    }
}
