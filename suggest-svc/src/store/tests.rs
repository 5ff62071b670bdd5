//! What callers cannot see of the store, on both databases.
#![allow(clippy::unwrap_used)]

use hashbrown::HashSet;

use identifiers::MatchKey;
use proto::suggest::v1::BlockSubjectResponse;
use sea_orm::{DbBackend, ExprTrait};
use service_kit::config::Secret;
use tempfile::TempDir;

use std::collections::BTreeMap;

use super::{entity::range_budget, *};
use crate::{
    consents::Answers,
    domain::{
        Standing,
        identifiers::Range,
        quota::Bucket,
        uploaded::{Marker, Offer, Uploaded},
    },
    graph::Graph,
};

macro_rules! on_both_databases {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let directory = tempfile::tempdir().unwrap();
                super::$test(super::on_sqlite(&directory).await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let url = service_kit::test_util::Postgres::shared().database();
                super::$test(super::open(url).await).await;
            })*
        }
    };
}

async fn on_sqlite(directory: &TempDir) -> Store {
    open(format!("sqlite:{}", directory.path().join("suggest.db").display())).await
}

async fn open(url: String) -> Store {
    let config = StoreConfig { url: Secret::new(url), ..StoreConfig::default() };
    Store::migrate(&config).await.unwrap();
    Store::open(&config).await.unwrap()
}

fn who(name: &str) -> Subject {
    Subject::from(name)
}

fn key(n: u8) -> MatchKey {
    MatchKey::from_bytes([n; 16])
}

const AT: fn(i64) -> UnixMillis = UnixMillis::new;

/// A position whose mark nobody looks at: there are changes after it.
fn at(sequence: i64) -> graph::Position {
    graph::Position { sequence, mark: [0; 16] }
}

/// ann until 100 and bob for ever, as said at 1; each with a key and a book of the other's, and
/// connected. ann has settings and blocks eve.
async fn people(store: &Store) {
    let (ann, bob) = (&who("ann"), &who("bob"));
    let answers = &Answers::at(1, &[(ann, Some(100)), (bob, Some(i64::MAX))]);
    let put = |writing: Writing| async move {
        writing.put_consents(answers, [ann, bob], HashSet::new(), AT(1)).await?;
        let keys = [(ann.clone(), vec![key(1)]), (bob.clone(), vec![key(2)])];
        writing.replace_identifiers(&keys).await?;
        for (subject, other) in [(ann, 2), (bob, 1)] {
            writing.put_address_book(subject, "token", key(other).as_bytes().to_vec()).await?;
        }
        writing.connect(&[(ann, bob, None)]).await?;
        writing.put_settings(ann, Settings { may_be_mutual: false, ..Settings::default() }).await?;
        writing.block(ann, &who("eve"), AT(1), 10).await
    };
    store.write("people", AT(1), put).await.unwrap();
}

async fn graph(store: &Store) -> Graph {
    store.load(|| None).await.unwrap().0.finish(0)
}

/// How many rows there are of ann's: person, identifiers, books, connections from either end.
async fn rows_of_ann(store: &Store) -> [u64; 4] {
    let db = &store.db;
    let ann = "ann";
    let people = entity::person::Entity::find_by_id(ann).count(db);
    let keys = entity::identifier::Entity::find();
    let keys = keys.filter(entity::identifier::Column::Subject.eq(ann)).count(db);
    let books = entity::address_book::Entity::find_by_id(ann).count(db);
    let (subject, other) = (entity::connection::Column::Subject, entity::connection::Column::Other);
    let ends = entity::connection::Entity::find().filter(subject.eq(ann).or(other.eq(ann)));
    [people.await, keys.await, books.await, ends.count(db).await].map(Result::unwrap)
}

