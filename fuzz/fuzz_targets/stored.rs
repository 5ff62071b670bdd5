//! What stores and caches hold as bytes: of one that was damaged, or meddled with.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    audience_svc::fuzzing::stored(data);
    consent_svc::fuzzing::stored(data);
    suggest_svc::fuzzing::stored(data);
});
