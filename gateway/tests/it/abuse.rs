//! What abuse of connections gets, and that it hurts nobody else. docs/abuse.md has the list.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use gateway::GatewayConfig;
use http::{HeaderValue, Request};
use http_body::Frame as BodyFrame;
use http_body_util::StreamBody;
use prost::Message as _;
use proto::{
    consent::v1::{WatchChangesRequest, consent_service_client::ConsentServiceClient},
    errors::v1::Reason,
};
use service_kit::config::{Config, Span};
use tokio::task::JoinHandle;
use tonic::{
    Code, Status,
    body::Body,
    transport::{Channel, Endpoint},
};
use tower::ServiceExt as _;

use crate::{
    passing_through::check,
    raw::{
        ACK, APPEND, CANCEL, CHECK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM,
        FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, Frame, GOAWAY, HEADERS, INITIAL_WINDOW, NO_ERROR,
        PING, PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM, Raw, SETTINGS, WATCH, WINDOW_UPDATE,
        call, field, frame, message, reset, setting, window_update,
    },
    services::Event,
    world::{PATIENCE, World, app, assert_error, business},
};

/// Somebody well-behaved, on a connection of their own: calls, one after the other, of which none
/// may fail.
struct Neighbour {
    served: Arc<AtomicUsize>,
    enough: Arc<AtomicBool>,
    calling: JoinHandle<()>,
    channel: Channel,
}

impl Neighbour {
    async fn of(world: &World) -> Self {
        let channel = connect(world).await;
        let (served, enough): (Arc<AtomicUsize>, Arc<AtomicBool>) = Default::default();
        let (counted, stop, theirs) = (served.clone(), enough.clone(), channel.clone());
        let bearer = world.keys.bearer(&app());
        let calling = tokio::spawn(async move {
            let mut client = ConsentServiceClient::new(theirs);
            while !stop.load(SeqCst) {
                let mut request = tonic::Request::new(check("anna"));
                let bearer = bearer.to_str().unwrap().parse().unwrap();
                request.metadata_mut().insert("authorization", bearer);
                client.check(request).await.unwrap();
                counted.fetch_add(1, SeqCst);
            }
        });
        let neighbour = Self { served, enough, calling, channel };
        neighbour.is_served().await;
        neighbour
    }

    /// Returns when some more calls have been answered.
    async fn is_served(&self) {
        let before = self.served.load(SeqCst);
        let more = async {
            while self.served.load(SeqCst) < before + 5 && !self.calling.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, more).await.expect("the neighbour waits");
    }

    /// Asserts that they were served during all that was, and are after it.
    async fn was_served(self) {
        self.is_served().await;
        self.enough.store(true, SeqCst);
        self.calling.await.expect("a call of the neighbour's failed");
    }
}

async fn connect(world: &World) -> Channel {
    let uri = format!("http://{}", world.gateway.address());
    Endpoint::from_shared(uri).unwrap().connect().await.unwrap()
}

async fn world(change: impl FnOnce(&mut Config<GatewayConfig>)) -> (World, Neighbour) {
    let world = World::start_with(change).await;
    let neighbour = Neighbour::of(&world).await;
    (world, neighbour)
}

fn bearer(world: &World) -> HeaderValue {
    world.keys.bearer(&app())
}

fn checking(subject: &str) -> Vec<u8> {
    message(&check(subject).encode_to_vec())
}

fn watching(cursor: &str) -> Vec<u8> {
    let watch = WatchChangesRequest { cursor: cursor.as_bytes().to_vec(), ..Default::default() };
    message(&watch.encode_to_vec())
}

/// HEADERS and one DATA: a whole call.
fn whole_call(stream: u32, block: &[u8], message: &[u8]) -> Vec<u8> {
    let headers = frame(HEADERS, END_HEADERS, stream, block);
    [headers, frame(DATA, END_STREAM, stream, message)].concat()
}

