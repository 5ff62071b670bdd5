//! What every call gets from the layers.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use proto::{
    consent::v1::{CheckRequest, consent_service_client::ConsentServiceClient},
    errors::v1::Reason,
    options::v1::Role,
    suggest::v1::{
        Connection, ExportSubjectDataRequest, PutConnectionsRequest, ReportSpamRequest,
        spam_service_client::SpamServiceClient,
    },
};
use service_kit::config::ServerConfig;
use tonic::{Code, Status, codec::Streaming};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt as _;

use crate::rehearsal::{DRIVER_TEXT, RehearsalConfig, Stage, eventually, head, reason, risk_of};

/// The error that ends an export.
async fn export(stage: &Stage, subject: &str, timeout: Option<Duration>) -> Status {
    let message = ExportSubjectDataRequest { subject_id: subject.to_owned() };
    let mut request = stage.request(Role::Service, message);
    if let Some(timeout) = timeout {
        // In metadata, so that the server's deadline is seen and not the client's own.
        let timeout = format!("{}m", timeout.as_millis()).parse().unwrap();
        request.metadata_mut().insert("grpc-timeout", timeout);
    }
    let mut answers = stage.graph().await.export_subject_data(request).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
    answers.message().await.unwrap_err()
}

#[tokio::test]
async fn a_method_that_is_not_here_is_unimplemented_before_any_token_is_looked_at() {
    let stage = Stage::open().await;
    // Of the contract, but another service's.
    let mut client = ConsentServiceClient::new(stage.channel().await);
    let status = client.check(CheckRequest::default()).await.unwrap_err();
    assert_eq!(reason(&status), Reason::MethodUnknown);
    assert!(status.metadata().get("x-request-id").is_some());
}

#[tokio::test]
async fn a_call_needs_a_token_and_a_role_that_the_contract_allows() {
    let stage = Stage::open().await;
    let mut client = SpamServiceClient::new(stage.channel().await);
    let status = client.get_spam_risk(risk_of("x")).await.unwrap_err();
    assert_eq!(reason(&status), Reason::TokenMissing);
    let status = client.get_spam_risk(stage.request(Role::User, risk_of("x"))).await.unwrap_err();
    assert_eq!(reason(&status), Reason::RoleNotAllowed);
    let report = ReportSpamRequest { request_id: "r".into(), reported_subject_id: "x".into() };
    client.report_spam(stage.request(Role::User, report)).await.unwrap();
    client.get_spam_risk(stage.request(Role::App, risk_of("x"))).await.unwrap();
}

#[tokio::test]
async fn every_answer_carries_a_request_id_which_strangers_do_not_choose() {
    let stage = Stage::open().await;
    let mut client = SpamServiceClient::new(stage.channel().await);
    let mut request = stage.request(Role::App, risk_of("x"));
    request.metadata_mut().insert("x-request-id", "chosen".parse().unwrap());
    let answer = client.get_spam_risk(request).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap().len(), 32);
    let status = client.get_spam_risk(risk_of("x")).await.unwrap_err();
    assert_eq!(status.metadata().get("x-request-id").unwrap().len(), 32);

    let trusting = ServerConfig { trust_request_id: true, ..ServerConfig::loopback() };
    let stage = Stage::with(trusting).await;
    let mut client = SpamServiceClient::new(stage.channel().await);
    for (given, taken) in [("chosen", true), ("not plain", false)] {
        let mut request = stage.request(Role::App, risk_of("x"));
        request.metadata_mut().insert("x-request-id", given.parse().unwrap());
        let answer = client.get_spam_risk(request).await.unwrap();
        assert_eq!(answer.metadata().get("x-request-id").unwrap() == given, taken);
    }
}

#[tokio::test]
async fn the_deadline_is_the_callers_or_else_the_methods() {
    let stage = Stage::open().await;
    let by_contract = stage.risk("deadline").await.unwrap().score;
    assert!((4.0..=5.0).contains(&by_contract), "{by_contract}");

    let mut client = SpamServiceClient::new(stage.channel().await);
    let mut request = stage.request(Role::App, risk_of("deadline"));
    request.set_timeout(Duration::from_mins(1));
    let by_caller = client.get_spam_risk(request).await.unwrap().into_inner().score;
    assert!((50.0..=60.0).contains(&by_caller), "{by_caller}");
}

#[tokio::test]
async fn a_call_past_its_deadline_is_deadline_exceeded() {
    let short = Duration::from_millis(50).into();
    let stage = Stage::with(ServerConfig { max_deadline: short, ..ServerConfig::loopback() }).await;
    let status = stage.risk("never").await.unwrap_err();
    assert_eq!(reason(&status), Reason::DeadlineExceeded);
}

