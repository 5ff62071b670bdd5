//! Ids of suggestions, as callers send them back.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| suggest_svc::fuzzing::suggestion_id(data));
