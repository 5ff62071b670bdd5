//! A running audience-svc and its callers.

use std::time::Duration;

use audience_svc::{AudienceConfig, AudienceService, MatchKeyConfig, WithoutNoise};
use proto::{
    audience::v1::{
        self as wire, audience_service_client::AudienceServiceClient,
        business_service_client::BusinessServiceClient,
        directory_service_client::DirectoryServiceClient,
        targeting_service_client::TargetingServiceClient,
        transparency_service_client::TransparencyServiceClient,
        usage_service_client::UsageServiceClient,
    },
    options::v1::Role,
    types::v1::{Identifier, StorageStatus},
};
use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, Statement};
use service_kit::{
    auth::Caller,
    boot::{Process, Running, Service as _},
    client::ClientConfig,
    clock::{Clock, UnixMillis},
    config::{Config, Secret, ServerConfig},
    store::StoreConfig,
    test_util::{Postgres, TestKeys},
};
use tempfile::TempDir;
use tonic::{
    Request, Status,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use crate::{
    consent::Consents,
    rows::{append, batch, external, fresh, opening, person},
};

/// Enough people for a list that may be targeted, whatever noise is drawn: 7 standard deviations
/// more than the minimum.
pub(crate) const CROWD: usize = 1_500;

#[derive(Clone, Copy)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// Runs each test on both stores.
macro_rules! on_both_stores {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let world = crate::world::World::start(crate::world::Engine::Sqlite).await;
                super::$name(world).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let world = crate::world::World::start(crate::world::Engine::Postgres).await;
                super::$name(world).await;
            })*
        }
    };
}
pub(crate) use on_both_stores;

#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<tonic::metadata::Ascii>);

impl Bearer {
    pub(crate) fn new(token: &str) -> Self {
        Self(format!("Bearer {token}").parse().unwrap())
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

pub(crate) type Link = InterceptedService<Channel, Bearer>;

/// One service on one store, its consent-svc, and the time.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) consents: Consents,
    keys: TestKeys,
    config: Config<AudienceConfig>,
    process: Process,
    noise: bool,
    running: Option<Running>,
    channel: Channel,
    _directory: TempDir,
}

impl World {
    pub(crate) async fn start(engine: Engine) -> Self {
        Self::start_with(engine, true, Consents::default()).await
    }

    /// With or without noise in the figures of usage.
    pub(crate) async fn start_with(engine: Engine, noise: bool, consents: Consents) -> Self {
        let clock = Clock::manual(UnixMillis::new(1_800_000_000_000));
        Self::start_by(clock, engine, noise, consents).await
    }

    pub(crate) async fn start_by(
        clock: Clock,
        engine: Engine,
        noise: bool,
        consents: Consents,
    ) -> Self {
        Self::start_as(clock, engine, noise, consents, |_| ()).await
    }

    /// Configured in another way.
    pub(crate) async fn start_as(
        clock: Clock,
        engine: Engine,
        noise: bool,
        consents: Consents,
        configure: impl FnOnce(&mut AudienceConfig),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = match engine {
            Engine::Sqlite => format!("sqlite:{}", directory.path().join("store.db").display()),
            Engine::Postgres => {
                tokio::task::spawn_blocking(|| Postgres::shared().database()).await.unwrap()
            }
        };
        let keys = TestKeys::new();
        let consent = consents.serve().await;
        let mut config = Config::new(AudienceConfig {
            store: StoreConfig { url: Secret::new(url), ..StoreConfig::default() },
            consent: ClientConfig {
                endpoint: format!("http://{consent}"),
                ..ClientConfig::default()
            },
            match_keys: MatchKeyConfig {
                secret: Secret::new("s".repeat(32)),
                ..MatchKeyConfig::default()
            },
            ..AudienceConfig::default()
        });
        configure(&mut config.service);
        config.server = ServerConfig::loopback();
        config.auth = keys.auth_config();
        AudienceService::migrate(&config.service).await.unwrap();
        let process = Process::quiet(clock.clone());
        let (running, channel) = serve(&process, &config, noise).await;
        let running = Some(running);
        Self {
            clock,
            consents,
            keys,
            config,
            process,
            noise,
            running,
            channel,
            _directory: directory,
        }
    }

    /// The service ends, its memory gone; another starts on the same store.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        let (running, channel) = serve(&self.process, &self.config, self.noise).await;
        self.running = Some(running);
        self.channel = channel;
    }

