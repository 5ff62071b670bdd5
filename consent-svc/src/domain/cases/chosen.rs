//! What was chosen.

use Reason::{Expired, Explicit, ObjectionSignal, PrerequisiteDenied, Withdrawn};

use super::{
    row::{check, no, yes},
    *,
};

#[test]
fn what_was_chosen() {
    let lifetime: fn(&mut Spec) =
        |spec| spec.purposes[1].consent_lifetime = Some(Span::from_days(10));
    let agreed = || vec![(0, choose(YES))];
    let but_ads = || vec![(0, choose([true, false, true, true]))];
    let only_ads = || vec![(0, choose([false, true, true, true]))];
    let withdrew = || vec![(0, choose(YES)), (1, Step::Withdraw(0, 1))];
    let again = || vec![(0, Step::Withdraw(0, 1)), (1, choose(YES))];
    let objects = |objects| (1, Step::Object(objects));
    check([
        yes("a yes", agreed(), Explicit),
        no("a no", but_ads(), Explicit),
        no("a no to what it requires", only_ads(), PrerequisiteDenied),
        no("withdrawn", withdrew(), Withdrawn),
        yes("agreed again", again(), Explicit),
        yes("lasts", agreed(), Explicit).policy(lifetime).at(before(day(10))).until(day(10)),
        no("expires", agreed(), Expired).policy(lifetime).at(day(10)),
        no("objects", [agreed(), vec![objects(true)]].concat(), ObjectionSignal),
        no("at that instant", vec![(1, choose(YES)), objects(true)], ObjectionSignal),
        yes(
            "in spite of an objection",
            vec![(0, Step::Object(true)), (1, choose(YES)), objects(true)],
            Explicit,
        ),
        yes(
            "no longer objects",
            [agreed(), vec![objects(true), objects(false)]].concat(),
            Explicit,
        ),
    ]);
}

/// A yes to a month does not become one to a year because the next version says so.
#[test]
fn a_yes_lasts_no_longer_than_was_agreed_to() {
    let lasting = |days: Option<i64>, effective: i64| {
        let mut spec = spec();
        spec.effective_at = day(effective);
        spec.purposes[0].consent_lifetime = days.map(Span::from_days);
        spec
    };
    let rows = [
        (Some(10), None, Some(10)),
        (Some(10), Some(99), Some(10)),
        (None, Some(20), Some(20)),
        (Some(30), Some(20), Some(20)),
        (None, None, None),
    ];
    for (first, second, end) in rows {
        let policies = policies(vec![lasting(first, 0), lasting(second, 5)]);
        let subject = after(&policies, &[(0, choose(YES))]);
        let answer = decide(&policies, Person::alone(&subject), SHARE, day(6));
        let valid_until = end.map(day);
        assert_eq!(answer, Decision { granted: true, reason: Explicit, valid_until });
    }
}

/// A yes for what is only announced leaves the yes that counts until then.
#[test]
fn agreeing_in_advance_ends_nothing() {
    let next = Spec { effective_at: day(20), ..spec() };
    let policies = policies(vec![spec(), next]);
    let in_advance = [(0, choose(YES)), (1, Step::Choose(1, YES, 0, false))];
    let subject = after(&policies, &in_advance);
    let answer = |subject: &Subject, at| decide(&policies, Person::alone(subject), SHARE, at);
    for at in [day(1), before(day(20)), day(20)] {
        let yes = Decision { granted: true, reason: Explicit, valid_until: None };
        assert_eq!(answer(&subject, at), yes);
    }
    // And undoes no refusal before its time.
    let refused = after(&policies, &[(0, choose(NO)), (1, Step::Choose(1, YES, 0, false))]);
    let valid_until = Some(day(20));
    let no = Decision { granted: false, reason: Explicit, valid_until };
    assert_eq!(answer(&refused, before(day(20))), no);
    assert!(answer(&refused, day(20)).granted);
}

/// Replicas' clocks differ: what is recorded last counts last, if it is a no.
#[test]
fn a_no_that_a_slow_clock_recorded_comes_last() {
    let policies = policies(vec![spec()]);
    for (slow, reason) in [(Step::Withdraw(0, 0), Withdrawn), (choose(NO), Explicit)] {
        let subject = after(&policies, &[(2, choose(YES)), (1, slow)]);
        let answer = decide(&policies, Person::alone(&subject), SHARE, day(3));
        assert_eq!(answer, Decision { granted: false, reason, valid_until: None });
    }
    let subject = after(&policies, &[(2, choose(YES)), (1, Step::Object(true))]);
    let answer = decide(&policies, Person::alone(&subject), SHARE, day(3));
    assert_eq!(answer.reason, ObjectionSignal);
}

/// A yes under another policy counts for nothing here, but takes back a no to that policy: whoever
/// decides takes it back, that is, and nobody else.
#[test]
fn a_no_is_taken_back_where_it_was_given() {
    let policies =
        Policies::new(1, vec![policy(1, "here", 1, spec()), policy(2, "there", 1, spec())]);
    let there = |yes: bool, guardian| Step::Choose(1, [yes; 4], 0, guardian);
    let here = |steps: &[(i64, Step)]| {
        let subject = after(&policies, steps);
        let offers: Vec<Offer<'_>> = policies.versions()[0].offers().collect();
        subject.standing_choice(&policies, offers[0], day(9)).0.map(|choice| choice.stance)
    };
    let child = [(0, Step::ComeOfAge(false)), (0, Step::Guardian(Some("mother")))];
    let of_child = |steps: [(i64, Step); 2]| here(&[&child[..], &steps].concat());
    assert_eq!(here(&[(1, there(true, false))]), None);
    assert_eq!(here(&[(1, there(false, false))]), Some(Stance::Refused));
    assert_eq!(here(&[(1, there(false, false)), (2, there(true, false))]), None);
    assert_eq!(here(&[(1, choose(NO)), (2, there(true, false))]), Some(Stance::Refused));
    // Nor does a no there, taken back there, take back the one here.
    let there_and_back = [(1, choose(NO)), (2, there(false, false)), (3, there(true, false))];
    assert_eq!(here(&there_and_back), Some(Stance::Refused));
    assert_eq!(here(&[&there_and_back[..], &[(4, choose(YES))]].concat()), Some(Stance::Granted));
    let refused = Some(Stance::Refused);
    assert_eq!(of_child([(1, there(false, true)), (2, there(true, true))]), None);
    assert_eq!(of_child([(1, there(false, true)), (2, there(true, false))]), refused);
}
