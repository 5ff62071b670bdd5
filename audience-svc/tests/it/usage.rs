use std::time::Duration;

use proto::{
    audience::v1::{ActiveDays, DailyUsage, GetUsageRequest, RecordActivityRequest},
    errors::v1::Reason,
    options::v1::Role,
};
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::{
    consent::{ADS, Consents, TRANSFER, USAGE},
    rows::{fresh, reason},
    world::{Callers, Engine, World},
};

/// Runs each test on both stores, without noise.
macro_rules! counted_on_both_stores {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::noiseless(crate::world::Engine::Sqlite).await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::noiseless(crate::world::Engine::Postgres).await).await;
            })*
        }
    };
}

counted_on_both_stores!(
    only_those_who_agreed_are_counted,
    of_whom_nobody_agreed_nothing_is_written,
    whoever_withdraws_is_removed_within_a_second_and_counts_no_more,
    whoever_comes_back_is_somebody_new,
    whoever_is_erased_is_removed_before_that_is_acknowledged,
    a_sweep_removes_whoever_was_not_heard_of,
    a_consent_that_runs_out_counts_no_more,
    figures_stay_as_they_were_drawn,
    across_apps_a_person_counts_once,
    windows_have_their_days,
    days_that_are_not_open_are_refused,
    everything_that_is_wrong_is_named,
    activity_sent_again_changes_nothing,
    a_restart_keeps_activity_and_figures,
    activity_is_dropped_when_no_figure_needs_it,
    without_consent_svc_nothing_is_recorded,
    people_of_many_chunks_are_counted,
);

async fn noiseless(engine: Engine) -> World {
    World::start_with(engine, false, Consents::default()).await
}

/// The first day that takes activity when a world begins, which is on the 15th.
const FIRST: &str = "2027-01-12";
const TODAY: &str = "2027-01-15";
const DAY: Duration = Duration::from_hours(24);

fn activity(app: &str, day: &str, who: &[&str]) -> RecordActivityRequest {
    RecordActivityRequest {
        request_id: fresh("act"),
        app_id: app.to_owned(),
        day: day.to_owned(),
        subject_ids: who.iter().map(|one| (*one).to_owned()).collect(),
    }
}

fn agree(world: &World, who: &[&str]) {
    for subject in who {
        world.consents.grant(subject, TRANSFER);
        world.consents.grant(subject, USAGE);
    }
}

