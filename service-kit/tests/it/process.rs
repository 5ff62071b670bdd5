//! The process as those who run it see it: signals, exit codes, the log, what it exports.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use proto::{options::v1::Role, suggest::v1::spam_service_client::SpamServiceClient};
use service_kit::{
    auth::Caller,
    boot::Process,
    clock::Clock,
    config::{Config, LogFormat, Secret, ServerConfig, TelemetryConfig},
    test_util::{Collector, TestKeys},
};

use crate::rehearsal::{DRIVER_TEXT, Rehearsal, RehearsalConfig, channel, eventually, risk_of};

/// Where the child sends its telemetry, if anywhere.
const COLLECTOR: &str = "REHEARSAL_COLLECTOR";
/// Whether anybody may call the child, rather than a gateway.
const EDGE: &str = "REHEARSAL_EDGE";

/// Not a test of its own: the process that the tests below start, signal, and read the log of.
#[test]
#[ignore = "run by other tests"]
fn child() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let ended = runtime.block_on(async {
        let telemetry = TelemetryConfig {
            log_format: LogFormat::Json,
            log_filter: "info,assent=debug".into(),
            otlp_endpoint: std::env::var(COLLECTOR).ok(),
            trace_ratio: 1.0,
            ..TelemetryConfig::default()
        };
        let process = Process::start("rehearsal", &telemetry, Clock::system()).unwrap();
        let keys = TestKeys::new();
        let mut config = Config::new(RehearsalConfig::default());
        let trust_request_id = std::env::var(EDGE).is_err();
        config.server = ServerConfig { trust_request_id, ..ServerConfig::loopback() };
        config.auth = keys.auth_config();
        config.service.secret = Secret::new("hunter2");
        let running = process.serve::<Rehearsal>(config).await.unwrap();
        running.ready().await;
        let token = keys.token(&Caller::named(Role::App, "app"));
        println!("READY {} {token}", running.address());
        process.finish(vec![running]).await
    });
    std::process::exit(i32::from(ended.is_err()));
}

/// The trace that calls belong to.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

struct ChildProcess {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    log: Vec<String>,
    address: String,
    token: String,
}

impl ChildProcess {
    fn start() -> Self {
        Self::start_with([])
    }

    fn start_with<const N: usize>(variables: [(&str, &str); N]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::child", "--ignored", "--nocapture"])
            .env_remove("RUST_LOG")
            .envs(variables)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut log = Vec::new();
        let ready = loop {
            let line = lines.next().unwrap().unwrap();
            match line.strip_prefix("READY ") {
                Some(ready) => break ready.to_owned(),
                None => log.push(line),
            }
        };
        let (address, token) = ready.split_once(' ').unwrap();
        Self { child, lines, log, address: address.into(), token: token.into() }
    }

    /// A client, and a request that says what happens.
    async fn client(&self) -> SpamServiceClient<tonic::transport::Channel> {
        SpamServiceClient::new(channel(self.address.parse().unwrap()).await)
    }

