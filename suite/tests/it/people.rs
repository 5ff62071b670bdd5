//! People who have agreed to everything, and are found by a digest.

use std::time::SystemTime;

use futures::{StreamExt, TryStreamExt, stream};
use prost_types::Timestamp;
use proto::{
    audience::v1::{
        PutIdentifiersRequest, Registration, directory_service_client::DirectoryServiceClient,
    },
    consent::v1::{
        AgeBand, Choice, CreatePolicyRequest, Evidence, Mechanism, Policy, PublishPolicyRequest,
        PutSubjectRequest, RecordDecisionRequest, consent_service_client::ConsentServiceClient,
        policy_service_client::PolicyServiceClient,
    },
    types::v1::{Identifier, IdentifierKind, StorageStatus, identifier::Value},
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::interceptor::InterceptedService,
    transport::Channel,
};

use crate::support::{Suite, connect};

/// Calls in flight at once.
const CONCURRENCY: usize = 32;

/// A connection on which every call carries a token.
pub(crate) type Session = InterceptedService<Channel, Bearer>;

#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

pub(crate) async fn session(suite: &Suite, role: &str) -> Session {
    let bearer = format!("Bearer {}", suite.token(role)).parse().unwrap();
    InterceptedService::new(connect(suite.gateway()).await, Bearer(bearer))
}

pub(crate) fn subject_id(person: u32) -> String {
    format!("listed-person-{person}")
}

/// Makes people known, has them agree to everything, and registers each by a digest of an email
/// address.
pub(crate) async fn register(suite: &Suite, people: u32, digest: impl Fn(u32) -> [u8; 32]) {
    let policy = &publish(suite).await;
    let app = ConsentServiceClient::new(session(suite, "APP").await);
    let everybody = (0..people).map(|person| {
        let app = app.clone();
        async move { agree(app, policy, person).await.unwrap() }
    });
    stream::iter(everybody).buffer_unordered(CONCURRENCY).collect::<Vec<()>>().await;
    let registration = |person| Registration {
        subject_id: subject_id(person),
        identifiers: vec![Identifier {
            kind: IdentifierKind::Email.into(),
            value: Some(Value::Sha256(digest(person).to_vec())),
        }],
        default_region: String::new(),
    };
    let messages = (0..people).step_by(1_000).map(|first| PutIdentifiersRequest {
        request_id: format!("register-{first}"),
        verified: true,
        registrations: (first..people.min(first + 1_000)).map(registration).collect(),
    });
    let mut directory = DirectoryServiceClient::new(session(suite, "APP").await);
    let answers = directory
        .put_identifiers(stream::iter(messages.collect::<Vec<_>>()))
        .await
        .unwrap()
        .into_inner();
    let answers: Vec<_> = answers.try_collect().await.unwrap();
    let results = answers.iter().flat_map(|answer| &answer.results);
    let stored = results.filter(|result| result.status() == StorageStatus::Stored).count();
    assert_eq!(stored, people as usize);
}

/// The example of a policy that covers everybody here.
async fn publish(suite: &Suite) -> Policy {
    let mut admin = PolicyServiceClient::new(session(suite, "ADMIN").await);
    let (policy_id, mut spec) = consent_svc::example_policies().swap_remove(0);
    spec.effective_at = Some(SystemTime::now().into());
    let request_id = "create".to_owned();
    let create = CreatePolicyRequest { request_id, policy_id, spec: Some(spec) };
    let draft = admin.create_policy(create).await.unwrap().into_inner().policy.unwrap();
    let publish = PublishPolicyRequest { request_id: "publish".to_owned(), policy: draft.r#ref };
    admin.publish_policy(publish).await.unwrap().into_inner().policy.unwrap()
}

async fn agree(
    mut app: ConsentServiceClient<Session>,
    policy: &Policy,
    person: u32,
) -> Result<(), Status> {
    let subject_id = subject_id(person);
    app.put_subject(PutSubjectRequest {
        request_id: format!("put-{person}"),
        subject_id: subject_id.clone(),
        jurisdiction: "DE".to_owned(),
        age_band: AgeBand::Adult.into(),
        account_created_at: Some(Timestamp { seconds: 1, nanos: 0 }),
        apps: vec!["social".to_owned()],
    })
    .await?;
    let spec = policy.spec.as_ref().unwrap();
    let asked = spec.purposes.iter().filter(|one| one.mechanism() != Mechanism::NoticeOnly);
    let choice = |purpose_id: &String| Choice { purpose_id: purpose_id.clone(), granted: true };
    app.record_decision(RecordDecisionRequest {
        request_id: format!("decide-{person}"),
        subject_id,
        policy: policy.r#ref.clone(),
        choices: asked.map(|purpose| choice(&purpose.purpose_id)).collect(),
        evidence: Some(Evidence {
            method: "dialog".to_owned(),
            locale: "en".to_owned(),
            notice_sha256: spec.notices[0].sha256.clone(),
            ..Default::default()
        }),
        decided_by: String::new(),
    })
    .await?;
    Ok(())
}
