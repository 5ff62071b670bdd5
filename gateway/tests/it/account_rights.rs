//! Erasing an account, and a copy of all that is held about it.

use std::sync::atomic::Ordering::SeqCst;

use gateway::{Gateway, GatewayConfig, Upstreams};
use proto::{
    consent::v1::{Erasure, consent_service_client::ConsentServiceClient},
    errors::v1::Reason,
    gateway::v1::{
        EraseAccountRequest, ExportAccountRequest, ExportAccountResponse, GetErasureRequest,
        account_service_client::AccountServiceClient,
    },
};
use service_kit::{
    auth::{AuthConfig, Authenticator, Caller},
    boot::Process,
    clock::Clock,
    config::{Config, ServerConfig},
    test_util::TestKeys,
};
use tonic::{Code, Status, Streaming, metadata::MetadataMap};
use tonic_types::StatusExt as _;

use crate::{
    passing_through::check,
    register_account::{account, register},
    services::Event,
    world::{World, app, assert_error, assert_unavailable, business, upstream, user},
};

/// What may be under way between two ends, in messages of 64 KiB.
const UNDER_WAY: usize = 256;

pub(crate) async fn erase(
    world: &World,
    caller: &Caller,
    subject_id: &str,
) -> Result<Erasure, Status> {
    let (request_id, subject_id) = ("e-1".to_owned(), subject_id.to_owned());
    let erase = EraseAccountRequest { request_id, subject_id };
    let mut client = AccountServiceClient::new(world.channel.clone());
    let answer = client.erase_account(world.by(caller, erase)).await?.into_inner();
    Ok(answer.erasure.unwrap())
}

pub(crate) async fn erasure(
    world: &World,
    caller: &Caller,
    subject_id: &str,
) -> Result<Erasure, Status> {
    let get = GetErasureRequest { subject_id: subject_id.to_owned() };
    let mut client = AccountServiceClient::new(world.channel.clone());
    let answer = client.get_erasure(world.by(caller, get)).await?.into_inner();
    Ok(answer.erasure.unwrap())
}

async fn begin_export(
    world: &World,
    caller: &Caller,
    subject_id: &str,
) -> Result<Streaming<ExportAccountResponse>, Status> {
    let export = ExportAccountRequest { subject_id: subject_id.to_owned() };
    let mut client = AccountServiceClient::new(world.channel.clone());
    Ok(client.export_account(world.by(caller, export)).await?.into_inner())
}

/// What came, as `service: category`, and the error with which it ended, if it did.
pub(crate) async fn export(
    world: &World,
    caller: &Caller,
    subject_id: &str,
) -> (Vec<String>, Option<Status>) {
    let mut told = Vec::new();
    let mut parts = match begin_export(world, caller, subject_id).await {
        Ok(parts) => parts,
        Err(error) => return (told, Some(error)),
    };
    loop {
        match parts.message().await {
            Ok(Some(part)) => {
                let record = |record: &proto::types::v1::ExportRecord| {
                    format!("{}: {}", part.service, record.category)
                };
                told.extend(part.records.iter().map(record));
            }
            Ok(None) => return (told, None),
            Err(error) => return (told, Some(error)),
        }
    }
}

pub(crate) const WHOLE: [&str; 6] = [
    "consent-svc: consent.0",
    "consent-svc: consent.1",
    "consent-svc: consent.2",
    "audience-svc: audience.0",
    "audience-svc: audience.1",
    "suggest-svc: suggest.0",
];

/// The metadata of the calls that the services had.
fn calls(world: &mut World) -> Vec<MetadataMap> {
    let mut calls = Vec::new();
    while let Ok(event) = world.events.try_recv() {
        if let Event::Called(metadata) = event {
            calls.push(metadata);
        }
    }
    calls
}

#[tokio::test]
async fn an_erasure_is_consent_svcs_alone_and_its_answer_is_the_gateways() {
    let mut world = World::start().await;
    register(&world, account("r-1")).await.unwrap();
    calls(&mut world);
    for caller in [user(), app()] {
        let erased = erase(&world, &caller, "anna").await.unwrap();
        assert_eq!((erased.subject_id.as_str(), erased.followers.len()), ("anna", 2));
        assert_eq!(erasure(&world, &caller, "anna").await.unwrap(), erased);
        for call in calls(&mut world) {
            let token = call.get("authorization").unwrap().as_bytes();
            assert_eq!(named(&world, token).await, caller, "its own token");
            assert!(call.get("grpc-timeout").is_some());
        }
    }
}

/// Whose token it is.
async fn named(world: &World, bearer: &[u8]) -> Caller {
    let config = world.keys.auth_config();
    let (clock, address) = (Clock::system(), world.gateway.address());
    let process = Process::quiet(clock.clone());
    let authenticator = Authenticator::new(&config, clock, address, process.stop()).await.unwrap();
    let mut headers = http::HeaderMap::new();
    headers.insert("authorization", bearer.try_into().unwrap());
    authenticator.authenticate(&headers, None).await.unwrap()
}

