//! A person asks what is held about them, has the account erased, and is gone everywhere.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use proto::{
    consent::v1::{DecisionReason, Erasure, consent_service_client::ConsentServiceClient},
    gateway::v1::{
        EraseAccountRequest, ExportAccountRequest, ExportAccountResponse, GetErasureRequest,
        account_service_client::AccountServiceClient,
    },
};

use super::{
    ADS, FRIEND_SUGGESTIONS, Story, business, friends,
    parties::Session,
    people,
    population::{Person, Plan},
    report::Report,
};

/// How long the services may take, in real time, to do what they do by themselves.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(100);
/// How far the demo's clock is moved at a time while the services' logs of changes, which they keep
/// for minutes and hours, run out.
const STEP: Duration = Duration::from_mins(10);

/// All that services hold about the person is exported, and erased. `can_wait`: whether the clock
/// may be moved.
pub(super) async fn leave(
    story: &Story,
    person: &Person,
    can_wait: bool,
    report: &mut Report,
) -> anyhow::Result<()> {
    let friend = friend(story).await?;
    friends::sync_contacts(story, friend, &[&person.phone], "sync-friend").await?;
    friends::sync_contacts(story, person, &[&friend.phone], "sync-newcomer").await?;
    ensure!(
        is_suggested(story, friend, person).await?,
        "they have each other's number, and are not suggested"
    );
    ensure!(!business::audiences_of(story, person).await?.is_empty(), "agreed, and is on no list");

    let export = export(story, person).await?;
    let services: BTreeSet<_> = export.iter().map(|part| part.service.as_str()).collect();
    ensure!(services.len() == 3, "only {services:?} hold something");
    let told = format!("{export:?}");
    ensure!(![&person.phone, &person.email].iter().any(|one| told.contains(*one)), "{told}");
    report.scene(
        "newcomer",
        "asks for a copy of everything",
        "choices, lists and contacts, as each of the three services holds them",
    );

    let mut user = account(story, person)?;
    let erase = EraseAccountRequest {
        request_id: story.id("erase"),
        subject_id: person.subject_id.clone(),
    };
    user.erase_account(erase).await.context("erasing an account")?;
    let mut app = ConsentServiceClient::new(story.parties.app()?);
    let answer = people::check(&mut app, person, ADS).await?;
    ensure!(answer.reason() == DecisionReason::Erased, "the very next check: {answer:?}");
    let listed = business::audiences_of(story, person).await?;
    ensure!(listed.is_empty(), "erased, and still in {listed:?}");
    ensure!(!is_suggested(story, friend, person).await?, "erased, and still suggested");
    until_nothing_is_held(story, person).await?;
    let erasure = until_acknowledged(story, person, can_wait).await?;
    ensure!(erasure.followers.len() == 2, "{erasure:?}");
    let rest = if can_wait {
        "two hours later both services have acknowledged that no log names them"
    } else {
        "within two hours both services acknowledge that no log names them"
    };
    report.scene(
        "newcomer",
        "has the account erased",
        format!(
            "denied, in no audience and suggested to nobody at once; nothing to export; {rest}"
        ),
    );
    Ok(())
}

/// Somebody to whom others are suggested.
async fn friend(story: &Story) -> anyhow::Result<&Person> {
    let mut app = ConsentServiceClient::new(story.parties.app()?);
    for person in story.population.people.iter().filter(|one| one.plan == Plan::AgreeToAll) {
        if people::is_granted(&people::check(&mut app, person, FRIEND_SUGGESTIONS).await?) {
            return Ok(person);
        }
    }
    anyhow::bail!("nobody agrees to friend suggestions")
}

async fn is_suggested(story: &Story, viewer: &Person, person: &Person) -> anyhow::Result<bool> {
    let shown = friends::suggestions(story, viewer).await?;
    Ok(shown.iter().any(|suggestion| suggestion.subject_id == person.subject_id))
}

/// What the person is told of what each service holds.
async fn export(story: &Story, person: &Person) -> anyhow::Result<Vec<ExportAccountResponse>> {
    let request = ExportAccountRequest { subject_id: person.subject_id.clone() };
    let mut parts = account(story, person)?.export_account(request).await?.into_inner();
    let mut export = Vec::new();
    while let Some(part) = parts.message().await.context("an export broke off")? {
        export.push(part);
    }
    Ok(export)
}

/// Waits until the followers have erased what they had, and all that is left is that there was an
/// account: events without content.
async fn until_nothing_is_held(story: &Story, person: &Person) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let export = export(story, person).await?;
        let mut left = export.iter().flat_map(|part| &part.records);
        if left.all(|record| record.category == "consent.erased") {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "erased, and still held: {export:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Moves the clock until both followers have acknowledged the erasure, if it may be moved.
async fn until_acknowledged(
    story: &Story,
    person: &Person,
    can_wait: bool,
) -> anyhow::Result<Erasure> {
    let began = Instant::now();
    loop {
        let request = GetErasureRequest { subject_id: person.subject_id.clone() };
        let answer = account(story, person)?.get_erasure(request).await?.into_inner();
        let erasure = answer.erasure.context("an erasure that was begun is known")?;
        if erasure.complete || !can_wait {
            return Ok(erasure);
        }
        ensure!(began.elapsed() < PATIENCE, "not acknowledged: {erasure:?}");
        story.parties.clock.advance(STEP);
        tokio::time::sleep(PAUSE).await;
    }
}

/// The person's own calls. For one moment of the demo's clock, which outlasts tokens.
fn account(story: &Story, person: &Person) -> anyhow::Result<AccountServiceClient<Session>> {
    Ok(AccountServiceClient::new(story.parties.user(&person.subject_id)?))
}
