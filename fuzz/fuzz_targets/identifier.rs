//! Phone numbers, e-mail addresses, external ids and digests, under all profiles.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| identifiers::fuzzing::identifier(data));
