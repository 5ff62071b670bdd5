//! Calls that are sent again, how often, and replicas that are left alone for a while.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::{Duration, Instant},
};

use axum::body::Body as AnyBody;
use bytes::Bytes;
use futures::{future, stream};
use http::{Request as HttpRequest, Response as HttpResponse, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use proto::{
    audience::v1::{AppendUploadRequest, audience_service_client::AudienceServiceClient},
    consent::v1::{CheckRequest, PutSubjectRequest, consent_service_client::ConsentServiceClient},
    errors::v1::Reason,
    status,
};
use service_kit::config::Span;
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, body::Body, service::Routes, transport::Endpoint};
use tower::ServiceExt as _;

use crate::{
    passing_through::check,
    services::Stub,
    world::{
        Behind, PATIENCE, World, app, assert_error, assert_unavailable, business, upstream, user,
    },
};

const CHECK: &str = "/assent.consent.v1.ConsentService/Check";
const SYNC: &str = "/assent.suggest.v1.ContactService/SyncContacts";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// Serves what a function answers.
async fn behind<F, A>(answer: F) -> Behind
where
    F: Fn(HttpRequest<AnyBody>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = HttpResponse<AnyBody>> + Send + 'static,
{
    let router = axum::Router::new().fallback(answer);
    Behind::at("127.0.0.1:0".parse().unwrap(), Routes::from(router)).await
}

fn not_serving() -> HttpResponse<AnyBody> {
    status::status(Reason::NotServing, "stopping").into_http()
}

/// A call that may take as long as a caller may ask for: what these tests show is not how fast the
/// machine is.
fn asked(world: &World) -> tonic::Request<CheckRequest> {
    let mut request = world.by(&user(), check("anna"));
    request.set_timeout(PATIENCE);
    request
}

/// A call with this body, frame by frame, as the gateway answers it.
async fn raw(world: &World, path: &str, by: &service_kit::auth::Caller, body: Body) -> Status {
    let request = HttpRequest::post(path)
        .header("content-type", "application/grpc")
        .header("authorization", world.keys.bearer(by))
        .body(body)
        .unwrap();
    let answer = world.channel.clone().oneshot(request).await.unwrap();
    let headers = answer.headers().clone();
    let collected = answer.into_body().collect().await.unwrap();
    let trailers = collected.trailers().unwrap_or(&headers);
    Status::from_header_map(trailers).unwrap()
}

/// A connection to the gateway on which nothing is added to a request.
async fn h2_channel(world: &World) -> hyper::client::conn::http2::SendRequest<Body> {
    let io = tokio::net::TcpStream::connect(world.gateway.address()).await.unwrap();
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (sender, connection) = builder.handshake(TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// One message as gRPC frames it, cut into pieces of these sizes.
fn pieces(sizes: &[usize]) -> Vec<Bytes> {
    let length = u32::try_from(sizes.iter().sum::<usize>() - 5).unwrap();
    let mut message: Bytes = [0]
        .into_iter()
        .chain(length.to_be_bytes())
        .chain((0..=250).cycle().take(length.try_into().unwrap()))
        .collect();
    sizes.iter().map(|size| message.split_to(*size)).collect()
}

fn whole(pieces: &[Bytes]) -> Body {
    let frames: Vec<_> =
        pieces.iter().cloned().map(|data| Ok::<_, Status>(Frame::data(data))).collect();
    Body::new(StreamBody::new(stream::iter(frames)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_repeatable_call_fails_when_one_of_two_replicas_is_killed() {
    const CALLERS: usize = 32;
    let (stub, mut events) = Stub::new();
    let second = Behind::start(&stub).await;
    let uri = second.uri();
    let world = World::start_with(|config| {
        config.service.upstreams.consent.endpoints.push(uri);
    })
    .await;
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicUsize::new(0));
    let callers = (0..CALLERS).map(|caller| {
        let mut client = ConsentServiceClient::new(world.channel.clone());
        let (stop, done) = (stop.clone(), done.clone());
        let put = PutSubjectRequest {
            request_id: format!("r-{caller}"),
            subject_id: format!("subject-{caller}"),
            ..Default::default()
        };
        let (mut read, write) = (world.by(&app(), check("anna")), world.by(&app(), put));
        read.set_timeout(PATIENCE);
        let (headers, read) = (read.metadata().clone(), read.into_inner());
        let write = write.into_inner();
        tokio::spawn(async move {
            let mut failed = Vec::new();
            while !stop.load(Relaxed) {
                let (mut one, mut two) =
                    (tonic::Request::new(read.clone()), tonic::Request::new(write.clone()));
                *one.metadata_mut() = headers.clone();
                *two.metadata_mut() = headers.clone();
                failed.extend(client.check(one).await.err());
                failed.extend(client.put_subject(two).await.err());
                done.fetch_add(1, Relaxed);
            }
            failed
        })
    });
    let callers: Vec<_> = callers.collect();
    let until = async |count: usize| {
        let reached = async {
            while done.load(Relaxed) < count {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, reached).await.expect("calls do not go on");
    };
    until(20 * CALLERS).await;
    assert!(events.try_recv().is_ok(), "the second has had no call");
    second.kill().await;
    until(done.load(Relaxed) + 20 * CALLERS).await;
    stop.store(true, Relaxed);
    for caller in callers {
        let failed = caller.await.unwrap();
        assert!(failed.is_empty(), "{failed:?}");
    }
}

#[tokio::test]
async fn of_streams_those_fail_that_were_on_the_replica_that_is_killed() {
    let (stub, _events) = Stub::new();
    let second = Behind::start(&stub).await;
    let uri = second.uri();
    let world = World::start_with(|config| {
        config.service.upstreams.audience.endpoints.push(uri);
    })
    .await;
    let mut open = Vec::new();
    while stub.taken.load(SeqCst) < 8 {
        let mut client = AudienceServiceClient::new(world.channel.clone());
        let (batches, input) = mpsc::channel(1);
        let request = world.by(&business(), ()).map(|()| ReceiverStream::new(input));
        let mut answers = client.append_upload(request).await.unwrap().into_inner();
        batches.send(AppendUploadRequest::default()).await.unwrap();
        answers.message().await.unwrap().unwrap();
        open.push((batches, answers));
        assert!(open.len() < 1000, "the second is hardly ever called");
    }
    let there = stub.taken.load(SeqCst);
    second.kill().await;
    let mut failed = 0;
    for (batches, answers) in &mut open {
        let _ = batches.send(AppendUploadRequest::default()).await;
        match answers.message().await {
            Ok(answer) => assert!(answer.is_some()),
            Err(error) => {
                assert_unavailable(&error);
                failed += 1;
            }
        }
    }
    assert_eq!(failed, there);
}

#[tokio::test]
async fn a_storm_of_failures_is_sent_again_no_more_than_the_budget_has() {
    const CALLS: usize = 2000;
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = attempts.clone();
    let down = behind(move |request: HttpRequest<AnyBody>| {
        let is_call = request.uri().path() == CHECK;
        counted.fetch_add(usize::from(is_call), SeqCst);
        future::ready(not_serving())
    })
    .await;
    let world = world_of(std::slice::from_ref(&down)).await;
    let begun = Instant::now();
    for _ in 0..CALLS / 20 {
        let calls = (0..20).map(|_| {
            let mut client = ConsentServiceClient::new(world.channel.clone());
            let request = asked(&world);
            async move { client.check(request).await }
        });
        for answer in future::join_all(calls).await {
            assert_error(&answer.unwrap_err(), Code::Unavailable, Reason::NotServing);
        }
    }
    let (attempts, seconds) = (attempts.load(SeqCst), begun.elapsed().as_secs() + 1);
    let most = CALLS + CALLS / 5 + 10 * (10 + usize::try_from(seconds).unwrap());
    assert!(attempts <= most, "{attempts} attempts at {CALLS} calls in {seconds} s");
    assert!(attempts >= CALLS + CALLS / 10, "{attempts} attempts: nothing is sent again");
    down.kill().await;
}

/// What a replica got: bodies as far as they came, and `grpc-timeout`.
type Got = Arc<Mutex<Vec<(Bytes, String)>>>;

/// Two replicas of which whichever is asked first says, after the first frame, that it stops; the
/// other takes all.
async fn first_fails() -> (Vec<Behind>, Got) {
    let got = Got::default();
    let answer = {
        let got = got.clone();
        move |request: HttpRequest<AnyBody>| {
            let got = got.clone();
            async move {
                if request.uri().path() == HEALTH {
                    return not_serving();
                }
                let time = request.headers()["grpc-timeout"].to_str().unwrap().to_owned();
                let mut body = request.into_body();
                let is_first = got.lock().unwrap().is_empty();
                if is_first {
                    let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
                    got.lock().unwrap().push((frame, time));
                    return not_serving();
                }
                let whole = body.collect().await.unwrap().to_bytes();
                got.lock().unwrap().push((whole, time));
                Status::ok("").into_http()
            }
        }
    };
    (vec![behind(answer.clone()).await, behind(answer).await], got)
}

async fn world_of(behind: &[Behind]) -> World {
    let uris: Vec<_> = behind.iter().map(Behind::uri).collect();
    World::start_with(|config| {
        config.service.upstreams.consent = upstream(&uris);
        config.service.upstreams.suggest = upstream(&uris);
    })
    .await
}

#[tokio::test]
async fn the_second_replica_gets_every_byte_and_the_time_that_is_left() {
    let (replicas, got) = first_fails().await;
    let world = world_of(&replicas).await;
    let sent = pieces(&[1, 0, 5, 16_384, 16_385, 20_000, 1]);
    let answer = raw(&world, CHECK, &user(), whole(&sent)).await;
    assert_eq!(answer.code(), Code::Ok, "{answer:?}");
    let got = std::mem::take(&mut *got.lock().unwrap());
    assert_eq!(got.len(), 2);
    assert_eq!(got[1].0, sent.concat());
    let micros = |time: &str| time.strip_suffix('u').unwrap().parse::<u64>().unwrap();
    assert!(micros(&got[1].1) < micros(&got[0].1), "{} then {}", got[0].1, got[1].1);
    for replica in replicas {
        replica.kill().await;
    }
}

#[tokio::test]
async fn what_is_too_long_to_keep_is_not_sent_again() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = attempts.clone();
    let stops = behind(move |request: HttpRequest<AnyBody>| {
        let is_call = request.uri().path() == CHECK;
        let counted = counted.clone();
        async move {
            let _ = request.into_body().collect().await;
            counted.fetch_add(usize::from(is_call), SeqCst);
            not_serving()
        }
    })
    .await;
    let world = world_of(std::slice::from_ref(&stops)).await;
    for (sizes, expected) in [([30_000, 30_000], 3), ([40_000, 40_000], 1)] {
        attempts.store(0, SeqCst);
        let answer = raw(&world, CHECK, &user(), whole(&pieces(&sizes))).await;
        assert_error(&answer, Code::Unavailable, Reason::NotServing);
        assert_eq!(attempts.load(SeqCst), expected, "{sizes:?}");
    }
    stops.kill().await;
}

#[tokio::test]
async fn a_stream_is_sent_again_only_when_its_caller_has_ended_it() {
    let (replicas, got) = first_fails().await;
    let world = world_of(&replicas).await;
    let (frames, input) = mpsc::channel(1);
    let first = pieces(&[10, 10]).swap_remove(0);
    frames.send(Ok::<_, Status>(Frame::data(first))).await.unwrap();
    let open = Body::new(StreamBody::new(ReceiverStream::new(input)));
    let answer = raw(&world, SYNC, &user(), open).await;
    assert_error(&answer, Code::Unavailable, Reason::NotServing);
    assert_eq!(got.lock().unwrap().len(), 1);
    drop(frames);

    got.lock().unwrap().clear();
    let answer = raw(&world, SYNC, &user(), whole(&pieces(&[10]))).await;
    assert_eq!(answer.code(), Code::Ok, "{answer:?}");
    assert_eq!(got.lock().unwrap().len(), 2);
    for replica in replicas {
        replica.kill().await;
    }
}

#[tokio::test]
async fn a_service_whose_own_dependency_fails_is_not_asked_again() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = attempts.clone();
    let without_store = behind(move |request: HttpRequest<AnyBody>| {
        let is_call = request.uri().path() == CHECK;
        counted.fetch_add(usize::from(is_call), SeqCst);
        let error = status::status(Reason::DependencyUnavailable, "the database is down");
        future::ready(error.into_http())
    })
    .await;
    let uri = without_store.uri();
    let mut world = World::start_with(|config| {
        config.service.upstreams.consent.endpoints.push(uri);
    })
    .await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let mut failed = 0;
    for _ in 0..200 {
        failed += usize::from(client.check(asked(&world)).await.is_err());
    }
    assert_eq!(failed, attempts.load(SeqCst), "each is told its caller, once");
    assert!(failed > 20, "{failed} of 200 calls: the replica was ejected");
    assert!(world.events.try_recv().is_ok());
    without_store.kill().await;
}

#[tokio::test]
async fn no_attempt_begins_after_the_deadline() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = attempts.clone();
    let slow = behind(move |request: HttpRequest<AnyBody>| {
        let is_call = request.uri().path() == CHECK;
        counted.fetch_add(usize::from(is_call), SeqCst);
        async move {
            if is_call {
                future::pending::<()>().await;
            }
            not_serving()
        }
    })
    .await;
    let world = world_of(std::slice::from_ref(&slow)).await;
    // Not by a generated client, which would watch the time itself.
    let request = HttpRequest::post(format!("http://{}{CHECK}", world.gateway.address()))
        .header("content-type", "application/grpc")
        .header("authorization", world.keys.bearer(&user()))
        .header("grpc-timeout", "100m")
        .body(whole(&[Bytes::from_static(&[0; 5])]))
        .unwrap();
    let mut http = h2_channel(&world).await;
    let answer = http.send_request(request).await.unwrap();
    let error = Status::from_header_map(answer.headers()).unwrap();
    assert_error(&error, Code::DeadlineExceeded, Reason::DeadlineExceeded);
    slow.kill().await;
    assert_eq!(attempts.load(SeqCst), 1);
}

/// What a replica that the test makes ill, and well again, does meanwhile.
#[derive(Debug, Clone, Copy)]
enum Ill {
    /// Answers with a page, as a proxy does whose server is gone.
    Page(StatusCode),
    /// Takes calls, and ends the connection.
    Drops,
    /// Says that it stops.
    Stops,
}

struct Patient {
    uri: String,
    is_ill: Arc<AtomicBool>,
    /// Calls that came while it was ill, and since.
    ill: Arc<AtomicUsize>,
    well: Arc<AtomicUsize>,
}

impl Patient {
    async fn start(with: Ill) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let this = Self {
            uri: format!("http://{}", listener.local_addr().unwrap()),
            is_ill: Arc::new(AtomicBool::new(true)),
            ill: Arc::default(),
            well: Arc::default(),
        };
        let (is_ill, ill, well) = (this.is_ill.clone(), this.ill.clone(), this.well.clone());
        let healthy = Stub::new().0.routes().await.prepare().into_axum_router();
        tokio::spawn(async move {
            loop {
                let (io, _) = listener.accept().await.unwrap();
                let (is_ill, ill, well) = (is_ill.clone(), ill.clone(), well.clone());
                let healthy = healthy.clone();
                let (drop, mut dropped) = mpsc::unbounded_channel();
                let service =
                    tower::service_fn(move |request: HttpRequest<hyper::body::Incoming>| {
                        let is_call = request.uri().path() != HEALTH;
                        let (healthy, drop) = (healthy.clone(), drop.clone());
                        let is_ill = is_ill.load(SeqCst);
                        let count = if is_ill { &ill } else { &well };
                        count.fetch_add(usize::from(is_call), SeqCst);
                        async move {
                            match with {
                                _ if !is_ill => healthy.oneshot(request.map(AnyBody::new)).await,
                                Ill::Page(status) => {
                                    let page = HttpResponse::builder().status(status);
                                    Ok(page.body(AnyBody::from("<html>sorry</html>")).unwrap())
                                }
                                Ill::Stops => Ok(not_serving()),
                                Ill::Drops => {
                                    let _ = drop.send(());
                                    future::pending().await
                                }
                            }
                        }
                    });
                tokio::spawn(async move {
                    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                    let service = TowerToHyperService::new(service);
                    tokio::select! {
                        _ = builder.serve_connection(TokioIo::new(io), service) => {}
                        _ = dropped.recv() => {}
                    }
                });
            }
        });
        this
    }
}

/// Failed calls of 200, of which some went to the patient.
async fn calls_beside(patient: &Patient) -> (World, usize) {
    let uri = patient.uri.clone();
    let world = World::start_with(|config| {
        let consent = &mut config.service.upstreams.consent;
        consent.endpoints.push(uri);
        (consent.eject_after, consent.probe_pause) = (3, Span::from_millis(20));
    })
    .await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let mut failed = 0;
    for _ in 0..200 {
        failed += usize::from(client.check(asked(&world)).await.is_err());
    }
    (world, failed)
}

/// Whether the gateway's metrics say so of consent-svc.
async fn is_counted(world: &World, name: &str, count: u32) -> bool {
    let labels = "{upstream=\"consent-svc\",service=\"gateway\"}";
    let line = format!("gateway_upstream_{name}_total{labels} {count}");
    world.metrics().await.lines().any(|shown| shown == line)
}

/// Makes the patient well, and returns when it gets calls.
async fn comes_back(world: &World, patient: &Patient) {
    patient.is_ill.store(false, SeqCst);
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let called = async {
        while patient.well.load(SeqCst) == 0 {
            client.check(asked(world)).await.unwrap();
        }
    };
    timeout(PATIENCE, called).await.expect("it is never called again");
}

#[tokio::test]
async fn a_replica_that_answers_with_pages_is_left_alone_until_it_serves() {
    let patient = Patient::start(Ill::Page(StatusCode::SERVICE_UNAVAILABLE)).await;
    let (world, failed) = calls_beside(&patient).await;
    assert_eq!((patient.ill.load(SeqCst), failed), (3, 3));
    comes_back(&world, &patient).await;
}

#[tokio::test]
async fn a_replica_that_stops_is_left_alone_until_it_serves_and_no_call_fails() {
    let patient = Patient::start(Ill::Stops).await;
    let (world, failed) = calls_beside(&patient).await;
    assert_eq!((patient.ill.load(SeqCst), failed), (3, 0));
    for (name, count) in [("retries", 3), ("ejections", 1)] {
        assert!(is_counted(&world, name, count).await, "not {count} {name}");
    }
    comes_back(&world, &patient).await;
}

#[tokio::test]
async fn a_replica_that_drops_connections_is_left_alone_until_it_serves_and_no_call_fails() {
    let patient = Patient::start(Ill::Drops).await;
    let (world, failed) = calls_beside(&patient).await;
    assert_eq!(failed, 0);
    // It is connected to again after a pause, and then called.
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let ejected = async {
        while !is_counted(&world, "ejections", 1).await {
            client.check(asked(&world)).await.unwrap();
        }
    };
    timeout(PATIENCE, ejected).await.expect("it is not ejected");
    // A call may also be lost with a connection that was dropped for the sake of another.
    let ill = patient.ill.load(SeqCst);
    assert!(ill <= 3, "{ill}");
    // Longer than the pause.
    let later = Instant::now() + Duration::from_secs(1);
    while Instant::now() < later {
        client.check(asked(&world)).await.unwrap();
    }
    assert_eq!(patient.ill.load(SeqCst), ill);
    comes_back(&world, &patient).await;
}

#[tokio::test]
async fn what_is_said_of_the_request_is_not_held_against_the_replica() {
    let patient = Patient::start(Ill::Page(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)).await;
    let (_world, failed) = calls_beside(&patient).await;
    assert_eq!(failed, patient.ill.load(SeqCst));
    assert!(failed > 20, "{failed} of 200 calls: it was ejected");
}

#[tokio::test]
async fn headers_that_fit_here_do_not_keep_a_call_from_the_service() {
    let world = World::start_with(|config| config.server.max_header_bytes = 128 << 10).await;
    let edge = Endpoint::from_shared(format!("http://{}", world.gateway.address())).unwrap();
    let channel = edge.user_agent("x".repeat(20_000)).unwrap().connect().await.unwrap();
    let request = HttpRequest::post(CHECK)
        .header("content-type", "application/grpc")
        .header("authorization", world.keys.bearer(&user()))
        .header("grpc-accept-encoding", "gzip,".repeat(4_000))
        .header("x-unknown", "x".repeat(20_000))
        .body(whole(&[Bytes::from_static(&[0; 5])]))
        .unwrap();
    let answer = channel.oneshot(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn an_address_that_cannot_be_connected_to_keeps_nobody_waiting() {
    // As full as its queue of connections gets, which nobody takes.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut queue = Vec::new();
    let short = Duration::from_millis(200);
    while let Ok(connected) = timeout(short, tokio::net::TcpStream::connect(address)).await {
        queue.push(connected.unwrap());
    }
    let uri = format!("http://{address}");
    let world = World::start_with(|config| {
        let consent = &mut config.service.upstreams.consent;
        consent.endpoints.insert(0, uri);
        consent.connect_timeout = Span::from_secs(3600);
    })
    .await;
    let mut client = ConsentServiceClient::new(world.channel.clone());
    let calls = async {
        for _ in 0..100 {
            client.check(asked(&world)).await.unwrap();
        }
    };
    timeout(PATIENCE, calls).await.expect("calls wait for a connection");
}
