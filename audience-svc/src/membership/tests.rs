#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use proptest::{collection::vec, prelude::*, sample::select};

use super::{block::MAX_ROWS, ledger::Ledger, *};

const TODAY: MemberDay = 100;

/// On both sides of the edges of blocks and chunks.
const PLACES: [u32; 8] = [0, 1, 62, 63, 64, 128, 4_097, 65_535];
const CHUNKS: [u16; 3] = [0, 1, u16::MAX];

fn cohort(audience: u32, expires_on: MemberDay) -> Cohort {
    Cohort { audience, expires_on, business: audience + 1_000 }
}

fn people(chunk: u16, places: &[u32]) -> RoaringBitmap {
    places.iter().map(|place| (u32::from(chunk) << 16) + place).collect()
}

fn audiences_of(index: &Memberships, ordinal: u32, today: MemberDay) -> Vec<Cohort> {
    let mut found = vec![cohort(99, 99)];
    index.audiences_of(ordinal, today, &mut found);
    found
}

fn sweep_all(index: &Memberships) {
    assert!((0..1_000).any(|_| !index.sweep(1_000)), "sweeping ends");
    assert_eq!(index.census().dead, 0);
}

type Rows = Vec<(Cohort, RoaringBitmap)>;

#[derive(Debug, Clone)]
enum Step {
    LoadChunk(u16, Rows),
    SetChunk(Cohort, u16, RoaringBitmap),
    SetAudienceChunk(u32, u16, Rows),
    EndAudience(u32),
    DropEnded(MemberDay),
    Forget(RoaringBitmap),
    Sweep(usize),
}

fn chunks() -> impl Strategy<Value = u16> {
    select(CHUNKS.as_slice())
}

fn members(chunk: u16) -> impl Strategy<Value = RoaringBitmap> {
    vec(select(PLACES.as_slice()), 0..8).prop_map(move |places| people(chunk, &places))
}

fn cohorts() -> impl Strategy<Value = Cohort> {
    (0..4_u32, TODAY - 1..TODAY + 4).prop_map(|(audience, day)| cohort(audience, day))
}

/// A chunk and rows of it, no cohort twice.
fn rows(
    cohorts: impl Strategy<Value = Cohort> + Clone,
) -> impl Strategy<Value = (u16, Rows)> + Clone {
    let cohorts = vec(cohorts, 0..6);
    let drawn = (select(CHUNKS.as_slice()), cohorts, vec(vec(select(PLACES.as_slice()), 0..8), 6));
    drawn.prop_map(|(chunk, cohorts, places)| {
        let members = places.iter().map(|places| people(chunk, places));
        let rows: BTreeMap<_, _> = cohorts.into_iter().zip(members).collect();
        // Descending: not the order in which the index keeps them.
        (chunk, rows.into_iter().rev().collect())
    })
}

fn steps() -> impl Strategy<Value = Step> {
    let any_cohort = (0..4_u32, TODAY - 1..TODAY + 4).prop_map(|(a, day)| cohort(a, day));
    let set = (cohorts(), chunks())
        .prop_flat_map(|(cohort, chunk)| (Just(cohort), Just(chunk), members(chunk)));
    let of_audience = (0..4_u32).prop_flat_map(|audience| {
        let days = TODAY - 1..TODAY + 4;
        (Just(audience), rows(days.prop_map(move |day| cohort(audience, day))))
    });
    let forgotten = chunks().prop_flat_map(members);
    let forgotten = vec(forgotten, 1..3)
        .prop_map(|sets| sets.into_iter().fold(RoaringBitmap::new(), |all, some| all | some));
    prop_oneof![
        2 => rows(any_cohort).prop_map(|(chunk, rows)| Step::LoadChunk(chunk, rows)),
        8 => set.prop_map(|(cohort, chunk, row)| Step::SetChunk(cohort, chunk, row)),
        4 => of_audience.prop_map(|(a, (chunk, rows))| Step::SetAudienceChunk(a, chunk, rows)),
        1 => (0..4_u32).prop_map(Step::EndAudience),
        1 => (TODAY - 1..TODAY + 2).prop_map(Step::DropEnded),
        2 => forgotten.prop_map(Step::Forget),
        3 => (1..2_000_usize).prop_map(Step::Sweep),
    ]
}

