//! Two processes of each service on PostgreSQL behind one gateway pass the same story as the
//! embedded suite.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
};

use serde_json::Value;
use service_kit::test_util::Postgres;

use crate::support::{Process, assent, service_binary};

/// An address on a port that is free.
const ANY: &str = "127.0.0.1:0";

/// Processes of services, each with its configuration in one directory.
pub(crate) struct Cluster {
    directory: PathBuf,
    key_id: String,
    pub(crate) processes: Vec<Process>,
}

impl Cluster {
    pub(crate) fn new(directory: &Path) -> Self {
        // Makes the development key, with which everybody signs here.
        let made =
            assent().args(["token", "--role", "app", "--data"]).arg(directory).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let jwks = std::fs::read(directory.join("development-jwks.json")).unwrap();
        let jwks: Value = serde_json::from_slice(&jwks).unwrap();
        let key_id = jwks["keys"][0]["kid"].as_str().unwrap().to_owned();
        Self { directory: directory.to_owned(), key_id, processes: Vec::new() }
    }

    fn configuration(&self, name: &str, service: &str, address: &str) -> PathBuf {
        let directory = self.directory.display();
        let key_id = &self.key_id;
        let text = format!(
            r#"{service}

            [server]
            address = "{address}"
            admin_address = ""
            trust_request_id = true

            [auth]
            jwks_file = "{directory}/development-jwks.json"
            service_key = "file:{directory}/development-key.pem"
            service_key_id = "{key_id}"

            [telemetry]
            log_format = "json"
            "#
        );
        let file = self.directory.join(format!("{name}.toml"));
        std::fs::write(&file, text).unwrap();
        file
    }

    pub(crate) fn migrate(&self, name: &str, service: &str) {
        let file = self.configuration(name, service, ANY);
        let done =
            Command::new(service_binary(name)).arg("migrate").arg("--config").arg(file).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{name} migrate: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Starts a process and answers where it listens.
    pub(crate) fn start(&mut self, name: &str, service: &str) -> String {
        self.start_at(name, service, ANY)
    }

    /// The same, at this address.
    pub(crate) fn start_at(&mut self, name: &str, service: &str, address: &str) -> String {
        let file = self.configuration(name, service, address);
        let mut command = Command::new(service_binary(name));
        let mut process = Process::spawn(command.arg("--config").arg(file).stdout(Stdio::piped()));
        let address = listening(process.output());
        self.processes.push(process);
        format!("http://{address}")
    }

    fn start_two(&mut self, name: &str, service: &str) -> [String; 2] {
        self.migrate(name, service);
        [self.start(name, service), self.start(name, service)]
    }
}

/// The address in the log line that says where a process listens.
fn listening(log: ChildStdout) -> String {
    let mut lines = BufReader::new(log).lines().map_while(Result::ok);
    let address = lines.by_ref().find_map(|line| {
        let line: Value = serde_json::from_str(&line).ok()?;
        (line["message"] == "listening").then(|| line["address"].as_str().map(str::to_owned))?
    });
    // What it logs later must not fill the pipe and stop it.
    std::thread::spawn(move || lines.for_each(drop));
    address.expect("the process ended before it listened")
}

#[test]
fn two_replicas_of_each_service_on_postgresql_play_the_same_story() {
    let directory = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::new(directory.path());
    let database = || Postgres::shared().database();
    let store = |url: &str| format!("[store]\nurl = \"{url}\"\nmax_connections = 8\n");

    let consent = cluster.start_two("consent-svc", &store(&database()));
    let mut follower = |name: &str, secret: &str| {
        let store = store(&database());
        // Each replica asks another replica of consent-svc.
        let config = |consent: &str| {
            format!(
                "{store}\n[consent]\nendpoint = \"{consent}\"\n[match_keys]\nsecret = \"{}\"\n",
                secret.repeat(32)
            )
        };
        cluster.migrate(name, &config(&consent[0]));
        [cluster.start(name, &config(&consent[0])), cluster.start(name, &config(&consent[1]))]
    };
    let audience = follower("audience-svc", "a");
    let suggest = follower("suggest-svc", "s");
    let upstream = |name: &str, [one, other]: &[String; 2]| {
        format!("[upstreams.{name}]\nendpoints = [\"{one}\", \"{other}\"]\n")
    };
    let gateway = cluster.start(
        "gateway",
        &[
            upstream("consent", &consent),
            upstream("audience", &audience),
            upstream("suggest", &suggest),
        ]
        .concat(),
    );
    let output = assent()
        .args(["demo", "--subjects", "4000", "--endpoint", &gateway, "--data"])
        .arg(directory.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
}
