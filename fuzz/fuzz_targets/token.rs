//! Bearer tokens: unsigned ones, and what is behind a good signature.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| service_kit::fuzzing::token(data));
