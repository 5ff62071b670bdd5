//! How often people use the apps: who is counted, what they did, and the figures.

mod activity;
mod figures;
mod people;

pub(crate) use activity::{
    Active, add, begin, calendar, close, days_of, forget_activity, live, next_chunk,
};
pub(crate) use figures::{figures, keep};
pub(crate) use people::{expire, known, page_of, people};
