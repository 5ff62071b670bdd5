//! Services that are not there, or go while they are called.

use std::{net::SocketAddr, time::Duration};

use proto::consent::v1::{WatchChangesRequest, consent_service_client::ConsentServiceClient};
use service_kit::config::Span;
use tokio::net::TcpListener;
use tonic::service::Routes;

use crate::{
    passing_through::check,
    services::{Event, Stub},
    world::{Behind, World, app, assert_unavailable, nowhere, upstream, user},
};

#[tokio::test]
async fn a_service_that_is_down_is_unavailable_and_comes_back_by_itself() {
    let mut world = World::start().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    client.check(world.by(&user(), check("anna"))).await.unwrap();
    let address = world.kill_consent().await;
    for _ in 0..3 {
        let error = client.check(world.by(&user(), check("anna"))).await.unwrap_err();
        assert_unavailable(&error);
    }
    world.start_consent(address).await;
    client.check(world.by(&user(), check("anna"))).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_cut_ends_with_an_error_of_the_contract() {
    let mut world = World::start().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let request = world.by(&app(), WatchChangesRequest::default());
    let mut answers = client.watch_changes(request).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
    world.kill_consent().await;
    assert_unavailable(&answers.message().await.unwrap_err());
}

#[tokio::test]
async fn a_call_that_is_cut_before_its_answer_is_unavailable() {
    let mut world = World::start().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let mut request = world.by(&app(), check("hangs"));
    request.set_timeout(Duration::from_mins(1));
    let call = tokio::spawn(async move { client.check(request).await });
    assert!(matches!(world.noticed().await, Event::Called(_)));
    world.kill_consent().await;
    assert_unavailable(&call.await.unwrap().unwrap_err());
}

#[tokio::test]
async fn a_dead_replica_is_passed_over() {
    let dead = format!("http://{}", nowhere().await);
    let world = World::start_with(|config| {
        config.service.upstreams.consent.endpoints.insert(0, dead);
    })
    .await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    for _ in 0..200 {
        client.check(world.by(&user(), check("anna"))).await.unwrap();
    }
}

#[tokio::test]
async fn a_service_is_found_by_name() {
    let world = World::start_with(|config| {
        for endpoint in &mut config.service.upstreams.consent.endpoints {
            *endpoint = endpoint.replace("127.0.0.1", "localhost");
        }
    })
    .await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    for _ in 0..20 {
        client.check(world.by(&user(), check("anna"))).await.unwrap();
    }
}

#[tokio::test]
async fn replicas_share_the_calls_and_one_that_returns_is_used_again() {
    let (stub, mut other) = Stub::new();
    let second = Behind::start(&stub).await;
    let uri = second.uri();
    let mut world = World::start_with(|config| {
        config.service.upstreams.consent.endpoints.push(uri);
    })
    .await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    for _ in 0..200 {
        client.check(world.by(&user(), check("anna"))).await.unwrap();
    }
    assert!(world.events.try_recv().is_ok(), "the first has had no call");
    assert!(other.try_recv().is_ok(), "the second has had no call");

    let address = second.kill().await;
    while other.try_recv().is_ok() {}
    for _ in 0..200 {
        client.check(world.by(&user(), check("anna"))).await.unwrap();
    }

    let second = Behind::at(address, stub.routes().await).await;
    let back = async {
        while other.try_recv().is_err() {
            client.check(world.by(&user(), check("anna"))).await.unwrap();
        }
    };
    tokio::time::timeout(crate::world::PATIENCE, back).await.expect("it is never called again");
    second.kill().await;
}

#[tokio::test]
async fn something_that_takes_connections_and_says_nothing_costs_the_deadline_at_most() {
    // Accepts nothing: the system completes the handshake, and nobody speaks HTTP/2.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", silent.local_addr().unwrap());
    let world = World::start_with(|config| {
        let consent = &mut config.service.upstreams.consent;
        consent.endpoints = vec![uri];
        consent.keep_alive_interval = Span::from_millis(50);
        consent.keep_alive_timeout = Span::from_millis(50);
    })
    .await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let mut request = world.by(&app(), check("anna"));
    request.set_timeout(Duration::from_mins(1));
    // Pings tell, long before the deadline.
    assert_unavailable(&client.check(request).await.unwrap_err());
}

#[tokio::test]
async fn something_else_at_the_address_is_not_taken_for_the_service() {
    let page = axum::Router::new().fallback(async || "<html>It works!</html>");
    let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let behind = Behind::at(address, Routes::from(page)).await;
    let uri = behind.uri();
    let world = World::start_with(|config| {
        config.service.upstreams.consent = upstream(&[uri]);
    })
    .await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let error = client.check(world.by(&user(), check("anna"))).await.unwrap_err();
    assert_unavailable(&error);
    assert!(!error.message().contains("html"), "{error:?}");
    behind.kill().await;
}

#[tokio::test]
async fn more_calls_at_once_than_a_connection_takes_go_on_further_ones() {
    let world = World::start_with(|config| {
        let consent = &mut config.service.upstreams.consent;
        (consent.calls_per_connection, consent.max_connections) = (8, 3);
    })
    .await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let mut open = Vec::new();
    for _ in 0..200 {
        let request = world.by(&app(), WatchChangesRequest::default());
        open.push(client.watch_changes(request).await.unwrap().into_inner());
    }
    for answers in &mut open {
        assert!(answers.message().await.unwrap().is_some());
    }
    let peers = world.stub.peers.lock().unwrap().clone();
    assert_eq!(peers.len(), 3, "connections that calls came on");
    let (least, most) = (peers.values().min().unwrap(), peers.values().max().unwrap());
    assert!(most - least <= 16, "{peers:?}");
}
