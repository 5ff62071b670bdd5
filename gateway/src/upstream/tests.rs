//! An upstream whose names the test looks up, in front of replicas that are no more than HTTP/2.
#![allow(clippy::unwrap_used)]

mod failures;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt as _, future, stream};
use http::{HeaderMap, Request, Response, uri::PathAndQuery};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proto::{errors::v1::Reason, status};
use service_kit::config::Span;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tonic::Status;

use super::{Outbound, Relayed, Repeat, Upstream, names::Resolve};
use crate::{Body, config::UpstreamConfig, error::Error};

const PATIENCE: Duration = Duration::from_secs(30);

/// One replica: counts its calls and open connections, and tells of the bodies it got.
struct Replica {
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    calls: AtomicUsize,
    connections: watch::Sender<usize>,
    /// Trailers of requests whose body came whole.
    trailers: Mutex<Vec<Option<HeaderMap>>>,
    /// Lets the calls of `/hold` be answered.
    gate: Notify,
    /// Makes it end a connection once the calls on it are answered.
    drain: Notify,
    /// Makes it drop a connection.
    cut: Notify,
    /// Whether it says that it stops.
    stops: AtomicBool,
}

impl Replica {
    async fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = seen.clone();
        tokio::spawn(async move {
            loop {
                let (io, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(io, shared.clone()));
            }
        });
        Self { address, seen }
    }

    fn calls(&self) -> usize {
        self.seen.calls.load(SeqCst)
    }

    async fn until_connections(&self, open: usize) {
        let mut connections = self.seen.connections.subscribe();
        let seen = timeout(PATIENCE, connections.wait_for(|now| *now == open)).await;
        seen.expect("so many connections are never open").unwrap();
    }
}

async fn serve(io: TcpStream, seen: Arc<Seen>) {
    seen.connections.send_modify(|open| *open += 1);
    let service = service_fn(|request| answer(seen.clone(), request));
    let builder = http2::Builder::new(TokioExecutor::new());
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
    tokio::select! {
        _ = &mut connection => {}
        () = seen.drain.notified() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
        () = seen.cut.notified() => {}
    }
    seen.connections.send_modify(|open| *open -= 1);
}

async fn answer(seen: Arc<Seen>, request: Request<Incoming>) -> io::Result<Response<Body>> {
    seen.calls.fetch_add(1, SeqCst);
    if seen.stops.load(SeqCst) {
        return Ok(status::status(Reason::NotServing, "stopping").into_http());
    }
    if request.uri().path() == "/reset" {
        return Err(io::ErrorKind::Other.into());
    }
    if request.uri().path() == "/hold" {
        seen.gate.notified().await;
    }
    if request.uri().path() == "/answers-first" {
        // An answer that goes on as long as the request.
        let body = request.into_body().into_data_stream().map(|data| data.map(Frame::data));
        let body = Body::new(StreamBody::new(body));
        return Ok(Response::builder()
            .header("content-type", "application/grpc")
            .body(body)
            .unwrap());
    }
    if let Ok(body) = request.into_body().collect().await {
        seen.trailers.lock().unwrap().push(body.trailers().cloned());
    }
    Ok(Status::ok("").into_http())
}

/// What the test's name service says, and how often it was asked.
#[derive(Clone)]
struct Dns(Arc<Mutex<io::Result<Vec<SocketAddr>>>>, Arc<watch::Sender<usize>>);

impl Dns {
    fn new(addresses: &[SocketAddr]) -> Self {
        Self(Arc::new(Mutex::new(Ok(addresses.to_vec()))), Arc::default())
    }

    fn resolve(&self) -> Resolve {
        let this = self.clone();
        Arc::new(move |host, port| {
            assert_eq!((host.as_str(), port), ("consent-svc", 50051));
            this.1.send_modify(|asked| *asked += 1);
            let said = match &*this.0.lock().unwrap() {
                Ok(addresses) => Ok(addresses.clone()),
                Err(error) => Err(io::Error::from(error.kind())),
            };
            Box::pin(async { said })
        })
    }

    /// Returns when the upstream has heard it.
    async fn say(&self, said: io::Result<Vec<SocketAddr>>) {
        *self.0.lock().unwrap() = said;
        let mut asked = self.1.subscribe();
        // The next one may have asked before; the one after it begins when it has been heard.
        let enough = *asked.borrow_and_update() + 2;
        timeout(PATIENCE, asked.wait_for(|asked| *asked >= enough)).await.unwrap().unwrap();
    }
}

