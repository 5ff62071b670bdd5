//! What goes through comes out as it went in.

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderMap, Request as HttpRequest, Response as HttpResponse};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use proto::{
    audience::v1::{AppendUploadRequest, audience_service_client::AudienceServiceClient},
    consent::v1::{
        CheckRequest, WatchChangesRequest, consent_service_client::ConsentServiceClient,
    },
    errors::v1::Reason,
    suggest::v1::{SyncContactsRequest, contact_service_client::ContactServiceClient},
    types::v1::Identifier,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, body::Body, service::Routes};
use tonic_types::StatusExt as _;
use tower::ServiceExt as _;

use crate::{
    services::rich_error,
    world::{Behind, World, app, assert_error, business, upstream, user},
};

pub(crate) fn check(subject: &str) -> CheckRequest {
    CheckRequest { subject_id: subject.to_owned(), purpose_id: "messenger.share_phone".to_owned() }
}

/// Asserts that this is the error that the service behind the gateway gave, to the letter.
#[track_caller]
fn assert_untouched(error: &Status) {
    let sent = rich_error();
    assert_error(error, Code::NotFound, Reason::SubjectUnknown);
    assert_eq!(error.message(), sent.message());
    assert_eq!(error.details(), sent.details());
    assert!(error.get_details_bad_request().is_some());
    assert_eq!(error.metadata().get("x-trailer").unwrap(), "from behind");
}

#[tokio::test]
async fn a_unary_call_is_answered_by_the_service_with_its_headers() {
    let world = World::start().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let answer = client.check(world.by(&user(), check("anna"))).await.unwrap();
    assert_eq!(answer.metadata().get("x-header").unwrap(), "from behind");
    assert_eq!(answer.into_inner().revision, 7);
}

#[tokio::test]
async fn an_error_of_a_service_comes_with_every_detail() {
    let world = World::start().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let error = client.check(world.by(&app(), check("fails"))).await.unwrap_err();
    assert_untouched(&error);
}

#[tokio::test]
async fn a_stream_of_answers_comes_in_order_with_the_error_at_its_end() {
    let world = World::start().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let watch = WatchChangesRequest { cursor: b"three".to_vec(), ..Default::default() };
    let mut answers = client.watch_changes(world.by(&app(), watch)).await.unwrap().into_inner();
    for cursor in [b"1", b"2", b"3"] {
        assert_eq!(answers.message().await.unwrap().unwrap().cursor, cursor);
    }
    assert_untouched(&answers.message().await.unwrap_err());
}

#[tokio::test]
async fn a_stream_of_requests_is_answered_when_the_caller_has_ended_it() {
    let world = World::start().await;
    let mut client = ContactServiceClient::new(world.channel.clone());
    let batch = |index: usize| SyncContactsRequest {
        request_id: format!("batch-{index}"),
        added: vec![Identifier::default(); index],
        ..Default::default()
    };
    let request = world.by(&user(), ()).map(|()| stream::iter((0..100).map(batch)));
    let answer = client.sync_contacts(request).await.unwrap().into_inner();
    assert_eq!(answer.accepted, 99 * 100 / 2);
    assert_eq!(answer.sync_token, "batch-99");
}

#[tokio::test]
async fn both_directions_flow_at_once_and_the_service_may_speak_last() {
    let world = World::start().await;
    let mut client = AudienceServiceClient::new(world.channel.clone());
    let (batches, input) = mpsc::channel(1);
    let request = world.by(&business(), ()).map(|()| ReceiverStream::new(input));
    let mut answers = client.append_upload(request).await.unwrap().into_inner();
    for batch_number in 0..20 {
        // The next batch is sent only when the last one is acknowledged.
        let batch = AppendUploadRequest { batch_number, ..Default::default() };
        batches.send(batch).await.unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().batch_number, batch_number);
    }
    drop(batches);
    assert_eq!(answers.message().await.unwrap().unwrap().batch_number, 20, "the total");
    assert!(answers.message().await.unwrap().is_none());
}

/// What no decoder would take: one frame of gRPC without a message in it.
fn chunks() -> Vec<Bytes> {
    let sizes = [1, 5, 16_384, 16_385, 100_000, 1];
    let junk = (0u8..).zip(sizes).map(|(byte, size)| Bytes::from(vec![byte ^ 0xA5; size]));
    let [a, b, c, d] = u32::try_from(sizes.iter().sum::<usize>()).unwrap().to_be_bytes();
    // The prefix comes in pieces too.
    let prefix = [vec![0, a], vec![b, c, d]].map(Bytes::from);
    prefix.into_iter().chain(junk).collect()
}

#[tokio::test]
async fn messages_and_trailers_are_not_looked_at() {
    // Gives back what it gets, after the headers, and trailers of its own.
    let echo = axum::Router::new().fallback(async |request: HttpRequest<axum::body::Body>| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        trailers.append("x-twice", "one".parse().unwrap());
        trailers.append("x-twice", "two".parse().unwrap());
        trailers.insert("x-bytes-bin", "AAECAw".parse().unwrap());
        let body = request.into_body().into_data_stream().map(|chunk| chunk.map(Frame::data));
        let body = body.chain(stream::iter([Ok(Frame::trailers(trailers))]));
        HttpResponse::builder()
            .header("content-type", "application/grpc+proto")
            .body(axum::body::Body::new(StreamBody::new(body)))
            .unwrap()
    });
    let behind = Behind::at("127.0.0.1:0".parse().unwrap(), Routes::from(echo)).await;
    let uri = behind.uri();
    let world = World::start_with(|config| {
        config.service.upstreams.audience = upstream(&[uri]);
    })
    .await;

    let sent = stream::iter(chunks().into_iter().map(|chunk| Ok::<_, Status>(Frame::data(chunk))));
    let request = HttpRequest::post("/assent.audience.v1.AudienceService/AppendUpload")
        .header("content-type", "application/grpc+proto")
        .header("authorization", world.keys.bearer(&business()))
        .body(Body::new(StreamBody::new(sent)))
        .unwrap();
    let answer = world.channel.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/grpc+proto");
    let collected = answer.into_body().collect().await.unwrap();
    let trailers = collected.trailers().unwrap().clone();
    assert_eq!(collected.to_bytes(), chunks().concat());
    assert_eq!(trailers.get_all("x-twice").iter().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(trailers["x-bytes-bin"], "AAECAw");
    behind.kill().await;
}

#[tokio::test]
async fn a_message_too_large_for_the_service_is_refused_and_the_next_call_goes_on() {
    let world = World::start().await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let large = Request::into_inner(world.by(&app(), check(&"x".repeat(5 << 20))));
    let error = client.check(world.by(&app(), large)).await.unwrap_err();
    assert_error(&error, Code::ResourceExhausted, Reason::MessageTooLarge);
    client.check(world.by(&app(), check("anna"))).await.unwrap();
}