    /// The service ends, and with it what it does in the background.
    pub(crate) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
            running.stopped().await.unwrap();
        }
    }

    /// Whether anything is stored of a subject in the directory.
    pub(crate) async fn is_stored(&self, subject: &str) -> bool {
        let query = "SELECT 1 FROM directory_subject WHERE subject_id = $1";
        self.rows(query, [subject.into()]).await > 0
    }

    /// How many rows a query finds in the service's store.
    pub(crate) async fn rows(
        &self,
        query: &str,
        values: impl IntoIterator<Item = sea_orm::Value>,
    ) -> usize {
        let db = self.store().await;
        let asked = Statement::from_sql_and_values(db.get_database_backend(), query, values);
        db.query_all_raw(asked).await.unwrap().len()
    }

    /// Whether a subject's id is in any table.
    pub(crate) async fn is_in_store(&self, subject: &str) -> bool {
        let db = self.store().await;
        for (table, column) in [
            ("directory_subject", "subject_id"),
            ("departure", "subject_id"),
            ("request_record", "principal"),
        ] {
            let query = format!("SELECT 1 FROM {table} WHERE {column} LIKE $1");
            let values = [format!("%{subject}").into()];
            let asked = Statement::from_sql_and_values(db.get_database_backend(), query, values);
            if db.query_one_raw(asked).await.unwrap().is_some() {
                return true;
            }
        }
        false
    }

    async fn store(&self) -> DatabaseConnection {
        let mut options = ConnectOptions::new(self.config.service.store.url.expose());
        options.max_connections(1);
        Database::connect(options).await.unwrap()
    }

    /// Waits until nothing is stored of a subject in the directory.
    pub(crate) async fn until_gone(&self, subject: &str) {
        while self.is_stored(subject).await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// consent-svc does not answer any more, and the service knows.
    pub(crate) async fn until_deaf(&self) {
        self.consents.set_down(true);
        // It hears every 200 ms that there is nothing to hear.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    /// Waits until the erasure of a subject was heard of, and with it all that was told before.
    pub(crate) async fn until_heard(&self, subject: &str) {
        let query = "SELECT 1 FROM erasure WHERE subject_id = $1";
        while !self.is_acknowledged(subject) && self.rows(query, [subject.into()]).await == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets the time pass until the erasure of a subject was acknowledged.
    pub(crate) async fn until_acknowledged(&self, subject: &str) {
        self.until_heard(subject).await;
        while !self.is_acknowledged(subject) {
            self.advance(Duration::from_mins(1));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn is_acknowledged(&self, subject: &str) -> bool {
        self.consents.acknowledged().iter().any(|one| one == subject)
    }

    /// Does something to the service's store behind its back.
    pub(crate) async fn damage(&self, statement: &str) {
        self.store().await.execute_unprepared(statement).await.unwrap();
    }

    /// Another replica on the same store.
    pub(crate) async fn replica(&self) -> Replica {
        let (running, channel) = serve(&self.process, &self.config, self.noise).await;
        Replica { running, channel }
    }

    /// Another replica, with other secrets.
    pub(crate) async fn replica_with(&self, match_keys: MatchKeyConfig) -> Replica {
        let mut config = self.config.clone();
        config.service.match_keys = match_keys;
        let (running, channel) = serve(&self.process, &config, self.noise).await;
        Replica { running, channel }
    }

    /// The service ends; another starts on the same store, with other secrets.
    pub(crate) async fn restart_with(&mut self, match_keys: MatchKeyConfig) {
        self.config.service.match_keys = match_keys;
        self.restart().await;
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub(crate) fn bearer(&self, caller: &Caller) -> Bearer {
        Bearer::new(&self.keys.token_at(caller, self.clock.now()))
    }

    /// Callers of another replica.
    pub(crate) fn at(&self, replica: &Replica) -> Callers<'_> {
        Callers { world: self, channel: replica.channel.clone() }
    }

    pub(crate) fn callers(&self) -> Callers<'_> {
        Callers { world: self, channel: self.channel.clone() }
    }
}

pub(crate) struct Replica {
    running: Running,
    channel: Channel,
}

impl Replica {
    /// As at the end of a rolling update: drained, then gone.
    pub(crate) async fn stop(self) {
        self.running.stop();
        self.running.stopped().await.unwrap();
    }
}

async fn serve(
    process: &Process,
    config: &Config<AudienceConfig>,
    noise: bool,
) -> (Running, Channel) {
    let config = config.clone();
    let running = if noise {
        process.serve::<AudienceService>(config).await.unwrap()
    } else {
        process.serve::<WithoutNoise>(config).await.unwrap()
    };
    running.ready().await;
    let endpoint = Channel::from_shared(format!("http://{}", running.address())).unwrap();
    (running, endpoint.connect_lazy())
}

/// Everybody who calls one replica.
pub(crate) struct Callers<'a> {
    pub(crate) world: &'a World,
    channel: Channel,
}

impl Callers<'_> {
    pub(crate) fn admin(&self) -> BusinessServiceClient<Link> {
        let bearer = self.world.bearer(&Caller::named(Role::Admin, "ops"));
        BusinessServiceClient::with_interceptor(self.channel.clone(), bearer)
    }

    pub(crate) fn app(&self) -> DirectoryServiceClient<Link> {
        let bearer = self.world.bearer(&Caller::named(Role::App, "messenger"));
        DirectoryServiceClient::with_interceptor(self.channel.clone(), bearer)
    }

    /// The operator, asking about the directory.
    pub(crate) fn operator(&self) -> DirectoryServiceClient<Link> {
        let bearer = self.world.bearer(&Caller::named(Role::Admin, "ops"));
        DirectoryServiceClient::with_interceptor(self.channel.clone(), bearer)
    }

    pub(crate) fn usage(&self, role: Role) -> UsageServiceClient<Link> {
        let bearer = self.world.bearer(&Caller::named(role, "somebody"));
        UsageServiceClient::with_interceptor(self.channel.clone(), bearer)
    }

    pub(crate) fn ad_server(&self) -> TargetingServiceClient<Link> {
        let bearer = self.world.bearer(&Caller::named(Role::AdServer, "ads"));
        TargetingServiceClient::with_interceptor(self.channel.clone(), bearer)
    }

    pub(crate) fn business_of(&self, business: &str, owner: &str) -> AudienceServiceClient<Link> {
        let bearer = self.world.bearer(&Caller::business(business, owner));
        AudienceServiceClient::with_interceptor(self.channel.clone(), bearer)
    }

    pub(crate) fn person(&self, subject: &str) -> TransparencyServiceClient<Link> {
        let bearer = self.world.bearer(&Caller::user(subject));
        TransparencyServiceClient::with_interceptor(self.channel.clone(), bearer)
    }

    /// Another of the suite's services.
    pub(crate) fn service(&self) -> DirectoryServiceClient<Link> {
        let bearer = self.world.bearer(&Caller::named(Role::Service, "gateway"));
        DirectoryServiceClient::with_interceptor(self.channel.clone(), bearer)
    }

    /// The business `shop`.
    pub(crate) fn shop(&self) -> AudienceServiceClient<Link> {
        self.business_of("shop", "shop-ltd")
    }

    /// Makes a business known, with the owner `<name>-ltd`.
    pub(crate) async fn open_business(&self, name: &str) {
        let request = wire::PutBusinessRequest {
            request_id: fresh("put"),
            business_id: name.to_owned(),
            display_name: format!("The {name}"),
            owner_id: format!("{name}-ltd"),
        };
        self.admin().put_business(request).await.unwrap();
    }

    /// Registers people, each in one message of its own.
    pub(crate) async fn register(
        &self,
        people: Vec<wire::Registration>,
    ) -> Result<Vec<wire::RegistrationResult>, Status> {
        let message = wire::PutIdentifiersRequest {
            request_id: fresh("reg"),
            verified: true,
            registrations: people,
        };
        let mut answers =
            self.app().put_identifiers(tokio_stream::iter([message])).await?.into_inner();
        Ok(answers.message().await?.unwrap().results)
    }

    /// Registers one person and expects it to be stored.
    pub(crate) async fn register_one(&self, subject: &str, identifiers: Vec<Identifier>) {
        let results = self.register(vec![person(subject, identifiers)]).await.unwrap();
        assert_eq!(results[0].status(), StorageStatus::Stored);
    }

    /// A thousand people who agreed to everything, each with the external id `crowd-<n>`.
    pub(crate) async fn gather_crowd(&self) {
        let people = (0..CROWD).map(|n| {
            let subject = format!("crowd-{n}");
            self.world.consents.grant_all(&subject);
            person(&subject, vec![external(&subject)])
        });
        self.register_all(people.collect()).await;
    }

    /// Registers people who agreed, in as many messages as they need.
    pub(crate) async fn register_all(&self, people: Vec<wire::Registration>) {
        for some in people.chunks(1_000) {
            let results = self.register(some.to_vec()).await.unwrap();
            assert!(results.iter().all(|result| result.status() == StorageStatus::Stored));
        }
    }

    pub(crate) async fn create_audience(&self) -> String {
        self.create_audience_for(None).await
    }

    pub(crate) async fn create_audience_for(&self, days: Option<i64>) -> String {
        let request = wire::CreateAudienceRequest {
            request_id: fresh("aud"),
            display_name: "Customers".to_owned(),
            customer_source: wire::CustomerSource::UserProvided.into(),
            membership_lifetime: days
                .map(|days| prost_types::Duration { seconds: days * 86_400, nanos: 0 }),
            ..Default::default()
        };
        let made = self.shop().create_audience(request).await.unwrap().into_inner();
        made.audience.unwrap().audience_id
    }

    pub(crate) async fn open_upload(&self, audience: &str, mode: wire::UploadMode) -> String {
        self.open(opening(audience, mode)).await
    }

    pub(crate) async fn open(&self, request: wire::CreateUploadRequest) -> String {
        let opened = self.shop().create_upload(request).await.unwrap().into_inner();
        opened.upload.unwrap().upload_id
    }

    pub(crate) async fn append(
        &self,
        batches: Vec<wire::AppendUploadRequest>,
    ) -> Result<Vec<wire::AppendUploadResponse>, Status> {
        append(&mut self.shop(), batches).await
    }

    pub(crate) async fn commit(
        &self,
        upload: &str,
        batch_count: u32,
    ) -> Result<wire::CommitUploadResponse, Status> {
        let request = wire::CommitUploadRequest {
            request_id: fresh("commit"),
            upload_id: upload.to_owned(),
            batch_count,
        };
        self.shop().commit_upload(request).await.map(tonic::Response::into_inner)
    }

    /// Uploads rows in one batch and commits.
    pub(crate) async fn upload(
        &self,
        audience: &str,
        mode: wire::UploadMode,
        rows: Vec<Identifier>,
    ) -> wire::CommitUploadResponse {
        let upload = self.open_upload(audience, mode).await;
        self.append(vec![batch(&upload, 0, rows)]).await.unwrap();
        self.commit(&upload, 1).await.unwrap()
    }

    /// Another business makes an audience of rows in one batch.
    pub(crate) async fn upload_of(&self, business: &str, rows: Vec<Identifier>) -> String {
        let mut business = self.business_of(business, &format!("{business}-ltd"));
        let request = wire::CreateAudienceRequest {
            request_id: fresh("aud"),
            display_name: "Customers".to_owned(),
            customer_source: wire::CustomerSource::UserProvided.into(),
            ..Default::default()
        };
        let made = business.create_audience(request).await.unwrap().into_inner();
        let audience = made.audience.unwrap().audience_id;
        let opened = business.create_upload(opening(&audience, wire::UploadMode::Add)).await;
        let upload = opened.unwrap().into_inner().upload.unwrap().upload_id;
        append(&mut business, vec![batch(&upload, 0, rows)]).await.unwrap();
        let request = wire::CommitUploadRequest {
            request_id: fresh("commit"),
            upload_id: upload,
            batch_count: 1,
        };
        business.commit_upload(request).await.unwrap();
        audience
    }

    pub(crate) async fn is_member(&self, subject: &str, audience: &str) -> bool {
        let request = wire::CheckMembershipRequest {
            subject_id: subject.to_owned(),
            audience_ids: vec![audience.to_owned()],
        };
        let answer = self.ad_server().check_membership(request).await.unwrap().into_inner();
        assert_eq!(answer.memberships.len(), 1);
        answer.memberships[0]
    }

    pub(crate) async fn audiences_of(&self, subject: &str) -> Result<Vec<String>, Status> {
        let request = wire::ListSubjectAudiencesRequest {
            subject_id: subject.to_owned(),
            business_id: String::new(),
        };
        let answer = self.ad_server().list_subject_audiences(request).await?.into_inner();
        Ok(answer.audiences.into_iter().map(|one| one.audience_id).collect())
    }
}
