//! The process of suggest-svc.

use std::process::ExitCode;

fn main() -> ExitCode {
    service_kit::boot::run::<suggest_svc::SuggestService>()
}
