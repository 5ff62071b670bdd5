//! What every call passes on its way to a handler, and every answer on its way back.

mod answer;
mod authenticate;
mod authorise;
mod call;
mod cut;
mod deadline;
mod error_details;
mod framing;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod methods;
mod observe;
mod panic;
mod shed;

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::Router;
use http::{Request, Response};
use http_body::Body;
use tower::{Service, ServiceBuilder, layer::layer_fn};

pub use call::{Call, REQUEST_ID, TRACEPARENT};
pub(crate) use methods::Methods;

use crate::{config::ServerConfig, context::Context};
use call::Trust;

/// Longer than any call, and not too long to be added to a point in time.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// Calls of health and reflection at once.
const OPEN_CALLS: usize = 1024;

/// `routes` under the layers that every server of Assent has, outermost first.
pub(crate) fn stack<B>(
    ctx: &Context,
    config: &ServerConfig,
    methods: Methods,
    routes: Router,
) -> impl Service<
    Request<B>,
    Response = Response<
        impl Body<Data = bytes::Bytes, Error = Infallible> + Default + Send + 'static,
    >,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ Sync
+ 'static
where
    B: Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    let trust = Trust { ids: config.trust_request_id, trace_ratio: ctx.trace_ratio };
    let (methods, max_deadline) = (Arc::new(methods), config.max_deadline.get().min(LONGEST));
    let max_message_bytes = config.max_message_bytes;
    let places = shed::Places::new(config.max_concurrent_requests);
    places.report(&ctx.meter);
    let open_places = shed::Places::new(OPEN_CALLS);
    let authenticator = ctx.authenticator.clone();
    ServiceBuilder::new()
        // Outermost, so that whatever happens to a call is counted, logged and traced under its
        // id; methods that are not here end here, so that no stranger can make us check tokens.
        .layer(layer_fn(move |inner| observe::Observe {
            inner,
            methods: methods.clone(),
            trust,
            max_deadline,
        }))
        // Outside all that can fail, so that no error leaves without the contract's details.
        .layer(layer_fn(move |inner| error_details::ErrorDetails { inner, max_message_bytes }))
        // Outside all that runs our code or a service's.
        .layer(layer_fn(|inner| panic::CatchPanic { inner }))
        // Before anything that costs: what is turned away must be cheap.
        .layer(layer_fn(move |inner| shed::Shed {
            inner,
            places: places.clone(),
            open_places: open_places.clone(),
        }))
        // Around authentication, which may have to fetch keys, and the handler.
        .layer(layer_fn(|inner| deadline::Deadline { inner }))
        .layer(layer_fn(move |inner| authenticate::Authenticate {
            inner,
            authenticator: authenticator.clone(),
        }))
        // Needs the caller.
        .layer(layer_fn(|inner| authorise::Authorise { inner }))
        // Last, where bodies are read: who is not let in is told that first, and whoever reads the
        // body must learn how it ended. At the gateway, which forwards bodies without decoding them,
        // it is here as well: what lies about its length is refused before a service sees it.
        .layer(layer_fn(move |inner| framing::Framing::<_, B>::new(inner, max_message_bytes)))
        .service(routes)
}
