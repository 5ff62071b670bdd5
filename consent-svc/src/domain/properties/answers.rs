//! Of answers: when they end, and what they rest on.

use super::*;

proptest! {
    #![proptest_config(config(600))]

    /// An answer holds exactly until its `valid_until`: brute force over every instant at which
    /// anything could happen finds the same answer before it and another one at it.
    #[test]
    fn valid_until_is_exact(policies in any_policies(), steps in history()) {
        let subject = play(&policies, &steps);
        let instants = instants(&policies, &[&subject]);
        for id in IDS {
            let answers: Vec<Decision> =
                instants.iter().map(|at| alone(&policies, &subject, id, *at)).collect();
            for (at, answer) in answers.iter().enumerate() {
                let next = (at + 1..answers.len()).find(|later| !same(&answers[*later], answer));
                let next = next.map(|later| instants[later]);
                prop_assert_eq!(answer.valid_until, next, "{} at {:?}", id, instants[at]);
            }
        }
    }

    /// Between the instants at which anything could happen, nothing does.
    #[test]
    fn an_answer_holds_at_any_instant_before_its_end(
        policies in any_policies(), steps in history(), start in -100_i64..200, within in 0.0_f64..1.0,
    ) {
        let subject = play(&policies, &steps);
        let start = Moment::from_millis(day(start).millis() + 12_345);
        for id in IDS {
            let answer = alone(&policies, &subject, id, start);
            let end = answer.valid_until.map_or(day(2_000), |until| Moment::from_millis(until.millis() - 1));
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
            let then = start.millis() + ((end.millis() - start.millis()) as f64 * within) as i64;
            for at in [Moment::from_millis(then), end] {
                let later = alone(&policies, &subject, id, at);
                prop_assert!(same(&later, &answer), "{} at {:?}: {:?}, {:?}", id, at, later, answer);
                prop_assert_eq!(later.valid_until, answer.valid_until);
            }
        }
    }

    /// The due-queue's instant is the first at which any answer changes.
    #[test]
    fn the_next_change_is_the_first_of_any_answer(
        policies in any_policies(), steps in history(), now in -100_i64..200,
    ) {
        let (subject, now) = (play(&policies, &steps), day(now));
        let before = answers(&policies, Person::alone(&subject), now);
        let later = instants_from(now, &policies, &[&subject]);
        let differs = |at: &Moment| {
            let after = answers(&policies, Person::alone(&subject), *at);
            before.iter().zip(&after).any(|(one, other)| !same(one, other))
        };
        let first = later.into_iter().find(differs);
        prop_assert_eq!(next_change(&policies, Person::alone(&subject), now), first);
    }

    /// A purpose is granted only if everything that it requires is.
    #[test]
    fn prerequisites_hold(policies in any_policies(), steps in history()) {
        let subject = play(&policies, &steps);
        for at in instants(&policies, &[&subject]) {
            for slot in policies.slots() {
                let (offer, _) = policies.deciding(slot, &subject.attributes.jurisdiction, at);
                let Some(purpose) = offer.map(|offer| offer.purpose()) else { continue };
                if alone(&policies, &subject, &purpose.id, at).granted {
                    for id in &purpose.requires {
                        prop_assert!(alone(&policies, &subject, id, at).granted);
                    }
                }
            }
        }
    }

    /// For a child nothing is granted but what its guardian agreed to, or was told where there is
    /// nothing to choose.
    #[test]
    fn a_child_is_granted_only_what_its_guardian_agreed_to(policies in any_policies(), steps in history()) {
        let mut subject = play(&policies, &steps);
        apply(&policies, &mut subject, &Step::ComeOfAge(false), day(120));
        for at in instants(&policies, &[&subject]) {
            for id in IDS {
                let answer = alone(&policies, &subject, id, at);
                if answer.granted {
                    let agreed = subject.choices.iter().any(|choice| {
                        choice.by == Decider::Guardian && choice.stance == Stance::Granted
                            && policies.slot_at(choice.policy, choice.index) == policies.slot(id)
                    });
                    let agreed = agreed || answer.reason == Reason::NoticeServed;
                    prop_assert!(agreed && subject.guardian.is_some(), "{} at {:?}", id, at);
                }
            }
        }
    }

    /// Any instants, any spans, any order of events: an answer, and one that is in the future.
    #[test]
    fn extremes_have_answers(
        mut spec in any_spec(),
        times in any::<[i64; 5]>(),
        spans in any::<[i64; 3]>(),
        chosen in any::<[bool; 4]>(),
    ) {
        let extreme = |at: i64| Moment::from_millis(match at % 5 { 0 => i64::MIN, 1 => i64::MAX, _ => at });
        spec.effective_at = extreme(times[0]);
        let span = |at: i64| Span::from_millis(extreme(at).millis());
        spec.accept_within = span(spans[0]);
        spec.change_within = span(spans[1]);
        for purpose in &mut spec.purposes {
            purpose.consent_lifetime = Some(span(spans[2]));
        }
        spec.jurisdictions = vec![Jurisdiction::new("DE")];
        let count = spec.purposes.len();
        let policies = policies(vec![spec]);
        let mut subject = subject("DE");
        let (policy, now) = (PolicyNumber(1), extreme(times[2]));
        let mut record = |content, at, now| subject.apply(&policies, &content, at, now);
        record(EventContent::NoticeServed { policy, notice: 0 }, extreme(times[1]), now);
        let look = |subject: &Subject| {
            for slot in policies.slots() {
                let answer = decide_slot(&policies, Person::alone(subject), slot, now);
                assert!(answer.valid_until.is_none_or(|until| until > now));
                change(&policies, subject, slot, now);
            }
        };
        look(&subject);
        let choices: Vec<_> = (0_u16..).zip(chosen).take(count).collect();
        let (by, guardian, evidence) = (Decider::Adult, None, evidence());
        let decided = EventContent::DecisionRecorded { policy, choices, by, guardian, evidence };
        subject.apply(&policies, &decided, extreme(times[3]), extreme(times[4]));
        let withdrawn = EventContent::Withdrawn { purposes: vec![(policy, 0)] };
        subject.apply(&policies, &withdrawn, now, now);
        look(&subject);
    }

    /// Who is granted something in a place where silence is a no can end it at any time.
    #[test]
    fn the_way_out_never_closes_where_silence_is_a_no(policies in any_policies(), steps in history()) {
        let subject = play(&policies, &steps);
        for at in instants(&policies, &[&subject]) {
            for slot in policies.slots() {
                let (Some(offer), _) = policies.deciding(slot, &subject.attributes.jurisdiction, at) else { continue };
                if offer.version.policy.spec.regime == ConsentRegime::OptIn && offer.purpose().choosable() {
                    let granted = alone(&policies, &subject, &offer.purpose().id, at).granted;
                    prop_assert!(!granted || change(&policies, &subject, slot, at).permits(false, true));
                }
            }
        }
    }
}
