//! From one version of the secret to the next, while replicas with different ones run.

use std::collections::{BTreeMap, BTreeSet};

/// Which versions the replicas that run are configured with, one set for each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Running(Vec<BTreeSet<u16>>);

/// What a version is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionState {
    /// Used as soon as every replica has it.
    Next,
    /// Whoever is registered now is keyed under it.
    Current,
    /// People are found under it still.
    Older,
    /// No replica has it.
    Unconfigured,
}

/// How far it has come with one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionStanding {
    /// Its number.
    pub version: u16,
    /// What it is used for.
    pub state: VersionState,
    /// How many people are keyed under it.
    pub people: u64,
    /// How many replicas have it.
    pub replicas: usize,
}

impl Running {
    /// Takes the versions of each replica.
    pub fn new(replicas: impl IntoIterator<Item = BTreeSet<u16>>) -> Self {
        Self(replicas.into_iter().collect())
    }

    /// How many replicas there are.
    pub fn replicas(&self) -> usize {
        self.0.len()
    }

    /// How many have a version.
    pub fn having(&self, version: u16) -> usize {
        self.0.iter().filter(|versions| versions.contains(&version)).count()
    }

    /// The newest version that every replica has. Whoever were keyed under a newer one would not be
    /// found by lists that come to a replica without it.
    pub fn common(&self) -> Option<u16> {
        let (first, others) = self.0.split_first()?;
        let by_all = |version: &&u16| others.iter().all(|versions| versions.contains(version));
        first.iter().rev().find(by_all).copied()
    }

    /// Every version that a replica has or under which people are keyed, from new to old. `people`
    /// says how many there are under each.
    pub fn standings(&self, people: &BTreeMap<u16, u64>) -> Vec<VersionStanding> {
        let keyed = people.iter().filter(|(_, people)| **people > 0).map(|(version, _)| *version);
        let versions: BTreeSet<u16> = self.0.iter().flatten().copied().chain(keyed).collect();
        let current = self.common();
        let standing = |version: u16| {
            let replicas = self.having(version);
            let state = match current {
                _ if replicas == 0 => VersionState::Unconfigured,
                Some(current) if version == current => VersionState::Current,
                Some(current) if version < current => VersionState::Older,
                _ => VersionState::Next,
            };
            let people = people.get(&version).copied().unwrap_or(0);
            VersionStanding { version, state, people, replicas }
        };
        versions.into_iter().rev().map(standing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(replicas: &[&[u16]]) -> Running {
        Running::new(replicas.iter().map(|versions| versions.iter().copied().collect()))
    }

    #[test]
    fn people_are_keyed_under_the_newest_version_that_every_replica_has() {
        for (replicas, common) in [
            (&[&[1][..]][..], Some(1)),
            (&[&[1], &[1, 2]], Some(1)),
            (&[&[1, 2], &[1, 2]], Some(2)),
            (&[&[1, 2], &[2]], Some(2)),
            (&[&[1, 3], &[2]], None),
            (&[], None),
        ] {
            assert_eq!(running(replicas).common(), common, "{replicas:?}");
        }
    }

    #[test]
    fn standings_tell_a_rotation_step_by_step() {
        use VersionState::{Current, Next, Older, Unconfigured};
        let told = |replicas: &[&[u16]], people: &[(u16, u64)]| -> Vec<_> {
            let standings = running(replicas).standings(&people.iter().copied().collect());
            let told = standings.iter();
            told.map(|one| (one.version, one.state, one.people, one.replicas)).collect()
        };
        assert_eq!(told(&[&[1], &[1, 2]], &[(1, 9)]), [(2, Next, 0, 1), (1, Current, 9, 2)]);
        assert_eq!(
            told(&[&[1, 2], &[1, 2]], &[(1, 5), (2, 4)]),
            [(2, Current, 4, 2), (1, Older, 5, 2)]
        );
        assert_eq!(
            told(&[&[2], &[2]], &[(1, 5), (2, 4)]),
            [(2, Current, 4, 2), (1, Unconfigured, 5, 0)]
        );
        // What nobody is keyed under and no replica has is past.
        assert_eq!(told(&[&[2]], &[(1, 0), (2, 9)]), [(2, Current, 9, 1)]);
        assert_eq!(told(&[&[1], &[2]], &[]), [(2, Next, 0, 1), (1, Next, 0, 1)]);
    }
}
