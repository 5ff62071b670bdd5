//! audience-svc over gRPC, on SQLite and on PostgreSQL, with every layer that it has in production.

#![allow(clippy::unwrap_used)]

#[cfg(feature = "attacks")]
mod attacks;
mod audiences;
mod businesses;
mod consent;
mod crash;
mod directory;
mod following;
mod hits_and_misses;
mod housekeeping;
mod matching;
mod reach;
mod registering;
mod replicas;
mod rotation;
mod rows;
mod serving;
mod timing;
mod transparency;
mod uploads;
mod usage;
mod world;
