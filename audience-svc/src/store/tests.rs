//! What only the store can show: that what has ended is really gone.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use identifiers::{MatchKey, Profile};
use proto::audience::v1::GetBusinessRequest;
use rand::{SeedableRng as _, rngs::StdRng};
use roaring::RoaringBitmap;
use service_kit::{
    clock::UnixMillis,
    config::Secret,
    store::{StoreConfig, Tx},
    test_util::Postgres,
};

use super::{
    RequestKey, Store, audiences,
    directory::{self, Changes, Entry, Position, Tail},
    list_changes, members, releases,
    uploads::{self, StoredBatch},
};
use crate::{
    domain::{
        Agreed, Audience, BatchReport, Batches, Business, BusinessScope, CustomerSource,
        Expression, Lifetime, MaskedCount, NOBODY, Noise, Reading, Released, RowCounts, Until,
        Upload, UploadMode, UploadState,
    },
    error::Error,
    index::Change,
    seal::{Seal, Sealed},
};

const KEY: MatchKey = MatchKey::from_bytes([7; 16]);

async fn open(url: String) -> Store {
    let config = StoreConfig { url: Secret::new(url), ..StoreConfig::default() };
    Store::migrate(&config).await.unwrap();
    Store::open(&config).await.unwrap()
}

fn at(milliseconds: i64) -> UnixMillis {
    UnixMillis::new(milliseconds)
}

fn scope() -> BusinessScope {
    let business = Business {
        business_id: "shop".to_owned(),
        display_name: "Shop".to_owned(),
        owner_id: "owner".to_owned(),
        created_at: at(0),
    };
    BusinessScope::of(business, "owner").unwrap()
}

fn ann(until: i64) -> Entry {
    Entry {
        subject_id: "ann".to_owned(),
        agreed: Agreed { transfer: Until::stored(until), ads: Until::NEVER, revision: 1 },
        keys: Some(vec![KEY]),
        other_keys: Vec::new(),
    }
}

/// Settles one subject; gives the last change.
async fn settle(store: &Store, entry: &Entry, now: i64) -> Position {
    let settle = |tx: Tx| async move {
        let writer = directory::begin(&tx).await?;
        let known = writer.known(&tx, std::iter::once(&*entry.subject_id)).await?;
        let entries = std::slice::from_ref(entry);
        let nobody = |keys: &[MatchKey]| vec![NOBODY; keys.len()];
        writer.settle(&tx, entries, &known, nobody, 1, at(now)).await
    };
    store.locking("settle", settle).await.unwrap();
    directory::last_change(store.reads()).await.unwrap()
}

async fn the_directory_forgets(store: Store) {
    let db = store.reads();
    let first = settle(&store, &ann(10), 1).await;
    let stored = directory::find_subject(db, "ann").await.unwrap().unwrap();
    assert_eq!((stored.found.ordinal, &*stored.keys), (0, &[KEY][..]));
    assert!(directory::expired(db, at(9), 5).await.unwrap().is_empty());
    assert_eq!(directory::expired(db, at(10), 5).await.unwrap(), ["ann"]);
    // Heard of again, as it was: nothing changes.
    let heard = Entry::heard("ann".to_owned(), stored.found.agreed);
    assert_eq!(settle(&store, &heard, 9).await, first);
    // What was heard of an earlier revision counts for nothing.
    let earlier = Agreed { transfer: Until::OVER, ads: Until::OVER, revision: 0 };
    assert_eq!(settle(&store, &Entry::heard("ann".to_owned(), earlier), 9).await, first);
    assert!(directory::has(db, first).await.unwrap());
    settle(&store, &heard, 10).await;
    assert!(directory::has(db, first).await.unwrap());
    for other in [Position { mark: [9; 16], ..first }, Position { seq: 99, ..first }] {
        assert!(!directory::has(db, other).await.unwrap());
    }
    assert!(directory::find_subject(db, "ann").await.unwrap().is_none());

    let Tail::Changes(changes, last) = directory::changes_after(db, first, 10).await.unwrap()
    else {
        panic!("the change is still kept")
    };
    let gone = Changes { keys: vec![Change { key: KEY, ordinal: None }], people: vec![(0, false)] };
    assert_eq!(changes, [gone]);
    for (before, gone) in [(10, false), (11, true)] {
        let prune = |tx: Tx| async move { directory::prune_changes(&tx, at(before)).await };
        store.locking("prune", prune).await.unwrap();
        let tail = directory::changes_after(db, first, 10).await.unwrap();
        assert_eq!(matches!(tail, Tail::Gone), gone);
    }
    let tail = directory::changes_after(db, last, 10).await.unwrap();
    assert!(matches!(tail, Tail::Changes(none, same) if none.is_empty() && same == last));
    // Whoever comes back is somebody new.
    settle(&store, &ann(10), 1).await;
    assert_eq!(directory::find_subject(db, "ann").await.unwrap().unwrap().found.ordinal, 1);
}

