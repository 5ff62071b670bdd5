//! A service to talk to, a clock to move, and policies to publish.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use consent_svc::{
    ConsentService,
    config::{CacheConfig, ConsentConfig},
    receipt::SigningKey,
};
use proto::{
    consent::v1::{
        consent_service_client::ConsentServiceClient, policy_service_client::PolicyServiceClient, *,
    },
    errors::v1::Reason,
    options::v1::Role,
};
use service_kit::{
    auth::Caller,
    boot::{Process, Running, Service},
    clock::{Clock, UnixMillis},
    config::{Config, Secret, ServerConfig, Span},
    store::StoreConfig,
    test_util::{Postgres, Redis, TestKeys},
};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

pub(crate) const DAY: i64 = 86_400_000;
/// Where the clock of every test begins.
pub(crate) const START: i64 = 1_800_000_000_000;
pub(crate) const SHARE: &str = "messenger.share_phone";
pub(crate) const ADS: &str = "social.ads";
pub(crate) const MESSAGES: &str = "social.messages_from_businesses";

pub(crate) struct World {
    pub(crate) clock: Clock,
    keys: TestKeys,
    pub(crate) config: ConsentConfig,
    /// How it serves, from the next start on.
    pub(crate) server: ServerConfig,
    process: Process,
    running: Option<Running>,
    channel: Channel,
    requests: AtomicU64,
    _directory: Option<tempfile::TempDir>,
}

