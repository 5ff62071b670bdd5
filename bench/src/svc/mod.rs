//! Services in processes of their own, and what is said to consent-svc.

mod kept;
mod keys;
mod policy;
mod process;
mod serve;

pub use kept::{Kept, Stopped, children};
pub use keys::Keys;
pub use policy::{ADS, Announced, SHARE, announce, announce_examples, request_id, withdrawal};
pub use process::{Program, Service};
pub use serve::{ServeOptions, serve};
