//! The processes under measurement: services, gateways, each a process of its own.

use std::{fmt::Write as _, fs, net::SocketAddr, path::Path};

use proto::consent::v1::{GetReceiptKeysRequest, WithdrawRequest};
use service_kit::auth::Caller;
use tempfile::TempDir;
use tokio::task::block_in_place;
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use crate::{
    Result,
    client::{Connections, Unary},
    recorder::Outcome,
    svc::{Keys, Program, SHARE, Service, request_id},
};

/// Where every free port will do.
pub(super) const ANY: &str = "127.0.0.1:0";

/// Read-only, any role may call it, and its request is empty.
const METHOD: &str = "/assent.consent.v1.ConsentService/GetReceiptKeys";

/// Where the gateway counts calls against quotas. It always authenticates: that cannot be turned
/// off, and a token that was verified before is a hash look-up.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Quotas<'a> {
    /// In its memory, as without further configuration.
    Memory,
    /// In the Redis at this URL.
    Redis(&'a str),
    /// Not at all.
    Off,
}

impl Quotas<'_> {
    /// The table of the gateway's configuration. What is measured with comes under few names, and
    /// must not be refused.
    fn table(self) -> String {
        let place = match self {
            Self::Memory => String::new(),
            Self::Redis(url) => format!("redis_url = \"{url}\"\n"),
            Self::Off => return "[quota]\nenabled = false\n".to_owned(),
        };
        let all = "{ rate = 1e6, burst = 1000000 }";
        let mut table = format!("[quota]\n{place}");
        for role in ["app", "business"] {
            // A String takes everything.
            let _ = writeln!(
                table,
                "[quota.{role}]\nmax_in_progress = 100000\n\
                 read = {all}\nwrite = {all}\nbulk = {all}"
            );
        }
        table
    }
}

/// Keys, and a directory for configurations.
pub(super) struct Stage {
    pub(super) keys: Keys,
    directory: TempDir,
}

impl Stage {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { keys: Keys::new()?, directory: tempfile::tempdir()? })
    }

    /// Starts a service that does next to nothing; `config` is its own.
    pub(super) fn sink(&self, address: &str, config: &str) -> Result<Service> {
        let head = head(&self.keys, address, "trust_request_id = true");
        let file = self.directory.path().join("sink.toml");
        fs::write(&file, format!("{config}\n{head}"))?;
        start("serve-sink", &file)
    }

    /// Starts a gateway in front of replicas of one service, which stands for all of them.
    pub(super) fn gateway(&self, service: &[SocketAddr], quotas: Quotas<'_>) -> Result<Service> {
        gateway(&self.keys, self.directory.path(), service, quotas)
    }

    /// A call that reads nothing.
    pub(super) fn read(&self) -> Result<Unary> {
        Unary::new(METHOD, &GetReceiptKeysRequest {}, Some(&self.keys.app))
    }

    /// A call that writes nothing.
    pub(super) fn write(&self) -> Result<Unary> {
        let message = WithdrawRequest {
            request_id: request_id("withdraw"),
            subject_id: "subject".to_owned(),
            purpose_ids: vec![SHARE.to_owned()],
        };
        Unary::new("/assent.consent.v1.ConsentService/Withdraw", &message, Some(&self.keys.app))
    }

    /// A business, which may upload.
    pub(super) fn business(&self) -> Result<Bearer> {
        let token = self.keys.token(&Caller::business("bench-business", "bench-business"));
        Ok(Bearer(format!("Bearer {token}").parse()?))
    }
}

/// Somebody who calls.
#[derive(Debug, Clone)]
pub(super) struct Bearer(MetadataValue<Ascii>);

impl Bearer {
    /// The message with the token.
    pub(super) fn says<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.0.clone());
        request
    }
}

/// Starts a gateway that believes these keys, in front of replicas of one service, which stands
/// for all of them. `directory` gets its configuration.
pub(crate) fn gateway(
    keys: &Keys,
    directory: &Path,
    service: &[SocketAddr],
    quotas: Quotas<'_>,
) -> Result<Service> {
    // More than it shall have, so that what is counted is what it costs to have them.
    let mut text = head(keys, ANY, "max_connections = 20000");
    text.push_str(&quotas.table());
    let endpoints: Vec<_> = service.iter().map(|address| format!("http://{address}")).collect();
    for upstream in ["consent", "audience", "suggest"] {
        writeln!(text, "[upstreams.{upstream}]\nendpoints = {endpoints:?}")?;
    }
    let file = directory.join("gateway.toml");
    fs::write(&file, text)?;
    start("serve-gateway", &file)
}

/// The tables that every process has.
fn head(keys: &Keys, address: &str, server: &str) -> String {
    let (key, key_id) = keys.service_key();
    format!(
        "[server]\naddress = \"{address}\"\nadmin_address = \"{ANY}\"\n{server}\n\
         [auth]\njwks_file = \"{}\"\nservice_key = \"file:{}\"\nservice_key_id = \"{key_id}\"\n\
         [telemetry]\nlog_format = \"json\"\n",
        keys.jwks_file().display(),
        key.display()
    )
}

fn start(command: &str, config: &Path) -> Result<Service> {
    let program = Program::this(command)?;
    block_in_place(|| {
        let service = Service::start(&program, config, None)?;
        service.wait_until_ready()?;
        Ok(service)
    })
}

/// A connection for a generated client.
pub(super) async fn channel(address: SocketAddr) -> Result<Channel> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?.connect().await?)
}

/// A place where the same calls can be made: the service itself, or what stands before it.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) name: &'static str,
    /// The processes that stand here, for their processor time.
    pub(super) processes: Vec<u32>,
    connections: Connections,
    unary: Unary,
}

impl Place {
    pub(super) async fn open(
        name: &'static str,
        address: SocketAddr,
        processes: Vec<u32>,
        connections: u16,
        unary: Unary,
    ) -> Result<Self> {
        let connections = Connections::open(address, connections.into()).await?;
        Ok(Self { name, processes, connections, unary })
    }

    pub(super) fn call(&self, number: u64) -> impl Future<Output = Outcome> + Send + use<> {
        self.connections.call(number, &self.unary)
    }
}
