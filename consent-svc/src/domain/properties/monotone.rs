//! A no is a no: nothing that a person takes back grants anything, and it stays taken back.

use super::*;

/// A no that a yes followed is still there for a yes of before it that arrives last.
#[test]
fn a_yes_of_before_a_no_counts_for_nothing_under_any_policy() {
    let policies = Policies::new(1, vec![policy(1, "one", 1, spec()), policy(2, "two", 2, spec())]);
    let mut subject = subject("US");
    apply(&policies, &mut subject, &Step::Choose(0, [false; 4], 0, false), day(10));
    apply(&policies, &mut subject, &Step::Choose(0, [true; 4], 0, false), day(11));
    apply(&policies, &mut subject, &Step::Choose(1, [true; 4], 5, false), day(12));
    assert!(!alone(&policies, &subject, IDS[0], day(12)).granted);
}

/// Says which purposes went from denied to granted, now or at any later instant.
fn newly_granted(
    policies: &Policies,
    before: &[Subject],
    after: &[Subject],
    now: Moment,
) -> Vec<String> {
    let all: Vec<&Subject> = before.iter().chain(after).collect();
    let mut found = Vec::new();
    for at in instants_from(now, policies, &all) {
        for id in IDS {
            for first in 0..before.len() {
                let answer = |accounts: &[Subject]| {
                    let others = accounts.iter().enumerate().filter(|(at, _)| *at != first);
                    let others: Vec<&Subject> = others.map(|(_, other)| other).collect();
                    let person = Person { subject: Some(&accounts[first]), linked: &others };
                    decide(policies, person, id, at)
                };
                let (was, is) = (answer(before), answer(after));
                if is.granted && !was.granted {
                    found.push(format!("{id} at {at:?}: {was:?} -> {is:?}"));
                }
            }
        }
    }
    found
}

