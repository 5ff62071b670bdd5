#![allow(clippy::unwrap_used)]

use std::{fs, io, os::unix::fs::PermissionsExt};

use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::{FORMAT, MAGIC, Section, Snapshot, SnapshotError, SnapshotFile};
use crate::{
    domain::NOBODY,
    index::{
        Index,
        entry::{Entry, Prefix, SEGMENTS},
        tests::{key, keys, probe, set, set_all},
    },
};

const MARK: [u8; 16] = *b"of one database.";

fn written(index: &Index, sections: &[Section]) -> Vec<u8> {
    index.write_to(Vec::new(), -5, MARK, sections).unwrap()
}

fn read(bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
    SnapshotFile::begin(bytes, bytes.len() as u64)?.read()
}

pub(in crate::index) fn write_and_read(index: &Index) -> Index {
    read(&written(index, &[])).unwrap().index
}

fn some() -> (Index, Vec<Section>) {
    let index = Index::default();
    index.apply(&set_all(&keys(&[], 100), 0));
    let section = |name: &str, length| Section { name: name.into(), bytes: vec![7; length] };
    (index, vec![section("live", 30), section("", 0)])
}

#[test]
fn a_snapshot_gives_back_what_was_written_and_what_was_not_merged_yet() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let (index, sections) = some();
    fs::write(directory.path().join("index.new"), "what a killed process left").unwrap();
    for position in [1, i64::MAX] {
        index.apply(&[set(key(&[], 200), 5), set(key(&[], 0), None)]);
        index.write_snapshot(&path, position, MARK, &sections).unwrap();
        let file = SnapshotFile::open(&path).unwrap();
        assert_eq!((file.position(), file.mark()), (position, MARK));
        let snapshot = file.read().unwrap();
        assert_eq!(snapshot.sections, sections);
        let keys = keys(&[], 201);
        assert_eq!(probe(&snapshot.index, &keys), probe(&index, &keys));
        assert_eq!(probe(&snapshot.index, &[keys[0], keys[1], keys[200]]), [NOBODY, 1, 5]);
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_snapshot_that_cannot_be_written_leaves_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let (index, _) = some();
    index.write_snapshot(&path, 1, MARK, &[]).unwrap();
    fs::create_dir(directory.path().join("index.new")).unwrap();
    let failed = index.write_snapshot(&path, 2, MARK, &[]);
    assert!(matches!(failed, Err(SnapshotError::Io(_))));
    assert_eq!(SnapshotFile::open(&path).unwrap().position(), 1);
}

#[test]
fn a_file_that_is_something_else_is_refused_with_the_reason() {
    let (index, sections) = some();
    let good = written(&index, &sections);
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        read(&changed).unwrap_err()
    };
    assert!(matches!(with(0, b"A"), SnapshotError::NotASnapshot));
    assert!(matches!(with(8, &[2]), SnapshotError::OtherFormat(2)));
    assert!(matches!(with(12, b"O"), SnapshotError::Damaged));
    let missing = SnapshotFile::open("/nowhere/index".as_ref());
    let Err(SnapshotError::Io(error)) = missing else { panic!("{missing:?}") };
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    // A file that ends before the length that was asked for.
    let short = SnapshotFile::begin(&good[..100], good.len() as u64).and_then(SnapshotFile::read);
    assert!(matches!(short, Err(SnapshotError::Io(_))));
}

#[test]
fn a_file_that_was_cut_or_lengthened_is_refused() {
    let (index, sections) = some();
    let mut good = written(&index, &sections);
    for length in (0..good.len()).step_by(7).chain([good.len() - 1]) {
        assert!(matches!(read(&good[..length]), Err(SnapshotError::Damaged)), "{length}");
    }
    good.push(0);
    assert!(matches!(read(&good), Err(SnapshotError::Damaged)));
}

/// Bytes with right hashes, whatever else is wrong in them.
#[derive(Default)]
struct Forged(Vec<u8>);

