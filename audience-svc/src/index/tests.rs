#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use identifiers::MatchKey;
use proptest::prelude::*;

use super::{
    Change, Index, Loading,
    base::Base,
    entry::{BLOCKS, Entry, Prefix, SEGMENTS},
};
use crate::domain::NOBODY;

/// A key that begins like this. Its first ten bytes are its own, if there is room for the number.
pub(super) fn key(head: &[u8], number: u64) -> MatchKey {
    // An odd factor (of SplitMix64) keeps numbers apart in any number of their lower bytes.
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let mut bytes = [0; 16];
    let (start, rest) = bytes[..10].split_at_mut(head.len());
    start.copy_from_slice(head);
    let room = rest.len().min(8);
    rest[..room].copy_from_slice(&spread[8 - room..]);
    MatchKey::from_bytes(bytes)
}

/// Numbered from 0.
pub(super) fn keys(head: &[u8], count: u64) -> Vec<MatchKey> {
    (0..count).map(|number| key(head, number)).collect()
}

/// Sets each key to its number, counted from here.
pub(super) fn set_all(keys: &[MatchKey], first: u32) -> Vec<Change> {
    keys.iter().zip(first..).map(|(key, ordinal)| set(*key, ordinal)).collect()
}

pub(super) fn set(key: MatchKey, ordinal: impl Into<Option<u32>>) -> Change {
    Change { key, ordinal: ordinal.into() }
}

pub(super) fn probe(index: &Index, keys: &[MatchKey]) -> Vec<u32> {
    let mut found = Vec::new();
    index.probe_many(keys, &mut found);
    found
}

fn merge_all(index: &Index) {
    (0..SEGMENTS).for_each(|segment| drop(index.merge(segment, &mut index.writing())));
}

#[test]
fn answers_every_key_in_order_and_follows_changes() {
    let key = |byte| MatchKey::from_bytes([byte; 16]);
    let index = Index::default();
    index.apply(&[
        set(key(1), 10),
        set(key(2), 20),
        set(key(1), 11),
        set(key(2), None),
        set(key(9), NOBODY),
    ]);
    let mut found = vec![7];
    index.probe_many(&[key(2), key(1), key(3), key(9)], &mut found);
    assert_eq!(found, [7, NOBODY, 11, NOBODY, NOBODY]);
    let mut content = Loading::default();
    content.insert(key(3), 30);
    let index = content.finish();
    assert_eq!(probe(&index, &[key(1), key(3)]), [NOBODY, 30]);
    assert!(probe(&index, &[]).is_empty());
    // Memory that nothing was written to is no key.
    assert_eq!(probe(&Index::default(), &[key(0)]), [NOBODY]);
}

#[test]
fn every_number_of_keys_is_answered_whether_or_not_it_fills_groups() {
    let index = Index::default();
    let keys = keys(&[], 2100);
    index.apply(&set_all(&keys, 0));
    for count in [1, 2, 31, 32, 33, 63, 64, 65, 1023, 1024, 1025, 2048, 2100] {
        let expected: Vec<u32> = (0..).take(count).collect();
        assert_eq!(probe(&index, &keys[..count]), expected);
    }
}

#[test]
fn two_keys_of_one_prefix_are_one() {
    let [one, other] = [1, 2].map(|last| {
        let mut bytes = [5; 16];
        bytes[10..].fill(last);
        MatchKey::from_bytes(bytes)
    });
    let index = Index::default();
    index.apply(&[set(one, 10), set(other, 20)]);
    assert_eq!(probe(&index, &[one, other]), [20, 20]);
    merge_all(&index);
    assert_eq!(probe(&index, &[one, other]), [20, 20]);
    index.apply(&[set(one, None)]);
    merge_all(&index);
    assert_eq!(probe(&index, &[one, other]), [NOBODY, NOBODY]);
}