impl Callers<'_> {
    async fn send(&self, messages: Vec<RecordActivityRequest>) -> Result<(), Status> {
        let sent = messages.clone();
        let mut app = self.usage(Role::App);
        let mut answers = app.record_activity(tokio_stream::iter(sent)).await?.into_inner();
        for message in messages {
            let answer = answers.message().await?.unwrap();
            assert_eq!(answer.request_id, message.request_id);
        }
        assert_eq!(answers.message().await?, None);
        Ok(())
    }

    pub(crate) async fn record(&self, app: &str, day: &str, who: &[&str]) {
        self.send(vec![activity(app, day, who)]).await.unwrap();
    }

    async fn get(&self, app: &str, first: &str, last: &str) -> Result<Vec<DailyUsage>, Status> {
        let request = GetUsageRequest {
            app_id: app.to_owned(),
            first_day: first.to_owned(),
            last_day: last.to_owned(),
        };
        Ok(self.usage(Role::Admin).get_usage(request).await?.into_inner().days)
    }

    /// The figures of a day, as soon as they are drawn. The clock goes on meanwhile: the housekeeping
    /// may have begun to wait after it was advanced.
    async fn drawn(&self, app: &str, day: &str) -> DailyUsage {
        loop {
            if let Some(drawn) = self.get(app, day, day).await.unwrap().pop() {
                return drawn;
            }
            self.world.advance(Duration::from_mins(1));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The distinct people of the day, the week and the month.
fn users(drawn: &DailyUsage) -> [u64; 3] {
    [drawn.daily_users, drawn.weekly_users, drawn.monthly_users].map(Option::unwrap)
}

/// On how many days how many people were active, where anybody was.
fn distribution(drawn: &DailyUsage) -> Vec<(u32, u64)> {
    assert!(drawn.active_days.iter().map(|one| one.days).eq(1..=28));
    let some = drawn.active_days.iter().filter(|one| one.users > 0);
    some.map(|ActiveDays { days, users }| (*days, *users)).collect()
}

async fn is_counted(world: &World, subject: &str) -> bool {
    let query = "SELECT 1 FROM usage_person WHERE subject_id = $1";
    world.rows(query, [subject.into()]).await > 0
}

async fn until_removed(world: &World, subject: &str) {
    while is_counted(world, subject).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn only_those_who_agreed_are_counted(world: World) {
    let callers = world.callers();
    agree(&world, &["ann", "bob"]);
    world.consents.grant("cid", TRANSFER);
    world.consents.grant("cid", ADS);
    // The use needs the transfer.
    world.consents.grant("dan", USAGE);
    callers.record("social", TODAY, &["ann", "bob", "cid", "dan", "eve"]).await;
    for (subject, counted) in
        [("ann", true), ("bob", true), ("cid", false), ("dan", false), ("eve", false)]
    {
        assert_eq!(is_counted(&world, subject).await, counted, "{subject}");
    }
    // Agreeing later counts from then on.
    world.consents.grant("dan", TRANSFER);
    world.advance(4 * DAY);
    let drawn = callers.drawn("social", TODAY).await;
    assert_eq!(users(&drawn), [2, 2, 2]);
    assert_eq!(distribution(&drawn), [(1, 2)]);
    assert_eq!(users(&callers.drawn("messenger", TODAY).await), [0, 0, 0]);
}

async fn of_whom_nobody_agreed_nothing_is_written(world: World) {
    let callers = world.callers();
    callers.record("social", TODAY, &["ann", "bob"]).await;
    for table in ["usage_person", "usage_day", "usage_activity", "request_record"] {
        assert_eq!(world.rows(&format!("SELECT 1 FROM {table}"), []).await, 0, "{table}");
    }
    // Not even that it was asked: sent again, it counts those who have agreed by now.
    let message = activity("social", TODAY, &["ann"]);
    callers.send(vec![message.clone()]).await.unwrap();
    agree(&world, &["ann"]);
    callers.send(vec![message]).await.unwrap();
    assert!(is_counted(&world, "ann").await);
    for table in ["usage_person", "usage_day", "usage_activity", "request_record"] {
        assert_eq!(world.rows(&format!("SELECT 1 FROM {table}"), []).await, 1, "{table}");
    }
}

async fn whoever_withdraws_is_removed_within_a_second_and_counts_no_more(world: World) {
    let callers = world.callers();
    agree(&world, &["ann", "bob", "cid"]);
    callers.record("social", TODAY, &["ann", "bob", "cid"]).await;
    world.consents.withdraw("ann", USAGE);
    tokio::time::timeout(Duration::from_secs(1), until_removed(&world, "ann")).await.unwrap();
    // The transfer is what the use needs.
    world.consents.withdraw("bob", TRANSFER);
    tokio::time::timeout(Duration::from_secs(1), until_removed(&world, "bob")).await.unwrap();
    world.consents.withdraw("cid", ADS);
    world.advance(4 * DAY);
    assert_eq!(users(&callers.drawn("social", TODAY).await), [1, 1, 1]);
    assert!(is_counted(&world, "cid").await);
}

async fn whoever_comes_back_is_somebody_new(world: World) {
    let callers = world.callers();
    agree(&world, &["ann"]);
    callers.record("social", FIRST, &["ann"]).await;
    world.consents.withdraw("ann", USAGE);
    until_removed(&world, "ann").await;
    agree(&world, &["ann", "bob"]);
    // Nor is her place another one's.
    callers.record("social", TODAY, &["bob", "ann"]).await;
    world.advance(4 * DAY);
    let drawn = callers.drawn("social", TODAY).await;
    assert_eq!(users(&drawn), [2, 2, 2]);
    assert_eq!(distribution(&drawn), [(1, 2)]);
    assert_eq!(users(&callers.drawn("social", FIRST).await), [0, 0, 0]);
}

async fn whoever_is_erased_is_removed_before_that_is_acknowledged(world: World) {
    agree(&world, &["ann", "bob"]);
    world.callers().record("social", TODAY, &["ann", "bob"]).await;
    world.consents.erase("ann");
    world.until_acknowledged("ann").await;
    assert!(!is_counted(&world, "ann").await);
    assert!(is_counted(&world, "bob").await);
}

async fn a_sweep_removes_whoever_was_not_heard_of(mut world: World) {
    // Among those whose identifiers are kept too, and others.
    world.consents.grant_all("dan");
    world.callers().register_one("dan", vec![crate::rows::external("dan")]).await;
    agree(&world, &["ann", "bob", "cid", "dan"]);
    world.callers().record("social", TODAY, &["ann", "bob", "cid", "dan"]).await;
    world.consents.change_policy("bob", USAGE);
    until_removed(&world, "bob").await;
    world.stop().await;
    world.consents.withdraw_and_purge("cid", USAGE);
    world.consents.withdraw_and_purge("dan", USAGE);
    world.restart().await;
    for subject in ["cid", "dan"] {
        until_removed(&world, subject).await;
    }
    assert!(is_counted(&world, "ann").await);
    assert!(world.is_stored("dan").await);
}

async fn a_consent_that_runs_out_counts_no_more(world: World) {
    let callers = world.callers();
    world.consents.grant("ann", TRANSFER);
    let until = world.clock.now().plus(2 * DAY);
    world.consents.grant_until("ann", USAGE, until.get());
    agree(&world, &["bob"]);
    callers.record("social", TODAY, &["ann", "bob"]).await;
    assert!(is_counted(&world, "ann").await);
    world.advance(4 * DAY);
    assert_eq!(users(&callers.drawn("social", TODAY).await), [1, 1, 1]);
    until_removed(&world, "ann").await;
}

async fn figures_stay_as_they_were_drawn(world: World) {
    let callers = world.callers();
    agree(&world, &["ann", "bob"]);
    callers.record("social", FIRST, &["ann", "bob"]).await;
    world.advance(DAY);
    let drawn = callers.drawn("social", FIRST).await;
    assert_eq!(users(&drawn), [2, 2, 2]);
    assert_eq!(callers.get("social", FIRST, TODAY).await.unwrap(), std::slice::from_ref(&drawn));
    // Whoever leaves is in no later figure; what is drawn stays.
    world.consents.withdraw("ann", USAGE);
    until_removed(&world, "ann").await;
    world.advance(DAY);
    assert_eq!(users(&callers.drawn("social", "2027-01-13").await), [0, 1, 1]);
    world.advance(400 * DAY);
    let later = callers.drawn("social", "2028-02-17").await;
    assert_eq!(users(&later), [0, 0, 0]);
    assert_eq!(callers.get("social", FIRST, FIRST).await.unwrap(), [drawn]);
}

async fn across_apps_a_person_counts_once(world: World) {
    let callers = world.callers();
    agree(&world, &["ann", "bob", "cid"]);
    let messages = vec![
        activity("social", FIRST, &["ann", "bob", "bob"]),
        activity("messenger", FIRST, &["bob", "cid"]),
        activity("messenger", "2027-01-13", &["ann", "cid"]),
    ];
    callers.send(messages).await.unwrap();
    world.advance(2 * DAY);
    let drawn = callers.drawn("", "2027-01-13").await;
    assert_eq!((users(&drawn), distribution(&drawn)), ([2, 3, 3], vec![(1, 1), (2, 2)]));
    let drawn = callers.drawn("messenger", "2027-01-13").await;
    assert_eq!((users(&drawn), distribution(&drawn)), ([2, 3, 3], vec![(1, 2), (2, 1)]));
    let drawn = callers.drawn("social", "2027-01-13").await;
    assert_eq!((users(&drawn), distribution(&drawn)), ([0, 2, 2], vec![(1, 2)]));
    assert_eq!(users(&callers.drawn("", FIRST).await), [3, 3, 3]);
    // One that there is not tells when figures were drawn, and nothing else.
    let drawn = callers.get("", FIRST, FIRST).await.unwrap().pop().unwrap();
    let unknown = callers.get("game", FIRST, FIRST).await.unwrap().pop().unwrap();
    assert_eq!(unknown.released_at, drawn.released_at);
    assert_eq!((unknown.daily_users, unknown.active_days), (None, vec![]));
}

async fn windows_have_their_days(world: World) {
    let callers = world.callers();
    agree(&world, &["ann", "bob"]);
    callers.record("social", FIRST, &["ann", "bob"]).await;
    // The clock stands at eight in the morning.
    callers.record("social", TODAY, &["ann"]).await;
    world.advance(Duration::from_hours(16));
    callers.record("social", "2027-01-16", &["ann"]).await;
    world.advance(31 * DAY);
    callers.drawn("social", "2027-02-12").await;
    let days = callers.get("social", FIRST, "2027-02-12").await.unwrap();
    let on = |day: &str| {
        let drawn = days.iter().find(|drawn| drawn.day == day).unwrap();
        (users(drawn), distribution(drawn))
    };
    assert_eq!(on("2027-01-15"), ([1, 2, 2], vec![(1, 1), (2, 1)]));
    assert_eq!(on("2027-01-16"), ([1, 2, 2], vec![(1, 1), (3, 1)]));
    // The seventh day that ends with it is the first; then it is not.
    assert_eq!(on("2027-01-18").0, [0, 2, 2]);
    assert_eq!(on("2027-01-19").0, [0, 1, 2]);
    assert_eq!(on("2027-01-23").0, [0, 0, 2]);
    assert_eq!(on("2027-02-08").0, [0, 0, 2]);
    assert_eq!(on("2027-02-09"), ([0, 0, 1], vec![(2, 1)]));
    assert_eq!(on("2027-02-11"), ([0, 0, 1], vec![(2, 1)]));
    let days: Vec<_> = days.into_iter().map(|drawn| drawn.day).collect();
    assert!(days.is_sorted() && days.len() == 32, "{days:?}");
}

async fn days_that_are_not_open_are_refused(world: World) {
    let callers = world.callers();
    agree(&world, &["ann"]);
    for (day, open) in [("2027-01-11", false), (FIRST, true), (TODAY, true), ("2027-01-16", false)]
    {
        let sent = callers.send(vec![activity("social", day, &["ann"])]).await;
        assert_eq!(sent.is_ok(), open, "{day}");
        let Err(refused) = sent else { continue };
        assert_eq!(reason(&refused), Reason::FieldsInvalid);
        let bad = refused.get_details_bad_request().unwrap().field_violations;
        assert_eq!(bad.len(), 1);
        assert_eq!(bad[0].field, "day");
        assert_eq!(bad[0].description, "activity is taken of days from 2027-01-12 to 2027-01-15");
    }
    // Eight in the morning: midnight is in sixteen hours.
    world.advance(Duration::from_hours(16) - Duration::from_millis(1));
    callers.record("social", FIRST, &["ann"]).await;
    world.advance(Duration::from_millis(1));
    let late = callers.send(vec![activity("social", FIRST, &["ann"])]).await.unwrap_err();
    assert_eq!(reason(&late), Reason::FieldsInvalid);
    callers.record("social", "2027-01-16", &["ann"]).await;
}

async fn everything_that_is_wrong_is_named(world: World) {
    let callers = world.callers();
    let fields = |status: Status| -> Vec<String> {
        assert_eq!(reason(&status), Reason::FieldsInvalid);
        let bad = status.get_details_bad_request().unwrap().field_violations;
        bad.into_iter().map(|violation| violation.field).collect()
    };
    let mut wrong = activity("game", "2027-01-99", &["a b"]);
    wrong.request_id = String::new();
    let mut bad = fields(callers.send(vec![wrong]).await.unwrap_err());
    bad.sort();
    assert_eq!(bad, ["app_id", "day", "request_id", "subject_ids[0]"]);
    let many = vec!["ann"; 10_001];
    let many = activity("social", TODAY, &many);
    assert_eq!(fields(callers.send(vec![many]).await.unwrap_err()), ["subject_ids"]);
    for (first, last, wrong) in [
        (TODAY, FIRST, Some("last_day")),
        ("2026-01-01", "2027-02-04", None),
        ("2026-01-01", "2027-02-05", Some("last_day")),
        ("", TODAY, Some("first_day")),
        (TODAY, "2027-02-30", Some("last_day")),
    ] {
        let asked = callers.get("", first, last).await;
        assert_eq!(asked.err().map(fields), wrong.map(|field| vec![field.to_owned()]));
    }
}

async fn activity_sent_again_changes_nothing(world: World) {
    let callers = world.callers();
    agree(&world, &["ann", "bob"]);
    let message = activity("social", TODAY, &["ann", "bob"]);
    callers.send(vec![message.clone(), message.clone()]).await.unwrap();
    callers.send(vec![message.clone()]).await.unwrap();
    // Under another id too.
    callers.record("social", TODAY, &["bob", "ann"]).await;
    let other = RecordActivityRequest { day: FIRST.to_owned(), ..message };
    let reused = callers.send(vec![other]).await.unwrap_err();
    assert_eq!(reason(&reused), Reason::RequestIdReused);
    world.advance(4 * DAY);
    let drawn = callers.drawn("", TODAY).await;
    assert_eq!((users(&drawn), distribution(&drawn)), ([2, 2, 2], vec![(1, 2)]));
}

async fn a_restart_keeps_activity_and_figures(mut world: World) {
    agree(&world, &["ann"]);
    world.callers().record("social", FIRST, &["ann"]).await;
    world.callers().record("social", TODAY, &["ann"]).await;
    world.advance(DAY);
    let drawn = world.callers().drawn("social", FIRST).await;
    world.stop().await;
    world.restart().await;
    assert_eq!(world.callers().get("social", FIRST, TODAY).await.unwrap(), [drawn]);
    world.advance(3 * DAY);
    assert_eq!(users(&world.callers().drawn("social", TODAY).await), [1, 1, 1]);
}

async fn activity_is_dropped_when_no_figure_needs_it(world: World) {
    let callers = world.callers();
    agree(&world, &["ann"]);
    callers.record("social", FIRST, &["ann"]).await;
    // The last month that has the day ends 27 days later, and is drawn four days after that: 31
    // days after the first, which was three days ago.
    world.advance(27 * DAY);
    assert_eq!(users(&callers.drawn("social", "2027-02-07").await), [0, 0, 1]);
    let kept = "SELECT 1 FROM usage_activity";
    assert_eq!(world.rows(kept, []).await, 1);
    world.advance(DAY);
    assert_eq!(users(&callers.drawn("social", "2027-02-08").await), [0, 0, 1]);
    while world.rows(kept, []).await > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(callers.get("social", FIRST, "2027-02-08").await.unwrap().len(), 28);
}

async fn without_consent_svc_nothing_is_recorded(world: World) {
    agree(&world, &["ann", "bob"]);
    world.callers().record("social", TODAY, &["ann"]).await;
    world.consents.set_down(true);
    for subject in ["ann", "bob"] {
        let message = activity("social", FIRST, &[subject]);
        let refused = world.callers().send(vec![message]).await.unwrap_err();
        assert_eq!(reason(&refused), Reason::DependencyUnavailable);
    }
    assert!(!is_counted(&world, "bob").await);
    assert_eq!(world.rows("SELECT 1 FROM usage_day", []).await, 1);
}

async fn people_of_many_chunks_are_counted(world: World) {
    let callers = world.callers();
    let people: Vec<String> = (0..70_000).map(|n| format!("person-{n}")).collect();
    world.consents.grant_quietly(&people, &[TRANSFER, USAGE]);
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    let messages = people.chunks(10_000).map(|some| activity("social", TODAY, some));
    callers.send(messages.collect()).await.unwrap();
    // Across the border of the first chunk, twice.
    callers.record("messenger", FIRST, &people[60_000..70_000]).await;
    callers.record("messenger", FIRST, &people[65_000..69_000]).await;
    world.advance(4 * DAY);
    assert_eq!(users(&callers.drawn("social", TODAY).await), [70_000; 3]);
    assert_eq!(users(&callers.drawn("messenger", TODAY).await), [0, 10_000, 10_000]);
    let drawn = callers.drawn("", TODAY).await;
    assert_eq!(distribution(&drawn), [(1, 60_000), (2, 10_000)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_that_are_told_have_noise_and_those_of_few_are_not_told() {
    let world = World::start(Engine::Sqlite).await;
    let callers = world.callers();
    let people: Vec<String> = (0..2_000).map(|n| format!("person-{n}")).collect();
    world.consents.grant_quietly(&people, &[TRANSFER, USAGE]);
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    callers.record("social", FIRST, &people).await;
    callers.record("messenger", FIRST, &people[..100]).await;
    world.advance(DAY);
    let drawn = callers.drawn("social", FIRST).await;
    assert_eq!((drawn.minimum, drawn.standard_deviation), (1_000, 93));
    // Ten deviations: not once in 10^23.
    for told in users(&drawn) {
        assert!(told.abs_diff(2_000) < 930, "{told}");
    }
    // Three figures of the same people, each with noise of its own: hardly ever all the same.
    assert_ne!(users(&drawn), [2_000; 3]);
    assert_eq!(drawn.active_days.len(), 1);
    let few = callers.drawn("messenger", FIRST).await;
    assert_eq!((few.daily_users, few.weekly_users, few.monthly_users), (None, None, None));
    // As of an app that there is not.
    let nobody = callers.drawn("game", FIRST).await;
    assert_eq!(few, nobody);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_drawn_until_it_is_known_who_has_left() {
    let consents = Consents::default();
    consents.set_down(true);
    let world = World::start_with(Engine::Sqlite, false, consents).await;
    world.advance(DAY);
    let closed = "SELECT 1 FROM usage_calendar WHERE closed_before > next_day";
    while world.rows(closed, []).await == 0 {
        world.advance(Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(world.callers().get("social", FIRST, FIRST).await.unwrap().is_empty());
    world.consents.set_down(false);
    while world.callers().get("social", FIRST, FIRST).await.unwrap().is_empty() {
        world.advance(Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_draw_a_day_once() {
    let world = World::start(Engine::Postgres).await;
    let others = [world.replica().await, world.replica().await];
    let callers = world.callers();
    let people: Vec<String> = (0..5_000).map(|n| format!("person-{n}")).collect();
    world.consents.grant_quietly(&people, &[TRANSFER, USAGE]);
    let people: Vec<&str> = people.iter().map(String::as_str).collect();
    // Two replicas add the same people at once: each gets one place.
    let there = world.at(&others[0]);
    tokio::join!(
        callers.record("social", FIRST, &people),
        there.record("social", FIRST, &people),
        there.record("messenger", FIRST, &people),
    );
    assert_eq!(world.rows("SELECT 1 FROM usage_person", []).await, 5_000);
    world.advance(4 * DAY);
    callers.drawn("social", TODAY).await;
    let here = callers.get("", FIRST, TODAY).await.unwrap();
    assert_eq!(here.len(), 4);
    for other in &others {
        assert_eq!(world.at(other).get("", FIRST, TODAY).await.unwrap(), here);
    }
    assert!(here[0].daily_users.unwrap().abs_diff(5_000) < 930);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_admins_see_figures_and_only_apps_record() {
    let world = World::start(Engine::Sqlite).await;
    let callers = world.callers();
    let request = GetUsageRequest {
        app_id: String::new(),
        first_day: FIRST.to_owned(),
        last_day: TODAY.to_owned(),
    };
    let refused = callers.usage(Role::App).get_usage(request).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::RoleNotAllowed);
    let messages = tokio_stream::iter([activity("social", TODAY, &["ann"])]);
    let refused = callers.usage(Role::Admin).record_activity(messages).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::RoleNotAllowed);
}
