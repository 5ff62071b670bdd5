//! Whoever goes away is not worked for any longer.

use axum::{body::Body, routing::post};
use http::Request;
use http_body_util::BodyExt as _;
use proto::{
    consent::v1::{WatchChangesRequest, consent_service_client::ConsentServiceClient},
    suggest::v1::{SyncContactsRequest, contact_service_client::ContactServiceClient},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{service::Routes, transport::Endpoint};

use crate::{
    passing_through::check,
    services::Event,
    world::{Behind, PATIENCE, World, app, upstream, user},
};

#[tokio::test]
async fn a_unary_call_that_is_dropped_is_dropped_behind_the_gateway() {
    let mut world = World::start().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let mut request = world.by(&app(), check("hangs"));
    request.set_timeout(std::time::Duration::from_hours(1));
    let call = tokio::spawn(async move { client.check(request).await });
    assert!(matches!(world.noticed().await, Event::Called(_)));
    call.abort();
    assert!(matches!(world.noticed().await, Event::Dropped));
}

#[tokio::test]
async fn a_stream_of_answers_that_is_dropped_ends_behind_the_gateway() {
    let mut world = World::start().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let request = world.by(&app(), WatchChangesRequest::default());
    let mut answers = client.watch_changes(request).await.unwrap().into_inner();
    assert!(answers.message().await.unwrap().is_some());
    drop(answers);
    assert!(matches!(world.noticed().await, Event::Dropped));
}

/// How the body of a request ended.
#[derive(Debug, PartialEq)]
enum BodyEnd {
    Whole,
    Cut,
}

#[tokio::test]
async fn a_stream_of_requests_that_is_cut_does_not_look_like_one_that_ended() {
    let (sender, mut ends) = mpsc::unbounded_channel();
    // Reads bodies as they come on the wire, in a task of its own: a handler is dropped too soon.
    let path = "/assent.suggest.v1.ContactService/SyncContacts";
    let reader = axum::Router::new().route(
        path,
        post(async move |request: Request<Body>| {
            let reading = tokio::spawn(async move {
                let mut body = request.into_body();
                loop {
                    match body.frame().await {
                        Some(Ok(_)) => {}
                        Some(Err(_)) => return sender.send(BodyEnd::Cut),
                        None => return sender.send(BodyEnd::Whole),
                    }
                }
            });
            let _ = reading.await;
            tonic::Status::ok("").into_http::<Body>()
        }),
    );
    let behind = Behind::at("127.0.0.1:0".parse().unwrap(), Routes::from(reader)).await;
    let uri = behind.uri();
    let world = World::start_with(|config| {
        config.service.upstreams.suggest = upstream(&[uri]);
    })
    .await;
    for (cut, expected) in [(true, BodyEnd::Cut), (false, BodyEnd::Whole)] {
        let mut client = ContactServiceClient::new(world.channel.clone());
        let (batches, input) = mpsc::channel(1);
        let request = world.by(&user(), ()).map(|()| ReceiverStream::new(input));
        let call = tokio::spawn(async move { client.sync_contacts(request).await });
        batches.send(SyncContactsRequest::default()).await.unwrap();
        // The first is on its way when the second is taken.
        batches.send(SyncContactsRequest::default()).await.unwrap();
        if cut {
            call.abort();
        } else {
            drop(batches);
        }
        let end = tokio::time::timeout(PATIENCE, ends.recv()).await.unwrap().unwrap();
        assert_eq!(end, expected);
    }
    behind.kill().await;
}

#[tokio::test]
async fn a_caller_whose_connection_breaks_is_not_worked_for() {
    let mut world = World::start().await;
    let gateway = world.gateway.address();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let request = world.by(&app(), WatchChangesRequest::default());
    let started = runtime.spawn(async move {
        let endpoint = Endpoint::from_shared(format!("http://{gateway}")).unwrap();
        let mut client = ConsentServiceClient::new(endpoint.connect().await.unwrap());
        let mut answers = client.watch_changes(request).await.unwrap().into_inner();
        assert!(answers.message().await.unwrap().is_some());
        answers
    });
    let answers = started.await.unwrap();
    // As when the caller's process is killed: nothing is said, the connection is gone.
    runtime.shutdown_background();
    assert!(matches!(world.noticed().await, Event::Dropped));
    drop(answers);
}
