//! The four services as processes of their own, on PostgreSQL.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use serde_json::Value;

use crate::support::{Process, assent, service_binary};

/// An address on a port that is free.
const ANY: &str = "127.0.0.1:0";

/// How long processes may take until they are ready.
const PATIENCE: Duration = Duration::from_mins(1);

/// What differs from cluster to cluster.
pub(crate) struct Plan<'a> {
    /// How many processes each service has; there is one gateway.
    pub(crate) replicas: usize,
    /// Makes the URL of an empty database.
    pub(crate) database: &'a dyn Fn() -> String,
    /// What consent-svc is told besides.
    pub(crate) consent: &'a str,
    /// What the gateway is told besides.
    pub(crate) gateway: &'a str,
    /// Lines of every process's table `telemetry`.
    pub(crate) telemetry: &'a str,
    /// Whether everybody is called over TLS, by certificates that `ca.pem` in the directory stands
    /// for.
    pub(crate) tls: bool,
}

/// Processes of services, each with its configuration in one directory.
pub(crate) struct Cluster {
    directory: PathBuf,
    key_id: String,
    telemetry: String,
    pub(crate) tls: bool,
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
            tls: false,
            processes: Vec::new(),
            services: BTreeMap::new(),
            metrics: Vec::new(),
        }
    }

    /// Starts all of them.
    pub(crate) fn start(directory: &Path, plan: &Plan<'_>) -> Self {
        let mut cluster = Self::new(directory, plan.telemetry);
        if plan.tls {
            cluster.tls = true;
            write_certificates(directory);
        }
        let trust = cluster.trust();
        let store = || format!("[store]\nurl = \"{}\"\nmax_connections = 8\n", (plan.database)());
        let consent = format!("{}{}\n", store(), plan.consent);
        cluster.serve("consent-svc", &vec![consent; plan.replicas]);
        let endpoints = cluster.services["consent-svc"].clone();
        for (name, secret) in [("audience-svc", "a"), ("suggest-svc", "s")] {
            let (store, secret) = (store(), secret.repeat(32));
            // Each replica asks another replica of consent-svc.
            let config = |consent: &String| {
                format!(
                    "{store}[consent]\nendpoint = \"{consent}\"\n{trust}\
                     [match_keys]\nsecret = \"{secret}\"\n"
                )
            };
            cluster.serve(name, &endpoints.iter().map(config).collect::<Vec<_>>());
        }
        let upstream = |(name, endpoints): (&&'static str, &Vec<String>)| {
            let name = name.trim_end_matches("-svc");
            format!("[upstreams.{name}]\nendpoints = {endpoints:?}\n{trust}")
        };
        let upstreams: String = cluster.services.iter().map(upstream).collect();
        cluster.spawn("gateway", &format!("{}\n{upstreams}", plan.gateway));
        cluster
    }

    pub(crate) fn gateway(&self) -> &str {
        &self.services["gateway"][0]
    }

    /// Returns when every process says that it is ready.
    pub(crate) fn ready(&self) {
        let until = Instant::now() + PATIENCE;
        for url in &self.metrics {
            while !is_ready(url) {
                assert!(Instant::now() < until, "{url}/readyz does not say that it is ready");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// What a client of a process is told of the certificates.
    pub(crate) fn trust(&self) -> String {
        let file = self.directory.join("ca.pem");
        if self.tls { format!("ca_file = \"{}\"\n", file.display()) } else { String::new() }
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
        let mut command = Command::new(service_binary(name));
        command.arg("--config").arg(self.configuration(name, service, address));
        let (process, address, metrics) = self.launch(name, &mut command);
        self.processes.push(process);
        self.services.entry(name).or_default().push(address.clone());
        self.metrics.push(metrics);
        address
    }

    /// Starts a process by this command: where it listens, and where it tells its metrics.
    pub(crate) fn launch(&self, name: &str, command: &mut Command) -> (Process, String, String) {
        let mut process = Process::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let scheme = if self.tls { "https" } else { "http" };
        let told = process.told(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let admin = line["admin"].as_str()?.strip_prefix("Some(")?.strip_suffix(')')?;
            let address = line["address"].as_str()?;
            Some((format!("{scheme}://{address}"), format!("http://{admin}")))
        });
        let Some((address, metrics)) = told else {
            panic!("{name} ended: {}", String::from_utf8_lossy(&process.printed()));
        };
        (process, address, metrics)
    }

    pub(crate) fn configuration(&self, name: &str, service: &str, address: &str) -> PathBuf {
        let (directory, key_id) = (self.directory.display(), &self.key_id);
        let telemetry = &self.telemetry;
        let tls = if self.tls {
            format!(
                "[server.tls]\ncertificate = \"{directory}/server.pem\"\n\
                 key = \"{directory}/server.key\"\nreload_interval = \"1s\""
            )
        } else {
            String::new()
        };
        let text = format!(
            r#"{service}

            [server]
            address = "{address}"
            admin_address = "127.0.0.1:0"
            trust_request_id = {behind_the_gateway}
            {tls}

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

/// An authority, `ca.pem`, and a certificate of 127.0.0.1 that it has signed.
pub(crate) fn write_certificates(directory: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "the authority of a test");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let (mut params, key) = (CertificateParams::default(), KeyPair::generate().unwrap());
    params.distinguished_name.push(DnType::CommonName, "a process of a test");
    params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
    let certificate = params.signed_by(&key, &authority).unwrap();
    for (name, pem) in [
        ("ca.pem", authority.pem()),
        ("server.pem", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        std::fs::write(directory.join(name), pem).unwrap();
    }
}

/// Whether the process with this administration URL says so.
pub(crate) fn is_ready(url: &str) -> bool {
    let address = url.trim_start_matches("http://");
    let answer = || {
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    answer().is_ok_and(|answer: String| answer.split(' ').nth(1) == Some("200"))
}