fn upstream(dns: &Dns) -> Upstream {
    upstream_with(dns, UpstreamConfig::default())
}

fn upstream_with(dns: &Dns, config: UpstreamConfig) -> Upstream {
    let config = UpstreamConfig {
        endpoints: vec!["http://consent-svc:50051".to_owned()],
        resolve_interval: Span::from_millis(5),
        ..config
    };
    Upstream::open_with("consent", "consent-svc", &config, &dns.resolve()).unwrap()
}

async fn send(
    upstream: &Upstream,
    path: &'static str,
    body: Body,
    repeat: Repeat,
) -> Result<Response<Relayed>, Error> {
    send_before(Instant::now() + PATIENCE, upstream, path, body, repeat).await
}

async fn send_before(
    deadline: Instant,
    upstream: &Upstream,
    path: &'static str,
    body: Body,
    repeat: Repeat,
) -> Result<Response<Relayed>, Error> {
    let headers = || {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/grpc".parse().unwrap());
        headers
    };
    let path = PathAndQuery::from_static(path);
    upstream.send(Outbound { path, headers, body, repeat, deadline }).await
}

async fn call(upstream: &Upstream) {
    send(upstream, "/call", Body::empty(), Repeat::Always).await.unwrap();
}

/// Calls until each has had one, and so is connected.
async fn both_are_called(upstream: &Upstream, first: &Replica, second: &Replica) {
    let before = (first.calls(), second.calls());
    let called = async {
        while first.calls() == before.0 || second.calls() == before.1 {
            call(upstream).await;
        }
    };
    timeout(PATIENCE, called).await.expect("one of both is never called");
}

