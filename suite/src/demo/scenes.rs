//! The story, scene by scene. Each scene checks what it shows.

use std::time::Instant;

use anyhow::{Context, ensure};
use proto::{
    audience::v1::UploadMode,
    consent::v1::{DecisionReason, WithdrawRequest, consent_service_client::ConsentServiceClient},
    suggest::v1::SuggestionReason,
    types::v1::StorageStatus,
};

use super::{
    ADS, DAY, FRIEND_SUGGESTIONS, MESSAGES, Story, account,
    business::{self, Uploaded},
    friends, people,
    people::Policies,
    population::{CustomerList, Person, Plan},
    report::Report,
};

/// How much a released size may differ from the true count before the demo calls it wrong.
const TOLERATED: f64 = 0.25;

/// Plays everything in order. `can_wait`: whether the clock may be moved past the time to answer.
pub(super) async fn play(
    story: &Story,
    customers: usize,
    can_wait: bool,
) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let began = Instant::now();
    let policies = people::announce(story).await?;
    report.scene(
        "operator",
        "publishes two policies: opt-in for the EU, opt-out for the US",
        "both in force; nobody is asked twice, nothing is shared yet",
    );
    asking(story, &policies, &mut report).await?;
    if can_wait {
        lapse(story, &mut report).await?;
    }
    let list = story.population.customer_list(customers, story.seed);
    let uploaded = customer_list(story, &list, can_wait, &mut report).await?;
    let newcomer = newcomer(story, &policies, &uploaded, &mut report).await?;
    ad_server(story, &list, &uploaded, &mut report).await?;
    message(story, &mut report).await?;
    contacts(story, &mut report).await?;
    suggestions(story, &mut report).await?;
    account::leave(story, &newcomer, can_wait, &mut report).await?;
    report.figure("whole story", format!("{:.1} s", began.elapsed().as_secs_f64()));
    if let Some(resident) = resident_megabytes().filter(|_| can_wait) {
        report.figure("resident memory, all in one process", format!("{resident} MB"));
    }
    Ok(report)
}

async fn asking(story: &Story, policies: &Policies, report: &mut Report) -> anyhow::Result<()> {
    let people = &story.population.people;
    let began = Instant::now();
    people::register(story).await?;
    report.rate("accounts registered", people.len(), began.elapsed());
    report.scene(
        "messenger",
        format!("registers {} accounts with phone and email", people.len()),
        "stored by consent-svc; audience-svc and suggest-svc await consent and keep nothing",
    );
    let mut app = ConsentServiceClient::new(story.parties.app()?);
    let anybody = find(people, |person| person.plan == Plan::Silent)?;
    let before = people::check(&mut app, anybody, ADS).await?;
    ensure!(!people::is_granted(&before), "granted before anybody was asked: {before:?}");

    let began = Instant::now();
    people::serve_notices(story, policies).await?;
    report.rate("notices recorded", people.len(), began.elapsed());
    let began = Instant::now();
    people::decide(story, policies).await?;
    let count = |plan| people.iter().filter(|person| person.plan == plan).count();
    let decided = people.len() - count(Plan::Silent);
    report.rate("decisions recorded", decided, began.elapsed());
    for (plan, granted) in
        [(Plan::AgreeToAll, true), (Plan::UncheckAds, false), (Plan::Refuse, false)]
    {
        let person = find(people, |person| person.plan == plan)?;
        let answer = people::check(&mut app, person, ADS).await?;
        ensure!(
            people::is_granted(&answer) == granted && answer.reason() == DecisionReason::Explicit
                || answer.reason() == DecisionReason::PrerequisiteDenied && !granted,
            "{plan:?}: {answer:?}"
        );
    }
    let stored = people::send_again(story, "decided").await?;
    let agreed = count(Plan::AgreeToAll) + count(Plan::UncheckAds);
    ensure!(stored == agreed, "{agreed} agreed to the transfer, {stored} were stored");
    report.scene(
        "people",
        format!(
            "{} agree to all, {} uncheck ads, {} refuse, {} do not answer",
            count(Plan::AgreeToAll),
            count(Plan::UncheckAds),
            count(Plan::Refuse),
            count(Plan::Silent)
        ),
        format!("the data of {stored} moved, and of nobody else"),
    );
    Ok(())
}

