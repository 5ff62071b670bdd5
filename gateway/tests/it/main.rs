//! The gateway, whole, in front of small services that implement the contract.
#![allow(clippy::unwrap_used)]

mod abuse;
mod access;
mod bad_input;
mod cancellation;
mod deadlines;
mod flow_control;
mod health;
mod outages;
mod passing_through;
mod raw;
mod register_account;
mod services;
mod start;
mod tls;
mod web;
mod world;
