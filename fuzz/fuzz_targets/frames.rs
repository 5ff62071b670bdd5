//! gRPC's frames, as the layer that watches them sees bodies.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| service_kit::fuzzing::frames(data));