    fn risk(&self, subject: &str) -> tonic::Request<proto::suggest::v1::GetSpamRiskRequest> {
        let mut request = tonic::Request::new(risk_of(subject));
        let metadata = request.metadata_mut();
        metadata.insert("authorization", format!("Bearer {}", self.token).parse().unwrap());
        metadata.insert("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01").parse().unwrap());
        request
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
    }

    /// The exit code and the log.
    fn end(mut self) -> (Option<i32>, Vec<String>) {
        self.log.extend(self.lines.map(Result::unwrap));
        (self.child.wait().unwrap().code(), self.log)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_process_with_success() {
    for signal in ["TERM", "INT"] {
        let process = ChildProcess::start();
        process.signal(signal);
        let (code, log) = process.end();
        assert_eq!(code, Some(0), "{log:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_process_at_once() {
    let process = ChildProcess::start();
    // A call that never ends holds the drain up.
    let (mut stuck, request) = (process.client().await, process.risk("never"));
    let stuck = tokio::spawn(async move { stuck.get_spam_risk(request).await });
    process.signal("TERM");
    let address: std::net::SocketAddr = process.address.parse().unwrap();
    eventually("draining", async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    let began = Instant::now();
    process.signal("TERM");
    let (code, log) = process.end();
    // The call's deadline is 5 s, the drain's 25 s.
    assert!(began.elapsed() < Duration::from_secs(4));
    assert_eq!(code, Some(130), "{log:#?}");
    stuck.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_has_a_line_for_each_call_with_its_ids_and_no_secrets() {
    let process = ChildProcess::start();
    let token = process.token.clone();
    let mut client = process.client().await;
    for subject in ["fine", "unknown", "driver", "panic"] {
        let _ = client.get_spam_risk(process.risk(subject)).await;
    }
    process.signal("TERM");
    let (_, log) = process.end();
    let text = log.join("\n");
    assert!(!text.contains(&token) && !text.contains("hunter2"), "{text}");
    assert!(!text.contains("on purpose"), "a panic's message may quote data: {text}");

    let lines: Vec<serde_json::Value> =
        log.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let calls: Vec<_> = lines.iter().filter(|line| line["target"] == "assent::calls").collect();
    let seen: Vec<_> =
        calls.iter().map(|call| (call["level"].clone(), call["code"].clone())).collect();
    let expected =
        [("DEBUG", "OK"), ("INFO", "NOT_FOUND"), ("INFO", "INTERNAL"), ("INFO", "INTERNAL")];
    assert_eq!(seen, expected.map(|(level, code)| (level.into(), code.into())));
    for call in &calls {
        assert_eq!(call["method"], "assent.suggest.v1.SpamService/GetSpamRisk");
        assert_eq!(call["trace_id"], TRACE);
        assert_eq!(call["request_id"].as_str().unwrap().len(), 32);
    }
    // The cause of an internal error, under the id that the client was given.
    let cause = lines.iter().find(|line| line["error"] == DRIVER_TEXT).unwrap();
    assert_eq!(cause["request_id"], calls[2]["request_id"]);
    let panic = lines.iter().find(|line| line["message"] == "panic").unwrap();
    assert_eq!(panic["request_id"], calls[3]["request_id"]);
    assert!(panic["place"].as_str().unwrap().contains("rehearsal.rs"));
    let starting = lines.iter().find(|line| line["message"] == "starting").unwrap();
    assert!(starting["config"].as_str().unwrap().contains(r#""secret":"***""#));
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_and_metrics_are_exported_before_the_process_ends() {
    let collector = Collector::start().await;
    let process = ChildProcess::start_with([(COLLECTOR, collector.url())]);
    let mut client = process.client().await;
    let answer = client.get_spam_risk(process.risk("traced")).await.unwrap();
    let parent = answer.metadata().get("traceparent").unwrap().to_str().unwrap().to_owned();
    // The same trace, recorded, and from here on our span.
    assert!(parent.starts_with(&format!("00-{TRACE}-")) && parent.ends_with("-01"), "{parent}");
    assert!(!parent.contains("00f067aa0ba902b7"), "{parent}");
    process.signal("TERM");
    let (code, log) = process.end();
    assert_eq!(code, Some(0), "{log:#?}");

    let exports = collector.exports();
    let sent = |path: &str, what: &[u8]| {
        exports.iter().any(|(to, message)| {
            to.contains(path) && message.windows(what.len()).any(|part| part == what)
        })
    };
    let span = hex::decode(parent.split('-').nth(2).unwrap()).unwrap();
    assert!(sent("TraceService", &hex::decode(TRACE).unwrap()));
    assert!(sent("TraceService", &span));
    assert!(sent("TraceService", b"assent.suggest.v1.SpamService/GetSpamRisk"));
    assert!(sent("MetricsService", b"assent_request_duration"));
    assert!(sent("MetricsService", b"rehearsal-svc"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_trace_is_linked_to_and_not_written_into() {
    let collector = Collector::start().await;
    let process = ChildProcess::start_with([(COLLECTOR, collector.url()), (EDGE, "1")]);
    let mut client = process.client().await;
    let answer = client.get_spam_risk(process.risk("traced")).await.unwrap();
    let parent = answer.metadata().get("traceparent").unwrap().to_str().unwrap().to_owned();
    assert!(!parent.contains(TRACE) && parent.ends_with("-01"), "{parent}");
    process.signal("TERM");
    let (code, log) = process.end();
    assert_eq!(code, Some(0), "{log:#?}");

    let (stranger, own) = (hex::decode(TRACE).unwrap(), hex::decode(&parent[3..35]).unwrap());
    let exports = collector.exports();
    let mut spans = exports.iter().filter(|(path, _)| path.contains("TraceService"));
    // A field of bytes in protobuf: its number and type, its length, itself. `trace_id` is the first
    // of a span, and the first of a link, which is the thirteenth of a span.
    let holds = |message: &[u8], bytes: &[u8]| {
        let field = [&[0x0A, 16][..], bytes].concat();
        message.windows(field.len()).filter(|part| *part == field).count()
    };
    let (_, message) = spans.next().unwrap();
    assert_eq!((holds(message, &own), holds(message, &stranger)), (1, 1));
    assert!(message.windows(2).any(|tag| tag[0] == 13 << 3 | 2), "a link");
}
