//! Processes of Assent, started for one test and ended with it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
};

use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

/// The binary `assent`.
pub(crate) fn assent() -> Command {
    Command::new(env!("CARGO_BIN_EXE_assent"))
}

/// A process that is killed when its test ends.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// SIGTERM, as a supervisor sends it.
    pub(crate) fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }

    /// The most memory that the process has had resident, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
    }

    /// Its standard output, if it was piped.
    pub(crate) fn output(&mut self) -> ChildStdout {
        self.0.stdout.take().unwrap()
    }

    /// The first JSON object among the lines that the process prints on its standard output.
    fn described(&mut self) -> Value {
        let mut lines = BufReader::new(self.output()).lines().map_while(Result::ok);
        let described = lines.by_ref().find_map(|line| serde_json::from_str(&line).ok());
        // What it logs later must not fill the pipe and stop it.
        std::thread::spawn(move || lines.for_each(drop));
        described.expect("the process ended before it was ready")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
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
        let mut command = assent();
        command.args(["serve", "--json", "--address", address, "--data"]).arg(data);
        let mut process = Process::spawn(command.stdout(Stdio::piped()));
        let described = process.described();
        Self { process, described }
    }

    pub(crate) fn gateway(&self) -> &str {
        self.described["gateway"].as_str().unwrap()
    }

    /// The address of one service, behind the gateway.
    pub(crate) fn service(&self, name: &str) -> &str {
        self.described["services"][name].as_str().unwrap()
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
