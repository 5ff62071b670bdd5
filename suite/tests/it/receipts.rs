//! `assent consent verify` on receipts that a suite gave, as a person keeps them.

use std::path::{Path, PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};
use prost_reflect::prost::Message;
use proto::consent::v1::*;
use serde_json::{Value, json};
use service_kit::clock::Clock;
use tonic::transport::Channel;

use crate::{
    raw::call_once,
    support::{Suite, assent, connect},
};

const PERSON: &str = "example-person";

/// A suite, and what it is asked.
struct World {
    suite: Suite,
    gateway: Channel,
}

impl World {
    async fn start(data: &Path) -> Self {
        let suite = Suite::start(data);
        let gateway = connect(suite.gateway()).await;
        Self { suite, gateway }
    }

    async fn ask<A: Message + Default>(
        &self,
        role: &str,
        method: &str,
        message: impl Message,
    ) -> A {
        let path = format!("/assent.consent.v1.{method}");
        let token = Some(self.suite.token(role));
        let answer = call_once(&self.gateway, &path, token, message.encode_to_vec()).await;
        A::decode(answer.unwrap().as_slice()).unwrap()
    }

    /// A person becomes known, agrees to sharing and ads, and withdraws the ads.
    async fn a_life(&self) {
        let now = Clock::system().now();
        let (policy_id, spec) = consent_svc::example_policies().remove(0);
        let sha256 = {
            let spec = PolicySpec { effective_at: Some(now.into()), ..spec.clone() };
            let request_id = "create".to_owned();
            let message = CreatePolicyRequest { request_id, policy_id, spec: Some(spec) };
            let made: CreatePolicyResponse =
                self.ask("ADMIN", "PolicyService/CreatePolicy", message).await;
            made.policy.unwrap().spec.unwrap().notices[0].sha256.clone()
        };
        let policy = Some(PolicyRef { policy_id: "phone-sharing-opt-in".to_owned(), version: 1 });
        let message =
            PublishPolicyRequest { request_id: "publish".to_owned(), policy: policy.clone() };
        let _: PublishPolicyResponse =
            self.ask("ADMIN", "PolicyService/PublishPolicy", message).await;
        let message = PutSubjectRequest {
            request_id: "put".to_owned(),
            subject_id: PERSON.to_owned(),
            jurisdiction: "DE".to_owned(),
            age_band: AgeBand::Adult as i32,
            account_created_at: Some(now.minus(std::time::Duration::from_hours(8_760)).into()),
            apps: vec!["messenger".to_owned(), "social".to_owned()],
        };
        let _: PutSubjectResponse = self.ask("APP", "ConsentService/PutSubject", message).await;
        let choosable = spec.purposes.iter();
        let choosable = choosable.filter(|one| one.mechanism() != Mechanism::NoticeOnly);
        let choices = choosable.map(|purpose| Choice {
            purpose_id: purpose.purpose_id.clone(),
            granted: ["messenger.share_phone", "social.ads"].contains(&purpose.purpose_id.as_str()),
        });
        let message = RecordDecisionRequest {
            request_id: "decide".to_owned(),
            subject_id: PERSON.to_owned(),
            policy,
            choices: choices.collect(),
            evidence: Some(Evidence {
                method: "dialog".to_owned(),
                locale: "en".to_owned(),
                notice_sha256: sha256,
                client: "messenger 7.1".to_owned(),
                decided_at: None,
            }),
            decided_by: String::new(),
        };
        let _: RecordDecisionResponse =
            self.ask("USER", "ConsentService/RecordDecision", message).await;
        let message = WithdrawRequest {
            request_id: "withdraw".to_owned(),
            subject_id: PERSON.to_owned(),
            purpose_ids: vec!["social.ads".to_owned()],
        };
        let _: WithdrawResponse = self.ask("USER", "ConsentService/Withdraw", message).await;
    }

    /// The receipts of all events, as grpcurl prints them.
    async fn receipts(&self) -> Vec<Value> {
        let message = ListEventsRequest { subject_id: PERSON.to_owned(), ..Default::default() };
        let listed: ListEventsResponse =
            self.ask("USER", "ConsentService/ListEvents", message).await;
        let mut receipts = Vec::new();
        for Event { event_id, .. } in listed.events {
            let message = GetReceiptRequest { subject_id: PERSON.to_owned(), event_id };
            let given: GetReceiptResponse =
                self.ask("USER", "ConsentService/GetReceipt", message).await;
            receipts.push(json!({
                "record": BASE64_STANDARD.encode(given.record),
                "signature": BASE64_STANDARD.encode(given.signature),
                "keyId": given.key_id,
            }));
        }
        receipts
    }

