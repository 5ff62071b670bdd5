//! Processes that do not outlive this one, however it ends.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::Result;

/// Starts a program, says its id, and ends it by a signal when its own standard input ends, which
/// it does when who started it is gone, be it by `kill -9`.
const KEEPER: &str = r#"
signal=$1; shift
sh -c 'echo $$; exec "$@"' sh "$@" </dev/null &
kept=$!
read -r _
kill -s "$signal" "$kept" 2>/dev/null
wait "$kept" 2>/dev/null
"#;

/// Stops processes, and lets them go on when its own standard input ends.
const HOLDER: &str = r#"
kill -STOP "$@" 2>/dev/null
echo stopped
read -r _
kill -CONT "$@" 2>/dev/null
"#;

fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    // In a process group of its own: Ctrl-C ends who started it, and that ends it in its own way.
    shell.args(["-c", script, "keeper"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    shell.process_group(0);
    shell
}

/// A process that is killed, or told to end, when this is dropped.
#[derive(Debug)]
pub struct Kept {
    keeper: Child,
    id: u32,
}

impl Kept {
    /// Starts a program; gives also what it writes to its standard output.
    pub fn start(program: &Command) -> Result<(Self, BufReader<ChildStdout>)> {
        Self::start_until(program, "KILL")
    }

    /// The same of a program that is ended by this signal: one with children, say, which it must
    /// be able to end.
    pub fn start_until(program: &Command, signal: &str) -> Result<(Self, BufReader<ChildStdout>)> {
        let mut command = shell(KEEPER);
        command.arg(signal).arg(program.get_program()).args(program.get_args());
        for (name, value) in program.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        let mut keeper = command.spawn()?;
        let mut output = BufReader::new(keeper.stdout.take().ok_or("no standard output")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let id = line.trim().parse()?;
        Ok((Self { keeper, id }, output))
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&self) -> bool {
        // proc(5): Z is a process that has ended and whose parent has not asked how.
        stat(self.id).is_none_or(|(state, _)| state == "Z")
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // It has ended; how the shell did does not matter.
        let _ = self.keeper.wait();
    }
}

/// Processes that stand still (`SIGSTOP`) until this is dropped.
#[derive(Debug)]
pub struct Stopped(Child);

impl Stopped {
    /// Stops processes; returns when the signal was sent.
    pub fn new(processes: &[u32]) -> Result<Self> {
        let mut command = shell(HOLDER);
        let mut holder = command.args(processes.iter().map(u32::to_string)).spawn()?;
        let mut output = BufReader::new(holder.stdout.take().ok_or("no standard output")?);
        let holder = Self(holder);
        output.read_line(&mut String::new())?;
        Ok(holder)
    }

    /// Stops a process and all its children. Gives one guard for it and one for them, to be
    /// dropped in any order.
    pub fn family(process: u32) -> Result<[Self; 2]> {
        // The parent first: it starts no more of them then.
        let parent = Self::new(&[process])?;
        Ok([parent, Self::new(&children(process)?)?])
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The processes that a process has started and that still run.
pub fn children(parent: u32) -> Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if stat(id).is_some_and(|(_, of)| of == parent) {
            children.push(id);
        }
    }
    Ok(children)
}

/// The state of a process and the id of its parent; nothing if it is gone.
fn stat(process: u32) -> Option<(String, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // proc(5): the name stands in brackets and may hold anything; then the state, then the parent.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}
