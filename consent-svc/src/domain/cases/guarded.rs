//! Of children, and of those who were.

use Reason::{
    DefaultAfterLapse, Explicit, GuardianRequired, NoticeNotServed, NoticeServed, ObjectionSignal,
    PrerequisiteDenied, Withdrawn,
};

use super::{
    row::{check, no, yes},
    *,
};

fn child(steps: &[(i64, Step)]) -> Vec<(i64, Step)> {
    let begun = [(0, Step::ComeOfAge(false)), (0, Step::Guardian(Some("mother")))];
    [&begun, steps].concat()
}

/// A child whose guardian agreed.
fn agreed(then: &[(i64, Step)]) -> Vec<(i64, Step)> {
    child(&[&[(0, by_guardian(YES))], then].concat())
}

#[test]
fn a_child_is_granted_what_its_guardian_agrees_to() {
    let served = || child(&[(0, Step::Serve(0))]);
    let unknown: fn(&mut Attributes) = |one| one.age_band = AgeBand::Unspecified;
    let father = (1, Step::Guardian(Some("father")));
    let told_before_father = || child(&[(0, Step::Serve(0)), father.clone()]);
    let alone = vec![(0, Step::ComeOfAge(false)), (0, Step::Serve(0))];
    check([
        no("not asked", child(&[]), GuardianRequired),
        no("silent while it is asked", served(), GuardianRequired),
        no("and after", served(), GuardianRequired).at(day(40)),
        no("told", served(), PrerequisiteDenied).id(SPAM),
        yes("told, and the rest agreed to", agreed(&[]), NoticeServed).id(SPAM),
        no("not told", child(&[]), NoticeNotServed).id(SPAM),
        no("another guardian is not", told_before_father(), NoticeNotServed).id(SPAM),
        no("told, with no guardian", alone, GuardianRequired).id(SPAM),
        no("its yes", child(&[(0, choose(YES))]), GuardianRequired),
        no("its no", child(&[(0, choose(NO))]), Explicit),
        yes("its guardian's yes", agreed(&[]), Explicit),
        no("its guardian's no", child(&[(0, by_guardian(NO))]), Explicit),
        no("its no after a yes", agreed(&[(1, choose(NO))]), Explicit),
        no("it withdraws", agreed(&[(1, Step::Withdraw(0, 1))]), Withdrawn),
        yes("its yes adds nothing", agreed(&[(1, choose(YES))]), Explicit),
        no("nor takes back a no", child(&[(0, by_guardian(NO)), (1, choose(YES))]), Explicit),
        yes("its guardian's does", child(&[(0, choose(NO)), (1, by_guardian(YES))]), Explicit),
        no("it objects", agreed(&[(1, Step::Object(true))]), ObjectionSignal),
        no("another guardian", agreed(std::slice::from_ref(&father)), GuardianRequired),
        no("no guardian", agreed(&[(1, Step::Guardian(None))]), GuardianRequired),
        yes("the same once more", agreed(&[(1, Step::Guardian(Some("mother")))]), Explicit),
        no("a former one's no", child(&[(0, by_guardian(NO)), father]), Explicit),
        no("an unknown age", vec![(0, choose(YES))], GuardianRequired).person(unknown),
    ]);
}

#[test]
fn coming_of_age() {
    let adult = || (1, Step::ComeOfAge(true));
    let served = |at| (at, Step::Serve(0));
    check([
        no("the guardian's yes is none", agreed(&[adult()]), NoticeNotServed),
        no("nor the child's", child(&[(0, choose(YES)), adult()]), NoticeNotServed),
        yes("but one's own", agreed(&[adult(), (1, choose(YES))]), Explicit),
        no("a no is a no still", child(&[(0, choose(NO)), adult()]), Explicit),
        no("what was served before", child(&[served(0), adult()]), NoticeNotServed).at(day(40)),
        yes("asked anew", child(&[adult(), served(5)]), DefaultAfterLapse).at(day(40)),
        no(
            "or a child again",
            vec![(0, choose(YES)), (1, Step::ComeOfAge(false))],
            GuardianRequired,
        ),
        yes("by mistake", vec![(0, choose(YES)), (0, Step::ComeOfAge(false)), adult()], Explicit),
    ]);
}
