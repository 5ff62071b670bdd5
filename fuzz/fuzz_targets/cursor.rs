//! The feed's cursors.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| consent_svc::fuzzing::cursor(data));
