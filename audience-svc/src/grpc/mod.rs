//! Between the contract and the domain, and nothing else.

mod audience;
mod business;
mod directory;
mod identifier;
mod parse;
mod registering;
mod shape;
mod stream;
mod targeting;
mod transparency;
mod upload;
mod usage;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::service::Service;

/// The contract's services, over one [`Service`].
#[derive(Debug, Clone)]
pub(crate) struct Grpc {
    service: Arc<Service>,
    /// Ends long streams, so that clients move to another replica.
    shutdown: CancellationToken,
}

impl Grpc {
    pub(crate) fn new(service: Arc<Service>, shutdown: CancellationToken) -> Self {
        Self { service, shutdown }
    }
}