async fn who_has_lapsed_is_forgotten_but_for_their_own_word(store: Store) {
    people(&store).await;
    let before = store.head().await.unwrap();
    store.forget_lapsed(AT(99)).await.unwrap();
    assert_eq!(rows_of_ann(&store).await, [1, 1, 1, 1]);
    assert_eq!(store.head().await.unwrap(), before, "nothing to forget is no write");
    store.forget_lapsed(AT(100)).await.unwrap();
    assert_eq!(rows_of_ann(&store).await, [0; 4]);
    assert!(!store.settings(&who("ann")).await.unwrap().may_be_mutual);
    assert_eq!(store.blocked(&who("ann"), None, 10).await.unwrap(), [who("eve")]);
    assert!(store.has_any(&[&who("bob")]).await.unwrap());
    // Replicas are told.
    let News::Some(delta) = store.news(before).await.unwrap() else { panic!("no news") };
    assert_eq!(delta.consents, [(who("ann"), Standing::NONE)]);
    assert_eq!(delta.keys, [(who("ann"), vec![])]);
    assert_eq!(delta.books, [(who("ann"), 0, vec![])]);
    assert_eq!(delta.connections, [(who("ann"), who("bob"), false)]);
    assert!(delta.blocks.is_empty() && delta.settings.is_empty());
}

async fn who_denies_is_forgotten_unless_a_later_answer_is_known(store: Store) {
    people(&store).await;
    let ann = &who("ann");
    store.end_consents(&Answers::at(0, &[(ann, None)]), AT(3)).await.unwrap();
    assert_eq!(rows_of_ann(&store).await, [1, 1, 1, 1]);
    store.end_consents(&Answers::at(2, &[(ann, None)]), AT(3)).await.unwrap();
    assert_eq!(rows_of_ann(&store).await, [0; 4]);
}

async fn a_new_consent_starts_from_nothing_also_before_the_sweep(store: Store) {
    people(&store).await;
    let ann = &who("ann");
    let answers = &Answers::at(150, &[(ann, Some(i64::MAX))]);
    let put = |writing: Writing| async move {
        Ok(writing.put_consents(answers, [ann], HashSet::new(), AT(150)).await?)
    };
    let in_force = store.write("again", AT(150), put).await.unwrap();
    assert!(in_force.contains(ann));
    assert_eq!(rows_of_ann(&store).await, [1, 0, 0, 0]);
    let graph = graph(&store).await;
    assert!(!graph.is_found(&key(1), &who("bob")));
    assert_eq!(graph.degree(graph.ordinal(ann).unwrap()), 0);
}

async fn an_older_answer_is_not_in_force_against_a_newer_one(store: Store) {
    people(&store).await;
    let ann = &who("ann");
    let answers = &Answers::at(0, &[(ann, Some(i64::MAX))]);
    let put = |writing: Writing| async move {
        Ok(writing.put_consents(answers, [ann], HashSet::new(), AT(100)).await?)
    };
    assert!(store.write("late", AT(100), put).await.unwrap().is_empty());
}

async fn the_end_of_a_consent_leaves_how_full_the_bucket_is_and_an_erasure_nothing(store: Store) {
    people(&store).await;
    let ann = &who("ann");
    let marker = Marker::new([1; 32]);
    let marks = &[marker.mark(&key(1))];
    let sync = |writing: Writing| async move {
        let mut known = writing.uploaded(ann).await?;
        let offer = Offer { marks, found: true, closed: false };
        let new = known.offer(std::iter::once(offer), 10).new;
        writing.put_uploaded(ann, &known).await?;
        writing.put_bucket(ann, 500).await?;
        Ok((new, writing.bucket(ann).await?))
    };
    assert_eq!(store.write("sync", AT(2), sync).await.unwrap(), (1, Some(500)));
    assert_eq!(store.write("sync", AT(2), sync).await.unwrap(), (0, Some(500)));
    store.forget_lapsed(AT(100)).await.unwrap();
    let left = |writing: Writing| async move {
        Ok((writing.uploaded(ann).await? == Uploaded::default(), writing.bucket(ann).await?))
    };
    assert_eq!(store.write("left", AT(100), left).await.unwrap(), (true, Some(500)));
    store.forget_empty_buckets(AT(499)).await.unwrap();
    assert_eq!(store.write("left", AT(499), left).await.unwrap(), (true, Some(500)));
    let erase = |writing: Writing| async move {
        Ok(writing.forget_buckets(std::slice::from_ref(ann)).await?)
    };
    store.write("erase", AT(499), erase).await.unwrap();
    assert_eq!(store.write("left", AT(499), left).await.unwrap(), (true, None));
}

