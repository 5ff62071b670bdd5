//! Calls to other services: what they carry, and when they end.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use futures::StreamExt as _;
use http::HeaderMap;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use proto::{
    errors::v1::Reason,
    options::v1::Role,
    suggest::v1::{
        ExportSubjectDataRequest, GetSpamRiskRequest, GetSpamRiskResponse, ReportSpamRequest,
        ReportSpamResponse,
        graph_service_client::GraphServiceClient,
        spam_service_client::SpamServiceClient,
        spam_service_server::{SpamService, SpamServiceServer},
    },
};
use serde::{Deserialize, Serialize};
use service_kit::{
    auth::{AuthConfig, Authenticator, Caller, ServiceToken},
    boot::{App, BootError, Process, Service},
    client::{ClientConfig, Upstream, connect, failed},
    clock::Clock,
    config::{Config, ServerConfig},
    context::Context,
    test_util::TestKeys,
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, body::Body};

use crate::rehearsal::{Stage, channel, reason, risk_of};

/// A service that shows the headers of its calls, and never answers them but with an error, or
/// not at all, as it is told.
struct Back {
    address: SocketAddr,
    calls: mpsc::UnboundedReceiver<HeaderMap>,
}

#[derive(Clone, Copy)]
enum Answer {
    Error,
    Never,
    /// Headers, and then nothing more.
    Begins,
}

impl Back {
    async fn start(answer: Answer) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").await.unwrap(), answer)
    }

    fn listen(listener: TcpListener, answer: Answer) -> Self {
        let address = listener.local_addr().unwrap();
        let (seen, calls) = mpsc::unbounded_channel();
        let handler = tower::service_fn(move |request: http::Request<Incoming>| {
            let _ = seen.send(request.headers().clone());
            async move {
                match answer {
                    Answer::Error => {}
                    Answer::Never => std::future::pending().await,
                    Answer::Begins => {
                        let nothing =
                            futures::stream::pending::<Result<Frame<bytes::Bytes>, Status>>();
                        let body = Body::new(StreamBody::new(nothing).boxed_unsync());
                        let response = http::Response::builder();
                        let response = response.header("content-type", "application/grpc");
                        return Ok::<_, Infallible>(response.body(body).unwrap());
                    }
                }
                let text = "subject u-1 is not known to back-svc";
                Ok(proto::status::status(Reason::SubjectUnknown, text).into_http())
            }
        });
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = TowerToHyperService::new(handler.clone());
                let builder = Builder::new(TokioExecutor::new());
                tokio::spawn(async move {
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, calls }
    }

    fn upstream(&self) -> Upstream {
        connect(&at(self.address), None).unwrap()
    }
}

fn at(address: SocketAddr) -> ClientConfig {
    ClientConfig { endpoint: format!("http://{address}"), ..ClientConfig::default() }
}

fn timeout_of(headers: &HeaderMap) -> Duration {
    let text = headers["grpc-timeout"].to_str().unwrap();
    Duration::from_millis(text.strip_suffix('m').unwrap().parse().unwrap())
}

/// A service that asks another one.
struct Front;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct FrontConfig {
    back: ClientConfig,
    auth: AuthConfig,
}

struct Handler(Upstream);

#[tonic::async_trait]
impl SpamService for Handler {
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
        let mut back = SpamServiceClient::new(self.0.clone());
        let answer = back.get_spam_risk(request.into_inner()).await;
        answer.map_err(|error| failed("back-svc", &error))
    }
}

impl Service for Front {
    const NAME: &'static str = "front-svc";
    type Config = FrontConfig;

    async fn build(ctx: &Context, config: FrontConfig) -> Result<App, BootError> {
        let token = ServiceToken::from_config(&config.auth, Self::NAME, ctx.clock.clone())?;
        let back = connect(&config.back, token).unwrap();
        Ok(App::new().add(SpamServiceServer::new(Handler(back))))
    }

    async fn migrate(_config: &FrontConfig) -> Result<(), BootError> {
        Ok(())
    }
}

/// Calls the front, which has until `deadline` and calls `back`: the answer, and the token keys.
async fn through_front(
    back: SocketAddr,
    deadline: Duration,
) -> (Result<GetSpamRiskResponse, Status>, TestKeys) {
    let keys = TestKeys::new();
    let service = FrontConfig { back: at(back), auth: keys.auth_config() };
    let mut config = Config::new(service);
    config.server = ServerConfig { max_deadline: deadline.into(), ..ServerConfig::loopback() };
    config.auth = keys.auth_config();
    let running = Process::quiet(Clock::system()).serve::<Front>(config).await.unwrap();
    let mut client = SpamServiceClient::new(channel(running.address()).await);
    let mut request = Request::new(risk_of("u-1"));
    let bearer = keys.bearer(&Caller::named(Role::App, "messenger"));
    let bearer = bearer.to_str().unwrap().parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    let answer = client.get_spam_risk(request).await.map(Response::into_inner);
    (answer, keys)
}

#[tokio::test]
async fn a_call_made_for_another_carries_what_belongs_to_it() {
    let mut back = Back::start(Answer::Error).await;
    let (answer, keys) = through_front(back.address, Duration::from_secs(3)).await;
    let headers = back.calls.recv().await.unwrap();

    let answered = answer.unwrap_err();
    let request_id = answered.metadata().get("x-request-id").unwrap().to_str().unwrap();
    assert_eq!(headers["x-request-id"], request_id);
    assert_eq!(headers["traceparent"].len(), 55);
    let left = timeout_of(&headers);
    assert!(left > Duration::ZERO && left <= Duration::from_secs(3), "{left:?}");

    let bind = "127.0.0.1:1".parse().unwrap();
    let shutdown = CancellationToken::new();
    let config = keys.auth_config();
    let gate = Authenticator::new(&config, Clock::system(), bind, &shutdown).await.unwrap();
    let caller = gate.authenticate(&headers, None).await.unwrap();
    assert_eq!(caller, Caller::named(Role::Service, "front-svc"));
}

