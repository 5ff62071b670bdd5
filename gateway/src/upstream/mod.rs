//! The services behind the gateway: their endpoints, the connections kept open to them, and which
//! of them a call is sent on.

mod connection;
mod dial;
mod endpoint;
mod health;
mod open;
mod relayed;

use std::sync::Arc;

use http::{Request, Response, uri::PathAndQuery};
use hyper::body::Incoming;

pub(crate) use health::probe;
pub(crate) use relayed::{Relayed, is_grpc_type};

use crate::{Body, error::Error};
use connection::{Http2, Lease};
use dial::Target;
use endpoint::{Endpoint, Pool};

/// How often a call may find that the connection it was given has just ended, before the upstream
/// is called unreachable: something that takes connections only to drop them is not up.
const MAX_RETURNED: usize = 3;

/// A service behind the gateway.
pub(crate) struct Upstream {
    /// As callers and the log are told: `consent-svc`.
    name: &'static str,
    /// At least one.
    endpoints: Box<[Arc<Endpoint>]>,
}

impl Upstream {
    fn new(name: &'static str, endpoints: Vec<Endpoint>) -> Self {
        Self { name, endpoints: endpoints.into_iter().map(Arc::new).collect() }
    }

    /// Sends a request, whose URI may be a path alone, and gives the answer as it begins. Dropping
    /// the future, or the answer's body, cancels the call at the upstream.
    ///
    /// A request is tried on another endpoint, or connection, only while none of it has been sent.
    pub(crate) async fn send(
        &self,
        mut request: Request<Body>,
    ) -> Result<Response<Relayed>, Error> {
        let path = request.uri().path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        for _ in 0..=MAX_RETURNED {
            let (endpoint, lease) = self.lease().await?;
            *request.uri_mut() = endpoint.uri(path.clone());
            match lease.send(request).await {
                Ok(response) => return self.accept(response, lease),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(self.cut(error.into_error())),
                },
            }
        }
        Err(self.unreachable())
    }

    /// Connects every endpoint that is not, so that calls need not wait and one that was down is
    /// used again.
    pub(crate) fn revive(&self) {
        for endpoint in &self.endpoints {
            if !endpoint.is_connected() {
                drop(endpoint.attempt());
            }
        }
    }

    /// A connection of an endpoint, opened if need be. Endpoints that cannot be connected to are
    /// passed over, each tried once.
    async fn lease(&self) -> Result<(&Endpoint, Lease), Error> {
        let mut failed = Vec::new();
        while let Some(index) = self.pick(&failed) {
            let endpoint = &self.endpoints[index];
            if let Some(lease) = endpoint.lease() {
                return Ok((endpoint, lease));
            }
            if endpoint.attempt().await
                && let Some(lease) = endpoint.lease()
            {
                return Ok((endpoint, lease));
            }
            failed.push(index);
        }
        Err(self.unreachable())
    }

    /// The less busy of two endpoints that could be connected to when last tried; of the others
    /// only when there are none such. From a random one on, so that replicas of the gateway do
    /// not all begin with the first.
    fn pick(&self, failed: &[usize]) -> Option<usize> {
        let count = self.endpoints.len();
        let start = if count > 1 { rand::random_range(0..count) } else { 0 };
        let around = || (start..count).chain(0..start).filter(|index| !failed.contains(index));
        let mut up = around().filter(|index| !self.endpoints[*index].is_down());
        match (up.next(), up.next()) {
            (Some(one), Some(other)) => {
                let load = |index: usize| self.endpoints[index].load();
                Some(if load(other) < load(one) { other } else { one })
            }
            (one, _) => one.or_else(|| around().next()),
        }
    }

    fn accept(
        &self,
        response: Response<Incoming>,
        lease: Lease,
    ) -> Result<Response<Relayed>, Error> {
        if !relayed::is_grpc(&response) {
            return Err(Error::NotGrpc { upstream: self.name, status: response.status() });
        }
        Ok(response.map(|body| Relayed::new(body, lease, self.name)))
    }

    fn cut(&self, source: hyper::Error) -> Error {
        Error::Cut { upstream: self.name, source: Arc::new(source) }
    }

    fn unreachable(&self) -> Error {
        Error::Unreachable { upstream: self.name }
    }
}
