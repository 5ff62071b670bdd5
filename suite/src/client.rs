//! Commands that ask a running suite: where it is, and as whom.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use proto::options::v1::Role;
use service_kit::{
    auth::{Caller, Issuer},
    client::{ClientConfig, channel},
    clock::Clock,
};
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use crate::data::Data;

/// Signed anew for each call, so that a command can go on for days.
const TOKEN_LIFETIME: Duration = Duration::from_mins(5);

/// How to reach a suite that runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Connection {
    /// The gateway, as `assent serve` prints it; `https://` for TLS.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    endpoint: String,
    /// A PEM file with the authorities that its certificate is checked against; without one, the
    /// public web's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// A token to call it with. Without one, the development key in --data signs one.
    #[arg(long, env = "ASSENT_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// The directory of that suite, where its development key is.
    #[arg(long, value_name = "DIR", default_value = "assent-data")]
    data: PathBuf,
}

/// A connection, made when it is first used.
#[derive(Debug)]
pub(crate) struct Client {
    channel: Channel,
    endpoint: String,
    credentials: Credentials,
}

enum Credentials {
    Token(Bearer),
    Development(Box<Issuer>),
}

/// A connection on which every call carries a token.
pub(crate) type Session = InterceptedService<Channel, Bearer>;

/// Adds a token to every call.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Bearer {
    fn new(token: &str) -> anyhow::Result<Self> {
        let mut value: MetadataValue<Ascii> =
            format!("Bearer {token}").parse().context("that is not a token")?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

impl std::fmt::Debug for Bearer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bearer")
    }
}

impl Connection {
    /// The client that these describe.
    pub(crate) fn open(&self) -> anyhow::Result<Client> {
        let credentials = match &self.token {
            Some(token) => Credentials::Token(Bearer::new(token.trim())?),
            None => Credentials::Development(Box::new(self.development_issuer()?)),
        };
        let config = ClientConfig {
            endpoint: self.endpoint.clone(),
            ca_file: self.ca_file.clone(),
            ..ClientConfig::default()
        };
        let channel = channel(&config).context("--endpoint or --ca-file")?;
        Ok(Client { channel, endpoint: self.endpoint.clone(), credentials })
    }

    fn development_issuer(&self) -> anyhow::Result<Issuer> {
        // Nothing is made here: a key of our own would be refused.
        if !self.data.join(Data::DEVELOPMENT_KEY).exists() {
            bail!(
                "no suite has its development key in {}: give its directory with --data, or a \
                 token with --token or ASSENT_TOKEN",
                self.data.display()
            );
        }
        Data::open(&self.data)?.development_issuer()
    }
}

impl Client {
    /// Calls as an operator.
    pub(crate) fn admin(&self) -> anyhow::Result<Session> {
        let bearer = match &self.credentials {
            Credentials::Token(bearer) => bearer.clone(),
            Credentials::Development(issuer) => {
                let caller = Caller::named(Role::Admin, "operator");
                Bearer::new(&issuer.issue(&caller, Clock::system().now(), TOKEN_LIFETIME))?
            }
        };
        Ok(InterceptedService::new(self.channel.clone(), bearer))
    }

    /// What a failed call means for whoever is at the terminal.
    pub(crate) fn told(&self, status: &Status) -> anyhow::Error {
        let Self { endpoint, credentials, .. } = self;
        let reason =
            proto::status::reason(status).map_or("no reason given", |one| one.as_str_name());
        let said = format!("{} ({reason})", status.message());
        match (status.code(), credentials) {
            (Code::Unavailable, _) => {
                anyhow::anyhow!("{endpoint} does not answer; does it run, at --endpoint? {said}")
            }
            (Code::Unauthenticated, Credentials::Development(_)) => anyhow::anyhow!(
                "{endpoint} refuses the development key: --data must be the directory of that \
                 suite; where there is none, give a token with --token or ASSENT_TOKEN. {said}"
            ),
            (Code::Unauthenticated | Code::PermissionDenied, _) => {
                anyhow::anyhow!("a token with the role ADMIN is needed: {said}")
            }
            _ => anyhow::anyhow!(said),
        }
    }
}

/// Whether the same call may succeed a moment later.
pub(crate) fn is_passing(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Cancelled
    )
}
