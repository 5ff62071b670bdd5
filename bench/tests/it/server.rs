//! An artificial server, of which it is known what it does.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bench::client::{Connections, Unary};
use proto::consent::v1::{
    CheckRequest, CheckResponse, GetReceiptKeysRequest, GetReceiptKeysResponse,
    consent_service_server::{ConsentService, ConsentServiceServer},
};
use tokio::sync::Mutex;
use tonic::{
    Request, Response, Status,
    transport::server::{Server, TcpIncoming},
};

/// How long the server answers nobody.
pub(crate) const STALL: Duration = Duration::from_millis(400);

/// Answers `GetReceiptKeys` at once, except that its `stall_at`th call keeps itself and all after
/// it waiting for [`STALL`], once. Refuses every `Check`. Implements nothing else.
struct Artificial {
    stall_at: u64,
    calls: Arc<Mutex<u64>>,
}

#[tonic::async_trait]
impl ConsentService for Artificial {
    async fn get_receipt_keys(
        &self,
        _: Request<GetReceiptKeysRequest>,
    ) -> Result<Response<GetReceiptKeysResponse>, Status> {
        let mut calls = self.calls.lock().await;
        *calls += 1;
        if *calls == self.stall_at {
            tokio::time::sleep(STALL).await;
        }
        Ok(Response::new(GetReceiptKeysResponse::default()))
    }

    async fn check(&self, _: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        Err(Status::resource_exhausted("artificially"))
    }
}

/// Starts a server that stalls at a certain call.
pub(crate) fn start(stall_at: u64) -> SocketAddr {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = incoming.local_addr().unwrap();
    let service = ConsentServiceServer::new(Artificial { stall_at, calls: Arc::default() });
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    address
}

/// A call of a method of the artificial server, without a message's content.
pub(crate) fn call(method: &str) -> Unary {
    let path = format!("/assent.consent.v1.ConsentService/{method}");
    Unary::new(&path, &GetReceiptKeysRequest {}, None).unwrap()
}

/// Connections to it.
pub(crate) async fn connect(address: SocketAddr) -> Connections {
    Connections::open(address, 2).await.unwrap()
}
