//! The contract's own rules, checked from the descriptor set: no network, no service.
#![allow(clippy::unwrap_used)]

mod checked;
mod compatibility;
mod options;
mod reasons;
mod reference;
