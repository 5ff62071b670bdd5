//! Stands in for consent-svc: the contract's `Check`, `BatchCheck`, `WatchChanges` and
//! `AcknowledgeErasure` over a table of grants.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::Engine as _;
use proto::{
    consent::v1::{
        AcknowledgeErasureRequest, AcknowledgeErasureResponse, BatchCheckRequest,
        BatchCheckResponse, ChangeEvent, CheckRequest, CheckResponse, DecisionReason, EventKind,
        GetConsentRequest, GetConsentResponse, Outcome, PolicyRef, Purpose, PurposeAnswer,
        PurposeConsent, WatchChangesRequest, WatchChangesResponse,
        consent_service_server::{ConsentService, ConsentServiceServer},
    },
    errors::v1::Reason,
    status,
};
use service_kit::clock::UnixMillis;
use tokio::sync::Notify;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, async_trait, codegen::BoxStream, transport::Server};

pub(crate) const TRANSFER: &str = "messenger.share_phone";
pub(crate) const ADS: &str = "social.ads";
pub(crate) const USAGE: &str = "social.usage_metrics";

#[derive(Default)]
struct State {
    /// By subject and purpose, until when in Unix milliseconds; 0: without end.
    grants: HashMap<(String, String), i64>,
    /// By subject, where it is not 1.
    revisions: HashMap<String, u64>,
    down: bool,
    /// What changed, in order.
    feed: Vec<(EventKind, String)>,
    /// How many of these are not kept any more.
    purged: usize,
    erased: HashSet<String>,
    /// Who was erased, as acknowledged.
    acknowledged: Vec<String>,
    checked: Vec<String>,
    /// The `authorization` headers that came.
    tokens: Vec<Option<String>>,
}

/// The stand-in. Clones share their grants.
#[derive(Clone, Default)]
pub(crate) struct Consents(Arc<Mutex<State>>, Arc<Notify>);

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
        self.tell(EventKind::DecisionRecorded, subject);
    }

    /// Grants of which nothing is told: they were there before.
    pub(crate) fn grant_quietly(&self, subjects: &[String], purposes: &[&str]) {
        let mut state = self.0.lock().unwrap();
        for subject in subjects {
            for purpose in purposes {
                state.grants.insert((subject.clone(), (*purpose).to_owned()), 0);
            }
        }
    }

    pub(crate) fn grant_all(&self, subject: &str) {
        self.grant(subject, TRANSFER);
        self.grant(subject, ADS);
    }

    pub(crate) fn withdraw(&self, subject: &str, purpose: &str) {
        let key = (subject.to_owned(), purpose.to_owned());
        self.0.lock().unwrap().grants.remove(&key);
        self.tell(EventKind::Withdrawn, subject);
    }

    /// Takes everything back, and asks everybody else to erase.
    pub(crate) fn erase(&self, subject: &str) {
        let mut state = self.0.lock().unwrap();
        state.grants.retain(|(whose, _), _| whose != subject);
        state.erased.insert(subject.to_owned());
        drop(state);
        self.tell(EventKind::Erased, subject);
    }

    /// A policy changes, and with it somebody's answers, of which nothing else is told.
    pub(crate) fn change_policy(&self, subject: &str, purpose: &str) {
        let key = (subject.to_owned(), purpose.to_owned());
        self.0.lock().unwrap().grants.remove(&key);
        self.tell(EventKind::PolicyChanged, "");
    }

    /// Withdraws without a word, and forgets everything that was to be told.
    pub(crate) fn withdraw_and_purge(&self, subject: &str, purpose: &str) {
        self.withdraw(subject, purpose);
        self.purge();
    }

    /// Forgets everything that was to be told.
    pub(crate) fn purge(&self) {
        let mut state = self.0.lock().unwrap();
        state.purged = state.feed.len();
    }

    fn tell(&self, kind: EventKind, subject: &str) {
        let mut state = self.0.lock().unwrap();
        *state.revisions.entry(subject.to_owned()).or_insert(1) += 1;
        state.feed.push((kind, subject.to_owned()));
        drop(state);
        self.1.notify_waiters();
    }

    /// Who was erased here, as acknowledged.
    pub(crate) fn acknowledged(&self) -> Vec<String> {
        self.0.lock().unwrap().acknowledged.clone()
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
    fn reason(&self, subject: &str) -> DecisionReason {
        let erased = self.erased.contains(subject);
        if erased { DecisionReason::Erased } else { DecisionReason::Explicit }
    }

    /// As consent-svc does: a USE is granted only where its TRANSFER is.
    fn answer(&self, subject: &str, purpose: &str) -> (Outcome, i64) {
        let grant = |purpose: &str| self.grants.get(&(subject.to_owned(), purpose.to_owned()));
        match (grant(TRANSFER), grant(purpose)) {
            (Some(_), Some(until)) => (Outcome::Granted, *until),
            _ => (Outcome::Denied, 0),
        }
    }
}

impl State {
    fn revision(&self, subject: &str) -> u64 {
        self.revisions.get(subject).copied().unwrap_or(1)
    }

