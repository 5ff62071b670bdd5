//! A person's account, from registering to being gone: what each service holds is exported, and
//! erased everywhere, by real processes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, SystemTime},
};

use prost_types::Timestamp;
use proto::options::v1::Role;
use serde_json::{Value, json};
use service_kit::{
    auth::{Caller, Issuer},
    test_util::Postgres,
};
use tonic::{Code, metadata::MetadataMap};

use crate::{
    canary::{
        calls::{Client, method},
        story::publish_examples,
    },
    cluster::Cluster,
};

/// How long what happens by itself may take: some of it happens every second.
const PATIENCE: Duration = Duration::from_secs(30);

/// All four services, which forget what has changed within seconds: erasures are acknowledged then.
fn start(directory: &Path) -> Cluster {
    let mut cluster = Cluster::new(directory, "");
    let mut serve = |name, besides: &str| {
        let database = Postgres::shared().database();
        let config = format!("{besides}\n[store]\nurl = \"{database}\"\nmax_connections = 8\n");
        cluster.migrate(name, &config);
        cluster.spawn(name, &config)
    };
    let consent = serve("consent-svc", "");
    let asking = |secret: &str| {
        let secret = secret.repeat(32);
        format!("[consent]\nendpoint = \"{consent}\"\n[match_keys]\nsecret = \"{secret}\"\n")
    };
    let quick = "housekeeping_interval = \"100ms\"\n[directory]\nchange_retention = \"1s\"\n";
    let audience = serve("audience-svc", &format!("{quick}{}", asking("a")));
    let quick = "[changes]\nkeep = \"1s\"\n";
    let suggest = serve("suggest-svc", &format!("{quick}{}", asking("s")));
    let upstreams = [("consent", consent), ("audience", audience), ("suggest", suggest)]
        .map(|(name, address)| format!("[upstreams.{name}]\nendpoints = [\"{address}\"]\n"));
    cluster.spawn("gateway", &upstreams.concat());
    cluster
}

struct World {
    client: Client,
    app: Caller,
    ann: Caller,
    bob: Caller,
    business: Caller,
}

impl World {
    async fn at(gateway: &str, directory: &Path) -> Self {
        let issuer = Issuer::development(&directory.join("development-key.pem")).unwrap();
        Self {
            client: Client::new(gateway, issuer, MetadataMap::new()).await,
            app: Caller::named(Role::App, "messenger"),
            ann: Caller::user("ann"),
            bob: Caller::user("bob"),
            business: Caller::business("shop", "shop-ltd"),
        }
    }

    async fn ask(&self, method: &str, caller: &Caller, request: Value) -> Value {
        self.client.ask(method, caller, request).await
    }

    async fn register(&self, person: &str) -> Value {
        let account = json!({
            "subject_id": person, "jurisdiction": "DE", "age_band": "AGE_BAND_ADULT",
            "apps": ["messenger", "social"], "account_created_at": "2020-01-01T00:00:00Z",
            "identifiers": [email(person)],
        });
        self.ask("AccountService/RegisterAccount", &self.app, account).await
    }

    /// Agrees to everything that the policy asks.
    async fn agree(&self, person: &Caller, policy: &Value) {
        let purposes = policy["spec"]["purposes"].as_array().unwrap().iter();
        let choices: Vec<_> = purposes
            .filter(|purpose| purpose["mechanism"] != "MECHANISM_NOTICE_ONLY")
            .map(|purpose| json!({"purpose_id": purpose["purposeId"], "granted": true}))
            .collect();
        let decision = json!({
            "subject_id": person.subject.as_deref().unwrap(), "policy": policy["ref"],
            "choices": choices,
            "evidence": {"method": "dialog", "locale": "en",
                         "notice_sha256": policy["spec"]["notices"][0]["sha256"]},
        });
        self.ask("ConsentService/RecordDecision", person, decision).await;
    }

