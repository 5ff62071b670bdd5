//! A full disk under SQLite: what was acknowledged is there, checks are answered, and writes go on
//! when there is room again.

use std::{
    fs::File,
    io::Write,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use tokio::{task::block_in_place, time::sleep};
use tonic::Code;

use super::load::{Load, failures};
use crate::{
    cluster::Cluster,
    support::{connect, service_binary},
};

/// A file system of its own, of 16 MB, over a directory; the schema, and the service.
const ON_A_SMALL_DISK: &str = r#"
mount -t tmpfs -o size=16m none "$1" || exit 70
"$2" --config "$3" migrate && exec "$2" --config "$3"
"#;

/// How long there is no room, at least.
const HELD: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let _shared = super::ALONE.read().await;
    let directory = tempfile::tempdir().unwrap();
    let disk = tempfile::tempdir().unwrap();
    let cluster = block_in_place(|| Cluster::new(directory.path(), ""));
    let store = format!("[store]\nurl = \"sqlite://{}/consent.db\"\n", disk.path().display());
    let file = cluster.configuration("consent-svc", &store, "127.0.0.1:0");
    // In a namespace of users and mounts of its own: nobody else sees the disk, and nobody needs
    // to be root for it.
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK, "sh"]);
    command.arg(disk.path()).arg(service_binary("consent-svc")).arg(file);
    let (process, url, _) = block_in_place(|| cluster.launch("consent-svc", &mut command));

    let mut load = Load::new(directory.path(), connect(&url).await);
    let policy = load.publish().await;
    load.people(4, &policy);
    until(|| done(&load, "Withdraw", None) > 50).await;

    // The disk as the process sees it.
    let root = PathBuf::from(format!("/proc/{}/root", process.id()));
    let ballast = root.join(disk.path().strip_prefix("/").unwrap()).join("ballast");
    let full = Instant::now();
    // Again and again: what the database gives back is taken, too.
    until(|| {
        fill(&ballast);
        refused(&load) > 0
    })
    .await;
    while full.elapsed() < HELD {
        fill(&ballast);
        sleep(Duration::from_millis(20)).await;
    }
    let during: Vec<_> = {
        let book = load.book.lock().unwrap();
        book.calls.iter().filter(|call| call.until > full).cloned().collect()
    };
    let (asked, written): (Vec<_>, Vec<_>) = during.iter().partition(|call| call.method == "Check");
    assert!(asked.iter().all(|call| call.failed.is_none()));
    // Whoever asks is answered all the while.
    assert!(load.answered().await);
    let freed = Instant::now();
    std::fs::remove_file(&ballast).unwrap();
    until(|| done(&load, "Withdraw", Some(freed)) > 20).await;
    let again = load
        .book
        .lock()
        .unwrap()
        .calls
        .iter()
        .filter(|call| call.failed.is_some())
        .map(|call| call.until)
        .max();
    let again = again.unwrap().saturating_duration_since(freed);
    let book = load.end().await;
    println!(
        "RELIABILITY | disk full (SQLite) | {} writes, {}; {} checks answered | well after {} ms | {} calls, \
         nothing acknowledged was lost",
        written.len(),
        failures(written.iter().copied()),
        asked.len(),
        again.as_millis(),
        book.calls.len()
    );
    drop(process);
}

/// Writes until there is no room.
fn fill(ballast: &PathBuf) {
    let mut file = File::options().create(true).append(true).open(ballast).unwrap();
    for size in [64 << 10, 4 << 10, 512, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
}

/// How many calls of a method were done; of those that began since then.
fn done(load: &Load, method: &str, since: Option<Instant>) -> usize {
    let book = load.book.lock().unwrap();
    let done = book.calls.iter().filter(|call| call.method == method && call.failed.is_none());
    done.filter(|call| since.is_none_or(|since| call.begun > since)).count()
}

fn refused(load: &Load) -> usize {
    let book = load.book.lock().unwrap();
    book.calls.iter().filter(|call| call.failed == Some(Code::Unavailable)).count()
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        sleep(Duration::from_millis(20)).await;
    }
}
