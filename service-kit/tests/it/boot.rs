//! Starting, readiness, draining, and what the process says of it.

use std::{fs, time::Duration};

use futures::StreamExt as _;
use proto::{
    options::v1::Role,
    suggest::v1::{
        PutConnectionsRequest, PutConnectionsResponse, RemoveConnectionsRequest,
        spam_service_client::SpamServiceClient,
    },
};
use service_kit::{
    boot::{App, BootError, Process, Service},
    clock::Clock,
    config::{Config, ServerConfig, Span},
    context::Context,
    test_util::TestKeys,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::Streaming;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::rehearsal::{Rehearsal, RehearsalConfig, Stage, channel, eventually, risk_of};

/// A call in progress: what is sent is echoed.
struct InFlight {
    messages: mpsc::Sender<PutConnectionsRequest>,
    answers: Streaming<PutConnectionsResponse>,
}

impl InFlight {
    async fn begin(stage: &Stage) -> Self {
        let (messages, sent) = mpsc::channel(1);
        messages.send(PutConnectionsRequest::default()).await.unwrap();
        let request = stage.request(Role::App, ReceiverStream::new(sent));
        let answers = stage.graph().await.put_connections(request).await.unwrap();
        let mut call = Self { messages, answers: answers.into_inner() };
        call.answers.next().await.unwrap().unwrap();
        call
    }

    async fn say(&mut self, id: &str) {
        let message = PutConnectionsRequest { request_id: id.into(), ..Default::default() };
        self.messages.send(message).await.unwrap();
        let answer = self.answers.next().await.unwrap().unwrap();
        assert_eq!(answer.request_id, id);
    }

    async fn end(mut self) {
        drop(self.messages);
        assert!(self.answers.next().await.is_none());
    }
}

#[tokio::test]
async fn not_ready_until_every_dependency_answers() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("there");
    let config = RehearsalConfig {
        ready_file: file.to_str().unwrap().to_owned(),
        ..RehearsalConfig::default()
    };
    let stage = Stage::with_service(
        ServerConfig { probe_interval: Span::from_millis(20), ..ServerConfig::loopback() },
        config,
    )
    .await;
    eventually("the probe is asked", async || stage.admin("/readyz").await.1.contains("file"))
        .await;
    assert_eq!(stage.admin("/readyz").await, (503, "not ready\nfile: no answer\n".into()));
    assert_eq!(stage.admin("/livez").await.0, 200);
    let mut health = HealthClient::new(stage.channel().await);
    let now = health.check(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(now.status(), ServingStatus::NotServing);
    let watch = health.watch(HealthCheckRequest::default()).await.unwrap();
    let mut watch = watch.into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);

    fs::write(&file, "").unwrap();
    stage.running.ready().await;
    assert_eq!(stage.admin("/readyz").await, (200, "ready\nfile: ok\n".into()));
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::Serving);

    fs::remove_file(&file).unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(stage.admin("/readyz").await.0, 503);
}

#[tokio::test]
async fn a_drain_finishes_the_calls_that_were_taken() {
    let stage = Stage::open().await;
    stage.running.ready().await;
    let mut call = InFlight::begin(&stage).await;
    let mut health = HealthClient::new(stage.channel().await);
    let watch = health.watch(HealthCheckRequest::default()).await.unwrap();
    let mut watch = watch.into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::Serving);

    stage.running.stop();
    // A watcher hears of it and is let go.
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(watch.next().await.is_none());
    let address = stage.running.address();
    eventually("no new connections", async || {
        tokio::net::TcpStream::connect(address).await.is_err()
    })
    .await;
    assert_eq!(stage.admin("/readyz").await, (503, "draining\n".into()));
    assert_eq!(stage.admin("/livez").await.0, 200);
    call.say("while draining").await;
    call.end().await;
    stage.running.stopped().await.unwrap();
}

#[tokio::test]
async fn during_the_drain_delay_new_calls_are_still_taken() {
    let server = ServerConfig { drain_delay: Span::from_secs(3600), ..ServerConfig::loopback() };
    let stage = Stage::with(server).await;
    stage.running.ready().await;
    stage.running.stop();
    eventually("not ready", async || stage.admin("/readyz").await.0 == 503).await;
    stage.risk("x").await.unwrap();
}

#[tokio::test]
async fn no_call_that_was_taken_fails_while_clients_are_sent_away() {
    let stage = Stage::open().await;
    let address = stage.running.address();
    // Holds the drain open until everything has been looked at.
    let call = InFlight::begin(&stage).await;
    let (started, mut all_started) = mpsc::channel(8);
    let clients = (0..8).map(|_| {
        let (stage, started) = (&stage, started.clone());
        async move {
            let mut client = SpamServiceClient::new(channel(address).await);
            let mut answered = 0_u32;
            // Until a call is refused before it was taken, as another replica would not.
            while client.get_spam_risk(stage.request(Role::App, risk_of("x"))).await.is_ok() {
                answered += 1;
                if answered == 20 {
                    started.send(()).await.unwrap();
                }
            }
            answered
        }
    });
    let stop = async {
        for _ in 0..8 {
            all_started.recv().await;
        }
        stage.running.stop();
    };
    let (answered, ()) = futures::join!(futures::future::join_all(clients), stop);
    let answered: u32 = answered.iter().sum();

    let (_, page) = stage.admin("/metrics").await;
    let ended: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("assent_requests_total") && line.contains("GetSpamRisk"))
        .collect();
    let expected = format!(
        r#"assent_requests_total{{code="OK",method="assent.suggest.v1.SpamService/GetSpamRisk",service="rehearsal-svc"}} {answered}"#
    );
    assert_eq!(ended, [expected]);
    call.end().await;
    stage.running.stopped().await.unwrap();
}

