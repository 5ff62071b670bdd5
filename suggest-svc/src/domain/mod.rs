//! The rules: pure functions on newtypes. No I/O, no clock of its own, nothing of the contract or
//! the store.

pub mod address_book;
pub mod identifiers;
pub mod listing;
pub mod pace;
pub mod quota;
pub mod ranking;
pub mod settings;
pub mod spam;
pub mod standing;
pub mod subject;
pub mod uploaded;

pub use settings::{Discoverability, Settings};
pub use standing::Standing;
pub use subject::Subject;
