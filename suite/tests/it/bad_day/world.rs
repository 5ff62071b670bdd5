//! Processes of all services on PostgreSQL and Redis of their own, and the network between them.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use service_kit::test_util::{Postgres, Proxy, Redis, Way};
use tempfile::TempDir;
use tokio::task::block_in_place;

use crate::{
    cluster::{Cluster, is_ready, write_certificates},
    support::{Process, service_binary, signal},
};

/// The services behind the gateway, each after those that it calls.
pub(super) const SERVICES: [&str; 3] = ["consent-svc", "audience-svc", "suggest-svc"];

const ANY: &str = "127.0.0.1:0";

/// How long a process may take until it is ready, or ends: this machine may be busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// One process of a service, and the link by which the gateway calls it.
pub(super) struct Replica {
    process: Process,
    address: SocketAddr,
    link: Proxy,
}

/// All processes of a service.
pub(super) struct Service {
    name: &'static str,
    config: String,
    environment: Vec<(String, String)>,
    pub(super) replicas: Vec<Replica>,
    /// By which the other services call it: whichever replica takes connections.
    front: Proxy,
}

/// Everything that runs. Processes end first.
pub(super) struct World {
    gateway: Option<(Process, String)>,
    pub(super) services: Vec<Service>,
    pub(super) cluster: Cluster,
    pub(super) postgres: Postgres,
    pub(super) redis: Redis,
    /// The way to the database, and to Redis.
    pub(super) database: Proxy,
    pub(super) cache: Proxy,
    pub(super) directory: TempDir,
}

impl World {
    /// So many processes of each service, one gateway.
    pub(super) async fn start(replicas: usize) -> Self {
        Self::start_in(replicas, None, &[]).await
    }

    /// The same; over TLS if there is a directory with another authority, which is believed, too.
    /// Every process gets these variables besides.
    pub(super) async fn start_in(
        replicas: usize,
        authority: Option<&Path>,
        environment: &[(String, String)],
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (postgres, redis) = block_in_place(|| (Postgres::start(), Redis::start()));
        let database = Proxy::start(host(&postgres.database())).await.unwrap();
        let cache = Proxy::start(host(&redis.url())).await.unwrap();
        let mut cluster = Cluster::new(directory.path(), "");
        if let Some(other) = authority {
            cluster.tls = true;
            write_certificates(directory.path());
            let known = directory.path().join("ca.pem");
            let both = [&known, &other.join("ca.pem")].map(|file| std::fs::read(file).unwrap());
            std::fs::write(known, both.concat()).unwrap();
        }
        let mut world = Self {
            gateway: None,
            services: Vec::new(),
            cluster,
            postgres,
            redis,
            database,
            cache,
            directory,
        };
        for name in SERVICES {
            world.add(name, replicas, environment).await;
        }
        let trust = world.cluster.trust();
        let scheme = world.scheme();
        let mut upstreams = String::new();
        for service in &world.services {
            let links =
                service.replicas.iter().map(|one| format!("{scheme}://{}", one.link.address));
            let links: Vec<_> = links.collect();
            let name = service.name.trim_end_matches("-svc");
            writeln!(upstreams, "[upstreams.{name}]\nendpoints = {links:?}\n{trust}").unwrap();
        }
        let config = format!("[quota]\nenabled = false\n{upstreams}");
        let file = world.cluster.configuration("gateway", &config, ANY);
        let mut command = Command::new(service_binary("gateway"));
        command.arg("--config").arg(file).envs(environment.iter().cloned());
        let (process, url, metrics) =
            block_in_place(|| world.cluster.launch("gateway", &mut command));
        block_in_place(|| until_ready(&metrics));
        world.gateway = Some((process, url));
        world
    }

    /// Where callers call.
    pub(super) fn url(&self) -> &str {
        &self.gateway.as_ref().unwrap().1
    }

    /// Everything but the database.
    pub(super) fn processes(&self) -> Vec<u32> {
        let replicas = self.services.iter().flat_map(|service| &service.replicas);
        let mut ids: Vec<_> = replicas.map(|one| one.process.id()).collect();
        ids.extend(self.gateway.iter().map(|(process, _)| process.id()));
        ids.push(self.redis.pid());
        ids
    }

