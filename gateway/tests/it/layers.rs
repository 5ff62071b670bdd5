//! In which order a call is looked at: what costs a caller quota, what a stranger can find out,
//! and what never gets to the services behind the gateway.

use std::time::Duration;

use gateway::Rate;
use proto::{
    consent::v1::{PutSubjectRequest, consent_service_client::ConsentServiceClient},
    errors::v1::Reason,
    gateway::v1::{RegisterAccountRequest, account_service_client::AccountServiceClient},
};
use service_kit::{auth::Caller, clock::Clock};
use tonic::{Code, Request, Status, codegen::http::uri::PathAndQuery};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    passing_through::check,
    quotas::{checked, told_to_wait},
    services::Event,
    world::{World, app, assert_error, user},
};

/// Each caller may make one call of each class, and no more for as long as a test runs.
async fn one_call_each() -> World {
    World::start_with(|config| {
        let one = Rate { rate: 0.001, burst: 1 };
        let quota = &mut config.service.quota;
        for role in [&mut quota.user, &mut quota.app, &mut quota.business] {
            (role.check, role.read, role.write, role.bulk) = (one, one, one, one);
        }
    })
    .await
}

/// A check under this header.
async fn checked_with(world: &World, authorization: &str) -> Status {
    let mut request = Request::new(check("anna"));
    request.metadata_mut().insert("authorization", authorization.parse().unwrap());
    ConsentServiceClient::new(world.channel.clone()).check(request).await.unwrap_err()
}

fn has_request_id(status: &Status) -> bool {
    status.metadata().get("x-request-id").is_some_and(|id| id.len() == 32)
}

/// A method that is not in the contract, called by nobody or by a caller.
async fn unknown_method(world: &World, caller: Option<&Caller>) -> Status {
    let mut client = tonic::client::Grpc::new(world.channel.clone());
    client.ready().await.unwrap();
    let request = match caller {
        Some(caller) => world.by(caller, check("anna")),
        None => Request::new(check("anna")),
    };
    let codec = tonic_prost_codec();
    let path = PathAndQuery::from_static("/assent.consent.v1.ConsentService/NoSuchMethod");
    client.unary(request, path, codec).await.unwrap_err()
}

fn tonic_prost_codec()
-> proto::codec::ContractCodec<proto::consent::v1::CheckRequest, proto::consent::v1::CheckResponse>
{
    proto::codec::ContractCodec::default()
}

#[tokio::test]
async fn a_bad_token_costs_no_quota() {
    let mut world = one_call_each().await;
    let hours_ago = Clock::system().now().minus(Duration::from_hours(2));
    let expired = format!("Bearer {}", world.keys.token_at(&user(), hours_ago));
    let mut forged = world.keys.bearer(&user()).to_str().unwrap().to_owned();
    let last = if forged.ends_with('A') { "B" } else { "A" };
    forged.replace_range(forged.len() - 10..forged.len() - 9, last);
    for _ in 0..3 {
        let refused = checked_with(&world, &expired).await;
        assert_error(&refused, Code::Unauthenticated, Reason::TokenExpired);
        let refused = checked_with(&world, &forged).await;
        assert_error(&refused, Code::Unauthenticated, Reason::TokenInvalid);
        assert!(has_request_id(&refused));
    }
    assert!(world.events.try_recv().is_err(), "the service was called");
    checked(&world, &user()).await.unwrap();
}

#[tokio::test]
async fn a_wrong_role_costs_no_quota_and_is_told_when_there_is_none_left() {
    let mut world = one_call_each().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    // A write that is the back ends' alone.
    for _ in 0..3 {
        let request = world.by(&user(), PutSubjectRequest::default());
        let refused = client.put_subject(request).await.unwrap_err();
        assert_error(&refused, Code::PermissionDenied, Reason::RoleNotAllowed);
        assert!(has_request_id(&refused));
    }
    assert!(world.events.try_recv().is_err(), "the service was called");
    // The person has its write, which the stub does not know what to do with.
    let request = || world.by(&user(), proto::consent::v1::WithdrawRequest::default());
    let passed = client.withdraw(request()).await.unwrap_err();
    assert_eq!(passed.code(), Code::Unimplemented);
    told_to_wait(&client.withdraw(request()).await.unwrap_err());
    let request = world.by(&user(), PutSubjectRequest::default());
    let refused = client.put_subject(request).await.unwrap_err();
    assert_error(&refused, Code::PermissionDenied, Reason::RoleNotAllowed);
}

#[tokio::test]
async fn an_unknown_method_is_told_before_anything_is_asked_and_costs_no_quota() {
    let world = one_call_each().await;
    for caller in [None, Some(&user()), Some(&app())] {
        for _ in 0..3 {
            let unknown = unknown_method(&world, caller).await;
            assert_error(&unknown, Code::Unimplemented, Reason::MethodUnknown);
            assert!(has_request_id(&unknown));
        }
    }
    for caller in [user(), app()] {
        checked(&world, &caller).await.unwrap();
    }
}

#[tokio::test]
async fn health_costs_no_quota_and_is_told_when_there_is_none_left() {
    let world = one_call_each().await;
    let mut health = HealthClient::new(world.channel.clone());
    for _ in 0..3 {
        health.check(world.by(&user(), HealthCheckRequest::default())).await.unwrap();
    }
    checked(&world, &user()).await.unwrap();
    told_to_wait(&checked(&world, &user()).await.unwrap_err());
    health.check(world.by(&user(), HealthCheckRequest::default())).await.unwrap();
}

#[tokio::test]
async fn what_the_quota_refuses_never_gets_to_a_service() {
    let mut world = one_call_each().await;
    checked(&world, &user()).await.unwrap();
    assert!(matches!(world.noticed().await, Event::Called(_)));
    for _ in 0..3 {
        let refused = checked(&world, &user()).await.unwrap_err();
        told_to_wait(&refused);
        assert!(has_request_id(&refused));
    }
    // Nothing was on its way either: the next that the service hears of is somebody else.
    checked(&world, &app()).await.unwrap();
    assert!(matches!(world.noticed().await, Event::Called(_)));
    assert!(world.events.try_recv().is_err(), "the service was called");
}

#[tokio::test]
async fn the_gateways_own_methods_are_counted_once_whatever_they_call() {
    let world = one_call_each().await;
    let mut client = AccountServiceClient::new(world.channel.clone());
    let register = || {
        let message = RegisterAccountRequest {
            request_id: "r-1".to_owned(),
            subject_id: "anna".to_owned(),
            jurisdiction: "DE".to_owned(),
            age_band: proto::consent::v1::AgeBand::Adult.into(),
            account_created_at: Some(Clock::system().now().into()),
            ..Default::default()
        };
        world.by(&app(), message)
    };
    client.register_account(register()).await.unwrap();
    told_to_wait(&client.register_account(register()).await.unwrap_err());
}

#[tokio::test]
async fn a_gateway_that_is_full_says_so_before_it_looks_at_tokens() {
    let mut world = World::start_with(|config| config.server.max_concurrent_requests = 1).await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let request = world.by(&user(), check("hangs"));
    let call = tokio::spawn(async move { client.check(request).await });
    assert!(matches!(world.noticed().await, Event::Called(_)));
    let refused = checked_with(&world, "Bearer nonsense").await;
    assert_error(&refused, Code::ResourceExhausted, Reason::Overloaded);
    assert!(has_request_id(&refused));
    call.abort();
}
