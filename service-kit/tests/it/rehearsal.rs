//! A service to try the kit on: two services of the contract whose requests say what to do.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use proto::suggest::v1::{
    ExportSubjectDataRequest, ExportSubjectDataResponse, GetSpamRiskRequest, GetSpamRiskResponse,
    PutConnectionsRequest, PutConnectionsResponse, RemoveConnectionsRequest,
    RemoveConnectionsResponse, ReportSpamRequest, ReportSpamResponse,
    graph_service_client::GraphServiceClient,
    graph_service_server::{GraphService, GraphServiceServer},
    spam_service_client::SpamServiceClient,
    spam_service_server::{SpamService, SpamServiceServer},
};
use proto::{errors::v1::Reason, options::v1::Role};
use serde::{Deserialize, Serialize};
use service_kit::{
    auth::Caller,
    boot::{App, BootError, Edge, Process, Running, Service},
    clock::Clock,
    config::{Config, Secret, ServerConfig, Span},
    context::Context,
    layers::Call,
    test_util::TestKeys,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, codegen::BoxStream, transport::Channel};
use tonic_types::StatusExt as _;
use tower::ServiceExt as _;

/// What an unknown driver would say: must not reach a client.
pub(crate) const DRIVER_TEXT: &str = "password authentication failed for user postgres";

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RehearsalConfig {
    /// Readiness waits until this file is there.
    pub(crate) ready_file: String,
    /// Wraps an edge around the server, which marks every answer.
    pub(crate) edge: bool,
    pub(crate) secret: Secret,
    pub(crate) patience: Span,
    pub(crate) store: StoreKeys,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct StoreKeys {
    pub(crate) pool: u32,
}

pub(crate) struct Rehearsal;

impl Service for Rehearsal {
    const NAME: &'static str = "rehearsal-svc";
    type Config = RehearsalConfig;

    async fn build(ctx: &Context, config: RehearsalConfig) -> Result<App, BootError> {
        let file = config.ready_file;
        if !file.is_empty() {
            ctx.readiness.require("file", move || {
                let there = std::fs::metadata(&file).map(|_| ());
                async move { there }
            });
        }
        let handlers = Handlers { shutdown: ctx.shutdown.clone() };
        let limit = ctx.max_message_bytes;
        let app = App::new()
            .add(SpamServiceServer::new(handlers.clone()).max_decoding_message_size(limit))
            .add(GraphServiceServer::new(handlers).max_decoding_message_size(limit));
        if !config.edge {
            return Ok(app);
        }
        let takes = |request: &http::Request<_>| !request.headers().contains_key("x-no-edge");
        Ok(app.edge(takes, |server| {
            Edge::new(server.map_response(|mut answer| {
                answer.headers_mut().insert("x-edge", "passed".parse().unwrap());
                answer
            }))
        }))
    }

    async fn migrate(_config: &RehearsalConfig) -> Result<(), BootError> {
        Ok(())
    }
}

#[derive(Clone)]
struct Handlers {
    shutdown: CancellationToken,
}

#[tonic::async_trait]
impl SpamService for Handlers {
    async fn report_spam(
        &self,
        _request: Request<ReportSpamRequest>,
    ) -> Result<Response<ReportSpamResponse>, Status> {
        Ok(Response::new(ReportSpamResponse::default()))
    }

    async fn get_spam_risk(
        &self,
        request: Request<GetSpamRiskRequest>,
    ) -> Result<Response<GetSpamRiskResponse>, Status> {
        match request.get_ref().subject_id.as_str() {
            "never" => std::future::pending().await,
            "panic" => panic!("the handler panicked on purpose"),
            "traced" => {
                let parent = Call::current().unwrap().traceparent();
                let mut answer = Response::new(GetSpamRiskResponse::default());
                answer
                    .metadata_mut()
                    .insert("traceparent", parent.to_str().unwrap().parse().unwrap());
                Ok(answer)
            }
            "driver" => Err(Status::internal(DRIVER_TEXT)),
            "careless" => Err(proto::status::status(Reason::Internal, DRIVER_TEXT)),
            "unknown" => Err(proto::status::status(Reason::SubjectUnknown, "no such subject")),
            "deadline" => {
                let left = Call::current().unwrap().deadline() - tokio::time::Instant::now();
                let score = left.as_secs_f64();
                Ok(Response::new(GetSpamRiskResponse { score, ..Default::default() }))
            }
            _ => Ok(Response::new(GetSpamRiskResponse::default())),
        }
    }
}

#[tonic::async_trait]
impl GraphService for Handlers {
    /// Echoes each message's id; a message's connections are counted.
    async fn put_connections(
        &self,
        request: Request<Streaming<PutConnectionsRequest>>,
    ) -> Result<Response<BoxStream<PutConnectionsResponse>>, Status> {
        let answers = request.into_inner().map(|message| {
            let message = message?;
            let stored = u32::try_from(message.connections.len()).unwrap();
            let request_id = message.request_id;
            Ok(PutConnectionsResponse { request_id, stored, ..Default::default() })
        });
        Ok(Response::new(Box::pin(answers)))
    }

    /// Reads nothing of what it is sent, until the service stops.
    async fn remove_connections(
        &self,
        request: Request<Streaming<RemoveConnectionsRequest>>,
    ) -> Result<Response<BoxStream<RemoveConnectionsResponse>>, Status> {
        let shutdown = self.shutdown.clone();
        let end = async move {
            let _unread = request;
            shutdown.cancelled().await;
            Ok(RemoveConnectionsResponse::default())
        };
        Ok(Response::new(Box::pin(stream::once(end))))
    }

    /// One answer, and then what the subject says.
    async fn export_subject_data(
        &self,
        request: Request<ExportSubjectDataRequest>,
    ) -> Result<Response<BoxStream<ExportSubjectDataResponse>>, Status> {
        let subject = request.into_inner().subject_id;
        if subject == "flood" {
            let chunk = || Ok(ExportSubjectDataResponse::default());
            return Ok(Response::new(Box::pin(stream::repeat_with(chunk))));
        }
        let first = stream::once(async { Ok(ExportSubjectDataResponse::default()) });
        let rest = stream::once(async move {
            match subject.as_str() {
                "panic" => {
                    // So that the first answer is sent before.
                    tokio::task::yield_now().await;
                    panic!("the stream panicked on purpose")
                }
                "driver" => Err(Status::unknown(DRIVER_TEXT)),
                _ => std::future::pending().await,
            }
        });
        Ok(Response::new(Box::pin(first.chain(rest))))
    }
}

/// The service, running, and the keys that it believes.
pub(crate) struct Stage {
    pub(crate) running: Running,
    pub(crate) keys: TestKeys,
}

impl Stage {
    pub(crate) async fn open() -> Self {
        Self::with(ServerConfig::loopback()).await
    }

    pub(crate) async fn with(server: ServerConfig) -> Self {
        Self::with_service(server, RehearsalConfig::default()).await
    }

    pub(crate) async fn with_service(server: ServerConfig, service: RehearsalConfig) -> Self {
        let keys = TestKeys::new();
        let mut config = Config::<RehearsalConfig>::new(service);
        config.server = server;
        config.auth = keys.auth_config();
        let process = Process::quiet(Clock::system());
        let running = process.serve::<Rehearsal>(config).await.unwrap();
        Self { running, keys }
    }

    pub(crate) async fn channel(&self) -> Channel {
        channel(self.running.address()).await
    }

    pub(crate) fn token(&self, role: Role) -> String {
        let caller = match role {
            Role::User => Caller::user("somebody"),
            role => Caller::named(role, "rehearsal"),
        };
        self.keys.token(&caller)
    }

    /// A request of this role.
    pub(crate) fn request<T>(&self, role: Role, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", self.token(role)).parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        request
    }

    /// Asks for the risk of a subject, which says what happens.
    pub(crate) async fn risk(&self, subject: &str) -> Result<GetSpamRiskResponse, Status> {
        let mut client = SpamServiceClient::new(self.channel().await);
        let request = self.request(Role::App, risk_of(subject));
        client.get_spam_risk(request).await.map(Response::into_inner)
    }

    pub(crate) async fn graph(&self) -> GraphServiceClient<Channel> {
        GraphServiceClient::new(self.channel().await)
    }

    /// The status line and the body of an admin page.
    pub(crate) async fn admin(&self, path: &str) -> (u16, String) {
        get(self.running.admin_address().unwrap(), path).await
    }
}

pub(crate) fn risk_of(subject: &str) -> GetSpamRiskRequest {
    GetSpamRiskRequest { subject_id: subject.to_owned() }
}

pub(crate) async fn channel(address: std::net::SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// The status and the body of a page, in plain HTTP.
pub(crate) async fn get(address: std::net::SocketAddr, path: &str) -> (u16, String) {
    let (status, answer) = head(address, path).await;
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// The status and all of an answer over HTTP/1.1; 0 and nothing when it is not spoken.
pub(crate) async fn head(address: std::net::SocketAddr, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // What an HTTP/2 server says to this is not text, or an end.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or(0), answer)
}

/// The reason of an error, having checked that it is one of the contract's: one `ErrorInfo`, in
/// our domain, and the code that the contract gives the reason.
pub(crate) fn reason(status: &Status) -> Reason {
    let details = status.get_details_error_info();
    let info = details.unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "assent");
    let reason = Reason::from_str_name(&info.reason).unwrap();
    assert_eq!(status.code(), proto::status::code(reason), "{status:?}");
    reason
}

/// Waits for what happens on another task, without a fixed pause; fails after a while.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, check: impl Fn() -> F) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "never: {what}");
}
