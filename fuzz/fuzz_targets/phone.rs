//! Phone numbers: our automaton against the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| identifiers::fuzzing::phone(data));
