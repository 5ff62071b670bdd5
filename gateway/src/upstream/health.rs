//! Asking an upstream whether it serves.

use std::sync::Arc;

use proto::status;
use tonic::Status;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::Upstream;
use crate::relay::Relay;

/// `Ok` when an endpoint of the upstream says that it serves. Endpoints that are down are connected
/// to again on this occasion.
pub(crate) async fn probe(upstream: Arc<Upstream>) -> Result<(), String> {
    upstream.revive();
    let mut client = HealthClient::new(Relay::anonymous(&upstream));
    let answer =
        client.check(HealthCheckRequest::default()).await.map_err(|status| describe(&status))?;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        other => Err(other.as_str_name().to_owned()),
    }
}

fn describe(status: &Status) -> String {
    let reason = status::reason(status).map_or("", |reason| reason.as_str_name());
    format!("{} {reason} {}", status.code(), status.message())
}
