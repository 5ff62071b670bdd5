//! A gateway and the services behind it, each on a port of its own.

use std::{net::SocketAddr, time::Duration};

use gateway::{Gateway, GatewayConfig, Rate, UpstreamConfig, Upstreams};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proto::{errors::v1::Reason, options::v1::Role, status};
use service_kit::{
    auth::Caller,
    boot::{Process, Running},
    clock::Clock,
    config::{Config, ServerConfig, Span},
    test_util::TestKeys,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    sync::mpsc,
};
use tonic::{
    Code, Request, Status,
    service::Routes,
    transport::{Channel, Endpoint, server::TcpConnectInfo},
};
use tonic_types::StatusExt as _;
use tower::Service as _;

use crate::services::{Event, Stub};

/// A test waits this long for what must happen, and then fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A service of the contract behind the gateway, in a runtime of its own so that it can be killed.
pub(crate) struct Behind {
    pub address: SocketAddr,
    runtime: Runtime,
}

impl Behind {
    /// Serves the stub on a free port.
    pub(crate) async fn start(stub: &Stub) -> Self {
        Self::at((std::net::Ipv4Addr::LOCALHOST, 0).into(), stub.routes().await).await
    }

    /// Serves anything on this address.
    pub(crate) async fn at(address: SocketAddr, routes: Routes) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listening = runtime.spawn(async move { TcpListener::bind(address).await.unwrap() });
        let listener = listening.await.unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            while let Ok((stream, remote)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serve(stream, remote, routes.clone()));
            }
        });
        Self { address, runtime }
    }

    pub(crate) fn uri(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends it as a crash does: every connection and every call, at once. Gives its address.
    pub(crate) async fn kill(self) -> SocketAddr {
        let Self { address, runtime } = self;
        let killed = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE));
        killed.await.unwrap();
        address
    }

    /// Lets it go when the test ends.
    fn leave(self) {
        self.runtime.shutdown_background();
    }
}

/// Serves a connection. Not by tonic's server, which ends calls at their deadline by itself, with
/// another code than services of Assent have for it, and a little before the gateway does.
async fn serve(stream: TcpStream, remote: SocketAddr, routes: Routes) {
    let peer = TcpConnectInfo { local_addr: None, remote_addr: Some(remote) };
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        routes.clone().call(request)
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    // As services of Assent: the gateway's connections carry the calls of many.
    builder.max_concurrent_streams(1024).max_pending_accept_reset_streams(1024);
    // The gateway may be gone before.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

/// An address on which nothing listens.
pub(crate) async fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// The gateway and one replica of each service behind it.
pub(crate) struct World {
    pub keys: TestKeys,
    pub gateway: Running,
    pub stub: Stub,
    pub events: mpsc::UnboundedReceiver<Event>,
    pub channel: Channel,
    consent: Option<Behind>,
    audience: Option<Behind>,
    suggest: Option<Behind>,
    _process: Process,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// With the configuration changed by `change` before the gateway starts.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config<GatewayConfig>)) -> Self {
        Self::start_on(Clock::system(), change).await
    }

    /// On this clock too; tokens are valid by the system's.
    pub(crate) async fn start_on(
        clock: Clock,
        change: impl FnOnce(&mut Config<GatewayConfig>),
    ) -> Self {
        let (stub, events) = Stub::new();
        let consent = Behind::start(&stub).await;
        let audience = Behind::start(&stub).await;
        let suggest = Behind::start(&stub).await;
        let keys = TestKeys::new();
        let mut config = Config {
            server: ServerConfig {
                probe_interval: Span::from_millis(50),
                ..ServerConfig::loopback()
            },
            auth: keys.auth_config(),
            ..Config::new(GatewayConfig {
                upstreams: Upstreams {
                    consent: upstream(&[consent.uri()]),
                    audience: upstream(&[audience.uri()]),
                    suggest: upstream(&[suggest.uri()]),
                },
                ..GatewayConfig::default()
            })
        };
        // Tests call more than a person does.
        config.service.quota.user.check = Rate { rate: 1e6, burst: 1_000_000 };
        change(&mut config);
        let process = Process::quiet(clock);
        let gateway = process.serve::<Gateway>(config).await.unwrap();
        gateway.ready().await;
        let endpoint = Endpoint::from_shared(format!("http://{}", gateway.address())).unwrap();
        let channel = endpoint.connect().await.unwrap();
        let (consent, audience, suggest) = (Some(consent), Some(audience), Some(suggest));
        Self { keys, gateway, stub, events, channel, consent, audience, suggest, _process: process }
    }

    /// The message with the caller's token.
    pub(crate) fn by<M>(&self, caller: &Caller, message: M) -> Request<M> {
        let mut request = Request::new(message);
        let bearer = self.keys.bearer(caller);
        request.metadata_mut().insert("authorization", bearer.to_str().unwrap().parse().unwrap());
        request
    }

    /// The gateway's page of metrics.
    pub(crate) async fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(self.gateway.admin_address().unwrap()).await.unwrap();
        let request = "GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        page
    }

    /// The next thing that the services behind the gateway noticed.
    pub(crate) async fn noticed(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.events.recv()).await.unwrap().unwrap()
    }

    /// Kills consent-svc and gives its address.
    pub(crate) async fn kill_consent(&mut self) -> SocketAddr {
        self.consent.take().unwrap().kill().await
    }

    /// Kills suggest-svc and gives its address.
    pub(crate) async fn kill_suggest(&mut self) -> SocketAddr {
        self.suggest.take().unwrap().kill().await
    }

    /// Starts consent-svc again.
    pub(crate) async fn start_consent(&mut self, at: SocketAddr) {
        self.consent = Some(Behind::at(at, self.stub.routes().await).await);
    }

    /// Starts suggest-svc again.
    pub(crate) async fn start_suggest(&mut self, at: SocketAddr) {
        self.suggest = Some(Behind::at(at, self.stub.routes().await).await);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let behind = [self.consent.take(), self.audience.take(), self.suggest.take()];
        behind.into_iter().flatten().for_each(Behind::leave);
    }
}

/// An upstream with these endpoints.
pub(crate) fn upstream(endpoints: &[String]) -> UpstreamConfig {
    UpstreamConfig { endpoints: endpoints.to_vec(), ..UpstreamConfig::default() }
}

pub(crate) fn user() -> Caller {
    Caller::user("anna")
}

pub(crate) fn app() -> Caller {
    Caller::named(Role::App, "messenger")
}

pub(crate) fn business() -> Caller {
    Caller::business("shop", "shop-ltd")
}

/// Asserts the code, and the reason in the error's one `ErrorInfo`.
#[track_caller]
pub(crate) fn assert_error(error: &Status, code: Code, reason: Reason) {
    assert_eq!(error.code(), code, "{error:?}");
    assert_eq!(status::reason(error), Some(reason), "{error:?}");
}

/// Asserts that the error is what a service that cannot be reached gives.
#[track_caller]
pub(crate) fn assert_unavailable(error: &Status) {
    assert_error(error, Code::Unavailable, Reason::DependencyUnavailable);
    let retry = error.get_details_retry_info().and_then(|info| info.retry_delay);
    assert!(retry.is_some_and(|delay| !delay.is_zero()), "{error:?}");
}
