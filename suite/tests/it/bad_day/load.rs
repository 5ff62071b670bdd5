//! Steady load: people who change their minds, a business that renames its list, somebody who
//! blocks others, and everybody who asks. How every call ends is recorded.
//!
//! Who gets no answer to a write sends it again under the same request id, as every client should:
//! at the end it is there, once.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use prost_types::Timestamp;
use proto::{
    audience::v1::{self as audience, audience_service_client::AudienceServiceClient},
    consent::v1::{self as consent, consent_service_client::ConsentServiceClient},
    errors::v1::Reason,
    options::v1::Role,
    suggest::v1::{self as suggest, suggestion_service_client::SuggestionServiceClient},
};
use service_kit::{
    auth::{Caller, Issuer},
    clock::Clock,
};
use tokio::task::JoinHandle;
use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use tonic_types::StatusExt as _;

/// How long callers are ready to wait for an answer to a question.
const READ_DEADLINE: Duration = Duration::from_secs(2);

/// How long for a write, as the contract has it: more than a first write waits after Redis failed.
pub(super) const DEADLINE: Duration = Duration::from_secs(5);

/// How much longer a call may take: this machine may be busy with other things.
pub(super) const SLACK: Duration = Duration::from_secs(2);

/// How long callers wait before they send something again.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) const ADS: &str = "social.ads";

/// A call that has ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) method: &'static str,
    pub(super) begun: Instant,
    pub(super) until: Instant,
    /// The status, if it is not OK; of a call that the client itself gave up, DEADLINE_EXCEEDED.
    pub(super) failed: Option<Code>,
}

/// What callers have noticed.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) calls: Vec<Ended>,
    /// What should not have happened at all.
    pub(super) wrong: Vec<String>,
}

/// Somebody who calls, and writes down what comes of it.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) channel: Channel,
    pub(super) token: MetadataValue<Ascii>,
    pub(super) book: Arc<Mutex<Book>>,
}

