//! The services behind the gateway: their endpoints, the connections kept open to them, and which
//! of them a call is sent on, and sent again.

mod budget;
mod connection;
mod counts;
mod dial;
mod ejection;
mod endpoint;
mod health;
mod names;
mod open;
mod relayed;
mod replay;
mod roster;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use http::{HeaderMap, Method, Request, Response, uri::PathAndQuery};
use hyper::body::Incoming;
use tokio::time::Instant;

pub(crate) use counts::report;
pub(crate) use health::probe;
pub(crate) use relayed::Relayed;
pub(crate) use replay::Repeat;

use crate::{Body, error::Error};
use budget::Budget;
pub(crate) use connection::Fault;
use connection::Lease;
use counts::Counts;
use ejection::Standing;
use replay::{Outgoing, Replay};
use roster::Roster;

/// How often a call may find that the connection it was given has just ended, before the upstream
/// is called unreachable: something that takes connections only to drop them is not up.
const MAX_RETURNED: usize = 3;

/// How often a call may be sent again.
const MAX_RETRIES: usize = 2;

/// How long a call waits at most before it is sent again to where it was lost, for another replica
/// to be connected to.
const BACKOFF: Duration = Duration::from_millis(150);

/// A service behind the gateway.
pub(crate) struct Upstream {
    /// As callers and the log are told: `consent-svc`.
    name: &'static str,
    roster: Arc<Roster>,
    budget: Budget,
    counts: Arc<Counts>,
    /// How long a call waits for a connection.
    connect_timeout: Duration,
}

/// A call to an upstream.
pub(crate) struct Outbound<H> {
    pub(crate) path: PathAndQuery,
    /// Makes the headers of each attempt: what is left of the deadline is among them.
    pub(crate) headers: H,
    pub(crate) body: Body,
    pub(crate) repeat: Repeat,
    /// After which it is not sent again.
    pub(crate) deadline: Instant,
}

/// What became of one attempt at a call.
struct Attempted {
    answer: Result<Response<Relayed>, Error>,
    /// The endpoint that it was lost on, when it may be sent again: nothing of an answer came, or
    /// nothing but that another replica should be asked.
    failed_on: Option<Arc<Standing>>,
}

impl Upstream {
    /// Sends a call and gives the answer as it begins. Dropping the future, or the answer's body,
    /// cancels the call at the upstream.
    ///
    /// A call of which nothing was sent is tried on another connection, or endpoint. One that was
    /// sent and lost is sent again as `repeat` and the retry budget allow.
    pub(crate) async fn send<H>(&self, call: Outbound<H>) -> Result<Response<Relayed>, Error>
    where
        H: Fn() -> HeaderMap,
    {
        let Outbound { path, headers, body, repeat, deadline } = call;
        if repeat == Repeat::Never {
            return self.attempt(&path, headers(), Outgoing::Once(body), &[]).await.answer;
        }
        self.budget.deposit();
        let replay = Replay::new(body, repeat);
        let mut tried = Vec::new();
        loop {
            let attempt = self.attempt(&path, headers(), replay.attempt(), &tried).await;
            let Attempted { answer, failed_on } = attempt;
            if let Some(endpoint) = failed_on
                && tried.len() < MAX_RETRIES
                && replay.is_repeatable()
                && Instant::now() < deadline
                // Last: what is taken is used.
                && self.budget.withdraw(Instant::now())
            {
                self.counts.retries.fetch_add(1, Relaxed);
                tried.push(endpoint);
                if !self.roster.has_others(&tried) {
                    let left = deadline.saturating_duration_since(Instant::now());
                    self.roster.wait_for_others(&tried, left.min(BACKOFF)).await;
                }
                continue;
            }
            return answer;
        }
    }

    async fn attempt(
        &self,
        path: &PathAndQuery,
        headers: HeaderMap,
        body: Outgoing,
        tried: &[Arc<Standing>],
    ) -> Attempted {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers;
        for _ in 0..=MAX_RETURNED {
            let lease = match self.roster.lease(tried) {
                Some(lease) => Some(lease),
                None => self.roster.connect(tried, self.connect_timeout).await,
            };
            let Some(lease) = lease else { break };
            *request.uri_mut() = lease.uri(path.clone());
            match lease.send(request).await {
                Ok(response) => return self.accept(response, lease),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return self.lost(error.into_error(), &lease),
                },
            }
        }
        Attempted { answer: Err(Error::Unreachable { upstream: self.name }), failed_on: None }
    }

    fn accept(&self, response: Response<Incoming>, lease: Lease) -> Attempted {
        let status = response.status();
        if !relayed::is_grpc(&response) {
            // What is said of the request (a header list that is too long) is not held against
            // the endpoint.
            if status.is_server_error() {
                lease.standing().failed();
            }
            let answer = Err(Error::NotGrpc { upstream: self.name, status });
            return Attempted { answer, failed_on: None };
        }
        let failed_on = relayed::is_not_serving(&response).then(|| lease.standing().clone());
        match &failed_on {
            Some(standing) => standing.failed(),
            None => lease.standing().succeeded(),
        }
        let answer = Ok(response.map(|body| Relayed::new(body, lease, self.name)));
        Attempted { answer, failed_on }
    }

    fn lost(&self, error: hyper::Error, lease: &Lease) -> Attempted {
        let fault = lease.lost(&error);
        let failed_on = (fault == Fault::Upstream).then(|| lease.standing().clone());
        Attempted { answer: Err(Error::lost(self.name, fault, error)), failed_on }
    }
}
