//! The file of suggest-svc's graph, behind its checksums.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| suggest_svc::fuzzing::snapshot(data));