async fn empty_buckets_are_forgotten(store: Store) {
    let ann = &who("ann");
    let fill = |writing: Writing| async move { Ok(writing.put_bucket(ann, 500).await?) };
    store.write("fill", AT(1), fill).await.unwrap();
    let bucket = |writing: Writing| async move { Ok(writing.bucket(ann).await?) };
    store.forget_empty_buckets(AT(500)).await.unwrap();
    assert_eq!(store.write("left", AT(500), bucket).await.unwrap(), None);
}

async fn what_replicas_count_in_a_range_adds_up_and_leaks(store: Store) {
    let bucket = Bucket::new(100, std::time::Duration::from_secs(100)).unwrap();
    let counts = |first, second| BTreeMap::from([(Range(1), first), (Range(-2), second)]);
    let over = async |now| {
        let mut over = store.ranges_over_budget(bucket, AT(now), 10).await.unwrap();
        over.sort_unstable();
        over
    };
    store.count_additions(&counts(60, 100), bucket, AT(1_000)).await.unwrap();
    assert!(over(1_000).await.is_empty());
    store.count_additions(&counts(60, 1), bucket, AT(1_000)).await.unwrap();
    assert_eq!(over(1_000).await, [Range(-2), Range(1)]);
    assert_eq!(over(2_000).await, [Range(1)]);
    assert_eq!(over(20_999).await, [Range(1)]);
    assert!(over(21_000).await.is_empty());
    // An empty bucket is as good as none.
    store.forget_empty_ranges(AT(102_000)).await.unwrap();
    store.count_additions(&counts(101, 100), bucket, AT(300_000)).await.unwrap();
    assert_eq!(over(300_000).await, [Range(1)]);
    store.forget_empty_ranges(AT(400_000)).await.unwrap();
    assert_eq!(range_budget::Entity::find().count(&store.db).await.unwrap(), 1);
}

async fn block(store: &Store, blocked: &str, at: i64, is_blocked: bool) {
    let (ann, blocked) = (&who("ann"), &who(blocked));
    let once = &Once {
        caller: "ann".to_owned(),
        request_id: format!("{blocked} {at} {is_blocked}"),
        digest: [0; 32],
        at: AT(at),
    };
    let work = |writing: Writing| async move {
        if is_blocked {
            writing.block(ann, blocked, AT(at), 1_000).await?;
        } else {
            writing.unblock(ann, blocked).await?;
        }
        Ok(BlockSubjectResponse {})
    };
    store.once("block", once, work).await.unwrap();
}

async fn what_changes_nothing_tells_replicas_nothing(store: Store) {
    block(&store, "bob", 1, false).await;
    let (ann, bob) = (&who("ann"), &who("bob"));
    let apart = |writing: Writing| async move {
        writing.delete_address_book(ann).await?;
        Ok(writing.disconnect(&[(ann.clone(), bob.clone())]).await?)
    };
    store.write("apart", AT(2), apart).await.unwrap();
    let News::Some(delta) = store.news(at(0)).await.unwrap() else { panic!("no news") };
    assert!(delta.blocks.is_empty() && delta.connections.is_empty() && delta.books.is_empty());
    block(&store, "bob", 3, true).await;
    block(&store, "bob", 4, true).await;
    let News::Some(delta) = store.news(at(0)).await.unwrap() else { panic!("no news") };
    assert_eq!(delta.blocks, [(who("ann"), who("bob"), true)]);
    assert!(graph(&store).await.len() == 2);
}

