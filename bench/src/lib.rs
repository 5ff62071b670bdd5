//! The measuring harness: load that does not flatter (closed loop for the most a server can do,
//! open loop by schedule for how long callers wait), two servers measured side by side in one
//! run, and figures printed so that a script can read them.
//!
//! Figures of a shared machine move with its load. What holds is a ratio within one run, so every
//! measurement has its baseline in the same run.

pub mod audience;
pub mod client;
pub mod closed_loop;
pub mod consent;
pub mod consent_faults;
pub mod consent_model;
pub mod empty;
pub mod gateway;
pub mod machine;
pub mod open_loop;
pub mod overload;
pub mod recorder;
pub mod report;
pub mod required;
pub mod rounds;
pub mod schedule;
pub mod suggest;
pub mod svc;
pub mod turn;
pub mod zipf;

/// What a measurement gives, or why there is none: for people to read.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is none.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A number above zero, of an argument.
fn positive(text: &str) -> std::result::Result<f64, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("not above zero".to_owned()) }
}