/// The clock ends a consent before anything is heard of it: memories still count the person then.
async fn whoever_lapses_is_counted_no_more(store: Store) {
    let agreed = Agreed { transfer: Until::NEVER, ads: Until::stored(5), revision: 1 };
    let before = directory::last_change(store.reads()).await.unwrap();
    let first = settle(&store, &Entry { agreed, ..ann(0) }, 1).await;
    let lapsed = Agreed { ads: Until::OVER, ..agreed };
    settle(&store, &Entry::heard("ann".to_owned(), lapsed), 6).await;
    for (position, counts) in [(before, true), (first, false)] {
        let tail = directory::changes_after(store.reads(), position, 1).await.unwrap();
        let Tail::Changes(changes, _) = tail else { panic!("the change is still kept") };
        assert_eq!(changes[0].people, [(0, counts)]);
    }
}

fn upload(expires_at: i64) -> Upload {
    Upload {
        upload_id: format!("upl-{expires_at}"),
        audience_id: "aud".to_owned(),
        mode: UploadMode::Add,
        validate_only: false,
        state: UploadState::Open,
        counts: RowCounts::default(),
        batches: Batches::default(),
        expires_at: at(expires_at),
        created_at: at(0),
    }
}

fn sealed() -> Sealed {
    let request = GetBusinessRequest { business_id: "shop".to_owned() };
    Seal::new([(1, &[0; 32][..])]).content(&request)
}

async fn uploads_memberships_and_requests_are_forgotten(store: Store) {
    let (db, scope) = (store.reads(), &scope());
    let (early, late) = (&upload(10), &upload(20));
    let request = RequestKey {
        principal: "ROLE_BUSINESS/shop".to_owned(),
        request_id: "1".to_owned(),
        content: sealed(),
        method: "fill",
    };
    let fill = |tx: Tx| async move {
        let reading = Reading { profile: Profile::Meta, default_region: None };
        for upload in [early, late] {
            uploads::insert(&tx, scope, upload, reading).await?;
            for number in 0..5 {
                let batch = StoredBatch {
                    number,
                    content: sealed(),
                    report: BatchReport::default(),
                    members: vec![0; 4],
                };
                uploads::insert_batch(&tx, scope, &upload.upload_id, &batch).await?;
            }
        }
        for day in [3, 4] {
            let people = RoaringBitmap::from([1, 70_000]);
            members::add(&tx, scope, "aud", &people, 0, day, 70_000).await?;
        }
        Ok(())
    };
    store.once(&request, at(5), fill).await.unwrap();

    let state = async |upload: &Upload| {
        let (found, _) = uploads::find(db, scope, &upload.upload_id).await.unwrap();
        let batches = uploads::batch_numbers(db, scope, &upload.upload_id).await.unwrap();
        (found.state, batches.len())
    };
    // In portions, however many there are.
    let expire = |tx: Tx| async move { uploads::expire(&tx, at(10), 2).await };
    for left in [(UploadState::Open, 3), (UploadState::Open, 1), (UploadState::Expired, 0)] {
        assert!(store.locking("expire", expire).await.unwrap());
        assert_eq!(state(early).await, left);
    }
    assert!(!store.locking("expire", expire).await.unwrap());
    assert_eq!(state(late).await, (UploadState::Open, 5));

    // An open one stays, however late it is; one that has ended is forgotten with its time.
    assert_eq!(uploads::forget(db, at(10)).await.unwrap(), 0);
    assert_eq!(uploads::forget(db, at(21)).await.unwrap(), 1);
    let gone = uploads::find(db, scope, &early.upload_id).await;
    assert!(matches!(gone, Err(Error::UploadUnknown)));
    assert_eq!(state(late).await, (UploadState::Open, 5));

    assert_eq!(members::drop_ended(db, 3).await.unwrap(), 2);
    let left = members::of_span(db, scope, &["aud"], 0, 3).await.unwrap();
    let left = left.values().map(|chunk| chunk["aud"].iter().collect::<Vec<_>>());
    assert_eq!(left.collect::<Vec<_>>(), [vec![1], vec![70_000]]);

    assert_eq!(store.forget_requests(at(5)).await.unwrap(), 0);
    assert_eq!(store.answered(&request).await.unwrap(), Some(()));
    assert_eq!(store.forget_requests(at(6)).await.unwrap(), 1);
    assert_eq!(store.answered::<()>(&request).await.unwrap(), None);
}