impl Peer {
    /// One question. Nothing if it was not answered.
    pub(super) async fn call<Q, A, F>(
        &self,
        method: &'static str,
        message: Q,
        send: impl FnOnce(Request<Q>) -> F,
    ) -> Option<A>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.call_within(READ_DEADLINE, method, message, send).await
    }

    async fn call_within<Q, A, F>(
        &self,
        deadline: Duration,
        method: &'static str,
        message: Q,
        send: impl FnOnce(Request<Q>) -> F,
    ) -> Option<A>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.token.clone());
        request.set_timeout(deadline);
        let begun = Instant::now();
        let answer = tokio::time::timeout(deadline + SLACK, send(request)).await;
        let until = Instant::now();
        let mut book = self.book.lock().unwrap();
        let (answer, failed) = match answer {
            Ok(Ok(answer)) => (Some(answer.into_inner()), None),
            Ok(Err(status)) => {
                let code = book.judge(method, &status);
                (None, Some(code))
            }
            Err(_) => {
                book.wrong.push(format!("{method}: not answered within the deadline"));
                (None, Some(Code::DeadlineExceeded))
            }
        };
        book.calls.push(Ended { method, begun, until, failed });
        answer
    }

    /// One write, sent again until it is acknowledged.
    pub(super) async fn until<Q: Clone, A, F>(
        &self,
        method: &'static str,
        message: Q,
        mut send: impl FnMut(Request<Q>) -> F,
    ) -> A
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        loop {
            if let Some(answer) =
                self.call_within(DEADLINE, method, message.clone(), &mut send).await
            {
                return answer;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn wrong(&self, what: String) {
        self.book.lock().unwrap().wrong.push(what);
    }

    pub(super) fn consent(&self) -> ConsentServiceClient<Channel> {
        ConsentServiceClient::new(self.channel.clone())
    }
}

impl Book {
    /// The code of a failure, which must be one that callers are told to expect.
    fn judge(&mut self, method: &str, status: &Status) -> Code {
        let reason = proto::status::reason(status);
        match (status.code(), reason) {
            // The client's own clock was first.
            (Code::Cancelled, None) => return Code::DeadlineExceeded,
            (Code::ResourceExhausted, Some(Reason::Overloaded)) => {
                let again = status.get_details_retry_info().and_then(|info| info.retry_delay);
                if again.is_none_or(|again| again.is_zero()) {
                    self.wrong.push(format!("{method}: refused without a RetryInfo"));
                }
            }
            // Without a reason where the gateway could not be reached.
            (Code::Unavailable | Code::DeadlineExceeded, _) => {}
            _ => self.wrong.push(format!("{method}: {status:?}")),
        }
        status.code()
    }
}

/// What one of the callers was promised.
enum Promised {
    Person { id: String, events: BTreeSet<String> },
    Audience { id: String, name: String },
    Blocker { id: String, blocked: BTreeSet<String> },
}

/// The callers.
pub(super) struct Load {
    pub(super) book: Arc<Mutex<Book>>,
    issuer: Issuer,
    channel: Channel,
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Promised>>,
}

impl Load {
    /// Nobody calls yet.
    pub(super) fn new(directory: &Path, channel: Channel) -> Self {
        Self {
            book: Arc::default(),
            issuer: Issuer::development(&directory.join("development-key.pem")).unwrap(),
            channel,
            stop: Arc::default(),
            callers: Vec::new(),
        }
    }

    /// A policy that asks for everything is in force, and everybody calls.
    pub(super) async fn start(directory: &Path, channel: Channel) -> Self {
        let mut load = Self::new(directory, channel);
        let policy = load.publish().await;
        load.people(4, &policy);
        load.audiences(2).await;
        load.blockers(2, &policy).await;
        // What was so far is not about what is to come.
        load.book.lock().unwrap().calls.clear();
        load
    }

    pub(super) fn peer(&self, caller: &Caller) -> Peer {
        // Longer than the test, whatever is done to the clock.
        self.peer_for(caller, Duration::from_hours(1))
    }

    /// Somebody whose token expires after so long.
    fn peer_for(&self, caller: &Caller, valid: Duration) -> Peer {
        let now = Clock::system().now().minus(Duration::from_mins(1));
        let token = self.issuer.issue(caller, now, valid);
        let token = format!("Bearer {token}").parse().unwrap();
        Peer { channel: self.channel.clone(), token, book: self.book.clone() }
    }

    pub(super) fn app(&self) -> Peer {
        self.peer(&Caller::named(Role::App, "messenger"))
    }

    pub(super) async fn publish(&self) -> consent::Policy {
        let admin = self.peer(&Caller::named(Role::Admin, "operator"));
        let client =
            || consent::policy_service_client::PolicyServiceClient::new(admin.channel.clone());
        let (policy_id, mut spec) = consent_svc::example_policies().swap_remove(0);
        spec.effective_at = Some(SystemTime::now().into());
        let request_id = "create".to_owned();
        let create = consent::CreatePolicyRequest { request_id, policy_id, spec: Some(spec) };
        let send = |request| async move { client().create_policy(request).await };
        let draft = admin.until("CreatePolicy", create, send).await.policy.unwrap();
        let publish =
            consent::PublishPolicyRequest { request_id: "publish".to_owned(), policy: draft.r#ref };
        let send = |request| async move { client().publish_policy(request).await };
        admin.until("PublishPolicy", publish, send).await.policy.unwrap()
    }

    /// People who agree and withdraw, again and again.
    pub(super) fn people(&mut self, count: usize, policy: &consent::Policy) {
        for number in 0..count {
            let (peer, stop, policy) = (self.app(), self.stop.clone(), policy.clone());
            let id = format!("fickle-{number}");
            self.callers
                .push(tokio::spawn(async move { changes_mind(peer, stop, policy, id).await }));
        }
    }

    /// Whether a call gets there at all.
    pub(super) async fn answered(&self) -> bool {
        granted(&self.app(), "nobody").await.is_some()
    }

    /// Whether a token that expires within minutes is believed.
    pub(super) async fn believed(&self, valid: Duration) -> bool {
        let peer = self.peer_for(&Caller::named(Role::App, "messenger"), valid);
        granted(&peer, "nobody").await.is_some()
    }

    async fn audiences(&mut self, count: usize) {
        let admin = self.peer(&Caller::named(Role::Admin, "operator"));
        let business = audience::PutBusinessRequest {
            request_id: "shop".to_owned(),
            business_id: "shop".to_owned(),
            display_name: "Shop".to_owned(),
            owner_id: "shop-ltd".to_owned(),
        };
        let send = |request| {
            let mut client = audience::business_service_client::BusinessServiceClient::new(
                admin.channel.clone(),
            );
            async move { client.put_business(request).await }
        };
        admin.until("PutBusiness", business, send).await;
        for number in 0..count {
            let business = self.peer(&Caller::business("shop", "shop-ltd"));
            let ads = self.peer(&Caller::named(Role::AdServer, "ads"));
            let stop = self.stop.clone();
            self.callers
                .push(tokio::spawn(async move { renames(business, ads, stop, number).await }));
        }
    }

    async fn blockers(&mut self, count: usize, policy: &consent::Policy) {
        for number in 0..count {
            let id = format!("blocker-{number}");
            agree(&self.app(), policy, &id, "first").await;
            let (peer, stop) = (self.peer(&Caller::user(&id)), self.stop.clone());
            self.callers.push(tokio::spawn(async move { blocks(peer, stop, id).await }));
        }
    }

    /// Nobody calls any more; whatever was acknowledged is there, and nothing else.
    pub(super) async fn end(mut self) -> Book {
        self.stop.store(true, Relaxed);
        let mut promised = Vec::new();
        for caller in self.callers.drain(..) {
            promised.push(tokio::time::timeout(3 * DEADLINE, caller).await.unwrap().unwrap());
        }
        for promise in promised {
            self.verify(promise).await;
        }
        let book = std::mem::take(&mut *self.book.lock().unwrap());
        assert!(book.wrong.is_empty(), "{:#?}", book.wrong);
        book
    }

    async fn verify(&self, promised: Promised) {
        match promised {
            Promised::Person { id, events } => {
                let found = self.events(&id).await;
                assert_eq!(found.len(), found.iter().collect::<BTreeSet<_>>().len());
                assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), events, "{id}");
            }
            Promised::Audience { id, name } => {
                let business = self.peer(&Caller::business("shop", "shop-ltd"));
                let found = get_audience(&business, &id).await.unwrap();
                assert_eq!(found.display_name, name);
            }
            Promised::Blocker { id, blocked } => {
                let found = self.blocked(&id).await;
                assert_eq!(found, blocked, "{id}");
            }
        }
    }

    /// The decisions of somebody, by the ids of their events.
    async fn events(&self, id: &str) -> Vec<String> {
        let app = self.app();
        let (mut found, mut page_token) = (Vec::new(), String::new());
        loop {
            let list = consent::ListEventsRequest {
                subject_id: id.to_owned(),
                page_size: 200,
                page_token,
            };
            let send = |request| async { app.consent().list_events(request).await };
            let page = app.until("ListEvents", list, send).await;
            let decisions = page
                .events
                .into_iter()
                .filter(|event| event.kind() != consent::EventKind::SubjectPut);
            found.extend(decisions.map(|event| event.event_id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return found;
            }
        }
    }

    async fn blocked(&self, id: &str) -> BTreeSet<String> {
        let user = self.peer(&Caller::user(id));
        let (mut found, mut page_token) = (BTreeSet::new(), String::new());
        loop {
            let list = suggest::ListBlockedRequest { page_size: 200, page_token };
            let send = |request| {
                let mut client = SuggestionServiceClient::new(user.channel.clone());
                async move { client.list_blocked(request).await }
            };
            let page = user.until("ListBlocked", list, send).await;
            found.extend(page.subject_ids);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return found;
            }
        }
    }
}

