//! The tables as rows. Nothing outside the store sees them. Times are Unix milliseconds.

pub(super) mod address_book;
pub(super) mod block;
pub(super) mod change;
pub(super) mod connection;
pub(super) mod contact_quota;
pub(super) mod contact_settings;
pub(super) mod dismissal;
pub(super) mod erased;
pub(super) mod erasure;
pub(super) mod feed_position;
pub(super) mod head;
pub(super) mod identifier;
pub(super) mod left_key;
pub(super) mod number_range;
pub(super) mod person;
pub(super) mod range_budget;
pub(super) mod request;
pub(super) mod spam_report;
pub(super) mod spam_review;
pub(super) mod spam_risk;
pub(super) mod uploaded;
