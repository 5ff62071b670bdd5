//! Page tokens (AIP-158), as callers send them back.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &str| service_kit::fuzzing::page_token(data));
