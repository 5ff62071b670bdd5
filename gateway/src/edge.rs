//! From the caller to the service that has the method, and back.
//!
//! By the time a request is here, the kit's layers have known the caller, checked that its role
//! may call the method, begun to watch the deadline, and seen that it is gRPC. Messages are not
//! looked at: their frames go through as they come, in both directions, each taken only when the
//! other side has room.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response, header::AUTHORIZATION, uri::PathAndQuery};
use proto::{
    errors::v1::Reason,
    gateway::v1::account_service_server::AccountServiceServer,
    status::{self},
};
use service_kit::layers::Call;
use tonic::Status;
use tower::Service;

use crate::{
    Body,
    grpc::AccountApi,
    headers,
    routes::{Route, Routes},
    upstream::{Outbound, Repeat, Upstream},
};

/// Answers every method of the public contract: forwards it, or hands it to the gateway's own
/// service.
#[derive(Clone)]
pub(crate) struct Edge {
    routes: Arc<Routes>,
    account: AccountServiceServer<AccountApi>,
}

impl Edge {
    pub(crate) fn new(routes: Routes, account: AccountServiceServer<AccountApi>) -> Self {
        Self { routes: Arc::new(routes), account }
    }
}

impl Service<Request<Body>> for Edge {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.routes.at(request.uri().path()) {
            Some(Route::Forward(upstream, path, repeat)) => {
                let (upstream, path, repeat) = (upstream.clone(), path.clone(), *repeat);
                Box::pin(async move {
                    let answer = forward(&upstream, path, repeat, request).await;
                    Ok(answer.unwrap_or_else(Status::into_http))
                })
            }
            Some(Route::Own) => {
                let answer = self.account.call(request);
                Box::pin(async move { Ok(answer.await?.map(Body::new)) })
            }
            None => {
                let status = status::status(Reason::MethodUnknown, "no such method here");
                Box::pin(std::future::ready(Ok(status.into_http())))
            }
        }
    }
}

#[allow(clippy::result_large_err)] // tonic's own error type
async fn forward(
    upstream: &Upstream,
    path: PathAndQuery,
    repeat: Repeat,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    // A caller known by its certificate alone would be taken for the gateway, whose certificate
    // the service sees.
    if !request.headers().contains_key(AUTHORIZATION) {
        return Err(status::status(Reason::TokenMissing, "the call carries no bearer token"));
    }
    let (parts, body) = request.into_parts();
    let call = Call::of(&parts.extensions).ok_or_else(outside_the_layers)?;
    let headers = || headers::forwarded(&parts.headers, call);
    let onward = Outbound { path, headers, body, repeat, deadline: call.deadline() };
    Ok(upstream.send(onward).await?.map(Body::new))
}

/// Every request here has passed the kit's layers; one that has not is a fault of ours.
pub(crate) fn outside_the_layers() -> Status {
    status::status(Reason::Internal, "internal error")
}
