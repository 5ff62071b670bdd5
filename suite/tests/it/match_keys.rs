//! `assent match-keys`, from one secret to the next and to a third, over real processes.

use std::{
    cell::Cell,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use prost_reflect::prost::Message;
use proto::{
    audience::v1::*,
    consent::v1::*,
    types::v1::{Identifier, IdentifierKind, StorageStatus, identifier::Value as Given},
};
use serde_json::Value;
use service_kit::clock::Clock;
use tonic::transport::Channel;

use crate::{
    cluster::Cluster,
    raw::call_once,
    support::{assent, connect},
};

const PEOPLE: [&str; 6] = ["ann", "bob", "cay", "dan", "eve", "fay"];

/// consent-svc, audience-svc and a gateway, and who calls them.
struct World {
    cluster: Cluster,
    directory: PathBuf,
    consent: String,
    audience: String,
    endpoint: String,
    gateway: Channel,
    requests: Cell<u32>,
}

impl World {
    /// With the first secret.
    async fn start(directory: &Path) -> Self {
        let mut cluster = Cluster::new(directory, "");
        let store = format!("[store]\nurl = \"sqlite:{}/consent.db\"\n", directory.display());
        cluster.migrate("consent-svc", &store);
        let consent = cluster.spawn("consent-svc", &store);
        new_secret(directory, 1);
        let config = audience(directory, &consent, &[1]);
        cluster.migrate("audience-svc", &config);
        let audience = cluster.spawn("audience-svc", &config);
        let upstream =
            |name: &str, url: &str| format!("[upstreams.{name}]\nendpoints = [\"{url}\"]\n");
        let upstreams = [("consent", &consent), ("audience", &audience), ("suggest", &consent)];
        let upstreams = upstreams.map(|(name, url)| upstream(name, url));
        let endpoint = cluster.spawn("gateway", &upstreams.concat());
        let gateway = connect(&endpoint).await;
        let directory = directory.to_owned();
        let requests = Cell::new(0);
        Self { cluster, directory, consent, audience, endpoint, gateway, requests }
    }

    /// audience-svc ends, and starts again with the secrets of these versions, the newest first.
    fn restart_with(&mut self, versions: &[u16]) {
        let gateway = self.cluster.processes.pop().unwrap();
        let mut before = self.cluster.processes.pop().unwrap();
        before.terminate();
        assert!(before.wait().success());
        let config = audience(&self.directory, &self.consent, versions);
        let address = self.audience.strip_prefix("http://").unwrap();
        self.cluster.spawn_at("audience-svc", &config, address);
        self.cluster.processes.push(gateway);
        // It listens before it is ready, and the gateway has to find it again.
        while self.run(&["progress"]).status.code() == Some(6) {}
    }

    fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = assent();
        command.arg("match-keys").args(arguments);
        command.args(["--endpoint", &self.endpoint, "--data"]).arg(&self.directory);
        command
    }

    /// `assent match-keys`.
    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// The exit code, and for each version from new to old its number, state and people.
    fn progress(&self) -> (Option<i32>, Vec<(u64, String, u64)>) {
        let output = self.run(&["progress", "--json"]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let versions = told["versions"].as_array().unwrap().iter().map(|one| {
            let state = one["state"].as_str().unwrap().to_owned();
            (one["version"].as_u64().unwrap(), state, one["people"].as_u64().unwrap())
        });
        (output.status.code(), versions.collect())
    }

    fn token(&self, role: &str, arguments: &[&str]) -> String {
        let mut command = assent();
        command.args(["token", "--role", role, "--data"]).arg(&self.directory).args(arguments);
        String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
    }

    fn request_id(&self) -> String {
        self.requests.set(self.requests.get() + 1);
        format!("r-{}", self.requests.get())
    }

    async fn ask<A: Message + Default>(
        &self,
        token: &str,
        method: &str,
        message: impl Message,
    ) -> A {
        let path = format!("/assent.{method}");
        let answer = call_once(&self.gateway, &path, Some(token), message.encode_to_vec()).await;
        A::decode(answer.unwrap().as_slice()).unwrap()
    }

    /// A policy is published, and everybody agrees to all of it.
    async fn everybody_agrees(&self) {
        let (admin, app) = (self.token("admin", &[]), self.token("app", &[]));
        let now = Clock::system().now();
        let (policy_id, spec) = consent_svc::example_policies().remove(0);
        let spec = PolicySpec { effective_at: Some(now.into()), ..spec };
        let request_id = self.request_id();
        let message = CreatePolicyRequest { request_id, policy_id, spec: Some(spec.clone()) };
        let made: CreatePolicyResponse =
            self.ask(&admin, "consent.v1.PolicyService/CreatePolicy", message).await;
        let policy = made.policy.unwrap();
        let message =
            PublishPolicyRequest { request_id: self.request_id(), policy: policy.r#ref.clone() };
        let _: PublishPolicyResponse =
            self.ask(&admin, "consent.v1.PolicyService/PublishPolicy", message).await;
        for subject in PEOPLE {
            let message = PutSubjectRequest {
                request_id: self.request_id(),
                subject_id: subject.to_owned(),
                jurisdiction: "DE".to_owned(),
                age_band: AgeBand::Adult.into(),
                account_created_at: Some(now.minus(std::time::Duration::from_hours(8_760)).into()),
                apps: vec!["messenger".to_owned(), "social".to_owned()],
            };
            let _: PutSubjectResponse =
                self.ask(&app, "consent.v1.ConsentService/PutSubject", message).await;
            let choosable = spec.purposes.iter();
            let choosable = choosable.filter(|one| one.mechanism() != Mechanism::NoticeOnly);
            let choices = choosable
                .map(|one| Choice { purpose_id: one.purpose_id.clone(), granted: true })
                .collect();
            let message = RecordDecisionRequest {
                request_id: self.request_id(),
                subject_id: subject.to_owned(),
                policy: policy.r#ref.clone(),
                choices,
                evidence: Some(Evidence {
                    method: "dialog".to_owned(),
                    locale: "en".to_owned(),
                    notice_sha256: policy.spec.as_ref().unwrap().notices[0].sha256.clone(),
                    client: "messenger 7.1".to_owned(),
                    decided_at: None,
                }),
                decided_by: String::new(),
            };
            let user = self.token("user", &["--subject", subject]);
            let _: RecordDecisionResponse =
                self.ask(&user, "consent.v1.ConsentService/RecordDecision", message).await;
        }
    }

    /// The app registers people, each with an external id that is their name.
    async fn register(&self, subjects: &[&str]) {
        let registrations = subjects.iter().map(|subject| Registration {
            subject_id: (*subject).to_owned(),
            identifiers: vec![external(subject)],
            default_region: String::new(),
        });
        let message = PutIdentifiersRequest {
            request_id: self.request_id(),
            verified: true,
            registrations: registrations.collect(),
        };
        let app = self.token("app", &[]);
        let answer: PutIdentifiersResponse =
            self.ask(&app, "audience.v1.DirectoryService/PutIdentifiers", message).await;
        assert!(answer.results.iter().all(|one| one.status() == StorageStatus::Stored));
    }

    /// Whom a new list of a new business finds, among everybody.
    async fn found(&self, business_id: &str) -> Vec<&'static str> {
        let admin = self.token("admin", &[]);
        let message = PutBusinessRequest {
            request_id: self.request_id(),
            business_id: business_id.to_owned(),
            display_name: business_id.to_owned(),
            owner_id: business_id.to_owned(),
        };
        let _: PutBusinessResponse =
            self.ask(&admin, "audience.v1.BusinessService/PutBusiness", message).await;
        let business = self.token("business", &["--business", business_id]);
        let message = CreateAudienceRequest {
            request_id: self.request_id(),
            display_name: "Customers".to_owned(),
            customer_source: CustomerSource::UserProvided.into(),
            ..Default::default()
        };
        let made: CreateAudienceResponse =
            self.ask(&business, "audience.v1.AudienceService/CreateAudience", message).await;
        let message = CreateUploadRequest {
            request_id: self.request_id(),
            audience_id: made.audience.unwrap().audience_id,
            mode: UploadMode::Replace.into(),
            may_use_list: true,
            ..Default::default()
        };
        let opened: CreateUploadResponse =
            self.ask(&business, "audience.v1.AudienceService/CreateUpload", message).await;
        let upload_id = opened.upload.unwrap().upload_id;
        let message = AppendUploadRequest {
            request_id: self.request_id(),
            upload_id: upload_id.clone(),
            rows: PEOPLE.map(external).to_vec(),
            ..Default::default()
        };
        let _: AppendUploadResponse =
            self.ask(&business, "audience.v1.AudienceService/AppendUpload", message).await;
        let message =
            CommitUploadRequest { request_id: self.request_id(), upload_id, batch_count: 1 };
        let _: CommitUploadResponse =
            self.ask(&business, "audience.v1.AudienceService/CommitUpload", message).await;
        let mut found = Vec::new();
        for subject in PEOPLE {
            let user = self.token("user", &["--subject", subject]);
            let told: ExplainAudiencesResponse = self
                .ask(
                    &user,
                    "audience.v1.TransparencyService/ExplainAudiences",
                    ExplainAudiencesRequest {},
                )
                .await;
            if told.explanations.iter().any(|one| one.business_id == business_id) {
                found.push(subject);
            }
        }
        found
    }
}

fn external(id: &str) -> Identifier {
    let value = Some(Given::Raw(id.to_owned()));
    Identifier { kind: IdentifierKind::ExternalId.into(), value }
}

/// Has `assent match-keys new-secret` make the secret of a version.
fn new_secret(directory: &Path, version: u16) -> String {
    let output = assent().args(["match-keys", "new-secret"]).output().unwrap();
    assert!(output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("[[match_keys.older]]"), "{told}");
    fs::write(directory.join(format!("match-key-{version}")), &output.stdout).unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The configuration of audience-svc with the secrets of these versions, the newest first.
fn audience(directory: &Path, consent: &str, versions: &[u16]) -> String {
    let at = directory.display();
    let mut config = format!(
        "[store]\nurl = \"sqlite:{at}/audience.db\"\n[consent]\nendpoint = \"{consent}\"\n"
    );
    for (index, version) in versions.iter().enumerate() {
        let table = if index == 0 { "[match_keys]" } else { "[[match_keys.older]]" };
        let secret = format!("secret = \"file:{at}/match-key-{version}\"");
        writeln!(config, "{table}\n{secret}\nversion = {version}").unwrap();
    }
    config
}

fn told(one: (u64, &str, u64)) -> (u64, String, u64) {
    (one.0, one.1.to_owned(), one.2)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_replaced_without_losing_anybody_and_one_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::start(directory.path()).await;
    world.everybody_agrees().await;
    world.register(&PEOPLE).await;
    assert_eq!(world.progress(), (Some(0), vec![told((1, "current", 6))]));
    let secrets = [new_secret(directory.path(), 2), new_secret(directory.path(), 3)];
    assert!(secrets.iter().all(|one| one.trim().len() == 64) && secrets[0] != secrets[1]);

    world.restart_with(&[2, 1]);
    let at = |second, first| vec![told((2, "current", second)), told((1, "older", first))];
    assert_eq!(world.progress(), (Some(7), at(0, 6)));
    world.register(&PEOPLE[..3]).await;
    assert_eq!(world.progress(), (Some(7), at(3, 3)));
    // Lists find those who are keyed under either.
    assert_eq!(world.found("halfway").await, PEOPLE);
    let refused = world.run(&["retire", "1", "--yes"]);
    assert_eq!(refused.status.code(), Some(3));
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("1 of 1 replicas"), "{why}");
    assert_eq!(world.progress().1, at(3, 3));

    let watch = ["progress", "--watch", "--every", "1", "--json"];
    let watch = world.command(&watch).stdout(Stdio::piped()).spawn().unwrap();
    world.register(&PEOPLE[3..]).await;
    let output = tokio::task::spawn_blocking(|| watch.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success());
    let last = String::from_utf8_lossy(&output.stdout).lines().last().unwrap().to_owned();
    assert_eq!(serde_json::from_str::<Value>(&last).unwrap()["done"], true);
    assert_eq!(world.progress(), (Some(0), at(6, 0)));

    world.restart_with(&[2]);
    assert_eq!(world.progress(), (Some(0), vec![told((2, "current", 6))]));
    assert_eq!(world.found("after").await, PEOPLE);
    assert!(world.run(&["retire", "1"]).status.success());

    // The second one is given up: nobody keyed under it is found, and who is registered again is.
    world.restart_with(&[3]);
    world.register(&PEOPLE[..2]).await;
    let left = vec![told((3, "current", 2)), told((2, "unconfigured", 4))];
    assert_eq!(world.progress(), (Some(7), left.clone()));
    assert_eq!(world.found("left").await, PEOPLE[..2]);
    let unsaid = world.run(&["retire", "2"]);
    assert_eq!(unsaid.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&unsaid.stderr).contains("--yes"));
    assert_eq!(world.progress().1, left);
    assert!(world.run(&["retire", "2", "--yes"]).status.success());
    assert_eq!(world.progress(), (Some(0), vec![told((3, "current", 2))]));
    world.register(&PEOPLE).await;
    assert_eq!(world.found("again").await, PEOPLE);
}

#[test]
fn a_suite_that_cannot_be_asked_is_told_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = ["match-keys", "progress", "--endpoint", "http://127.0.0.1:1", "--data"];
    let failed = |token: &str, code| {
        let mut command = assent();
        command.args(nowhere).arg(directory.path()).env("ASSENT_TOKEN", token);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(failed("", 4).contains("--token-file"));
    // Nothing was made there that would look like a suite.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    assert!(failed("sesame", 6).contains("--endpoint"));
}
