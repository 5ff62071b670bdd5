//! The tables.

pub(crate) mod audience;
pub(crate) mod audience_member;
pub(crate) mod business;
pub(crate) mod departure;
pub(crate) mod directory_change;
pub(crate) mod directory_counter;
pub(crate) mod directory_subject;
pub(crate) mod feed_position;
pub(crate) mod list_change;
pub(crate) mod list_counter;
pub(crate) mod reach_release;
pub(crate) mod release_budget;
pub(crate) mod request_record;
pub(crate) mod upload;
pub(crate) mod upload_batch;
