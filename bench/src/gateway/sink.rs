//! The service behind: it has all layers of a service of Assent, and its methods do next to
//! nothing, so that what is measured is the way to it.

use std::time::Duration;

use futures::StreamExt;
use proto::{
    audience::v1::{
        AppendUploadRequest, AppendUploadResponse,
        audience_service_server::{AudienceService, AudienceServiceServer},
    },
    consent::v1::{
        GetReceiptKeysRequest, GetReceiptKeysResponse, WithdrawRequest, WithdrawResponse,
        consent_service_server::{ConsentService, ConsentServiceServer},
    },
};
use serde::{Deserialize, Serialize};
use service_kit::{
    boot::{App, BootError, Service},
    config::Span,
    context::Context,
};
use tonic::{Request, Response, Status, Streaming, codegen::BoxStream};

/// Bytes of a digest in a packed batch.
const DIGEST: usize = 32;

/// What it is told.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SinkConfig {
    /// Which replica this is: it says so in every acknowledgement, as `rows_duplicate`.
    pub replica: u32,
    /// How long a write or a batch takes it, so that there always are some in its hands. Default
    /// none.
    pub work: Span,
}

/// The service.
#[derive(Debug, Clone, Copy)]
pub struct Sink {
    replica: u32,
    work: Duration,
}

impl Sink {
    async fn work(self) {
        if !self.work.is_zero() {
            tokio::time::sleep(self.work).await;
        }
    }

    async fn acknowledge(self, batch: AppendUploadRequest) -> AppendUploadResponse {
        self.work().await;
        AppendUploadResponse {
            batch_number: batch.batch_number,
            rows_received: u32::try_from(batch.packed_sha256.len() / DIGEST).unwrap_or(u32::MAX),
            rows_duplicate: self.replica,
            ..Default::default()
        }
    }
}

impl Service for Sink {
    const NAME: &'static str = "bench-sink";
    type Config = SinkConfig;

    async fn build(ctx: &Context, config: SinkConfig) -> Result<App, BootError> {
        let sink = Self { replica: config.replica, work: config.work.get() };
        let consent = ConsentServiceServer::new(sink);
        let audience = AudienceServiceServer::new(sink);
        Ok(App::new()
            .add(consent.max_decoding_message_size(ctx.max_message_bytes))
            .add(audience.max_decoding_message_size(ctx.max_message_bytes)))
    }

    async fn migrate(_: &SinkConfig) -> Result<(), BootError> {
        Ok(())
    }
}

#[tonic::async_trait]
impl ConsentService for Sink {
    async fn get_receipt_keys(
        &self,
        _: Request<GetReceiptKeysRequest>,
    ) -> Result<Response<GetReceiptKeysResponse>, Status> {
        Ok(Response::new(GetReceiptKeysResponse::default()))
    }

    async fn withdraw(
        &self,
        _: Request<WithdrawRequest>,
    ) -> Result<Response<WithdrawResponse>, Status> {
        self.work().await;
        Ok(Response::new(WithdrawResponse::default()))
    }
}

#[tonic::async_trait]
impl AudienceService for Sink {
    async fn append_upload(
        &self,
        request: Request<Streaming<AppendUploadRequest>>,
    ) -> Result<Response<BoxStream<AppendUploadResponse>>, Status> {
        let sink = *self;
        let answers = request.into_inner().then(move |batch| async move {
            let batch = batch?;
            Ok(sink.acknowledge(batch).await)
        });
        Ok(Response::new(Box::pin(answers)))
    }
}
