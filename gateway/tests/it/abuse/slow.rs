//! Callers that take their time, or take nothing.

use std::{
    sync::atomic::Ordering::SeqCst,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::Request;
use http_body::Frame;
use http_body_util::StreamBody;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use proto::{
    consent::v1::{WatchChangesRequest, consent_service_client::ConsentServiceClient},
    errors::v1::Reason,
};
use service_kit::config::Span;
use tonic::{Code, Status};

use super::{bearer, checking, streams, watching, whole_call, world};
use crate::{
    raw::{
        CANCEL, CHECK, END_HEADERS, HEADERS, INITIAL_WINDOW, RST_STREAM, Raw, WATCH, call, frame,
        setting, window_update,
    },
    world::{PATIENCE, app, assert_error},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_open_no_window() {
    let (world, neighbour) = world(|config| {
        config.server.stall_timeout = Span::from_millis(500);
        config.server.max_concurrent_requests = 10;
    })
    .await;
    let block = call(WATCH, Some(&bearer(&world)), &[]);
    let mut raw = Raw::with(&world, &setting(INITIAL_WINDOW, 0)).await;
    // Seven of ten places; the neighbour has one, or for a moment two.
    for stream in streams().take(7) {
        raw.send(&whole_call(stream, &block, &watching("endless"))).await.unwrap();
    }
    neighbour.is_served().await;
    let made = world.stub.made.load(SeqCst);
    assert!(made <= 7 * 16, "{made} messages of 64 KiB were made");
    for _ in 0..7 {
        assert_eq!(raw.until(RST_STREAM).await.unwrap().code(), CANCEL);
    }
    // The places are free.
    let mut open = Vec::new();
    for _ in 0..6 {
        let mut client = ConsentServiceClient::new(world.channel.clone());
        let watch = client.watch_changes(world.by(&app(), WatchChangesRequest::default())).await;
        open.push(watch.unwrap());
    }
    neighbour.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_taken_is_given_up_at_its_deadline() {
    let (world, neighbour) = world(|_| {}).await;
    let block = call(CHECK, Some(&bearer(&world)), &[("grpc-timeout", "300m")]);
    let mut raw = Raw::with(&world, &setting(INITIAL_WINDOW, 0)).await;
    let began = Instant::now();
    raw.send(&whole_call(1, &block, &checking("anna"))).await.unwrap();
    assert!(raw.until(HEADERS).await.is_some());
    assert_eq!(raw.until(RST_STREAM).await.unwrap().code(), CANCEL);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    neighbour.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_never_read_their_socket() {
    let (world, neighbour) =
        world(|config| config.server.stall_timeout = Span::from_millis(500)).await;
    let block = call(WATCH, Some(&bearer(&world)), &[]);
    let mut raw = Raw::with(&world, &setting(INITIAL_WINDOW, (1 << 31) - 1)).await;
    raw.send(&window_update(0, (1 << 31) - 1 - 65_535)).await.unwrap();
    raw.send(&whole_call(1, &block, &watching("endless"))).await.unwrap();
    assert!(raw.is_cut().await, "the connection is still there");
    let made = world.stub.made.load(SeqCst);
    assert!(made <= 512, "{made} messages of 64 KiB were made");
    neighbour.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_prefaces() {
    let limit = Duration::from_millis(300);
    let (world, neighbour) =
        world(|config| config.server.handshake_timeout = Span::from_millis(300)).await;
    let began = Instant::now();
    let mut drip = Raw::silent(&world).await;
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" {
        if drip.send(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(limit / 10).await;
    }
    drip.rest().await;
    assert!(began.elapsed() >= limit);
    neighbour.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_headers() {
    let (world, neighbour) = world(|config| {
        config.server.keepalive_interval = Span::from_millis(200);
        config.server.keepalive_timeout = Span::from_millis(200);
    })
    .await;
    let block = call(CHECK, Some(&bearer(&world)), &[]);
    // Headers that do not end, and a frame that does not: nothing may come between, so that not
    // even pings can be answered.
    for begun in [
        frame(HEADERS, 0, 1, &block),
        frame(HEADERS, END_HEADERS, 1, &block)[..block.len()].to_vec(),
    ] {
        let mut raw = Raw::open(&world).await;
        raw.send(&begun).await.unwrap();
        raw.rest().await;
    }
    neighbour.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies() {
    let (world, neighbour) = world(|_| {}).await;
    // Half of a message, and then nothing.
    let half = Bytes::from(checking("anna")[..7].to_vec());
    let body = stream::iter([Ok::<_, Status>(Frame::data(half))]).chain(stream::pending());
    let request = Request::post(format!("http://{}{CHECK}", world.gateway.address()))
        .header("content-type", "application/grpc")
        .header("authorization", bearer(&world))
        .header("grpc-timeout", "300m")
        .body(StreamBody::new(body))
        .unwrap();
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let answer = tokio::time::timeout(PATIENCE, client.request(request));
    let answer = answer.await.unwrap().unwrap();
    let told = Status::from_header_map(answer.headers()).unwrap();
    assert_error(&told, Code::DeadlineExceeded, Reason::DeadlineExceeded);
    neighbour.was_served().await;
}
