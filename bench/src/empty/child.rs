//! A server in a process of its own, so that it shares no runtime with what measures it.

use std::{
    env,
    io::{self, BufRead, BufReader},
    net::SocketAddr,
    process::{self, Command, Stdio},
    thread,
};

use clap::ValueEnum;

use super::serve::{READY, Stack};
use crate::Result;

/// A running server. Ends when this is dropped, or when this process dies.
pub(crate) struct Child {
    process: process::Child,
    /// Where it serves.
    pub(crate) address: SocketAddr,
    /// What makes its callers known to it.
    pub(crate) token: String,
}

impl Child {
    /// Starts this program again, as a server, and waits until it can be called.
    pub(crate) fn start(stack: Stack) -> Result<Self> {
        let stack = stack.to_possible_value().ok_or("a stack without a name")?;
        let mut process = Command::new(env::current_exe()?)
            .args(["serve-empty", "--stack", stack.get_name()])
            // Held until it shall end.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut output = BufReader::new(process.stdout.take().ok_or("no standard output")?);
        let mut line = String::new();
        // Its log comes first.
        while output.read_line(&mut line)? > 0 {
            let mut words = line.split_whitespace();
            if words.next() == Some(READY) {
                let address = words.next().unwrap_or_default().parse()?;
                let token = words.next().unwrap_or_default().to_owned();
                thread::spawn(move || io::copy(&mut output, &mut io::stderr()));
                return Ok(Self { process, address, token });
            }
            eprint!("{line}");
            line.clear();
        }
        Err(format!("the server did not start: {}", process.wait()?).into())
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It was asked to end; how it did changes no figure.
        let _ = self.process.wait();
    }
}
