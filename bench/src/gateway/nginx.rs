//! nginx in the gateway's place: the same calls to the same service, by `grpc_pass`.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    Result,
    svc::{Kept, children},
};

/// How long it may take until it listens.
const START: Duration = Duration::from_secs(10);

/// How many ports are tried: between choosing one and using it, another process may take it.
const PORTS: usize = 5;

/// Idle connections to the service that each worker keeps: nginx has one call on each at a time,
/// so there must be as many as there are callers.
const KEPT_UPSTREAM: usize = 1024;

/// A running nginx, with a configuration of its own. Ended when this is dropped.
pub(super) struct Nginx {
    pub(super) address: SocketAddr,
    kept: Kept,
    _directory: TempDir,
}

impl Nginx {
    /// Starts it in front of a service, and waits until it listens.
    pub(super) fn start(service: SocketAddr) -> Result<Self> {
        let program = program()?;
        let directory = tempfile::Builder::new().prefix("assent-bench-nginx-").tempdir()?;
        let file = directory.path().join("nginx.conf");
        let version = Command::new(&program).arg("-v").output()?.stderr;
        eprintln!("{}: {}", String::from_utf8_lossy(&version).trim(), file.display());
        let mut said = String::new();
        for _ in 0..PORTS {
            let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
            fs::write(&file, configuration(directory.path(), address, service))?;
            let mut command = Command::new(&program);
            command.arg("-p").arg(directory.path()).arg("-e").arg(log(directory.path()));
            // TERM, since workers do not notice that their master was killed.
            let (kept, _) = Kept::start_until(command.arg("-c").arg(&file), "TERM")?;
            if listens(&kept, address) {
                return Ok(Self { address, kept, _directory: directory });
            }
            said = fs::read_to_string(log(directory.path())).unwrap_or_default();
        }
        Err(format!("nginx did not start: {said}").into())
    }

    /// Its processes: a master and its workers.
    pub(super) fn processes(&self) -> Result<Vec<u32>> {
        let mut all = children(self.kept.id())?;
        all.push(self.kept.id());
        Ok(all)
    }
}

/// Debian has it where only root looks for programs.
fn program() -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    places.find_map(|place| Some(place.join("nginx")).filter(|file| file.is_file())).ok_or_else(
        || {
            "there is no nginx to compare with: install the Debian package nginx-light, or put an \
             nginx with HTTP/2 and gRPC in PATH"
                .into()
        },
    )
}

fn log(directory: &Path) -> PathBuf {
    directory.join("error.log")
}

fn listens(nginx: &Kept, address: SocketAddr) -> bool {
    let until = Instant::now() + START;
    while !nginx.has_ended() && Instant::now() < until {
        if TcpStream::connect(address).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    false
}

/// Tuned for this: connections to the service are kept, nothing is written per call, nothing is
/// limited that ours does not limit, and streams are as many as ours allows. Each worker listens
/// on its own (`reuseport`), so that connections are not taken by whoever wakes up first.
fn configuration(directory: &Path, address: SocketAddr, service: SocketAddr) -> String {
    let directory = directory.display();
    // Of root's nginx, workers would be `nobody`, who may not write here; others cannot say.
    let user = if is_root() { "user root;" } else { "" };
    format!(
        r"daemon off;
{user}
worker_processes auto;
worker_rlimit_nofile 20000;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{
    worker_connections 16384;
    multi_accept on;
}}
http {{
    access_log off;
    server_tokens off;
    tcp_nodelay on;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_max_body_size 0;
    http2_max_concurrent_streams 1024;
    http2_body_preread_size 1m;
    upstream service {{
        server {service};
        keepalive {KEPT_UPSTREAM};
        keepalive_requests 1000000000;
        keepalive_timeout 1h;
    }}
    server {{
        listen {address} http2 reuseport backlog=4096;
        location / {{
            grpc_pass grpc://service;
            grpc_socket_keepalive on;
            grpc_read_timeout 1h;
            grpc_send_timeout 1h;
        }}
    }}
}}
"
    )
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
