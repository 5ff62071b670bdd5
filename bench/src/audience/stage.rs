//! An audience-svc under measurement, with a consent-svc beside it.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use audience_svc::seeding::Seeding;
use proto::options::v1::Role;
use service_kit::{
    auth::Caller,
    clock::{Clock, UnixMillis},
    config::Secret,
    store::StoreConfig,
};
use tempfile::TempDir;
use tokio::{task::block_in_place, time::sleep};
use tonic::{Request, transport::Channel};

use super::people::{self, SECRET};
use crate::{
    Result,
    consent::stage::Stage as ConsentStage,
    svc::{Program, Service},
};

/// How long the service may take until it follows consent-svc.
const FOLLOWS: Duration = Duration::from_secs(30);

/// The business that measures.
pub(crate) const BUSINESS: &str = "bench-business";

/// Where the service keeps its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Sqlite,
    Postgresql,
}

/// The service, and everything that it needs.
pub(crate) struct Stage {
    pub(super) kept: Kept,
    pub(crate) consent: ConsentStage,
    /// The store's URL.
    pub(super) url: String,
    config: PathBuf,
    /// Nothing while it is stopped.
    service: Option<Service>,
    directory: TempDir,
}

impl Stage {
    /// With an empty store.
    pub(super) async fn new(kept: Kept) -> Result<Self> {
        Self::beside(ConsentStage::redis(1).await?, kept).await
    }

    /// With an empty store, beside this consent-svc: one on PostgreSQL, if that is to be used here.
    pub(crate) async fn beside(consent: ConsentStage, kept: Kept) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let url = match kept {
            Kept::Sqlite => format!("sqlite:{}/audience.db?mode=rwc", directory.path().display()),
            Kept::Postgresql => {
                let engines = consent.engines()?;
                block_in_place(|| engines.postgres.database())
            }
        };
        let config = directory.path().join("audience.toml");
        fs::write(&config, text(&consent, &url, &directory.path().join("index")))?;
        let program = Program::this("serve-audience")?;
        block_in_place(|| program.migrate(&config))?;
        let mut stage = Self { kept, consent, url, config, service: None, directory };
        // It asks about everybody once: while there is nobody.
        stage.start()?;
        let seeding = stage.seeding().await?;
        let until = Instant::now() + FOLLOWS;
        while !seeding.is_followed().await? {
            if Instant::now() > until {
                return Err("audience-svc does not follow consent-svc".into());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(stage)
    }

    /// Puts people in. The service is stopped meanwhile.
    pub(crate) async fn fill(&mut self, count: usize) -> Result<()> {
        self.stop()?;
        let begun = Instant::now();
        self.seeding().await?.people(people::all(count)?, now()).await?;
        eprintln!("{count} people put into {:?} in {:.0?}", self.kept, begun.elapsed());
        Ok(())
    }

    /// For filling the store, while the service is stopped.
    pub(super) async fn seeding(&self) -> Result<Seeding> {
        let url = Secret::new(self.url.clone());
        Ok(Seeding::open(&StoreConfig { url, ..StoreConfig::default() }).await?)
    }

    /// Starts it; says how long it took until it took calls.
    pub(crate) fn start(&mut self) -> Result<Duration> {
        let program = Program::this("serve-audience")?;
        let begun = Instant::now();
        let log = self.directory.path().join("log");
        let service = block_in_place(|| {
            let service = Service::start(&program, &self.config, Some(&log))?;
            service.wait_until_ready().map(|()| service)
        })?;
        self.service = Some(service);
        Ok(begun.elapsed())
    }

    /// Ends it as an operator would: it writes its snapshot.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.service.take().map_or(Ok(()), |service| block_in_place(|| service.stop()))
    }

    /// The process.
    pub(crate) fn service(&self) -> Result<&Service> {
        self.service.as_ref().ok_or_else(|| "audience-svc is stopped".into())
    }

    /// A connection to it.
    pub(super) async fn channel(&self) -> Result<Channel> {
        let address = self.service()?.address;
        Ok(Channel::from_shared(format!("http://{address}"))?.connect().await?)
    }

    /// A call of somebody.
    pub(crate) fn call<T>(&self, caller: &Caller, message: T) -> Result<Request<T>> {
        let mut request = Request::new(message);
        let token = format!("Bearer {}", self.consent.keys.token(caller)).parse()?;
        request.metadata_mut().insert("authorization", token);
        Ok(request)
    }
}

/// The business that measures, which is its own owner.
pub(crate) fn business() -> Caller {
    Caller::business(BUSINESS, BUSINESS)
}

/// Who lets businesses in.
pub(crate) fn admin() -> Caller {
    Caller::named(Role::Admin, "bench-admin")
}

pub(super) fn now() -> UnixMillis {
    Clock::system().now()
}

/// The configuration: as shipped, but for what has no default, a snapshot, and a budget of releases
/// that nobody uses up by measuring.
fn text(consent: &ConsentStage, url: &str, snapshot: &std::path::Path) -> String {
    let (key, key_id) = consent.keys.service_key();
    format!(
        "[server]\naddress = \"127.0.0.1:0\"\nadmin_address = \"127.0.0.1:0\"\n\
         [auth]\njwks_file = \"{}\"\nservice_key = \"file:{}\"\nservice_key_id = \"{key_id}\"\n\
         [telemetry]\nlog_format = \"json\"\n[store]\nurl = \"{url}\"\n\
         [consent]\nendpoint = \"http://{}\"\n[match_keys]\nsecret = \"{SECRET}\"\n\
         [directory]\nsnapshot = \"{}\"\n[releases]\nper_window = 10000\n",
        consent.keys.jwks_file().display(),
        key.display(),
        consent.service.address,
        snapshot.display(),
    )
}
