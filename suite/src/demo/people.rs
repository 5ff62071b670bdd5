//! What the messenger and its users do: announce, register, ask, decide, wait.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use proto::{
    audience::v1 as audience,
    consent::v1::{
        AgeBand, CheckRequest, CheckResponse, Choice, ConsentRegime, CreatePolicyRequest, Evidence,
        Mechanism, Outcome, Policy, PolicySpec, PublishPolicyRequest, RecordDecisionRequest,
        RecordNoticeServedRequest, consent_service_client::ConsentServiceClient,
        policy_service_client::PolicyServiceClient,
    },
    gateway::v1::{
        RegisterAccountRequest, RegisterAccountResponse,
        account_service_client::AccountServiceClient,
    },
    suggest::v1 as suggest,
    types::v1::{Identifier, IdentifierKind, StorageStatus, identifier::Value},
};
use tonic::{Code, Status};

use super::{
    ADS, DAY, Story,
    parties::Session,
    population::{Person, Plan},
    progress::Progress,
};

/// Calls in flight at once: enough to keep two cores busy.
const CONCURRENCY: usize = 64;
/// How often a call is made before it is given up, and the time between.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_secs(1);
/// Registrations in one message of a stream.
const REGISTRATIONS: usize = 500;

/// The published policy of each jurisdiction in the story.
pub(super) type Policies = BTreeMap<&'static str, Policy>;

/// The operator publishes what people will be asked, one policy for each of the two jurisdictions.
pub(super) async fn announce(story: &Story) -> anyhow::Result<Policies> {
    let mut admin = PolicyServiceClient::new(story.parties.admin()?);
    let mut policies = Policies::new();
    for (policy_id, example) in consent_svc::example_policies() {
        let spec = PolicySpec { effective_at: Some(story.began.into()), ..example };
        let created = admin
            .create_policy(CreatePolicyRequest {
                request_id: story.id(format!("create-{policy_id}")),
                policy_id: policy_id.clone(),
                spec: Some(spec),
            })
            .await
            .with_context(|| format!("creating policy {policy_id}"))?;
        let draft = created.into_inner().policy.unwrap_or_default();
        let published = admin
            .publish_policy(PublishPolicyRequest {
                request_id: story.id(format!("publish-{policy_id}")),
                policy: draft.r#ref,
            })
            .await
            .with_context(|| format!("publishing policy {policy_id}"))?;
        let policy = published.into_inner().policy.unwrap_or_default();
        let opt_in = policy.spec.as_ref().is_some_and(|spec| spec.regime() == ConsentRegime::OptIn);
        policies.insert(if opt_in { "DE" } else { "US" }, policy);
    }
    ensure!(policies.len() == 2, "an opt-in and an opt-out policy, found {}", policies.len());
    Ok(policies)
}

/// The app makes every account known. Nobody has decided yet, so only consent-svc stores anything.
pub(super) async fn register(story: &Story) -> anyhow::Result<()> {
    let app = AccountServiceClient::new(story.parties.app()?);
    for_everyone(story, "registering accounts", |index, person| {
        let mut app = app.clone();
        async move {
            let request = registration(story, person, format!("register-{index}"));
            let answer = app.register_account(request).await?.into_inner();
            ensure!(
                [answer.consent(), answer.audience(), answer.suggest()]
                    == [
                        StorageStatus::Stored,
                        StorageStatus::AwaitingConsent,
                        StorageStatus::AwaitingConsent
                    ],
                "{} has not decided, yet its data went further: {answer:?}",
                person.subject_id
            );
            Ok(())
        }
    })
    .await
}

/// One account, made known.
pub(super) async fn register_one(
    story: &Story,
    person: &Person,
    request: String,
) -> anyhow::Result<RegisterAccountResponse> {
    let mut app = AccountServiceClient::new(story.parties.app()?);
    Ok(app.register_account(registration(story, person, request)).await?.into_inner())
}

