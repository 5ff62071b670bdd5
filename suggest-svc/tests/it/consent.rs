//! What the contract says of consent-svc, over a table of grants.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use proto::{
    consent::v1::{
        AcknowledgeErasureRequest, AcknowledgeErasureResponse, BatchCheckRequest,
        BatchCheckResponse, ChangeEvent, CheckRequest, CheckResponse, DecisionReason, EventKind,
        Outcome, PurposeAnswer, WatchChangesRequest, WatchChangesResponse,
        consent_service_server::{ConsentService, ConsentServiceServer},
    },
    errors::v1::Reason,
    status,
};
use service_kit::clock::{Clock, UnixMillis};
use tokio::{
    net::TcpListener,
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, codegen::BoxStream, transport::Server};

/// The most events of a step.
const STEP: usize = 500;
/// How often it is said that there is nothing to say.
const QUIET: Duration = Duration::from_millis(200);

#[derive(Default)]
struct State {
    /// By purpose and subject, until when; 0: for ever.
    table: HashMap<(String, String), i64>,
    /// By subject, where it is not 1.
    revisions: BTreeMap<String, u64>,
    /// What changed, in order; without a subject: the policies.
    feed: Vec<(EventKind, String)>,
    /// How many of these are not kept any more.
    purged: usize,
    /// Deadlines up to this one were told of.
    lapsed: i64,
    erased: HashSet<String>,
    acknowledged: Vec<String>,
    /// How many streams were opened.
    streams: usize,
}

/// A table of grants: purpose and subject, and until when; and the feed of its changes.
#[derive(Clone)]
pub(crate) struct Grants {
    state: Arc<Mutex<State>>,
    told: Arc<Notify>,
    checks: Arc<AtomicUsize>,
    held: Arc<tokio::sync::RwLock<()>>,
    clock: Clock,
}

impl Grants {
    /// Nobody has agreed to anything yet.
    pub(crate) fn new(clock: Clock) -> Self {
        let state = State { lapsed: clock.now().get(), ..State::default() };
        Self {
            state: Arc::new(Mutex::new(state)),
            told: Arc::default(),
            checks: Arc::default(),
            held: Arc::default(),
            clock,
        }
    }

    pub(crate) fn grant(&self, purpose: &str, subject: &str) {
        self.grant_until(purpose, subject, 0);
    }

    /// Granted until then, in Unix milliseconds; 0: for ever.
    pub(crate) fn grant_until(&self, purpose: &str, subject: &str, until: i64) {
        let key = (purpose.to_owned(), subject.to_owned());
        self.state.lock().unwrap().table.insert(key, until);
        self.tell(EventKind::DecisionRecorded, subject);
    }

    /// Denied from now on, of which the feed says nothing.
    pub(crate) fn deny(&self, purpose: &str, subject: &str) {
        let mut state = self.state.lock().unwrap();
        state.table.remove(&(purpose.to_owned(), subject.to_owned()));
        state.revise(subject);
    }

    /// Denied from now on.
    pub(crate) fn withdraw(&self, purpose: &str, subject: &str) {
        let key = (purpose.to_owned(), subject.to_owned());
        self.state.lock().unwrap().table.remove(&key);
        self.tell(EventKind::Withdrawn, subject);
    }

    /// Takes everything back, and asks everybody else to erase.
    pub(crate) fn erase(&self, subject: &str) {
        let mut state = self.state.lock().unwrap();
        state.table.retain(|(_, whose), _| whose != subject);
        state.erased.insert(subject.to_owned());
        drop(state);
        self.tell(EventKind::Erased, subject);
    }

    /// A policy changes, and with it somebody's answer, of which nothing else is told.
    pub(crate) fn change_policy(&self, purpose: &str, subject: &str) {
        let key = (purpose.to_owned(), subject.to_owned());
        self.state.lock().unwrap().table.remove(&key);
        self.tell(EventKind::PolicyChanged, "");
    }

    /// Forgets everything that was to be told.
    pub(crate) fn purge(&self) {
        let mut state = self.state.lock().unwrap();
        state.purged = state.feed.len();
    }

    fn tell(&self, kind: EventKind, subject: &str) {
        self.state.lock().unwrap().tell(kind, subject);
        self.told.notify_waiters();
    }

    /// Who was erased, as acknowledged.
    pub(crate) fn acknowledged(&self) -> Vec<String> {
        self.state.lock().unwrap().acknowledged.clone()
    }

    /// How many streams of the feed were opened so far.
    pub(crate) fn streams(&self) -> usize {
        self.state.lock().unwrap().streams
    }

    /// Batches of checks are read, and not answered until this is dropped.
    pub(crate) async fn hold_answers(&self) -> tokio::sync::OwnedRwLockWriteGuard<()> {
        self.held.clone().write_owned().await
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
        self.state.lock().unwrap().answer(purpose, subject, self.clock.now().get())
    }

