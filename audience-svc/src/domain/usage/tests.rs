#![allow(clippy::unwrap_used)]

use std::array;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::domain::accounting::{balanced_accuracy, mu};

const AT: UnixMillis = UnixMillis::new(5);

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

#[test]
fn days_are_read_and_written_as_dates() {
    for (text, number) in [
        ("1970-01-01", 0),
        ("1969-12-31", -1),
        ("2000-02-29", 11_016),
        ("2000-03-01", 11_017),
        ("2027-01-15", 20_833),
        ("0000-03-01", -EPOCH),
        ("0000-01-01", -EPOCH - 60),
        ("9999-12-31", 2_932_896),
    ] {
        assert_eq!(day(text), Day(number), "{text}");
        assert_eq!(Day(number).to_string(), text);
    }
    for number in -800_000..800_000 {
        let text = Day(number).to_string();
        if !text.starts_with('-') {
            assert_eq!(day(&text), Day(number), "{text}");
        }
    }
    for bad in ["", "2026-02-29", "1900-02-29", "2026-1-01", "2026-13-01", "2026-01-00", "x-y-z"] {
        assert_eq!(bad.parse::<Day>(), Err(NotADay), "{bad}");
    }
}

#[test]
fn a_day_is_open_until_the_third_day_after_it() {
    let today = day("2027-01-15");
    for (text, open) in
        [("2027-01-11", false), ("2027-01-12", true), ("2027-01-15", true), ("2027-01-16", false)]
    {
        assert_eq!(is_open(day(text), today), open, "{text}");
    }
    assert_eq!(Day::of(UnixMillis::new(86_400_000 - 1)), Day(0));
    assert_eq!(Day::of(UnixMillis::new(86_400_000)), Day(1));
}

/// Who was active how many days before, drawn with a seed; ordinals of the third chunk.
fn some_activity(rng: &mut StdRng) -> [RoaringBitmap; MONTH] {
    array::from_fn(|_| (0..40).filter(|_| rng.random_bool(0.2)).map(|one| 3 << 16 | one).collect())
}

fn tally(active: &[RoaringBitmap; MONTH], live: &RoaringBitmap) -> Tally {
    let mut tally = Tally::default();
    tally.add(active, live);
    tally
}

/// Everything that is counted, in one row.
fn counts(tally: &Tally) -> Vec<u64> {
    [tally.daily, tally.weekly, tally.monthly].into_iter().chain(tally.active_days).collect()
}

#[test]
fn people_are_counted_as_one_by_one() {
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..50 {
        let active = some_activity(&mut rng);
        let live: RoaringBitmap = (0..30).map(|one| 3 << 16 | one).collect();
        let tally = tally(&active, &live);
        let mut expected = Tally::default();
        for person in &live {
            let on = |days: &[RoaringBitmap]| days.iter().filter(|d| d.contains(person)).count();
            expected.daily += u64::from(on(&active[..1]) > 0);
            expected.weekly += u64::from(on(&active[..7]) > 0);
            expected.monthly += u64::from(on(&active) > 0);
            if let Some(days) = on(&active).checked_sub(1) {
                expected.active_days[days] += 1;
            }
        }
        assert_eq!(counts(&tally), counts(&expected));
    }
}

