//! What the contract says of consent-svc, over a table of grants.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use proto::consent::v1::{
    BatchCheckRequest, BatchCheckResponse, CheckRequest, CheckResponse, DecisionReason, Outcome,
    consent_service_server::{ConsentService, ConsentServiceServer},
};
use service_kit::clock::Clock;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

/// A table of grants: purpose and subject, and until when.
#[derive(Clone)]
pub(crate) struct Grants {
    table: Arc<Mutex<HashMap<(String, String), i64>>>,
    checks: Arc<AtomicUsize>,
    clock: Clock,
}

impl Grants {
    /// Nobody has agreed to anything yet.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { table: Arc::default(), checks: Arc::default(), clock }
    }

    pub(crate) fn grant(&self, purpose: &str, subject: &str) {
        self.grant_until(purpose, subject, 0);
    }

    /// Granted until then, in Unix milliseconds; 0: for ever.
    pub(crate) fn grant_until(&self, purpose: &str, subject: &str, until: i64) {
        let key = (purpose.to_owned(), subject.to_owned());
        self.table.lock().unwrap().insert(key, until);
    }

    pub(crate) fn deny(&self, purpose: &str, subject: &str) {
        self.table.lock().unwrap().remove(&(purpose.to_owned(), subject.to_owned()));
    }

    /// How many checks were asked for so far.
    pub(crate) fn checks(&self) -> usize {
        self.checks.load(Ordering::SeqCst)
    }

    /// Serves the table on a port of its own, for as long as the test runs.
    pub(crate) async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder().add_service(ConsentServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        address
    }

    fn answer(&self, purpose: &str, subject: &str) -> (Outcome, DecisionReason, i64) {
        let now = self.clock.now().get();
        let until =
            self.table.lock().unwrap().get(&(purpose.to_owned(), subject.to_owned())).copied();
        match until.filter(|until| *until == 0 || *until > now) {
            Some(until) => (Outcome::Granted, DecisionReason::Explicit, until),
            None => (Outcome::Denied, DecisionReason::NotAsked, 0),
        }
    }
}

#[tonic::async_trait]
impl ConsentService for Grants {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        assert!(request.metadata().contains_key("authorization"));
        self.checks.fetch_add(1, Ordering::SeqCst);
        let request = request.into_inner();
        let (outcome, reason, until) = self.answer(&request.purpose_id, &request.subject_id);
        let valid_until = (until > 0).then(|| service_kit::clock::UnixMillis::new(until).into());
        Ok(Response::new(CheckResponse {
            outcome: outcome.into(),
            reason: reason.into(),
            valid_until,
            ..CheckResponse::default()
        }))
    }

    async fn batch_check(
        &self,
        request: Request<BatchCheckRequest>,
    ) -> Result<Response<BatchCheckResponse>, Status> {
        assert!(request.metadata().contains_key("authorization"));
        self.checks.fetch_add(1, Ordering::SeqCst);
        let request = request.into_inner();
        assert!((1..=10_000).contains(&request.subject_ids.len()));
        let mut response = BatchCheckResponse {
            checked_at: Some(self.clock.now().into()),
            ..BatchCheckResponse::default()
        };
        for subject in &request.subject_ids {
            let (outcome, reason, until) = self.answer(&request.purpose_id, subject);
            response.outcomes.push(outcome.into());
            response.reasons.push(reason.into());
            if request.with_details {
                response.revisions.push(1);
                response.valid_until_ms.push(until);
            }
        }
        Ok(Response::new(response))
    }
}
