//! Who is asked at all, and when.

use Reason::{
    Erased, Explicit, NoPolicy, NoReceivingAccount, NotAsked, NoticeNotServed, PrerequisiteDenied,
    UnknownSubject, WindowPending,
};

use super::{
    row::{check, no, yes},
    *,
};

#[test]
fn who_is_asked_at_all() {
    let served = || vec![(0, Step::Serve(0))];
    let agreed = || vec![(0, choose(YES))];
    let erased = || vec![(0, choose(YES)), (1, Step::Erase)];
    let abroad: fn(&mut Attributes) = |one| one.jurisdiction = Jurisdiction::new("DE");
    let new: fn(&mut Attributes) = |one| one.account_created_at = day(0);
    let almost_new: fn(&mut Attributes) = |one| one.account_created_at = before(day(0));
    let elsewhere: fn(&mut Attributes) = |one| one.apps = vec!["messenger".into()];
    let everyone: fn(&mut Spec) = |spec| spec.applies_to = AppliesTo::AllSubjects;
    check([
        no("no policy asks it", agreed(), NoPolicy).id("never.asked"),
        no("no policy covers the place", agreed(), NoPolicy).person(abroad),
        no("a new account", served(), NotAsked).person(new),
        no("one a millisecond old", served(), WindowPending).person(almost_new).until(day(30)),
        no("all are asked", served(), WindowPending).person(new).policy(everyone).until(day(30)),
        no("nobody to receive it", agreed(), NoReceivingAccount).person(elsewhere).id(SHARE),
        no("nor what rests on that", agreed(), PrerequisiteDenied).person(elsewhere),
        no("erased", erased(), Erased),
        no("erased, and nobody asked", erased(), Erased).id("never.asked"),
        no("erased, and nobody asks there", erased(), Erased).person(abroad),
    ]);
    let policies = policies(vec![spec()]);
    for id in [ADS, "never.asked"] {
        let nobody = decide(&policies, Person { subject: None, linked: &[] }, id, day(1));
        let unknown = Decision { granted: false, reason: UnknownSubject, valid_until: None };
        assert_eq!(nobody, unknown);
    }
}

#[test]
fn what_is_only_announced() {
    let early = before(day(0));
    let served = || vec![(-9, Step::Serve(0))];
    let agreed = || vec![(-9, choose(YES))];
    check([
        no("not shown", vec![], NoticeNotServed).at(early),
        no("shown", served(), WindowPending).at(early).until(day(30)),
        no("agreed to", agreed(), WindowPending).at(early).until(day(0)),
        yes("and then in effect", agreed(), Explicit).at(day(0)),
        no("told", agreed(), WindowPending).at(early).until(day(0)).id(SPAM),
    ]);
}

/// The most specific policy decides; of several of one place the one that took effect last; of one
/// policy the highest version, once it is in effect.
#[test]
fn which_version_decides() {
    let made = |number, id: &str, version, code: &str, effective: i64, state| {
        let mut spec = spec();
        spec.jurisdictions = vec![Jurisdiction::new(code)];
        spec.effective_at = day(effective);
        Policy { state, ..policy(number, id, version, spec) }
    };
    let (published, retired) = (PolicyState::Published, PolicyState::Retired);
    let policies = Policies::new(
        1,
        vec![
            made(1, "country", 1, "DE", 0, published),
            made(2, "union", 1, "EU", 5, published),
            made(3, "area", 1, "EEA", 6, published),
            made(4, "part", 1, "DE-BY", 10, published),
            made(5, "country", 2, "DE", 20, published),
            made(6, "another", 1, "DE", 30, published),
            made(7, "another", 2, "DE", 25, published),
            made(8, "part", 2, "DE-BY", 2, retired),
            made(9, "part", 3, "DE-BY", 2, PolicyState::Draft),
        ],
    );
    let slot = policies.slot(ADS);
    let decides = |code: &str, at: Moment| {
        let (offer, next) = policies.deciding(slot?, &Jurisdiction::new(code), at);
        offer.map(|offer| (offer.version.policy.number.0, next))
    };
    for code in ["DE", "DE-BE"] {
        assert_eq!(decides(code, before(day(0))), Some((1, Some(day(20)))), "announced first");
        assert_eq!(decides(code, before(day(20))), Some((1, Some(day(20)))));
        assert_eq!(decides(code, day(20)), Some((5, Some(day(25)))));
        assert_eq!(decides(code, day(25)), Some((7, None)), "version 1 of it changes nothing");
    }
    assert_eq!(decides("DE-BY", before(day(10))), Some((1, Some(day(10)))));
    assert_eq!(decides("DE-BY", day(30)), Some((4, None)));
    assert_eq!(decides("FR", before(day(5))), Some((2, None)), "announced, then in effect");
    assert_eq!(decides("FR-75", day(7)), Some((2, None)), "the smaller group");
    assert_eq!(decides("NO", day(7)), Some((3, None)));
    assert_eq!(decides("EU", day(7)), Some((2, None)));
    assert_eq!(decides("US", day(7)), None);
    let outsider = decides("", day(7)).or(decides("-", day(7))).or(decides("DEU", day(7)));
    assert_eq!(outsider, None);
}