#[track_caller]
fn assert_told(frames: &[Frame], code: u32) {
    let told = frames.iter().find(|frame| frame.kind == GOAWAY).expect("a GOAWAY");
    assert_eq!(told.code(), code, "{}", String::from_utf8_lossy(&told.payload));
}

/// As [`assert_told`], of a connection that may have ended before it could be read why.
#[track_caller]
fn assert_told_or_cut(frames: &[Frame], code: u32) {
    if frames.iter().any(|frame| frame.kind == GOAWAY) {
        assert_told(frames, code);
    }
}

/// Stream ids of a client.
fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_reset() {
    let (world, neighbour) = world(|config| config.server.max_pending_resets = 50).await;
    let block = call(CHECK, Some(&bearer(&world)), &[]);
    let burst = |count| -> Vec<u8> {
        let open = |stream| [frame(HEADERS, END_HEADERS, stream, &block), reset(stream)].concat();
        streams().take(count).flat_map(open).collect()
    };
    let (_, frames) = Raw::open(&world).await.flood(burst(20_000), 1).await;
    assert_told_or_cut(&frames, ENHANCE_YOUR_CALM);
    neighbour.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_of_calls_that_have_begun() {
    let (mut world, neighbour) = world(|config| config.server.max_control_frames = 200).await;
    let block = call(CHECK, Some(&bearer(&world)), &[("user-agent", "abuser")]);
    let mut raw = Raw::open(&world).await;
    let mut sent = 0;
    for stream in streams().take(2000) {
        let begun = whole_call(stream, &block, &checking("hangs"));
        if raw.send(&begun).await.is_err() || raw.send(&reset(stream)).await.is_err() {
            break;
        }
        sent += 1;
        // So that each comes by itself.
        tokio::task::yield_now().await;
    }
    assert!(sent < 2000, "{sent} resets");
    raw.rest().await;
    neighbour.was_served().await;
    // None of the calls goes on behind the gateway.
    let mut going_on = 0;
    let mut seen = 0;
    while going_on > 0 || seen < sent {
        match tokio::time::timeout(Duration::from_secs(2), world.events.recv()).await {
            Ok(Some(Event::Called(of))) => {
                let abusers = of.get("user-agent").is_some_and(|agent| agent == "abuser");
                going_on += i32::from(abusers);
                seen += i32::from(abusers);
            }
            Ok(Some(Event::Dropped)) => going_on -= 1,
            Ok(None) => panic!("no events"),
            // Not all of them had come so far.
            Err(_) => break,
        }
    }
    assert_eq!(going_on, 0, "of {seen} calls");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_after_the_answer() {
    let (world, neighbour) = world(|config| config.server.max_control_frames = 200).await;
    let block = call(CHECK, Some(&bearer(&world)), &[]);
    let mut raw = Raw::open(&world).await;
    for stream in streams().take(1000) {
        raw.send(&whole_call(stream, &block, &checking("anna"))).await.unwrap();
        loop {
            let frame = raw.next().await.expect("the connection stays");
            if frame.stream == stream && frame.flags & END_STREAM != 0 {
                break;
            }
        }
        raw.send(&reset(stream)).await.unwrap();
    }
    // They were answered calls, as any others.
    assert!(raw.is_open().await);
    neighbour.was_served().await;
}

/// Streams that the server resets for what the client does on them (CVE-2025-8671).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_that_the_server_is_made_to_send() {
    let (world, neighbour) = world(|config| config.server.max_stream_errors = 50).await;
    let block = call(CHECK, Some(&bearer(&world)), &[]);
    let provoke =
        |stream| [frame(HEADERS, END_HEADERS, stream, &block), window_update(stream, 0)].concat();
    let provoked = streams().take(1000).flat_map(provoke).collect();
    let (_, frames) = Raw::open(&world).await.flood(provoked, 1).await;
    let resets = frames.iter().filter(|frame| frame.kind == RST_STREAM).count();
    assert!(resets <= 50, "{resets}");
    assert_told_or_cut(&frames, ENHANCE_YOUR_CALM);
    neighbour.was_served().await;
}

/// The control frames that a client with these for nothing has had confirmed when it is cut.
async fn confirmed(of: &[u8], kind: u8) -> usize {
    let (world, neighbour) = world(|config| config.server.max_control_frames = 1000).await;
    let (_, frames) = Raw::open(&world).await.flood(of.repeat(100), 1000).await;
    neighbour.was_served().await;
    frames.iter().filter(|frame| (frame.kind, frame.flags) == (kind, ACK)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_flood() {
    let confirmed = confirmed(&setting(INITIAL_WINDOW, 1 << 20), SETTINGS).await;
    assert!(confirmed < 10_000, "{confirmed} of 100,000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ping_flood() {
    let confirmed = confirmed(&frame(PING, 0, 0, &[7; 8]), PING).await;
    assert!(confirmed < 10_000, "{confirmed} of 100,000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_frames_that_say_nothing() {
    let (priority, unknown) = (2, 0x2A);
    for flood in [
        frame(priority, 0, 1, &[0, 0, 0, 0, 16]),
        frame(unknown, 0, 0, &[]),
        window_update(0, 1),
        frame(GOAWAY, 0, 0, &[0; 8]),
    ] {
        let (world, neighbour) = world(|config| config.server.max_control_frames = 1000).await;
        let (sent, _) = Raw::open(&world).await.flood(flood.repeat(1000), 10_000).await;
        assert!(sent < 10_000, "all of 10,000,000 frames of kind {}", flood[3]);
        neighbour.was_served().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn continuation_flood() {
    let (world, neighbour) = world(|_| {}).await;
    for (block, why) in [(vec![], "empty"), (field("x", "y"), "small")] {
        let mut raw = Raw::open(&world).await;
        raw.send(&frame(HEADERS, 0, 1, &call(CHECK, None, &[]))).await.unwrap();
        let (_, frames) = raw.flood(frame(CONTINUATION, 0, 1, &block), 10_000).await;
        assert_told_or_cut(&frames, ENHANCE_YOUR_CALM);
        assert!(!frames.iter().any(|frame| frame.kind == HEADERS), "{why}");
    }
    neighbour.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_bomb() {
    let (world, neighbour) = world(|_| {}).await;
    let bearer = bearer(&world);
    let start = call(CHECK, Some(&bearer), &[]);
    // 18 KiB of headers: one call is refused, and the next goes through.
    let large = [start.clone(), field("x-large", &"x".repeat(17 << 10))].concat();
    let mut raw = Raw::open(&world).await;
    let (first, rest) = large.split_at(9 << 10);
    raw.send(&frame(HEADERS, END_STREAM, 1, first)).await.unwrap();
    raw.send(&frame(CONTINUATION, END_HEADERS, 1, rest)).await.unwrap();
    let refused = raw.until(HEADERS).await.unwrap();
    // `:status: 431`, with the name's index and Huffman's code of the digits.
    assert_eq!(refused.payload, [0x48, 0x83, 0x69, 0x90, 0xFF]);
    raw.send(&whole_call(3, &start, &checking("anna"))).await.unwrap();
    let answered = raw.until(HEADERS).await.unwrap();
    assert_eq!((answered.stream, answered.payload[0]), (3, 0x88), ":status 200");

    // One field of 4,000 bytes, kept by the decoder, and then named 12,000 times by one byte each:
    // 48 MB.
    let mut kept = field("x-bomb", &"x".repeat(4000));
    kept[0] = 0x40;
    let bomb = [start, kept, vec![0x80 | 62; 12_000]].concat();
    let mut raw = Raw::open(&world).await;
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb)).await.unwrap();
    assert_told(&raw.rest().await, ENHANCE_YOUR_CALM);
    neighbour.was_served().await;
}

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
    let body = stream::iter([Ok::<_, Status>(BodyFrame::data(half))]).chain(stream::pending());
    let request = Request::post(CHECK)
        .header("content-type", "application/grpc")
        .header("authorization", bearer(&world))
        .header("grpc-timeout", "300m")
        .body(Body::new(StreamBody::new(body)))
        .unwrap();
    let answer = tokio::time::timeout(PATIENCE, connect(&world).await.oneshot(request));
    let answer = answer.await.unwrap().unwrap();
    let told = Status::from_header_map(answer.headers()).unwrap();
    assert_error(&told, Code::DeadlineExceeded, Reason::DeadlineExceeded);
    neighbour.was_served().await;
}

/// Over HTTP/1.1, which is spoken where gRPC-Web is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_http_1() {
    let (world, neighbour) = world(|config| {
        config.service.web.allowed_origins = vec!["https://app.example.com".to_owned()];
        config.server.handshake_timeout = Span::from_millis(300);
        config.server.stall_timeout = Span::from_millis(300);
    })
    .await;
    let post = format!("POST {WATCH} HTTP/1.1\r\nhost: gateway\r\n");
    // Headers that come one by one, and never end.
    let mut raw = Raw::silent(&world).await;
    raw.send(post.as_bytes()).await.unwrap();
    while raw.send(b"x-slow: 1\r\n").await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // A body that does not come.
    let token = bearer(&world);
    let call = format!(
        "{post}authorization: {}\r\ncontent-type: application/grpc-web+proto\r\n",
        token.to_str().unwrap()
    );
    let mut raw = Raw::silent(&world).await;
    let head = format!("{call}grpc-timeout: 300m\r\ncontent-length: 9\r\n\r\n");
    raw.send(head.as_bytes()).await.unwrap();
    let answer = raw.text("\r\n\r\n").await;
    assert!(answer.contains("grpc-status: 4\r\n"), "{answer}");
    // An answer that is not read.
    let body = watching("endless");
    let mut raw = Raw::silent(&world).await;
    let head = format!("{call}content-length: {}\r\n\r\n", body.len());
    raw.send(&[head.as_bytes(), &body].concat()).await.unwrap();
    assert!(raw.is_cut().await, "the connection is still there");
    let made = world.stub.made.load(SeqCst);
    assert!(made <= 512, "{made} messages of 64 KiB were made");
    neighbour.was_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_http_2() {
    let (world, neighbour) = world(|_| {}).await;
    let http1: &[u8] = b"POST /assent.consent.v1.ConsentService/Check HTTP/1.1\r\nhost: x\r\n\r\n";
    let garbage = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3].repeat(10);
    for said in [http1, &garbage, &[0; 100], &[b'x'; 1 << 20]] {
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

/// HTTP/2 servers end a connection with more than 100 of them: that of the gateway to a service is
/// shared by all callers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_data_frames() {
    let (world, neighbour) = world(|_| {}).await;
    let upload = call(APPEND, Some(&world.keys.bearer(&business())), &[]);
    for _ in 0..5 {
        let mut raw = Raw::open(&world).await;
        raw.send(&frame(HEADERS, END_HEADERS, 1, &upload)).await.unwrap();
        raw.send(&frame(DATA, 0, 1, &[]).repeat(90)).await.unwrap();
        raw.send(&frame(DATA, END_STREAM, 1, &message(&[]))).await.unwrap();
        let answers = raw.until(DATA).await.expect("an answer");
        assert!(!answers.payload.is_empty());
    }
    let mut raw = Raw::open(&world).await;
    raw.send(&frame(HEADERS, END_HEADERS, 1, &upload)).await.unwrap();
    let _ = raw.send(&frame(DATA, 0, 1, &[]).repeat(200)).await;
    assert_told(&raw.rest().await, ENHANCE_YOUR_CALM);
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
