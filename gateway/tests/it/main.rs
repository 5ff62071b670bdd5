//! The gateway, whole, in front of small services that implement the contract.
#![allow(clippy::unwrap_used)]

mod abuse;
mod access;
mod account_rights;
mod bad_input;
mod cancellation;
mod deadlines;
mod flow_control;
mod health;
mod layers;
mod outages;
mod partial_failure;
mod passing_through;
mod quotas;
mod quotas_in_redis;
mod raw;
mod register_account;
mod retries;
mod services;
mod start;
mod tls;
mod web;
mod world;
