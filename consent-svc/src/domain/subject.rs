//! A subject: what the rules look at, and how it changes.

use super::{Jurisdiction, Moment, Policies, PolicyNumber, Slot, Version};

/// Whether a person decides alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AgeBand {
    /// Not known; as [`AgeBand::UnderAge`].
    Unspecified,
    /// Old enough to decide.
    Adult,
    /// A guardian decides.
    UnderAge,
}

/// What the platform says of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// Whose law applies.
    pub jurisdiction: Jurisdiction,
    /// Whether a guardian decides.
    pub age_band: AgeBand,
    /// When the account was opened.
    pub account_created_at: Moment,
    /// The apps in which the person has an account, sorted, each once.
    pub apps: Vec<String>,
}

impl Attributes {
    /// With the apps put in order.
    pub fn new(
        jurisdiction: Jurisdiction,
        age_band: AgeBand,
        account_created_at: Moment,
        mut apps: Vec<String>,
    ) -> Self {
        apps.sort_unstable();
        apps.dedup();
        Self { jurisdiction, age_band, account_created_at, apps }
    }
}

/// Everything about a subject that an answer can depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What the platform says.
    pub attributes: Attributes,
    /// Since when the person's device signals an objection, if it does.
    pub objection_since: Option<Moment>,
    /// The versions that the person was asked about.
    pub asked: Vec<Asked>,
    /// The choices that still matter, oldest first.
    pub choices: Vec<Choice>,
}

/// How far a person has come with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The version.
    pub policy: PolicyNumber,
    /// When its notice was first served.
    pub served: Moment,
    /// When the person first decided on it.
    pub accepted: Option<Moment>,
}

/// A choice about one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The version under which it was made.
    pub policy: PolicyNumber,
    /// The purpose's place in that version.
    pub index: u16,
    /// What was chosen.
    pub stance: Stance,
    /// When.
    pub at: Moment,
    /// Whether the person was of age then: a child's yes does not count, not even later.
    pub of_age: bool,
}

/// What a person can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stance {
    /// Yes.
    Granted,
    /// No.
    Refused,
    /// No longer.
    Withdrawn,
}

impl Subject {
    /// A subject of whom nothing is known but this.
    pub fn new(attributes: Attributes) -> Self {
        Self { attributes, objection_since: None, asked: Vec::new(), choices: Vec::new() }
    }

    /// Replaces the attributes. Coming of age starts the asking anew: what was served to a child
    /// was not served to the adult, so no window runs (and none lapses into a yes) on it.
    pub fn put(&mut self, attributes: Attributes) {
        let was_adult = self.attributes.age_band == AgeBand::Adult;
        if attributes.age_band == AgeBand::Adult && !was_adult {
            self.asked.clear();
        }
        self.attributes = attributes;
    }

    /// Sets or clears the objection signal; says whether that changed anything. A signal that is
    /// already set keeps the instant since when: devices repeat it with every request, and a yes
    /// given after its beginning must not be undone by the repetition.
    pub fn set_objection(&mut self, objects: bool, now: Moment) -> bool {
        let changed = self.objection_since.is_some() != objects;
        if changed {
            self.objection_since = objects.then(|| self.after_all_choices(now));
        }
        changed
    }

    /// What the person was asked about this version.
    pub fn asked(&self, policy: PolicyNumber) -> Option<Asked> {
        self.asked.iter().find(|asked| asked.policy == policy).copied()
    }

    /// Records that the version's notice was served; says whether that changed anything. The
    /// earliest instant counts.
    pub fn serve(&mut self, policy: PolicyNumber, at: Moment) -> bool {
        match self.asked.iter_mut().find(|asked| asked.policy == policy) {
            Some(asked) if asked.served <= at => false,
            Some(asked) => {
                asked.served = at;
                true
            }
            None => {
                self.asked.push(Asked { policy, served: at, accepted: None });
                true
            }
        }
    }