    fn step(&self, from: usize) -> WatchChangesResponse {
        let event = |(kind, subject): &(EventKind, String)| {
            let answer = |purpose: &str| {
                let (outcome, until) = self.answer(subject, purpose);
                let until = (until != 0).then(|| UnixMillis::new(until).into());
                PurposeAnswer {
                    purpose_id: purpose.to_owned(),
                    outcome: outcome.into(),
                    valid_until: until,
                    ..Default::default()
                }
            };
            ChangeEvent {
                kind: (*kind).into(),
                subject_id: subject.clone(),
                revision: self.revision(subject),
                answers: [TRANSFER, ADS, USAGE].map(answer).to_vec(),
                ..Default::default()
            }
        };
        WatchChangesResponse {
            cursor: (self.feed.len() as u64).to_le_bytes().to_vec(),
            events: self.feed[from..].iter().map(event).collect(),
            checkpoint: None,
        }
    }
}

#[async_trait]
impl ConsentService for Consents {
    async fn watch_changes(
        &self,
        request: Request<WatchChangesRequest>,
    ) -> Result<Response<BoxStream<WatchChangesResponse>>, Status> {
        self.arrive(&request)?;
        let cursor = request.into_inner().cursor;
        let purged = self.0.lock().unwrap().purged;
        let from = cursor.try_into().map(u64::from_le_bytes);
        let from = from.map_or(purged, |from| usize::try_from(from).unwrap());
        if from < purged {
            return Err(status::status(Reason::CursorTooOld, "not kept"));
        }
        let steps = futures::stream::unfold((self.clone(), from), |(consents, from)| async move {
            loop {
                let told = consents.1.clone().notified_owned();
                let (step, next) = {
                    let state = consents.0.lock().unwrap();
                    if state.down {
                        return None;
                    }
                    (state.step(from), state.feed.len())
                };
                if next > from {
                    return Some((Ok(step), (consents, next)));
                }
                // Now and then it is said that there is nothing to say.
                if tokio::time::timeout(Duration::from_millis(200), told).await.is_err() {
                    return Some((Ok(step), (consents, next)));
                }
            }
        });
        Ok(Response::new(Box::pin(steps)))
    }

    async fn get_consent(
        &self,
        request: Request<GetConsentRequest>,
    ) -> Result<Response<GetConsentResponse>, Status> {
        self.arrive(&request)?;
        let subject = request.into_inner().subject_id;
        let state = self.0.lock().unwrap();
        // The last token is the person's own.
        let token = state.tokens.last().cloned().flatten().unwrap_or_default();
        let claims = token.split('.').nth(1).unwrap_or_default();
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
        assert!(String::from_utf8(claims).unwrap().contains(&format!("\"sub\":\"{subject}\"")));
        let purpose = |id: &str| PurposeConsent {
            purpose: Some(Purpose { purpose_id: id.to_owned(), ..Default::default() }),
            policy: Some(PolicyRef { policy_id: "policy".to_owned(), version: 3 }),
            outcome: state.answer(&subject, id).0.into(),
            ..Default::default()
        };
        let purposes = vec![purpose(TRANSFER), purpose(ADS)];
        Ok(Response::new(GetConsentResponse { purposes, ..Default::default() }))
    }

    async fn acknowledge_erasure(
        &self,
        request: Request<AcknowledgeErasureRequest>,
    ) -> Result<Response<AcknowledgeErasureResponse>, Status> {
        self.arrive(&request)?;
        let AcknowledgeErasureRequest { subject_id, follower, .. } = request.into_inner();
        assert_eq!(follower, "audience-svc");
        self.0.lock().unwrap().acknowledged.push(subject_id);
        Ok(Response::new(AcknowledgeErasureResponse {}))
    }

    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        self.arrive(&request)?;
        let asked = request.into_inner();
        let mut state = self.0.lock().unwrap();
        state.checked.push(asked.subject_id.clone());
        let (outcome, _) = state.answer(&asked.subject_id, &asked.purpose_id);
        let reason = state.reason(&asked.subject_id).into();
        Ok(Response::new(CheckResponse { outcome: outcome.into(), reason, ..Default::default() }))
    }

    async fn batch_check(
        &self,
        request: Request<BatchCheckRequest>,
    ) -> Result<Response<BatchCheckResponse>, Status> {
        self.arrive(&request)?;
        let asked = request.into_inner();
        if asked.subject_ids.is_empty() {
            return Err(status::status(Reason::FieldsInvalid, "subject_ids: required"));
        }
        let state = self.0.lock().unwrap();
        let mut answer = BatchCheckResponse::default();
        for subject in &asked.subject_ids {
            let (outcome, until) = state.answer(subject, &asked.purpose_id);
            answer.outcomes.push(outcome.into());
            answer.reasons.push(state.reason(subject).into());
            if asked.with_details {
                answer.revisions.push(state.revision(subject));
                answer.valid_until_ms.push(until);
            }
        }
        Ok(Response::new(answer))
    }
}