fn somebody(id: &str) -> consent::PutSubjectRequest {
    consent::PutSubjectRequest {
        request_id: format!("put-{id}"),
        subject_id: id.to_owned(),
        jurisdiction: "DE".to_owned(),
        age_band: consent::AgeBand::Adult.into(),
        account_created_at: Some(Timestamp { seconds: 1, nanos: 0 }),
        apps: vec!["social".to_owned()],
    }
}

/// Makes somebody known who agrees to everything: the event.
async fn agree(app: &Peer, policy: &consent::Policy, id: &str, round: &str) -> String {
    if round == "first" {
        let send = |request| async { app.consent().put_subject(request).await };
        app.until("PutSubject", somebody(id), send).await;
    }
    let spec = policy.spec.as_ref().unwrap();
    let asked =
        spec.purposes.iter().filter(|one| one.mechanism() != consent::Mechanism::NoticeOnly);
    let choice =
        |purpose_id: &String| consent::Choice { purpose_id: purpose_id.clone(), granted: true };
    let decide = consent::RecordDecisionRequest {
        request_id: format!("decide-{id}-{round}"),
        subject_id: id.to_owned(),
        policy: policy.r#ref.clone(),
        choices: asked.map(|purpose| choice(&purpose.purpose_id)).collect(),
        evidence: Some(consent::Evidence {
            method: "dialog".to_owned(),
            locale: "en".to_owned(),
            notice_sha256: spec.notices[0].sha256.clone(),
            ..Default::default()
        }),
        decided_by: String::new(),
    };
    let send = |request| async { app.consent().record_decision(request).await };
    app.until("RecordDecision", decide, send).await.event_id
}

/// Whether ads are granted to somebody; nothing if it is not answered.
pub(super) async fn granted(app: &Peer, id: &str) -> Option<bool> {
    let check = consent::CheckRequest { subject_id: id.to_owned(), purpose_id: ADS.to_owned() };
    let send = |request| async { app.consent().check(request).await };
    let answer = app.call("Check", check, send).await?;
    Some(answer.outcome() == consent::Outcome::Granted)
}