/// Thirty-one days pass.
async fn lapse(story: &Story, report: &mut Report) -> anyhow::Result<()> {
    let people = &story.population.people;
    let mut app = ConsentServiceClient::new(story.parties.app()?);
    let silent = |jurisdiction| {
        find(people, move |p| p.plan == Plan::Silent && p.jurisdiction == jurisdiction)
    };
    for jurisdiction in ["DE", "US"] {
        let answer = people::check(&mut app, silent(jurisdiction)?, ADS).await?;
        let pending = [DecisionReason::WindowPending, DecisionReason::PrerequisiteDenied];
        ensure!(!people::is_granted(&answer) && pending.contains(&answer.reason()), "{answer:?}");
    }
    story.parties.clock.advance(DAY * 31);
    let mut app = ConsentServiceClient::new(story.parties.app()?);
    let denied = people::check(&mut app, silent("DE")?, ADS).await?;
    ensure!(!people::is_granted(&denied), "silence became a yes where it must not: {denied:?}");
    let granted = people::check(&mut app, silent("US")?, ADS).await?;
    ensure!(people::is_granted(&granted), "the policy says that silence is a yes: {granted:?}");
    ensure!(granted.reason() == DecisionReason::DefaultAfterLapse, "{granted:?}");
    let stored = people::send_again(story, "lapsed").await?;
    let expected = people.iter().filter(|person| person.ends_up_granting_transfer()).count();
    ensure!(stored == expected, "{expected} are to be found now, {stored} were stored");
    report.scene(
        "people",
        "31 days pass; some never answered",
        format!("silence is a no in Germany and a yes in the US: {stored} can now be found"),
    );
    Ok(())
}

async fn customer_list(
    story: &Story,
    list: &CustomerList,
    lapsed: bool,
    report: &mut Report,
) -> anyhow::Result<Uploaded> {
    let audience = business::open_account(story).await?;
    let directory = tempfile::tempdir()?;
    let csv = directory.path().join("customers.csv");
    business::write_csv(
        &csv,
        list.rows.iter().map(|row| (row.email.as_str(), row.phone.as_str())),
    )?;
    let began = Instant::now();
    let uploaded =
        business::upload(story, &audience.audience_id, &csv, UploadMode::Replace, "list").await?;
    report.rate("customer rows uploaded", list.rows.len(), began.elapsed());
    if uploaded.resumed > 0 {
        report.figure("upload resumed after a cut", format!("{} times", uploaded.resumed));
    }
    let upload = &uploaded.upload;
    let counts = (upload.rows_received, upload.rows_invalid, upload.rows_duplicate);
    let expected = (list.rows.len() as u64, list.malformed, list.duplicate);
    ensure!(counts == expected, "received, invalid, duplicate: {counts:?}, not {expected:?}");

    let people = &story.population.people;
    let agreed = |person: &Person| {
        if lapsed { person.ends_up_granting_ads() } else { person.plan == Plan::AgreeToAll }
    };
    let matched = list.customers.iter().filter(|index| agreed(&people[**index])).count();
    let size = uploaded.audience.size.context("a commit draws a release")?;
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    let (low, high, truth) = (size.lower_bound as f64, size.upper_bound as f64, matched as f64);
    ensure!(
        low * (1.0 - TOLERATED) <= truth && truth <= high * (1.0 + TOLERATED),
        "{matched} customers agreed to ads, the business is told {size:?}"
    );
    report.scene(
        "business",
        format!("uploads a CSV of {} customers", list.rows.len()),
        format!(
            "{} invalid, {} duplicate; size: {}; never who",
            upload.rows_invalid,
            upload.rows_duplicate,
            business::size(&uploaded.audience)?
        ),
    );
    Ok(uploaded)
}