/// A call that a replica takes and does not answer yet.
async fn hold(upstream: &Arc<Upstream>, on: &[&Replica]) -> JoinHandle<Result<(), Error>> {
    let all = || on.iter().map(|replica| replica.calls()).sum::<usize>();
    let (upstream, calls) = (upstream.clone(), all());
    let call =
        async move { send(&upstream, "/hold", Body::empty(), Repeat::Never).await.map(drop) };
    let call = tokio::spawn(call);
    let begun = async {
        while all() == calls {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, begun).await.expect("the call does not come");
    call
}

#[tokio::test]
async fn replicas_come_and_go_as_the_name_service_says() {
    let first = Replica::new().await;
    let second = Replica::new().await;
    let dns = Dns::new(&[first.address]);
    let upstream = Arc::new(upstream(&dns));
    call(&upstream).await;
    assert_eq!((first.calls(), second.calls()), (1, 0));

    dns.say(Ok(vec![first.address, second.address])).await;
    both_are_called(&upstream, &first, &second).await;

    // A call that runs on the first when it is taken out of the name.
    dns.say(Ok(vec![first.address])).await;
    let running = hold(&upstream, &[&first]).await;
    dns.say(Ok(vec![second.address])).await;
    let before = first.calls();
    for _ in 0..100 {
        call(&upstream).await;
    }
    assert_eq!(first.calls(), before, "a replica that is gone was called");
    assert_eq!(*first.seen.connections.borrow(), 1, "its running call has lost the connection");
    first.seen.gate.notify_one();
    timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
    first.until_connections(0).await;

    // A name service that is down, or says nothing, takes nobody away.
    let before = second.calls();
    dns.say(Err(io::ErrorKind::TimedOut.into())).await;
    call(&upstream).await;
    dns.say(Ok(vec![])).await;
    call(&upstream).await;
    assert_eq!(second.calls(), before + 2);

    drop(upstream);
    second.until_connections(0).await;
}

#[tokio::test]
async fn a_connection_that_the_replica_is_ending_takes_no_more_calls_and_loses_none() {
    let replica = Replica::new().await;
    let upstream = Arc::new(upstream(&Dns::new(&[replica.address])));
    let running = hold(&upstream, &[&replica]).await;
    replica.seen.drain.notify_one();
    // Some before the end is heard of, and some after.
    let calls = async {
        while *replica.seen.connections.borrow() < 2 {
            send(&upstream, "/call", Body::empty(), Repeat::Never).await.unwrap();
        }
    };
    timeout(PATIENCE, calls).await.expect("no other connection is opened");
    replica.seen.gate.notify_one();
    timeout(PATIENCE, running).await.unwrap().unwrap().unwrap();
    replica.until_connections(1).await;
    call(&upstream).await;
}

#[tokio::test]
async fn a_call_that_comes_before_the_name_is_known_waits_for_it() {
    let replica = Replica::new().await;
    let dns = Dns::new(&[replica.address]);
    let upstream = upstream(&dns);
    // Nothing has run but this.
    call(&upstream).await;

    let unknown = Dns::new(&[]);
    let upstream = self::upstream(&unknown);
    let error = send(&upstream, "/call", Body::empty(), Repeat::Always).await.map(drop);
    assert!(matches!(error, Err(Error::Unreachable { .. })), "{error:?}");
}

#[tokio::test]
async fn a_look_up_that_hangs_is_given_up_and_begun_again() {
    let replica = Replica::new().await;
    let (address, asked) = (replica.address, AtomicUsize::new(0));
    let resolve: Resolve = Arc::new(move |_, _| {
        let hangs = asked.fetch_add(1, SeqCst) == 0;
        Box::pin(async move { if hangs { future::pending().await } else { Ok(vec![address]) } })
    });
    let config = UpstreamConfig {
        endpoints: vec!["http://consent-svc:50051".to_owned()],
        connect_timeout: Span::from_millis(50),
        ..UpstreamConfig::default()
    };
    let upstream = Upstream::open_with("consent", "consent-svc", &config, &resolve).unwrap();
    replica.until_connections(1).await;
    call(&upstream).await;
}

#[tokio::test]
async fn a_request_that_breaks_off_is_its_callers_fault_and_not_sent_again() {
    let (first, second) = (Replica::new().await, Replica::new().await);
    let dns = Dns::new(&[first.address, second.address]);
    let upstream =
        upstream_with(&dns, UpstreamConfig { eject_after: 1, ..UpstreamConfig::default() });
    both_are_called(&upstream, &first, &second).await;
    let before = first.calls() + second.calls();
    let broken = || {
        let whole = stream::iter([Ok(Frame::data(Bytes::from_static(b"half")))]);
        let cut = stream::once(async { Err(axum::Error::new(Status::cancelled("gone"))) });
        Body::new(StreamBody::new(whole.chain(cut)))
    };
    for repeat in [Repeat::Never, Repeat::WhenWhole, Repeat::Always] {
        let error = send(&upstream, "/call", broken(), repeat).await.map(drop);
        assert!(matches!(error, Err(Error::Broken { .. })), "{error:?}");
    }
    assert!(first.calls() + second.calls() <= before + 3, "sent again");

    // Once the answer has begun, it says so at its end.
    let (chunks, later) = tokio::sync::mpsc::channel::<Result<_, axum::Error>>(1);
    let later = tokio_stream::wrappers::ReceiverStream::new(later);
    let body = Body::new(StreamBody::new(later));
    chunks.send(Ok(Frame::data(Bytes::from_static(b"half")))).await.unwrap();
    let mut answer = send(&upstream, "/answers-first", body, Repeat::Never).await.unwrap();
    let echoed = answer.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(echoed, "half");
    chunks.send(Err(axum::Error::new(Status::cancelled("gone")))).await.unwrap();
    let trailers = answer.frame().await.unwrap().unwrap().into_trailers().unwrap();
    let error = Status::from_header_map(&trailers).unwrap();
    assert_eq!(status::reason(&error), Some(Reason::StreamIncomplete), "{error:?}");

    assert_eq!(upstream.counts.retries.load(Relaxed), 0);
    assert_eq!(upstream.counts.ejections.load(Relaxed), 0);
}

#[tokio::test]
async fn trailers_of_a_request_stay_here() {
    let replica = Replica::new().await;
    let upstream = upstream(&Dns::new(&[replica.address]));
    for repeat in [Repeat::Never, Repeat::Always] {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        let frames = [Frame::data(Bytes::from_static(b"whole")), Frame::trailers(trailers)];
        let frames = stream::iter(frames.map(Ok::<_, axum::Error>));
        send(&upstream, "/call", Body::new(StreamBody::new(frames)), repeat).await.unwrap();
    }
    assert_eq!(*replica.seen.trailers.lock().unwrap(), [None, None]);
}
