//! How often people use the apps: which days are open, what is counted of one, and the only way
//! from a count to a figure.

use std::{fmt, num::NonZeroU32, str::FromStr};

use rand::CryptoRng;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use service_kit::clock::UnixMillis;
use thiserror::Error;

use super::{expression::Sensitivity, noise::Noise};

/// How many days after a day its activity is still taken.
const LATE: u16 = 3;

/// The days of a week's figure.
const WEEK: usize = 7;

/// The days of a month's figure, and of the distribution of active days: four weeks, so that each has
/// as many Sundays as the other.
pub const MONTH: usize = 28;

/// For how many days in a row of one person's activity the noise is measured.
const PERIOD: usize = 30;

/// How many figures of one app everything that one person does in [`PERIOD`] days in a row can
/// change, each by one at most: those of the days themselves; of weeks that have one of these days;
/// of months that do, two each. For a person who comes into a month or leaves it changes its figure
/// and one number of its distribution, and one who is in it either way changes two numbers of that.
const CHANGED: usize = PERIOD + (PERIOD + WEEK - 1) + 2 * (PERIOD + MONTH - 1);

/// The smallest figure that is ever told.
const MINIMUM: u64 = 1_000;

/// How many standard deviations the minimum has at least, so that nothing is told by noise alone.
const CLEAR: u32 = 8;

/// A calendar day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(i32);

/// Not a calendar day, as in 2026-03-31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a day, as in 2026-03-31")]
pub struct NotADay;

impl Day {
    /// The day of an instant.
    pub fn of(at: UnixMillis) -> Self {
        Self(super::day_of(at))
    }

    /// From the days since 1970-01-01.
    pub const fn stored(number: i32) -> Self {
        Self(number)
    }

    /// The days since 1970-01-01.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// So many days later.
    #[must_use]
    pub fn plus(self, days: u16) -> Self {
        Self(self.0.saturating_add(days.into()))
    }

    /// So many days earlier.
    #[must_use]
    pub fn minus(self, days: u16) -> Self {
        Self(self.0.saturating_sub(days.into()))
    }

    /// How many days after `earlier` this is; none when it is before.
    pub fn since(self, earlier: Self) -> Option<usize> {
        usize::try_from(self.0.checked_sub(earlier.0)?).ok()
    }

    /// The earliest day that counts in the month which ends with this one.
    #[must_use]
    pub fn month_begins(self) -> Self {
        self.minus(u16::try_from(MONTH - 1).unwrap_or(u16::MAX))
    }
}

// Between days and dates: years that begin in March, so that leap days come last, in eras of 400
// years, which have 146,097 days (Hinnant: chrono-Compatible Low-Level Date Algorithms, 2013).

/// From 0000-03-01 to 1970-01-01.
const EPOCH: i32 = 719_468;
const ERA: i32 = 146_097;

impl FromStr for Day {
    type Err = NotADay;

