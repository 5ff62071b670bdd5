//! Policy files, JSON and TOML, as the command `assent` reads them.
#![no_main]
// The command is no library: its modules are compiled in, with more than is used here.
#![allow(dead_code, unused_imports, unused_macros)]

#[path = "../../suite/src/exit.rs"]
mod exit;
#[path = "../../suite/src/output.rs"]
mod output;
#[path = "../../suite/src/policy/file.rs"]
mod policy_file;

libfuzzer_sys::fuzz_target!(|data: &[u8]| policy_file::fuzz(data));