    /// A business's list with both in it.
    async fn list(&self) {
        let admin = Caller::named(Role::Admin, "operator");
        let shop = json!({"business_id": "shop", "display_name": "Shop", "owner_id": "shop-ltd"});
        self.ask("BusinessService/PutBusiness", &admin, shop).await;
        let create = json!({"display_name": "Customers", "customer_source": 1});
        let made = self.ask("AudienceService/CreateAudience", &self.business, create).await;
        let create = json!({"audience_id": made["audience"]["audienceId"],
                            "mode": "UPLOAD_MODE_REPLACE", "may_use_list": true});
        let opened = self.ask("AudienceService/CreateUpload", &self.business, create).await;
        let upload = &opened["upload"]["uploadId"];
        let batch = json!({"upload_id": upload, "batch_number": 0,
                           "rows": [email("ann"), email("bob")]});
        self.ask("AudienceService/AppendUpload", &self.business, batch).await;
        let commit = json!({"upload_id": upload, "batch_count": 1});
        self.ask("AudienceService/CommitUpload", &self.business, commit).await;
        let today = Timestamp::from(SystemTime::now()).to_string()[..10].to_owned();
        let activity = json!({"app_id": "social", "day": today, "subject_ids": ["ann", "bob"]});
        self.ask("UsageService/RecordActivity", &self.app, activity).await;
    }

    /// Each has the other's address, and they are connected.
    async fn contacts(&self) {
        for (user, other) in [(&self.ann, "bob"), (&self.bob, "ann")] {
            let sync = json!({"mode": "SYNC_MODE_FULL", "added": [email(other)]});
            self.ask("ContactService/SyncContacts", user, sync).await;
        }
        let pair = json!({"connections": [{"subject_id": "ann", "other_subject_id": "bob"}]});
        self.ask("GraphService/PutConnections", &self.app, pair).await;
    }

    /// The export of an account, as it comes.
    async fn export(&self, caller: &Caller) -> Vec<Value> {
        let which = json!({"subject_id": caller.subject.as_deref().unwrap()});
        self.client.stream("AccountService/ExportAccount", caller, vec![which]).await
    }

    /// What kinds of records each service has of a person.
    async fn held(&self, person: &Caller) -> BTreeMap<String, BTreeSet<String>> {
        let mut held = BTreeMap::<_, BTreeSet<_>>::new();
        for part in self.export(person).await {
            let categories = held.entry(part["service"].as_str().unwrap().to_owned()).or_default();
            for record in part["records"].as_array().unwrap() {
                categories.insert(record["category"].as_str().unwrap().to_owned());
            }
        }
        held
    }

    async fn check(&self) -> Value {
        let check = json!({"subject_id": "ann", "purpose_id": "social.ads"});
        self.ask("ConsentService/Check", &self.app, check).await
    }

    /// The code with which a call of the method about ann is refused.
    async fn refused(&self, name: &str, caller: &Caller, request: Value) -> Code {
        let method = method(name);
        let input = crate::table::request_type(method);
        let message = prost_reflect::DynamicMessage::deserialize(input, request).unwrap();
        let bytes = prost_reflect::prost::Message::encode_to_vec(&message);
        let token = self.client.token(caller);
        self.client.send(&method.path, Some(&token), vec![bytes]).await.unwrap_err().code()
    }
}

fn email(person: &str) -> Value {
    json!({"kind": "IDENTIFIER_KIND_EMAIL", "raw": format!("{person}@example.com")})
}

