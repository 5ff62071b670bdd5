//! Attacks on what a business is told: each is written once, and must succeed against a releaser
//! that hides little, and be little better than a coin against ours.
//!
//! An attack is a script of commits and questions that use up the budget. It is run once for each
//! answer to its yes or no; all that chance decides afterwards is the noise. The attacker knows
//! the script, the counts in both cases and how the noise is distributed, and decides by the
//! likelihood of all answers together: no decision is better (Neyman and Pearson).
//!
//! Scripts are played on a model of the service ([`service`]), which [`trials`] does many times
//! over, and by the integration tests on the service itself, which must do what the model predicts.

#![allow(clippy::missing_panics_doc, clippy::unwrap_used)]

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use service_kit::clock::UnixMillis;

use super::{MaskedCount, Released, noisy};
use crate::domain::{Budget, Exhausted, Expression, Noise, expression::Sensitivity};

use service::{BETWEEN, Service};

#[cfg(test)]
mod chance;
mod scripts;
mod service;
#[cfg(test)]
mod trials;

/// A business. Its owner is what stands before the slash.
pub type Business = &'static str;

/// An identifier of somebody, of one of three kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Identifier {
    /// An email.
    Email(u32),
    /// A phone number.
    Phone(u32),
    /// An external id; those of the attacker's own people, who are the same in all attacks.
    External(u32),
}

/// What a commit does with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// They come to the list.
    Add,
    /// They leave it.
    Remove,
    /// They are the list.
    Replace,
}

/// What an attacker touches. A commit asks for the list's size, too; each question comes a minute
/// after the one before.
pub trait Surface {
    /// Somebody new, who agrees and has these identifiers. Gives their number.
    fn register(&mut self, identifiers: &[Identifier]) -> u32;
    /// They agree to ads no longer.
    fn withdraw(&mut self, person: u32);
    /// Changes a list, which is made if it is not there.
    fn commit(&mut self, business: Business, list: &str, mode: Mode, rows: Vec<Identifier>);
    /// Asks for the size of an expression over the business's own lists.
    fn estimate(&mut self, business: Business, expression: &Expression);
}

/// What a business gets to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// The least and the greatest size.
    pub bounds: (i64, i64),
    /// Whether the list can be targeted.
    pub targetable: bool,
}

/// What a business does, and what it looks at.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    /// The script's.
    pub name: &'static str,
    /// Uses up so many fresh releases; for the given answer to its yes or no.
    pub script: fn(&mut dyn Surface, u32, bool),
    look: fn(Told) -> Told,
}

type Look = fn(Told) -> Told;

/// All that is told.
const EVERYTHING: Look = |told| told;
/// Only whether the list may be targeted.
const TARGETABLE: Look = |told| Told { bounds: (0, 0), ..told };

macro_rules! attacks {
    ($($script:ident from $look:ident,)*) => {
        [$(Attack { name: stringify!($script), script: scripts::$script, look: $look }),*]
    };
}

/// All attacks.
pub const ALL: [Attack; 13] = attacks![
    link_on_one_list from EVERYTHING,
    link_by_difference from EVERYTHING,
    attribution_by_difference from EVERYTHING,
    membership from EVERYTHING,
    membership_with_fresh_paddings from EVERYTHING,
    membership_at_the_minimum from TARGETABLE,
    attribute_by_exclusion from EVERYTHING,
    delta_of_an_add from EVERYTHING,
    delta_of_a_remove from EVERYTHING,
    delta_of_a_replace from EVERYTHING,
    consent_asked_again from EVERYTHING,
    consent_committed_anew from EVERYTHING,
    budget_split_over_businesses from EVERYTHING,
];

/// What decides over a business's questions, and answers them.
trait Releaser {
    /// Who pays for the releases of a business.
    fn payer(&self, business: Business) -> &'static str;
    fn allows(&self, now: UnixMillis, spent: &[UnixMillis]) -> Result<(), Exhausted>;
    /// Whether the same question gets the same release again.
    fn keeps(&self) -> bool;
    /// Everything that may be told of a count, and how likely it is.
    fn answers(&self, count: &MaskedCount) -> Vec<(f64, Told)>;
}

/// The real one. Tests that change something here expect to be noticed.
struct Ours {
    /// Fresh releases of an owner in 30 days.
    releases: NonZeroU32,
    noise: Noise,
    by_owner: bool,
    minds_sensitivity: bool,
    /// What is told of a count and its noisy figure, drawn with this σ.
    tell: fn(&MaskedCount, i64, u32) -> Told,
}

impl Ours {
    fn new(releases: NonZeroU32) -> Self {
        let noise = Noise::for_releases(releases);
        Self { releases, noise, by_owner: true, minds_sensitivity: true, tell: as_released }
    }

    fn sigma(&self, count: &MaskedCount) -> u32 {
        let blind = !self.minds_sensitivity;
        self.noise.sigma_for(if blind { Sensitivity::One } else { count.sensitivity })
    }
}

fn as_released(_: &MaskedCount, figure: i64, sigma: u32) -> Told {
    let released = Released::told(figure, sigma, UnixMillis::new(0));
    let (lower, upper) = released.bounds();
    let bounds = (lower.cast_signed(), upper.cast_signed());
    Told { bounds, targetable: released.targetable() }
}

