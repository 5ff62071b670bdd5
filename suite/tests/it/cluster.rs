//! The four services as processes of their own, on PostgreSQL.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{Process, assent, service_binary};

/// An address on a port that is free.
const ANY: &str = "127.0.0.1:0";

/// What differs from cluster to cluster.
pub(crate) struct Plan<'a> {
    /// How many processes each service has; there is one gateway.
    pub(crate) replicas: usize,
    /// Makes the URL of an empty database.
    pub(crate) database: &'a dyn Fn() -> String,
    /// What consent-svc is told besides.
    pub(crate) consent: &'a str,
    /// Lines of every process's table `telemetry`.
    pub(crate) telemetry: &'a str,
}

/// Processes of services, each with its configuration in one directory.
pub(crate) struct Cluster {
    directory: PathBuf,
    key_id: String,
    telemetry: String,
    /// In the order in which they were started: callers last.
    pub(crate) processes: Vec<Process>,
    /// Where each service's replicas listen.
    pub(crate) services: BTreeMap<&'static str, Vec<String>>,
    /// Where each process tells its metrics.
    pub(crate) metrics: Vec<String>,
}

impl Cluster {
    /// None yet. The directory gets the development key with which everybody signs.
    pub(crate) fn new(directory: &Path, telemetry: &str) -> Self {
        let made =
            assent().args(["token", "--role", "app", "--data"]).arg(directory).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let jwks = std::fs::read(directory.join("development-jwks.json")).unwrap();
        let jwks: Value = serde_json::from_slice(&jwks).unwrap();
        let key_id = jwks["keys"][0]["kid"].as_str().unwrap().to_owned();
        Self {
            directory: directory.to_owned(),
            key_id,
            telemetry: telemetry.to_owned(),
            processes: Vec::new(),
            services: BTreeMap::new(),
            metrics: Vec::new(),
        }
    }

    /// Starts all of them.
    pub(crate) fn start(directory: &Path, plan: &Plan<'_>) -> Self {
        let mut cluster = Self::new(directory, plan.telemetry);
        let store = || format!("[store]\nurl = \"{}\"\nmax_connections = 8\n", (plan.database)());
        let consent = format!("{}{}\n", store(), plan.consent);
        cluster.serve("consent-svc", &vec![consent; plan.replicas]);
        let endpoints = cluster.services["consent-svc"].clone();
        for (name, secret) in [("audience-svc", "a"), ("suggest-svc", "s")] {
            let (store, secret) = (store(), secret.repeat(32));
            // Each replica asks another replica of consent-svc.
            let config = |consent: &String| {
                format!(
                    "{store}[consent]\nendpoint = \"{consent}\"\n\
                     [match_keys]\nsecret = \"{secret}\"\n"
                )
            };
            cluster.serve(name, &endpoints.iter().map(config).collect::<Vec<_>>());
        }
        let upstream = |(name, endpoints): (&&'static str, &Vec<String>)| {
            let name = name.trim_end_matches("-svc");
            format!("[upstreams.{name}]\nendpoints = {endpoints:?}\n")
        };
        let upstreams: String = cluster.services.iter().map(upstream).collect();
        cluster.spawn("gateway", &upstreams);
        cluster
    }

    pub(crate) fn gateway(&self) -> &str {
        &self.services["gateway"][0]
    }

    /// Migrates the store of a service and starts a process for each configuration.
    fn serve(&mut self, name: &'static str, configurations: &[String]) {
        self.migrate(name, &configurations[0]);
        for configuration in configurations {
            self.spawn(name, configuration);
        }
    }

    pub(crate) fn migrate(&self, name: &str, service: &str) {
        let file = self.configuration(name, service, ANY);
        let mut migrate = Command::new(service_binary(name));
        let done = migrate.arg("migrate").arg("--config").arg(file).output().unwrap();
        assert!(done.status.success(), "{name} migrate: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Starts a process and answers where it listens.
    pub(crate) fn spawn(&mut self, name: &'static str, service: &str) -> String {
        self.spawn_at(name, service, ANY)
    }

    /// The same, at this address.
    pub(crate) fn spawn_at(&mut self, name: &'static str, service: &str, address: &str) -> String {
        let file = self.configuration(name, service, address);
        let mut command = Command::new(service_binary(name));
        command.arg("--config").arg(file).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::spawn(&mut command);
        let told = process.told(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let admin = line["admin"].as_str()?.strip_prefix("Some(")?.strip_suffix(')')?;
            let address = line["address"].as_str()?;
            Some((format!("http://{address}"), format!("http://{admin}")))
        });
        let Some((address, metrics)) = told else {
            panic!("{name} ended: {}", String::from_utf8_lossy(&process.printed()));
        };
        self.processes.push(process);
        self.services.entry(name).or_default().push(address.clone());
        self.metrics.push(metrics);
        address
    }

    fn configuration(&self, name: &str, service: &str, address: &str) -> PathBuf {
        let (directory, key_id) = (self.directory.display(), &self.key_id);
        let telemetry = &self.telemetry;
        let text = format!(
            r#"{service}

            [server]
            address = "{address}"
            admin_address = "127.0.0.1:0"
            trust_request_id = {behind_the_gateway}

            [auth]
            jwks_file = "{directory}/development-jwks.json"
            service_key = "file:{directory}/development-key.pem"
            service_key_id = "{key_id}"

            [telemetry]
            log_format = "json"
            {telemetry}
            "#,
            behind_the_gateway = name != "gateway",
        );
        let file = self.directory.join(format!("{name}.toml"));
        std::fs::write(&file, text).unwrap();
        file
    }
}