#[tokio::test]
async fn what_consent_svc_refuses_is_refused_in_its_words() {
    let world = World::start().await;
    let error = erase(&world, &app(), "nobody").await.unwrap_err();
    assert_error(&error, Code::NotFound, Reason::SubjectUnknown);
    assert_eq!(error.get_details_bad_request().unwrap().field_violations.len(), 1);
    assert!(error.metadata().get("x-trailer").is_none(), "its headers are its own");
    let error = erasure(&world, &app(), "nobody").await.unwrap_err();
    assert_error(&error, Code::NotFound, Reason::SubjectUnknown);
}

#[tokio::test]
async fn an_export_has_what_each_service_holds_under_its_name() {
    let mut world = World::start().await;
    for caller in [user(), app()] {
        let (told, error) = export(&world, &caller, "anna").await;
        assert_eq!(told, WHOLE);
        assert!(error.is_none(), "{error:?}");
        let calls = calls(&mut world);
        let [consent, audience, suggest] = calls.as_slice() else { panic!("{calls:?}") };
        let mut callers = Vec::new();
        for call in [consent, audience, suggest] {
            assert_eq!(call.get("x-request-id"), consent.get("x-request-id"));
            assert!(call.get("grpc-timeout").is_some());
            callers.push(named(&world, call.get("authorization").unwrap().as_bytes()).await);
        }
        let gateway = Caller::named(proto::options::v1::Role::Service, "gateway");
        assert_eq!(callers, [caller, gateway.clone(), gateway]);
    }
    // A service that holds nothing says nothing.
    let (told, error) = export(&world, &app(), "quiet").await;
    assert_eq!(told, WHOLE[..5]);
    assert!(error.is_none(), "{error:?}");
}

#[tokio::test]
async fn nobody_reaches_anothers_account_and_no_service_is_asked() {
    let mut world = World::start().await;
    register(&world, account("r-1")).await.unwrap();
    calls(&mut world);
    let bert = Caller::user("bert");
    let refused = [
        erase(&world, &bert, "anna").await.unwrap_err(),
        erasure(&world, &bert, "anna").await.unwrap_err(),
        export(&world, &bert, "anna").await.1.unwrap(),
    ];
    for error in refused {
        assert_error(&error, Code::PermissionDenied, Reason::NotOwnData);
    }
    let refused = [
        erase(&world, &business(), "anna").await.unwrap_err(),
        erasure(&world, &business(), "anna").await.unwrap_err(),
        export(&world, &business(), "anna").await.1.unwrap(),
    ];
    for error in refused {
        assert_error(&error, Code::PermissionDenied, Reason::RoleNotAllowed);
    }
    let error = export(&world, &app(), "+49 170 1234567").await.1.unwrap();
    assert_error(&error, Code::InvalidArgument, Reason::FieldsInvalid);
    assert!(calls(&mut world).is_empty(), "a service was asked");
    assert!(world.stub.directory.lock().unwrap().erased.is_empty());
}

#[tokio::test]
async fn only_what_consent_svc_accepts_is_asked_of_the_others() {
    let mut world = World::start().await;
    let (told, error) = export(&world, &app(), "fails").await;
    assert_eq!(told, [""; 0]);
    let error = error.unwrap();
    assert_error(&error, Code::NotFound, Reason::SubjectUnknown);
    assert!(error.message().starts_with("consent-svc: "), "{error:?}");
    assert_eq!(calls(&mut world).len(), 1);
}

#[tokio::test]
async fn that_a_service_does_not_let_the_gateway_in_is_not_the_callers_fault() {
    let world = World::start().await;
    let (told, error) = export(&world, &app(), "forbidden").await;
    assert_eq!(told, WHOLE[..3]);
    let error = error.unwrap();
    assert_unavailable(&error);
    assert!(error.message().contains("audience-svc"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_nobody_reads_stops_the_service() {
    let world = World::start().await;
    let mut parts = begin_export(&world, &app(), "endless").await.unwrap();
    for _ in 0..4 {
        parts.message().await.unwrap().unwrap();
    }
    // In this time a gateway that keeps what it cannot hand on would have taken all there is.
    let mut client = ConsentServiceClient::new(world.channel.clone());
    for _ in 0..500 {
        client.check(world.by(&app(), check("anna"))).await.unwrap();
    }
    let made = world.stub.made.load(SeqCst);
    assert!(made <= UNDER_WAY, "{made} parts were made");
    for _ in made..made + 64 {
        assert_eq!(parts.message().await.unwrap().unwrap().service, "audience-svc");
    }
}

#[tokio::test]
async fn a_gateway_that_no_service_would_know_does_not_start() {
    let behind = upstream(&["http://127.0.0.1:1".to_owned()]);
    let upstreams =
        Upstreams { consent: behind.clone(), audience: behind.clone(), suggest: behind };
    let keys = TestKeys::new();
    let config = Config {
        server: ServerConfig::loopback(),
        auth: AuthConfig { jwks_file: Some(keys.jwks_file()), ..AuthConfig::default() },
        ..Config::new(GatewayConfig { upstreams, ..GatewayConfig::default() })
    };
    let gateway = Process::quiet(Clock::system()).serve::<Gateway>(config).await.unwrap();
    let error = gateway.stopped().await.unwrap_err().to_string();
    assert!(error.starts_with("auth.service_key: needed"), "{error}");
}
