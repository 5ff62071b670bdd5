//! A running service, people in it, and what they do.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
};

use prost::Message;
use proto::{
    errors::v1::Reason,
    options::v1::Role,
    status,
    suggest::v1::{
        contact_service_client::ContactServiceClient, graph_service_client::GraphServiceClient,
        spam_service_client::SpamServiceClient, suggestion_service_client::SuggestionServiceClient,
        *,
    },
    types::v1::{ExportRecord, Identifier, IdentifierKind, identifier::Value},
};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};
use service_kit::{
    auth::Caller,
    boot::{Process, Running, Service},
    client::ClientConfig,
    clock::{Clock, UnixMillis},
    config::{Config, Secret, ServerConfig},
    store::StoreConfig,
    test_util::{Postgres, TestKeys},
};
use suggest_svc::{SuggestService, config::SuggestConfig};
use tempfile::TempDir;
use tonic::{Request, Status, transport::Channel};

use crate::consent::Grants;

pub(crate) const TRANSFER: &str = "messenger.share_phone";
pub(crate) const USE: &str = "social.friend_suggestions";
pub(crate) const SPAM: &str = "social.fight_spam";

/// 2026-03-01T00:00:00Z.
pub(crate) const START: UnixMillis = UnixMillis::new(1_772_323_200_000);

/// One service on a store of its own, beside a consent-svc that answers from a table.
pub(crate) struct World {
    pub(crate) grants: Grants,
    pub(crate) clock: Clock,
    config: Config<SuggestConfig>,
    keys: TestKeys,
    process: Process,
    replicas: Vec<Replica>,
    requests: AtomicU32,
    _directory: Option<TempDir>,
}

struct Replica {
    running: Running,
    channel: Channel,
}

