//! Receipts and keys, as their verifier reads them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| consent_svc::fuzzing::receipt(data));