    fn from_str(text: &str) -> Result<Self, NotADay> {
        let mut parts = text.splitn(3, '-').map(|part| part.parse::<u16>().map(i32::from));
        let (Some(Ok(year)), Some(Ok(month)), Some(Ok(day))) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(NotADay);
        };
        let from_march = (month + 9).rem_euclid(12);
        let year = year - i32::from(month <= 2);
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let of_year = (153 * from_march + 2) / 5 + day - 1;
        let read = Self(era * ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH);
        // A date that there is not would be written otherwise.
        if read.to_string() == text { Ok(read) } else { Err(NotADay) }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = i64::from(self.0) + i64::from(EPOCH);
        let (era, of_era) = (days.div_euclid(ERA.into()), days.rem_euclid(ERA.into()));
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = era * 400 + year + i64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// The earliest day whose activity is still taken today.
pub fn first_open(today: Day) -> Day {
    today.minus(LATE)
}

/// Whether a day's activity is taken today.
pub fn is_open(day: Day, today: Day) -> bool {
    (first_open(today)..=today).contains(&day)
}

/// How many people used an app, or any, in the month that ends with a day. It is made where people
/// are counted and read where figures are drawn; nothing else can look inside.
#[derive(Debug, Default)]
pub struct Tally {
    daily: u64,
    weekly: u64,
    monthly: u64,
    /// At 0: those who were active on one day.
    active_days: [u64; MONTH],
}

impl Tally {
    /// Adds the people of one chunk, who share the upper 16 bits of their ordinals. `active` has
    /// who was active on the day, on the day before, and so on; only those in `live` count.
    pub fn add(&mut self, active: &[RoaringBitmap; MONTH], live: &RoaringBitmap) {
        let mut days = vec![0_u8; 1 << 16];
        let mut week = RoaringBitmap::new();
        for (before, people) in active.iter().enumerate() {
            let people = people & live;
            if before == 0 {
                self.daily += people.len();
            }
            for ordinal in &people {
                days[(ordinal & 0xFFFF) as usize] += 1;
            }
            if before < WEEK {
                week |= people;
            }
        }
        self.weekly += week.len();
        for active in days.into_iter().filter(|active| *active > 0) {
            self.monthly += 1;
            self.active_days[usize::from(active) - 1] += 1;
        }
    }
}

/// A day's figures of one app, or across: as they were drawn, for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayFigures {
    /// Distinct people on the day; absent, like all that follows, below the minimum.
    pub daily: Option<u64>,
    /// In the seven days that end with it.
    pub weekly: Option<u64>,
    /// In the [`MONTH`].
    pub monthly: Option<u64>,
    /// How many people were active on so many of the month's days, where it is told.
    pub active_days: Vec<(u32, u64)>,
    /// What is told is not less.
    pub minimum: u64,
    /// Of the noise of each figure.
    pub standard_deviation: u32,
    /// When they were drawn.
    pub at: UnixMillis,
}

impl DayFigures {
    /// Those of an app that nobody used, drawn with these.
    #[must_use]
    pub fn of_nobody(&self) -> Self {
        let Self { minimum, standard_deviation, at, .. } = *self;
        let (daily, weekly, monthly) = (None, None, None);
        let active_days = Vec::new();
        Self { daily, weekly, monthly, active_days, minimum, standard_deviation, at }
    }
}

/// The noise of figures, and what of them is told.
#[derive(Debug, Clone)]
pub struct FigureNoise {
    noise: Option<Noise>,
    minimum: u64,
}

impl FigureNoise {
    /// For so many apps: with it, everything that one person does in 30 days in a row, in all of
    /// them, is no easier to tell from all figures that it ever changes than one yes or no from a
    /// window of releases of sizes (μ = 0.25).
    pub fn for_apps(apps: usize) -> Self {
        // Each app's figures, and those across.
        let changed = CHANGED.saturating_mul(apps.saturating_add(1));
        let changed = u32::try_from(changed).unwrap_or(u32::MAX);
        let noise = Noise::for_releases(NonZeroU32::new(changed).unwrap_or(NonZeroU32::MIN));
        let minimum = MINIMUM.max((CLEAR * noise.sigma()).into());
        Self { noise: Some(noise), minimum }
    }

    /// None, and everything is told: for tests of what is counted.
    pub const fn none() -> Self {
        Self { noise: None, minimum: 0 }
    }

    /// Draws a day's figures.
    pub fn draw(&self, tally: &Tally, at: UnixMillis, rng: &mut impl CryptoRng) -> DayFigures {
        let mut figure = |count: u64| {
            let drawn = self.noise.as_ref().map_or(0, |noise| noise.draw(Sensitivity::One, rng));
            // Less than nobody is below the minimum too.
            let noisy = count.checked_add_signed(drawn).unwrap_or(0);
            (noisy >= self.minimum).then_some(noisy)
        };
        let (daily, weekly) = (figure(tally.daily), figure(tally.weekly));
        let monthly = figure(tally.monthly);
        let active_days = (1..).zip(tally.active_days);
        let active_days = active_days.filter_map(|(days, count)| Some((days, figure(count)?)));
        DayFigures {
            daily,
            weekly,
            monthly,
            active_days: active_days.collect(),
            minimum: self.minimum,
            standard_deviation: self.noise.as_ref().map_or(0, Noise::sigma),
            at,
        }
    }
}

#[cfg(test)]
mod tests;