/// Somebody registers, is on a list before agreeing, and agrees.
async fn newcomer(
    story: &Story,
    policies: &Policies,
    uploaded: &Uploaded,
    report: &mut Report,
) -> anyhow::Result<Person> {
    let index = story.population.people.len();
    let person = Person {
        subject_id: format!("newcomer-{}", story.seed),
        phone: "+442079460018".to_owned(),
        email: format!("newcomer.{}@example.com", story.seed),
        jurisdiction: "DE",
        plan: Plan::AgreeToAll,
    };
    let first = people::register_one(story, &person, "newcomer-first".to_owned()).await?;
    ensure!(first.audience() == StorageStatus::AwaitingConsent, "{first:?}");
    let directory = tempfile::tempdir()?;
    let csv = directory.path().join("newcomer.csv");
    business::write_csv(&csv, [(person.email.as_str(), "")])?;
    let audience_id = &uploaded.audience.audience_id;
    business::upload(story, audience_id, &csv, UploadMode::Add, "before").await?;
    let before = business::audiences_of(story, &person).await?;
    ensure!(before.is_empty(), "on a list without having agreed: {before:?}");

    let mut app = ConsentServiceClient::new(story.parties.app()?);
    people::serve_notice(story, &mut app, policies, &person, index).await?;
    people::record_decision(story, &mut app, policies, &person, index).await?;
    let again = people::register_one(story, &person, "newcomer-again".to_owned()).await?;
    ensure!(again.audience() == StorageStatus::Stored, "{again:?}");
    business::upload(story, audience_id, &csv, UploadMode::Add, "after").await?;
    let after = business::audiences_of(story, &person).await?;
    ensure!(after == [audience_id.clone()], "agreed and listed, but {after:?}");
    report.scene(
        "newcomer",
        "is on a list before agreeing; then agrees and is listed again",
        "not matched before, matched from then on",
    );
    Ok(person)
}

async fn ad_server(
    story: &Story,
    list: &CustomerList,
    uploaded: &Uploaded,
    report: &mut Report,
) -> anyhow::Result<()> {
    let people = &story.population.people;
    let audience_id = &uploaded.audience.audience_id;
    let customer = |plan| {
        let found = list.customers.iter().map(|index| &people[*index]).find(|p| p.plan == plan);
        found.with_context(|| format!("no customer would {plan:?}"))
    };
    let agreed = customer(Plan::AgreeToAll)?;
    let shown = business::audiences_of(story, agreed).await?;
    ensure!(shown == [audience_id.clone()], "{} agreed: {shown:?}", agreed.subject_id);
    for plan in [Plan::UncheckAds, Plan::Refuse] {
        let none = business::audiences_of(story, customer(plan)?).await?;
        ensure!(none.is_empty(), "{plan:?}: {none:?}");
    }
    report.scene(
        "ad server",
        "asks for three of these customers",
        "one audience for who agreed, none for who unchecked ads, none for who refused",
    );

    let mut user = ConsentServiceClient::new(story.parties.user(&agreed.subject_id)?);
    user.withdraw(WithdrawRequest {
        request_id: story.id("withdraw"),
        subject_id: agreed.subject_id.clone(),
        purpose_ids: vec![ADS.to_owned()],
    })
    .await?;
    let next = business::audiences_of(story, agreed).await?;
    ensure!(next.is_empty(), "the very next answer after a withdrawal: {next:?}");
    let answer = people::check(&mut user, agreed, ADS).await?;
    ensure!(answer.reason() == DecisionReason::Withdrawn, "{answer:?}");
    report.scene("that customer", "withdraws consent to ads", "the very next answer: no audience");
    Ok(())
}

