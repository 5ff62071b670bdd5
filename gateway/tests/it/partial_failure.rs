//! Each call behind the gateway's own methods fails in turn, in every way that a call can: the same
//! request sent again completes it, and everything is as if nothing had failed.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use axum::{body::Body, extract::Request, middleware, response::Response};
use http_body_util::{BodyExt as _, Full};
use proto::{
    consent::v1::Erasure, errors::v1::Reason, gateway::v1::RegisterAccountResponse, status,
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Status, service::Routes, transport::Server};

use crate::{
    account_rights::{WHOLE, erase, erasure, export},
    register_account::{account, register},
    services::{Directory, Stub},
    world::{World, app, upstream},
};

/// How a call of a service fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// The service says that it cannot.
    Unavailable,
    /// The service has a fault.
    Internal,
    /// The connection is cut before the service did anything.
    CutBefore,
    /// The connection is cut when the service has done its part, before it has answered.
    CutAfter,
    /// The connection is cut when a part of the answer is under way.
    CutBetween,
    /// The answer ends early, and nothing says that it did.
    Truncated,
}

const EVERY: [Failure; 6] = [
    Failure::Unavailable,
    Failure::Internal,
    Failure::CutBefore,
    Failure::CutAfter,
    Failure::CutBetween,
    Failure::Truncated,
];

/// The method that fails, for as long as one does: by the end of its path.
type Failing = Arc<Mutex<Option<(&'static str, Failure)>>>;

/// Serves the stub, failing when it is told to, behind connections that can be cut.
async fn faulty(stub: &Stub, failing: &Failing) -> SocketAddr {
    let (failing, cut) = (failing.clone(), Arc::new(Notify::new()));
    let cutting = cut.clone();
    let fail = move |request: Request, next: middleware::Next| {
        handle(failing.clone(), cutting.clone(), request, next)
    };
    let router = stub.routes().await.into_axum_router().layer(middleware::from_fn(fail));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().add_routes(Routes::from(router));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    cuttable(address, cut).await
}

async fn handle(
    failing: Failing,
    cut: Arc<Notify>,
    request: Request,
    next: middleware::Next,
) -> Response {
    let due = failing.lock().unwrap().filter(|(method, _)| request.uri().path().ends_with(method));
    let Some((_, failure)) = due else { return next.run(request).await };
    match failure {
        Failure::Unavailable => {
            status::status(Reason::DependencyUnavailable, "not now").into_http()
        }
        Failure::Internal => status::status(Reason::Internal, "a secret of its own").into_http(),
        Failure::CutBefore => {
            cut.notify_waiters();
            std::future::pending().await
        }
        Failure::CutAfter => {
            next.run(request).await.into_body().collect().await.unwrap();
            cut.notify_waiters();
            std::future::pending().await
        }
        Failure::CutBetween | Failure::Truncated => {
            let (head, mut body) = next.run(request).await.into_parts();
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            let first = Full::new(first);
            if failure == Failure::Truncated {
                return Response::from_parts(head, Body::new(first));
            }
            let trailers = async move {
                cut.notify_waiters();
                std::future::pending().await
            };
            Response::from_parts(head, Body::new(first.with_trailers(trailers)))
        }
    }
}

/// Connections to `to` that end, both ways, whenever it is said so.
async fn cuttable(to: SocketAddr, cut: Arc<Notify>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut caller, _) = listener.accept().await.unwrap();
            let cut = cut.clone();
            tokio::spawn(async move {
                let mut service = TcpStream::connect(to).await.unwrap();
                tokio::select! {
                    // Whoever ended it: it is over.
                    _ = copy_bidirectional(&mut caller, &mut service) => {}
                    () = cut.notified() => {}
                }
            });
        }
    });
    address
}

/// A gateway whose services fail when they are told to.
struct Stage {
    world: World,
    stub: Stub,
    failing: Failing,
}

impl Stage {
    async fn start() -> Self {
        let (stub, _) = Stub::new();
        let failing = Failing::default();
        let mut services = Vec::new();
        for _ in 0..3 {
            let address = faulty(&stub, &failing).await;
            services.push(upstream(&[format!("http://{address}")]));
        }
        let world = World::start_with(|config| {
            let upstreams = &mut config.service.upstreams;
            upstreams.consent = services.remove(0);
            upstreams.audience = services.remove(0);
            upstreams.suggest = services.remove(0);
        })
        .await;
        stub.directory.lock().unwrap().granted.insert("anna".to_owned());
        Self { world, stub, failing }
    }