    fn scheme(&self) -> &'static str {
        if self.cluster.tls { "https" } else { "http" }
    }

    async fn add(&mut self, name: &'static str, replicas: usize, environment: &[(String, String)]) {
        let url = self.postgres.database();
        let store = url.replace(&host(&url).to_string(), &self.database.address.to_string());
        let own = if name == "consent-svc" {
            format!("[cache]\nredis = [\"redis://{}/0\"]\n", self.cache.address)
        } else {
            let consent = &self.services[0].front;
            let secret = &name[..1].repeat(32);
            format!(
                "[consent]\nendpoint = \"{}://{}\"\n{}[match_keys]\nsecret = \"{secret}\"\n{}",
                self.scheme(),
                consent.address,
                self.cluster.trust(),
                if name == "suggest-svc" { "[blocks]\nmax_per_person = 100000\n" } else { "" },
            )
        };
        let config = format!("[store]\nurl = \"{store}\"\nmax_connections = 8\n{own}");
        block_in_place(|| self.cluster.migrate(name, &config));
        let front = Proxy::start(host(&url)).await.unwrap();
        let mut service = Service {
            name,
            config,
            environment: environment.to_vec(),
            replicas: Vec::new(),
            front,
        };
        for _ in 0..replicas {
            let (process, address) = block_in_place(|| service.spawn(&self.cluster));
            let link = Proxy::start(address).await.unwrap();
            service.replicas.push(Replica { process, address, link });
        }
        service.balance();
        self.services.push(service);
    }
}

impl Service {
    /// Starts a process of it, which is ready then.
    fn spawn(&self, cluster: &Cluster) -> (Process, SocketAddr) {
        let file = cluster.configuration(self.name, &self.config, ANY);
        let mut command = Command::new(service_binary(self.name));
        command.arg("--config").arg(file).envs(self.environment.iter().cloned());
        let (process, url, metrics) = cluster.launch(self.name, &mut command);
        until_ready(&metrics);
        (process, host(&url))
    }

    fn balance(&self) {
        self.front.balance(self.replicas.iter().map(|replica| replica.address).collect());
    }

    /// Asks a replica to end, and waits until it has: it ends well.
    pub(super) fn terminate(&mut self, replica: usize) {
        block_in_place(|| {
            let process = &mut self.replicas[replica].process;
            process.terminate();
            let status = process.wait();
            assert!(status.success(), "{}: {status}", self.name);
        });
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, replica: usize) {
        block_in_place(|| self.replicas[replica].process.kill());
    }

    /// Starts another process in a replica's place. Returns when it is ready.
    pub(super) fn start_again(&mut self, replica: usize, cluster: &Cluster) {
        let (process, address) = block_in_place(|| self.spawn(cluster));
        let replica = &mut self.replicas[replica];
        replica.link.switch(address);
        (replica.process, replica.address) = (process, address);
        self.balance();
    }

    /// The process stands still (`STOP`), or goes on (`CONT`).
    pub(super) fn signal(&self, name: &str) {
        let processes: Vec<_> = self.replicas.iter().map(|one| one.process.id()).collect();
        block_in_place(|| signal(name, &processes));
    }

    /// Each answer of it comes this much later.
    pub(super) fn slow(&self, by: Duration) {
        for link in self.replicas.iter().map(|one| &one.link).chain([&self.front]) {
            slow(link, by);
        }
    }

    /// All connections to it end, in the middle of whatever they carry.
    pub(super) fn cut(&self) {
        for link in self.replicas.iter().map(|one| &one.link).chain([&self.front]) {
            link.cut();
        }
    }

    /// Answers come as they should.
    pub(super) fn heal(&self) {
        for link in self.replicas.iter().map(|one| &one.link).chain([&self.front]) {
            link.heal();
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }
}

/// Each answer through a link comes this much later.
pub(super) fn slow(link: &Proxy, by: Duration) {
    link.set(Way::Open, Way::Slow(by), false);
}

/// All processes of a server stand still (`STOP`), or go on (`CONT`).
pub(super) fn signal_family(name: &str, parent: u32) {
    // The parent first: it starts no more of them then.
    block_in_place(|| {
        signal(name, &[parent]);
        let listed = Command::new("ps")
            .args(["-o", "pid=", "--ppid", &parent.to_string()])
            .output()
            .unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        let children: Vec<_> = listed.split_whitespace().map(|id| id.parse().unwrap()).collect();
        if !children.is_empty() {
            signal(name, &children);
        }
    });
}

fn until_ready(metrics: &str) {
    let until = Instant::now() + PATIENCE;
    while !is_ready(metrics) {
        assert!(Instant::now() < until, "{metrics}/readyz does not say that it is ready");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Host and port in a URL.
pub(super) fn host(url: &str) -> SocketAddr {
    let rest = url.split_once("://").unwrap().1;
    let rest = rest.split_once('@').map_or(rest, |(_, rest)| rest);
    rest.split('/').next().unwrap().parse().unwrap()
}
