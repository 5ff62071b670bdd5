//! How events change a subject. There is no other way: a subject's state is exactly what its events
//! make of it, in their order, so that any past state can be had from the history.

use super::{
    AgeBand, Asked, Attributes, Choice, Decider, Event, EventContent, Moment, Policies,
    PolicyNumber, Reason, Stance, Subject, place, under::under,
};

/// What a subject's events, oldest first, make of it; nothing, if there are none. The policies may
/// be of any later epoch: of a version only what can never change matters here.
pub fn replay<'a>(
    policies: &Policies,
    events: impl IntoIterator<Item = &'a Event>,
) -> Option<Subject> {
    events.into_iter().fold(None, |before, event| Subject::then(before, policies, event))
}

impl Subject {
    /// One step of [`replay`], for a history that is too long to be held at once.
    pub fn then(before: Option<Self>, policies: &Policies, event: &Event) -> Option<Self> {
        Self::after(before, policies, &event.content, event.occurred_at, event.recorded_at)
    }

    /// The subject after an event; nothing, if it was unknown and the event does not make it known.
    pub fn after(
        before: Option<Self>,
        policies: &Policies,
        content: &EventContent,
        occurred_at: Moment,
        recorded_at: Moment,
    ) -> Option<Self> {
        match (before, content) {
            (Some(mut subject), _) => {
                subject.apply(policies, content, occurred_at, recorded_at);
                Some(subject)
            }
            (None, EventContent::SubjectPut(attributes)) => Some(Self::new(attributes.clone())),
            // The events before it can no longer be read.
            (None, EventContent::Erased) => Some(Self::erased(recorded_at)),
            (None, _) => None,
        }
    }

    /// What an event makes of the subject. An erased one stays erased.
    pub fn apply(
        &mut self,
        policies: &Policies,
        content: &EventContent,
        occurred_at: Moment,
        recorded_at: Moment,
    ) {
        if self.erased_at.is_some() {
            return;
        }
        match content {
            EventContent::SubjectPut(attributes) => self.put(attributes.clone()),
            EventContent::NoticeServed { policy, .. } => self.serve(*policy, occurred_at),
            EventContent::DecisionRecorded { policy, choices, by, .. } => {
                self.choose(policies, *policy, choices, *by, occurred_at, recorded_at);
            }
            EventContent::Withdrawn { purposes } => {
                for (policy, index) in purposes {
                    self.withdraw(policies, *policy, *index, recorded_at);
                }
            }
            EventContent::ObjectionSignalSet { objects } => {
                self.set_objection(*objects, recorded_at);
            }
            EventContent::Linked { with } | EventContent::Unlinked { with } => {
                self.linked = in_order(with);
            }
            EventContent::GuardianSet { guardian } => self.set_guardian(guardian.as_deref()),
            EventContent::WardsSet { wards } => self.wards = in_order(wards),
            EventContent::Erased => *self = Self::erased(recorded_at),
            // What it said is gone; that it was is all that remains.
            EventContent::ErasedContent { .. } => {}
        }
    }

    /// Replaces the attributes. Coming of age starts the asking anew: what was served to a child
    /// was not served to the adult, so no window runs (and none lapses into a yes) on it.
    fn put(&mut self, attributes: Attributes) {
        if attributes.age_band == AgeBand::Adult && !self.is_adult() {
            self.asked.clear();
        }
        self.attributes = attributes;
    }

    /// Sets or clears the objection signal. A signal that is already set keeps the instant since
    /// when: devices repeat it with every request, and a yes given after its beginning must not be
    /// undone by the repetition.
    fn set_objection(&mut self, objects: bool, now: Moment) {
        if self.objection_since.is_some() != objects {
            self.objection_since = objects.then(|| self.after_all_choices(now));
        }
    }

    /// Sets or clears who decides for a child. The former guardian's yes ends with the guardianship;
    /// a no stays. The next guardian is asked anew: what was served before was not served to them.
    fn set_guardian(&mut self, guardian: Option<&str>) {
        if self.guardian.as_deref() == guardian {
            return;
        }
        self.guardian = guardian.map(str::to_owned);
        self.choices
            .retain(|known| !(known.stance == Stance::Granted && known.by == Decider::Guardian));
        if !self.is_adult() {
            self.asked.clear();
        }
    }

    /// Records that the version's notice was served. The earliest instant counts.
    fn serve(&mut self, policy: PolicyNumber, at: Moment) {
        match self.asked.iter_mut().find(|asked| asked.policy == policy) {
            Some(asked) => asked.served = asked.served.min(at),
            None => self.asked.push(Asked { policy, served: at, accepted: None }),
        }
    }

    /// Records what was chosen about purposes of one version. Deciding implies having been shown
    /// the notice. The first decision on a version is its acceptance: a later one does not begin
    /// the time to change anew, unless a grant had expired by then and the person was asked again. A
    /// child's own is none, since it is not the child's to accept.
    /// A yes dated before a choice that is already there about the same purpose does not undo it; a
    /// no, as a withdrawal, comes after everything that is there, whatever its date: once it is
    /// acknowledged, no yes recorded before it may outlive it because a device's clock was slow.
    fn choose(
        &mut self,
        policies: &Policies,
        policy: PolicyNumber,
        choices: &[(u16, bool)],
        by: Decider,
        at: Moment,
        now: Moment,
    ) {
        let renews = self.has_expired(policies, policy, choices, now);
        self.serve(policy, at);
        if by != Decider::Child
            && let Some(asked) = self.asked.iter_mut().find(|asked| asked.policy == policy)
        {
            match asked.accepted {
                Some(_) if !renews => {}
                _ => asked.accepted = Some(at),
            }
        }
        let last = at.max(self.after_all_choices(now));
        // Each yes before each no: the order in which a stored state lists them.
        for (stance, at) in [(Stance::Granted, at), (Stance::Refused, last)] {
            let granted = stance == Stance::Granted;
            for (index, _) in choices.iter().filter(|(_, yes)| *yes == granted) {
                self.keep(policies, Choice { policy, index: *index, stance, at, by }, now);
            }
        }
    }

    /// Whether one of these purposes of a version was granted once, and no longer is.
    fn has_expired(
        &self,
        policies: &Policies,
        policy: PolicyNumber,
        choices: &[(u16, bool)],
        now: Moment,
    ) -> bool {
        let Some(version) = policies.version(policy) else { return false };
        let chosen = |index| choices.iter().any(|(chosen, _)| *chosen == index);
        let mut offers = version.offers().filter(|offer| chosen(place(offer.index)));
        offers.any(|offer| under(policies, offer, self, now).reason == Reason::Expired)
    }

    /// Records that the person no longer agrees to a purpose, after everything else that they
    /// chose: replicas' clocks may differ, and a withdrawal must not lose to a choice that was
    /// recorded before it by a faster one.
    fn withdraw(&mut self, policies: &Policies, policy: PolicyNumber, index: u16, now: Moment) {
        let by = if self.is_adult() { Decider::Adult } else { Decider::Child };
        let at = self.after_all_choices(now);
        self.keep(policies, Choice { policy, index, stance: Stance::Withdrawn, at, by }, now);
    }
}

fn in_order(ids: &[String]) -> Vec<String> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids
}