proptest! {
    #![proptest_config(config(600))]

    /// A withdrawal turns no denied purpose into a granted one, neither its own nor another, of
    /// none of a person's accounts, now or later.
    #[test]
    fn a_withdrawal_grants_nothing(
        policies in any_policies(), histories in prop::collection::vec(history_of(step(), 0..6), 1..3),
        which in 0_usize..4, index in 0_usize..4,
    ) {
        let before: Vec<Subject> = histories.iter().map(|steps| play(&policies, steps)).collect();
        let mut after = before.clone();
        apply(&policies, &mut after[0], &Step::Withdraw(which, index), day(120));
        let found = newly_granted(&policies, &before, &after, day(120));
        prop_assert!(found.is_empty(), "{:?}", found);
    }

    /// Nor does one in the midst of a history.
    #[test]
    fn a_withdrawal_among_other_things_grants_nothing(
        policies in any_policies(), steps in history_of(step(), 1..8),
        at in 0_usize..8, which in 0_usize..4, index in 0_usize..4,
    ) {
        let mut with = steps.clone();
        let at = at % steps.len();
        with.insert(at, (steps[at].0, Step::Withdraw(which, index)));
        let (before, after) = ([play(&policies, &steps)], [play(&policies, &with)]);
        let found = newly_granted(&policies, &before, &after, day(120));
        prop_assert!(found.is_empty(), "{:?}", found);
    }

    /// Neither does refusing everything that a version asks, where its notice had been served
    /// before (being shown it is what NOTICE_ONLY purposes wait for).
    #[test]
    fn a_refusal_grants_nothing(
        policies in any_policies(), histories in prop::collection::vec(history_of(step(), 0..6), 1..3),
        which in 0_usize..4, ago in 0_i64..60, guardian in any::<bool>(),
    ) {
        let mut before: Vec<Subject> = histories.iter().map(|steps| play(&policies, steps)).collect();
        apply(&policies, &mut before[0], &Step::Serve(which), day(120 - ago));
        let mut after = before.clone();
        apply(&policies, &mut after[0], &Step::Choose(which, [false; 4], ago, guardian), day(120));
        let found = newly_granted(&policies, &before, &after, day(120));
        prop_assert!(found.is_empty(), "{:?}", found);
    }

    /// What was withdrawn stays denied whatever the clock, the place or the policies say, until
    /// the person chooses again.
    #[test]
    fn a_withdrawn_purpose_is_denied_from_then_on(
        policies in any_policies(), steps in history(), index in 0_usize..4, to in 0_usize..4,
    ) {
        let mut subject = play(&policies, &steps);
        let now = day(120);
        apply(&policies, &mut subject, &Step::Withdraw(0, index), now);
        let id = &policies.versions()[0].policy.spec.purposes;
        let id = &id[index % id.len()].id;
        apply(&policies, &mut subject, &Step::Move(PLACES[to]), now);
        for at in instants_from(now, &policies, &[&subject]) {
            prop_assert!(!alone(&policies, &subject, id, at).granted);
        }
    }

    /// A choice dated before a withdrawal does not undo it, in whichever order they arrive.
    #[test]
    fn an_older_choice_does_not_undo_a_withdrawal(
        policies in any_policies(), steps in history(), which in 0_usize..4, yes in any::<[bool; 4]>(),
    ) {
        let mut subject = play(&policies, &steps);
        let ids: Vec<String> = policies.versions()[which % policies.versions().len()]
            .policy.spec.purposes.iter().map(|purpose| purpose.id.clone()).collect();
        for index in 0..ids.len() {
            apply(&policies, &mut subject, &Step::Withdraw(which, index), day(120));
        }
        apply(&policies, &mut subject, &Step::Choose(which, yes, 3, true), day(121));
        for id in &ids {
            prop_assert!(!alone(&policies, &subject, id, day(121)).granted);
        }
    }

    /// What was refused is denied from then on, whoever refused it and whatever date that bears.
    #[test]
    fn a_refused_purpose_is_denied_from_then_on(
        policies in any_policies(), steps in history(), yes in any::<[bool; 4]>(),
        ago in 0_i64..200, guardian in any::<bool>(), adult in any::<bool>(),
    ) {
        let mut subject = play(&policies, &steps);
        apply(&policies, &mut subject, &Step::Choose(0, yes, ago, guardian), day(120));
        // Not even coming of age, or another guardian, undoes it.
        apply(&policies, &mut subject, &Step::ComeOfAge(adult), day(120));
        apply(&policies, &mut subject, &Step::Guardian(None), day(120));
        let refused = policies.versions()[0].offers().filter(|o| o.purpose().choosable() && !yes[o.index]);
        for id in refused.map(|offer| &offer.purpose().id) {
            for at in instants_from(day(120), &policies, &[&subject]) {
                prop_assert!(!alone(&policies, &subject, id, at).granted);
            }
        }
    }

    /// A guardian's yes ends with the guardianship, and setting a guardian grants nothing.
    #[test]
    fn another_guardian_has_agreed_to_nothing(policies in any_policies(), steps in history(), clear in any::<bool>()) {
        let mut subject = play(&policies, &steps);
        apply(&policies, &mut subject, &Step::ComeOfAge(false), day(120));
        let next = if clear { None } else { Some("aunt") };
        apply(&policies, &mut subject, &Step::Guardian(next), day(120));
        for at in instants_from(day(120), &policies, &[&subject]) {
            for id in IDS {
                prop_assert!(subject.guardian.is_none() == clear && !alone(&policies, &subject, id, at).granted);
            }
        }
    }

    /// In whatever order decisions arrive, a subject keeps a number of choices that the policies
    /// bound, and they give every answer that all choices ever made would give, now and later.
    #[test]
    fn few_choices_are_kept_and_they_say_it_all(
        policies in any_policies(), steps in history_of(step(), 0..12), adult in any::<bool>(),
    ) {
        let mut subject = subject("DE");
        let mut all: Vec<Choice> = Vec::new();
        for (at, step) in &steps {
            let now = day(*at);
            let (content, occurred_at) = recorded(&policies, &subject, step, now);
            let guardian = subject.guardian.clone();
            for choice in choices_in(&subject, &content, occurred_at, now) {
                all.insert(all.partition_point(|known| known.at <= choice.at), choice);
            }
            subject.apply(&policies, &content, occurred_at, now);
            if subject.guardian != guardian {
                all.retain(|known| known.stance != Stance::Granted || known.by != Decider::Guardian);
            }
            for slot in policies.slots() {
                let kept = subject.choices.iter().filter(|c| policies.slot_at(c.policy, c.index) == Some(slot));
                let versions = policies.versions().iter().filter(|v| v.offers().any(|o| o.slot() == slot));
                // The last no to each policy, and a yes to each version by each who decided.
                prop_assert!(kept.count() <= 4 * versions.count());
            }
        }
        let now = steps.last().map_or(day(0), |(at, _)| day(*at));
        // Whoever decides then.
        for age in [subject.is_adult(), adult] {
            apply(&policies, &mut subject, &Step::ComeOfAge(age), now);
            let complete = Subject { choices: all.clone(), ..subject.clone() };
            for at in instants_from(now, &policies, &[&complete]) {
                for id in IDS {
                    let (kept, complete) = (alone(&policies, &subject, id, at), alone(&policies, &complete, id, at));
                    prop_assert_eq!(kept, complete, "{} at {:?}", id, at);
                }
                for slot in policies.slots() {
                    prop_assert_eq!(change(&policies, &subject, slot, at), change(&policies, &complete, slot, at));
                }
            }
        }
    }
}

/// The choices that an event makes, dated as the subject dates them.
fn choices_in(
    subject: &Subject,
    content: &EventContent,
    occurred_at: Moment,
    now: Moment,
) -> Vec<Choice> {
    let last = subject.after_all_choices(now);
    match content {
        EventContent::DecisionRecorded { policy, choices, by, .. } => {
            let made = choices.iter().map(|(index, yes)| {
                let no = (Stance::Refused, last.max(occurred_at));
                let (stance, at) = if *yes { (Stance::Granted, occurred_at) } else { no };
                Choice { policy: *policy, index: *index, stance, at, by: *by }
            });
            made.collect()
        }
        EventContent::Withdrawn { purposes } => {
            let by = if subject.is_adult() { Decider::Adult } else { Decider::Child };
            let made = purposes.iter().map(|(policy, index)| Choice {
                policy: *policy,
                index: *index,
                stance: Stance::Withdrawn,
                at: last,
                by,
            });
            made.collect()
        }
        _ => vec![],
    }
}
