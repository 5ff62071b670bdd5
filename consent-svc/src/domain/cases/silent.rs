//! What was not chosen.

use Reason::{
    DefaultAfterLapse, Expired, NoticeNotServed, NoticeServed, ObjectionSignal, PrerequisiteDenied,
    WindowPending, Withdrawn,
};

use super::{
    row::{check, no, yes},
    *,
};

#[test]
fn what_silence_means() {
    let served = || vec![(5, Step::Serve(0))];
    let twice = || vec![(5, Step::Serve(0)), (6, Step::Serve(0))];
    let early = || vec![(-5, Step::Serve(0))];
    let objects = || vec![(1, Step::Object(true)), (5, Step::Serve(0))];
    let deny: fn(&mut Spec) = |spec| spec.on_lapse = OnLapse::Deny;
    let lifetime: fn(&mut Spec) =
        |spec| spec.purposes[1].consent_lifetime = Some(Span::from_days(10));
    let last = before(day(45));
    check([
        no("not shown", vec![], NoticeNotServed),
        no("the last millisecond", served(), WindowPending).at(before(day(35))).until(day(35)),
        yes("the first after it", served(), DefaultAfterLapse).at(day(35)),
        yes("shown twice", twice(), DefaultAfterLapse).at(day(35)),
        no("shown in advance", early(), WindowPending).at(before(day(30))).until(day(30)),
        yes("counts from its effect", early(), DefaultAfterLapse).at(day(30)),
        no("OPT_IN", served(), DefaultAfterLapse).at(day(35)).id(MESSAGES),
        no("DENY", served(), DefaultAfterLapse).at(day(35)).policy(deny),
        no("an objection, whenever it began", objects(), ObjectionSignal).at(day(36)),
        yes("lasts", served(), DefaultAfterLapse).policy(lifetime).at(last).until(day(45)),
        no("no longer than a spoken yes", served(), Expired).policy(lifetime).at(day(45)),
    ]);
}

#[test]
fn what_people_are_only_told() {
    let agreed = || vec![(0, choose(YES))];
    let pending = || vec![(0, Step::Serve(0))];
    let objects = || vec![(0, choose(YES)), (0, Step::Object(true)), (1, choose(YES))];
    let withdrew = || vec![(0, choose(YES)), (0, Step::Withdraw(0, 3))];
    let by_law: fn(&mut Spec) = |spec| spec.purposes[3].lawful_basis = LawfulBasis::LegalObligation;
    let cases = [
        no("not told", vec![], NoticeNotServed),
        yes("told", agreed(), NoticeServed),
        no("what it requires is pending", pending(), PrerequisiteDenied).until(day(30)),
        no("an objection that the law honours", objects(), ObjectionSignal),
        yes("and one that it does not", objects(), NoticeServed).policy(by_law),
        no("withdrawn all the same", withdrew(), Withdrawn),
    ];
    check(cases.map(|case| case.id(SPAM)));
}

/// A device that was offline reports what it showed: the time to accept runs from the first.
#[test]
fn the_first_notice_counts_in_whichever_order_they_are_reported() {
    let policies = policies(vec![spec()]);
    let mut subject = after(&policies, &[(9, Step::Serve(0))]);
    let content = EventContent::NoticeServed { policy: PolicyNumber(1), notice: 0 };
    subject.apply(&policies, &content, day(5), day(10));
    let answer = decide(&policies, Person::alone(&subject), ADS, day(11));
    assert_eq!((answer.reason, answer.valid_until), (WindowPending, Some(day(35))));
}
