//! Every method does what it is asked, with canaries wherever an identifier is accepted.

use std::{collections::BTreeSet, time::SystemTime};

use prost_reflect::{DynamicMessage, prost::Message};
use prost_types::Timestamp;
use proto::{contract::pool, options::v1::Role};
use serde_json::{Value, json};
use service_kit::auth::Caller;

use super::{
    calls::Client,
    needles::{Canary, INVALID, KNOWN, REGION, STRANGERS, base64},
    rows::{descriptions, ways},
};

/// Publishes the examples of policies; the first is asked in Germany.
pub(crate) async fn publish_examples(client: &Client, admin: &Caller) -> Vec<Value> {
    let mut published = Vec::new();
    for (policy_id, spec) in consent_svc::example_policies() {
        let spec_type = pool().get_message_by_name("assent.consent.v1.PolicySpec").unwrap();
        let spec = DynamicMessage::decode(spec_type, spec.encode_to_vec().as_slice()).unwrap();
        let mut spec = serde_json::to_value(spec).unwrap();
        spec["effectiveAt"] = Timestamp::from(SystemTime::now()).to_string().into();
        let create = json!({"policy_id": policy_id, "spec": spec});
        let draft = client.ask("PolicyService/CreatePolicy", admin, create).await;
        let policy = json!({"policy": draft["policy"]["ref"]});
        let answer = client.ask("PolicyService/PublishPolicy", admin, policy).await;
        published.push(answer["policy"].clone());
    }
    published
}

const ACCOUNT: &str = "2020-01-01T00:00:00Z";

/// The parties.
pub(super) struct Story<'a> {
    client: &'a Client,
    app: Caller,
    admin: Caller,
    business: Caller,
    ann: Caller,
    bob: Caller,
}

