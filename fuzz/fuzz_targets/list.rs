//! Customer lists (CSV) and address books (vCard), as the command `assent` reads them.
#![no_main]
// The command is no library: its modules are compiled in, with more than is used here.
#![allow(dead_code, unused_imports, unused_macros)]

#[path = "../../suite/src/exit.rs"]
mod exit;
#[path = "../../suite/src/output.rs"]
mod output;
#[path = "../../suite/src/people/mod.rs"]
mod people;

libfuzzer_sys::fuzz_target!(|data: &[u8]| people::fuzzing::list(data));
