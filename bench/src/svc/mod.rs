//! consent-svc in processes of its own, and what is said to it.

mod kept;
mod keys;
mod policy;
mod process;

pub use kept::{Kept, Stopped};
pub use keys::Keys;
pub use policy::{ADS, Announced, SHARE, announce, announce_examples, request_id, withdrawal};
pub use process::{Program, Service};
