//! The feed while replicas write and readers come and go.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use proto::consent::v1::EventKind;

use crate::{calls::*, harness::*};

on_shared_stores!(nothing_is_lost_or_doubled, a_cursor_is_good_at_every_replica);

/// A small generator, so that a run can be repeated.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

/// What was acknowledged, and by what time.
type Acknowledged = Mutex<BTreeMap<(String, u64), i64>>;

async fn write(world: &World, writer: usize, acknowledged: &Acknowledged) {
    for round in 0..60 {
        // Some subjects are a writer's own, some are everybody's.
        let id = if round % 3 == 0 {
            format!("all-{}", round % 4)
        } else {
            format!("w{writer}-{round}")
        };
        let revision = if round % 2 == 0 {
            world.put(&id, ["US", "DE", "FR"][(round + writer) % 3]).await.revision
        } else {
            world.put(&id, "US").await;
            world.withdraw(&id, &[ADS]).await.unwrap().revision
        };
        world.clock.advance(Duration::from_millis(1));
        acknowledged.lock().unwrap().entry((id, revision)).or_insert(world.now());
        world.clock.advance(Duration::from_millis(1));
    }
}

/// Reads everything, with a new connection to any of the replicas every few steps.
async fn follow(
    worlds: [&World; 2],
    done: &AtomicBool,
    acknowledged: &Acknowledged,
    seed: u64,
) -> Vec<(String, u64)> {
    let mut random = Seeded(seed);
    let (mut told, mut known) = (Vec::new(), HashSet::new());
    let mut cursor = Vec::new();
    loop {
        let at = worlds[usize::try_from(random.next() % 2).unwrap()];
        // Before the stream begins: what it has sent ahead of being read may be of before.
        let finished = done.load(Ordering::SeqCst);
        let mut stream = at.watch(&cursor, &[ADS]).await.unwrap();
        for _ in 0..random.next() % 5 {
            let step = step(&mut stream).await.unwrap();
            let (none, is_checkpoint) = (step.events.is_empty(), step.checkpoint.is_some());
            cursor = step.cursor;
            for event in step.events {
                if event.kind() != EventKind::PolicyChanged {
                    known.insert((event.subject_id.clone(), event.revision));
                    told.push((event.subject_id, event.revision));
                }
            }
            if let Some(checkpoint) = step.checkpoint.map(millis) {
                for (write, by) in &*acknowledged.lock().unwrap() {
                    assert!(
                        *by >= checkpoint || known.contains(write),
                        "{write:?} was there by {by} and not told by the checkpoint {checkpoint}"
                    );
                }
            }
            if finished && none && is_checkpoint {
                return told;
            }
        }
    }
}

async fn nothing_is_lost_or_doubled(one: World) {
    let other = one.replica(one.clock.clone()).await;
    one.announce("sharing", opt_out()).await;
    let (acknowledged, done) = (Acknowledged::default(), AtomicBool::new(false));
    let writers = async {
        let writers = (0..8).map(|n| write([&one, &other][n % 2], n, &acknowledged));
        futures::future::join_all(writers).await;
        done.store(true, Ordering::SeqCst);
    };
    let worlds = [&one, &other];
    let ((), first, second, third) = tokio::join!(
        writers,
        follow(worlds, &done, &acknowledged, 1),
        follow(worlds, &done, &acknowledged, 2),
        follow(worlds, &done, &acknowledged, 3),
    );
    let mut written: Vec<(String, u64)> = Vec::new();
    let ids: HashSet<String> =
        acknowledged.lock().unwrap().keys().map(|(id, _)| id.clone()).collect();
    for id in ids {
        written.extend(one.events(&id).await.into_iter().map(|event| (id.clone(), event.revision)));
    }
    written.sort_unstable();
    assert!(written.len() > 400);
    for mut told in [first, second, third] {
        // In each subject's own order.
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for (id, revision) in &told {
            assert_eq!(*revision, last.insert(id, *revision).unwrap_or(0) + 1, "{id}");
        }
        told.sort_unstable();
        assert_eq!(told, written);
    }
    let all = one.told(&[], &[ADS]).await.0;
    assert_eq!(all, other.told(&[], &[ADS]).await.0);
}

async fn a_cursor_is_good_at_every_replica(one: World) {
    let other = one.replica(one.clock.clone()).await;
    one.put("anna", "US").await;
    let (_, cursor) = one.told(&[], &[]).await;
    other.put("bert", "US").await;
    let (rest, end) = other.told(&cursor, &[]).await;
    assert_eq!(facts(&rest), [(EventKind::SubjectPut, "bert".to_owned(), START)]);
    assert_eq!(one.told(&end, &[]).await.0, []);
    // What one writes is told by the other's open stream.
    let mut stream = other.watch(&end, &[]).await.unwrap();
    for n in 0..10 {
        let id = format!("p{n}");
        one.put(&id, "US").await;
        let mut told = step(&mut stream).await.unwrap();
        while told.events.is_empty() {
            told = step(&mut stream).await.unwrap();
        }
        assert_eq!(facts(&told.events), [(EventKind::SubjectPut, id, START)]);
    }
}
