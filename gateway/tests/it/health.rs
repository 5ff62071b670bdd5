//! gRPC health: of the gateway, and by name of the services behind it.

use proto::consent::v1::consent_service_client::ConsentServiceClient;
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest,
    health_check_response::ServingStatus::{self, NotServing, Serving},
    health_client::HealthClient,
};

use crate::{
    passing_through::check,
    world::{PATIENCE, World, user},
};

const CONSENT: &str = "assent.consent.v1.ConsentService";
const SUGGEST: &str = "assent.suggest.v1.GraphService";

fn asking(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

async fn now(channel: &Channel, service: &str) -> ServingStatus {
    let answer = HealthClient::new(channel.clone()).check(asking(service)).await.unwrap();
    answer.into_inner().status()
}

/// Returns when the gateway says so of the service.
async fn until(channel: &Channel, service: &str, status: ServingStatus) {
    let mut watch = HealthClient::new(channel.clone()).watch(asking(service)).await.unwrap();
    let seen =
        async { while watch.get_mut().message().await.unwrap().unwrap().status() != status {} };
    tokio::time::timeout(PATIENCE, seen).await.expect("the status never came");
}

#[tokio::test]
async fn each_service_has_its_own_health_and_the_gateway_stays_up_without_it() {
    let mut world = World::start().await;
    let channel = world.channel.clone();
    until(&channel, CONSENT, Serving).await;
    until(&channel, SUGGEST, Serving).await;
    let address = world.kill_suggest().await;
    until(&channel, SUGGEST, NotServing).await;
    assert_eq!(now(&channel, CONSENT).await, Serving);
    assert_eq!(now(&channel, "").await, Serving);
    let mut client = ConsentServiceClient::new(channel.clone());
    client.check(world.by(&user(), check("anna"))).await.unwrap();
    world.start_suggest(address).await;
    until(&channel, SUGGEST, Serving).await;
}

#[tokio::test]
async fn every_public_service_has_a_name_there_and_nothing_else_does() {
    let world = World::start().await;
    for method in proto::contract::methods() {
        now(&world.channel, &method.service).await;
    }
    let other = HealthClient::new(world.channel.clone()).check(asking("no.such.Service")).await;
    assert_eq!(other.unwrap_err().code(), Code::NotFound);
}
