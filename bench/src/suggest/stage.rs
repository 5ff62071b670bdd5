//! A suggest-svc under measurement, with a consent-svc beside it, both on PostgreSQL.

use std::{fs, time::Instant};

use futures::stream;
use proto::{
    options::v1::Role,
    suggest::v1::{Connection, PutConnectionsRequest, graph_service_client::GraphServiceClient},
};
use service_kit::auth::Caller;
use tempfile::TempDir;
use tokio::task::block_in_place;
use tonic::{Request, transport::Channel};

use crate::{
    Result,
    consent::stage::{Stage as ConsentStage, id},
    svc::{Program, Service, request_id},
};

/// Connections of one message: the most.
const BATCH: usize = 10_000;

/// The service, and everything that it needs.
pub(super) struct Stage {
    pub(super) consent: ConsentStage,
    pub(super) service: Service,
    _directory: TempDir,
}

impl Stage {
    /// With so many people who agreed to everything, all of whose answers consent-svc has in its
    /// cache.
    pub(super) async fn new(people: usize) -> Result<Self> {
        let mut consent = ConsentStage::redis(1).await?;
        let directory = tempfile::tempdir()?;
        let url = {
            let engines = consent.engines()?;
            block_in_place(|| engines.postgres.database())
        };
        let config = directory.path().join("suggest.toml");
        let snapshot = directory.path().join("graph");
        fs::write(&config, text(&consent, &url, &snapshot))?;
        let program = Program::this("serve-suggest")?;
        let log = directory.path().join("log");
        let service = block_in_place(|| {
            program.migrate(&config)?;
            let service = Service::start(&program, &config, Some(&log))?;
            service.wait_until_ready().map(|()| service)
        })?;
        let begun = Instant::now();
        consent.seed(people).await?;
        consent.fill_all().await?;
        eprintln!("{people} people agreed in {:.0?}", begun.elapsed());
        Ok(Self { consent, service, _directory: directory })
    }

    /// A connection to the service.
    pub(super) async fn channel(&self) -> Result<Channel> {
        let address = self.service.address;
        Ok(Channel::from_shared(format!("http://{address}"))?.connect().await?)
    }

    /// A call of the app.
    pub(super) fn call<T>(&self, message: T) -> Result<Request<T>> {
        let mut request = Request::new(message);
        let app = Caller::named(Role::App, "bench");
        let token = format!("Bearer {}", self.consent.keys.token(&app)).parse()?;
        request.metadata_mut().insert("authorization", token);
        Ok(request)
    }

    /// Puts connections over one stream; returns when all are acknowledged.
    pub(super) async fn connect(&self, pairs: &[(usize, usize)]) -> Result<()> {
        let message = |pairs: &[(usize, usize)]| PutConnectionsRequest {
            request_id: request_id("connect"),
            connections: pairs
                .iter()
                .map(|(one, other)| Connection {
                    subject_id: id(*one),
                    other_subject_id: id(*other),
                    connected_at: None,
                })
                .collect(),
        };
        let messages: Vec<_> = pairs.chunks(BATCH).map(message).collect();
        let mut client = GraphServiceClient::new(self.channel().await?);
        let answers = client.put_connections(self.call(stream::iter(messages))?).await?;
        let (mut answers, mut stored) = (answers.into_inner(), 0);
        while let Some(answer) = answers.message().await? {
            stored += answer.stored as usize;
        }
        let all = pairs.len();
        if stored == all { Ok(()) } else { Err(format!("{stored} of {all} are stored").into()) }
    }
}

/// The configuration: as shipped, but for what has no default, and a snapshot.
fn text(consent: &ConsentStage, url: &str, snapshot: &std::path::Path) -> String {
    let (key, key_id) = consent.keys.service_key();
    format!(
        "[server]\naddress = \"127.0.0.1:0\"\nadmin_address = \"127.0.0.1:0\"\n\
         [auth]\njwks_file = \"{}\"\nservice_key = \"file:{}\"\nservice_key_id = \"{key_id}\"\n\
         [telemetry]\nlog_format = \"json\"\n[store]\nurl = \"{url}\"\n\
         [consent]\nendpoint = \"http://{}\"\n\
         [match_keys]\nsecret = \"a secret for measurements, 32 bytes at least\"\n\
         [graph]\nsnapshot = \"{}\"\n",
        consent.keys.jwks_file().display(),
        key.display(),
        consent.service.address,
        snapshot.display(),
    )
}
