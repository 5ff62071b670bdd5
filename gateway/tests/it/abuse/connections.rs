//! What a connection may be, and how many there may be.

use std::time::Duration;

use prost::Message as _;
use proto::{
    audience::v1::AppendUploadRequest,
    consent::v1::{WatchChangesRequest, consent_service_client::ConsentServiceClient},
};
use service_kit::config::Span;

use super::{assert_told, bearer, checking, connect, streams, whole_call, world};
use crate::{
    passing_through::check,
    raw::{
        ACK, APPEND, CANCEL, CHECK, CONTINUATION, DATA, END_HEADERS, FLOW_CONTROL_ERROR,
        FRAME_SIZE_ERROR, Frame, GOAWAY, HEADERS, INITIAL_WINDOW, NO_ERROR, PING, PROTOCOL_ERROR,
        REFUSED_STREAM, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, call, frame, message, setting,
        window_update,
    },
    world::{app, business},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_streams() {
    let (world, neighbour) = world(|config| config.server.max_concurrent_streams = 10).await;
    let block = call(CHECK, Some(&bearer(&world)), &[]);
    let mut raw = Raw::open(&world).await;
    // The client says that it knows of the limit.
    raw.until(SETTINGS).await.unwrap();
    raw.send(&frame(SETTINGS, ACK, 0, &[])).await.unwrap();
    assert!(raw.is_open().await);
    for stream in streams().take(15) {
        raw.send(&frame(HEADERS, END_HEADERS, stream, &block)).await.unwrap();
    }
    for stream in streams().skip(10).take(5) {
        let refused = raw.until(RST_STREAM).await.unwrap();
        assert_eq!((refused.stream, refused.code()), (stream, REFUSED_STREAM));
    }
    neighbour.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_that_overflow() {
    let (world, neighbour) = world(|_| {}).await;
    let mut raw = Raw::open(&world).await;
    raw.send(&window_update(0, (1 << 31) - 1)).await.unwrap();
    assert_told(&raw.rest().await, FLOW_CONTROL_ERROR);
    let mut raw = Raw::open(&world).await;
    raw.send(&setting(INITIAL_WINDOW, 1 << 31)).await.unwrap();
    assert!(raw.rest().await.iter().any(|frame| frame.kind == GOAWAY));
    neighbour.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_beyond_the_window() {
    let (world, neighbour) = world(|_| {}).await;
    let upload = call(APPEND, Some(&world.keys.bearer(&business())), &[]);
    let gated = AppendUploadRequest { upload_id: "gated".to_owned(), ..Default::default() };
    let mut raw = Raw::open(&world).await;
    // The connection's window is wide open, and the stream's is as large as the server's settings
    // have it, once they are confirmed: only the latter is overrun.
    raw.until(WINDOW_UPDATE).await.unwrap();
    raw.send(&frame(SETTINGS, ACK, 0, &[])).await.unwrap();
    raw.send(&frame(HEADERS, END_HEADERS, 1, &upload)).await.unwrap();
    raw.send(&frame(DATA, 0, 1, &message(&gated.encode_to_vec()))).await.unwrap();
    // The service reads no further. 4 MiB, of which the window holds one.
    raw.send(&frame(DATA, 0, 1, &[0, 0, 0x40, 0, 0])).await.unwrap();
    raw.send(&frame(DATA, 0, 1, &[7; 16 << 10]).repeat(256)).await.unwrap();
    let told = raw.until(RST_STREAM).await.unwrap();
    assert_eq!((told.stream, told.code()), (1, FLOW_CONTROL_ERROR));
    assert!(raw.is_open().await);
    neighbour.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_http_2() {
    let (world, neighbour) = world(|_| {}).await;
    let http1: &[u8] = b"POST /assent.consent.v1.ConsentService/Check HTTP/1.1\r\nhost: x\r\n\r\n";
    let long = vec![b'x'; 1 << 20];
    let garbage = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3].repeat(10);
    for said in [http1, &garbage, &[0; 100], &long] {
        let mut raw = Raw::silent(&world).await;
        // It may be cut while it still speaks.
        let _ = raw.send(said).await;
        let answer = raw.rest().await;
        let text = String::from_utf8_lossy(&said[..10.min(said.len())]).into_owned();
        let only = |frame: &Frame| [SETTINGS, GOAWAY, WINDOW_UPDATE].contains(&frame.kind);
        assert!(answer.iter().all(only), "{text}: {answer:?}");
    }
    neighbour.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_too_large() {
    let (world, neighbour) = world(|_| {}).await;
    for kind in [DATA, HEADERS, SETTINGS, 0x2A] {
        let mut raw = Raw::open(&world).await;
        // 16 MiB, of which nothing comes.
        raw.send(&[0xFF, 0xFF, 0xFF, kind, 0, 0, 0, 0, 1]).await.unwrap();
        assert_told(&raw.rest().await, FRAME_SIZE_ERROR);
    }
    neighbour.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_out_of_place() {
    let (world, neighbour) = world(|_| {}).await;
    for frames in [
        frame(DATA, 0, 1, b"before its headers"),
        frame(HEADERS, END_HEADERS, 2, &call(CHECK, None, &[])),
        frame(CONTINUATION, END_HEADERS, 1, b""),
        frame(RST_STREAM, 0, 7, &CANCEL.to_be_bytes()),
        frame(SETTINGS, 0, 1, &[]),
        frame(PING, 0, 3, &[0; 8]),
    ] {
        let mut raw = Raw::open(&world).await;
        raw.send(&frames).await.unwrap();
        assert_told(&raw.rest().await, PROTOCOL_ERROR);
    }
    neighbour.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_connections() {
    // The world's own, the neighbour's, and four.
    let (world, neighbour) = world(|config| config.server.max_connections = 6).await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut raw = Raw::open(&world).await;
        assert!(raw.is_open().await);
        idle.push(raw);
    }
    // Whoever comes next gets in, as often as they like, and the neighbour stays.
    let mut guests = Vec::new();
    for _ in 0..20 {
        let mut client = ConsentServiceClient::new(connect(&world).await);
        client.check(world.by(&app(), check("anna"))).await.unwrap();
        guests.push(client);
        neighbour.is_served().await;
    }
    for mut raw in idle {
        let told = raw.rest().await;
        assert!(
            told.iter().filter(|frame| frame.kind == GOAWAY).all(|told| told.code() == NO_ERROR)
        );
    }
    neighbour.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_used_are_not_closed_for_others() {
    let (world, neighbour) = world(|config| config.server.max_connections = 4).await;
    // All that there may be, each with a call; the world's own is closed.
    let mut watching = Vec::new();
    for at in 0..4 {
        let theirs = at == 0;
        let channel = if theirs { neighbour.channel.clone() } else { connect(&world).await };
        let mut client = ConsentServiceClient::new(channel);
        let watch = client.watch_changes(world.by(&app(), WatchChangesRequest::default())).await;
        let mut answers = watch.unwrap().into_inner();
        assert!(answers.message().await.unwrap().is_some());
        watching.push((client, answers));
    }
    let mut waits = Raw::open(&world).await;
    neighbour.is_served().await;
    let silence = tokio::time::timeout(Duration::from_millis(300), waits.next()).await;
    assert!(silence.is_err(), "it was let in");
    watching.pop();
    assert!(waits.next().await.is_some(), "there is room");
    for (_, answers) in &mut watching {
        let silence = tokio::time::timeout(Duration::from_millis(1), answers.message()).await;
        assert!(silence.is_err(), "its stream was cut");
    }
    neighbour.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_without_calls() {
    let (world, neighbour) =
        world(|config| config.server.idle_timeout = Span::from_millis(200)).await;
    let mut client = ConsentServiceClient::new(connect(&world).await);
    let watch = client.watch_changes(world.by(&app(), WatchChangesRequest::default())).await;
    let mut watch = watch.unwrap().into_inner();
    assert!(watch.message().await.unwrap().is_some());
    let mut raw = Raw::open(&world).await;
    assert!(raw.is_open().await);
    let block = call(CHECK, Some(&bearer(&world)), &[]);
    raw.send(&whole_call(1, &block, &checking("anna"))).await.unwrap();
    assert_told(&raw.rest().await, NO_ERROR);
    let silence = tokio::time::timeout(Duration::from_millis(500), watch.message()).await;
    assert!(silence.is_err(), "one with a call was closed");
    neighbour.was_served().await;
}
