//! The gateway's own calls to upstreams, through generated clients.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, Request, Response, header::AUTHORIZATION, uri::PathAndQuery};
use proto::contract;
use service_kit::{auth::ServiceToken, layers::Call};
use tokio::time::Instant;
use tonic::{Status, body::Body as TonicBody};
use tower::Service;

use crate::{
    Body, headers,
    upstream::{Outbound, Relayed, Repeat, Upstream},
};

/// For whom the gateway calls: the caller, by its own token, and the call it is made for.
#[derive(Clone)]
pub(crate) struct OnBehalf {
    headers: HeaderMap,
    deadline: Instant,
}

impl OnBehalf {
    /// Of the caller with these headers.
    pub(crate) fn of(given: &HeaderMap, call: &Call) -> Self {
        Self { headers: headers::of_caller(given, call), deadline: call.deadline() }
    }

    /// The same call in the gateway's own name, for INTERNAL methods: by its token, or by its
    /// certificate alone where it has none. Whether the caller may have what is asked for so was
    /// decided before.
    pub(crate) fn in_own_name(&self, token: Option<&ServiceToken>) -> Self {
        let mut headers = self.headers.clone();
        match token {
            Some(token) => headers.insert(AUTHORIZATION, token.bearer()),
            None => headers.remove(AUTHORIZATION),
        };
        Self { headers, deadline: self.deadline }
    }
}

/// An upstream, for a generated client (`ConsentServiceClient::new(relay)`).
#[derive(Clone)]
pub(crate) struct Relay {
    upstream: Arc<Upstream>,
    caller: OnBehalf,
}

impl Relay {
    pub(crate) fn on_behalf(upstream: &Arc<Upstream>, caller: &OnBehalf) -> Self {
        Self { upstream: upstream.clone(), caller: caller.clone() }
    }
}

impl Service<Request<TonicBody>> for Relay {
    type Response = Response<Relayed>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<TonicBody>) -> Self::Future {
        let Self { upstream, caller } = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let path = parts.uri.path_and_query().cloned();
            let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
            let repeat = contract::method(path.path()).map_or(Repeat::Never, Repeat::of);
            let headers = || {
                let mut headers = parts.headers.clone();
                headers.extend(caller.headers.clone());
                headers.insert(headers::GRPC_TIMEOUT, headers::time_left(caller.deadline));
                headers
            };
            let body = Body::new(body);
            let call = Outbound { path, headers, body, repeat, deadline: caller.deadline };
            upstream.send(call).await.map_err(Status::from)
        })
    }
}