impl World {
    pub(crate) async fn on_sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::on(sqlite(&directory), Some(directory), Clock::manual(START), |_| {}).await
    }

    /// As [`World::on_sqlite`], by another clock and with other settings.
    pub(crate) async fn on_sqlite_with(
        clock: Clock,
        configure: impl FnOnce(&mut SuggestConfig),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self::on(sqlite(&directory), Some(directory), clock, configure).await
    }

    pub(crate) async fn on_postgres() -> Self {
        Self::on(Postgres::shared().database(), None, Clock::manual(START), |_| {}).await
    }

    async fn on(
        url: String,
        directory: Option<TempDir>,
        clock: Clock,
        configure: impl FnOnce(&mut SuggestConfig),
    ) -> Self {
        let grants = Grants::new(clock.clone());
        let endpoint = format!("http://{}", grants.serve().await);
        let keys = TestKeys::new();
        let mut service = SuggestConfig {
            store: StoreConfig { url: Secret::new(url), ..StoreConfig::default() },
            consent: ClientConfig { endpoint, ..ClientConfig::default() },
            ..SuggestConfig::default()
        };
        service.match_keys.secret = Secret::new("a secret of thirty-two bytes, or more");
        service.contacts.max_per_sync = 50;
        service.contacts.burst = 60;
        service.contacts.range_burst = 30;
        service.blocks.max_per_person = 6;
        service.feedback.max_dismissed_per_person = 3;
        service.spam.max_reports_per_person = 3;
        configure(&mut service);
        SuggestService::migrate(&service).await.unwrap();
        sweep_is_done(service.store.url.expose(), clock.now()).await;
        let server = ServerConfig::loopback();
        let config = Config { server, auth: keys.auth_config(), ..Config::new(service) };
        let process = Process::quiet(clock.clone());
        let mut world = Self {
            grants,
            clock,
            config,
            keys,
            process,
            replicas: Vec::new(),
            requests: AtomicU32::new(0),
            _directory: directory,
        };
        world.add_replica().await;
        world
    }

    /// One more replica on the same store; calls by [`World::at`] go to it.
    pub(crate) async fn add_replica(&mut self) {
        let running = self.process.serve::<SuggestService>(self.config.clone()).await.unwrap();
        running.ready().await;
        let endpoint = Channel::from_shared(format!("http://{}", running.address())).unwrap();
        let channel = endpoint.connect().await.unwrap();
        self.replicas.push(Replica { running, channel });
    }

    /// Ends the only replica and starts another one.
    pub(crate) async fn restart(&mut self) {
        assert_eq!(self.replicas.len(), 1);
        self.restart_all().await;
    }

    /// Ends all replicas at once and starts one.
    pub(crate) async fn restart_all(&mut self) {
        for old in self.replicas.drain(..) {
            drop(old.channel);
            old.running.stop();
            old.running.stopped().await.unwrap();
        }
        self.add_replica().await;
    }

    /// Ends a replica.
    pub(crate) async fn stop(&mut self, replica: usize) {
        let old = self.replicas.remove(replica);
        drop(old.channel);
        old.running.stop();
        old.running.stopped().await.unwrap();
    }

    /// A connection of its own to the service's store.
    pub(crate) async fn store(&self) -> DatabaseConnection {
        connect(self.config.service.store.url.expose()).await
    }

    /// What is exported of a person.
    pub(crate) async fn export(&self, person: &str) -> Vec<ExportRecord> {
        let message = ExportSubjectDataRequest { subject_id: person.to_owned() };
        let request = self.request(&Caller::named(Role::Service, "gateway"), message);
        let mut parts = self.graph().export_subject_data(request).await.unwrap().into_inner();
        let mut records = Vec::new();
        while let Some(part) = parts.message().await.unwrap() {
            records.extend(part.records);
        }
        records
    }

    /// The same with another configuration.
    pub(crate) async fn restart_with(&mut self, change: impl FnOnce(&mut SuggestConfig)) {
        change(&mut self.config.service);
        self.restart().await;
    }

    /// The digests of requests, as whoever stole the store has them.
    pub(crate) async fn stolen_digests(&self) -> Vec<Vec<u8>> {
        self.stolen("SELECT digest FROM request").await
    }

    /// The first column of what a statement selects, as whoever stole the store may ask.
    pub(crate) async fn stolen<T: sea_orm::TryGetable>(&self, sql: &str) -> Vec<T> {
        let db = self.store().await;
        let select = Statement::from_string(db.get_database_backend(), sql);
        let rows = db.query_all_raw(select).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
    }

    fn request<T>(&self, caller: &Caller, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let token = self.keys.token_at(caller, self.clock.now());
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }

    pub(crate) fn new_id(&self) -> String {
        format!("r{}", self.requests.fetch_add(1, Ordering::SeqCst))
    }

    /// The first replica, as an app's back end sees it.
    pub(crate) fn graph(&self) -> GraphServiceClient<Channel> {
        GraphServiceClient::new(self.replicas[0].channel.clone())
    }

    pub(crate) fn app<T>(&self, message: T) -> Request<T> {
        self.request(&Caller::named(Role::App, "messenger"), message)
    }

    /// A person's app on the first replica.
    pub(crate) fn user<'w>(&'w self, subject: &'w str) -> User<'w> {
        self.at(0, subject)
    }

    /// A person's app on a certain replica.
    pub(crate) fn at<'w>(&'w self, replica: usize, subject: &'w str) -> User<'w> {
        User { world: self, subject, channel: self.replicas[replica].channel.clone() }
    }

    /// These people have agreed to everything.
    pub(crate) fn agreed(&self, people: &[&str]) {
        for person in people {
            self.grants.grant(TRANSFER, person);
            self.grants.grant(USE, person);
            self.grants.grant(SPAM, person);
        }
    }

    /// These people have agreed to everything, and each is found by an address of their own.
    pub(crate) async fn people(&self, people: &[&str]) {
        self.agreed(people);
        let registrations = people.iter().map(|person| registration(person, &[*person]));
        let response = self.register(registrations.collect()).await.unwrap();
        assert_eq!(response.results.len(), people.len());
    }

    pub(crate) async fn register(
        &self,
        registrations: Vec<Registration>,
    ) -> Result<PutIdentifiersResponse, Status> {
        let request_id = self.new_id();
        self.put_identifiers(PutIdentifiersRequest { request_id, verified: true, registrations })
            .await
    }

    pub(crate) async fn put_identifiers(
        &self,
        message: PutIdentifiersRequest,
    ) -> Result<PutIdentifiersResponse, Status> {
        let request = self.app(tokio_stream::iter([message]));
        let mut answers = self.graph().put_identifiers(request).await?.into_inner();
        Ok(answers.message().await?.unwrap())
    }

    pub(crate) async fn connect(
        &self,
        pairs: &[(&str, &str)],
    ) -> Result<PutConnectionsResponse, Status> {
        let message =
            PutConnectionsRequest { request_id: self.new_id(), connections: connections(pairs) };
        self.put_connections(message).await
    }

    /// How likely an account is a spammer's, as the platform is told.
    pub(crate) async fn risk(&self, account: &str) -> GetSpamRiskResponse {
        let request = self.app(GetSpamRiskRequest { subject_id: account.to_owned() });
        let mut client = SpamServiceClient::new(self.replicas[0].channel.clone());
        client.get_spam_risk(request).await.unwrap().into_inner()
    }

    pub(crate) async fn put_connections(
        &self,
        message: PutConnectionsRequest,
    ) -> Result<PutConnectionsResponse, Status> {
        let request = self.app(tokio_stream::iter([message]));
        let mut answers = self.graph().put_connections(request).await?.into_inner();
        Ok(answers.message().await?.unwrap())
    }

    pub(crate) async fn disconnect(&self, pairs: &[(&str, &str)]) {
        let message =
            RemoveConnectionsRequest { request_id: self.new_id(), connections: connections(pairs) };
        let request = self.app(tokio_stream::iter([message]));
        let mut answers = self.graph().remove_connections(request).await.unwrap().into_inner();
        answers.message().await.unwrap().unwrap();
    }
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1);
    Database::connect(options).await.unwrap()
}