impl<'a> Story<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        // Named by who issues tokens, who may know them by nothing else.
        Self {
            client,
            app: Caller::named(Role::App, "+442079460958"),
            admin: Caller::named(Role::Admin, "canary-fremd@example.org"),
            business: Caller {
                name: "Zwei.Canary@GoogleMail.com".into(),
                ..Caller::business("canary-shop", "canary-ltd")
            },
            ann: Caller::user("ann"),
            bob: Caller::user("bob"),
        }
    }

    pub(super) async fn play(&self) {
        let policy = self.policies().await;
        self.register("first").await;
        self.consents(&policy).await;
        self.register("again").await;
        self.directories().await;
        self.audiences().await;
        self.usage().await;
        self.contacts().await;
        self.farewell().await;
    }

    async fn ask(&self, method: &str, caller: &Caller, request: Value) -> Value {
        self.client.ask(method, caller, request).await
    }

    /// Publishes the examples, and retires the one that covers nobody here.
    async fn policies(&self) -> Value {
        let mut published = publish_examples(self.client, &self.admin).await;
        let retire = json!({"policy": published[1]["ref"]});
        self.ask("PolicyService/RetirePolicy", &self.admin, retire.clone()).await;
        self.ask("PolicyService/GetPolicy", &self.ann, retire).await;
        self.ask("PolicyService/ListPolicies", &self.ann, json!({})).await;
        published.swap_remove(0)
    }

    /// Registers both, with what is known of them and with what nobody could be known by.
    async fn register(&self, round: &str) {
        let identifiers = [ways(&KNOWN[..1]), ways(&INVALID)].concat();
        for (person, identifiers) in [("ann", identifiers), ("bob", ways(&KNOWN[3..4]))] {
            let account = json!({
                "request_id": format!("{round}-{person}"), "subject_id": person,
                "jurisdiction": REGION, "age_band": "AGE_BAND_ADULT", "apps": ["messenger", "social"],
                "account_created_at": ACCOUNT, "default_region": REGION, "identifiers": identifiers,
            });
            let answer = self.ask("AccountService/RegisterAccount", &self.app, account).await;
            let stored = answer["audience"] == "STORAGE_STATUS_STORED";
            assert_eq!(stored, round == "again", "{answer}");
        }
    }

    async fn consents(&self, policy: &Value) {
        let notice = &policy["spec"]["notices"][0]["sha256"];
        let purposes = policy["spec"]["purposes"].as_array().unwrap().iter();
        let choices: Vec<_> = purposes
            .filter(|purpose| purpose["mechanism"] != "MECHANISM_NOTICE_ONLY")
            .map(|purpose| json!({"purpose_id": purpose["purposeId"], "granted": true}))
            .collect();
        let put = |person: &str, age: &str| {
            json!({"subject_id": person, "jurisdiction": REGION, "age_band": age,
                   "account_created_at": ACCOUNT, "apps": ["messenger", "social"]})
        };
        for (person, age) in [("cleo", "ADULT"), ("dora", "ADULT"), ("emil", "UNDER_AGE")] {
            let put = put(person, &format!("AGE_BAND_{age}"));
            self.ask("ConsentService/PutSubject", &self.app, put).await;
        }
        let two = json!({"subject_ids": ["cleo", "dora"]});
        self.ask("ConsentService/LinkSubjects", &self.app, two.clone()).await;
        self.ask("ConsentService/UnlinkSubjects", &self.app, two).await;
        let guardian = json!({"subject_id": "emil", "guardian_subject_id": "ann"});
        self.ask("ConsentService/SetGuardian", &self.app, guardian).await;
        let mut event = Value::Null;
        for user in [&self.ann, &self.bob, &Caller::user("cleo")] {
            let person = user.subject.as_deref().unwrap();
            let served =
                json!({"subject_id": person, "policy": policy["ref"], "notice_sha256": notice});
            self.ask("ConsentService/RecordNoticeServed", user, served).await;
            let decision = json!({
                "subject_id": person, "policy": policy["ref"], "choices": choices,
                "evidence": {"method": "dialog", "locale": "en", "notice_sha256": notice},
            });
            event =
                self.ask("ConsentService/RecordDecision", user, decision).await["eventId"].clone();
        }
        let cleo = &Caller::user("cleo");
        let receipt = json!({"subject_id": "cleo", "event_id": event});
        self.ask("ConsentService/GetReceipt", cleo, receipt).await;
        self.ask("ConsentService/GetReceiptKeys", cleo, json!({})).await;
        let objects = json!({"subject_id": "cleo", "objects": true});
        self.ask("ConsentService/SetObjectionSignal", cleo, objects).await;
        let withdraw = json!({"subject_id": "cleo", "purpose_ids": ["social.ads"]});
        self.ask("ConsentService/Withdraw", cleo, withdraw).await;
        for method in ["GetConsent", "ListEvents", "ExportSubject"] {
            let of_cleo = json!({"subject_id": "cleo"});
            self.ask(&format!("ConsentService/{method}"), cleo, of_cleo).await;
        }
        let check = json!({"subject_id": "ann", "purpose_id": "social.ads"});
        let answer = self.ask("ConsentService/Check", &self.ann, check).await;
        assert_eq!(answer["outcome"], "OUTCOME_GRANTED", "{answer}");
        let batch = json!({"subject_ids": ["ann", "cleo"], "purpose_id": "social.ads"});
        self.ask("ConsentService/BatchCheck", &self.app, batch).await;
        self.ask("ConsentService/WatchChanges", &self.app, json!({})).await;
    }

    /// audience-svc and suggest-svc are told everything that is known of both.
    async fn directories(&self) {
        let registration = |person: &str, canaries: &[Canary]| {
            // At most 32 of a person at once.
            let parts = ways(canaries);
            let parts = parts.chunks(32).map(<[Value]>::to_vec).map(|identifiers| {
                let registration = json!({"subject_id": person, "default_region": REGION,
                                          "identifiers": identifiers});
                json!({"verified": true, "registrations": [registration]})
            });
            parts.collect::<Vec<_>>()
        };
        let messages = [
            registration("ann", &[]),
            registration("bob", &KNOWN[2..]),
            registration("ann", &INVALID),
        ]
        .concat();
        for service in ["DirectoryService", "GraphService"] {
            let method = format!("{service}/PutIdentifiers");
            self.client.stream(&method, &self.app, messages.clone()).await;
            for last in [registration("ann", &KNOWN[..1]), registration("bob", &KNOWN[3..4])] {
                let answers = self.client.stream(&method, &self.app, last).await;
                let status = &answers.last().unwrap()["results"][0]["status"];
                assert_eq!(status, "STORAGE_STATUS_STORED", "{method}: {answers:?}");
            }
        }
    }

    async fn audiences(&self) {
        self.ask("DirectoryService/ListMatchKeyVersions", &self.admin, json!({})).await;
        let unknown = json!({"version": 60_000});
        self.ask("DirectoryService/RetireMatchKeyVersion", &self.admin, unknown).await;
        let shop =
            json!({"business_id": "canary-shop", "display_name": "Shop", "owner_id": "canary-ltd"});
        self.ask("BusinessService/PutBusiness", &self.admin, shop).await;
        let shop = json!({"business_id": "canary-shop"});
        self.ask("BusinessService/GetBusiness", &self.admin, shop).await;
        let mut audience = Value::Null;
        for description in descriptions() {
            let create = json!({"display_name": "Canaries", "customer_source": 1,
                                "description": description});
            let made = self.ask("AudienceService/CreateAudience", &self.business, create).await;
            audience = made["audience"]["audienceId"].clone();
        }
        let which = json!({"audience_id": audience});
        let rename = json!({"audience_id": audience, "display_name": "Birds"});
        self.ask("AudienceService/UpdateAudience", &self.business, rename).await;
        self.upload(&audience, "UPLOAD_MODE_ADD", true).await;
        self.upload(&audience, "UPLOAD_MODE_REPLACE", true).await;
        self.upload(&audience, "UPLOAD_MODE_REMOVE", false).await;
        self.ask("AudienceService/GetAudience", &self.business, which.clone()).await;
        self.ask("AudienceService/ListAudiences", &self.business, json!({"page_size": 2})).await;
        let expression = json!({"expression": {"include": [which]}});
        self.ask("AudienceService/EstimateReach", &self.business, expression).await;
        let ad_server = Caller::named(Role::AdServer, "12015550163");
        let check = json!({"subject_id": "ann", "audience_ids": [audience]});
        self.ask("TargetingService/CheckMembership", &ad_server, check).await;
        let list = json!({"subject_id": "bob"});
        self.ask("TargetingService/ListSubjectAudiences", &ad_server, list).await;
        let lists = self.ask("TransparencyService/ExplainAudiences", &self.ann, json!({})).await;
        assert_eq!(lists["explanations"][0]["businessId"], "canary-shop", "{lists}");
        let leave = json!({"business_id": "canary-shop"});
        self.ask("TransparencyService/LeaveBusiness", &self.bob, leave).await;
        self.ask("AudienceService/DeleteAudience", &self.business, which).await;
    }

    /// An upload with every canary in it; `true`: it is committed.
    async fn upload(&self, audience: &Value, mode: &str, commit: bool) {
        let create = json!({"audience_id": audience, "mode": mode, "default_region": REGION,
                            "may_use_list": true});
        let opened = self.ask("AudienceService/CreateUpload", &self.business, create).await;
        let upload = json!({"upload_id": opened["upload"]["uploadId"]});
        let canaries = KNOWN.iter().chain(&STRANGERS).chain(&INVALID);
        let mut batches = vec![json!({"batch_number": 0, "rows": ways(canaries)})];
        for canary in KNOWN.iter().chain(&STRANGERS) {
            let packed = base64(&canary.digests().concat());
            batches.push(json!({"batch_number": batches.len(), "packed_kind": canary.kind.tag(),
                                "packed_sha256": packed}));
        }
        let count = batches.len();
        for batch in &mut batches {
            batch["upload_id"] = upload["upload_id"].clone();
        }
        self.client.stream("AudienceService/AppendUpload", &self.business, batches).await;
        self.ask("AudienceService/GetUpload", &self.business, upload.clone()).await;
        if commit {
            let commit = json!({"upload_id": upload["upload_id"], "batch_count": count});
            self.ask("AudienceService/CommitUpload", &self.business, commit).await;
        } else {
            self.ask("AudienceService/AbortUpload", &self.business, upload).await;
        }
    }

    async fn usage(&self) {
        let today = Timestamp::from(SystemTime::now()).to_string()[..10].to_owned();
        let activity = json!({"app_id": "social", "day": today, "subject_ids": ["ann", "bob"]});
        self.ask("UsageService/RecordActivity", &self.app, activity).await;
        let days = json!({"first_day": today, "last_day": today});
        self.ask("UsageService/GetUsage", &self.admin, days).await;
    }

    async fn contacts(&self) {
        for user in [&self.ann, &self.bob] {
            let settings = json!({"settings": {"discoverability": "DISCOVERABILITY_EVERYONE"}});
            self.ask("ContactService/UpdateContactSettings", user, settings).await;
            self.ask("ContactService/GetContactSettings", user, json!({})).await;
            let canaries = KNOWN.iter().chain(&STRANGERS).chain(&INVALID);
            let full = json!({"mode": "SYNC_MODE_FULL", "added": ways(canaries),
                              "default_region": REGION});
            let answer = self.ask("ContactService/SyncContacts", user, full).await;
            let delta = json!({"mode": "SYNC_MODE_DELTA", "sync_token": answer["syncToken"],
                               "added": ways(&KNOWN[2..3]), "removed": ways(&STRANGERS)});
            self.ask("ContactService/SyncContacts", user, delta).await;
        }
        let friends = json!({"connections": [{"subject_id": "ann", "other_subject_id": "bob"}]});
        let app = &self.app;
        self.ask("GraphService/PutConnections", app, friends.clone()).await;
        self.ask("GraphService/RemoveConnections", app, friends).await;
        let shown = self.ask("SuggestionService/ListSuggestions", &self.ann, json!({})).await;
        let shown = &shown["suggestions"][0];
        assert_eq!(shown["subjectId"], "bob", "{shown}");
        let which = json!({"suggestion_id": shown["suggestionId"]});
        let ann = &self.ann;
        let why = self.ask("SuggestionService/ExplainSuggestion", ann, which.clone()).await;
        assert_eq!(why["reason"], shown["reason"], "{why}");
        self.ask("SuggestionService/DismissSuggestion", ann, which).await;
        let blocked = json!({"blocked_subject_id": "bob"});
        self.ask("SuggestionService/BlockSubject", &self.ann, blocked.clone()).await;
        self.ask("SuggestionService/ListBlocked", &self.ann, json!({})).await;
        self.ask("SuggestionService/UnblockSubject", &self.ann, blocked).await;
        let spam = json!({"reported_subject_id": "bob"});
        self.ask("SpamService/ReportSpam", &self.ann, spam).await;
        self.ask("SpamService/GetSpamRisk", app, json!({"subject_id": "bob"})).await;
        self.ask("ContactService/DeleteContacts", &self.bob, json!({})).await;
    }

    async fn farewell(&self) {
        let dora = json!({"subject_id": "dora"});
        self.ask("ConsentService/EraseSubject", &self.app, dora.clone()).await;
        self.ask("ConsentService/GetErasure", &self.app, dora).await;
        for user in [&self.ann, &self.bob] {
            let export = json!({"subject_id": user.subject.as_deref().unwrap()});
            let parts =
                self.client.stream("AccountService/ExportAccount", user, vec![export]).await;
            let services: BTreeSet<_> =
                parts.iter().map(|part| part["service"].as_str().unwrap()).collect();
            assert!(services.into_iter().eq(["audience-svc", "consent-svc", "suggest-svc"]));
        }
        let cleo = json!({"subject_id": "cleo"});
        for method in ["EraseAccount", "GetErasure"] {
            self.ask(&format!("AccountService/{method}"), &self.app, cleo.clone()).await;
        }
    }
}
