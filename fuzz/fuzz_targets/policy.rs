//! Policies as `CreatePolicy` gets them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| consent_svc::fuzzing::policy(data));
