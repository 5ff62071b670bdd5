//! All policy versions, and which of them decides.

use std::collections::HashMap;

use super::{
    Jurisdiction, Moment, Policy, PolicyNumber, PolicyState, Purpose, jurisdiction::Specificity,
    time::earlier,
};

/// Every version of every policy at one epoch: publishing, retiring or drafting one makes the
/// next epoch.
#[derive(Debug, Default)]
pub struct Policies {
    epoch: i64,
    versions: Vec<Version>,
    by_number: HashMap<PolicyNumber, usize>,
    slots: HashMap<String, Slot>,
    /// By slot: the published versions that contain the purpose, and its place there.
    offers: Vec<Vec<(usize, usize)>>,
}

/// A version, with what evaluation needs looked up beforehand.
#[derive(Debug)]
pub struct Version {
    /// The version.
    pub policy: Policy,
    jurisdictions: std::collections::HashSet<String>,
    /// By place of a purpose: its slot, and the slots of everything that it requires, directly
    /// and indirectly.
    slots: Vec<(Slot, Vec<Slot>)>,
}

/// Stands for a purpose id within one [`Policies`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(usize);

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

    /// The place of the notice with this digest.
    pub fn notice(&self, sha256: &[u8]) -> Option<usize> {
        self.policy.spec.notices.iter().position(|notice| notice.sha256 == sha256)
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
            let at = all.versions.len();
            let ids: Vec<&str> = policy.spec.purposes.iter().map(|p| p.id.as_str()).collect();
            let own: Vec<Slot> = ids.iter().map(|id| all.slot_or_new(id)).collect();
            let slots: Vec<(Slot, Vec<Slot>)> = (0..own.len())
                .map(|index| (own[index], requirements(&policy.spec.purposes, index, &own)))
                .collect();
            if policy.state == PolicyState::Published {
                for (index, slot) in own.iter().enumerate() {
                    all.offers[slot.0].push((at, index));
                }
            }
            let codes = policy.spec.jurisdictions.iter().map(|code| code.code().to_owned());
            all.by_number.insert(policy.number, at);
            all.versions.push(Version { jurisdictions: codes.collect(), slots, policy });
        }
        all
    }

    fn slot_or_new(&mut self, purpose_id: &str) -> Slot {
        if let Some(slot) = self.slots.get(purpose_id) {
            return *slot;
        }
        let slot = Slot(self.offers.len());
        self.offers.push(Vec::new());
        self.slots.insert(purpose_id.to_owned(), slot);
        slot
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
        self.by_number.get(&number).map(|at| &self.versions[*at])
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
        (0..self.offers.len()).map(Slot)
    }

    /// The slot of the purpose at a place in a version.
    pub fn slot_at(&self, number: PolicyNumber, index: u16) -> Option<Slot> {
        self.version(number)?.slots.get(usize::from(index)).map(|(slot, _)| *slot)
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
            (Some(a), Some(b)) => a.policy.id == b.policy.id,
            _ => false,
        }
    }

    /// Which version decides about a purpose for subjects of a jurisdiction, and the next instant
    /// at which the clock alone could change that.
    ///
    /// Of the published versions that contain the purpose and cover the jurisdiction:
    /// 1. those in effect go before those that are only announced;
    /// 2. then the most specific jurisdiction (a part before its country before its group);
    /// 3. then, within one policy, the highest version; among several policies the one that took
    ///    effect last, and of those the one whose id sorts last, so that there is always one
    ///    answer. Of versions that are only announced, the one to take effect first.
    pub fn deciding(
        &self,
        slot: Slot,
        jurisdiction: &Jurisdiction,
        now: Moment,
    ) -> (Option<Offer<'_>>, Option<Moment>) {
        let mut next = None;
        let mut in_effect: Vec<(Specificity, Offer<'_>)> = Vec::new();
        let mut announced: Option<(Moment, std::cmp::Reverse<Specificity>, Offer<'_>)> = None;
        for (at, index) in &self.offers[slot.0] {
            let version = &self.versions[*at];
            let Some(specificity) = version.covers(jurisdiction) else { continue };
            let offer = Offer { version, index: *index };
            let effective_at = version.policy.spec.effective_at;
            if effective_at <= now {
                in_effect.push((specificity, offer));
                continue;
            }
            next = earlier(next, Some(effective_at));
            let rank = (effective_at, std::cmp::Reverse(specificity));
            if announced.is_none_or(|(first, least, _)| rank < (first, least)) {
                announced = Some((rank.0, rank.1, offer));
            }
        }
        let decided = strongest(&in_effect).or(announced.map(|(_, _, offer)| offer));
        (decided, next)
    }
}

fn strongest<'a>(offers: &[(Specificity, Offer<'a>)]) -> Option<Offer<'a>> {
    let most_specific = offers.iter().map(|(specificity, _)| *specificity).max()?;
    let candidates = || offers.iter().filter(|(rank, _)| *rank == most_specific).map(|(_, o)| *o);
    let superseded = |offer: &Offer<'_>| {
        let policy = &offer.version.policy;
        candidates().any(|other| {
            other.version.policy.id == policy.id && other.version.policy.version > policy.version
        })
    };
    candidates().filter(|offer| !superseded(offer)).max_by(|a, b| {
        let rank = |offer: &Offer<'a>| {
            let policy = &offer.version.policy;
            (policy.spec.effective_at, policy.id.as_str())
        };
        rank(a).cmp(&rank(b))
    })
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
