//! Events.

use proto::consent::v1 as pb;

use super::{spec, timestamp};
use crate::domain::{Event, EventContent, Policies, PolicyNumber};

/// An event as its subject may read it. Names come from the policies, which keep every version.
pub(super) fn write(subject_id: &str, event: &Event, policies: &Policies) -> pb::Event {
    let (kind, policy, choices) = match &event.content {
        EventContent::SubjectPut(_) => (pb::EventKind::SubjectPut, None, Vec::new()),
        EventContent::NoticeServed { policy, .. } => {
            (pb::EventKind::NoticeServed, Some(*policy), Vec::new())
        }
        EventContent::DecisionRecorded { policy, choices, .. } => {
            let choices =
                choices.iter().map(|(index, yes)| choice(policies, *policy, *index, *yes));
            (pb::EventKind::DecisionRecorded, Some(*policy), choices.collect())
        }
        EventContent::Withdrawn { purposes } => {
            let first = purposes.first().map(|(policy, _)| *policy);
            let one = first.filter(|first| purposes.iter().all(|(policy, _)| policy == first));
            let no =
                purposes.iter().map(|(policy, index)| choice(policies, *policy, *index, false));
            (pb::EventKind::Withdrawn, one, no.collect())
        }
        EventContent::ObjectionSignalSet { .. } => {
            (pb::EventKind::ObjectionSignalSet, None, Vec::new())
        }
        EventContent::Linked { .. } => (pb::EventKind::Linked, None, Vec::new()),
        EventContent::Unlinked { .. } => (pb::EventKind::Unlinked, None, Vec::new()),
        EventContent::GuardianSet { .. } | EventContent::WardsSet { .. } => {
            (pb::EventKind::GuardianSet, None, Vec::new())
        }
        EventContent::Erased | EventContent::ErasedContent { .. } => {
            (pb::EventKind::Erased, None, Vec::new())
        }
    };
    let policy = policy.and_then(|number| policies.version(number));
    pb::Event {
        event_id: event.id(),
        subject_id: subject_id.to_owned(),
        revision: event.revision,
        kind: kind as i32,
        occurred_at: Some(timestamp(event.occurred_at)),
        recorded_at: Some(timestamp(event.recorded_at)),
        policy: policy.map(|version| spec::reference(&version.policy)),
        choices,
        digest: event.digest.to_vec(),
    }
}

fn choice(policies: &Policies, policy: PolicyNumber, index: u16, granted: bool) -> pb::Choice {
    let version = policies.version(policy);
    let purpose = version.and_then(|v| v.policy.spec.purposes.get(usize::from(index)));
    let purpose_id = purpose.map(|purpose| purpose.id.clone()).unwrap_or_default();
    pb::Choice { purpose_id, granted }
}