/// The rows of the database.
#[derive(Debug, Default)]
struct Oracle(BTreeMap<(u16, Cohort), RoaringBitmap>);

impl Oracle {
    fn apply(&mut self, step: Step) {
        match step {
            Step::LoadChunk(chunk, rows) => {
                self.0.retain(|row, _| row.0 != chunk);
                self.extend(chunk, rows);
            }
            Step::SetChunk(cohort, chunk, row) => self.extend(chunk, vec![(cohort, row)]),
            Step::SetAudienceChunk(audience, chunk, rows) => {
                self.0.retain(|row, _| row.0 != chunk || row.1.audience != audience);
                self.extend(chunk, rows);
            }
            Step::EndAudience(audience) => self.0.retain(|row, _| row.1.audience != audience),
            Step::DropEnded(today) => self.0.retain(|row, _| row.1.expires_on > today),
            Step::Forget(people) => self.0.values_mut().for_each(|row| *row -= &people),
            Step::Sweep(_) => {}
        }
    }

    fn extend(&mut self, chunk: u16, rows: Rows) {
        self.0.extend(rows.into_iter().map(|(cohort, row)| ((chunk, cohort), row)));
    }

    fn audiences_of(&self, ordinal: u32, today: MemberDay) -> Vec<Cohort> {
        let current = self
            .0
            .iter()
            .filter(|((_, cohort), row)| cohort.expires_on > today && row.contains(ordinal));
        // The cohort that leaves last stays.
        let last: BTreeMap<_, _> =
            current.map(|((_, cohort), _)| (cohort.audience, *cohort)).collect();
        last.into_values().collect()
    }
}

fn apply(index: &Memberships, step: &Step) {
    match step {
        Step::LoadChunk(chunk, rows) => index.load_chunk(*chunk, rows).unwrap(),
        Step::SetChunk(cohort, chunk, row) => index.set_chunk(*cohort, *chunk, row).unwrap(),
        Step::SetAudienceChunk(audience, chunk, rows) => {
            index.set_audience_chunk(*audience, *chunk, rows).unwrap();
        }
        Step::EndAudience(audience) => index.end_audience(*audience),
        Step::DropEnded(today) => index.drop_ended(*today),
        Step::Forget(people) => index.forget(people),
        Step::Sweep(budget) => drop(index.sweep(*budget)),
    }
}