/// As in a store whose first sweep is over: else it would ask consent-svc in the middle of a test,
/// and hear of denials of which the feed says nothing.
async fn sweep_is_done(url: &str, now: UnixMillis) {
    let db = connect(url).await;
    let update = format!("UPDATE feed_position SET swept_at = {}", now.get());
    let update = Statement::from_string(db.get_database_backend(), update);
    assert_eq!(db.execute_raw(update).await.unwrap().rows_affected(), 1);
    db.close().await.unwrap();
}

fn sqlite(directory: &TempDir) -> String {
    format!("sqlite:{}", directory.path().join("suggest.db").display())
}

/// A person's app.
pub(crate) struct User<'w> {
    world: &'w World,
    subject: &'w str,
    channel: Channel,
}

impl User<'_> {
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        self.world.request(&Caller::user(self.subject), message)
    }

    pub(crate) fn contacts(&self) -> ContactServiceClient<Channel> {
        ContactServiceClient::new(self.channel.clone())
    }

    pub(crate) fn suggestions(&self) -> SuggestionServiceClient<Channel> {
        SuggestionServiceClient::new(self.channel.clone())
    }

    pub(crate) fn spam(&self) -> SpamServiceClient<Channel> {
        SpamServiceClient::new(self.channel.clone())
    }

    /// The id of the suggestion of somebody.
    pub(crate) async fn id_of(&self, person: &str) -> String {
        let mut suggestions = self.answer(50).await.suggestions.into_iter();
        suggestions.find(|one| one.subject_id == person).unwrap().suggestion_id
    }

    pub(crate) async fn explains(&self, id: &str) -> Result<ExplainSuggestionResponse, Status> {
        let request = self.request(ExplainSuggestionRequest { suggestion_id: id.to_owned() });
        Ok(self.suggestions().explain_suggestion(request).await?.into_inner())
    }

    pub(crate) async fn dismisses(&self, id: &str) -> Result<DismissSuggestionResponse, Status> {
        let request_id = self.world.new_id();
        let message = DismissSuggestionRequest { request_id, suggestion_id: id.to_owned() };
        let answer = self.suggestions().dismiss_suggestion(self.request(message)).await;
        Ok(answer?.into_inner())
    }

    pub(crate) async fn reports(&self, account: &str) -> Result<ReportSpamResponse, Status> {
        let request_id = self.world.new_id();
        let message = ReportSpamRequest { request_id, reported_subject_id: account.to_owned() };
        Ok(self.spam().report_spam(self.request(message)).await?.into_inner())
    }

    /// What the caller is shown, byte for byte.
    pub(crate) async fn answer(&self, limit: u32) -> ListSuggestionsResponse {
        let request = self.request(ListSuggestionsRequest { limit });
        self.suggestions().list_suggestions(request).await.unwrap().into_inner()
    }

    pub(crate) async fn bytes(&self) -> Vec<u8> {
        self.answer(50).await.encode_to_vec()
    }

    /// Who is suggested, best first.
    pub(crate) async fn suggested(&self) -> Vec<String> {
        self.answer(50).await.suggestions.into_iter().map(|one| one.subject_id).collect()
    }

    /// Why whom, and how many mutual connections are told.
    pub(crate) async fn reasons(&self) -> BTreeMap<String, (SuggestionReason, MutualCount)> {
        let suggestions = self.answer(50).await.suggestions.into_iter();
        suggestions
            .map(|one| (one.subject_id.clone(), (one.reason(), one.mutual_connections())))
            .collect()
    }

    pub(crate) async fn deletes_contacts(&self) {
        let message = DeleteContactsRequest { request_id: self.world.new_id() };
        self.contacts().delete_contacts(self.request(message)).await.unwrap();
    }

    /// Syncs these people's addresses as the whole address book; the token.
    pub(crate) async fn uploads(&self, people: &[&str]) -> String {
        self.sync(vec![self.full(people)]).await.unwrap().sync_token
    }

    pub(crate) fn full(&self, people: &[&str]) -> SyncContactsRequest {
        SyncContactsRequest {
            request_id: self.world.new_id(),
            mode: SyncMode::Full.into(),
            added: addresses(people),
            ..SyncContactsRequest::default()
        }
    }

    pub(crate) fn delta(
        &self,
        token: &str,
        added: &[&str],
        removed: &[&str],
    ) -> SyncContactsRequest {
        SyncContactsRequest {
            mode: SyncMode::Delta.into(),
            sync_token: token.to_owned(),
            removed: addresses(removed),
            ..self.full(added)
        }
    }

    pub(crate) async fn sync(
        &self,
        messages: Vec<SyncContactsRequest>,
    ) -> Result<SyncContactsResponse, Status> {
        let request = self.request(tokio_stream::iter(messages));
        Ok(self.contacts().sync_contacts(request).await?.into_inner())
    }

    pub(crate) async fn settings(&self, found_by: Discoverability, may_be_mutual: bool) {
        let message = UpdateContactSettingsRequest {
            request_id: self.world.new_id(),
            settings: Some(ContactSettings {
                discoverability: found_by.into(),
                may_be_mutual_connection: may_be_mutual,
            }),
        };
        self.contacts().update_contact_settings(self.request(message)).await.unwrap();
    }

    pub(crate) async fn blocks(&self, other: &str) {
        let message = BlockSubjectRequest {
            request_id: self.world.new_id(),
            blocked_subject_id: other.to_owned(),
        };
        self.suggestions().block_subject(self.request(message)).await.unwrap();
    }

    pub(crate) async fn unblocks(&self, other: &str) {
        let message = UnblockSubjectRequest {
            request_id: self.world.new_id(),
            blocked_subject_id: other.to_owned(),
        };
        self.suggestions().unblock_subject(self.request(message)).await.unwrap();
    }
}

