//! A process of the service's own binary, which can be killed, beside the world's consent-svc.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::JoinHandle,
};

use service_kit::test_util::TestKeys;
use tempfile::TempDir;

/// How a process is started; the files that it has.
pub(crate) struct Binary {
    directory: TempDir,
    config: PathBuf,
}

/// A running process. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// Where it serves.
    pub(crate) endpoint: String,
    /// The log up to where it told that, and the rest.
    log: (String, Option<JoinHandle<String>>),
}

impl Binary {
    /// On a store whose schema is made, with a snapshot of the graph as often as `interval` says;
    /// `store` makes its URL for a directory.
    pub(crate) fn new(
        store: impl FnOnce(&Path) -> String,
        consent: &str,
        keys: &TestKeys,
        interval: &str,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let (config, key) = (at("suggest-svc.toml"), at("key.pem"));
        std::fs::write(&key, keys.issuer().to_pem()).unwrap();
        let text = format!(
            r#"
            [server]
            address = "127.0.0.1:0"
            admin_address = "127.0.0.1:0"
            [auth]
            jwks_file = "{jwks}"
            service_key = "file:{key}"
            service_key_id = "{key_id}"
            [telemetry]
            log_format = "json"
            [store]
            url = "{store}"
            [consent]
            endpoint = "{consent}"
            [match_keys]
            secret = "a secret of thirty-two bytes, or more"
            [graph]
            snapshot = "{snapshot}"
            snapshot_interval = "{interval}"
            "#,
            jwks = keys.jwks_file().display(),
            key = key.display(),
            key_id = keys.issuer().key_id(),
            store = store(directory.path()),
            snapshot = at("graph.snapshot").display(),
        );
        std::fs::write(&config, text).unwrap();
        let binary = Self { directory, config };
        let done = binary.command("migrate").output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        binary
    }

    /// Where the snapshot of the graph is.
    pub(crate) fn snapshot(&self) -> PathBuf {
        self.directory.path().join("graph.snapshot")
    }

    fn command(&self, what: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_suggest-svc"));
        command.arg(what).arg("--config").arg(&self.config);
        command
    }

    /// Starts a process and waits until it listens.
    pub(crate) fn start(&self) -> Process {
        let mut command = self.command("serve");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut begin = String::new();
        let endpoint = loop {
            let read = begin.len();
            assert!(output.read_line(&mut begin).unwrap() > 0, "it ended: {begin}");
            let line: serde_json::Value = serde_json::from_str(&begin[read..]).unwrap();
            if line["message"] == "listening" {
                break format!("http://{}", line["address"].as_str().unwrap());
            }
        };
        // Read to the end, or the pipe would be full and the process stand still.
        let rest = std::thread::spawn(move || {
            let mut rest = String::new();
            output.read_to_string(&mut rest).unwrap();
            rest
        });
        Process { child, endpoint, log: (begin, Some(rest)) }
    }
}

impl Process {
    /// Ends it with no time for anything, as `kill -9` does; what it has logged.
    pub(crate) fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.log()
    }

    /// Ends it as a supervisor does; what it has logged.
    pub(crate) fn terminate(mut self) -> String {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
        self.log()
    }

    fn log(&mut self) -> String {
        self.child.wait().unwrap();
        let rest = self.log.1.take().unwrap().join().unwrap();
        std::mem::take(&mut self.log.0) + &rest
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
