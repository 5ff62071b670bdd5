//! The harness itself: what it measures must be what happened.
#![allow(clippy::unwrap_used)]

mod empty;
mod gateway;
mod load;
mod report;
mod server;