impl Forged {
    fn header(sections: u32) -> Self {
        let mut forged = Self::default();
        let (format, position) = (FORMAT.to_le_bytes(), 1_i64.to_le_bytes());
        forged.part(&[&MAGIC, &format, &position, &MARK, &sections.to_le_bytes()]);
        forged
    }

    fn part(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.0.extend(*part);
        }
        self.0.extend(xxh3_64(&self.0).to_le_bytes());
    }

    fn segment(&mut self, count: u64, entries: &[Entry]) {
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_bytes()).collect();
        self.part(&[&count.to_le_bytes(), &bytes]);
    }
}

#[test]
fn content_that_was_never_written_is_refused_though_its_hashes_are_right() {
    let entry = |byte, ordinal| Entry::new(Prefix::of(&key(&[byte; 10], 0)), ordinal);
    let forged = |count, entries: &[Entry]| {
        let mut forged = Forged::header(0);
        forged.segment(count, entries);
        (1..SEGMENTS).for_each(|_| forged.segment(0, &[]));
        read(&forged.0)
    };
    let good = forged(2, &[entry(1, 10), entry(2, 20)]).unwrap();
    assert_eq!(probe(&good.index, &[key(&[2; 10], 1)]), [20]);
    let bad: [(u64, &[Entry]); 8] = [
        (2, &[entry(2, 20), entry(1, 10)]),
        (2, &[entry(1, 10), entry(1, 10)]),
        (1, &[entry(4, 10)]),
        (1, &[entry(1, NOBODY)]),
        (0, &[entry(1, 10)]),
        (2, &[entry(1, 10)]),
        (u64::MAX, &[entry(1, 10)]),
        (1 << 40, &[entry(1, 10)]),
    ];
    for (count, entries) in bad {
        assert!(matches!(forged(count, entries), Err(SnapshotError::Damaged)), "{count}");
    }
    let sections = |parts: &[&[u8]]| {
        let mut forged = Forged::header(1);
        forged.part(parts);
        (0..SEGMENTS).for_each(|_| forged.segment(0, &[]));
        read(&forged.0)
    };
    assert!(sections(&[&[1, 0, 0, 0], b"a", &[0; 8]]).is_ok());
    let bad: [&[&[u8]]; 3] =
        [&[&[1, 0, 0, 0], &[0xff], &[0; 8]], &[&[0xff; 4], &[0; 8]], &[&[0; 4], &[0xff; 8]]];
    for parts in bad {
        assert!(matches!(sections(parts), Err(SnapshotError::Damaged)), "{parts:?}");
    }
}

#[test]
fn a_flipped_bit_is_noticed_wherever_it_is() {
    let (index, sections) = some();
    let good = written(&index, &sections);
    proptest!(|(at: prop::sample::Index, bit in 0..8_u8)| {
        let mut bytes = good.clone();
        bytes[at.index(good.len())] ^= 1 << bit;
        prop_assert!(read(&bytes).is_err());
    });
}

proptest! {
    #[test]
    fn any_bytes_are_refused(
        known in 0_usize..60,
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        length in prop_oneof![Just(None), any::<u64>().prop_map(Some)],
    ) {
        // Some begin well.
        let mut all = Forged::header(2).0;
        all.truncate(known);
        all.extend(bytes);
        // With no more bytes than the length says, it is not the memory that runs out.
        let length = length.unwrap_or(all.len() as u64).min(1 << 24);
        let read = SnapshotFile::begin(&all[..], length).and_then(SnapshotFile::read);
        prop_assert!(read.is_err());
    }

    #[test]
    fn segments_of_any_bytes_with_right_hashes_are_read_or_refused(
        segments in prop::collection::vec(
            (0_u64..6, prop::collection::vec(prop::array::uniform14(0_u8..3), 0..6)),
            SEGMENTS,
        ),
    ) {
        let mut forged = Forged::header(0);
        for (count, entries) in segments {
            let entries: Vec<_> = entries.into_iter().map(Entry::from_bytes).collect();
            forged.segment(count, &entries);
        }
        if let Ok(snapshot) = read(&forged.0) {
            prop_assert_eq!(snapshot.index.size().changed, 0);
        }
    }
}
