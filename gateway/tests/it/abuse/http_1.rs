//! HTTP/1.1, which is spoken where gRPC-Web is.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use gateway::GatewayConfig;
use service_kit::config::{Config, Span};

use super::{bearer, watching, world};
use crate::{
    raw::{Raw, WATCH},
    world::PATIENCE,
};

fn speak(config: &mut Config<GatewayConfig>) {
    config.service.web.allowed_origins = vec!["https://app.example.com".to_owned()];
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_http_1() {
    let (world, neighbour) = world(|config| {
        speak(config);
        config.server.handshake_timeout = Span::from_millis(300);
        config.server.stall_timeout = Span::from_millis(300);
    })
    .await;
    let post = format!("POST {WATCH} HTTP/1.1\r\nhost: gateway\r\n");
    // Headers that do not end: at this pace they would be too many in five minutes.
    let mut raw = Raw::silent(&world).await;
    raw.send(format!("{post}x-slow: ").as_bytes()).await.unwrap();
    let drip = async {
        while raw.send(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, drip).await.expect("the connection is still there");
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
async fn heads_of_http_1() {
    let (world, neighbour) = world(speak).await;
    let post = format!("POST {WATCH} HTTP/1.1\r\nhost: gateway\r\n");
    let large = format!("x-large: {}\r\n", "x".repeat(17 << 10));
    for (head, told) in [
        (large.as_str(), "431"),
        (&"x: y\r\n".repeat(200), "431"),
        ("content-length: 5\r\ncontent-length: 6\r\n", "400"),
        ("content-length: -1\r\n", "400"),
        ("no field\r\n", "400"),
    ] {
        let mut raw = Raw::silent(&world).await;
        raw.send(format!("{post}{head}\r\n").as_bytes()).await.unwrap();
        let answer = raw.text("\r\n\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {told} ")), "{head:.40}: {answer}");
    }
    // One that has no end is not read on.
    let mut raw = Raw::silent(&world).await;
    raw.send(format!("{post}x-large: ").as_bytes()).await.unwrap();
    let (mut sent, piece) = (0, vec![b'x'; 64 << 10]);
    while sent < 1 << 30 && raw.send(&piece).await.is_ok() {
        sent += piece.len();
    }
    assert!(sent < 1 << 30, "all of a gigabyte");
    neighbour.was_served().await;
}