fn registration(story: &Story, person: &Person, request: String) -> RegisterAccountRequest {
    RegisterAccountRequest {
        request_id: story.id(request),
        subject_id: person.subject_id.clone(),
        jurisdiction: person.jurisdiction.to_owned(),
        age_band: AgeBand::Adult.into(),
        account_created_at: Some(story.began.minus(DAY * 365).into()),
        apps: vec!["messenger".to_owned(), "social".to_owned()],
        identifiers: identifiers(person),
        default_region: String::new(),
    }
}

fn identifiers(person: &Person) -> Vec<Identifier> {
    let raw = |kind: IdentifierKind, text: &str| Identifier {
        kind: kind.into(),
        value: Some(Value::Raw(text.to_owned())),
    };
    vec![raw(IdentifierKind::Phone, &person.phone), raw(IdentifierKind::Email, &person.email)]
}

/// The app shows everybody the notice of their jurisdiction's policy.
pub(super) async fn serve_notices(story: &Story, policies: &Policies) -> anyhow::Result<()> {
    let app = ConsentServiceClient::new(story.parties.app()?);
    for_everyone(story, "showing the notice", |index, person| {
        let mut app = app.clone();
        async move { serve_notice(story, &mut app, policies, person, index).await }
    })
    .await
}

pub(super) async fn serve_notice(
    story: &Story,
    app: &mut ConsentServiceClient<Session>,
    policies: &Policies,
    person: &Person,
    index: usize,
) -> anyhow::Result<()> {
    let policy = &policies[person.jurisdiction];
    app.record_notice_served(RecordNoticeServedRequest {
        request_id: story.id(format!("notice-{index}")),
        subject_id: person.subject_id.clone(),
        policy: policy.r#ref.clone(),
        notice_sha256: notice_digest(policy),
        served_at: None,
    })
    .await?;
    Ok(())
}

/// Those who answer, answer: some agree, some uncheck the box for ads first, some refuse.
pub(super) async fn decide(story: &Story, policies: &Policies) -> anyhow::Result<()> {
    let app = ConsentServiceClient::new(story.parties.app()?);
    for_everyone(story, "deciding", |index, person| {
        let mut app = app.clone();
        async move {
            if person.plan != Plan::Silent {
                record_decision(story, &mut app, policies, person, index).await?;
            }
            Ok(())
        }
    })
    .await
}

pub(super) async fn record_decision(
    story: &Story,
    app: &mut ConsentServiceClient<Session>,
    policies: &Policies,
    person: &Person,
    index: usize,
) -> anyhow::Result<()> {
    let policy = &policies[person.jurisdiction];
    let spec = policy.spec.clone().unwrap_or_default();
    let asked = spec.purposes.iter().filter(|p| p.mechanism() != Mechanism::NoticeOnly);
    let choices = asked.map(|purpose| Choice {
        purpose_id: purpose.purpose_id.clone(),
        granted: match person.plan {
            Plan::AgreeToAll => true,
            Plan::UncheckAds => purpose.purpose_id != ADS,
            Plan::Refuse | Plan::Silent => false,
        },
    });
    app.record_decision(RecordDecisionRequest {
        request_id: story.id(format!("decide-{index}")),
        subject_id: person.subject_id.clone(),
        policy: policy.r#ref.clone(),
        choices: choices.collect(),
        evidence: Some(Evidence {
            method: "dialog".to_owned(),
            locale: "en".to_owned(),
            notice_sha256: notice_digest(policy),
            client: "messenger 7.1".to_owned(),
            decided_at: None,
        }),
        decided_by: String::new(),
    })
    .await
    .with_context(|| format!("{} decides", person.subject_id))?;
    Ok(())
}

fn notice_digest(policy: &Policy) -> Vec<u8> {
    let notices = policy.spec.as_ref().map(|spec| spec.notices.as_slice()).unwrap_or_default();
    notices.first().map(|notice| notice.sha256.clone()).unwrap_or_default()
}

