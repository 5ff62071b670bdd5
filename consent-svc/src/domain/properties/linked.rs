//! Of a person with several accounts, and of a clock that is known within bounds.

use super::*;

/// The subjects that histories leave, the first linked to the others.
fn linked(policies: &Policies, histories: &[History]) -> Vec<Subject> {
    histories.iter().map(|steps| play(policies, steps)).collect()
}

fn histories() -> impl Strategy<Value = Vec<History>> {
    prop::collection::vec(history_of(step(), 0..6), 1..4)
}

/// The answer by the rule's words: one's own no, else any other's.
fn strictest(policies: &Policies, accounts: &[Subject], id: &str, at: Moment) -> Decision {
    let answers: Vec<Decision> =
        accounts.iter().map(|account| alone(policies, account, id, at)).collect();
    let stricter = answers.iter().any(|answer| !answer.granted);
    if answers[0].granted && stricter {
        Decision { granted: false, reason: Reason::LinkedSubject, valid_until: None }
    } else {
        answers[0]
    }
}

proptest! {
    #![proptest_config(config(300))]

    /// The strictest of all accounts' answers, and exactly until when.
    #[test]
    fn the_strictest_answer_counts_and_its_end_is_exact(
        policies in any_policies(), histories in histories(),
    ) {
        let accounts = linked(&policies, &histories);
        let others: Vec<&Subject> = accounts.iter().skip(1).collect();
        let person = Person { subject: Some(&accounts[0]), linked: &others };
        let instants = instants(&policies, &accounts.iter().collect::<Vec<_>>());
        for id in IDS {
            let expected: Vec<Decision> =
                instants.iter().map(|at| strictest(&policies, &accounts, id, *at)).collect();
            for (at, expected_now) in expected.iter().enumerate() {
                let answer = decide(&policies, person, id, instants[at]);
                prop_assert!(same(&answer, expected_now), "{} at {:?}: {:?}", id, instants[at], answer);
                let next = (at + 1..expected.len()).find(|later| !same(&expected[*later], &answer));
                prop_assert_eq!(answer.valid_until, next.map(|later| instants[later]));
            }
        }
    }

    /// While the clock is known within bounds, a yes is one at every instant within them; the first
    /// no decides; and each ends exactly.
    #[test]
    fn throughout_is_at_every_instant(
        policies in any_policies(), histories in histories(),
        ends in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..40), 12),
    ) {
        let accounts = linked(&policies, &histories);
        let others: Vec<&Subject> = accounts.iter().skip(1).collect();
        let person = Person { subject: Some(&accounts[0]), linked: &others };
        let instants = instants(&policies, &accounts.iter().collect::<Vec<_>>());
        for id in IDS {
            let exact: Vec<Decision> =
                instants.iter().map(|at| decide(&policies, person, id, *at)).collect();
            for (first, length) in &ends {
                let first = first.index(instants.len());
                let last = (first + length).min(instants.len() - 1);
                let now = Interval { earliest: instants[first], latest: instants[last] };
                let answer = decide_throughout(&policies, person, id, now);
                // The first no, or else what holds at the end.
                let decided = (first..=last).find(|at| !exact[*at].granted).unwrap_or(last);
                prop_assert_eq!(answer, exact[decided], "{} in {:?}", id, now);
            }
        }
    }

    /// What was answered once is the answer for every later interval for which it says so, and for
    /// no longer: between it and the first for which it does not, the answer changes.
    #[test]
    fn a_kept_answer_is_right_for_as_long_as_it_holds(
        policies in any_policies(), steps in history(),
        spread in (any::<prop::sample::Index>(), 0_usize..40, 0_usize..40, 0_usize..40),
    ) {
        let subject = play(&policies, &steps);
        let person = Person::alone(&subject);
        let instants = instants(&policies, &[&subject]);
        let first = spread.0.index(instants.len());
        let at = |place: usize| instants[place.min(instants.len() - 1)];
        let kept_at = Interval { earliest: at(first), latest: at(first + spread.1) };
        let earliest = first + spread.2;
        let latest = (first + spread.1).max(earliest) + spread.3;
        let later = Interval { earliest: at(earliest), latest: at(latest) };
        for (slot, kept) in policies.slots().zip(answers(&policies, person, kept_at)) {
            let fresh = decide_slot(&policies, person, slot, later);
            if kept.still_holds(later) {
                prop_assert!(same(&kept, &fresh), "{:?} then {:?}", kept, fresh);
            } else {
                prop_assert!(kept.valid_until.is_some_and(|end| end <= later.latest));
            }
        }
    }
}

/// A link that is known and an account that is not at hand: its answer is not guessed.
#[test]
fn a_linked_account_that_is_missing_counts_as_a_no() {
    let policies = policies(vec![spec()]);
    let mut anna = subject("US");
    apply(&policies, &mut anna, &Step::Choose(0, [true; 4], 0, false), day(1));
    assert!(alone(&policies, &anna, IDS[0], day(2)).granted);
    apply(&policies, &mut anna, &Step::Link(vec!["b"]), day(2));
    let missing = alone(&policies, &anna, IDS[0], day(2));
    assert_eq!((missing.granted, missing.reason), (false, Reason::LinkedSubject));
    let other = Subject { linked: vec!["a".into()], ..anna.clone() };
    let person = Person { subject: Some(&anna), linked: &[&other] };
    assert!(decide(&policies, person, IDS[0], day(2)).granted);
    apply(&policies, &mut anna, &Step::Link(vec![]), day(3));
    assert!(alone(&policies, &anna, IDS[0], day(3)).granted);
}
