//! A batch of which every row finds somebody cannot be told from one of which none does: not by
//! status, answer or text, not by what is stored, and not by time.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use futures::future::join_all;
use prost::Message as _;
use proto::{
    audience::v1::{self as wire, UploadMode},
    types::v1::IdentifierKind,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use service_kit::{
    clock::{Clock, UnixMillis},
    store::Synchronous,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Streaming};

use crate::{
    consent::{ADS, Consents, TRANSFER},
    rows::{batch, external, person, sha256},
    world::{Callers, Engine, World},
};

/// Batches of each class.
const BATCHES: usize = 10_000;
/// Batches of each class where there is a difference.
const CONTROLS: usize = 1_000;
/// Commits of each class, and how many are on their way at once.
const COMMITS: usize = 200;
const AT_ONCE: usize = 20;
/// Rows of a batch.
const ROWS: usize = 100;
/// Those who are found, and as many digests that nobody has.
const PEOPLE: usize = 1_000;
const SEED: u64 = 20_261_123;

async fn start(clock: Clock) -> World {
    let configure = |config: &mut audience_svc::AudienceConfig| {
        // The disk is not to hide what the work takes.
        config.store.synchronous = Synchronous::Normal;
        config.releases.per_window = NonZeroU32::new(10_000).unwrap();
        config.uploads.max_open = 1_000;
    };
    let world = World::start_as(clock, Engine::Sqlite, true, Consents::default(), configure).await;
    let callers = world.callers();
    callers.open_business("shop").await;
    let subjects: Vec<_> = (0..PEOPLE).map(|n| format!("hit-{n}")).collect();
    world.consents.grant_quietly(&subjects, &[TRANSFER, ADS]);
    let people = subjects.iter().map(|subject| person(subject, vec![external(subject)]));
    callers.register_all(people.collect()).await;
    world
}

/// Rows by class: digests that find somebody, and as many that do not.
struct Rows([Vec<u8>; 2]);

impl Rows {
    fn new() -> Self {
        // Twice, so that rows may begin with any of them.
        Self(["miss", "hit"].map(|class| {
            (0..2 * PEOPLE).flat_map(|n| sha256(&format!("{class}-{}", n % PEOPLE))).collect()
        }))
    }

    fn draw(&self, hit: bool, rows: usize, random: &mut StdRng) -> Vec<u8> {
        let first = random.random_range(0..PEOPLE);
        self.0[usize::from(hit)][32 * first..32 * (first + rows)].to_vec()
    }
}

/// One stream of batches to one upload; each is sent when the one before was answered.
struct Appending {
    upload: String,
    sender: mpsc::Sender<wire::AppendUploadRequest>,
    answers: Streaming<wire::AppendUploadResponse>,
    number: u32,
}

impl Appending {
    async fn open(callers: &Callers<'_>) -> Self {
        let audience = callers.create_audience().await;
        let upload = callers.open_upload(&audience, UploadMode::Add).await;
        let (sender, batches) = mpsc::channel(1);
        let answers = callers.shop().append_upload(ReceiverStream::new(batches)).await.unwrap();
        Self { upload, sender, answers: answers.into_inner(), number: 0 }
    }

    /// Sends the next batch. Gives how long its answer took, which says of it what anybody could
    /// say who has only the batch.
    async fn append(&mut self, packed_sha256: Vec<u8>) -> Duration {
        let rows = u32::try_from(packed_sha256.len() / 32).unwrap();
        let message = wire::AppendUploadRequest {
            packed_sha256,
            packed_kind: IdentifierKind::ExternalId.into(),
            ..batch(&self.upload, self.number, vec![])
        };
        let expected = wire::AppendUploadResponse {
            batch_number: self.number,
            rows_received: rows,
            ..Default::default()
        };
        self.number += 1;
        let began = Instant::now();
        self.sender.send(message).await.unwrap();
        let answer = self.answers.message().await.unwrap().unwrap();
        let taken = began.elapsed();
        assert_eq!(answer.encode_to_vec(), expected.encode_to_vec());
        taken
    }
}

/// How often a time of the second class is longer than one of the first, equal ones counting
/// half: the area under the curve of the classifier that goes by time (Mann and Whitney, 1947).
fn auc(classes: &[Vec<Duration>; 2]) -> f64 {
    let all = classes.iter().zip([false, true]);
    let mut all: Vec<_> =
        all.flat_map(|(times, second)| times.iter().map(move |time| (*time, second))).collect();
    all.sort_unstable();
    let (mut firsts, mut twice) = (0_usize, 0_usize);
    for same in all.chunk_by(|(a, _), (b, _)| a == b) {
        let seconds = same.iter().filter(|(_, second)| *second).count();
        twice += seconds * (2 * firsts + same.len() - seconds);
        firsts += same.len() - seconds;
    }
    as_float(twice) / 2.0 / as_float(classes[0].len()) / as_float(classes[1].len())
}

/// The standard deviation of an AUC if nothing tells the classes apart.
fn deviation(each: usize) -> f64 {
    (as_float(2 * each + 1) / (12.0 * as_float(each * each))).sqrt()
}

/// Far below 2^53.
#[allow(clippy::cast_precision_loss)]
fn as_float(number: usize) -> f64 {
    number as f64
}

/// As many of each class, in an order that is drawn: whatever else the machine does, it does to
/// both alike.
fn shuffled(each: usize, random: &mut StdRng) -> Vec<bool> {
    let mut order: Vec<_> = (0..2 * each).map(|n| n % 2 == 1).collect();
    for n in (1..order.len()).rev() {
        order.swap(n, random.random_range(0..=n));
    }
    order
}

#[test]
fn the_area_is_that_of_all_pairs() {
    let mut random = StdRng::seed_from_u64(SEED);
    let mut times = |upto| {
        let time = |_| Duration::from_nanos(random.random_range(0..upto));
        (0..40).map(time).collect::<Vec<_>>()
    };
    let classes = [times(30), times(40)];
    let mut sum = 0.0;
    for first in &classes[0] {
        for second in &classes[1] {
            sum += match second.cmp(first) {
                std::cmp::Ordering::Less => 0.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Greater => 1.0,
            };
        }
    }
    assert!((auc(&classes) - sum / 1_600.0).abs() < 1e-9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_hits_and_of_misses_cannot_be_told_apart() {
    let world = start(Clock::manual(UnixMillis::new(1_800_000_000_000))).await;
    let callers = world.callers();
    let (rows, mut random) = (Rows::new(), StdRng::seed_from_u64(SEED));
    let mut upload = Appending::open(&callers).await;
    let mut classes = [Vec::new(), Vec::new()];
    for hit in shuffled(BATCHES, &mut random) {
        let taken = upload.append(rows.draw(hit, ROWS, &mut random)).await;
        classes[usize::from(hit)].push(taken);
    }
    let by_time = auc(&classes);

    // What is stored has one shape.
    let shapes = "SELECT DISTINCT length(members), length(content), length(rejections), \
                  length(rows_refused), rows_received, rows_duplicate FROM upload_batch";
    assert_eq!(world.rows("SELECT 1 FROM upload_batch", []).await, 2 * BATCHES);
    assert_eq!(world.rows(shapes, []).await, 1);

    // Half as many rows again do show.
    let mut classes = [Vec::new(), Vec::new()];
    let mut upload = Appending::open(&callers).await;
    for more in shuffled(CONTROLS, &mut random) {
        let many = if more { ROWS + ROWS / 2 } else { ROWS };
        classes[usize::from(more)].push(upload.append(rows.draw(false, many, &mut random)).await);
    }
    let control = auc(&classes);
    println!(
        "AppendUpload, {BATCHES} each: AUC {by_time:.4}; half as many rows again: {control:.4}"
    );
    assert!((0.48..=0.52).contains(&by_time), "{by_time}");
    assert!(control > 0.52 + 3.0 * deviation(CONTROLS), "{control}");
}

/// What the batches of a class are answered with which something is wrong.
async fn complaints(
    callers: &Callers<'_>,
    rows: &[u8],
) -> (Vec<wire::AppendUploadResponse>, Vec<(Code, String, Vec<u8>)>) {
    let audience = callers.create_audience().await;
    let upload = callers.open_upload(&audience, UploadMode::Add).await;
    let packed = |number, packed: &[u8]| wire::AppendUploadRequest {
        packed_sha256: packed.to_vec(),
        packed_kind: IdentifierKind::ExternalId.into(),
        ..batch(&upload, number, vec![external("")])
    };
    // A row twice, and one that is refused.
    let answers = callers.append(vec![packed(0, &[rows, &rows[..32]].concat())]).await.unwrap();
    let mut refused = Vec::new();
    for bad in [
        // Another batch of the same number, a digest and a half, and a number too high.
        packed(0, &rows[32..]),
        packed(1, &rows[16..]),
        packed(u32::MAX, rows),
    ] {
        let status = callers.append(vec![bad]).await.unwrap_err();
        let text = status.message().replace(&upload, "");
        refused.push((status.code(), text, status.details().to_vec()));
    }
    (answers, refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_batch_is_told_alike_whoever_matches() {
    let world = start(Clock::manual(UnixMillis::new(1_800_000_000_000))).await;
    let callers = world.callers();
    let (rows, mut random) = (Rows::new(), StdRng::seed_from_u64(SEED));
    let hits = complaints(&callers, &rows.draw(true, ROWS, &mut random)).await;
    let misses = complaints(&callers, &rows.draw(false, ROWS, &mut random)).await;
    assert_eq!(hits, misses);
    assert_eq!((hits.0[0].rows_duplicate, hits.0[0].rows_invalid), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_of_hits_and_of_misses_cannot_be_told_apart() {
    let world = start(Clock::system()).await;
    let callers = world.callers();
    let (rows, mut random) = (Rows::new(), StdRng::seed_from_u64(SEED));
    let mut classes = [Vec::new(), Vec::new()];
    for some in shuffled(COMMITS, &mut random).chunks(AT_ONCE) {
        let mut uploads = Vec::new();
        for hit in some {
            let audience = callers.create_audience().await;
            let upload = callers.open_upload(&audience, UploadMode::Add).await;
            let rows = wire::AppendUploadRequest {
                packed_sha256: rows.draw(*hit, ROWS, &mut random),
                packed_kind: IdentifierKind::ExternalId.into(),
                ..batch(&upload, 0, vec![])
            };
            callers.append(vec![rows]).await.unwrap();
            uploads.push((*hit, upload));
        }
        let commit = async |(hit, upload): (bool, String)| {
            let began = Instant::now();
            callers.commit(&upload, 1).await.unwrap();
            (hit, began.elapsed())
        };
        for (hit, taken) in join_all(uploads.into_iter().map(commit)).await {
            classes[usize::from(hit)].push(taken);
        }
    }
    let by_time = auc(&classes);
    println!("CommitUpload, {COMMITS} each: AUC {by_time:.4}");
    // Four standard deviations and a half: 0.37 to 0.63.
    assert!((by_time - 0.5).abs() < 4.5 * deviation(COMMITS), "{by_time}");
}
