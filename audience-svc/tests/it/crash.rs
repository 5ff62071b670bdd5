//! The real binary, killed with SIGKILL in the middle of an upload.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use audience_svc::AudienceService;
use proto::audience::v1::{
    self as wire, UploadMode, audience_service_client::AudienceServiceClient,
    business_service_client::BusinessServiceClient,
};
use service_kit::{
    auth::Caller,
    boot::Service as _,
    clock::Clock,
    test_util::{Postgres, TestKeys},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{service::interceptor::InterceptedService, transport::Channel};

use crate::{
    rows::{batch, external, fresh, opening},
    world::Bearer,
};

/// Batches that are acknowledged before the process is killed.
const BEFORE: u32 = 7;

/// A process, killed when this is dropped.
struct Killed {
    child: Child,
    address: String,
}

impl Killed {
    fn start(keys: &TestKeys, url: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_audience-svc"))
            .env("ASSENT_AUDIENCE__STORE__URL", url)
            .env("ASSENT_AUDIENCE__MATCH_KEYS__SECRET", "s".repeat(32))
            .env("ASSENT_AUDIENCE__CONSENT__ENDPOINT", "http://127.0.0.1:1")
            .env("ASSENT_AUDIENCE__AUTH__JWKS_FILE", keys.jwks_file())
            .env("ASSENT_AUDIENCE__SERVER__ADDRESS", "127.0.0.1:0")
            .env("ASSENT_AUDIENCE__SERVER__ADMIN_ADDRESS", "")
            .env("ASSENT_AUDIENCE__TELEMETRY__LOG_FORMAT", "json")
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = log.find_map(|line| address(&line.unwrap())).expect("it listens");
        // So that the process can go on writing its log.
        std::thread::spawn(move || log.for_each(drop));
        Self { child, address }
    }

    fn kill(&mut self) {
        // SIGKILL: nothing of the process runs after it.
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect_lazy()
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The address in the line of the log that says where gRPC is served.
fn address(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("\"address\":\"")?;
    line.contains("listening").then(|| rest.split('"').next().unwrap_or_default().to_owned())
}

type Shop = AudienceServiceClient<InterceptedService<Channel, Bearer>>;

fn bearer(keys: &TestKeys, caller: &Caller) -> Bearer {
    let token = keys.token_at(caller, Clock::system().now());
    Bearer::new(&token)
}

async fn open_shop(keys: &TestKeys, channel: Channel) -> Shop {
    let admin = bearer(keys, &Caller::named(proto::options::v1::Role::Admin, "ops"));
    let mut admin = BusinessServiceClient::with_interceptor(channel.clone(), admin);
    let put = wire::PutBusinessRequest {
        request_id: fresh("put"),
        business_id: "shop".to_owned(),
        display_name: "Shop".to_owned(),
        owner_id: "shop-ltd".to_owned(),
    };
    admin.put_business(put).await.unwrap();
    shop(keys, channel)
}

fn shop(keys: &TestKeys, channel: Channel) -> Shop {
    let bearer = bearer(keys, &Caller::business("shop", "shop-ltd"));
    AudienceServiceClient::with_interceptor(channel, bearer)
}

fn one(upload: &str, number: u32) -> wire::AppendUploadRequest {
    let rows = (0..50).map(|n| external(&format!("row-{number}-{n}"))).collect();
    batch(upload, number, rows)
}

async fn open_upload(shop: &mut Shop) -> String {
    let create = wire::CreateAudienceRequest {
        request_id: fresh("aud"),
        display_name: "Customers".to_owned(),
        customer_source: wire::CustomerSource::UserProvided.into(),
        ..Default::default()
    };
    let made = shop.create_audience(create).await.unwrap().into_inner().audience.unwrap();
    let opened = shop.create_upload(opening(&made.audience_id, UploadMode::Add)).await.unwrap();
    opened.into_inner().upload.unwrap().upload_id
}

async fn resume_after_kill(url: &str) {
    let keys = TestKeys::new();
    migrate(url).await;
    let mut first = Killed::start(&keys, url);
    let mut shop = open_shop(&keys, first.channel()).await;
    let upload = open_upload(&mut shop).await;

    let (sender, receiver) = mpsc::channel(64);
    for number in 0..64 {
        sender.send(one(&upload, number)).await.unwrap();
    }
    let mut answers = shop.append_upload(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    for number in 0..BEFORE {
        assert_eq!(answers.message().await.unwrap().unwrap().batch_number, number);
    }
    first.kill();

    let second = Killed::start(&keys, url);
    let mut shop = self::shop(&keys, second.channel());
    let get = wire::GetUploadRequest { upload_id: upload.clone() };
    let found = shop.get_upload(get.clone()).await.unwrap().into_inner().upload.unwrap();
    // All that was acknowledged is there; more may be, if its answer was on the way.
    assert!(found.last_batch_number >= Some(BEFORE - 1), "{found:?}");
    assert!(found.missing_batches.is_empty());
    assert_eq!(found.rows_received, u64::from(found.batches_received) * 50);

    let again = (0..64).map(|number| one(&upload, number)).collect();
    assert_eq!(crate::rows::append(&mut shop, again).await.unwrap().len(), 64);
    let found = shop.get_upload(get).await.unwrap().into_inner().upload.unwrap();
    assert_eq!((found.batches_received, found.rows_received), (64, 64 * 50));
    let commit = wire::CommitUploadRequest {
        request_id: fresh("commit"),
        upload_id: upload,
        batch_count: 64,
    };
    let done = shop.commit_upload(commit).await.unwrap().into_inner();
    assert_eq!(done.upload.unwrap().state(), wire::UploadState::Committed);
}

async fn migrate(url: &str) {
    let mut config = audience_svc::AudienceConfig::default();
    config.store.url = service_kit::config::Secret::new(url);
    AudienceService::migrate(&config).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_after_kill_9_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let path: &Path = directory.path();
    resume_after_kill(&format!("sqlite:{}", path.join("store.db").display())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_after_kill_9_on_postgres() {
    let url = tokio::task::spawn_blocking(|| Postgres::shared().database()).await.unwrap();
    resume_after_kill(&url).await;
}
