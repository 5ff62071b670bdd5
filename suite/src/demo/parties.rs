//! Who calls: one connection to the gateway, and a session with a token for each party.

use std::time::Duration;

use anyhow::Context;
use proto::options::v1::Role;
use service_kit::{
    auth::{Caller, Issuer},
    clock::Clock,
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

/// Long enough for any step of the demonstration.
const TOKEN_LIFETIME: Duration = Duration::from_hours(1);

/// A connection on which every call carries one party's token.
pub(crate) type Session = InterceptedService<Channel, Bearer>;

/// Adds a token to every call.
#[derive(Debug, Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// The gateway, and the means to call it as anybody.
#[derive(Debug)]
pub(crate) struct Parties {
    channel: Channel,
    issuer: Issuer,
    pub(crate) clock: Clock,
}

impl Parties {
    pub(crate) fn new(endpoint: &str, issuer: Issuer, clock: Clock) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(endpoint.to_owned())
            .with_context(|| format!("{endpoint} is not an address"))?
            .connect_timeout(Duration::from_secs(5))
            .http2_adaptive_window(true);
        Ok(Self { channel: endpoint.connect_lazy(), issuer, clock })
    }

    /// A session as this caller. Its token lasts an hour on the demonstration's clock.
    pub(crate) fn session(&self, caller: &Caller) -> anyhow::Result<Session> {
        let token = self.issuer.issue(caller, self.clock.now(), TOKEN_LIFETIME);
        let bearer = format!("Bearer {token}").parse().context("a token is plain text")?;
        Ok(InterceptedService::new(self.channel.clone(), Bearer(bearer)))
    }

    /// The messenger's back end.
    pub(crate) fn app(&self) -> anyhow::Result<Session> {
        self.session(&Caller::named(Role::App, "messenger"))
    }

    /// The platform's operator.
    pub(crate) fn admin(&self) -> anyhow::Result<Session> {
        self.session(&Caller::named(Role::Admin, "operator"))
    }

    /// The ad server.
    pub(crate) fn ad_server(&self) -> anyhow::Result<Session> {
        self.session(&Caller::named(Role::AdServer, "ad-server"))
    }

    /// One person's app.
    pub(crate) fn user(&self, subject_id: &str) -> anyhow::Result<Session> {
        self.session(&Caller::user(subject_id))
    }
}