impl World {
    pub(crate) async fn on_sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("consent.db").display());
        let clock = Clock::manual(UnixMillis::new(START));
        Self::begin(url, &[], Some(directory), clock).await
    }

    pub(crate) async fn on_postgres() -> Self {
        let url = Postgres::shared().database();
        let clock = Clock::manual(UnixMillis::new(START));
        Self::begin(url, &[], None, clock).await
    }

    pub(crate) async fn on_redis() -> Self {
        let url = Postgres::shared().database();
        let clock = Clock::manual(UnixMillis::new(START));
        Self::begin(url, &[Redis::shared().database()], None, clock).await
    }

    pub(crate) async fn begin(
        url: String,
        redis: &[String],
        directory: Option<tempfile::TempDir>,
        clock: Clock,
    ) -> Self {
        let store = StoreConfig { url: Secret::new(url), ..StoreConfig::default() };
        let page_token_secret = Secret::new("pages of tests");
        let cache = CacheConfig {
            redis: redis.iter().map(Secret::new).collect(),
            // So that nobody waits for long.
            lease: Span::from_millis(200),
            ..CacheConfig::default()
        };
        let mut config =
            ConsentConfig { store, page_token_secret, cache, ..ConsentConfig::default() };
        config.receipts.signing_key = SigningKey::parse(&"07".repeat(32)).unwrap();
        let keys = TestKeys::new();
        ConsentService::migrate(&config).await.unwrap();
        let process = Process::quiet(clock.clone());
        let server = ServerConfig::loopback();
        let (running, channel) = serve(&process, &config, &server, &keys).await;
        Self {
            clock,
            keys,
            config,
            server,
            process,
            running: Some(running),
            channel,
            requests: AtomicU64::new(1),
            _directory: directory,
        }
    }

    /// As it is configured.
    pub(crate) fn config(&self) -> &ConsentConfig {
        &self.config
    }

    /// Starts it again, configured differently.
    pub(crate) async fn reconfigure(&mut self, change: impl FnOnce(&mut ConsentConfig)) {
        change(&mut self.config);
        self.restart().await;
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> Endpoint {
        let address = self.running.as_ref().unwrap().address();
        Channel::from_shared(format!("http://{address}")).unwrap()
    }

    /// Where it serves its metrics.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        self.running.as_ref().unwrap().admin_address().unwrap()
    }

    /// Where the keys are that make its callers' tokens valid.
    pub(crate) fn jwks_file(&self) -> PathBuf {
        self.keys.jwks_file()
    }

    /// Tells it to stop; gives what waits for that.
    pub(crate) fn stop(&mut self) -> Running {
        let running = self.running.take().unwrap();
        running.stop();
        running
    }

    /// Starts it after a stop.
    pub(crate) async fn start(&mut self) {
        let (running, channel) = serve(&self.process, &self.config, &self.server, &self.keys).await;
        (self.running, self.channel) = (Some(running), channel);
    }

    /// Another replica on the same store, with a clock of its own.
    pub(crate) async fn replica(&self, clock: Clock) -> Self {
        let redis: Vec<String> =
            self.config.cache.redis.iter().map(|url| url.expose().to_owned()).collect();
        self.replica_with(clock, &redis).await
    }

    /// Another replica on the same store, which is told of other Redis primaries.
    pub(crate) async fn replica_with(&self, clock: Clock, redis: &[String]) -> Self {
        static REPLICAS: AtomicU64 = AtomicU64::new(1);
        let url = self.config.store.url.expose().to_owned();
        let replica = Self::begin(url, redis, None, clock).await;
        // No replica has another's request ids.
        let first = REPLICAS.fetch_add(1, Ordering::Relaxed) << 32;
        replica.requests.store(first, Ordering::Relaxed);
        replica
    }

    /// Stops the service and starts it again on what it stored.
    pub(crate) async fn restart(&mut self) {
        self.stop().stopped().await.unwrap();
        self.start().await;
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().get()
    }

    pub(crate) fn advance_to(&self, millis: i64) {
        let by = u64::try_from(millis - self.now()).unwrap();
        self.clock.advance(Duration::from_millis(by));
    }

    /// A request id that no other request of the test has.
    pub(crate) fn id(&self) -> String {
        format!("r{}", self.requests.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn from<T>(&self, caller: &Caller, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let token = self.keys.token_at(caller, self.clock.now());
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }

    pub(crate) fn app<T>(&self, message: T) -> Request<T> {
        self.from(&Caller::named(Role::App, "app"), message)
    }

    pub(crate) fn admin<T>(&self, message: T) -> Request<T> {
        self.from(&Caller::named(Role::Admin, "admin"), message)
    }

    pub(crate) fn consent(&self) -> ConsentServiceClient<Channel> {
        ConsentServiceClient::new(self.channel.clone())
    }

    pub(crate) fn policies(&self) -> PolicyServiceClient<Channel> {
        PolicyServiceClient::new(self.channel.clone())
    }

    pub(crate) async fn draft(&self, policy_id: &str, spec: PolicySpec) -> Result<Policy, Status> {
        let request_id = self.id();
        let message =
            CreatePolicyRequest { request_id, policy_id: policy_id.to_owned(), spec: Some(spec) };
        let created = self.policies().create_policy(self.admin(message)).await?;
        Ok(created.into_inner().policy.unwrap())
    }

    pub(crate) async fn publish(&self, policy: PolicyRef) -> Result<Policy, Status> {
        let message = PublishPolicyRequest { request_id: self.id(), policy: Some(policy) };
        let published = self.policies().publish_policy(self.admin(message)).await?;
        Ok(published.into_inner().policy.unwrap())
    }

    pub(crate) async fn retire(&self, policy: PolicyRef) -> Result<Policy, Status> {
        let message = RetirePolicyRequest { request_id: self.id(), policy: Some(policy) };
        let retired = self.policies().retire_policy(self.admin(message)).await?;
        Ok(retired.into_inner().policy.unwrap())
    }

    /// Drafts and publishes.
    pub(crate) async fn announce(&self, policy_id: &str, spec: PolicySpec) -> PolicyRef {
        let draft = self.draft(policy_id, spec).await.unwrap();
        self.publish(draft.r#ref.unwrap()).await.unwrap().r#ref.unwrap()
    }

    pub(crate) async fn put_as(&self, message: PutSubjectRequest) -> Subject {
        let put = self.consent().put_subject(self.app(message)).await.unwrap();
        put.into_inner().subject.unwrap()
    }

    /// An adult of two years' standing with accounts in both apps.
    pub(crate) fn person(&self, subject_id: &str, jurisdiction: &str) -> PutSubjectRequest {
        PutSubjectRequest {
            request_id: self.id(),
            subject_id: subject_id.to_owned(),
            jurisdiction: jurisdiction.to_owned(),
            age_band: AgeBand::Adult as i32,
            account_created_at: Some(at(START - 730 * DAY)),
            apps: vec!["messenger".to_owned(), "social".to_owned()],
        }
    }

    pub(crate) async fn put(&self, subject_id: &str, jurisdiction: &str) -> Subject {
        self.put_as(self.person(subject_id, jurisdiction)).await
    }

    pub(crate) async fn serve_notice(
        &self,
        subject_id: &str,
        policy: &PolicyRef,
        spec: &PolicySpec,
    ) -> Result<Option<i64>, Status> {
        let message = RecordNoticeServedRequest {
            request_id: self.id(),
            subject_id: subject_id.to_owned(),
            policy: Some(policy.clone()),
            notice_sha256: digest(spec),
            served_at: None,
        };
        let served = self.consent().record_notice_served(self.app(message)).await?;
        Ok(served.into_inner().accept_until.map(millis))
    }

    /// A decision: yes to these purposes, no to the others that can be chosen.
    pub(crate) fn decision(
        &self,
        subject_id: &str,
        policy: &PolicyRef,
        spec: &PolicySpec,
        yes: &[&str],
    ) -> RecordDecisionRequest {
        let choosable =
            spec.purposes.iter().filter(|purpose| purpose.mechanism() != Mechanism::NoticeOnly);
        let choices = choosable.map(|purpose| Choice {
            purpose_id: purpose.purpose_id.clone(),
            granted: yes.contains(&purpose.purpose_id.as_str()),
        });
        RecordDecisionRequest {
            request_id: self.id(),
            subject_id: subject_id.to_owned(),
            policy: Some(policy.clone()),
            choices: choices.collect(),
            evidence: Some(Evidence {
                method: "dialog".to_owned(),
                locale: "en".to_owned(),
                notice_sha256: digest(spec),
                client: "messenger 7.1".to_owned(),
                decided_at: None,
            }),
            decided_by: String::new(),
        }
    }

    pub(crate) async fn decide(
        &self,
        message: RecordDecisionRequest,
    ) -> Result<RecordDecisionResponse, Status> {
        Ok(self.consent().record_decision(self.app(message)).await?.into_inner())
    }

    pub(crate) async fn withdraw(
        &self,
        subject_id: &str,
        purposes: &[&str],
    ) -> Result<WithdrawResponse, Status> {
        let message = WithdrawRequest {
            request_id: self.id(),
            subject_id: subject_id.to_owned(),
            purpose_ids: purposes.iter().map(|id| (*id).to_owned()).collect(),
        };
        Ok(self.consent().withdraw(self.app(message)).await?.into_inner())
    }

    pub(crate) async fn object(&self, subject_id: &str, objects: bool) {
        let subject_id = subject_id.to_owned();
        let message = SetObjectionSignalRequest { request_id: self.id(), subject_id, objects };
        self.consent().set_objection_signal(self.app(message)).await.unwrap();
    }

    /// The answer of Check, having made sure that `BatchCheck` gives the same.
    pub(crate) async fn check(&self, subject_id: &str, purpose_id: &str) -> Answer {
        let message =
            CheckRequest { subject_id: subject_id.to_owned(), purpose_id: purpose_id.to_owned() };
        let one = self.consent().check(self.app(message)).await.unwrap().into_inner();
        let message = BatchCheckRequest {
            purpose_id: purpose_id.to_owned(),
            subject_ids: vec!["stranger".to_owned(), subject_id.to_owned(), subject_id.to_owned()],
            with_details: true,
        };
        let many = self.consent().batch_check(self.app(message)).await.unwrap().into_inner();
        let until = one.valid_until.map_or(0, millis);
        assert_eq!(many.outcomes[1..], [one.outcome; 2]);
        assert_eq!(many.reasons[1..], [one.reason; 2]);
        assert_eq!(many.revisions, [0, one.revision, one.revision]);
        assert_eq!(many.valid_until_ms, [0, until, until]);
        assert_eq!(many.reasons[0], DecisionReason::UnknownSubject as i32);
        let granted = one.outcome() == Outcome::Granted;
        (granted, one.reason(), Some(until).filter(|until| *until != 0))
    }

    pub(crate) async fn granted(&self, subject_id: &str, purpose_id: &str) -> bool {
        self.check(subject_id, purpose_id).await.0
    }

    pub(crate) async fn events(&self, subject_id: &str) -> Vec<Event> {
        let mut events = Vec::new();
        let mut page_token = String::new();
        loop {
            let message =
                ListEventsRequest { subject_id: subject_id.to_owned(), page_size: 2, page_token };
            let page = self.consent().list_events(self.app(message)).await.unwrap().into_inner();
            assert!(page.events.len() <= 2);
            events.extend(page.events);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return events;
            }
        }
    }

    /// What a settings page shows about a purpose: what can be changed, and until when.
    pub(crate) async fn option(
        &self,
        subject_id: &str,
        purpose_id: &str,
    ) -> (ChangeOption, Option<i64>) {
        let message = GetConsentRequest { subject_id: subject_id.to_owned(), as_of: None };
        let shown = self.consent().get_consent(self.app(message)).await.unwrap().into_inner();
        let named = |line: &&PurposeConsent| {
            line.purpose.as_ref().is_some_and(|purpose| purpose.purpose_id == purpose_id)
        };
        let line = shown.purposes.iter().find(named).unwrap();
        (line.change_option(), line.change_until.map(millis))
    }
}

/// Granted, why, and until when.
pub(crate) type Answer = (bool, DecisionReason, Option<i64>);

async fn serve(
    process: &Process,
    config: &ConsentConfig,
    server: &ServerConfig,
    keys: &TestKeys,
) -> (Running, Channel) {
    let config =
        Config { server: server.clone(), auth: keys.auth_config(), ..Config::new(config.clone()) };
    let running = process.serve::<ConsentService>(config).await.unwrap();
    running.ready().await;
    let endpoint = Channel::from_shared(format!("http://{}", running.address())).unwrap();
    (running, endpoint.connect_lazy())
}

pub(crate) fn at(millis: i64) -> prost_types::Timestamp {
    UnixMillis::new(millis).into()
}

pub(crate) fn millis(at: prost_types::Timestamp) -> i64 {
    UnixMillis::try_from(at).unwrap().get()
}

pub(crate) fn days(days: i64) -> prost_types::Duration {
    prost_types::Duration { seconds: days * 86_400, nanos: 0 }
}

/// The shipped policy for jurisdictions where silence may become a yes, in force from the start.
pub(crate) fn opt_out() -> PolicySpec {
    example("phone-sharing-opt-out")
}

/// The shipped policy for jurisdictions where silence is a no, in force from the start.
pub(crate) fn opt_in() -> PolicySpec {
    example("phone-sharing-opt-in")
}

fn example(id: &str) -> PolicySpec {
    let examples = consent_svc::example_policies();
    let (_, spec) = examples.into_iter().find(|(known, _)| known == id).unwrap();
    PolicySpec { effective_at: Some(at(START)), ..spec }
}

/// The digest of the first notice.
pub(crate) fn digest(spec: &PolicySpec) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    Sha256::digest(&spec.notices[0].text).to_vec()
}

pub(crate) fn reason<T: std::fmt::Debug>(answer: Result<T, Status>) -> Reason {
    proto::status::reason(&answer.unwrap_err()).unwrap()
}

/// The reason, and the fields that are named.
pub(crate) fn violations<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Reason, Vec<String>) {
    let status = answer.unwrap_err();
    let fields = status.get_details_bad_request().unwrap().field_violations;
    let fields = fields.into_iter().map(|violation| violation.field).collect();
    (proto::status::reason(&status).unwrap(), fields)
}
