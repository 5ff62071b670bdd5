//! Every call has a deadline, and the service behind the gateway knows it.

use std::time::Duration;

use gateway::GatewayConfig;
use proto::{consent::v1::consent_service_client::ConsentServiceClient, errors::v1::Reason};
use service_kit::config::{Config, Span};
use tonic::Code;

use crate::{
    passing_through::check,
    services::Event,
    world::{World, app, assert_error},
};

/// The time that the service was told it has.
async fn told(world: &mut World) -> Duration {
    let Event::Called(metadata) = world.noticed().await else { panic!("no call came") };
    let text = metadata.get("grpc-timeout").unwrap().to_str().unwrap();
    let (digits, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "u" => Duration::from_micros(1),
        "m" => Duration::from_millis(1),
        "S" => Duration::from_secs(1),
        other => panic!("unit {other}"),
    };
    unit * digits.parse::<u32>().unwrap()
}

#[tokio::test]
async fn a_call_without_a_deadline_gets_the_contracts() {
    let mut world = World::start().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    client.check(world.by(&app(), check("anna"))).await.unwrap();
    let default = proto::contract::method("/assent.consent.v1.ConsentService/Check").unwrap();
    let left = told(&mut world).await;
    assert!(left <= default.default_deadline && !left.is_zero(), "{left:?}");
}

#[tokio::test]
async fn what_is_left_of_the_callers_deadline_is_passed_on() {
    let mut world = World::start().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let mut request = world.by(&app(), check("anna"));
    request.set_timeout(Duration::from_millis(2_900));
    client.check(request).await.unwrap();
    let left = told(&mut world).await;
    assert!(left < Duration::from_millis(2_900) && left > Duration::from_secs(1), "{left:?}");
}

#[tokio::test]
async fn a_caller_gets_three_times_the_contracts_deadline_at_most() {
    let mut world = World::start().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let mut request = world.by(&app(), check("anna"));
    request.set_timeout(Duration::from_mins(50));
    client.check(request).await.unwrap();
    let default = proto::contract::method("/assent.consent.v1.ConsentService/Check").unwrap();
    let left = told(&mut world).await;
    assert!(left <= default.default_deadline * 3 && left > default.default_deadline, "{left:?}");
}

#[tokio::test]
async fn at_the_deadline_the_caller_is_answered_and_the_service_let_go() {
    let cap = |config: &mut Config<GatewayConfig>| {
        config.server.max_deadline = Span::from_millis(200);
    };
    let mut world = World::start_with(cap).await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let error = client.check(world.by(&app(), check("hangs"))).await.unwrap_err();
    assert_error(&error, Code::DeadlineExceeded, Reason::DeadlineExceeded);
    assert!(matches!(world.noticed().await, Event::Called(_)));
    assert!(matches!(world.noticed().await, Event::Dropped));
}