/// What is done for a list depends on how large the directory is, not on who is in the list.
async fn as_many_statements_are_done_whoever_matched(store: Store) {
    let (store, scope) = (&store, &scope());
    // 62 chunks, some people in the first ones, in the middle and in the last.
    let last = 62 << 16;
    let nobody = RoaringBitmap::new();
    let some: RoaringBitmap = [1, 70_000, 1 << 21, 45 << 16, last].into();
    let everybody: RoaringBitmap = (0..=last).step_by(100).collect();
    let mut done = BTreeSet::new();
    for people in [&nobody, &some, &everybody] {
        let before = store.db.statements();
        for _ in 0..2 {
            let change = |tx: Tx| async move {
                let added = members::add(&tx, scope, "aud", people, 1, 5, last).await?;
                let removed = members::remove(&tx, scope, "aud", people, 1, 5, last).await?;
                assert_eq!(added, removed);
                members::add(&tx, scope, "aud", people, 2, 5, last).await
            };
            store.locking("change", change).await.unwrap();
            let mut found = RoaringBitmap::new();
            for span in members::spans(last) {
                let all = members::of_span(store.reads(), scope, &["aud"], span, 4).await.unwrap();
                found.extend(all.values().flat_map(|chunk| &chunk["aud"]));
            }
            assert_eq!(&found, people);
        }
        let clear = |tx: Tx| async move { members::clear(&tx, scope, "aud").await };
        store.locking("clear", clear).await.unwrap();
        done.insert(store.db.statements() - before);
    }
    // Twice two for each of three changes, and two to read, all of it twice; two to clear.
    assert_eq!(done, BTreeSet::from([30]));
}

async fn releases_go_with_their_lists(store: Store) {
    let (db, scope) = (store.reads(), &scope());
    let audience = &Audience {
        audience_id: "aud".to_owned(),
        display_name: "Customers".to_owned(),
        description: String::new(),
        source: CustomerSource::Both,
        lifetime: Lifetime::DEFAULT,
        version: 1,
        last_upload: RowCounts::default(),
        size: None,
        sized_version: None,
        created_at: at(0),
        updated_at: at(0),
    };
    let insert = |tx: Tx| async move { audiences::insert(&tx, scope, audience).await };
    store.locking("insert", insert).await.unwrap();
    let key = |version: u64| {
        let versions = BTreeMap::from([("aud".to_owned(), version)]);
        Expression::of_audience("aud").release_key(&versions)
    };
    let noise = Noise::for_releases(NonZeroU32::MIN);
    for version in [1, 2] {
        let count = MaskedCount::of(&Expression::of_audience("aud"));
        let drawn = Released::draw(count, &noise, &mut StdRng::seed_from_u64(version), at(1));
        let key = key(version);
        let keep = |tx: Tx| async move {
            let spent = releases::lock_spent(&tx, "owner").await?;
            assert_eq!((spent.ever, spent.drawn.len() as u64), (version - 1, version - 1));
            releases::keep(&tx, scope, &key, drawn, spent).await
        };
        store.locking("keep", keep).await.unwrap();
        assert_eq!(releases::find(db, scope, &key).await.unwrap(), Some(drawn));
    }
    let kept = async |version| releases::find(db, scope, &key(version)).await.unwrap().is_some();
    let change = |tx: Tx| async move {
        audiences::save_list(&tx, scope, audience.clone(), &BTreeSet::from([3])).await
    };
    store.locking("change", change).await.unwrap();
    assert_eq!(audiences::find(db, scope, "aud").await.unwrap().version, 2);
    assert_eq!((kept(1).await, kept(2).await), (false, true));
    let delete = |tx: Tx| async move { audiences::delete(&tx, scope, "aud", at(2)).await };
    store.locking("delete", delete).await.unwrap();
    assert!(!kept(2).await);

    let list_changes::Tail::Changes(changes, 2) = list_changes::after(db, 0, 5).await.unwrap()
    else {
        panic!("both changes are still kept")
    };
    let chunks: Vec<_> = changes.into_iter().map(|change| change.chunks).collect();
    assert_eq!(chunks, [BTreeSet::from([3]), BTreeSet::new()]);
    let prune = |tx: Tx| async move { list_changes::prune(&tx, at(1)).await };
    store.locking("prune", prune).await.unwrap();
    let tail = list_changes::after(db, 0, 5).await.unwrap();
    assert!(matches!(tail, list_changes::Tail::Gone));
}

macro_rules! on_both_stores {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                let directory = tempfile::tempdir().unwrap();
                let file = directory.path().join("store.db");
                let url = format!("sqlite:{}", file.display());
                super::$name(super::open(url).await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::open(super::Postgres::shared().database()).await).await;
            })*
        }
    };
}

on_both_stores!(
    as_many_statements_are_done_whoever_matched,
    releases_go_with_their_lists,
    the_directory_forgets,
    whoever_lapses_is_counted_no_more,
    uploads_memberships_and_requests_are_forgotten
);
