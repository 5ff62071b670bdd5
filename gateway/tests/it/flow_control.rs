//! Nobody makes the gateway hold more than its windows: who does not read stops who sends.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use futures::{StreamExt as _, stream};
use proto::{
    audience::v1::{AppendUploadRequest, audience_service_client::AudienceServiceClient},
    consent::v1::{WatchChangesRequest, consent_service_client::ConsentServiceClient},
};
use tonic::transport::Endpoint;

use crate::{
    passing_through::check,
    world::{World, app, business},
};

const MESSAGE: usize = 64 << 10;
/// 96 MiB.
const MESSAGES: usize = 1536;
/// What may be under way between two ends: the windows and buffers of three connections, the
/// sockets of the system among them. 16 MiB.
const UNDER_WAY: usize = 256;

/// Calls that go through one after the other, whatever else stands still. In this time a gateway
/// that keeps what it cannot hand on would have taken all there is.
async fn others_go_on(world: &World) {
    let mut client = ConsentServiceClient::new(world.channel.clone());
    for _ in 0..500 {
        client.check(world.by(&app(), check("anna"))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_does_not_read_stops_the_caller() {
    let world = World::start().await;
    let sent = Arc::new(AtomicUsize::new(0));
    let batches = {
        let sent = sent.clone();
        let payload = vec![7; MESSAGE];
        stream::iter(0..MESSAGES).map(move |index| {
            sent.fetch_add(1, SeqCst);
            AppendUploadRequest {
                upload_id: "gated".to_owned(),
                batch_number: u32::try_from(index).unwrap(),
                packed_sha256: payload.clone(),
                ..Default::default()
            }
        })
    };
    let mut client = AudienceServiceClient::new(world.channel.clone());
    let request = world.by(&business(), ()).map(|()| batches);
    let mut answers = client.append_upload(request).await.unwrap().into_inner();
    others_go_on(&world).await;
    let ahead = sent.load(SeqCst);
    assert!(ahead <= UNDER_WAY, "{ahead} messages were taken from the caller");
    assert_eq!(world.stub.taken.load(SeqCst), 1);

    world.stub.gate.add_permits(1);
    let mut bytes = 0;
    for _ in 0..MESSAGES {
        let answer = answers.message().await.unwrap().unwrap();
        bytes += answer.rows_received as usize;
    }
    assert_eq!(bytes, MESSAGE * MESSAGES);
    assert_eq!(answers.message().await.unwrap().unwrap().batch_number as usize, MESSAGES);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_do_not_read_stop_their_services_answers_and_nobody_elses() {
    let world = World::start().await;
    let uri = format!("http://{}", world.gateway.address());
    let mut stalled = Vec::new();
    for _ in 0..32 {
        // Each on a connection of its own, as different callers are.
        let channel = Endpoint::from_shared(uri.clone()).unwrap().connect().await.unwrap();
        let mut client = ConsentServiceClient::new(channel);
        let watch = WatchChangesRequest { cursor: b"endless".to_vec(), ..Default::default() };
        let answers = client.watch_changes(world.by(&app(), watch)).await.unwrap();
        stalled.push(answers.into_inner());
    }
    others_go_on(&world).await;
    let made = world.stub.made.load(SeqCst);
    assert!(made <= UNDER_WAY * stalled.len(), "{made} messages were made");
    for answers in &mut stalled {
        assert_eq!(answers.message().await.unwrap().unwrap().cursor.len(), MESSAGE);
    }
}
