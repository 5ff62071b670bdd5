//! The command line, as people and scripts meet it: the real binary against a real suite.

mod address_books;
mod commands;
mod errors;
mod help;
mod lists;
mod stub;
pub(crate) mod tutorial;
mod wire;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::{Suite, assent};

/// A suite that runs, and whoever types commands.
pub(crate) struct Terminal {
    pub(crate) suite: Suite,
    pub(crate) directory: tempfile::TempDir,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    /// What it printed on standard output.
    pub(crate) out: String,
    /// What it printed on standard error.
    pub(crate) err: String,
}

impl Terminal {
    /// With a suite of its own on a free port.
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let suite = Suite::start(&directory.path().join("assent-data"));
        Self { suite, directory }
    }

    /// `assent`, where this suite is found without a flag: in the environment, and in the working
    /// directory.
    pub(crate) fn command(&self) -> Command {
        let mut command = assent();
        command.current_dir(self.directory.path());
        command.env("ASSENT_ENDPOINT", self.suite.gateway());
        command.env("ASSENT_STATE", self.state());
        command
    }

    /// Where commands remember how far they came.
    pub(crate) fn state(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// Runs it with these arguments, parted by spaces.
    pub(crate) fn run(&self, arguments: &str) -> Ran {
        ran(self.command().args(arguments.split_whitespace()))
    }

    /// The same; it must succeed, and answers with what it printed.
    #[track_caller]
    pub(crate) fn done(&self, arguments: &str) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, 0, "assent {arguments}: {ran:?}");
        ran.out
    }

    /// The same with `--json`: the documents that it printed, one a line.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &str) -> Vec<Value> {
        let out = self.done(&format!("{arguments} --json"));
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Writes a file into the working directory.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        write(self.directory.path(), name, content)
    }
}

/// Runs a command to its end.
pub(crate) fn ran(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: status.code().unwrap_or(-1), out: text(stdout), err: text(stderr) }
}

pub(crate) fn write(directory: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let file = directory.join(name);
    std::fs::write(&file, content).unwrap();
    file
}

/// Syncs a person's whole address book.
pub(crate) fn sync(terminal: &Terminal, person: &str, phones: &[&str]) {
    terminal.write("contacts.csv", format!("phone\n{}\n", phones.join("\n")));
    terminal.done(&format!("contacts sync contacts.csv {person}"));
}
