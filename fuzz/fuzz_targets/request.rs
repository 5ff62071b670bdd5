//! Every request message: decoding, the contract's field rules, the error that names them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proto::fuzzing::request(data));
