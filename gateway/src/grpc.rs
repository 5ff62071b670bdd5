//! `assent.gateway.v1.AccountService`: proto to use case and back, nothing else.

use proto::gateway::v1::{
    RegisterAccountRequest, RegisterAccountResponse, account_service_server::AccountService,
};
use service_kit::{grpc::open, layers::Call};
use tonic::{Request, Response, Status};

use crate::{
    edge::outside_the_layers, register_account::register_account, relay::OnBehalf, routes::Services,
};

/// The gateway's own methods.
#[derive(Clone)]
pub(crate) struct AccountApi {
    services: Services,
}

impl AccountApi {
    pub(crate) fn new(services: Services) -> Self {
        Self { services }
    }
}

#[tonic::async_trait]
impl AccountService for AccountApi {
    async fn register_account(
        &self,
        request: Request<RegisterAccountRequest>,
    ) -> Result<Response<RegisterAccountResponse>, Status> {
        let call = Call::of(request.extensions()).ok_or_else(outside_the_layers)?;
        let caller = OnBehalf::of(request.metadata().as_ref(), call);
        let (_, message, bad) = open(request)?;
        bad.finish()?;
        let registered = register_account(&self.services, &caller, message).await;
        registered.map(Response::new).map_err(|status| without_metadata(&status))
    }
}

/// An upstream's error as the gateway's own: its code, text and details, but not the headers it
/// came with.
fn without_metadata(status: &Status) -> Status {
    let details = status.details().to_vec().into();
    Status::with_details(status.code(), status.message(), details)
}
