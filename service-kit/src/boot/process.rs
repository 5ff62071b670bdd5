//! A process and the services that run in it.

use std::{net::SocketAddr, process, sync::Arc};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use super::{BootError, Service, serve::serve};
use crate::{
    auth::{Authenticator, ServiceToken},
    clock::Clock,
    config::{Config, TelemetryConfig},
    context::Context,
    health::Readiness,
    server,
    telemetry::{Telemetry, report_process},
};

/// The exit code of a process that a second signal ended before it had drained.
const KILLED: i32 = 130;

/// What the services of one process share: telemetry, the clock, and the signal to stop.
///
/// ```ignore
/// let process = Process::start("assent", &telemetry, Clock::system())?;
/// let consent = process.serve::<ConsentService>(consent_config).await?;
/// let gateway = process.serve::<Gateway>(gateway_config(consent.address())).await?;
/// gateway.ready().await;
/// process.finish(vec![gateway, consent]).await // callers first
/// ```
#[derive(Debug)]
pub struct Process {
    telemetry: Telemetry,
    clock: Clock,
    stop: CancellationToken,
}

impl Process {
    /// Sets up what is global to a process: the log, exporters, cryptography, signals (SIGTERM or
    /// SIGINT stops it, a second one ends it at once). Once, and in a tokio runtime.
    pub fn start(
        name: &'static str,
        telemetry: &TelemetryConfig,
        clock: Clock,
    ) -> Result<Self, BootError> {
        server::install_crypto();
        let telemetry = Telemetry::install(name, telemetry)?;
        let stop = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stopping = stop.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if stopping.is_cancelled() {
                    process::exit(KILLED);
                }
                stopping.cancel();
            }
        });
        Ok(Self { telemetry, clock, stop })
    }

    /// A process that logs and exports nothing and hears no signals: for tests, any number of
    /// them.
    pub fn quiet(clock: Clock) -> Self {
        server::install_crypto();
        Self { telemetry: Telemetry::quiet(), clock, stop: CancellationToken::new() }
    }

    /// Cancelled by the first signal; cancel it to stop the process from within.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Binds the addresses of `config` and runs the service. Returns when calls can connect; they
    /// are answered once the service is built, and [`Running::ready`] tells when it is ready.
    pub async fn serve<S: Service>(&self, config: Config<S::Config>) -> Result<Running, BootError> {
        tracing::info!(service = S::NAME, config = config.effective(), "starting");
        let listener = server::listen(config.server.address).await?;
        let admin = match config.server.admin_address {
            Some(address) => Some(server::listen(address).await?),
            None => None,
        };
        let address = listener.local_addr()?;
        let admin_address = admin.as_ref().map(tokio::net::TcpListener::local_addr).transpose()?;
        let ctx = self.context::<S>(&config, address).await?;
        let (readiness, stop) = (ctx.readiness.clone(), ctx.stop.clone());
        tracing::info!(service = S::NAME, %address, admin = ?admin_address, "listening");
        let ended = CancellationToken::new();
        let task = tokio::spawn({
            let ended = ended.clone().drop_guard();
            async move {
                let _ended = ended;
                serve::<S>(ctx, config, listener, admin).await
            }
        });
        let task = AbortOnDropHandle::new(task);
        Ok(Running { name: S::NAME, address, admin_address, readiness, stop, ended, task })
    }

    async fn context<S: Service>(
        &self,
        config: &Config<S::Config>,
        address: SocketAddr,
    ) -> Result<Context, BootError> {
        let metrics = self.telemetry.service(S::NAME)?;
        report_process(&metrics.meter());
        let drained = CancellationToken::new();
        let clock = self.clock.clone();
        let authenticator =
            Authenticator::new(&config.auth, clock.clone(), address, &drained).await?;
        let service_token = ServiceToken::from_config(&config.auth, S::NAME, clock.clone())?;
        Ok(Context {
            name: S::NAME,
            clock,
            shutdown: CancellationToken::new(),
            drained,
            readiness: Readiness::default(),
            meter: metrics.meter(),
            authenticator: Arc::new(authenticator),
            service_token,
            max_message_bytes: config.server.max_message_bytes,
            metrics,
            trace_ratio: self.telemetry.trace_ratio(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            failed_task: Arc::default(),
        })
    }

    /// Waits for a signal, or for one of the services to end by itself; then stops them one after
    /// the other, each drained before the next begins, so put those that call others first. Sends
    /// what telemetry is left. The first error is returned.
    pub async fn finish(self, running: Vec<Running>) -> Result<(), BootError> {
        let ended = async {
            let ends = running.iter().map(|service| Box::pin(service.ended.cancelled()));
            futures::future::select_all(ends).await;
        };
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = ended, if !running.is_empty() => {}
        }
        let mut result = Ok(());
        for service in running {
            service.stop();
            let (name, stopped) = (service.name, service.stopped().await);
            if let Err(error) = &stopped {
                tracing::error!(service = name, %error, "stopped");
            }
            result = result.and(stopped);
        }
        self.telemetry.flush().await;
        result
    }
}

/// A service that runs. Dropping it cuts its calls: [`Running::stop`] it and wait for
/// [`Running::stopped`].
#[derive(Debug)]
pub struct Running {
    name: &'static str,
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    readiness: Readiness,
    stop: CancellationToken,
    ended: CancellationToken,
    task: AbortOnDropHandle<Result<(), BootError>>,
}

impl Running {
    /// Where gRPC is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where `/metrics`, `/livez` and `/readyz` are served.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Returns when the service is ready, or has ended and never will be
    /// ([`Running::stopped`] says why).
    pub async fn ready(&self) {
        tokio::select! {
            () = self.readiness.ready() => {}
            () = self.ended.cancelled() => {}
        }
    }

    /// Begins to drain.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until the service has ended: with an error if it did not start, or failed.
    pub async fn stopped(self) -> Result<(), BootError> {
        self.task.await.unwrap_or_else(|error| Err(BootError::other(error)))
    }
}