/// The address by which a person is found.
pub(crate) fn address(person: &str) -> Identifier {
    let value = Some(Value::Raw(format!("{person}@example.org")));
    Identifier { kind: IdentifierKind::Email.into(), value }
}

pub(crate) fn addresses(people: &[&str]) -> Vec<Identifier> {
    people.iter().map(|person| address(person)).collect()
}

/// A phone number in clear.
pub(crate) fn phone(number: &str) -> Identifier {
    let value = Some(Value::Raw(number.to_owned()));
    Identifier { kind: IdentifierKind::Phone.into(), value }
}

/// The SHA-256 of what somebody has normalised.
pub(crate) fn hashed(kind: IdentifierKind, normalised: &str) -> Identifier {
    use sha2::Digest as _;
    let value = Some(Value::Sha256(sha2::Sha256::digest(normalised).to_vec()));
    Identifier { kind: kind.into(), value }
}

pub(crate) fn registration(person: &str, found_by: &[&str]) -> Registration {
    Registration {
        subject_id: person.to_owned(),
        identifiers: addresses(found_by),
        default_region: String::new(),
    }
}

pub(crate) fn connections(pairs: &[(&str, &str)]) -> Vec<Connection> {
    let connection = |(one, other): &(&str, &str)| Connection {
        subject_id: (*one).to_owned(),
        other_subject_id: (*other).to_owned(),
        connected_at: None,
    };
    pairs.iter().map(connection).collect()
}

/// The reason that a call failed for.
pub(crate) fn reason<T: std::fmt::Debug>(result: Result<T, Status>) -> Reason {
    status::reason(&result.unwrap_err()).unwrap()
}

/// The fields that a call was refused for.
pub(crate) fn bad_fields<T: std::fmt::Debug>(result: Result<T, Status>) -> Vec<String> {
    use tonic_types::StatusExt;
    let status = result.unwrap_err();
    assert_eq!(status::reason(&status), Some(Reason::FieldsInvalid), "{status:?}");
    let bad = status.get_details_bad_request().unwrap();
    bad.field_violations.into_iter().map(|violation| violation.field).collect()
}

impl World {
    /// As [`World::on_postgres`], by another clock and with other settings.
    pub(crate) async fn on_postgres_with(
        clock: Clock,
        configure: impl FnOnce(&mut SuggestConfig),
    ) -> Self {
        Self::on(Postgres::shared().database(), None, clock, configure).await
    }

    /// Where the consent-svc is, for other processes.
    pub(crate) fn consent_endpoint(&self) -> &str {
        &self.config.service.consent.endpoint
    }

    /// The keys with which everybody signs.
    pub(crate) fn keys(&self) -> &TestKeys {
        &self.keys
    }

    /// A person's app at another process.
    pub(crate) fn through<'w>(&'w self, channel: &Channel, subject: &'w str) -> User<'w> {
        User { world: self, subject, channel: channel.clone() }
    }

    /// One more replica on the same store, with other settings.
    pub(crate) async fn add_replica_with(&mut self, change: impl FnOnce(&mut SuggestConfig)) {
        let config = self.config.clone();
        change(&mut self.config.service);
        self.add_replica().await;
        self.config = config;
    }

    /// Changes the store by hand.
    pub(crate) async fn behind_its_back(&self, sql: &str) {
        use sea_orm::{ConnectionTrait, Database};
        let db = Database::connect(self.config.service.store.url.expose()).await.unwrap();
        db.execute_unprepared(sql).await.unwrap();
    }
}