#[test]
fn a_page_or_a_bucket_with_more_keys_than_it_should_have_answers_all_of_them() {
    // Keys of one bucket, of one page, of one block.
    for head in [&[3; 8][..], &[3; 4], &[3; 2]] {
        let index = Index::default();
        let keys = keys(head, 1200);
        index.apply(&set_all(&keys[..1000], 0));
        merge_all(&index);
        let expected: Vec<_> = (0..1000).chain([NOBODY; 200]).collect();
        assert!(probe(&index, &keys) == expected, "{head:?}");
    }
}

#[test]
fn an_index_is_made_of_keys_in_any_order_and_the_last_ordinal_counts() {
    // More of each segment than is collected at a time.
    let keys = keys(&[], 60_000);
    let mut content = Loading::default();
    for ordinal in [4, 5] {
        keys[1..].iter().rev().for_each(|key| content.insert(*key, ordinal));
    }
    let index = content.finish();
    let found = probe(&index, &keys);
    assert_eq!(found[0], NOBODY);
    assert!(found[1..].iter().all(|ordinal| *ordinal == 5));
    assert_eq!((index.size().keys, index.size().changed), (keys.len() - 1, 0));
}

/// Entries of segment 1, one for each number, in ascending order.
fn entries(numbers: impl Iterator<Item = usize>, ordinal: u32) -> Vec<Entry> {
    let of = |number: usize| {
        let fingerprint = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Entry::new(Prefix::new(1, number % BLOCKS, fingerprint), ordinal)
    };
    let mut entries: Vec<_> = numbers.map(of).collect();
    entries.sort_by_key(|entry| entry.prefix());
    entries
}

#[test]
fn a_base_grows_and_shrinks_through_other_numbers_of_pages() {
    /// As many as fit one page in each block.
    const ONE: usize = 160 * BLOCKS;
    let mut base = Base::default();
    let mut spare = None;
    // The memory of the base before the last one is written over where it has room.
    let mut merge = |changes: &[Entry]| {
        let merged = base.merged(1, changes, spare.take());
        spare = Some(std::mem::replace(&mut base, merged).into_memory());
        (base.entries(1).collect::<Vec<_>>(), base.keys(), base.pages)
    };
    let mut pages = Vec::new();
    let mut count = 0;
    for next in [0, 1, ONE / 2, ONE, ONE / 8 * 9, 2 * ONE] {
        let (found, keys, now) = merge(&entries(count..next, 1));
        count = next;
        assert!(found == entries(0..count, 1));
        assert_eq!(keys, count);
        pages.push(now);
    }
    for left in [3, 6, 12] {
        let (found, keys, now) =
            merge(&entries((0..count).filter(|number| number % left != 0), NOBODY));
        assert!(found == entries((0..count).step_by(left), 1));
        assert_eq!(keys, found.len());
        pages.push(now);
    }
    assert_eq!(pages, [1, 1, 1, 1, 1, 2, 2, 1, 1]);
}

#[test]
fn pages_without_a_change_move_when_others_make_the_base_grow() {
    let base = Base::default().merged(1, &entries(0..1000, 1), None);
    // All of one block.
    let changes = entries((5..400 * BLOCKS * BLOCKS).step_by(BLOCKS), 2);
    let merged = base.merged(1, &changes, None);
    assert_ne!(base.pages, merged.pages);
    let of_block = |entry: &Entry| entry.prefix().block() == 5;
    let mut expected = changes.clone();
    expected.extend(base.entries(1).filter(|entry| !of_block(entry)));
    expected.sort_by_key(|entry| entry.prefix());
    assert!(merged.entries(1).eq(expected));
}

#[test]
fn a_key_takes_less_than_twelve_and_a_half_bytes() {
    let base = Base::default().merged(1, &entries(0..160 * BLOCKS, 1), None);
    assert!(base.bytes() * 2 <= base.keys() * 25, "{} bytes", base.bytes());
}

#[derive(Debug, Clone)]
enum Step {
    Apply(Vec<(u8, u16, Option<u32>)>),
    /// Changes of so many keys that segments are merged.
    ApplyMany(u8, u32),
    Load(Vec<(u8, u16, u32)>),
    MergeAll,
    WriteAndRead,
}

/// Heads of keys: any segment; one segment; one block; one bucket.
const HEADS: [&[u8]; 4] = [&[], &[0xff], &[0, 0], &[9; 8]];