    fn fail(&self, failure: Option<(&'static str, Failure)>) {
        *self.failing.lock().unwrap() = failure;
    }

    fn directory(&self) -> Directory {
        self.stub.directory.lock().unwrap().clone()
    }

    async fn register(&self) -> Result<RegisterAccountResponse, Status> {
        register(&self.world, account("r-1")).await
    }

    async fn erase(&self) -> Result<Erasure, Status> {
        erase(&self.world, &app(), "anna").await
    }
}

/// Asserts that the call failed as one does that may be sent again.
#[track_caller]
fn assert_fails<T: std::fmt::Debug>(what: &str, answer: Result<T, Status>) {
    let error = answer.expect_err(what);
    assert_eq!(error.code(), Code::Unavailable, "{what}: {error:?}");
    assert_eq!(status::reason(&error), Some(Reason::DependencyUnavailable), "{what}: {error:?}");
    assert!(!error.message().contains("secret"), "{what}: {error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_is_completed_by_sending_it_again() {
    let smooth = Stage::start().await;
    let expected = smooth.register().await.unwrap();
    for method in [
        "ConsentService/PutSubject",
        "DirectoryService/PutIdentifiers",
        "GraphService/PutIdentifiers",
    ] {
        for failure in EVERY {
            let what = format!("{method} {failure:?}");
            let stage = Stage::start().await;
            stage.fail(Some((method, failure)));
            match stage.register().await {
                // Of a stream, the answer itself may have come before the cut.
                Ok(answer) => {
                    assert!(method.ends_with("PutIdentifiers"), "{what}");
                    assert!(matches!(failure, Failure::CutBetween | Failure::Truncated), "{what}");
                    assert_eq!(answer, expected, "{what}");
                }
                failed => assert_fails(&what, failed),
            }
            stage.fail(None);
            assert_eq!(stage.register().await.unwrap(), expected, "{what}");
            assert_eq!(stage.directory(), smooth.directory(), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_is_completed_by_sending_it_again() {
    let smooth = Stage::start().await;
    smooth.register().await.unwrap();
    let expected = smooth.erase().await.unwrap();
    for failure in EVERY {
        let what = format!("EraseSubject {failure:?}");
        let stage = Stage::start().await;
        stage.register().await.unwrap();
        stage.fail(Some(("ConsentService/EraseSubject", failure)));
        assert_fails(&what, stage.erase().await);
        let is_done = stage.directory().erased.contains_key("anna");
        let heard = matches!(failure, Failure::CutAfter | Failure::CutBetween | Failure::Truncated);
        assert_eq!(is_done, heard, "{what}");
        stage.fail(Some(("ConsentService/GetErasure", failure)));
        assert_eq!(stage.erase().await.unwrap(), expected, "{what}");
        assert_fails(&what, erasure(&stage.world, &app(), "anna").await);
        stage.fail(None);
        assert_eq!(erasure(&stage.world, &app(), "anna").await.unwrap(), expected, "{what}");
        assert_eq!(stage.directory(), smooth.directory(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_ends_with_the_error_of_who_fails_and_is_whole_when_asked_for_again() {
    // Each service, and how much is told before it is asked.
    for (service, method, before) in [
        ("consent-svc", "ConsentService/ExportSubject", 0),
        ("audience-svc", "DirectoryService/ExportSubjectData", 3),
        ("suggest-svc", "GraphService/ExportSubjectData", 5),
    ] {
        for failure in EVERY {
            let what = format!("{method} {failure:?}");
            let stage = Stage::start().await;
            stage.fail(Some((method, failure)));
            let (told, error) = export(&stage.world, &app(), "anna").await;
            let error = error.expect(&what);
            assert!(error.message().contains(service), "{what}: {error:?}");
            assert_fails(&what, Err::<(), _>(error));
            assert_eq!(told, WHOLE[..told.len()], "{what}");
            match failure {
                // What was under way may have come or not.
                Failure::CutBetween => assert!(told.len() >= before, "{what}"),
                Failure::Truncated => assert!(told.len() > before, "{what}"),
                _ => assert_eq!(told.len(), before, "{what}"),
            }
            stage.fail(None);
            let (told, error) = export(&stage.world, &app(), "anna").await;
            assert_eq!(told, WHOLE, "{what}: {error:?}");
            assert!(error.is_none(), "{what}: {error:?}");
        }
    }
}