#[tokio::test]
async fn at_the_drain_deadline_what_is_left_is_cut() {
    let server =
        ServerConfig { drain_deadline: Span::from_millis(100), ..ServerConfig::loopback() };
    let stage = Stage::with(server).await;
    let mut call = InFlight::begin(&stage).await;
    stage.running.stop();
    let stopped = stage.running.stopped();
    stopped.await.unwrap();
    assert!(call.answers.next().await.unwrap().is_err());
}

#[tokio::test]
async fn streams_that_watch_for_shutdown_end_when_draining_begins() {
    let stage = Stage::open().await;
    let (messages, sent) = mpsc::channel::<RemoveConnectionsRequest>(1);
    let request = stage.request(Role::App, ReceiverStream::new(sent));
    let answers = stage.graph().await.remove_connections(request).await.unwrap();
    let mut answers = answers.into_inner();
    stage.running.stop();
    answers.next().await.unwrap().unwrap();
    assert!(answers.next().await.is_none());
    drop(messages);
    stage.running.stopped().await.unwrap();
}

#[tokio::test]
async fn what_a_client_sends_and_nobody_reads_is_bounded() {
    let stage = Stage::open().await;
    let chunk = PutConnectionsRequest { request_id: "x".repeat(1 << 20), ..Default::default() };
    let chunk = RemoveConnectionsRequest { request_id: chunk.request_id, ..Default::default() };
    let (messages, sent) = mpsc::channel(1);
    let request = stage.request(Role::App, ReceiverStream::new(sent));
    let answers = stage.graph().await.remove_connections(request).await.unwrap();
    let mut taken = 0;
    let offered = tokio::time::timeout(Duration::from_millis(500), async {
        for _ in 0..1024 {
            messages.send(chunk.clone()).await.unwrap();
            taken += 1;
        }
    });
    assert!(offered.await.is_err(), "1 GiB was taken in");
    // Windows, the client's own buffers, and a message in each queue.
    assert!(taken <= 16, "{taken} MiB were taken in");
    drop(answers);
}

struct Failing;

impl Service for Failing {
    const NAME: &'static str = "failing-svc";
    type Config = RehearsalConfig;

    async fn build(ctx: &Context, config: RehearsalConfig) -> Result<App, BootError> {
        if !config.ready_file.is_empty() {
            return Err(BootError::other("no store"));
        }
        ctx.spawn("feed", async { panic!("the task panicked on purpose") });
        Ok(App::new())
    }

    async fn migrate(_config: &RehearsalConfig) -> Result<(), BootError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_service_that_cannot_be_built_or_loses_a_task_ends_the_process_with_an_error() {
    for (ready_file, expected) in [("x", "no store"), ("", "the task feed panicked")] {
        let keys = TestKeys::new();
        let ready_file = ready_file.to_owned();
        let mut config = Config::new(RehearsalConfig { ready_file, ..RehearsalConfig::default() });
        config.server = ServerConfig::loopback();
        config.auth = keys.auth_config();
        let process = Process::quiet(Clock::system());
        let running = process.serve::<Failing>(config).await.unwrap();
        running.ready().await;
        let error = process.finish(vec![running]).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let holder = tokio::net::TcpListener::bind(taken).await.unwrap();
    let keys = TestKeys::new();
    let mut config = Config::new(RehearsalConfig::default());
    config.server = ServerConfig { address: taken, ..ServerConfig::loopback() };
    config.auth = keys.auth_config();
    let process = Process::quiet(Clock::system());
    let error = process.serve::<Rehearsal>(config).await.unwrap_err().to_string();
    assert!(error.contains(&taken.to_string()), "{error}");
    drop(holder);
}

#[tokio::test]
async fn services_of_one_process_share_nothing_and_drain_in_order() {
    let process = Process::quiet(Clock::system());
    let keys = TestKeys::new();
    let mut running = Vec::new();
    for _ in 0..4 {
        let mut config = Config::new(RehearsalConfig::default());
        config.server = ServerConfig::loopback();
        config.auth = keys.auth_config();
        running.push(process.serve::<Rehearsal>(config).await.unwrap());
    }
    for service in &running {
        service.ready().await;
    }
    let addresses: Vec<_> = running.iter().map(service_kit::boot::Running::address).collect();
    let stop = process.stop().clone();
    let finished = tokio::spawn(process.finish(running));
    stop.cancel();
    finished.await.unwrap().unwrap();
    for address in addresses {
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }
}

#[tokio::test]
async fn a_connection_that_never_begins_does_not_stay() {
    let limit = Duration::from_millis(100);
    let stage = Stage::with(ServerConfig {
        handshake_timeout: Span::from_millis(100),
        ..ServerConfig::loopback()
    })
    .await;
    for said in ["", "P", "PRI * HTTP/2.0"] {
        let began = std::time::Instant::now();
        let mut silent = tokio::net::TcpStream::connect(stage.running.address()).await.unwrap();
        silent.write_all(said.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let ended = silent.read_to_end(&mut answer);
        // Closed, orderly or not.
        let _ = tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
        assert!(began.elapsed() >= limit, "{said:?}: not given its time");
    }
}
