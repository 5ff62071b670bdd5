//! Of histories: a subject's state is what its events make of it.

use super::*;

/// The events of a history, recorded while policies were published one after the other, and the
/// subject after each.
pub(crate) fn lived(policies: &Policies, steps: &[(i64, Step)]) -> Vec<(Event, Subject)> {
    let attributes = subject("DE").attributes;
    let begun = (EventContent::SubjectPut(attributes), day(-100), day(-100));
    let mut all: Vec<(Event, Subject)> = Vec::new();
    let mut steps = steps.iter();
    let mut next = Some(begun);
    while let Some((content, occurred_at, recorded_at)) = next {
        let before = all.last().map(|(_, subject)| subject.clone());
        // Only the policies of that time were at hand.
        let then = policies.as_of(recorded_at);
        if let Some(after) = Subject::after(before, &then, &content, occurred_at, recorded_at) {
            let revision = all.len() as u64 + 1;
            all.push((
                Event { revision, occurred_at, recorded_at, content, digest: [0; 32] },
                after,
            ));
        }
        let last = all.last().map(|(_, subject)| subject.clone());
        next = steps.next().zip(last).map(|((at, step), subject)| {
            let (content, occurred_at) = recorded(policies, &subject, step, day(*at));
            (content, occurred_at, day(*at))
        });
    }
    all
}

proptest! {
    #![proptest_config(config(600))]

    /// At every revision the state is the fold of the events up to it, whatever was published,
    /// retired or drafted since.
    #[test]
    fn the_state_is_the_fold_of_the_events(policies in any_policies(), steps in any_history()) {
        let lived = lived(&policies, &steps);
        for (count, (_, then)) in (1..).zip(&lived) {
            let events = lived.iter().map(|(event, _)| event).take(count);
            let folded = replay(&policies, events);
            prop_assert_eq!(folded.as_ref(), Some(then));
        }
    }

    /// Events recorded twice, or after an erasure, do no harm; and of an erased subject nothing
    /// remains and nothing is granted, ever.
    #[test]
    fn erased_is_for_ever(policies in any_policies(), steps in any_history(), then in any_history()) {
        let mut subject = play(&policies, &steps);
        apply(&policies, &mut subject, &Step::Erase, day(120));
        let erased_at = subject.erased_at;
        prop_assert_eq!(&subject, &Subject::erased(erased_at.unwrap_or(day(0))));
        for (at, step) in &then {
            apply(&policies, &mut subject, step, day(120 + *at));
        }
        prop_assert_eq!(subject.erased_at, erased_at);
        for id in IDS.into_iter().chain(["never.asked"]) {
            let answer = alone(&policies, &subject, id, day(500));
            let erased = Decision { granted: false, reason: Reason::Erased, valid_until: None };
            prop_assert_eq!(answer, erased);
        }
        for slot in policies.slots() {
            prop_assert_eq!(change(&policies, &subject, slot, day(500)).option, ChangeOption::None);
        }
        // What can no longer be read leaves the same behind.
        let content_digest = [0; 32];
        let gone = EventContent::ErasedContent { content_digest };
        let none = Subject::after(None, &policies, &gone, day(0), day(0));
        prop_assert_eq!(&none, &None);
        let at = erased_at.unwrap_or(day(0));
        prop_assert_eq!(Subject::after(none, &policies, &EventContent::Erased, at, at), Some(subject));
    }

    /// Policies as of an instant: what was in force then, under the same numbers and slots.
    #[test]
    fn policies_as_of_then(policies in any_policies(), at in -100_i64..100) {
        let then = policies.as_of(day(at));
        for (version, was) in policies.versions().iter().zip(then.versions()) {
            let (policy, was) = (&version.policy, &was.policy);
            prop_assert_eq!(policy.number, was.number);
            let published = policy.published_at.is_some_and(|published| published <= day(at));
            let retired = policy.retired_at.is_some_and(|retired| retired <= day(at));
            prop_assert_eq!(was.state == PolicyState::Draft, !published);
            prop_assert_eq!(was.state == PolicyState::Retired, retired);
            for purpose in &policy.spec.purposes {
                prop_assert_eq!(then.slot(&purpose.id), policies.slot(&purpose.id));
            }
        }
        let subject = play(&policies, &[(-60, Step::Serve(0))]);
        for id in IDS {
            // At the present instant the past is the present.
            let (now, same) = (alone(&policies, &subject, id, day(200)), policies.as_of(day(200)));
            prop_assert_eq!(alone(&same, &subject, id, day(200)), now);
        }
    }
}