async fn dismissals_that_are_over_are_forgotten_and_replicas_are_told(store: Store) {
    let [ann, bob, cec] = ["ann", "bob", "cec"].map(who);
    let dismiss = |writing: Writing| {
        let (ann, bob, cec) = (ann.clone(), bob.clone(), cec.clone());
        async move {
            writing.dismiss(&ann, &bob, [AT(1), AT(10)], 5).await?;
            writing.dismiss(&ann, &cec, [AT(1), AT(20)], 5).await
        }
    };
    store.write("dismiss", AT(1), dismiss).await.unwrap();
    let before = store.head().await.unwrap();
    store.forget_dismissals(AT(9)).await.unwrap();
    assert_eq!(store.head().await.unwrap(), before, "nothing to forget is no write");
    store.forget_dismissals(AT(10)).await.unwrap();
    let News::Some(delta) = store.news(before).await.unwrap() else { panic!("no news") };
    assert_eq!(delta.dismissals, [(ann.clone(), bob.clone(), i64::MIN)]);
    let feedback = store.feedback().await.unwrap();
    let is_dismissed = |candidate| feedback.is_dismissed(&ann, candidate, 0);
    assert!(is_dismissed("cec") && !is_dismissed("bob"));
}

/// bob says something of everybody, and everybody of bob; and the others of each other.
async fn an_erasure_takes_what_was_said_by_and_about_a_person_and_nothing_else(store: Store) {
    people(&store).await;
    let [ann, bob, cec] = &["ann", "bob", "cec"].map(who);
    let say = |writing: Writing| async move {
        for (one, other) in [(ann, bob), (bob, ann), (bob, cec), (cec, bob), (ann, cec)] {
            writing.dismiss(one, other, [AT(1), AT(90)], 5).await?;
            writing.report(one, other, [AT(0), AT(1)], 5).await?;
        }
        Ok(())
    };
    store.write("say", AT(1), say).await.unwrap();
    let reviews = store.reviews(AT(0), 10).await.unwrap();
    assert_eq!(reviews.len(), 3);
    let risky: Vec<_> = reviews.into_iter().map(|review| (review, true)).collect();
    store.reviewed(&risky, AT(2)).await.unwrap();
    // cec is not here: nothing is stored of that.
    assert!(!store.feedback().await.unwrap().is_risky(cec));
    let before = store.head().await.unwrap();
    let forget = |writing: Writing| async move {
        Ok(writing.forget_feedback(std::slice::from_ref(bob)).await?)
    };
    store.write("forget", AT(3), forget).await.unwrap();
    let News::Some(mut delta) = store.news(before).await.unwrap() else { panic!("no news") };
    delta.dismissals.sort();
    let gone = [(ann, bob), (bob, ann), (bob, cec), (cec, bob)];
    let gone = gone.map(|(one, other)| (one.clone(), other.clone(), i64::MIN));
    assert_eq!(delta.dismissals, gone);
    assert_eq!(delta.risks, [(bob.clone(), false)]);
    let feedback = store.feedback().await.unwrap();
    assert!(feedback.is_dismissed(ann, "cec", 0) && !feedback.is_dismissed(ann, "bob", 0));
    assert!(!feedback.is_dismissed(bob, "ann", 0) && !feedback.is_dismissed(cec, "bob", 0));
    assert!(feedback.is_risky(ann) && !feedback.is_risky(bob));
    for (account, reporters) in [(ann, vec![]), (bob, vec![]), (cec, vec![ann.clone()])] {
        let said = store.complaints(account, [AT(0), AT(0)], 10).await.unwrap();
        assert_eq!(said.reporters, reporters, "{account}");
    }
}

async fn what_is_asked_for_during_a_review_is_reviewed_again(store: Store) {
    people(&store).await;
    let ask = |writing: Writing| async move { Ok(writing.review(&[who("ann")]).await?) };
    store.write("ask", AT(1), ask).await.unwrap();
    let reviews = store.reviews(AT(0), 10).await.unwrap();
    store.write("ask", AT(1), ask).await.unwrap();
    let results: Vec<_> = reviews.into_iter().map(|review| (review, true)).collect();
    store.reviewed(&results, AT(2)).await.unwrap();
    let again = store.reviews(AT(0), 10).await.unwrap();
    assert_eq!(again.len(), 1);
    store.reviewed(&[(again[0].clone(), true)], AT(2)).await.unwrap();
    assert!(store.reviews(AT(2), 10).await.unwrap().is_empty());
    // Those who are a risk come up again by themselves, until they no longer are.
    let old = store.reviews(AT(3), 10).await.unwrap();
    assert_eq!(old.len(), 1);
    store.reviewed(&[(old[0].clone(), false)], AT(3)).await.unwrap();
    assert!(store.reviews(AT(99), 10).await.unwrap().is_empty());
    assert!(!store.feedback().await.unwrap().is_risky(&who("ann")));
}