#[tokio::test]
async fn what_another_service_said_is_not_passed_on() {
    let back = Back::start(Answer::Error).await;
    let (answer, _) = through_front(back.address, Duration::from_secs(3)).await;
    let status = answer.unwrap_err();
    assert_eq!(reason(&status), Reason::DependencyUnavailable);
    assert!(!format!("{status:?}").contains("u-1"), "{status:?}");
}

#[tokio::test]
async fn a_service_that_does_not_answer_costs_the_callers_time_and_no_more() {
    let back = Back::start(Answer::Never).await;
    let (answer, _) = through_front(back.address, Duration::from_millis(100)).await;
    assert_eq!(reason(&answer.unwrap_err()), Reason::DeadlineExceeded);
}

#[tokio::test]
async fn calls_of_background_tasks_end_too() {
    let mut back = Back::start(Answer::Never).await;
    let mut client = SpamServiceClient::new(back.upstream());
    let mut request = Request::new(risk_of("u-1"));
    request.set_timeout(Duration::from_millis(100));
    let status = client.get_spam_risk(request).await.unwrap_err();
    assert_eq!(reason(&status), Reason::DeadlineExceeded);
    assert_eq!(timeout_of(&back.calls.recv().await.unwrap()), Duration::from_millis(100));
    assert_eq!(reason(&failed("back-svc", &status)), Reason::DeadlineExceeded);

    // Without one of its own, the method's default; a longer one does not count.
    let default = proto::contract::method("/assent.suggest.v1.SpamService/GetSpamRisk").unwrap();
    for own in [None, Some(Duration::from_secs(1_000))] {
        let mut request = Request::new(risk_of("u-1"));
        if let Some(own) = own {
            request.set_timeout(own);
        }
        let call = client.get_spam_risk(request);
        let headers = tokio::select! {
            _ = call => panic!("answered"),
            headers = back.calls.recv() => headers.unwrap(),
        };
        assert_eq!(timeout_of(&headers), default.default_deadline);
    }
}

#[tokio::test]
async fn answers_that_begin_and_do_not_go_on_end_at_the_deadline() {
    let back = Back::start(Answer::Begins).await;
    let mut request = Request::new(ExportSubjectDataRequest { subject_id: "u-1".into() });
    request.set_timeout(Duration::from_millis(100));
    let mut client = GraphServiceClient::new(back.upstream());
    let mut answers = client.export_subject_data(request).await.unwrap().into_inner();
    let status = answers.next().await.unwrap().unwrap_err();
    assert_eq!(reason(&status), Reason::DeadlineExceeded);
}

#[tokio::test]
async fn a_request_keeps_the_token_it_has() {
    let mut back = Back::start(Answer::Error).await;
    let keys = TestKeys::new();
    let own = ServiceToken::from_config(&keys.auth_config(), "front", Clock::system()).unwrap();
    let mut client = SpamServiceClient::new(connect(&at(back.address), own).unwrap());
    let mut request = Request::new(risk_of("u-1"));
    request.metadata_mut().insert("authorization", "Bearer of-the-user".parse().unwrap());
    client.get_spam_risk(request).await.unwrap_err();
    assert_eq!(back.calls.recv().await.unwrap()["authorization"], "Bearer of-the-user");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unavailable_until_it_is() {
    // Bound, so that nobody else gets the port, and not listening.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut client =
        SpamServiceClient::new(connect(&at(socket.local_addr().unwrap()), None).unwrap());
    let status = client.get_spam_risk(risk_of("u-1")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&failed("back-svc", &status)), Reason::DependencyUnavailable);

    let _back = Back::listen(socket.listen(16).unwrap(), Answer::Error);
    let status = client.get_spam_risk(risk_of("u-1")).await.unwrap_err();
    assert_eq!(reason(&status), Reason::SubjectUnknown);
}

#[tokio::test]
async fn a_process_is_known_to_the_kits_own_servers() {
    let stage = Stage::open().await;
    let own =
        ServiceToken::from_config(&stage.keys.auth_config(), "front", Clock::system()).unwrap();
    let upstream = connect(&at(stage.running.address()), own).unwrap();
    let request = ExportSubjectDataRequest { subject_id: "u-1".into() };
    let mut answers =
        GraphServiceClient::new(upstream).export_subject_data(request).await.unwrap().into_inner();
    answers.next().await.unwrap().unwrap();
}

#[tokio::test]
async fn configurations_with_which_no_call_can_be_made_are_refused() {
    for endpoint in ["", "back:1", "ftp://back:1", "http://", "//back"] {
        let config = ClientConfig { endpoint: endpoint.to_owned(), ..ClientConfig::default() };
        assert!(connect(&config, None).is_err(), "{endpoint:?}");
    }
    let back = ClientConfig { endpoint: "https://back:1".to_owned(), ..ClientConfig::default() };
    let missing = ClientConfig { ca_file: Some("/nowhere/ca.pem".into()), ..back.clone() };
    assert!(connect(&missing, None).unwrap_err().to_string().contains("/nowhere/ca.pem"));
    let half = ClientConfig { key_file: Some("/nowhere/key.pem".into()), ..back };
    assert!(connect(&half, None).unwrap_err().to_string().contains("belong together"));
}
