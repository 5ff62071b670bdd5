//! The gateway, whole, in front of small services that implement the contract.
#![allow(clippy::unwrap_used)]

mod access;
mod cancellation;
mod deadlines;
mod flow_control;
mod health;
mod outages;
mod passing_through;
mod register_account;
mod retries;
mod services;
mod start;
mod tls;
mod world;