async fn changes_mind(
    app: Peer,
    stop: Arc<AtomicBool>,
    policy: consent::Policy,
    id: String,
) -> Promised {
    let mut events = BTreeSet::new();
    for round in 0.. {
        let name = if round == 0 { "first".to_owned() } else { round.to_string() };
        events.insert(agree(&app, &policy, &id, &name).await);
        if granted(&app, &id).await == Some(false) {
            app.wrong(format!("Check: {id} is denied what they had agreed to"));
        }
        let withdraw = consent::WithdrawRequest {
            request_id: format!("withdraw-{id}-{round}"),
            subject_id: id.clone(),
            purpose_ids: vec![ADS.to_owned()],
        };
        let send = |request| async { app.consent().withdraw(request).await };
        events.insert(app.until("Withdraw", withdraw, send).await.event_id);
        if granted(&app, &id).await == Some(true) {
            app.wrong(format!("Check: {id} is granted what they had withdrawn"));
        }
        if stop.load(Relaxed) {
            break;
        }
        tokio::time::sleep(PAUSE / 10).await;
    }
    Promised::Person { id, events }
}

async fn renames(business: Peer, ads: Peer, stop: Arc<AtomicBool>, number: usize) -> Promised {
    let client = || AudienceServiceClient::new(business.channel.clone());
    let create = audience::CreateAudienceRequest {
        request_id: format!("audience-{number}"),
        display_name: "new".to_owned(),
        customer_source: audience::CustomerSource::Both.into(),
        ..Default::default()
    };
    let send = |request| async move { client().create_audience(request).await };
    let made = business.until("CreateAudience", create, send).await;
    let id = made.audience.unwrap().audience_id;
    let mut name = String::new();
    for round in 0.. {
        name = format!("name {round}");
        let update = audience::UpdateAudienceRequest {
            request_id: format!("rename-{number}-{round}"),
            audience_id: id.clone(),
            display_name: name.clone(),
            ..Default::default()
        };
        let send = |request| async move { client().update_audience(request).await };
        business.until("UpdateAudience", update, send).await;
        if let Some(found) = get_audience(&business, &id).await
            && found.display_name != name
        {
            business.wrong(format!("GetAudience: {:?}, not {name:?}", found.display_name));
        }
        let check = audience::CheckMembershipRequest {
            subject_id: "fickle-0".to_owned(),
            audience_ids: vec![id.clone()],
        };
        let send = |request| {
            let mut client = audience::targeting_service_client::TargetingServiceClient::new(
                ads.channel.clone(),
            );
            async move { client.check_membership(request).await }
        };
        if let Some(found) = ads.call("CheckMembership", check, send).await
            && found.memberships != [false]
        {
            ads.wrong("CheckMembership: a member of an empty list".to_owned());
        }
        if stop.load(Relaxed) {
            break;
        }
        tokio::time::sleep(PAUSE / 5).await;
    }
    Promised::Audience { id, name }
}

async fn get_audience(business: &Peer, id: &str) -> Option<audience::Audience> {
    let get = audience::GetAudienceRequest { audience_id: id.to_owned() };
    let send = |request| {
        let mut client = AudienceServiceClient::new(business.channel.clone());
        async move { client.get_audience(request).await }
    };
    business.call("GetAudience", get, send).await.and_then(|answer| answer.audience)
}

async fn blocks(user: Peer, stop: Arc<AtomicBool>, id: String) -> Promised {
    let mut blocked = BTreeSet::new();
    let client = || SuggestionServiceClient::new(user.channel.clone());
    for round in 0.. {
        let whom = format!("stranger-{round}");
        let block = suggest::BlockSubjectRequest {
            request_id: format!("block-{id}-{round}"),
            blocked_subject_id: whom.clone(),
        };
        let send = |request| async move { client().block_subject(request).await };
        user.until("BlockSubject", block, send).await;
        blocked.insert(whom);
        let list = suggest::ListSuggestionsRequest { limit: 5 };
        let send = |request| async move { client().list_suggestions(request).await };
        user.call("ListSuggestions", list, send).await;
        if stop.load(Relaxed) {
            break;
        }
        tokio::time::sleep(PAUSE / 5).await;
    }
    Promised::Blocker { id, blocked }
}

/// How many calls failed, by code, as text; nothing: none.
pub(super) fn failures<'a>(calls: impl Iterator<Item = &'a Ended>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for code in calls.filter_map(|call| call.failed) {
        *counts.entry(format!("{code:?}")).or_default() += 1;
    }
    let told: Vec<_> = counts.iter().map(|(code, count)| format!("{count} {code}")).collect();
    if told.is_empty() { "none failed".to_owned() } else { told.join(", ") }
}
