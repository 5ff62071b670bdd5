//! A gateway that answers what the test wants: for what a real one does rarely, or after hours.

use std::{collections::VecDeque, sync::Mutex};

use futures::stream;
use proto::gateway::v1::{
    account_service_server::{AccountService, AccountServiceServer},
    *,
};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{Request, Response, Status, codegen::BoxStream, transport::server::TcpIncoming};

/// Answers, one a call, in this order.
pub(super) type Answers<T> = Mutex<VecDeque<Result<T, Status>>>;

/// What it answers.
#[derive(Default)]
pub(super) struct Script {
    pub(super) erasures: Answers<GetErasureResponse>,
    /// The parts of one export.
    pub(super) export: Answers<ExportAccountResponse>,
}

/// A list of answers.
pub(super) fn answers<T>(answers: impl IntoIterator<Item = Result<T, Status>>) -> Answers<T> {
    Mutex::new(answers.into_iter().collect())
}

#[tonic::async_trait]
impl AccountService for Script {
    async fn register_account(
        &self,
        _: Request<RegisterAccountRequest>,
    ) -> Result<Response<RegisterAccountResponse>, Status> {
        Err(Status::unknown("not scripted"))
    }

    async fn erase_account(
        &self,
        _: Request<EraseAccountRequest>,
    ) -> Result<Response<EraseAccountResponse>, Status> {
        let next = self.erasures.lock().unwrap().pop_front().unwrap()?;
        Ok(Response::new(EraseAccountResponse { erasure: next.erasure }))
    }

    async fn get_erasure(
        &self,
        _: Request<GetErasureRequest>,
    ) -> Result<Response<GetErasureResponse>, Status> {
        self.erasures.lock().unwrap().pop_front().unwrap().map(Response::new)
    }

    async fn export_account(
        &self,
        _: Request<ExportAccountRequest>,
    ) -> Result<Response<BoxStream<ExportAccountResponse>>, Status> {
        let parts: Vec<_> = self.export.lock().unwrap().drain(..).collect();
        Ok(Response::new(Box::pin(stream::iter(parts))))
    }
}

/// Serves it until the task is dropped with its runtime; answers with its URL.
pub(super) async fn serve(script: Script) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tonic::transport::Server::builder()
        .add_service(AccountServiceServer::new(script))
        .serve_with_incoming(TcpIncoming::from(listener));
    (url, tokio::spawn(async move { serving.await.unwrap() }))
}
