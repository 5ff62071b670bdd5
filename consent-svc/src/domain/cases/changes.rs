//! One row a rule of `change.rs`.

use super::*;

/// A policy, what happened, an instant, and what can be changed about ads then.
type Case = (&'static str, fn(&mut Spec), Vec<(i64, Step)>, Moment, (ChangeOption, Option<Moment>));

fn check(cases: Vec<Case>) {
    for (what, policy, steps, at, expected) in cases {
        let mut spec = spec();
        policy(&mut spec);
        let policies = policies(vec![spec]);
        let subject = after(&policies, &steps);
        let found = policies.slot(ADS).map(|slot| change(&policies, &subject, slot, at));
        let found = found.map(|found| (found.option, found.until));
        assert_eq!(found, Some(expected), "{what}");
    }
}

fn as_it_is(_: &mut Spec) {}

#[test]
fn what_can_be_changed_and_until_when() {
    use ChangeOption::{Any, Grant, None as Nothing, Withdraw};
    let reversible: fn(&mut Spec) = |spec| spec.refusal_reversible = true;
    let always: fn(&mut Spec) = |spec| spec.after_window = AfterWindow::WithdrawAlways;
    let opt_in: fn(&mut Spec) = |spec| {
        spec.regime = ConsentRegime::OptIn;
        spec.on_lapse = OnLapse::Deny;
    };
    let on_consent: fn(&mut Spec) = |spec| spec.purposes[1].lawful_basis = LawfulBasis::Consent;
    let told: fn(&mut Spec) = |spec| spec.purposes[1].mechanism = Mechanism::NoticeOnly;
    let lifetime: fn(&mut Spec) =
        |spec| spec.purposes[1].consent_lifetime = Some(Span::from_days(10));
    let older: fn(&mut Spec) = |spec| {
        spec.applies_to = AppliesTo::ExistingSubjects;
        spec.effective_at = Moment::from_millis(i64::MIN);
    };
    let renewed = (Any, Some(day(70)));
    let yes = || vec![(20, choose(YES))];
    let no = || vec![(20, choose(NO))];
    let no_again = || vec![(30, choose(NO))];
    let served = || vec![(5, Step::Serve(0))];
    check(vec![
        ("nothing to choose", told, yes(), day(21), (Nothing, None)),
        ("erased", as_it_is, vec![(0, Step::Erase)], day(1), (Nothing, None)),
        ("expired", lifetime, yes(), day(30), (Any, None)),
        ("asked again then", lifetime, [yes(), vec![(40, choose(YES))]].concat(), day(45), renewed),
        ("not an account that it asks", older, vec![], day(1), (Nothing, None)),
        ("not asked yet", as_it_is, vec![], day(1), (Any, None)),
        ("asked", as_it_is, served(), before(day(35)), (Any, Some(day(35)))),
        ("lapsed into a yes", as_it_is, served(), day(35), (Any, Some(day(65)))),
        ("and closed", as_it_is, served(), day(65), (Nothing, None)),
        ("lapsed into a no", opt_in, served(), day(35), (Nothing, None)),
        ("agreed", as_it_is, yes(), before(day(50)), (Any, Some(day(50)))),
        ("changed", as_it_is, [yes(), no_again()].concat(), day(31), (Any, Some(day(50)))),
        ("and closed", as_it_is, yes(), day(50), (Nothing, None)),
        ("but for the way out", always, yes(), day(50), (Withdraw, None)),
        ("which an opt-in regime keeps open", opt_in, yes(), day(50), (Withdraw, None)),
        ("and consent does", on_consent, yes(), day(50), (Withdraw, None)),
        ("refused", as_it_is, no(), before(day(50)), (Any, Some(day(50)))),
        ("for good", as_it_is, no(), day(50), (Nothing, None)),
        ("or not", reversible, no(), day(50), (Grant, None)),
    ]);
}

#[test]
fn of_a_child_it_is_what_its_guardian_can_change() {
    use ChangeOption::{Any, Grant, None as Nothing, Withdraw};
    let always: fn(&mut Spec) = |spec| {
        spec.after_window = AfterWindow::WithdrawAlways;
        spec.refusal_reversible = true;
    };
    let child = |steps: Vec<(i64, Step)>| {
        let begun = vec![(0, Step::ComeOfAge(false)), (0, Step::Guardian(Some("mother")))];
        [begun, steps].concat()
    };
    let agreed = || child(vec![(20, by_guardian(YES))]);
    let father = || (40, Step::Guardian(Some("father")));
    check(vec![
        ("not asked yet", as_it_is, child(vec![]), day(1), (Any, None)),
        ("asked", as_it_is, child(vec![(5, Step::Serve(0))]), day(6), (Any, Some(day(35)))),
        (
            "its silence is no yes",
            as_it_is,
            child(vec![(5, Step::Serve(0))]),
            day(35),
            (Nothing, None),
        ),
        ("nor is its yes", always, child(vec![(5, choose(YES))]), day(35), (Grant, None)),
        (
            "and that is not the guardian's time",
            as_it_is,
            child(vec![(5, choose(YES)), (30, by_guardian(YES))]),
            day(59),
            (Any, Some(day(60))),
        ),
        ("agreed", always, agreed(), before(day(50)), (Any, Some(day(50)))),
        ("the way out", always, agreed(), day(50), (Withdraw, None)),
        (
            "the next guardian is asked anew",
            as_it_is,
            [agreed(), vec![father()]].concat(),
            day(50),
            (Any, None),
        ),
        (
            "and has as much time",
            as_it_is,
            [agreed(), vec![father(), (50, Step::Serve(0))]].concat(),
            day(79),
            (Any, Some(day(80))),
        ),
    ]);
}

/// Nobody decides for an erased subject, whichever policy asks.
#[test]
fn of_an_erased_subject_nothing_can_be_changed() {
    let policies = policies(vec![spec()]);
    let erased = after(&policies, &[(0, choose(YES)), (1, Step::Erase)]);
    for offer in policies.versions()[0].offers() {
        let (change, agreed) = change_under(&policies, offer, &erased, day(2));
        assert_eq!((change.option, change.until, agreed), (ChangeOption::None, None, false));
    }
}
