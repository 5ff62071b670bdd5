//! All policy versions, and which of them decides.

use std::collections::HashMap;

use super::{
    Jurisdiction, Moment, Policy, PolicyNumber, PolicyState, Purpose, coverage::Coverage,
    jurisdiction::Specificity,
};

/// Every version of every policy at one epoch: publishing, retiring or drafting one makes the
/// next epoch.
#[derive(Debug, Default)]
pub struct Policies {
    epoch: i64,
    versions: Vec<Version>,
    /// Of the versions, for finding one: evaluation looks one up for every choice.
    numbers: Vec<PolicyNumber>,
    slots: HashMap<String, Slot>,
    /// By jurisdiction, of those in which published versions differ: evaluation would otherwise
    /// compare codes for every subject anew.
    coverages: HashMap<String, Coverage>,
}

/// A version, with what evaluation needs looked up beforehand.
#[derive(Debug)]
pub struct Version {
    /// The version.
    pub policy: Policy,
    /// The same for all versions of one policy, and no other.
    family: usize,
    jurisdictions: std::collections::HashSet<String>,
    /// By place of a purpose: its slot, and the slots of everything that it requires, directly
    /// and indirectly.
    slots: Vec<(Slot, Vec<Slot>)>,
}

/// Stands for a purpose id. Stable: a version that is added later only adds slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(usize);

impl Slot {
    /// Its place among [`Policies::slots`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// A purpose as one version asks it.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// The version.
    pub version: &'a Version,
    /// The purpose's place in it.
    pub index: usize,
}

impl<'a> Offer<'a> {
    /// The purpose.
    pub fn purpose(&self) -> &'a Purpose {
        &self.version.policy.spec.purposes[self.index]
    }

    /// Its slot.
    pub fn slot(&self) -> Slot {
        self.version.slots[self.index].0
    }

    /// Everything that it requires, directly and indirectly.
    pub fn required(&self) -> &'a [Slot] {
        &self.version.slots[self.index].1
    }
}

impl Version {
    /// The purpose at each place.
    pub fn offers(&self) -> impl Iterator<Item = Offer<'_>> {
        (0..self.slots.len()).map(|index| Offer { version: self, index })
    }

    /// The purpose of this id.
    pub fn offer(&self, purpose_id: &str) -> Option<Offer<'_>> {
        self.offers().find(|offer| offer.purpose().id == purpose_id)
    }

    /// The purpose at a place.
    pub(super) fn purpose_at(&self, index: u16) -> Option<&Purpose> {
        self.policy.spec.purposes.get(usize::from(index))
    }

    /// The slot of the purpose at a place.
    pub(super) fn slot_at(&self, index: u16) -> Option<Slot> {
        self.slots.get(usize::from(index)).map(|(slot, _)| *slot)
    }

    /// The place of the notice with this digest.
    pub fn notice(&self, sha256: &[u8]) -> Option<usize> {
        self.policy.spec.notices.iter().position(|notice| notice.sha256 == sha256)
    }

    /// Whether both are versions of the same policy.
    pub(super) fn same_policy(&self, other: &Self) -> bool {
        self.family == other.family
    }

    /// How closely the version fits a jurisdiction; nothing: not at all.
    pub(super) fn covers(&self, jurisdiction: &Jurisdiction) -> Option<Specificity> {
        let mut covering = jurisdiction.covering();
        covering.find(|(_, code)| self.jurisdictions.contains(*code)).map(|(rank, _)| rank)
    }
}

impl Policies {
    /// Looks everything up once. `policies` in order of their numbers.
    pub fn new(epoch: i64, policies: Vec<Policy>) -> Self {
        let mut all = Self { epoch, ..Self::default() };
        for policy in policies {
            let ids: Vec<&str> = policy.spec.purposes.iter().map(|p| p.id.as_str()).collect();
            let own: Vec<Slot> = ids.iter().map(|id| all.slot_or_new(id)).collect();
            let slots: Vec<(Slot, Vec<Slot>)> = (0..own.len())
                .map(|index| (own[index], requirements(&policy.spec.purposes, index, &own)))
                .collect();
            let codes = policy.spec.jurisdictions.iter().map(|code| code.code().to_owned());
            let jurisdictions = codes.collect();
            let first = all.versions.iter().position(|known| known.policy.id == policy.id);
            let family = first.unwrap_or(all.versions.len());
            all.numbers.push(policy.number);
            all.versions.push(Version { policy, family, jurisdictions, slots });
        }
        all.coverages = Coverage::everywhere(&all.versions, all.slots.len());
        all
    }

    fn slot_or_new(&mut self, purpose_id: &str) -> Slot {
        let next = Slot(self.slots.len());
        *self.slots.entry(purpose_id.to_owned()).or_insert(next)
    }

