//! Promise 3, from outside: known phone numbers and addresses go through every method of a running
//! suite, where they belong and where they do not. Then everything that it leaves behind is
//! searched for them, in every spelling and normal form, and for their bare SHA-256.
//!
//! What is searched is printed: `cargo test -p suite --test it canary -- --nocapture`.

pub(crate) mod calls;
pub(crate) mod needles;
mod places;
mod rows;
pub(crate) mod story;
mod sweep;

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::Mutex,
};

use proto::{contract::methods, options::v1::Exposure};
use service_kit::{
    auth::Issuer,
    test_util::{Collector, Postgres, Redis},
};
use tonic::metadata::MetadataMap;

use self::{
    calls::Client,
    needles::{CONTROLS, Needles, sent},
    places::{
        Monitor, Places, add_postgres, add_statements, controls, log_statements, put_controls_into,
    },
    story::Story,
    sweep::sweep,
};
use crate::{
    cluster::{Cluster, Plan},
    raw::call_once,
    support::{Process, Suite, connect},
    table::owner,
};

fn issuer(directory: &Path) -> Issuer {
    Issuer::development(&directory.join("development-key.pem")).unwrap()
}

/// Somebody at the gateway for whom every method has done what it was asked.
pub(crate) async fn play(directory: &Path, gateway: &str) -> Client {
    let client = Client::new(gateway, issuer(directory), odd_metadata()).await;
    Story::new(&client).play().await;
    let public = methods().filter(|method| method.exposure == Exposure::Public);
    let is_silent = |path: &&String| !client.answered.borrow().contains(*path);
    let silent: Vec<_> = public.map(|method| &method.path).filter(is_silent).collect();
    assert!(silent.is_empty(), "canary/story.rs has no call of {silent:?}");
    client
}

/// Calls every method with canaries where they do not belong. `address` has the services behind
/// the gateway.
async fn misplay(
    client: &Client,
    directory: &Path,
    address: impl Fn(&str) -> String,
    places: &mut Places,
) {
    let calls = sweep(client, async |method| {
        Client::new(&address(owner(method)), issuer(directory), odd_metadata()).await
    })
    .await;
    println!("{calls} odd calls");
    places.add("answers", "to all calls", client.heard.take());
}

/// Canaries in headers: of a trace, of a library, of nobody.
fn odd_metadata() -> MetadataMap {
    let mut metadata = MetadataMap::new();
    for name in ["x-request-id", "tracestate", "baggage", "traceparent", "x-forwarded-for", "from"]
    {
        metadata.insert(name, "phone=+4915123456789,canary.vogel@gmail.com".parse().unwrap());
    }
    metadata
}

/// The text of a process's metrics, after calls.
fn scrape(url: &str) -> Vec<u8> {
    let text = page(url);
    assert!(String::from_utf8_lossy(&text).contains("assent_request_duration"), "{url}");
    text
}

/// The text of a process's metrics.
pub(crate) fn page(url: &str) -> Vec<u8> {
    let address = url.trim_start_matches("http://");
    let mut connection = TcpStream::connect(address).unwrap();
    write!(connection, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut text = Vec::new();
    connection.read_to_end(&mut text).unwrap();
    text
}

/// All that a process printed, which is in full detail.
fn everything_logged(process: &mut Process) -> Vec<u8> {
    let log = process.printed();
    let text = String::from_utf8_lossy(&log);
    assert!(text.contains("TRACE") && text.contains("assent::calls"));
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn no_identifier_stays_anywhere_in_an_embedded_suite() {
    let data = tempfile::tempdir().unwrap();
    let mut suite = Suite::start_tracing(data.path());
    let mut places = Places::default();
    let address = |name: &str| suite.service(name).to_owned();
    let client = play(data.path(), suite.gateway()).await;
    misplay(&client, data.path(), address, &mut places).await;
    for url in suite.metrics() {
        places.add("metrics", &url, scrape(&url));
    }
    places.add_files("data directory while it runs", data.path());
    suite.process.terminate();
    places.add("logs", "the suite's", everything_logged(&mut suite.process));
    places.add_controls_printed("logs");
    for service in ["consent", "audience", "suggest"] {
        let file = data.path().join(format!("{service}.sqlite"));
        assert!(file.exists());
        put_controls_into(&format!("sqlite://{}", file.display())).await;
    }
    places.add_files("data directory afterwards", data.path());
    places.search(&["logs", "data directory afterwards"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_identifier_stays_anywhere_in_a_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let (postgres, redis, collector) =
        (Postgres::start(), Redis::start(), Collector::start().await);
    let monitor = Monitor::start(&redis);
    log_statements(&postgres);
    let databases = Mutex::new(Vec::new());
    let database = || {
        let url = postgres.database();
        databases.lock().unwrap().push(url.clone());
        url
    };
    let plan = Plan {
        replicas: 1,
        database: &database,
        // A change of policies waits a little longer than a lease.
        consent: &format!("[cache]\nlease = \"200ms\"\nredis = [\"{}\"]", redis.database()),
        telemetry: &format!(
            "log_filter = \"trace\"\ntrace_ratio = 1.0\notlp_endpoint = \"{}\"",
            collector.url()
        ),
        gateway: "",
        tls: false,
    };
    let mut cluster = Cluster::start(directory.path(), &plan);
    let databases = databases.lock().unwrap().clone();
    let mut places = Places::default();
    let address = |name: &str| cluster.services[name][0].clone();
    put_controls_into(&postgres.database()).await;
    let client = play(directory.path(), cluster.gateway()).await;
    // Before others look up ids that there are not, which are values of statements.
    add_statements(&mut places, &postgres);
    misplay(&client, directory.path(), address, &mut places).await;
    for url in &cluster.metrics {
        places.add("metrics", url, scrape(url));
    }
    while let Some(mut process) = cluster.processes.pop() {
        process.terminate();
        places.add("logs", "a process's", everything_logged(&mut process));
    }
    places.add_controls_printed("logs");
    let sink = connect(collector.url()).await;
    call_once(&sink, "/control", None, controls()).await.unwrap();
    for (path, message) in collector.exports() {
        places.add("traces and metrics as exported", path, message.to_vec());
    }
    monitor.finish(&mut places, &redis);
    for database in &databases {
        put_controls_into(database).await;
    }
    add_postgres(&mut places, &postgres, &databases);
    places.add_files("configuration directory", directory.path());
    places.search(&[
        "logs",
        "traces and metrics as exported",
        "Redis, dumped",
        "Redis, commands, bytes decoded",
        "PostgreSQL, dumped, bytes decoded",
        "PostgreSQL, files (with pg_wal)",
        "PostgreSQL, statements, bytes decoded",
    ]);
}

#[test]
fn what_is_looked_for_is_what_was_sent() {
    let has = |needles: &Needles, bytes: &[u8]| !needles.within(bytes).is_empty();
    let needles = Needles::of(sent());
    for text in ["4915123456789", "+4915123456789", "canaryvogel@gmail.com", "ZWEI.CANARY@x"] {
        assert!(has(&needles, text.as_bytes()), "{text}");
    }
    assert!(!has(&needles, &controls()) && !has(&Needles::of(&CONTROLS), b"4915123456789"));
}
