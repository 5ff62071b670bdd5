//! Much of what costs the sender nothing.

use super::{assert_told, assert_told_or_cut, bearer, checking, streams, whole_call, world};
use crate::{
    raw::{
        ACK, APPEND, CHECK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY,
        HEADERS, INITIAL_WINDOW, PING, RST_STREAM, Raw, SETTINGS, call, field, frame, message,
        reset, setting, window_update,
    },
    services::Event,
    world::business,
};

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
    let (mut begun, mut ended) = (0, 0);
    for stream in streams().take(1000) {
        if raw.send(&whole_call(stream, &block, &checking("hangs"))).await.is_err() {
            break;
        }
        // Reset when the service has it, unless the connection has ended.
        let has_begun = loop {
            let event = tokio::select! {
                event = world.noticed() => event,
                _ = raw.rest() => break false,
            };
            match event {
                Event::Called(of) if of.get("user-agent").is_some_and(|of| of == "abuser") => {
                    break true;
                }
                Event::Called(_) => {}
                Event::Dropped => ended += 1,
            }
        };
        begun += usize::from(has_begun);
        if !has_begun || raw.send(&reset(stream)).await.is_err() {
            break;
        }
    }
    // As many as are free, and those that came back meanwhile.
    assert!((200..1000).contains(&begun), "{begun}");
    neighbour.was_served().await;
    // None of the calls goes on behind the gateway.
    while ended < begun {
        ended += usize::from(matches!(world.noticed().await, Event::Dropped));
    }
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
    // More than a window can be.
    let too_much = |stream| window_update(stream, (1 << 31) - 1);
    let provoke = |stream| [frame(HEADERS, END_HEADERS, stream, &block), too_much(stream)].concat();
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

    // One field of 4,000 bytes, kept by the decoder, and then named 10,000 times by one byte each:
    // 40 MB. (0xBE: the newest entry of the dynamic table.)
    let mut kept = field("x-bomb", &"x".repeat(4000));
    kept[0] = 0x40;
    let bomb = [start, kept, vec![0xBE; 10_000]].concat();
    let mut raw = Raw::open(&world).await;
    raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &bomb)).await.unwrap();
    assert_told(&raw.rest().await, ENHANCE_YOUR_CALM);
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
