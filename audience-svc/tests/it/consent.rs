//! Stands in for consent-svc: the contract's `Check` and `BatchCheck` over a table of grants.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use proto::consent::v1::{
    BatchCheckRequest, BatchCheckResponse, CheckRequest, CheckResponse, Outcome,
    consent_service_server::{ConsentService, ConsentServiceServer},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, async_trait, transport::Server};

pub(crate) const TRANSFER: &str = "messenger.share_phone";
pub(crate) const ADS: &str = "social.ads";

#[derive(Default)]
struct State {
    /// By subject and purpose, until when in Unix milliseconds; 0: without end.
    grants: HashMap<(String, String), i64>,
    down: bool,
    checked: Vec<String>,
    /// The `authorization` headers that came.
    tokens: Vec<Option<String>>,
}

/// The stand-in. Clones share their grants.
#[derive(Clone, Default)]
pub(crate) struct Consents(Arc<Mutex<State>>);

impl Consents {
    /// Serves until the test's runtime ends.
    pub(crate) async fn serve(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder().add_service(ConsentServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        address
    }

    pub(crate) fn grant(&self, subject: &str, purpose: &str) {
        self.grant_until(subject, purpose, 0);
    }

    pub(crate) fn grant_until(&self, subject: &str, purpose: &str, until: i64) {
        let key = (subject.to_owned(), purpose.to_owned());
        self.0.lock().unwrap().grants.insert(key, until);
    }

    pub(crate) fn grant_all(&self, subject: &str) {
        self.grant(subject, TRANSFER);
        self.grant(subject, ADS);
    }

    pub(crate) fn withdraw(&self, subject: &str, purpose: &str) {
        let key = (subject.to_owned(), purpose.to_owned());
        self.0.lock().unwrap().grants.remove(&key);
    }

    /// From now on nobody gets an answer, or everybody does again.
    pub(crate) fn set_down(&self, down: bool) {
        self.0.lock().unwrap().down = down;
    }

    /// The subjects of all `Check`s so far.
    pub(crate) fn checked(&self) -> Vec<String> {
        self.0.lock().unwrap().checked.clone()
    }

    pub(crate) fn tokens(&self) -> Vec<Option<String>> {
        self.0.lock().unwrap().tokens.clone()
    }

    fn arrive<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let token = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let mut state = self.0.lock().unwrap();
        state.tokens.push(token.map(str::to_owned));
        if state.down { Err(Status::unavailable("gone")) } else { Ok(()) }
    }
}

impl State {
    /// As consent-svc does: a USE is granted only where its TRANSFER is.
    fn answer(&self, subject: &str, purpose: &str) -> (Outcome, i64) {
        let grant = |purpose: &str| self.grants.get(&(subject.to_owned(), purpose.to_owned()));
        match (grant(TRANSFER), grant(purpose)) {
            (Some(_), Some(until)) => (Outcome::Granted, *until),
            _ => (Outcome::Denied, 0),
        }
    }
}

#[async_trait]
impl ConsentService for Consents {
    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        self.arrive(&request)?;
        let asked = request.into_inner();
        let mut state = self.0.lock().unwrap();
        state.checked.push(asked.subject_id.clone());
        let (outcome, _) = state.answer(&asked.subject_id, &asked.purpose_id);
        Ok(Response::new(CheckResponse { outcome: outcome.into(), ..Default::default() }))
    }

    async fn batch_check(
        &self,
        request: Request<BatchCheckRequest>,
    ) -> Result<Response<BatchCheckResponse>, Status> {
        self.arrive(&request)?;
        let asked = request.into_inner();
        let state = self.0.lock().unwrap();
        let mut answer = BatchCheckResponse::default();
        for subject in &asked.subject_ids {
            let (outcome, until) = state.answer(subject, &asked.purpose_id);
            answer.outcomes.push(outcome.into());
            if asked.with_details {
                answer.revisions.push(1);
                answer.valid_until_ms.push(until);
            }
        }
        Ok(Response::new(answer))
    }
}
