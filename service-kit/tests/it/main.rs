//! What service-kit promises to services and to those who run them.
#![allow(clippy::unwrap_used)]

mod auth;
mod boot;
mod client;
mod config;
mod engines;
mod grpc;
mod layers;
mod process;
mod rehearsal;
mod store;
mod tls;