fn assert_same(index: &Memberships, oracle: &Oracle) {
    for chunk in CHUNKS {
        // One place that nobody has ever had, too.
        for ordinal in people(chunk, &PLACES) | people(chunk, &[2]) {
            for today in [TODAY - 2, TODAY, TODAY + 2] {
                let expected = oracle.audiences_of(ordinal, today);
                assert_eq!(audiences_of(index, ordinal, today), expected, "{ordinal}, {today}");
                for audience in 0..5 {
                    let is_in = expected.iter().any(|cohort| cohort.audience == audience);
                    assert_eq!(index.is_in(ordinal, audience, today), is_in);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn answers_like_the_rows_whatever_was_done(steps in vec(steps(), 1..40)) {
        let (index, mut oracle) = (Memberships::default(), Oracle::default());
        for step in steps {
            apply(&index, &step);
            oracle.apply(step);
            assert_same(&index, &oracle);
        }
        sweep_all(&index);
        assert_same(&index, &oracle);
        let memberships: u64 = oracle.0.values().map(RoaringBitmap::len).sum();
        prop_assert_eq!(index.census().entries as u64, memberships);
    }
}

#[test]
fn an_audience_is_found_once_as_the_cohort_that_leaves_last() {
    let index = Memberships::default();
    for day in [TODAY + 2, TODAY, TODAY + 5, TODAY + 1] {
        index.set_chunk(cohort(7, day), 0, &people(0, &[9])).unwrap();
    }
    assert_eq!(audiences_of(&index, 9, TODAY), [cohort(7, TODAY + 5)]);
    assert_eq!(audiences_of(&index, 9, TODAY + 5), []);
}

#[test]
fn a_row_with_members_of_another_chunk_is_refused_and_changes_nothing() {
    let index = Memberships::default();
    index.set_chunk(cohort(1, 200), 3, &people(3, &[5])).unwrap();
    let before = index.census();
    for members in [people(3, &[5]) | people(4, &[5]), people(2, &[5]) | people(3, &[5])] {
        let refused = Err(Refused::OutsideChunk);
        assert_eq!(index.set_chunk(cohort(2, 200), 3, &members), refused);
        let rows = [(cohort(2, 200), members)];
        assert_eq!(index.set_audience_chunk(1, 3, &rows), refused);
        assert_eq!(index.load_chunk(3, &rows), refused);
    }
    assert_eq!(index.census(), before);
    assert_eq!(audiences_of(&index, (3 << 16) + 5, TODAY), [cohort(1, 200)]);
}

#[test]
fn slots_are_used_again_and_a_full_chunk_refuses() {
    let index = Memberships::default();
    // The old list has people in blocks where the new one has none: only sweeping frees its slot.
    for round in 0..1_000 {
        let places = [[1, 2, 70], [3, 4, 700]][round % 2];
        index.set_chunk(cohort(1, 200), 0, &people(0, &places)).unwrap();
        sweep_all(&index);
    }
    // Rows that are left empty are not swept at all.
    for _ in 0..10 {
        index.set_chunk(cohort(2, 200), 0, &people(0, &[1])).unwrap();
        index.forget(&people(0, &[1]));
    }
    assert_eq!(index.census().slots, 3);

    let mut full = Ledger::new(vec![0; MAX_ROWS - 1], 0);
    assert_eq!(full.check_room(2), Err(Refused::Full));
    assert_eq!(full.check_room(1), Ok(()));
    let last = full.claim();
    assert_eq!(last as usize, MAX_ROWS - 1);
    assert_eq!(full.check_room(1), Err(Refused::Full));
    full.retire(last);
    assert_eq!(full.check_room(1), Err(Refused::Full), "readers may still see its row");
    full.book(&[last], &[], &[]);
    assert_eq!((full.check_room(1), full.claim()), (Ok(()), last));
}

#[test]
fn sweeping_goes_in_portions_and_ends() {
    let index = Memberships::default();
    for chunk in 0..4 {
        let members = people(chunk, &[0, 10_000, 30_000, 50_000]);
        index
            .load_chunk(chunk, &[(cohort(1, 200), members.clone()), (cohort(2, 200), members)])
            .unwrap();
    }
    assert!(!index.sweep(0), "nothing is left when nothing has ended");
    index.end_audience(1);
    let mut left = index.census().entries;
    let portions = (1..1_000).find(|_| {
        let more = index.sweep(10);
        let now = index.census().entries;
        // No ten blocks here have more than one such entry.
        assert!(left - now <= 1);
        left = now;
        !more
    });
    assert_eq!(left, 16);
    // In each chunk the last entry is in block 781.
    assert_eq!(portions.unwrap(), 4 * 79);
}

#[test]
fn what_no_row_mentions_is_remembered_nowhere() {
    let index = Memberships::default();
    index.set_chunk(cohort(1, 200), 0, &people(0, &[1])).unwrap();
    index.set_audience_chunk(1, 0, &[(cohort(1, 201), people(0, &[1]))]).unwrap();
    assert_eq!(index.census().cohorts, 2);
    index.drop_ended(TODAY);
    let expected = Census { entries: 1, dead: 0, slots: 2, cohorts: 1 };
    assert_eq!(index.census(), expected);
    assert_eq!(index.chunks(), 1);
}

/// While a list is replaced over and over, each time in one chunk, a reader finds those who are in
/// both lists, and never those who are in neither, and who left is gone with the next look.
#[test]
fn a_reader_beside_a_replacement_sees_one_list_or_the_other() {
    let index = Memberships::default();
    // Who is in list `n`: place p, if p % 4 is 0 (in both), or 1 + n (in one); never 3.
    let list = |n: u32| {
        let places: Vec<u32> = (0..1 << 16).filter(|p| p % 4 == 0 || p % 4 == 1 + n).collect();
        people(0, &places)
    };
    let lists = [list(0), list(1)];
    let day = |n: usize| TODAY + 1 + i32::try_from(n).unwrap();
    index.set_audience_chunk(1, 0, &[(cohort(1, day(0)), lists[0].clone())]).unwrap();
    let (enough, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let enough = || enough.load(Ordering::Relaxed);
            for round in (1..10_000).take_while(|round| *round < 40 || !enough()) {
                let n = round % 2;
                let rows = [(cohort(1, day(n)), lists[n].clone())];
                index.set_audience_chunk(1, 0, &rows).unwrap();
                let left = if n == 0 { 2 } else { 1 };
                assert!(!index.is_in(left, 1, TODAY) && index.is_in(3 - left, 1, TODAY));
                index.sweep(100);
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut seen = [0; 4];
        let mut ordinal: u32 = 0;
        while !done.load(Ordering::Relaxed) {
            ordinal = (ordinal + 641) % (1 << 16);
            let is_in = index.is_in(ordinal, 1, TODAY);
            match ordinal % 4 {
                0 => assert!(is_in, "{ordinal} is in both"),
                3 => assert!(!is_in, "{ordinal} is in neither"),
                _ => {}
            }
            seen[(ordinal % 4) as usize] += u32::from(is_in);
            enough.store(seen[1].min(seen[2]) > 1_000, Ordering::Relaxed);
        }
        assert!(enough.load(Ordering::Relaxed), "both lists were looked at: {seen:?}");
    });
}

/// Chunks may be loaded side by side, and beside changes.
#[test]
fn chunks_are_loaded_side_by_side() {
    let index = Memberships::default();
    thread::scope(|scope| {
        for thread in 0..4_u16 {
            let index = &index;
            scope.spawn(move || {
                for chunk in (0..16).map(|chunk| chunk * 4 + thread) {
                    let rows = (0..50).map(|n| (cohort(n, 200), people(chunk, &[n, 100])));
                    index.load_chunk(chunk, &rows.collect::<Vec<_>>()).unwrap();
                    index.end_audience(100 + u32::from(thread));
                    index.set_chunk(cohort(60, 200), chunk, &people(chunk, &[100])).unwrap();
                }
            });
        }
    });
    sweep_all(&index);
    let expected = Census { entries: 64 * 101, dead: 0, slots: 64 * 51, cohorts: 51 };
    assert_eq!(index.census(), expected);
    assert_eq!(audiences_of(&index, (63 << 16) + 100, TODAY).len(), 51);
    assert_eq!(audiences_of(&index, (63 << 16) + 7, TODAY), [cohort(7, 200)]);
}

#[test]
fn a_chunk_may_be_loaded_while_it_is_changed() {
    let index = Memberships::default();
    let places: Vec<u32> = (0..40).map(|n| n * 64).collect();
    let row = people(0, &places);
    for round in 0..30 {
        thread::scope(|scope| {
            let (index, rows) = (&index, [(cohort(round, 200), row.clone())]);
            let loading = scope.spawn(move || index.load_chunk(0, &rows).unwrap());
            for audience in (1_000..1_010).cycle().take_while(|_| !loading.is_finished()) {
                index.set_chunk(cohort(audience, 200), 0, &row).unwrap();
            }
        });
        // What was set before the load is gone; what is counted is what is found.
        let found: usize = row.iter().map(|p| audiences_of(&index, p, TODAY).len()).sum();
        sweep_all(&index);
        assert_eq!(index.census().entries, found);
        assert!(index.is_in(0, round, TODAY));
    }
}
