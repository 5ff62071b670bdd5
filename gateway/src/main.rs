//! The edge of Assent as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway::use_small_pages();
    service_kit::boot::run::<gateway::Gateway>()
}