    /// The events after `from`, if there are any, and the position after them.
    fn step(&self, from: usize, purposes: &[String]) -> (WatchChangesResponse, usize) {
        let mut state = self.state.lock().unwrap();
        let now = self.clock.now().get();
        state.lapse(now);
        let next = state.feed.len().min(from + STEP);
        let event = |(kind, subject): &(EventKind, String)| {
            let answer = |purpose: &String| {
                let (outcome, reason, until) = state.answer(purpose, subject, now);
                PurposeAnswer {
                    purpose_id: purpose.clone(),
                    outcome: outcome.into(),
                    reason: reason.into(),
                    valid_until: (until > 0).then(|| UnixMillis::new(until).into()),
                }
            };
            ChangeEvent {
                kind: (*kind).into(),
                subject_id: subject.clone(),
                revision: state.revision(subject),
                answers: purposes.iter().map(answer).collect(),
                ..ChangeEvent::default()
            }
        };
        let step = WatchChangesResponse {
            cursor: (next as u64).to_le_bytes().to_vec(),
            events: state.feed[from..next].iter().map(event).collect(),
            checkpoint: None,
        };
        (step, next)
    }
}

impl State {
    fn revision(&self, subject: &str) -> u64 {
        self.revisions.get(subject).copied().unwrap_or(1)
    }

    fn revise(&mut self, subject: &str) {
        *self.revisions.entry(subject.to_owned()).or_insert(1) += 1;
    }

    fn tell(&mut self, kind: EventKind, subject: &str) {
        self.revise(subject);
        self.feed.push((kind, subject.to_owned()));
    }

    fn answer(&self, purpose: &str, subject: &str, now: i64) -> (Outcome, DecisionReason, i64) {
        if self.erased.contains(subject) {
            return (Outcome::Denied, DecisionReason::Erased, 0);
        }
        let until = self.table.get(&(purpose.to_owned(), subject.to_owned())).copied();
        match until.filter(|until| *until == 0 || *until > now) {
            Some(until) => (Outcome::Granted, DecisionReason::Explicit, until),
            None => (Outcome::Denied, DecisionReason::NotAsked, 0),
        }
    }

    /// Tells of the deadlines that have passed. It takes no decision: revisions stay.
    fn lapse(&mut self, now: i64) {
        let passed = |until: &i64| (self.lapsed + 1..=now).contains(until);
        let lapsed = self.table.iter().filter(|(_, until)| passed(until));
        let lapsed: Vec<String> = lapsed.map(|((_, subject), _)| subject.clone()).collect();
        self.feed.extend(lapsed.into_iter().map(|subject| (EventKind::DeadlinePassed, subject)));
        self.lapsed = self.lapsed.max(now);
    }
}

#[tonic::async_trait]
impl ConsentService for Grants {
    async fn watch_changes(
        &self,
        request: Request<WatchChangesRequest>,
    ) -> Result<Response<BoxStream<WatchChangesResponse>>, Status> {
        assert!(request.metadata().contains_key("authorization"));
        let WatchChangesRequest { cursor, purpose_ids } = request.into_inner();
        let purged = {
            let mut state = self.state.lock().unwrap();
            state.streams += 1;
            state.purged
        };
        let from = cursor.try_into().map(u64::from_le_bytes);
        let from = from.map_or(purged, |from| usize::try_from(from).unwrap());
        if from < purged {
            return Err(status::status(Reason::CursorTooOld, "not kept"));
        }
        let begin = (self.clone(), purpose_ids, from);
        let steps = futures::stream::unfold(begin, |(grants, purposes, from)| async move {
            let quiet_until = Instant::now() + QUIET;
            loop {
                let told = grants.told.clone().notified_owned();
                let (step, next) = grants.step(from, &purposes);
                if next > from || Instant::now() >= quiet_until {
                    return Some((Ok(step), (grants, purposes, next)));
                }
                // Deadlines pass by a clock that says nothing.
                let _ = timeout(Duration::from_millis(20), told).await;
            }
        });
        Ok(Response::new(Box::pin(steps)))
    }

    async fn acknowledge_erasure(
        &self,
        request: Request<AcknowledgeErasureRequest>,
    ) -> Result<Response<AcknowledgeErasureResponse>, Status> {
        assert!(request.metadata().contains_key("authorization"));
        let AcknowledgeErasureRequest { subject_id, follower, .. } = request.into_inner();
        assert_eq!(follower, "suggest-svc");
        self.state.lock().unwrap().acknowledged.push(subject_id);
        Ok(Response::new(AcknowledgeErasureResponse {}))
    }

    async fn check(
        &self,
        request: Request<CheckRequest>,
    ) -> Result<Response<CheckResponse>, Status> {
        assert!(request.metadata().contains_key("authorization"));
        self.checks.fetch_add(1, Ordering::SeqCst);
        let request = request.into_inner();
        let (outcome, reason, until) = self.answer(&request.purpose_id, &request.subject_id);
        let valid_until = (until > 0).then(|| UnixMillis::new(until).into());
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
            let revision = self.state.lock().unwrap().revision(subject);
            let (outcome, reason, until) = self.answer(&request.purpose_id, subject);
            response.outcomes.push(outcome.into());
            response.reasons.push(reason.into());
            if request.with_details {
                response.revisions.push(revision);
                response.valid_until_ms.push(until);
            }
        }
        drop(self.held.read().await);
        Ok(Response::new(response))
    }
}
