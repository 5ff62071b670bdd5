//! What suggest-svc keeps of a person ends with their consent, without anybody telling it but
//! consent-svc.

use std::time::Duration;

use prost_reflect::prost::Message;
use proto::{consent::v1::*, suggest::v1 as suggest, types::v1 as types};
use service_kit::clock::Clock;

use crate::{
    raw::call_once,
    support::{Suite, connect},
};

const PERSON: &str = "example-person";

struct World(Suite);

impl World {
    async fn ask<A: Message + Default>(&self, role: &str, path: &str, message: impl Message) -> A {
        let service =
            if path.starts_with("assent.suggest") { "suggest-svc" } else { "consent-svc" };
        let channel = connect(self.0.service(service)).await;
        let (path, token) = (format!("/{path}"), Some(self.0.token(role)));
        let answer = call_once(&channel, &path, token, message.encode_to_vec()).await;
        A::decode(answer.unwrap().as_slice()).unwrap()
    }

    /// The person agrees to sharing and is registered; what is exported of them then.
    async fn registered(&self) -> suggest::ExportSubjectDataResponse {
        let now = Clock::system().now();
        let (policy_id, spec) = consent_svc::example_policies().remove(0);
        let policy = Some(PolicyRef { policy_id: policy_id.clone(), version: 1 });
        let published = PolicySpec { effective_at: Some(now.into()), ..spec.clone() };
        let message = CreatePolicyRequest {
            request_id: "create".to_owned(),
            policy_id,
            spec: Some(published),
        };
        let made: CreatePolicyResponse =
            self.ask("ADMIN", "assent.consent.v1.PolicyService/CreatePolicy", message).await;
        let sha256 = made.policy.unwrap().spec.unwrap().notices[0].sha256.clone();
        let message =
            PublishPolicyRequest { request_id: "publish".to_owned(), policy: policy.clone() };
        let _: PublishPolicyResponse =
            self.ask("ADMIN", "assent.consent.v1.PolicyService/PublishPolicy", message).await;
        let message = PutSubjectRequest {
            request_id: "put".to_owned(),
            subject_id: PERSON.to_owned(),
            jurisdiction: "DE".to_owned(),
            age_band: AgeBand::Adult as i32,
            account_created_at: Some(now.minus(Duration::from_hours(8_760)).into()),
            apps: vec!["messenger".to_owned(), "social".to_owned()],
        };
        let _: PutSubjectResponse =
            self.ask("APP", "assent.consent.v1.ConsentService/PutSubject", message).await;
        let choosable = spec.purposes.iter().filter(|one| one.mechanism() != Mechanism::NoticeOnly);
        let choices = choosable
            .map(|purpose| Choice { purpose_id: purpose.purpose_id.clone(), granted: true });
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
            self.ask("USER", "assent.consent.v1.ConsentService/RecordDecision", message).await;
        let value = Some(types::identifier::Value::Raw("someone@example.org".to_owned()));
        let kind = types::IdentifierKind::Email.into();
        let message = suggest::PutIdentifiersRequest {
            request_id: "register".to_owned(),
            verified: true,
            registrations: vec![suggest::Registration {
                subject_id: PERSON.to_owned(),
                identifiers: vec![types::Identifier { kind, value }],
                default_region: String::new(),
            }],
        };
        let path = "assent.suggest.v1.GraphService/PutIdentifiers";
        let stored: suggest::PutIdentifiersResponse = self.ask("APP", path, message).await;
        assert_eq!(stored.results[0].status(), types::StorageStatus::Stored);
        self.exported().await
    }

    async fn exported(&self) -> suggest::ExportSubjectDataResponse {
        let message = suggest::ExportSubjectDataRequest { subject_id: PERSON.to_owned() };
        self.ask("SERVICE", "assent.suggest.v1.GraphService/ExportSubjectData", message).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn suggest_svc_keeps_nothing_of_who_withdraws() {
    let data = tempfile::tempdir().unwrap();
    let world = World(Suite::start(data.path()));
    let exported = world.registered().await;
    assert_eq!(exported.records[0].category, "suggest.consent");
    let told = exported.records[0].fields.iter().map(|field| field.value.as_str());
    assert!(told.eq(["granted"; 3]), "{exported:?}");
    let message = WithdrawRequest {
        request_id: "withdraw".to_owned(),
        subject_id: PERSON.to_owned(),
        purpose_ids: vec!["messenger.share_phone".to_owned()],
    };
    let _: WithdrawResponse =
        world.ask("USER", "assent.consent.v1.ConsentService/Withdraw", message).await;
    let gone = async {
        while !world.exported().await.records.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), gone).await.unwrap();
}
