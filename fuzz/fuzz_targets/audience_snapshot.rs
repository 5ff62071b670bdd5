//! The file of audience-svc's directory, behind its checksums.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| audience_svc::fuzzing::snapshot(data));