#[tokio::test]
async fn a_stream_past_its_deadline_ends_with_deadline_exceeded() {
    let stage = Stage::open().await;
    let status = export(&stage, "endless", Some(Duration::from_millis(300))).await;
    assert_eq!(reason(&status), Reason::DeadlineExceeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_flood_ends_at_its_deadline_too() {
    let stage = Stage::open().await;
    let message = ExportSubjectDataRequest { subject_id: "flood".into() };
    let mut request = stage.request(Role::Service, message);
    request.metadata_mut().insert("grpc-timeout", "100m".parse().unwrap());
    let mut answers = stage.graph().await.export_subject_data(request).await.unwrap().into_inner();
    let status = loop {
        if let Err(status) = answers.message().await {
            break status;
        }
    };
    assert_eq!(reason(&status), Reason::DeadlineExceeded);
}

#[tokio::test]
async fn an_edge_sees_the_answers_to_what_it_takes_and_may_speak_http_1() {
    let config = RehearsalConfig { edge: true, ..RehearsalConfig::default() };
    let stage = Stage::with_service(ServerConfig::loopback(), config).await;
    let mut client = SpamServiceClient::new(stage.channel().await);
    let answer = client.get_spam_risk(stage.request(Role::App, risk_of("x"))).await.unwrap();
    assert_eq!(answer.metadata().get("x-edge").unwrap(), "passed");
    let status = client.get_spam_risk(risk_of("x")).await.unwrap_err();
    assert_eq!(reason(&status), Reason::TokenMissing);
    assert_eq!(status.metadata().get("x-edge").unwrap(), "passed");
    let mut request = stage.request(Role::App, risk_of("x"));
    request.metadata_mut().insert("x-no-edge", "1".parse().unwrap());
    let answer = client.get_spam_risk(request).await.unwrap();
    assert!(answer.metadata().get("x-edge").is_none(), "it went straight to the server");

    let (status, headers) = head(stage.running.address(), "/assent.suggest.v1.SpamService/X").await;
    assert_eq!(status, 200);
    assert!(headers.contains("grpc-status: 12") && headers.contains("x-edge: passed"), "{headers}");
    // Without an edge there is gRPC only.
    let stage = Stage::open().await;
    assert!(!head(stage.running.address(), "/").await.1.contains("grpc-status"));
}

#[tokio::test]
async fn the_trace_of_a_caller_that_is_trusted_goes_on() {
    let trusting = ServerConfig { trust_request_id: true, ..ServerConfig::loopback() };
    let stage = Stage::with(trusting).await;
    let mut client = SpamServiceClient::new(stage.channel().await);
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let mut request = stage.request(Role::App, risk_of("traced"));
    request.metadata_mut().insert("traceparent", caller.parse().unwrap());
    let answer = client.get_spam_risk(request).await.unwrap();
    assert_eq!(answer.metadata().get("traceparent").unwrap(), caller);

    // Without one, or with a stranger's, the request id is the trace's too: one id to look for.
    let edge = Stage::open().await;
    for (stage, given) in [(&stage, None), (&edge, Some(caller))] {
        let mut client = SpamServiceClient::new(stage.channel().await);
        let mut request = stage.request(Role::App, risk_of("traced"));
        if let Some(given) = given {
            request.metadata_mut().insert("traceparent", given.parse().unwrap());
        }
        let answer = client.get_spam_risk(request).await.unwrap();
        let parent = answer.metadata().get("traceparent").unwrap().to_str().unwrap();
        let id = answer.metadata().get("x-request-id").unwrap().to_str().unwrap();
        assert_eq!(parent.split('-').nth(1), Some(id));
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_resource_exhausted() {
    let small = ServerConfig { max_message_bytes: 1000, ..ServerConfig::loopback() };
    let stage = Stage::with(small).await;
    let status = stage.risk(&"x".repeat(1001)).await.unwrap_err();
    assert_eq!(reason(&status), Reason::MessageTooLarge);
    assert!(status.message().contains("1000"), "{}", status.message());
    stage.risk(&"x".repeat(900)).await.unwrap();

    // In the middle of a stream, where the error stands in trailers.
    let small = PutConnectionsRequest { request_id: "a".into(), ..Default::default() };
    let large =
        PutConnectionsRequest { connections: vec![Connection::default(); 1000], ..small.clone() };
    let request = stage.request(Role::App, stream::iter([small, large]));
    let mut answers = stage.graph().await.put_connections(request).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().request_id, "a");
    assert_eq!(reason(&answers.message().await.unwrap_err()), Reason::MessageTooLarge);
}

#[tokio::test]
async fn a_handler_that_panics_fails_its_own_call_only() {
    let stage = Stage::open().await;
    let mut client = SpamServiceClient::new(stage.channel().await);
    for _ in 0..3 {
        let request = stage.request(Role::App, risk_of("panic"));
        let status = client.get_spam_risk(request).await.unwrap_err();
        assert_eq!(reason(&status), Reason::Internal);
        assert_eq!(status.message(), "internal error");
        // On the same connection.
        client.get_spam_risk(stage.request(Role::App, risk_of("fine"))).await.unwrap();
    }
    let status = export(&stage, "panic", None).await;
    assert_eq!(reason(&status), Reason::Internal);
}

#[tokio::test]
async fn the_text_of_an_internal_error_stays_inside() {
    let stage = Stage::open().await;
    for subject in ["driver", "careless"] {
        let status = stage.risk(subject).await.unwrap_err();
        assert_eq!(reason(&status), Reason::Internal);
        assert!(!format!("{status:?}").contains(DRIVER_TEXT));
    }
    let status = export(&stage, "driver", None).await;
    assert_eq!(reason(&status), Reason::Internal);
    assert!(!format!("{status:?}").contains(DRIVER_TEXT));
}

#[tokio::test]
async fn an_error_of_the_contract_passes_as_it_is() {
    let stage = Stage::open().await;
    let status = stage.risk("unknown").await.unwrap_err();
    assert_eq!(reason(&status), Reason::SubjectUnknown);
    assert_eq!(status.message(), "no such subject");
}

#[tokio::test]
async fn a_call_too_many_is_turned_away_and_told_when_to_come_back() {
    let one = ServerConfig { max_concurrent_requests: 1, ..ServerConfig::loopback() };
    let stage = Stage::with(one).await;
    let (messages, sent) = tokio::sync::mpsc::channel(1);
    messages.send(PutConnectionsRequest::default()).await.unwrap();
    let sent = tokio_stream::wrappers::ReceiverStream::new(sent);
    let request = stage.request(Role::App, sent);
    let mut answers: Streaming<_> =
        stage.graph().await.put_connections(request).await.unwrap().into_inner();
    assert!(answers.next().await.unwrap().is_ok());

    let status = stage.risk("x").await.unwrap_err();
    assert_eq!(reason(&status), Reason::Overloaded);
    assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
    // It is busy, not dead.
    let mut health = HealthClient::new(stage.channel().await);
    health.check(HealthCheckRequest::default()).await.unwrap();

    drop((messages, answers));
    eventually("the place is free again", async || stage.risk("x").await.is_ok()).await;
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code() {
    let stage = Stage::open().await;
    stage.risk("x").await.unwrap();
    stage.risk("unknown").await.unwrap_err();
    let counted = [
        r#"assent_requests_total{code="OK",method="assent.suggest.v1.SpamService/GetSpamRisk",service="rehearsal-svc"} 1"#,
        r#"assent_requests_total{code="NOT_FOUND",method="assent.suggest.v1.SpamService/GetSpamRisk",service="rehearsal-svc"} 1"#,
        r#"assent_request_duration_seconds_count{method="assent.suggest.v1.SpamService/GetSpamRisk",service="rehearsal-svc"} 2"#,
        r#"assent_requests_in_flight{method="assent.suggest.v1.SpamService/GetSpamRisk",service="rehearsal-svc"} 0"#,
    ];
    eventually("both calls are counted", async || {
        let (_, page) = stage.admin("/metrics").await;
        counted.iter().all(|line| page.contains(line))
    })
    .await;
}

#[tokio::test]
async fn health_and_reflection_need_no_token() {
    let stage = Stage::open().await;
    stage.running.ready().await;
    let mut health = HealthClient::new(stage.channel().await);
    for service in ["", "assent.suggest.v1.SpamService", "assent.suggest.v1.GraphService"] {
        let request = HealthCheckRequest { service: service.into() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving);
    }
    let request = HealthCheckRequest { service: "assent.consent.v1.ConsentService".into() };
    let status = health.check(request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    assert!(status.get_details_error_info().is_some());

    let listed = reflected_services(&stage).await;
    assert_eq!(
        listed,
        [
            "assent.suggest.v1.GraphService",
            "assent.suggest.v1.SpamService",
            "grpc.health.v1.Health",
        ]
    );
}

async fn reflected_services(stage: &Stage) -> Vec<String> {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let mut client = ServerReflectionClient::new(stage.channel().await);
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let request = ServerReflectionRequest { message_request, ..Default::default() };
    let answers = client.server_reflection_info(stream::iter([request])).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}");
    };
    let mut names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    names
}
