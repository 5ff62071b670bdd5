//! Assent from outside: real processes, called over the network.
#![allow(clippy::unwrap_used)]

mod account;
mod bad_day;
mod bad_input;
mod canary;
mod clients;
mod cluster;
mod demo;
mod docs;
mod drain;
mod match_keys;
mod people;
mod raw;
mod receipts;
mod replicas;
mod support;
mod table;
mod telemetry;
mod terminal;
mod upload_killed;
mod withdrawal;
