use identifiers::{Digest, Kind, MatchKey, MatchKeySecret};

/// The versions of the secret that are live: identifiers are stored under the newest, and found
/// under any of them until they are registered anew.
#[derive(Debug, Clone)]
pub struct Secrets {
    newest: MatchKeySecret,
    /// From new to old.
    older: Vec<MatchKeySecret>,
}

impl Secrets {
    /// Takes the version under which identifiers are stored from now on, and those before it.
    pub fn new(newest: MatchKeySecret, mut older: Vec<MatchKeySecret>) -> Self {
        older.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.version()));
        Self { newest, older }
    }

    /// The version under which identifiers are stored.
    pub const fn version(&self) -> u16 {
        self.newest.version()
    }

    /// How many versions are live.
    pub fn versions(&self) -> usize {
        1 + self.older.len()
    }

    /// The key under which an identifier is stored.
    pub fn key(&self, kind: Kind, digest: &Digest) -> MatchKey {
        self.newest.match_key(kind, digest)
    }

    /// The keys under which it may still be found, from new to old.
    pub fn older_keys(&self, kind: Kind, digest: &Digest) -> impl Iterator<Item = MatchKey> {
        self.older.iter().map(move |secret| secret.match_key(kind, digest))
    }
}
