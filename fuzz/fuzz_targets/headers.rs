//! `grpc-timeout`, `traceparent` and `x-request-id`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| service_kit::fuzzing::headers(data));