    /// The policies as they were at a past instant: what was published by then and not yet retired
    /// was in force, whatever became of it since. Every version keeps its number and every purpose
    /// its slot.
    #[must_use]
    pub fn as_of(&self, at: Moment) -> Self {
        let by_then = |then: Option<Moment>| then.filter(|then| *then <= at);
        let then = self.versions.iter().map(|version| {
            let published_at = by_then(version.policy.published_at);
            let retired_at = by_then(version.policy.retired_at);
            let state = match (published_at, retired_at) {
                (None, _) => PolicyState::Draft,
                (Some(_), None) => PolicyState::Published,
                (Some(_), Some(_)) => PolicyState::Retired,
            };
            Policy { state, published_at, retired_at, ..version.policy.clone() }
        });
        Self::new(self.epoch, then.collect())
    }

    /// No policies, but this many purposes.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn with_slots(count: usize) -> Self {
        let slots = (0..count).map(|at| (format!("test.purpose_{at}"), Slot(at))).collect();
        Self { slots, ..Self::default() }
    }

    /// Which state of all policies this is.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Every version, in order of their numbers.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// The version of this number.
    pub fn version(&self, number: PolicyNumber) -> Option<&Version> {
        self.numbers.binary_search(&number).ok().map(|at| &self.versions[at])
    }

    /// The version of this name.
    pub fn named(&self, policy_id: &str, version: u32) -> Option<&Version> {
        let mut versions = self.versions.iter();
        versions.find(|known| known.policy.version == version && known.policy.id == policy_id)
    }

    /// The slot of a purpose that any version contains.
    pub fn slot(&self, purpose_id: &str) -> Option<Slot> {
        self.slots.get(purpose_id).copied()
    }

    /// The slots of all purposes.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        (0..self.slots.len()).map(Slot)
    }

    /// The slot of the purpose at a place in a version.
    pub fn slot_at(&self, number: PolicyNumber, index: u16) -> Option<Slot> {
        self.version(number)?.slot_at(index)
    }

    /// Any published or retired version that contains the purpose: to name it by.
    pub fn any_offer(&self, slot: Slot) -> Option<Offer<'_>> {
        let known = self.versions.iter().rev();
        let mut known = known.filter(|version| version.policy.state != PolicyState::Draft);
        known.find_map(|version| version.offers().find(|offer| offer.slot() == slot))
    }

    /// Whether two versions are of the same policy.
    pub fn same_policy(&self, a: PolicyNumber, b: PolicyNumber) -> bool {
        match (self.version(a), self.version(b)) {
            (Some(a), Some(b)) => a.same_policy(b),
            _ => false,
        }
    }

    /// Which version decides about a purpose for subjects of a jurisdiction, and the next instant
    /// at which the clock alone changes that. See [`Coverage`] for the rules.
    pub fn deciding(
        &self,
        slot: Slot,
        jurisdiction: &Jurisdiction,
        now: Moment,
    ) -> (Option<Offer<'_>>, Option<Moment>) {
        self.deciding_in(self.coverage(jurisdiction), slot, now)
    }

    /// As [`Policies::deciding`], where the jurisdiction was looked up before.
    pub(super) fn deciding_in(
        &self,
        coverage: Option<&Coverage>,
        slot: Slot,
        now: Moment,
    ) -> (Option<Offer<'_>>, Option<Moment>) {
        let Some(coverage) = coverage else { return (None, None) };
        let (decides, next) = coverage.at(slot, now);
        let offer = |(at, index): (usize, usize)| Offer { version: &self.versions[at], index };
        (decides.map(offer), next)
    }

    /// What covers a jurisdiction; nothing, if no published version does.
    pub(super) fn coverage(&self, jurisdiction: &Jurisdiction) -> Option<&Coverage> {
        // A part that no version names is in the same position as its country.
        let mut codes = [Some(jurisdiction.code()), jurisdiction.country()].into_iter().flatten();
        codes.find_map(|code| self.coverages.get(code))
    }
}

/// The slots of everything that the purpose at a place requires, without itself. Names of
/// purposes that are not there are left out and cycles are walked once: a published policy has
/// neither, a draft may have both.
fn requirements(purposes: &[Purpose], index: usize, slots: &[Slot]) -> Vec<Slot> {
    let mut seen = vec![false; purposes.len()];
    let mut open = vec![index];
    let mut required = Vec::new();
    while let Some(at) = open.pop() {
        for id in &purposes[at].requires {
            let Some(found) = purposes.iter().position(|purpose| purpose.id == *id) else {
                continue;
            };
            if found != index && !std::mem::replace(&mut seen[found], true) {
                required.push(slots[found]);
                open.push(found);
            }
        }
    }
    required
}

/// The place of a purpose or notice in its version, as it is stored. The contract allows 100.
pub fn place(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}
