//! Processes of Assent, started for one test and ended with it.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::JoinHandle,
};

use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

/// The binary `assent`.
pub(crate) fn assent() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_assent"));
    // Not what whoever runs the tests has in their shell.
    for name in ["ASSENT_ENDPOINT", "ASSENT_CA_FILE", "ASSENT_TOKEN"] {
        command.env_remove(name);
    }
    command
}

/// A process that is killed when its test ends.
pub(crate) struct Process {
    child: Child,
    /// What it prints, gathered until it ends.
    printed: Vec<JoinHandle<Vec<u8>>>,
}

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self { child: command.spawn().unwrap(), printed: Vec::new() }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, as a supervisor sends it.
    pub(crate) fn terminate(&self) {
        signal("TERM", &[self.id()]);
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// The most memory that the process has had resident, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// What is told by a line that the process prints on its standard output, which was piped. All
    /// that it prints is read from then on, lest the pipe be full and it stand still; so is its
    /// standard error, if that was piped too.
    pub(crate) fn told<T>(&mut self, by: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.printed.extend(self.child.stderr.take().map(|errors| gather(errors, Vec::new())));
        let mut output = BufReader::new(self.child.stdout.take().unwrap());
        let mut printed = Vec::new();
        let mut told = None;
        while told.is_none() {
            let line = printed.len();
            if output.read_until(b'\n', &mut printed).unwrap() == 0 {
                break;
            }
            told = std::str::from_utf8(&printed[line..]).ok().and_then(&by);
        }
        self.printed.push(gather(output, printed));
        told
    }

    /// All that it printed, as far as it was read, once it has ended.
    pub(crate) fn printed(&mut self) -> Vec<u8> {
        self.wait();
        self.printed.drain(..).flat_map(|thread| thread.join().unwrap()).collect()
    }
}

/// Sends a signal to processes.
pub(crate) fn signal(name: &str, processes: &[u32]) {
    let ids = processes.iter().map(u32::to_string);
    let sent = Command::new("kill").arg(format!("-{name}")).args(ids).status();
    assert!(sent.unwrap().success());
}

fn gather(mut from: impl Read + Send + 'static, mut to: Vec<u8>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        from.read_to_end(&mut to).unwrap();
        to
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running `assent serve`.
pub(crate) struct Suite {
    pub(crate) process: Process,
    described: Value,
}

impl Suite {
    /// On a free port.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_on(data, "127.0.0.1:0")
    }

    pub(crate) fn start_on(data: &Path, address: &str) -> Self {
        Self::spawn(&mut Self::command(data, address))
    }

    /// On a free port, with everything logged, and all that it prints gathered.
    pub(crate) fn start_tracing(data: &Path) -> Self {
        let mut command = Self::command(data, "127.0.0.1:0");
        Self::spawn(command.env("RUST_LOG", "trace").stderr(Stdio::piped()))
    }

    fn command(data: &Path, address: &str) -> Command {
        let mut command = assent();
        command.args(["serve", "--json", "--address", address, "--data"]).arg(data);
        command
    }

    fn spawn(command: &mut Command) -> Self {
        let mut process = Process::spawn(command.stdout(Stdio::piped()));
        // The only line that is a JSON object.
        let described = process.told(|line| serde_json::from_str(line).ok());
        Self { process, described: described.expect("the process ended before it was ready") }
    }

    pub(crate) fn gateway(&self) -> &str {
        self.described["gateway"].as_str().unwrap()
    }

    /// The address of one service, behind the gateway.
    pub(crate) fn service(&self, name: &str) -> &str {
        self.described["services"][name].as_str().unwrap()
    }

    /// Where each service tells its metrics.
    pub(crate) fn metrics(&self) -> Vec<String> {
        let admin = self.described["admin"].as_object().unwrap();
        admin.values().map(|url| url.as_str().unwrap().to_owned()).collect()
    }

    /// A token of a role.
    pub(crate) fn token(&self, role: &str) -> &str {
        self.described["tokens"][role].as_str().unwrap()
    }
}

pub(crate) async fn connect(url: &str) -> Channel {
    Endpoint::from_shared(url.to_owned()).unwrap().connect().await.unwrap()
}

/// A service's own binary, which cargo builds beside this test.
pub(crate) fn service_binary(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let binary = this.parent().and_then(Path::parent).unwrap().join(name);
    assert!(binary.exists(), "{} is not there: cargo build --workspace", binary.display());
    binary
}
