//! What a service serves.

use std::{convert::Infallible, fmt};

use axum::Router;
use http::{Request, Response};
use hyper::body::Incoming;
use proto::contract::Method;
use tonic::{body::Body, server::NamedService, service::Routes};
use tower::{Service, util::BoxCloneSyncService};

/// Everything a server does, its layers included, as one service: what an edge is wrapped around.
pub type Edge = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// What a service serves: handlers of the contract's methods, and their descriptors for
/// reflection. The kit adds health, reflection and every layer.
pub struct App {
    pub(super) routes: Router,
    /// The full names of the services, for health and reflection.
    pub(super) names: Vec<String>,
    pub(super) descriptors: &'static [u8],
    pub(super) serves: Box<dyn Fn(&Method) -> bool + Send>,
    /// Whether the callers are outside ones, whose deadlines are bounded.
    pub(super) bounds_deadlines: bool,
    pub(super) edge: Option<Around>,
}

/// Says of a request whether it goes through an edge.
type Takes = Box<dyn Fn(&Request<Incoming>) -> bool + Send + Sync>;

/// What is wrapped around the server, and which requests go through it.
pub(super) struct Around {
    pub(super) takes: Takes,
    pub(super) wrap: Box<dyn FnOnce(Edge) -> Edge + Send>,
}

impl Default for App {
    fn default() -> Self {
        Self::new()
    }
}

impl App {
    /// Serves nothing yet.
    pub fn new() -> Self {
        Self {
            routes: Routes::default().into_axum_router(),
            names: Vec::new(),
            descriptors: proto::DESCRIPTOR_SET,
            serves: Box::new(|_| false),
            bounds_deadlines: false,
            edge: None,
        }
    }

    /// Serves a service of the contract too: a generated `…Server`.
    #[must_use]
    #[allow(clippy::should_implement_trait)] // adds a service, not a number
    pub fn add<S>(mut self, server: S) -> Self
    where
        S: Service<Request<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Response: axum::response::IntoResponse,
        S::Future: Send + 'static,
    {
        self.routes = Routes::from(self.routes).add_service(server).into_axum_router();
        self.names.push(S::NAME.to_owned());
        let others = self.serves;
        self.serves = Box::new(move |method| method.service == S::NAME || others(method));
        self
    }

    /// Forwards to `router` every method of the contract that `serves` accepts; the others do not
    /// exist here. `descriptors` is the descriptor set that reflection shows. Callers may give a
    /// unary call three times the contract's deadline at most.
    pub fn proxy(
        router: Router,
        descriptors: &'static [u8],
        serves: impl Fn(&Method) -> bool + Send + 'static,
    ) -> Self {
        let methods = proto::contract::methods().filter(|method| serves(method));
        let mut names: Vec<String> = methods.map(|method| method.service.clone()).collect();
        names.sort_unstable();
        names.dedup();
        Self {
            routes: router,
            names,
            descriptors,
            serves: Box::new(serves),
            bounds_deadlines: true,
            edge: None,
        }
    }

    /// Wraps the whole server, its layers included: for what is spoken at the edge alone
    /// (gRPC-Web, CORS). Requests that it does not take go straight to the server, and cost no more
    /// than without it. With an edge, HTTP/1.1 is served too.
    #[must_use]
    pub fn edge(
        mut self,
        takes: impl Fn(&Request<Incoming>) -> bool + Send + Sync + 'static,
        wrap: impl FnOnce(Edge) -> Edge + Send + 'static,
    ) -> Self {
        self.edge = Some(Around { takes: Box::new(takes), wrap: Box::new(wrap) });
        self
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("names", &self.names).finish_non_exhaustive()
    }
}
