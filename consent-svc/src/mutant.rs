//! Deliberate faults: the protocol with one step left out or in the wrong place. The tests of
//! the protocol must notice each of them; a test that no mutant fails proves nothing.
//!
//! Without the feature `mutants` there is none, and [`is`] is `false` at compile time.

#![cfg_attr(not(feature = "mutants"), allow(dead_code))]

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// Writers put no fence into the database before they invalidate.
    NoFence,
    /// Fills are stored whether or not they are still the announced ones.
    NoNonce,
    /// Writers commit whether or not their fence still stands.
    UnconditionalCommit,
    /// The generation row is read before the fence is committed.
    RowBeforeFence,
    /// Nothing is deleted before a commit.
    NoDelete,
    /// Nobody waits until older leases have ended.
    NoWait,
    /// Only the process that closed the cache waits.
    OnlyMoverWaits,
    /// Whatever server answers is believed to be the primary.
    NoIdentity,
    /// The primary's identity is verified when a connection is made, and not again.
    IdentityAtConnect,
    /// The primary is identified by the id of its process's run.
    RunId,
    /// A lease that was tested before the check began is used for it.
    LeaseNotTested,
    /// A lease begins when its row arrives.
    LeaseFromReply,
    /// A check shares a read of the database that began before it did.
    ReadBegunEarlier,
    /// Only the subject of the write is fenced and deleted, not those that are linked to it.
    NoLinkedFence,
}

/// Every mutant, by the name that chooses it.
pub const ALL: [(&str, Mutant); 14] = [
    ("no-fence", Mutant::NoFence),
    ("no-nonce", Mutant::NoNonce),
    ("unconditional-commit", Mutant::UnconditionalCommit),
    ("row-before-fence", Mutant::RowBeforeFence),
    ("no-delete", Mutant::NoDelete),
    ("no-wait", Mutant::NoWait),
    ("only-mover-waits", Mutant::OnlyMoverWaits),
    ("no-identity", Mutant::NoIdentity),
    ("identity-at-connect", Mutant::IdentityAtConnect),
    ("run-id", Mutant::RunId),
    ("lease-not-tested", Mutant::LeaseNotTested),
    ("lease-from-reply", Mutant::LeaseFromReply),
    ("read-begun-earlier", Mutant::ReadBegunEarlier),
    ("no-linked-fence", Mutant::NoLinkedFence),
];

/// The environment variable that names the mutant of a process.
pub const VARIABLE: &str = "ASSENT_MUTANT";

/// Whether this process is that mutant.
#[cfg(feature = "mutants")]
pub(crate) fn is(mutant: Mutant) -> bool {
    use std::sync::LazyLock;
    static CHOSEN: LazyLock<Option<Mutant>> = LazyLock::new(|| {
        let name = std::env::var(VARIABLE).ok()?;
        ALL.iter().find(|(known, _)| *known == name).map(|(_, mutant)| *mutant)
    });
    *CHOSEN == Some(mutant)
}

/// Whether this process is that mutant: no.
#[cfg(not(feature = "mutants"))]
pub(crate) const fn is(_: Mutant) -> bool {
    false
}
