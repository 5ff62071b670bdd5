//! A process of a service.

use std::{
    ffi::OsString,
    fs::File,
    io::{BufRead, Read as _, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::Kept;
use crate::Result;

/// How long a service may take until it takes calls.
const START: Duration = Duration::from_mins(10);

/// How a service is started.
#[derive(Debug, Clone)]
pub struct Program {
    /// The executable.
    pub path: PathBuf,
    /// What goes before `--config`.
    pub arguments: Vec<OsString>,
    /// The deliberate fault that it is to have.
    pub mutant: Option<&'static str>,
}

impl Program {
    /// The `consent-svc` that cargo put beside this program (or, beside the directory of this
    /// test).
    pub fn beside() -> Result<Self> {
        let this = std::env::current_exe()?;
        let directories = this.ancestors().skip(1).take(2);
        let found = directories.map(|directory| directory.join("consent-svc"));
        let path = found.into_iter().find(|path| path.is_file()).ok_or_else(|| {
            format!(
                "there is no consent-svc beside {}: cargo build [--release] -p consent-svc, or \
                 name one with --binary",
                this.display()
            )
        })?;
        Ok(Self::at(path))
    }

    /// This program, which is a service, too, by this command: with the allocator and the options
    /// of this one.
    pub fn this(command: &str) -> Result<Self> {
        let path = std::env::current_exe()?;
        Ok(Self { path, arguments: vec![command.into()], mutant: None })
    }

    /// The executable at a path.
    pub fn at(path: PathBuf) -> Self {
        Self { path, arguments: Vec::new(), mutant: None }
    }

    /// Whether it was built with the feature `mutants`: only then does it ask the environment
    /// for one.
    pub fn has_mutants(&self) -> Result<bool> {
        let name = consent_svc::mutant::VARIABLE.as_bytes();
        Ok(std::fs::read(&self.path)?.windows(name.len()).any(|window| window == name))
    }

    fn command(&self, config: &Path) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).arg("--config").arg(config);
        if let Some(mutant) = self.mutant {
            command.env(consent_svc::mutant::VARIABLE, mutant);
        }
        command
    }

    /// Brings the store's schema up to date.
    pub fn migrate(&self, config: &Path) -> Result<()> {
        let done = self.command(config).arg("migrate").output()?;
        if done.status.success() {
            return Ok(());
        }
        Err(format!("migrate: {}", String::from_utf8_lossy(&done.stderr)).into())
    }
}

/// A running service. Killed when this is dropped.
#[derive(Debug)]
pub struct Service {
    kept: Kept,
    /// Where it serves gRPC.
    pub address: SocketAddr,
    /// Where it serves its metrics.
    pub admin: SocketAddr,
}

impl Service {
    /// Starts it and waits until it listens. Its log goes to the end of a file, if one is given.
    pub fn start(program: &Program, config: &Path, log: Option<&Path>) -> Result<Self> {
        let (kept, mut output) = Kept::start(&program.command(config))?;
        let mut log = match log {
            Some(path) => Some(File::options().create(true).append(true).open(path)?),
            None => None,
        };
        let mut seen = String::new();
        let mut line = String::new();
        while output.read_line(&mut line)? > 0 {
            if let Some(log) = &mut log {
                log.write_all(line.as_bytes())?;
            }
            if let Some((address, admin)) = listening(&line) {
                thread::spawn(move || {
                    // What it logs must not fill the pipe and stop it.
                    let mut sink: Box<dyn Write> = match log {
                        Some(log) => Box::new(log),
                        None => Box::new(std::io::sink()),
                    };
                    std::io::copy(&mut output, &mut sink)
                });
                return Ok(Self { kept, address, admin });
            }
            seen.push_str(&line);
            line.clear();
        }
        Err(format!("{} did not start: {seen}", program.path.display()).into())
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.kept.id()
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.kept.has_ended()
    }

    /// Waits until it says that it takes calls.
    pub fn wait_until_ready(&self) -> Result<()> {
        let until = Instant::now() + START;
        while !self.is_ready().unwrap_or(false) {
            if self.has_ended() || Instant::now() > until {
                return Err("the service does not get ready".into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn is_ready(&self) -> Result<bool> {
        let mut stream = TcpStream::connect(self.admin)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(
            stream,
            "GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.admin
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.split(' ').nth(1) == Some("200"))
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(self) -> Result<()> {
        let asked = Command::new("kill").arg(self.id().to_string()).status()?;
        let until = Instant::now() + Duration::from_mins(1);
        while asked.success() && !self.has_ended() && Instant::now() < until {
            thread::sleep(Duration::from_millis(10));
        }
        if self.has_ended() { Ok(()) } else { Err("the service does not end".into()) }
    }
}

/// The addresses in the log line that says where it listens.
fn listening(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let line: Value = serde_json::from_str(line).ok()?;
    if line["message"] != "listening" {
        return None;
    }
    let admin = line["admin"].as_str()?.trim_start_matches("Some(").trim_end_matches(')');
    Some((line["address"].as_str()?.parse().ok()?, admin.parse().ok()?))
}
