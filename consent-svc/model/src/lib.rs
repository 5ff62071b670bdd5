//! The consent service's strict cache, as a model that is searched to its end.
//!
//! Promised: **no check that starts after a withdrawal was acknowledged answers yes from before it**, and no check that
//! starts after another has ended answers from an older revision, although checks are answered from a Redis that may
//! be lost, restored, failed over and come back at any moment. [`run`] visits every state that a scenario can get into
//! and reports the first that breaks a promise with the steps that lead to it. [`Mutant`]s, the protocol with one part
//! taken out, have to be caught: a search that no mistake fails proves nothing.
//!
//! # The protocol
//!
//! **Generation row**, in the database: a random generation, mode OPEN or BYPASS, identity of the Redis primary. A replica
//! takes the time t0, then reads the row ([`Step::ReadLease`]), and may use the cache in that generation for checks
//! that start before t0 + L. W is the longest that any replica can still hold a lease on an older row.
//!
//! **Write** (a decision, a withdrawal, a link):
//! 1. tx1 puts a random fence on every subject whose answer can change, found out in the same transaction
//!    ([`Step::Fence`]). Then it reads the row ([`Step::ReadRow`]).
//! 2. In OPEN it deletes these subjects' keys of that generation, on a Redis whose identity is verified in the same
//!    script ([`Step::Delete`]). If that fails: the row is moved to BYPASS by compare-and-set, and back to 1
//!    ([`Step::MoveToBypass`]). It waits until its own process has known the row as read for W.
//! 3. tx2 applies the change if *every* fence is still its own, and clears them; otherwise back to 1
//!    ([`Step::Commit`]).
//! 4. It acknowledges.
//!
//! Anyone may clear a fence ([`Step::ClearFence`]): in truth one that has been standing for long, here at any time.
//!
//! **Check**:
//! 1. starts, reads the clock, tests its lease ([`Step::Start`]);
//! 2. reads the key on a verified Redis: an answer ends it ([`Step::Hit`]);
//! 3. on a miss sets the key to a fresh nonce ([`Step::SetNonce`]);
//! 4. reads the primary database, state and fence together, and answers ([`Step::ReadDatabase`]), or answers from
//!    another's read that began after it started ([`Step::TakeSharedRead`]), which it does not store;
//! 5. if there was no fence, replaces its own nonce, and nothing else, by what it read ([`Step::Fill`]).
//!
//! **Reopening**: a replica connected to a verified primary moves the row to OPEN with a fresh generation and that
//! primary's identity, by compare-and-set ([`Step::Reopen`]).
//!
//! **Publishing a policy** moves the row to BYPASS, waits for W, and commits *if the row is still that BYPASS*.
//! Without this condition a generation reopened during the wait keeps answers from before the policy
//! ([`Mutant::PublishUnconditional`]).
//!
//! # What is modelled
//!
//! - Every step above is atomic where the database or one Redis script makes it so, and interleaves with all others.
//!   A command, a reply or a process may be late for ever, which covers its loss and its crash.
//! - The database is linearizable and does not forget what it acknowledged. tx1 alone is committed
//!   asynchronously: a crash loses its fence, and brings back the one it replaced. Clearing a fence must survive a
//!   crash ([`Mutant::FenceClearedAsynchronously`]), and so must moving the row.
//! - Redis: two nodes, each with a role, a replication id and keys. A replica lags as far as it likes, becomes a
//!   primary beside the old one, which lives on and is still reached by whoever likes, or becomes its replica and is
//!   promoted back; a primary restarts from an old dump.
//! - A process is modelled as two, one that holds a lease and checks and one that writes and knows the row. They read
//!   the row independently, which includes reading it together.
//! - A check may use the lease of any replica, and start again without limit. So may time pass, Redis fail and the
//!   row move: only the writes are counted, because only they make revisions.
//!
//! Bounded, beside the writes: how many checks are in flight at once, and how many generations somebody still refers
//! to at once ([`Config::generations`]).
//!
//! Not modelled: several Redis primaries with a row each; a crash of the database that loses a move of the row, which
//! must therefore be committed synchronously; and that anything ever gets done. Two writes of one subject may take
//! each other's fence for ever.
//!
//! # How it is searched
//!
//! [`Config`] has the scenarios, [`Mutant::caught_by`] says which catches which mutant. Files follow the protocol:
//! `check.rs`, `write.rs`, `row.rs` (leases and time), `redis.rs`; `canonical.rs` has the reductions and why each is
//! sound; `protocol.rs` ties them together and states the promises. States are told apart by 64-bit fingerprints: that
//! two of 10⁷ agree by chance, so that one is missed, has a probability below 10⁻⁵.

mod canonical;
mod check;
mod config;
mod mutant;
mod protocol;
mod redis;
mod report;
mod row;
mod state;
mod write;

pub use config::{
    CRASHES, Change, Config, FAILOVER, FILLS, LARGE, LEASES, LINKED, LITERAL, PUBLISHING, Planned,
    SHARING, SMALL,
};
pub use mutant::Mutant;
pub use protocol::{EVENT, Event, NO_INVERSION, NO_STALE_YES, Protocol, Step};
pub use report::{Report, Search, check_large, reach, run};
pub use state::State;