/// What one person does in 30 days, changed at will, against every figure of every day: no more
/// figures change than the noise is made for, none by more than one, and there is activity that
/// changes as many.
#[test]
fn what_one_person_does_in_a_period_changes_no_more_than_is_claimed() {
    const DAYS: usize = 200;
    let figures = |active: &[bool; DAYS]| {
        let mut all = Vec::new();
        for last in 0..DAYS {
            let before = |back: usize| last.checked_sub(back).is_some_and(|day| active[day]);
            let month = array::from_fn(|back| RoaringBitmap::from_iter(before(back).then_some(9)));
            all.extend(counts(&tally(&month, &RoaringBitmap::from([9]))));
        }
        all
    };
    let mut rng = StdRng::seed_from_u64(2);
    let mut most = 0;
    for case in 0..20 {
        let density = rng.random_range(0.0..0.3);
        // At first, nothing and then everything.
        let one: [bool; DAYS] = array::from_fn(|_| case > 0 && rng.random_bool(density));
        let mut other = one;
        for active in &mut other[60..60 + PERIOD] {
            *active = case == 0 || rng.random_bool(0.5);
        }
        let (one, other) = (figures(&one), figures(&other));
        let changes = one.iter().zip(&other).map(|(one, other)| one.abs_diff(*other));
        assert!(changes.clone().all(|change| change <= 1));
        most = most.max(changes.sum::<u64>());
    }
    assert_eq!((most, CHANGED), (180, 180));
}

#[test]
fn the_figures_of_the_documents() {
    let sigma = |apps| FigureNoise::for_apps(apps).draw(&Tally::default(), AT, &mut rand::rng());
    let sigmas = [1, 2, 3, 5, 10].map(|apps| sigma(apps).standard_deviation);
    assert_eq!(sigmas, [76, 93, 107, 131, 178]);
    assert_eq!((sigma(2).minimum, sigma(5).minimum), (1_000, 1_048));
    for apps in 0..100_u32 {
        let sigma = sigma(apps as usize).standard_deviation;
        assert!(balanced_accuracy(mu(180 * (apps + 1), sigma)) < 0.55, "{apps}");
    }
    let near = |value: f64, figure: f64| assert!((value - figure).abs() < 0.000_5, "{value}");
    // Of two apps: the period; all figures of 30 days; one day's activity; all figures of a year.
    near(balanced_accuracy(mu(3 * 180, 93)), 0.5497);
    near(balanced_accuracy(mu(3 * 120, 93)), 0.5406);
    near(balanced_accuracy(mu(3 * 64, 93)), 0.5297);
    near(balanced_accuracy(mu(3 * 4 * 365, 93)), 0.6390);
}

#[test]
fn figures_have_noise_of_the_stated_size_and_none_is_below_the_minimum() {
    let mut rng = StdRng::seed_from_u64(3);
    let noise = FigureNoise::for_apps(2);
    let tally = Tally { daily: 1_100, weekly: 5_000, monthly: 40, active_days: [5_000; MONTH] };
    let (mut told, mut squares, mut drawn) = (0, 0.0, 0.0);
    for _ in 0..200 {
        let figures = noise.draw(&tally, AT, &mut rng);
        told += usize::from(figures.daily.is_some());
        assert!(figures.daily.is_none_or(|daily| daily >= 1_000));
        assert_eq!(figures.monthly, None);
        assert_eq!(figures.active_days.len(), MONTH);
        for (_, people) in figures.active_days {
            squares += f64::from(i32::try_from(people).unwrap() - 5_000).powi(2);
            drawn += 1.0;
        }
    }
    // At one deviation above the minimum: five of six.
    assert!((140..190).contains(&told), "{told}");
    let deviation = (squares / drawn).sqrt();
    assert!((deviation - 93.0).abs() < 4.0, "{deviation}");
}

#[test]
fn without_noise_everything_is_told() {
    let tally = Tally { daily: 1, weekly: 2, monthly: 3, active_days: [4; MONTH] };
    let figures = FigureNoise::none().draw(&tally, AT, &mut rand::rng());
    assert_eq!((figures.daily, figures.weekly, figures.monthly), (Some(1), Some(2), Some(3)));
    assert_eq!(figures.active_days.last(), Some(&(28, 4)));
}

#[test]
fn an_app_that_nobody_used_tells_nothing() {
    let noise = FigureNoise::for_apps(2);
    let nobody = noise.draw(&Tally::default(), AT, &mut rand::rng());
    let crowd = Tally { daily: 9_999, ..Tally::default() };
    let crowd = noise.draw(&crowd, AT, &mut rand::rng());
    assert_eq!(crowd.of_nobody(), nobody);
}