fn key_of(head: u8, number: u16) -> MatchKey {
    key(HEADS[usize::from(head)], u64::from(number))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = || prop_oneof![0_u16..20, 0_u16..3000];
    let ordinal = || 0_u32..NOBODY;
    let change = (0_u8..4, number(), prop::option::weighted(0.7, ordinal()));
    let step = prop_oneof![
        4 => prop::collection::vec(change, 0..300).prop_map(Step::Apply),
        2 => (0_u8..4, ordinal()).prop_map(|(head, ordinal)| Step::ApplyMany(head, ordinal)),
        1 => prop::collection::vec((0_u8..4, number(), ordinal()), 0..300).prop_map(Step::Load),
        1 => Just(Step::MergeAll),
        1 => Just(Step::WriteAndRead),
    ];
    prop::collection::vec(step, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn it_answers_as_a_map_does(steps in steps()) {
        let mut index = Index::default();
        let mut map = HashMap::new();
        for step in steps {
            match step {
                Step::Apply(changes) => {
                    let changes: Vec<_> = changes
                        .into_iter()
                        .map(|(head, number, ordinal)| set(key_of(head, number), ordinal))
                        .collect();
                    index.apply(&changes);
                    map.extend(changes.iter().map(|it| (it.key, it.ordinal)));
                }
                Step::ApplyMany(head, ordinal) => {
                    let changes: Vec<_> =
                        (0..2000).map(|number| set(key_of(head, number), ordinal)).collect();
                    index.apply(&changes);
                    map.extend(changes.iter().map(|it| (it.key, it.ordinal)));
                }
                Step::Load(content) => {
                    let mut load = Loading::default();
                    map.clear();
                    for (head, number, ordinal) in content {
                        load.insert(key_of(head, number), ordinal);
                        map.insert(key_of(head, number), Some(ordinal));
                    }
                    index = load.finish();
                }
                Step::MergeAll => merge_all(&index),
                Step::WriteAndRead => index = super::snapshot::tests::write_and_read(&index),
            }
            let keys: Vec<_> =
                (0..4).flat_map(|head| (0..3000).map(move |it| key_of(head, it))).collect();
            let expected: Vec<_> = keys
                .iter()
                .map(|key| map.get(key).copied().flatten().unwrap_or(NOBODY))
                .collect();
            prop_assert_eq!(probe(&index, &keys), expected);
        }
    }
}

#[test]
fn probes_beside_changes_and_merges_see_each_key_before_or_after_a_change() {
    // Miri is thorough and slow.
    const KEYS: u32 = if cfg!(miri) { 40 } else { 3000 };
    const ROUNDS: u32 = if cfg!(miri) { 2 } else { 60 };
    // All are in one segment: every round merges it, and so does another thread.
    let keys = keys(&[1], KEYS.into());
    let index = Index::default();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut before = vec![0; keys.len()];
                while !done.load(Ordering::Acquire) {
                    let mut rounds = probe(&index, &keys);
                    for (round, number) in rounds.iter_mut().zip(0..) {
                        // An ordinal says the key and the round in which it was set.
                        if *round == NOBODY {
                            *round = 0;
                        } else {
                            assert_eq!(*round % KEYS, number);
                            *round /= KEYS;
                        }
                    }
                    assert!(before.iter().zip(&rounds).all(|(before, now)| before <= now));
                    before = rounds;
                }
            });
        }
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                merge_all(&index);
            }
        });
        // Nobody else changes the keys: what is lost in a merge is missing here.
        let kept = (1..=ROUNDS).all(|round| {
            let changes = set_all(&keys, round * KEYS);
            changes.chunks(100).for_each(|some| index.apply(some));
            let found = probe(&index, &keys);
            found.iter().zip(&changes).all(|(now, change)| Some(*now) == change.ordinal)
        });
        done.store(true, Ordering::Release);
        assert!(kept);
    });
    merge_all(&index);
    assert_eq!((index.size().keys, index.size().changed), (keys.len(), 0));
}
