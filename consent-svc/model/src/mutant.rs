//! The protocol with one of its parts taken out.

use crate::{Config, config};

/// One omission or mistake. Each must lead the search to a broken promise: a check that no mistake fails proves
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mutant {
    /// No fence in the database: writes delete and commit.
    NoFence,
    /// A miss sets no nonce; the fill overwrites whatever is there.
    NoNonce,
    /// tx2 commits without asking whether the fence is still its own.
    UnconditionalTx2,
    /// The generation row is read before tx1.
    RowBeforeFence,
    /// The keys are not deleted.
    NoDelete,
    /// Nobody waits for W.
    NoWait,
    /// Only the process that moved the row waits for W; others commit as soon as they see the new row.
    OnlyMoverWaits,
    /// W without the factor for clocks of different rates: it is over one tick before a slow clock's lease.
    WaitWithoutDrift,
    /// W is counted from when the row was asked for, not from the reply.
    WaitFromRequest,
    /// Nobody compares the identity of Redis.
    IdentityNotVerified,
    /// The identity is compared only when a connection is made.
    IdentityAtConnect,
    /// The identity is the run id.
    RunIdAlone,
    /// The identity is the replication id without the role.
    ReplidAlone,
    /// The lease is tested before the check has started.
    LeaseTestedEarly,
    /// The lease runs from the reply, not from before the question.
    LeaseFromReply,
    /// A check takes the result of a database read that began before it did.
    SharedReadBegunEarlier,
    /// A check fills its nonce from another's database read, which began before the nonce was set.
    SharedReadFilled,
    /// Only the subject itself is fenced, not those linked to it.
    LinkedNotFenced,
    /// The linked subjects are looked up before tx1 and not again in it.
    GroupReadBeforeTx1,
    /// A fence is cleared by a transaction that a crash of the database can undo.
    FenceClearedAsynchronously,
    /// tx2 commits if one of several fences is still its own.
    AnyFenceWillDo,
    /// A policy is published without asking whether the row is still the BYPASS that was waited for.
    PublishUnconditional,
}

impl Mutant {
    /// Every mutant.
    pub const ALL: [Mutant; 22] = [
        Mutant::NoFence,
        Mutant::NoNonce,
        Mutant::UnconditionalTx2,
        Mutant::RowBeforeFence,
        Mutant::NoDelete,
        Mutant::NoWait,
        Mutant::OnlyMoverWaits,
        Mutant::WaitWithoutDrift,
        Mutant::WaitFromRequest,
        Mutant::IdentityNotVerified,
        Mutant::IdentityAtConnect,
        Mutant::RunIdAlone,
        Mutant::ReplidAlone,
        Mutant::LeaseTestedEarly,
        Mutant::LeaseFromReply,
        Mutant::SharedReadBegunEarlier,
        Mutant::SharedReadFilled,
        Mutant::LinkedNotFenced,
        Mutant::GroupReadBeforeTx1,
        Mutant::FenceClearedAsynchronously,
        Mutant::AnyFenceWillDo,
        Mutant::PublishUnconditional,
    ];

    /// The small configuration whose search must catch it.
    pub fn caught_by(self) -> &'static Config {
        match self {
            Mutant::NoFence | Mutant::NoNonce | Mutant::UnconditionalTx2 | Mutant::NoDelete => {
                &config::FILLS
            }
            Mutant::RowBeforeFence
            | Mutant::NoWait
            | Mutant::OnlyMoverWaits
            | Mutant::WaitWithoutDrift
            | Mutant::WaitFromRequest
            | Mutant::LeaseTestedEarly
            | Mutant::LeaseFromReply => &config::LEASES,
            Mutant::IdentityNotVerified
            | Mutant::IdentityAtConnect
            | Mutant::RunIdAlone
            | Mutant::ReplidAlone => &config::FAILOVER,
            Mutant::FenceClearedAsynchronously => &config::CRASHES,
            Mutant::SharedReadBegunEarlier | Mutant::SharedReadFilled => &config::SHARING,
            Mutant::LinkedNotFenced | Mutant::GroupReadBeforeTx1 | Mutant::AnyFenceWillDo => {
                &config::LINKED
            }
            Mutant::PublishUnconditional => &config::PUBLISHING,
        }
    }

    /// Whether connections are trusted, and so have to be followed.
    pub(crate) fn trusts_connections(self) -> bool {
        matches!(self, Mutant::IdentityNotVerified | Mutant::IdentityAtConnect)
    }
}
