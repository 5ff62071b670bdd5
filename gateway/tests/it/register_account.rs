//! One account, three services.

use proto::{
    consent::v1::{AgeBand, consent_service_client::ConsentServiceClient},
    errors::v1::Reason,
    gateway::v1::{
        RegisterAccountRequest, RegisterAccountResponse,
        account_service_client::AccountServiceClient,
    },
    types::v1::{
        Identifier, IdentifierKind, RejectionReason,
        StorageStatus::{self, AwaitingConsent, Stored},
        identifier::Value,
    },
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    passing_through::check,
    services::Event,
    world::{World, app, assert_error, assert_unavailable, user},
};

fn email(address: &str) -> Identifier {
    let kind = IdentifierKind::Email.into();
    Identifier { kind, value: Some(Value::Raw(address.to_owned())) }
}

pub(crate) fn account(request_id: &str) -> RegisterAccountRequest {
    RegisterAccountRequest {
        request_id: request_id.to_owned(),
        subject_id: "anna".to_owned(),
        jurisdiction: "DE".to_owned(),
        age_band: AgeBand::Adult.into(),
        account_created_at: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
        apps: vec!["messenger".to_owned()],
        identifiers: vec![email("anna@example.com"), email("")],
        default_region: "DE".to_owned(),
    }
}

pub(crate) async fn register(
    world: &World,
    request: RegisterAccountRequest,
) -> Result<RegisterAccountResponse, Status> {
    let mut client = AccountServiceClient::new(world.channel.clone());
    client.register_account(world.by(&app(), request)).await.map(tonic::Response::into_inner)
}

#[track_caller]
fn assert_answers(
    answer: &RegisterAccountResponse,
    audience: StorageStatus,
    suggest: StorageStatus,
) {
    assert_eq!(
        (answer.consent(), answer.audience(), answer.suggest()),
        (Stored, audience, suggest)
    );
}

pub(crate) fn grant(world: &World) {
    world.stub.directory.lock().unwrap().granted.insert("anna".to_owned());
}

#[tokio::test]
async fn an_account_is_known_everywhere_and_refused_identifiers_are_named_once() {
    let world = World::start().await;
    grant(&world);
    let answer = register(&world, account("r-1")).await.unwrap();
    assert_answers(&answer, Stored, Stored);
    assert_eq!(answer.rejections.len(), 1);
    assert_eq!(answer.rejections[0].index, 1);
    assert_eq!(answer.rejections[0].reason(), RejectionReason::Empty);
    let directory = world.stub.directory.lock().unwrap();
    let subject = directory.subjects.values().next().unwrap();
    assert_eq!((subject.jurisdiction.as_str(), subject.apps.len()), ("DE", 1));
    for service in ["audience", "suggest"] {
        let stored = &directory.stored[&(service, "anna".to_owned())];
        assert_eq!(*stored, account("r-1").identifiers);
    }
}

#[tokio::test]
async fn what_waits_for_consent_says_so_and_is_stored_when_sent_anew() {
    let world = World::start().await;
    let answer = register(&world, account("r-1")).await.unwrap();
    assert_answers(&answer, AwaitingConsent, AwaitingConsent);
    grant(&world);
    // The same request is the same request: it has been answered.
    let again = register(&world, account("r-1")).await.unwrap();
    assert_answers(&again, AwaitingConsent, AwaitingConsent);
    let anew = register(&world, account("r-2")).await.unwrap();
    assert_answers(&anew, Stored, Stored);
}

#[tokio::test]
async fn after_a_partial_failure_the_same_request_completes_it_and_repeats_nothing() {
    let mut world = World::start().await;
    grant(&world);
    let address = world.kill_suggest().await;
    let error = register(&world, account("r-1")).await.unwrap_err();
    assert_unavailable(&error);
    {
        let directory = world.stub.directory.lock().unwrap();
        let services: Vec<_> = directory.stored.keys().map(|(service, _)| *service).collect();
        assert_eq!(services, ["audience"], "the others do their part");
    }
    world.start_suggest(address).await;
    let answer = register(&world, account("r-1")).await.unwrap();
    assert_answers(&answer, Stored, Stored);

    // As if nothing had failed.
    let smooth = World::start().await;
    grant(&smooth);
    register(&smooth, account("r-1")).await.unwrap();
    let (one, other) =
        (world.stub.directory.lock().unwrap(), smooth.stub.directory.lock().unwrap());
    assert_eq!(one.subjects, other.subjects);
    assert_eq!(one.stored, other.stored);
    assert_eq!(one.answered, other.answered);
}

