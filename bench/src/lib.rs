//! The measuring harness: load that does not flatter (closed loop for the most a server can do,
//! open loop by schedule for how long callers wait), two servers measured side by side in one
//! run, and figures printed so that a script can read them.
//!
//! Figures of a shared machine move with its load. What holds is a ratio within one run, so every
//! measurement has its baseline in the same run.

pub mod client;
pub mod closed_loop;
pub mod empty;
pub mod machine;
pub mod open_loop;
pub mod recorder;
pub mod report;
pub mod rounds;
pub mod schedule;

/// What a measurement gives, or why there is none: for people to read.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
