use std::{collections::BTreeSet, iter};

use identifiers::{Digest, Kind, MatchKey, MatchKeySecret};

/// The versions of the secret that are live: identifiers are stored under one of them, and found
/// under any until they are registered anew.
#[derive(Debug, Clone)]
pub struct Secrets {
    newest: MatchKeySecret,
    /// From new to old.
    older: Vec<MatchKeySecret>,
}

impl Secrets {
    /// Takes the newest version, and those before it.
    pub fn new(newest: MatchKeySecret, mut older: Vec<MatchKeySecret>) -> Self {
        older.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.version()));
        Self { newest, older }
    }

    /// The newest version.
    pub const fn newest(&self) -> u16 {
        self.newest.version()
    }

    /// All of them.
    pub fn versions(&self) -> BTreeSet<u16> {
        self.all().map(MatchKeySecret::version).collect()
    }

    /// The key that the newest version makes.
    pub fn key(&self, kind: Kind, digest: &Digest) -> MatchKey {
        self.newest.match_key(kind, digest)
    }

    /// The keys that the others make, from new to old.
    pub fn older_keys(&self, kind: Kind, digest: &Digest) -> impl Iterator<Item = MatchKey> {
        self.older.iter().map(move |secret| secret.match_key(kind, digest))
    }

    /// The key that each version makes.
    pub fn keys(&self, kind: Kind, digest: &Digest) -> impl Iterator<Item = (u16, MatchKey)> {
        self.all().map(move |secret| (secret.version(), secret.match_key(kind, digest)))
    }

    fn all(&self) -> impl Iterator<Item = &MatchKeySecret> {
        iter::once(&self.newest).chain(&self.older)
    }
}
