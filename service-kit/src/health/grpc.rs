//! `grpc.health.v1.Health`, answered from [`Readiness`]: NOT_SERVING until ready and from the
//! beginning of a drain on.

use std::pin::Pin;

use futures::{Stream, stream};
use proto::{errors::v1::Reason, status};
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_server::{Health, HealthServer},
};

use super::{Readiness, readiness::State};

/// The health service of a process that serves `names`.
pub(crate) fn health_server(readiness: Readiness, names: Vec<String>) -> HealthServer<impl Health> {
    HealthServer::new(HealthService { readiness, names })
}

struct HealthService {
    readiness: Readiness,
    names: Vec<String>,
}

impl HealthService {
    /// A probe of that name answers for it (the gateway's services are elsewhere); else the empty
    /// name and the served services are as ready as the process.
    fn status(&self, state: &State, name: &str) -> Option<ServingStatus> {
        let served = || name.is_empty() || self.names.iter().any(|known| known == name);
        let serving = state.of(name).or_else(|| served().then(|| state.is_ready()))?;
        Some(if serving { ServingStatus::Serving } else { ServingStatus::NotServing })
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let state = self.readiness.subscribe();
        let status = self.status(&state.borrow(), &request.get_ref().service);
        let status =
            status.ok_or_else(|| status::status(Reason::RecordUnknown, "no such service here"))?;
        Ok(Response::new(response(status)))
    }

    type WatchStream =
        Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let name = request.into_inner().service;
        let this = Self { readiness: self.readiness.clone(), names: self.names.clone() };
        let start = Some((this.readiness.subscribe(), None));
        let changes = stream::unfold((this, name, start), |(this, name, now)| async move {
            let (mut news, last) = now?;
            loop {
                let (status, draining) = {
                    let state = news.borrow_and_update();
                    let status = this.status(&state, &name);
                    (status.unwrap_or(ServingStatus::ServiceUnknown), state.draining)
                };
                // A drain is the last news: a watcher must not hold the process up.
                let next = (!draining).then_some(());
                if last != Some(status) {
                    let next = next.map(|()| (news, Some(status)));
                    return Some((Ok(response(status)), (this, name, next)));
                }
                next?;
                news.changed().await.ok()?;
            }
        });
        Ok(Response::new(Box::pin(changes)))
    }
}
