//! What a service is given to run with.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
};

use futures::FutureExt as _;
use opentelemetry::metrics::Meter;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    auth::{Authenticator, ServiceToken},
    clock::Clock,
    health::Readiness,
    telemetry::ServiceMetrics,
};

/// What a service is given to run with: nothing of it is global to the process, so that several
/// services can share one. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The service's name, as in `consent-svc`.
    pub name: &'static str,
    /// The only source of time.
    pub clock: Clock,
    /// Cancelled when draining begins: whoever reads a feed or answers with an endless stream
    /// ends it now, so that clients move to another replica.
    pub shutdown: CancellationToken,
    /// Cancelled when the last call has been answered: what calls depend on (a task that commits
    /// for them) stops only now.
    pub drained: CancellationToken,
    /// Where dependencies are registered that must answer before calls are taken.
    pub readiness: Readiness,
    /// Makes instruments; every metric carries the label `service`.
    pub meter: Meter,
    /// Tells who is calling.
    pub authenticator: Arc<Authenticator>,
    /// With what this process shows other services of Assent who it is; nothing where mutual TLS
    /// says so.
    pub service_token: Option<ServiceToken>,
    /// The largest message, for `max_decoding_message_size` of each generated server.
    pub max_message_bytes: usize,
    pub(crate) metrics: ServiceMetrics,
    /// The share of calls to trace; `None` when nothing is traced.
    pub(crate) trace_ratio: Option<f64>,
    /// Cancelled to make the service stop: draining follows.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) failed_task: Arc<OnceLock<&'static str>>,
}

impl Context {
    /// Runs a task beside the calls until it ends, which should be soon after
    /// [`Context::shutdown`] or [`Context::drained`].
    ///
    /// A task that panics stops the service with an error: half a service is worse than one that
    /// its supervisor restarts.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (failed, stop) = (self.failed_task.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!(task = name, "background task panicked, stopping");
                // The first failure is the one worth reporting.
                let _ = failed.set(name);
                stop.cancel();
            }
        });
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("name", &self.name).finish_non_exhaustive()
    }
}
