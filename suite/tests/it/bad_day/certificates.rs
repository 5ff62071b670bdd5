//! Certificates are renewed under load, by another authority even: whoever knows both is served all
//! the while.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use service_kit::client::{ClientConfig, channel};
use tokio::time::sleep;
use tonic::transport::Channel;

use super::{
    load::{Load, failures},
    world::World,
};
use crate::cluster::write_certificates;

/// How soon the new certificate must be shown: it is looked for every second.
const SOON: Duration = Duration::from_secs(20);

/// A connection by whom only the authorities in a file are believed.
fn trusting(url: &str, ca_file: &Path) -> Channel {
    let config = ClientConfig {
        endpoint: url.to_owned(),
        ca_file: Some(ca_file.to_owned()),
        ..ClientConfig::default()
    };
    channel(&config).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_certificates_are_rotated() {
    let _shared = super::ALONE.read().await;
    let new = tempfile::tempdir().unwrap();
    write_certificates(new.path());
    let world = World::start_in(1, Some(new.path()), &[]).await;
    let here = world.directory.path();
    // Callers know both authorities, as services do.
    let load = Load::start(here, trusting(world.url(), &here.join("ca.pem"))).await;
    let stranger = || Load::new(here, trusting(world.url(), &new.path().join("ca.pem")));
    assert!(!stranger().answered().await, "the new certificate is there already");

    let begun = Instant::now();
    for file in ["server.key", "server.pem"] {
        let beside = here.join(format!("{file}.new"));
        std::fs::copy(new.path().join(file), &beside).unwrap();
        std::fs::rename(beside, here.join(file)).unwrap();
    }
    while !stranger().answered().await {
        assert!(begun.elapsed() < SOON, "the old certificate is still shown");
        sleep(Duration::from_millis(50)).await;
    }
    let seen = begun.elapsed();
    // New connections everywhere: those that were open stay as they are until then.
    for service in &world.services {
        service.cut();
    }
    sleep(Duration::from_secs(1)).await;
    let book = load.end().await;
    println!(
        "RELIABILITY | certificates rotated | {} calls, {} | shown after {} ms",
        book.calls.len(),
        failures(book.calls.iter()),
        seen.as_millis(),
    );
    for call in book.calls.iter().filter(|call| call.failed.is_some()) {
        println!("  {call:?}, rotation begun {:?} before its end", call.until - begun);
    }
    assert!(book.calls.iter().all(|call| call.failed.is_none()));
}
