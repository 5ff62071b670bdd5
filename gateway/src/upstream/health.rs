//! Asking whether an endpoint, or an upstream, serves.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response, uri::PathAndQuery};
use hyper::body::Incoming;
use proto::status;
use tokio::time::timeout;
use tonic::{Status, body::Body as TonicBody};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tower::Service;

use super::{Upstream, endpoint::Endpoint, replay::Outgoing};
use crate::Body;

/// How long an answer may take, beside connecting.
const LIMIT: Duration = Duration::from_secs(1);

/// `Ok` when an endpoint of the upstream says that it serves.
pub(crate) async fn probe(upstream: Arc<Upstream>) -> Result<(), String> {
    upstream.roster.heard().await;
    let mut why = "no address is known".to_owned();
    for endpoint in upstream.roster.by_preference() {
        match check(&endpoint).await {
            Ok(()) => return Ok(()),
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// `Ok` when the endpoint says that it serves.
pub(super) async fn check(endpoint: &Arc<Endpoint>) -> Result<(), String> {
    let mut client = HealthClient::new(Direct(endpoint.clone()));
    let asked = client.check(HealthCheckRequest::default());
    let answer = timeout(endpoint.connect_timeout() + LIMIT, asked).await;
    let answer = answer.map_err(|_| "no answer".to_owned())?.map_err(|status| describe(&status))?;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        other => Err(other.as_str_name().to_owned()),
    }
}

fn describe(status: &Status) -> String {
    let reason = status::reason(status).map_or("", |reason| reason.as_str_name());
    format!("{} {reason} {}", status.code(), status.message())
}

/// One endpoint, for a generated client. How its calls go is not held for or against it.
struct Direct(Arc<Endpoint>);

impl Service<Request<TonicBody>> for Direct {
    type Response = Response<Incoming>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<TonicBody>) -> Self::Future {
        let endpoint = self.0.clone();
        let mut request = request.map(|body| Outgoing::Once(Body::new(body)));
        Box::pin(async move {
            let lease = match endpoint.lease() {
                Some(lease) => Some(lease),
                None if endpoint.attempt().0.await => endpoint.lease(),
                None => None,
            };
            let lease = lease.ok_or_else(|| Status::unavailable("cannot be connected to"))?;
            let path = request.uri().path_and_query().cloned();
            let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
            *request.uri_mut() = lease.uri(path);
            let sent = lease.send(request).await;
            sent.map_err(|error| Status::unavailable(error.into_error().to_string()))
        })
    }
}