    /// The keys, in the other spelling.
    async fn keys(&self) -> Value {
        let message = GetReceiptKeysRequest {};
        let given: GetReceiptKeysResponse =
            self.ask("USER", "ConsentService/GetReceiptKeys", message).await;
        let key = |key: &ReceiptKey| {
            json!({
                "key_id": key.key_id,
                "public_key": BASE64_STANDARD.encode(&key.public_key),
                "not_before": key.not_before.unwrap().to_string(),
            })
        };
        json!({ "keys": given.keys.iter().map(key).collect::<Vec<_>>() })
    }
}

fn write(directory: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let file = directory.join(name);
    std::fs::write(&file, content).unwrap();
    file
}

/// Whether it succeeded, and what it printed: for people, or for machines, and to standard error.
fn verify(arguments: &[&str], files: &[PathBuf]) -> (bool, String, String) {
    let output = assent().args(["consent", "verify"]).args(arguments).args(files).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_verified_offline_and_no_changed_byte_is() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut world = World::start(&data).await;
    world.a_life().await;
    let receipts = world.receipts().await;
    let keys = write(directory.path(), "keys.json", world.keys().await.to_string());
    let mut files = Vec::new();
    for (receipt, number) in receipts.iter().zip(1..) {
        let text = serde_json::to_string_pretty(receipt).unwrap();
        files.push(write(directory.path(), &format!("receipt-{number}.json"), text));
    }
    assert_eq!(files.len(), 3);
    world.suite.process.terminate();
    assert!(world.suite.process.wait().success());

    // Offline: by the keys, and by the key that the suite keeps.
    let keys = keys.to_str().unwrap();
    let (genuine, told, _) = verify(&["--keys", keys], &files);
    assert!(genuine, "{told}");
    for said in [
        "who         example-person",
        "yes to      Share my phone number with Social (messenger.share_phone)",
        "no to       Messages from businesses (social.messages_from_businesses)",
        "no longer   Ads (social.ads)",
        "through     dialog, messenger 7.1",
        "The receipts of example-person, events 1 to 3, follow one another.",
    ] {
        assert!(told.contains(said), "{said}:\n{told}");
    }
    let kept = ["--data", data.to_str().unwrap()];
    assert!(verify(&kept, &files).0);
    assert!(!verify(&["--data", "/nonexistent"], &files).0);

    // A suite that was started again still has the key.
    let again = World::start(&data).await;
    assert_eq!(again.keys().await.to_string(), std::fs::read_to_string(keys).unwrap());
    drop(again);

    // One is missing.
    let (genuine, told, why) = verify(&["--keys", keys], &[files[2].clone(), files[0].clone()]);
    assert!(!genuine);
    assert!(told.contains("chain: of example-person, what is between event 1 and 3 is missing"));
    assert!(why.contains("do not follow one another"), "{why}");

    // Too large, not there, not JSON: each said, and the others checked all the same.
    let large = write(directory.path(), "large.json", vec![b' '; (1 << 20) + 1]);
    let text = write(directory.path(), "text.json", "receipt");
    let absent = directory.path().join("absent.json");
    let (genuine, told, why) = verify(&["--keys", keys], &[large, text, absent, files[0].clone()]);
    assert!(!genuine && why.contains("3 of 4 receipts do not verify"), "{why}");
    assert_eq!(told.matches("NOT TO BE TRUSTED\n  file: ").count(), 3, "{told}");
    assert_eq!(told.matches("genuine").count(), 1, "{told}");

    every_changed_byte_is_found(directory.path(), keys, &receipts[2]);
}

/// Of the smallest receipt, each byte with a bit changed in turn.
fn every_changed_byte_is_found(directory: &Path, keys: &str, receipt: &Value) {
    let receipt = receipt.to_string().into_bytes();
    let flipped = (0..receipt.len()).map(|place| {
        let mut changed = receipt.clone();
        changed[place] ^= 1 << (place % 8);
        write(directory, &format!("flipped-{place}"), changed)
    });
    let mut files: Vec<PathBuf> = flipped.collect();
    files.push(write(directory, "unflipped", &receipt));
    let mut checked = 0;
    for some in files.chunks(1_000) {
        let (_, told, why) = verify(&["--json", "--keys", keys], some);
        let told: Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("{why}"));
        for found in told["receipts"].as_array().unwrap() {
            let failures = found["failures"].as_array().unwrap();
            let changed = !found["file"].as_str().unwrap().ends_with("unflipped");
            assert_eq!(found["genuine"], !changed, "{found}");
            assert_eq!(failures.is_empty(), !changed, "{found}");
            checked += 1;
        }
    }
    assert_eq!(checked, receipt.len() + 1);
}
