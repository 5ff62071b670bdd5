//! The process of audience-svc.

use std::process::ExitCode;

fn main() -> ExitCode {
    service_kit::boot::run::<audience_svc::AudienceService>()
}