async fn who_leaves_is_no_longer_known_for_a_risk(store: Store) {
    people(&store).await;
    let ask = |writing: Writing| async move { Ok(writing.review(&[who("ann")]).await?) };
    store.write("ask", AT(1), ask).await.unwrap();
    let reviews = store.reviews(AT(0), 10).await.unwrap();
    store.reviewed(&[(reviews[0].clone(), true)], AT(2)).await.unwrap();
    let before = store.head().await.unwrap();
    store.forget_lapsed(AT(100)).await.unwrap();
    let News::Some(delta) = store.news(before).await.unwrap() else { panic!("no news") };
    assert_eq!(delta.risks, [(who("ann"), false)]);
    assert!(!store.feedback().await.unwrap().is_risky(&who("ann")));
}

async fn a_change_that_is_missing_between_others_is_not_skipped(store: Store) {
    for n in 1..=5 {
        block(&store, &format!("p{n}"), n, true).await;
    }
    assert!(matches!(store.news(at(1)).await.unwrap(), News::Some(_)));
    changes::Entity::delete_by_id(3).exec(&store.db).await.unwrap();
    assert!(matches!(store.news(at(1)).await.unwrap(), News::Lost));
    assert!(matches!(store.news(at(3)).await.unwrap(), News::Some(_)));
}

async fn pruning_leaves_no_holes_though_clocks_differ(store: Store) {
    for (name, at) in [("a", 90), ("b", 91), ("c", 10), ("d", 92), ("e", 93)] {
        block(&store, name, at, true).await;
    }
    store.prune(AT(50), AT(0)).await.unwrap();
    let left = changes::Entity::find().order_by_asc(changes::Column::Seq).all(&store.db).await;
    let left: Vec<i64> = left.unwrap().into_iter().map(|row| row.seq).collect();
    assert_eq!(left, [4, 5]);
    assert!(matches!(store.news(at(0)).await.unwrap(), News::Lost));
    assert!(matches!(store.news(at(3)).await.unwrap(), News::Some(_)));
}

async fn replicas_that_prune_at_once_do_no_harm(store: Store) {
    for n in 0..200 {
        block(&store, &format!("p{n}"), n, true).await;
    }
    let replicas = [&store; 4].map(|store| store.prune(AT(150), AT(150)));
    for pruned in futures::future::join_all(replicas).await {
        pruned.unwrap();
    }
    let left = changes::Entity::find().order_by_asc(changes::Column::Seq).all(&store.db).await;
    let left: Vec<i64> = left.unwrap().into_iter().map(|row| row.seq).collect();
    assert_eq!(left, (151..=200).collect::<Vec<i64>>());
    let requests = request::Entity::find().count(&store.db).await.unwrap();
    assert_eq!(requests, 50);
    assert_eq!(store.pruned().await.unwrap(), 150);
}