    /// Records what the person chose about purposes of one version. Deciding implies having been
    /// shown the notice. The first decision on a version is its acceptance: a later one does not
    /// begin the time to change anew. A yes dated before a choice that is already there about the
    /// same purpose does not undo it; a no, as a withdrawal, comes after everything that is there,
    /// whatever its date: once it is acknowledged, no yes recorded before it may outlive it because
    /// a device's clock was slow.
    pub fn choose(
        &mut self,
        policies: &Policies,
        version: &Version,
        choices: impl IntoIterator<Item = (u16, bool)>,
        at: Moment,
        now: Moment,
    ) {
        let policy = version.policy.number;
        self.serve(policy, at);
        if let Some(asked) = self.asked.iter_mut().find(|asked| asked.policy == policy) {
            asked.accepted.get_or_insert(at);
        }
        let of_age = self.attributes.age_band == AgeBand::Adult;
        let last = at.max(self.after_all_choices(now));
        for (index, granted) in choices {
            let (stance, at) =
                if granted { (Stance::Granted, at) } else { (Stance::Refused, last) };
            self.insert(policies, Choice { policy, index, stance, at, of_age }, now);
        }
    }

    /// Records that the person no longer agrees to a purpose, after everything else that they
    /// chose: replicas' clocks may differ, and a withdrawal must not lose to a choice that was
    /// recorded before it by a faster one.
    pub fn withdraw(&mut self, policies: &Policies, policy: PolicyNumber, index: u16, now: Moment) {
        let of_age = self.attributes.age_band == AgeBand::Adult;
        let at = self.after_all_choices(now);
        let choice = Choice { policy, index, stance: Stance::Withdrawn, at, of_age };
        self.insert(policies, choice, now);
    }

    /// `now`, or the latest instant of any choice if another clock put it later.
    pub fn after_all_choices(&self, now: Moment) -> Moment {
        self.choices.last().map_or(now, |last| last.at.max(now))
    }

    fn insert(&mut self, policies: &Policies, choice: Choice, now: Moment) {
        let Some(slot) = policies.slot_at(choice.policy, choice.index) else { return };
        let same = |other: &Choice| policies.slot_at(other.policy, other.index) == Some(slot);
        let at = self.choices.partition_point(|known| known.at <= choice.at);
        // What a later choice replaces for good is not kept, whichever of the two arrives first, so
        // that a subject's state stays small: about a purpose the last no, and after it at most
        // one yes to each version.
        let later = self.choices.split_off(at);
        self.choices.retain(|known| !(same(known) && choice.replaces(known, policies, now)));
        if !later.iter().any(|newer| same(newer) && newer.replaces(&choice, policies, now)) {
            self.choices.push(choice);
        }
        self.choices.extend(later);
    }

    /// Which of the person's choices about a purpose counts under a policy now.
    ///
    /// The latest does, except that
    /// - a refusal or a withdrawal counts under every policy, whichever it answered;
    /// - a yes counts only under versions of the policy that was agreed to (a purpose's meaning
    ///   cannot change under one id, so it carries over to later versions), and only once that
    ///   version is in effect. Under another policy it counts for nothing, and takes back a no to
    ///   the policy that it answers.
    ///
    /// Also the next instant at which the clock alone could change that.
    pub fn standing_choice(
        &self,
        policies: &Policies,
        slot: Slot,
        policy_id: &str,
        now: Moment,
    ) -> (Option<Choice>, Option<Moment>) {
        let mut standing: Option<Choice> = None;
        let mut next = None;
        for choice in &self.choices {
            if policies.slot_at(choice.policy, choice.index) != Some(slot) {
                continue;
            }
            let Some(version) = policies.version(choice.policy) else { continue };
            if choice.stance != Stance::Granted {
                standing = Some(*choice);
            } else if version.policy.spec.effective_at > now {
                next = super::time::earlier(next, Some(version.policy.spec.effective_at));
            } else if version.policy.id == policy_id {
                standing = Some(*choice);
            } else if standing.is_some_and(|no| policies.same_policy(no.policy, choice.policy)) {
                standing = None;
            }
        }
        (standing, next)
    }
}

impl Choice {
    /// Whether an older choice about the same purpose can never count again beside this one.
    fn replaces(&self, older: &Choice, policies: &Policies, now: Moment) -> bool {
        if self.stance != Stance::Granted {
            return true;
        }
        // A yes leaves a no in place: a yes that arrives later and is dated before that no must
        // still find it, and be nothing.
        if older.stance != Stance::Granted {
            return false;
        }
        let in_effect = policies
            .version(self.policy)
            .is_some_and(|version| version.policy.spec.effective_at <= now);
        older.policy == self.policy || in_effect && policies.same_policy(older.policy, self.policy)
    }
}
