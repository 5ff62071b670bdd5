#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use identifiers::MatchKey;
use service_kit::{
    clock::{Clock, UnixMillis},
    config::Secret,
    store::{StoreConfig, Tx},
};
use tempfile::TempDir;

use super::Directory;
use crate::{
    domain::{Agreed, NOBODY, Until},
    store::{
        Database as _, Store,
        directory::{self, Entry},
    },
};

async fn store(directory: &TempDir) -> Store {
    let url = format!("sqlite:{}/store", directory.path().display());
    let config = StoreConfig { url: Secret::new(url), ..StoreConfig::default() };
    Store::migrate(&config).await.unwrap();
    Store::open(&config).await.unwrap()
}

const fn key(byte: u8) -> MatchKey {
    MatchKey::from_bytes([byte; 16])
}

/// Somebody registers with one key; their ordinals are 0, 1 and so on.
async fn register(store: &Store, byte: u8) {
    let entry = Entry {
        subject_id: format!("subject-{byte}"),
        agreed: Agreed { transfer: Until::NEVER, ads: Until::NEVER, revision: 1 },
        keys: Some(vec![key(byte)]),
        other_keys: Vec::new(),
    };
    let entry = &entry;
    let settle = |tx: Tx| async move {
        let writer = directory::begin(&tx).await?;
        let known = writer.known(&tx, std::iter::once(&*entry.subject_id)).await?;
        let nobody = |keys: &[MatchKey]| vec![NOBODY; keys.len()];
        let entries = std::slice::from_ref(entry);
        writer.settle(&tx, entries, &known, nobody, 1, UnixMillis::new(1)).await
    };
    store.locking("settle", settle).await.unwrap();
}

async fn load(store: &Store, snapshot: &Path) -> Directory {
    let clock = Clock::manual(UnixMillis::new(1));
    Directory::load(store.clone(), clock, Some(snapshot.to_owned())).await.unwrap()
}

fn found(directory: &Directory, keys: &[u8]) -> Vec<u32> {
    let keys: Vec<_> = keys.iter().map(|byte| key(*byte)).collect();
    let mut found = Vec::new();
    directory.index().probe_many(&keys, &mut found);
    found
}

/// A store where two people registered, the second of them after the snapshot was written, and of
/// which everybody's rows are gone: whoever reads everybody finds nobody.
async fn two(directory: &TempDir) -> Store {
    let store = store(directory).await;
    register(&store, 1).await;
    let memory = load(&store, &directory.path().join("index")).await;
    assert_eq!(found(&memory, &[1, 2]), [0, NOBODY]);
    let written = memory.keep(None).await;
    assert!(written.is_some());
    register(&store, 2).await;
    store.reads().execute_unprepared("DELETE FROM directory_subject").await.unwrap();
    store
}

#[tokio::test]
async fn a_start_from_a_snapshot_reads_only_what_changed_since() {
    let directory = tempfile::tempdir().unwrap();
    let store = two(&directory).await;
    let memory = load(&store, &directory.path().join("index")).await;
    assert_eq!(found(&memory, &[1, 2, 3]), [0, 1, NOBODY]);
    assert_eq!(memory.countable().iter().collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn a_snapshot_is_written_again_only_when_something_changed() {
    let directory = tempfile::tempdir().unwrap();
    let (store, path) = (two(&directory).await, directory.path().join("index"));
    let memory = load(&store, &path).await;
    let written = memory.keep(None).await;
    fs::remove_file(&path).unwrap();
    assert_eq!(memory.keep(written).await, written);
    assert!(!path.exists());
    register(&store, 3).await;
    memory.catch_up().await.unwrap();
    assert_ne!(memory.keep(written).await, written);
    assert!(path.exists());
}

#[tokio::test]
async fn a_snapshot_that_is_damaged_too_old_or_of_another_database_is_not_used() {
    let of_another = tempfile::tempdir().unwrap();
    two(&of_another).await;
    for spoil in 0..3 {
        let directory = tempfile::tempdir().unwrap();
        let (store, path) = (two(&directory).await, directory.path().join("index"));
        match spoil {
            0 => {
                let mut bytes = fs::read(&path).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                fs::write(&path, bytes).unwrap();
            }
            1 => {
                let prune =
                    |tx: Tx| async move { directory::prune_changes(&tx, UnixMillis::new(2)).await };
                store.locking("prune", prune).await.unwrap();
            }
            _ => drop(fs::copy(of_another.path().join("index"), &path).unwrap()),
        }
        let memory = load(&store, &path).await;
        assert_eq!(found(&memory, &[1, 2]), [NOBODY, NOBODY], "{spoil}");
    }
}

#[tokio::test]
async fn a_database_that_was_set_back_to_a_copy_is_read_anew() {
    let directory = tempfile::tempdir().unwrap();
    let store = store(&directory).await;
    register(&store, 1).await;
    let memory = load(&store, &directory.path().join("index")).await;
    // Another history of as many changes, and one of fewer.
    for change in ["last_mark = zeroblob(16)", "last_change = 0"] {
        let sql = format!(
            "DELETE FROM directory_subject; DELETE FROM directory_change;
             UPDATE directory_counter SET {change}"
        );
        store.reads().execute_unprepared(&sql).await.unwrap();
        memory.catch_up().await.unwrap();
        assert_eq!(found(&memory, &[1]), [NOBODY], "{change}");
        register(&store, 1).await;
        memory.catch_up().await.unwrap();
        assert_ne!(found(&memory, &[1]), [NOBODY], "{change}");
    }
}
