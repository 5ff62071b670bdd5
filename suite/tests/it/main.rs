//! Assent from outside: real processes, called over the network.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod demo;
mod drain;
mod match_keys;
mod raw;
mod receipts;
mod replicas;
mod support;
mod table;
