//! Several accounts, and a clock that is not quite known.

use Reason::{
    DefaultAfterLapse, Expired, Explicit, LinkedSubject as Linked, WindowPending as Pending,
};

use super::*;

/// Of two accounts, the stricter answer; of two that are denied, one's own reason.
#[test]
fn the_stricter_of_two_accounts() {
    let policies = policies(vec![spec()]);
    let answer = |own: &[(i64, Step)], other: &[(i64, Step)], at: Moment| {
        let (own, other) = (after(&policies, own), after(&policies, other));
        let answer = decide(&policies, Person { subject: Some(&own), linked: &[&other] }, ADS, at);
        (answer.granted, answer.reason, answer.valid_until)
    };
    let yes = [(0, choose(YES))];
    let no = [(0, choose(NO))];
    let asked = [(5, Step::Serve(0))];
    let lapse = day(35);
    assert_eq!(answer(&yes, &yes, day(6)), (true, Explicit, None));
    assert_eq!(answer(&yes, &no, day(6)), (false, Linked, None));
    assert_eq!(answer(&no, &yes, day(6)), (false, Explicit, None));
    assert_eq!(answer(&no, &asked, day(6)), (false, Explicit, None));
    assert_eq!(answer(&yes, &asked, before(lapse)), (false, Linked, Some(lapse)));
    assert_eq!(answer(&yes, &asked, lapse), (true, Explicit, None));
    assert_eq!(answer(&asked, &yes, lapse), (true, DefaultAfterLapse, None));
    assert_eq!(answer(&asked, &no, before(lapse)), (false, Pending, Some(lapse)));
    assert_eq!(answer(&asked, &no, lapse), (false, Linked, None));
    assert_eq!(answer(&yes, &[(1, Step::Erase)], day(6)), (false, Linked, None));
}

/// While the clock is uncertain, a yes that ends or begins within its bounds is none.
#[test]
fn throughout_an_interval() {
    let mut spec = spec();
    spec.purposes[0].consent_lifetime = Some(Span::from_days(10));
    let policies = policies(vec![spec]);
    let silent = after(&policies, &[(0, Step::Serve(0))]);
    let at = |earliest, latest| {
        let now = Interval { earliest, latest };
        let answer = decide_throughout(&policies, Person::alone(&silent), SHARE, now);
        (answer.granted, answer.reason, answer.valid_until)
    };
    let (begins, ends) = (day(30), day(40));
    let pending = (false, Pending, Some(begins));
    let lapsed = (true, DefaultAfterLapse, Some(ends));
    assert_eq!(at(before(begins), before(begins)), pending);
    assert_eq!(at(before(begins), begins), pending);
    assert_eq!(at(begins, begins), lapsed);
    assert_eq!(at(begins, before(ends)), lapsed);
    assert_eq!(at(begins, ends), (false, Expired, None));
    assert_eq!(at(before(begins), ends), pending);
    // Kept, the yes serves for as long as the clock cannot have passed its end, and the no until
    // the clock must have.
    let kept = |now: Moment| answers(&policies, Person::alone(&silent), now)[0];
    let around = |end| Interval { earliest: before(end), latest: end };
    assert!(!kept(begins).still_holds(around(ends)));
    assert!(kept(begins).still_holds(before(ends).into()));
    assert!(kept(day(1)).still_holds(around(begins)));
    assert!(!kept(day(1)).still_holds(begins.into()));
    assert_eq!(next_change(&policies, Person::alone(&silent), day(1)), Some(begins));
}
