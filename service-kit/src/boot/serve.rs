//! The life of one service: build, serve, drain.

use std::{sync::Arc, time::Duration};

use axum::Router;
use futures::{TryFutureExt as _, future};
use http::{Request, Response};
use http_body_util::Either;
use hyper::body::Incoming;
use tokio::{net::TcpListener, time::Instant};
use tokio_util::task::AbortOnDropHandle;
use tonic::{body::Body, service::Routes};
use tonic_reflection::server::Builder;
use tower::{Service as _, ServiceExt as _, service_fn};

use super::{App, BootError, Edge, Service, app::Around};
use crate::{
    config::{Config, ServerConfig},
    context::Context,
    health,
    layers::{self, Methods},
    server::{Connections, Protocols, Tls},
};

/// How long background tasks may take to end after the last call.
const TASKS_TIMEOUT: Duration = Duration::from_secs(5);

/// Builds the service and serves it until it is told to stop; then drains. [`Process::serve`]
/// (which makes the context and binds the addresses) is what to call.
///
/// [`Process::serve`]: super::Process::serve
pub(super) async fn serve<S: Service>(
    ctx: Context,
    config: Config<S::Config>,
    listener: TcpListener,
    admin: Option<TcpListener>,
) -> Result<(), BootError> {
    let server = config.server;
    // Up from the start, so that who waits can see what the service waits for.
    let admin = admin.map(|listener| {
        let router = health::admin_router(ctx.readiness.clone(), ctx.metrics.clone());
        AbortOnDropHandle::new(tokio::spawn(axum::serve(listener, router).into_future()))
    });
    let app = tokio::select! {
        app = S::build(&ctx, config.service) => app?,
        () = ctx.stop.cancelled() => return Ok(()),
    };
    run(&ctx, &server, app, listener).await?;
    ctx.drained.cancel();
    ctx.tasks.close();
    if tokio::time::timeout(TASKS_TIMEOUT, ctx.tasks.wait()).await.is_err() {
        tracing::warn!("background tasks did not end");
    }
    drop(admin);
    ctx.metrics.clone().shutdown().await;
    ctx.failed_task.get().map_or(Ok(()), |task| Err(BootError::Task(task)))
}

/// Serves until the stop signal, then drains.
async fn run(
    ctx: &Context,
    config: &ServerConfig,
    app: App,
    listener: TcpListener,
) -> Result<(), BootError> {
    let protocols = if app.edge.is_some() { Protocols::Http1And2 } else { Protocols::Http2 };
    let tls = config.tls.as_ref().map(|tls| Tls::load(tls, protocols.alpn())).transpose()?;
    if let (Some(tls), Some(config)) = (&tls, &config.tls) {
        tls.report(&ctx.meter);
        let reload = tls.clone().reload(config.clone(), protocols.alpn(), ctx.drained.clone());
        ctx.spawn("certificates", reload);
    }
    let probes = ctx.readiness.clone().watch(
        config.probe_interval.get(),
        config.probe_timeout.get(),
        ctx.stop.clone(),
    );
    ctx.spawn("readiness", probes);

    let App { routes, names, descriptors, serves, bounds_deadlines, edge } = app;
    let methods = Methods::new(serves, bounds_deadlines, &ctx.meter);
    let routes = with_health_and_reflection(ctx, routes, names, descriptors)?;
    let connections = Connections::new(config, protocols, tls, ctx.shutdown.clone());
    let serving = match edge {
        None => {
            let service = layers::stack::<Incoming>(ctx, config, methods, routes);
            tokio::spawn(connections.serve(listener, service))
        }
        Some(Around { takes, wrap }) => {
            let server = layers::stack::<Either<Incoming, Body>>(ctx, config, methods, routes);
            let inside = server
                .clone()
                .map_request(|request: Request<Body>| request.map(Either::Right))
                .map_response(|response: Response<_>| response.map(Body::new));
            let (edge, takes) = (wrap(Edge::new(inside)), Arc::new(takes));
            let service = service_fn(move |request: Request<Incoming>| {
                // Both are always ready.
                if takes(&request) {
                    let answer = edge.clone().call(request.map(Body::new));
                    let answer = answer.map_ok(|answer| answer.map(Either::Right));
                    future::Either::Right(answer)
                } else {
                    let answer = server.clone().call(request.map(Either::Left));
                    future::Either::Left(answer.map_ok(|answer| answer.map(Either::Left)))
                }
            });
            tokio::spawn(connections.serve(listener, service))
        }
    };
    let mut serving = AbortOnDropHandle::new(serving);
    tokio::select! {
        () = ctx.stop.cancelled() => {}
        _ = &mut serving => return Err(BootError::other("connections are no longer accepted")),
    }
    ctx.readiness.drain();
    tracing::info!(delay = ?config.drain_delay, deadline = ?config.drain_deadline, "draining");
    tokio::time::sleep(config.drain_delay.get()).await;
    let deadline = Instant::now() + config.drain_deadline.get();
    ctx.shutdown.cancel();
    if tokio::time::timeout_at(deadline, &mut serving).await.is_err() {
        tracing::warn!("the drain deadline has come: calls are cut");
        serving.abort();
        // Cancelled, as was just asked for.
        let _ = serving.await;
    }
    Ok(())
}

/// `routes`, and what every server answers beside them.
fn with_health_and_reflection(
    ctx: &Context,
    routes: Router,
    names: Vec<String>,
    descriptors: &'static [u8],
) -> Result<Router, BootError> {
    let reflection = || {
        let builder = Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.health.v1.Health");
        names.iter().fold(builder, Builder::with_service_name)
    };
    let failed = |error| BootError::other(format!("reflection: {error}"));
    let v1 = reflection().build_v1().map_err(failed)?;
    let v1alpha = reflection().build_v1alpha().map_err(failed)?;
    let routes = Routes::from(routes)
        .add_service(health::health_server(ctx.readiness.clone(), names))
        .add_service(v1)
        .add_service(v1alpha);
    Ok(routes.prepare().into_axum_router())
}