fn kinds(held: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
    let owned = |kinds: &[&str]| kinds.iter().map(|&kind| kind.to_owned()).collect();
    held.iter().map(|(service, kinds)| ((*service).to_owned(), owned(kinds))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_exported_whole_and_erased_everywhere() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = start(directory.path());
    let world = World::at(cluster.gateway(), directory.path()).await;
    let admin = Caller::named(Role::Admin, "operator");
    let policy = publish_examples(&world.client, &admin).await.swap_remove(0);
    for person in [&world.ann, &world.bob] {
        let name = person.subject.as_deref().unwrap();
        world.register(name).await;
        world.agree(person, &policy).await;
        let registered = world.register(name).await;
        for service in ["audience", "suggest"] {
            assert_eq!(registered[service], "STORAGE_STATUS_STORED", "{registered}");
        }
    }
    world.list().await;
    world.contacts().await;
    let everything = kinds(&[
        ("consent-svc", &["consent.subject_put", "consent.decision_recorded"]),
        ("audience-svc", &["audience.registration", "audience.membership", "audience.activity"]),
        (
            "suggest-svc",
            &[
                "suggest.consent",
                "suggest.registration",
                "suggest.contacts",
                "suggest.uploaded",
                "suggest.contact_quota",
                "suggest.connection",
            ],
        ),
    ]);
    assert_eq!(world.held(&world.ann).await, everything);
    let of_ann = json!({"subject_id": "ann"});
    let refused = world.refused("AccountService/ExportAccount", &world.bob, of_ann.clone()).await;
    assert_eq!(refused, Code::PermissionDenied);
    let erase = json!({"request_id": "goodbye", "subject_id": "ann"});
    let refused = world.refused("AccountService/EraseAccount", &world.bob, erase.clone()).await;
    assert_eq!(refused, Code::PermissionDenied);
    assert_eq!(world.check().await["outcome"], "OUTCOME_GRANTED");

    let begun = world.ask("AccountService/EraseAccount", &world.ann, erase.clone()).await;
    let denied = world.check().await;
    assert_eq!(denied["outcome"], "OUTCOME_DENIED", "{denied}");
    assert_eq!(denied["reason"], "DECISION_REASON_ERASED", "{denied}");
    let followers = |erasure: &Value| {
        let followers = erasure["erasure"]["followers"].as_array().unwrap().clone();
        followers.iter().map(|one| one["follower"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(followers(&begun), ["audience-svc", "suggest-svc"]);

    let acknowledged = async {
        loop {
            let erasure = world.ask("AccountService/GetErasure", &world.ann, of_ann.clone()).await;
            if erasure["erasure"]["complete"] == true {
                return erasure;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let complete = tokio::time::timeout(PATIENCE, acknowledged).await.unwrap();
    for follower in complete["erasure"]["followers"].as_array().unwrap() {
        assert!(follower["acknowledgedAt"].is_string(), "{complete}");
    }
    // Nothing is left but that there was an account: events without content.
    let left = world.export(&world.ann).await;
    for part in &left {
        assert_eq!(part["service"], "consent-svc", "{part}");
        for record in part["records"].as_array().unwrap() {
            assert_eq!(record["category"], "consent.erased");
            let names = record["fields"].as_array().unwrap().iter().map(|field| &field["name"]);
            assert!(names.eq(["event_id", "subject_id", "occurred_at"]), "{record}");
        }
    }
    // Nor anywhere in what is left of others; who keep what is theirs.
    let bob = world.export(&world.bob).await;
    assert!(!serde_json::to_string(&bob).unwrap().contains("\"ann\""), "{bob:?}");
    let mut without_ann = everything;
    without_ann.get_mut("suggest-svc").unwrap().remove("suggest.connection");
    assert_eq!(world.held(&world.bob).await, without_ann);
    // Sent again it changes nothing, and the id is never anybody's again.
    assert_eq!(world.ask("AccountService/EraseAccount", &world.ann, erase).await, complete);
    let again = json!({
        "request_id": "again", "subject_id": "ann", "jurisdiction": "DE",
        "age_band": "AGE_BAND_ADULT", "account_created_at": "2020-01-01T00:00:00Z",
    });
    let refused = world.refused("AccountService/RegisterAccount", &world.app, again).await;
    assert_eq!(refused, Code::FailedPrecondition);
}
