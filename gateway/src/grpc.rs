//! `assent.gateway.v1.AccountService`: proto to use case and back, nothing else.

use futures::StreamExt as _;
use proto::{
    Checked,
    gateway::v1::{
        EraseAccountRequest, EraseAccountResponse, ExportAccountRequest, ExportAccountResponse,
        GetErasureRequest, GetErasureResponse, RegisterAccountRequest, RegisterAccountResponse,
        account_service_server::AccountService,
    },
};
use service_kit::{auth::ServiceToken, grpc::open, layers::Call};
use tonic::{Request, Response, Status, codegen::BoxStream};

use crate::{
    edge::outside_the_layers,
    erase_account::{erase_account, get_erasure},
    export_account::export_account,
    register_account::register_account,
    relay::OnBehalf,
    routes::Services,
};

/// The gateway's own methods.
#[derive(Clone)]
pub(crate) struct AccountApi {
    services: Services,
    /// With what the gateway shows the services who it is; none where its certificate does.
    token: Option<ServiceToken>,
}

impl AccountApi {
    pub(crate) fn new(services: Services, token: Option<ServiceToken>) -> Self {
        Self { services, token }
    }
}

#[tonic::async_trait]
impl AccountService for AccountApi {
    async fn register_account(
        &self,
        request: Request<RegisterAccountRequest>,
    ) -> Result<Response<RegisterAccountResponse>, Status> {
        let (caller, message) = begin(request)?;
        register_account(&self.services, &caller, message).await.map(Response::new)
    }

    async fn erase_account(
        &self,
        request: Request<EraseAccountRequest>,
    ) -> Result<Response<EraseAccountResponse>, Status> {
        let (caller, message) = begin(request)?;
        erase_account(&self.services, &caller, message).await.map(Response::new)
    }

    async fn get_erasure(
        &self,
        request: Request<GetErasureRequest>,
    ) -> Result<Response<GetErasureResponse>, Status> {
        let (caller, message) = begin(request)?;
        get_erasure(&self.services, &caller, message).await.map(Response::new)
    }

    async fn export_account(
        &self,
        request: Request<ExportAccountRequest>,
    ) -> Result<Response<BoxStream<ExportAccountResponse>>, Status> {
        let (caller, message) = begin(request)?;
        let (services, token) = (self.services.clone(), self.token.clone());
        let parts = export_account(services, caller, token, message.subject_id).await?;
        Ok(Response::new(parts.boxed()))
    }
}

/// For whom the services are to be asked, and what: only what the contract lets this caller ask,
/// about itself where it is an end user.
#[allow(clippy::result_large_err)] // tonic's own error type
fn begin<T: Checked>(request: Request<T>) -> Result<(OnBehalf, T), Status> {
    let call = Call::of(request.extensions()).ok_or_else(outside_the_layers)?;
    let caller = OnBehalf::of(request.metadata().as_ref(), call);
    let (_, message, bad) = open(request)?;
    bad.finish()?;
    Ok((caller, message))
}
