//! The consent service's own process.

use std::process::ExitCode;

fn main() -> ExitCode {
    service_kit::boot::run::<consent_svc::ConsentService>()
}