#[tokio::test]
async fn the_services_see_the_callers_own_token_and_request() {
    let mut world = World::start().await;
    let mut client = AccountServiceClient::new(world.channel.clone());
    let mut request = world.by(&app(), account("r-1"));
    request.metadata_mut().insert("x-request-id", "forged".parse().unwrap());
    let token = request.metadata().get("authorization").unwrap().clone();
    let answer = client.register_account(request).await.unwrap();
    let Event::Called(metadata) = world.noticed().await else { panic!("no call came") };
    assert_eq!(metadata.get("authorization").unwrap(), &token);
    assert_eq!(metadata.get("x-request-id"), answer.metadata().get("x-request-id"));
    assert_ne!(metadata.get("x-request-id").unwrap(), "forged");
    assert!(metadata.get("grpc-timeout").is_some());
}

#[tokio::test]
async fn a_bad_request_reaches_no_service_and_every_bad_field_is_named() {
    let mut world = World::start().await;
    let mut request = account("r-1");
    request.subject_id = "+49 170 1234567".to_owned();
    request.jurisdiction = "Germany".to_owned();
    request.age_band = 0;
    let error = register(&world, request).await.unwrap_err();
    assert_error(&error, Code::InvalidArgument, Reason::FieldsInvalid);
    let bad = error.get_details_bad_request().unwrap().field_violations;
    let mut fields: Vec<_> = bad.iter().map(|bad| bad.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["age_band", "jurisdiction", "subject_id"]);
    assert!(world.events.try_recv().is_err(), "a service was called");
}

#[tokio::test]
async fn what_a_service_finds_is_named_as_the_caller_sent_it() {
    let world = World::start().await;
    let nowhere = RegisterAccountRequest { default_region: "ZZ".to_owned(), ..account("r-1") };
    let error = register(&world, nowhere).await.unwrap_err();
    assert_error(&error, Code::InvalidArgument, Reason::FieldsInvalid);
    assert_eq!(error.message(), "invalid: default_region");
    let bad = error.get_details_bad_request().unwrap().field_violations;
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].field, "default_region");
    // What consent-svc has stored meanwhile does not stand in the way.
    register(&world, account("r-1")).await.unwrap();
}

#[tokio::test]
async fn a_service_that_has_answered_is_heard_out() {
    let mut world = World::start().await;
    world.stub.directory.lock().unwrap().granted.insert("waits".to_owned());
    let waits = RegisterAccountRequest { subject_id: "waits".to_owned(), ..account("r-1") };
    let (mut client, request) =
        (AccountServiceClient::new(world.channel.clone()), world.by(&app(), waits));
    let registering = tokio::spawn(async move { client.register_account(request).await });
    world.stub.waiting.notified().await;
    // In this time a gateway that goes when it has its answer would have gone.
    let mut client = ConsentServiceClient::new(world.channel.clone());
    for _ in 0..50 {
        client.check(world.by(&app(), check("anna"))).await.unwrap();
    }
    while let Ok(event) = world.events.try_recv() {
        assert!(!matches!(event, Event::Dropped));
    }
    world.stub.gate.add_permits(1);
    assert_answers(registering.await.unwrap().unwrap().get_ref(), Stored, Stored);
}

#[tokio::test]
async fn only_apps_register_accounts_and_one_that_is_too_large_is_refused() {
    let world = World::start().await;
    let mut client = AccountServiceClient::new(world.channel.clone());
    let request = world.by(&user(), account("r-1"));
    let error = client.register_account(request).await.unwrap_err();
    assert_error(&error, Code::PermissionDenied, Reason::RoleNotAllowed);
    let large = RegisterAccountRequest { apps: vec!["x".repeat(5 << 20)], ..account("r-2") };
    let error = register(&world, large).await.unwrap_err();
    assert_error(&error, Code::ResourceExhausted, Reason::MessageTooLarge);
}
