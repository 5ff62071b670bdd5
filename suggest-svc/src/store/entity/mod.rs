//! The tables as rows. Nothing outside the store sees them. Times are Unix milliseconds.

pub(super) mod address_book;
pub(super) mod block;
pub(super) mod change;
pub(super) mod connection;
pub(super) mod contact_settings;
pub(super) mod erased;
pub(super) mod erasure;
pub(super) mod feed_position;
pub(super) mod head;
pub(super) mod identifier;
pub(super) mod left_key;
pub(super) mod person;
pub(super) mod request;