/// The plans of statements as they are sent, where nothing is known yet of tables that grow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_goes_by_an_index_whatever_it_knows_of_a_table() {
    let url = service_kit::test_util::Postgres::shared().database();
    let ours = open(url.clone()).await;
    let config = StoreConfig { url: Secret::new(url), ..StoreConfig::default() };
    let unset = store::connect(&config).await.unwrap();
    let people: Vec<String> = (0..1_000).map(|n| format!("'p{n}'")).collect();
    let people = people.join(", ");
    let pairs: Vec<String> = (0..1_000).map(|n| format!("('p{n}', 'q{n}')")).collect();
    let pairs = pairs.join(", ");
    let statements = [
        format!("SELECT * FROM person WHERE subject IN ({people})"),
        format!("SELECT * FROM identifier WHERE subject IN ({people})"),
        format!("SELECT * FROM connection WHERE subject IN ({people})"),
        format!("DELETE FROM connection WHERE other IN ({people})"),
        "SELECT * FROM connection WHERE (subject = 'p1' OR other = 'p1') AND connected_at >= 3"
            .to_owned(),
        "SELECT * FROM connection WHERE other = 'p1' AND subject > 'p' ORDER BY subject LIMIT 9"
            .to_owned(),
        format!("DELETE FROM connection WHERE (subject, other) IN (VALUES {pairs})"),
        format!("DELETE FROM block WHERE blocked IN ({people})"),
        "SELECT * FROM change WHERE seq > 10 ORDER BY seq LIMIT 32".to_owned(),
        "SELECT * FROM person WHERE consent_until <= 1 ORDER BY consent_until LIMIT 1".to_owned(),
        "SELECT DISTINCT blocked FROM block WHERE blocked > 'p' ORDER BY blocked LIMIT 9"
            .to_owned(),
        "DELETE FROM request WHERE at < 1".to_owned(),
    ];
    let mut read_whole = 0;
    for statement in statements {
        let plan = async |db: &Pool| {
            let explain = format!("EXPLAIN {statement}");
            let explain = sea_orm::Statement::from_string(db.get_database_backend(), explain);
            let rows = db.query_all_raw(explain).await.unwrap();
            let lines = rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap());
            lines.collect::<Vec<_>>().join("\n")
        };
        let ours = plan(&ours.db).await;
        assert!(!ours.contains("Seq Scan on"), "{ours}");
        read_whole += usize::from(plan(&unset).await.contains("Seq Scan on"));
    }
    assert!(read_whole > 0, "PostgreSQL does it by itself now");
}

on_both_databases! {
    the_end_of_a_consent_leaves_how_full_the_bucket_is_and_an_erasure_nothing,
    empty_buckets_are_forgotten,
    what_replicas_count_in_a_range_adds_up_and_leaks,
    replicas_that_prune_at_once_do_no_harm,
    who_has_lapsed_is_forgotten_but_for_their_own_word,
    who_denies_is_forgotten_unless_a_later_answer_is_known,
    a_new_consent_starts_from_nothing_also_before_the_sweep,
    an_older_answer_is_not_in_force_against_a_newer_one,
    what_changes_nothing_tells_replicas_nothing,
    dismissals_that_are_over_are_forgotten_and_replicas_are_told,
    an_erasure_takes_what_was_said_by_and_about_a_person_and_nothing_else,
    what_is_asked_for_during_a_review_is_reviewed_again,
    who_leaves_is_no_longer_known_for_a_risk,
    a_change_that_is_missing_between_others_is_not_skipped,
    pruning_leaves_no_holes_though_clocks_differ,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_keeps_its_connection_and_does_without_it_when_it_is_gone() {
    let store = open(service_kit::test_util::Postgres::shared().database()).await;
    let empty = store.head().await.unwrap();
    let looking = "FROM pg_stat_activity WHERE datname = current_database() \
                   AND query LIKE 'SELECT seq, mark FROM head%' AND pid <> pg_backend_pid()";
    let number = async |what: &str| -> i64 {
        let sql = sea_orm::Statement::from_string(DbBackend::Postgres, format!("{what} {looking}"));
        store.db.query_one_raw(sql).await.unwrap().unwrap().try_get_by_index(0).unwrap()
    };
    let backend = number("SELECT max(pid)::bigint").await;
    people(&store).await;
    let written = store.head().await.unwrap();
    assert!(written.sequence > empty.sequence);
    // By the same connection, which nobody else was given meanwhile.
    assert_eq!(number("SELECT max(pid)::bigint").await, backend);
    assert_eq!(number("SELECT count(pg_terminate_backend(pid))").await, 1);
    assert_eq!(store.head().await.unwrap(), written);
}