/// The app sends the identifiers of everybody again, in bulk, now that many have agreed. Answers
/// how many audience-svc and suggest-svc stored: both the same.
pub(super) async fn send_again(story: &Story, round: &str) -> anyhow::Result<usize> {
    let bar = Progress::new("sending identifiers again", story.population.people.len());
    let chunks = || story.population.people.chunks(REGISTRATIONS).enumerate();
    let to_audience: Vec<_> = chunks()
        .map(|(number, people)| audience::PutIdentifiersRequest {
            request_id: story.id(format!("{round}-audience-{number}")),
            verified: true,
            registrations: people
                .iter()
                .map(|person| audience::Registration {
                    subject_id: person.subject_id.clone(),
                    identifiers: identifiers(person),
                    default_region: String::new(),
                })
                .collect(),
        })
        .collect();
    let to_suggest: Vec<_> = chunks()
        .map(|(number, people)| suggest::PutIdentifiersRequest {
            request_id: story.id(format!("{round}-suggest-{number}")),
            verified: true,
            registrations: people
                .iter()
                .map(|person| suggest::Registration {
                    subject_id: person.subject_id.clone(),
                    identifiers: identifiers(person),
                    default_region: String::new(),
                })
                .collect(),
        })
        .collect();
    let mut directory =
        audience::directory_service_client::DirectoryServiceClient::new(story.parties.app()?);
    let mut graph = suggest::graph_service_client::GraphServiceClient::new(story.parties.app()?);
    let mut audience_answers =
        directory.put_identifiers(stream::iter(to_audience)).await?.into_inner();
    let mut stored = 0;
    while let Some(answer) = audience_answers.message().await? {
        bar.advance(answer.results.len() as u64);
        stored += answer.results.iter().filter(|r| r.status() == StorageStatus::Stored).count();
    }
    let mut suggest_answers = graph.put_identifiers(stream::iter(to_suggest)).await?.into_inner();
    let mut stored_by_suggest = 0;
    while let Some(answer) = suggest_answers.message().await? {
        stored_by_suggest +=
            answer.results.iter().filter(|r| r.status() == StorageStatus::Stored).count();
    }
    ensure!(
        stored == stored_by_suggest,
        "audience-svc stored {stored}, suggest-svc {stored_by_suggest}"
    );
    Ok(stored)
}

/// May this be done with this person's data, now?
pub(super) async fn check(
    client: &mut ConsentServiceClient<Session>,
    person: &Person,
    purpose_id: &str,
) -> anyhow::Result<CheckResponse> {
    let request =
        CheckRequest { subject_id: person.subject_id.clone(), purpose_id: purpose_id.to_owned() };
    Ok(client.check(request).await?.into_inner())
}

/// Whether the answer is yes.
pub(super) fn is_granted(answer: &CheckResponse) -> bool {
    answer.outcome() == Outcome::Granted
}

async fn for_everyone<'a, F, Fut>(
    story: &'a Story,
    what: &'static str,
    act: F,
) -> anyhow::Result<()>
where
    F: Fn(usize, &'a Person) -> Fut,
    Fut: Future<Output = anyhow::Result<()>> + 'a,
{
    let bar = Progress::new(what, story.population.people.len());
    let act = &act;
    stream::iter(story.population.people.iter().enumerate().map(|(index, person)| async move {
        for _ in 1..ATTEMPTS {
            match act(index, person).await {
                Err(error) if is_passing(&error) => tokio::time::sleep(PAUSE).await,
                done => return done,
            }
        }
        act(index, person).await
    }))
    .buffer_unordered(CONCURRENCY)
    .try_for_each(|()| {
        bar.advance(1);
        std::future::ready(Ok(()))
    })
    .await
    .with_context(|| what)?;
    Ok(())
}

/// Whether the same request, sent again, may be answered: a machine that is busy with something
/// else keeps a call waiting for longer than it may take.
fn is_passing(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<Status>().map(Status::code);
    matches!(code, Some(Code::DeadlineExceeded | Code::Unavailable))
}
