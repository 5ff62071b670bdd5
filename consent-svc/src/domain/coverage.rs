//! Which policy version decides about a purpose, where and when.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use super::{
    Jurisdiction, Moment, Offer, PolicyState, Slot, Version,
    jurisdiction::{Specificity, members},
};

/// Which version decides about each purpose for subjects of one jurisdiction, at every instant.
///
/// Of the published versions that contain the purpose and cover the jurisdiction:
/// 1. those in effect go before those that are only announced;
/// 2. then the most specific jurisdiction (a part before its country before its group);
/// 3. then, within one policy, the highest version; among several policies the one that took
///    effect last, and of those the one whose id sorts last, so that there is always one
///    answer. Of versions that are only announced, the one to take effect first.
#[derive(Debug)]
pub struct Coverage {
    /// By slot, in order of time. The first step begins before all time.
    steps: Vec<Vec<Step>>,
}

/// From when a version decides: its place among the versions, and the purpose's place in it.
#[derive(Debug, Clone, Copy)]
struct Step {
    from: Moment,
    decides: (usize, usize),
}

/// A published version that covers the jurisdiction.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    specificity: Specificity,
    offer: Offer<'a>,
    place: (usize, usize),
}

impl Candidate<'_> {
    fn effective_at(&self) -> Moment {
        self.offer.version.policy.spec.effective_at
    }
}

impl Coverage {
    /// By code, for every jurisdiction that a published version names or, as the member of a
    /// group, covers. For any other part of a country the country's holds.
    pub(super) fn everywhere<'a>(versions: &'a [Version], slots: usize) -> HashMap<String, Self> {
        let published = versions.iter().filter(|v| v.policy.state == PolicyState::Published);
        let codes = |version: &'a Version| version.policy.spec.jurisdictions.iter();
        let named: BTreeSet<&str> = published.flat_map(codes).map(Jurisdiction::code).collect();
        let all: BTreeSet<&str> =
            named.iter().copied().flat_map(|code| members(code).chain([code])).collect();
        let made = all
            .into_iter()
            .map(|code| (code.to_owned(), Self::new(versions, slots, &Jurisdiction::new(code))));
        made.collect()
    }

    fn new(versions: &[Version], slots: usize, jurisdiction: &Jurisdiction) -> Self {
        let mut candidates: Vec<Vec<Candidate<'_>>> = vec![Vec::new(); slots];
        for (at, version) in versions.iter().enumerate() {
            if version.policy.state != PolicyState::Published {
                continue;
            }
            let Some(specificity) = version.covers(jurisdiction) else { continue };
            for offer in version.offers() {
                let place = (at, offer.index);
                candidates[offer.slot().index()].push(Candidate { specificity, offer, place });
            }
        }
        Self { steps: candidates.iter().map(|candidates| steps(candidates)).collect() }
    }

    /// What decides now, and the next instant at which something else will.
    pub(super) fn at(&self, slot: Slot, now: Moment) -> (Option<(usize, usize)>, Option<Moment>) {
        let steps = &self.steps[slot.index()];
        let begun = steps.partition_point(|step| step.from <= now);
        let decides = begun.checked_sub(1).map(|last| steps[last].decides);
        (decides, steps.get(begun).map(|next| next.from))
    }
}

/// What decides at the beginning of time, and at every instant at which that changes: it can only
/// when a version takes effect.
fn steps(candidates: &[Candidate<'_>]) -> Vec<Step> {
    let mut instants: BTreeSet<Moment> = candidates.iter().map(Candidate::effective_at).collect();
    instants.insert(Moment::from_millis(i64::MIN));
    let mut steps: Vec<Step> = Vec::new();
    for from in instants {
        let in_effect: Vec<_> =
            candidates.iter().filter(|one| one.effective_at() <= from).copied().collect();
        let Some(first) = strongest(&in_effect).or_else(|| first_announced(candidates)) else {
            continue;
        };
        if steps.last().is_none_or(|last| last.decides != first.place) {
            steps.push(Step { from, decides: first.place });
        }
    }
    steps
}

fn first_announced<'a>(announced: &[Candidate<'a>]) -> Option<Candidate<'a>> {
    let announced = announced.iter().copied();
    announced.min_by_key(|one| (one.effective_at(), Reverse(one.specificity)))
}

fn strongest<'a>(in_effect: &[Candidate<'a>]) -> Option<Candidate<'a>> {
    let most_specific = in_effect.iter().map(|one| one.specificity).max()?;
    let candidates = || in_effect.iter().filter(|one| one.specificity == most_specific);
    let superseded = |one: &Candidate<'_>| {
        let version = one.offer.version;
        candidates().map(|other| other.offer.version).any(|other| {
            other.same_policy(version) && other.policy.version > version.policy.version
        })
    };
    let rank = |one: &&Candidate<'a>| (one.effective_at(), one.offer.version.policy.id.as_str());
    candidates().filter(|one| !superseded(one)).max_by(|a, b| rank(a).cmp(&rank(b))).copied()
}