async fn message(story: &Story, report: &mut Report) -> anyhow::Result<()> {
    let people = &story.population.people;
    let mut app = ConsentServiceClient::new(story.parties.app()?);
    let agreed = find(people, |person| person.plan == Plan::AgreeToAll)?;
    let yes = people::check(&mut app, agreed, MESSAGES).await?;
    ensure!(people::is_granted(&yes), "{yes:?}");
    let silent = find(people, |p| p.plan == Plan::Silent && p.jurisdiction == "US")?;
    let no = people::check(&mut app, silent, MESSAGES).await?;
    ensure!(!people::is_granted(&no), "messages from businesses need a yes: {no:?}");
    report.scene(
        "business",
        "would message two people; the messenger asks Check first",
        "delivered to who agreed; never to who did not answer, in the US either",
    );
    Ok(())
}

async fn contacts(story: &Story, report: &mut Report) -> anyhow::Result<()> {
    let people = &story.population.people;
    let half = people.len() / 2;
    let agreed = |from: usize| find(&people[from..], |person| person.plan == Plan::AgreeToAll);
    // Nobody in between knows both: only their address books can bring them together.
    let (one, other) = (agreed(half / 2)?, agreed(half)?);
    let mine = [other.phone.as_str(), "+4915199999999"];
    let theirs = [one.phone.as_str()];
    let answer = friends::sync_contacts(story, one, &mine, "sync-one").await?;
    ensure!(answer.accepted == 2, "{answer:?}");
    let sees = |suggestions: &[proto::suggest::v1::Suggestion], person: &Person| {
        suggestions.iter().any(|s| s.subject_id == person.subject_id)
    };
    ensure!(
        !sees(&friends::suggestions(story, other).await?, one),
        "{} learns that {} has their number",
        other.subject_id,
        one.subject_id
    );
    friends::sync_contacts(story, other, &theirs, "sync-other").await?;
    let suggestions = friends::suggestions(story, one).await?;
    let found = suggestions.iter().find(|s| s.subject_id == other.subject_id);
    let found = found.context("two people who have each other's number are suggested")?;
    ensure!(found.reason() == SuggestionReason::ReciprocalContact, "{found:?}");
    report.scene(
        "two people",
        "send their address books, one after the other",
        "nothing while only one has the other's number; then each other",
    );
    Ok(())
}

async fn suggestions(story: &Story, report: &mut Report) -> anyhow::Result<()> {
    let people = &story.population.people;
    let began = Instant::now();
    let connected = friends::connect(story).await?;
    report.rate("connections sent", connected.sent, began.elapsed());
    let by_mutual =
        |s: &&proto::suggest::v1::Suggestion| s.reason() == SuggestionReason::MutualConnections;
    let mut shown = None;
    for viewer in people.iter().filter(|person| person.plan == Plan::AgreeToAll).take(500) {
        let suggestions = friends::suggestions(story, viewer).await?;
        if let Some(suggestion) = suggestions.iter().find(by_mutual) {
            shown = Some((viewer, suggestions.len(), suggestion.subject_id.clone()));
            break;
        }
    }
    let (viewer, count, candidate) = shown.context("nobody is suggested to anybody")?;
    report.scene(
        "messenger",
        format!("sends {} connections", connected.sent),
        format!("{} stored: those of whom both agreed", connected.stored),
    );
    let mut user = ConsentServiceClient::new(story.parties.user(&candidate)?);
    user.withdraw(WithdrawRequest {
        request_id: story.id(format!("withdraw-suggestions-{candidate}")),
        subject_id: candidate.clone(),
        purpose_ids: vec![FRIEND_SUGGESTIONS.to_owned()],
    })
    .await?;
    let next = friends::suggestions(story, viewer).await?;
    ensure!(next.iter().all(|s| s.subject_id != candidate), "still suggested after withdrawing");
    report.scene(
        "a person",
        format!("is suggested {count} people; one of those withdraws"),
        "gone from the very next list",
    );
    Ok(())
}

fn find(people: &[Person], is: impl Fn(&Person) -> bool) -> anyhow::Result<&Person> {
    people.iter().find(|person| is(person)).context("the population is large enough for everybody")
}

/// What this process keeps in memory, where the system tells.
fn resident_megabytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
    Some(kilobytes / 1024)
}