impl Releaser for Ours {
    fn payer(&self, business: Business) -> &'static str {
        if self.by_owner { business.split_once('/').unwrap().0 } else { business }
    }

    fn allows(&self, now: UnixMillis, spent: &[UnixMillis]) -> Result<(), Exhausted> {
        Budget::new(self.releases, None).allows(now, spent, spent.len() as u64)
    }

    fn keeps(&self) -> bool {
        true
    }

    fn answers(&self, count: &MaskedCount) -> Vec<(f64, Told)> {
        let sigma = self.sigma(count);
        let tell = |(noise, p)| (p, (self.tell)(count, noisy(count.people, noise), sigma));
        distribution(sigma).map(tell).collect()
    }
}

/// The discrete Gaussian distribution, computed from its definition, out to 10σ: what lies beyond
/// is less than 10⁻²².
pub(super) fn distribution(sigma: u32) -> impl Iterator<Item = (i64, f64)> {
    let square = 2.0 * f64::from(sigma).powi(2);
    let end = 10 * sigma.cast_signed();
    let weight = move |x: i32| (-f64::from(x).powi(2) / square).exp();
    let all: f64 = (-end..=end).map(weight).sum();
    (-end..=end).map(move |x| (i64::from(x), weight(x) / all))
}

/// The logarithm of how much likelier each answer is if yes than if no.
struct Evidence(BTreeMap<Told, f64>);

impl Evidence {
    /// From all answers and their probabilities, if no and if yes.
    fn of(answers: &[Vec<(f64, Told)>; 2]) -> Self {
        let mut likelihood = BTreeMap::<Told, [f64; 2]>::new();
        for (truth, answers) in answers.iter().enumerate() {
            for (p, told) in answers {
                likelihood.entry(*told).or_default()[truth] += p;
            }
        }
        Self(likelihood.into_iter().map(|(told, [no, yes])| (told, (yes / no).ln())).collect())
    }

    fn favour(&self, told: Told) -> f64 {
        self.0[&told]
    }
}

impl Attack {
    /// Everything that may be told of a count, and how likely, as far as the attacker looks.
    fn seen(&self, releaser: &dyn Releaser, count: &MaskedCount) -> Vec<(f64, Told)> {
        let told = releaser.answers(count).into_iter();
        told.map(|(p, told)| (p, (self.look)(told))).collect()
    }

    /// What the attack leads to, but for chance, with k fresh releases.
    pub fn predict(&self, k: NonZeroU32, truth: bool) -> Prediction {
        let releaser = Ours::new(k);
        let mut service = Service::new(&releaser);
        (self.script)(&mut service, k.get(), truth);
        let after_renewal = service.ask_after_renewal();
        let (answers, drawn) = (service.answers, service.drawn);
        Prediction { answers, after_renewal, drawn, releaser }
    }

    /// Whether the answer is likelier yes than no, by what was told at each release, in order.
    pub fn decide(&self, no: &Prediction, yes: &Prediction, told: &[Told]) -> bool {
        let favour = |((no_count, yes_count), told): ((&MaskedCount, &MaskedCount), &Told)| {
            let answers = [self.seen(&no.releaser, no_count), self.seen(&yes.releaser, yes_count)];
            Evidence::of(&answers).favour((self.look)(*told))
        };
        no.drawn.iter().zip(&yes.drawn).zip(told).map(favour).sum::<f64>() > 0.0
    }
}

/// What the service must do.
pub struct Prediction {
    answers: Vec<Result<usize, Exhausted>>,
    /// The lists, and which release each has when it is asked for after the budget has come back.
    pub after_renewal: Vec<(Business, String, usize)>,
    drawn: Vec<MaskedCount>,
    releaser: Ours,
}

impl Prediction {
    /// What each question leads to: a release, by its number, and the first time it is fresh; or
    /// none, and how long to wait for one.
    pub fn answers(&self) -> impl Iterator<Item = Result<usize, Duration>> {
        (1..).zip(&self.answers).map(|(question, answer)| {
            answer.map_err(|exhausted| match exhausted {
                Exhausted::Until(renewal) => {
                    renewal.since(UnixMillis::new(0).plus(BETWEEN * question))
                }
                Exhausted::ForGood => Duration::MAX,
            })
        })
    }

    /// Whether a release may be told like this: its count with noise within 6.5 standard deviations,
    /// outside which is one draw in ten thousand million.
    pub fn may_tell(&self, release: usize, told: Told) -> bool {
        let count = &self.drawn[release];
        let sigma = self.releaser.sigma(count);
        let within = i64::from(sigma) * 13 / 2;
        (-within..=within)
            .any(|noise| as_released(count, noisy(count.people, noise), sigma) == told)
    }

    /// By how much more than expected a release surprises that is told like this (−ln p), and the
    /// variance of that: over many, less noise than there should be surprises too little.
    pub fn surprise(&self, release: usize, told: Told) -> (f64, f64) {
        let mut likelihood = BTreeMap::<Told, f64>::new();
        for (p, told) in self.releaser.answers(&self.drawn[release]) {
            *likelihood.entry(told).or_default() += p;
        }
        let mean: f64 = likelihood.values().map(|p| -p * p.ln()).sum();
        let variance = likelihood.values().map(|p| p * (-p.ln() - mean).powi(2)).sum();
        (-likelihood[&told].ln() - mean, variance)
    }
}
