//! Where processes send their telemetry, for tests.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    response::IntoResponse,
};
use hyper::server::conn::http2;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use tokio::net::TcpListener;

/// What was sent: path and message.
type Exports = Arc<Mutex<Vec<(String, Bytes)>>>;

/// An OTLP collector (gRPC) that keeps what it is sent, until the runtime ends.
#[derive(Debug)]
pub struct Collector {
    url: String,
    exports: Exports,
}

impl Collector {
    /// Listens on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub async fn start() -> Self {
        let exports = Exports::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let router = Router::new().fallback(keep).layer(DefaultBodyLimit::disable());
        let router = router.with_state(exports.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(router.clone());
                tokio::spawn(async move {
                    let server = http2::Builder::new(TokioExecutor::new());
                    // A connection that breaks is the sender's matter.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url: format!("http://{address}"), exports }
    }

    /// For `telemetry.otlp_endpoint`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What came so far: the method's path and the message, in the order of arrival.
    pub fn exports(&self) -> Vec<(String, Bytes)> {
        self.exports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn keep(
    State(exports): State<Exports>,
    uri: http::Uri,
    body: Bytes,
) -> impl IntoResponse + use<> {
    let export = (uri.path().to_owned(), body);
    exports.lock().unwrap_or_else(PoisonError::into_inner).push(export);
    // An empty message, and the status where an answer without trailers has it.
    tonic::Status::new(tonic::Code::Ok, "").into_http::<axum::body::Body>()
}
