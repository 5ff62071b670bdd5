//! One row a contradiction.

use super::*;

fn fields(spec: Spec, published: &[Policy]) -> Vec<String> {
    let mut draft = policy(9, "sharing", 9, spec);
    draft.state = PolicyState::Draft;
    contradictions(&draft, published).into_iter().map(|found| found.field).collect()
}

/// A slip, and the field that is named for it.
type Case = (&'static str, fn(&mut Spec));

#[test]
fn every_contradiction_has_its_field() {
    assert_eq!(fields(spec(), &[]), Vec::<String>::new());
    let opt_in = |spec: &mut Spec| {
        spec.regime = ConsentRegime::OptIn;
        spec.on_lapse = OnLapse::Deny;
        spec.after_window = AfterWindow::WithdrawAlways;
    };
    let mut good = spec();
    opt_in(&mut good);
    good.jurisdictions = vec![Jurisdiction::new("DE")];
    assert_eq!(fields(good, &[]), Vec::<String>::new());
    let cases: Vec<Case> = vec![
        ("accept_within", |spec| spec.accept_within = Span::from_millis(0)),
        ("accept_within", |spec| spec.accept_within = Span::from_days(3_654)),
        ("change_within", |spec| spec.change_within = Span::from_millis(-1)),
        ("purposes[1].consent_lifetime", |spec| {
            spec.purposes[1].consent_lifetime = Some(Span::from_days(0));
        }),
        ("purposes[3].consent_lifetime", |spec| {
            spec.purposes[3].consent_lifetime = Some(Span::from_days(9));
        }),
        ("jurisdictions[1]", |spec| spec.jurisdictions.push(Jurisdiction::new("DE-BY"))),
        ("jurisdictions[1]", |spec| spec.jurisdictions.push(Jurisdiction::new("GB"))),
        ("jurisdictions[1]", |spec| spec.jurisdictions.push(Jurisdiction::new("EEA"))),
        ("jurisdictions[1]", |spec| spec.jurisdictions.push(Jurisdiction::new("US"))),
        ("on_lapse", |spec| {
            spec.regime = ConsentRegime::OptIn;
            spec.after_window = AfterWindow::WithdrawAlways;
        }),
        ("after_window", |spec| {
            spec.regime = ConsentRegime::OptIn;
            spec.on_lapse = OnLapse::Deny;
        }),
        ("on_lapse", |spec| {
            spec.purposes[0].mechanism = Mechanism::OptIn;
            spec.purposes[1].mechanism = Mechanism::NoticeOnly;
        }),
        ("after_window", |spec| spec.purposes[2].lawful_basis = LawfulBasis::Consent),
        ("purposes[1].mechanism", |spec| {
            spec.after_window = AfterWindow::WithdrawAlways;
            spec.purposes[1].lawful_basis = LawfulBasis::Consent;
        }),
        ("purposes[3].mechanism", |spec| {
            spec.after_window = AfterWindow::WithdrawAlways;
            spec.purposes[3].lawful_basis = LawfulBasis::Consent;
        }),
        ("notices[1].locale", |spec| spec.notices.push(spec.notices[0].clone())),
        ("purposes[1].texts[1].locale", |spec| {
            let text = spec.purposes[1].texts[0].clone();
            spec.purposes[1].texts.push(text);
        }),
        ("purposes[2].texts", |spec| spec.purposes[2].texts[0].locale = "de".into()),
        ("purposes[4].purpose_id", |spec| spec.purposes.push(spec.purposes[1].clone())),
        ("purposes[1].requires[1]", |spec| spec.purposes[1].requires.push(SHARE.into())),
        ("purposes[1].requires[1]", |spec| spec.purposes[1].requires.push("social.nothing".into())),
        ("purposes[1].requires", |spec| spec.purposes[1].requires.push(ADS.into())),
        ("purposes[1].requires", |spec| spec.purposes[1].requires.clear()),
        ("purposes[0].requires", |spec| spec.purposes[0].requires.push(SHARE.into())),
    ];
    for (field, slip) in cases {
        let mut bad = spec();
        slip(&mut bad);
        assert_eq!(fields(bad, &[]), [field]);
    }
}

/// Silence is a no there whatever the author wrote: neither a lapse nor a closed door is let in by
/// calling the regime another.
#[test]
fn all_are_named_at_once_and_a_circle_at_each_of_its_members() {
    let mut bad = spec();
    bad.jurisdictions = ["FR", "US", "NO"].map(Jurisdiction::new).to_vec();
    bad.purposes[1].requires.push(MESSAGES.into());
    bad.purposes[2].requires.push(ADS.into());
    bad.accept_within = Span::from_millis(0);
    let expected = [
        "accept_within",
        "jurisdictions[0]",
        "jurisdictions[2]",
        "purposes[1].requires",
        "purposes[2].requires",
    ];
    assert_eq!(fields(bad, &[]), expected);
}

#[test]
fn a_purpose_means_the_same_for_ever() {
    let published = [policy(1, "sharing", 1, spec())];
    let cases: Vec<Case> = vec![
        ("purposes[0].data_categories", |spec| {
            spec.purposes[0].data_categories.push("name".into());
        }),
        ("purposes[0].recipients", |spec| {
            spec.purposes[0].recipients = vec!["Another Inc.".into()];
        }),
        ("purposes[0].receiving_app", |spec| spec.purposes[0].receiving_app = None),
        ("purposes[1].kind", |spec| spec.purposes[1].kind = PurposeKind::Transfer),
        ("purposes[3].requires", |spec| spec.purposes[3].requires.push(ADS.into())),
        ("purposes[1].mechanism", |spec| spec.purposes[1].mechanism = Mechanism::OptIn),
        ("purposes[1].lawful_basis", |spec| spec.purposes[1].lawful_basis = LawfulBasis::Contract),
    ];
    for (field, slip) in cases {
        let mut changed = spec();
        slip(&mut changed);
        assert_eq!(fields(changed.clone(), &published), [field]);
        // Another policy asks on another ground, or in another way, but for the same thing.
        let elsewhere = [policy(1, "elsewhere", 1, spec())];
        let asked_otherwise = field.ends_with("mechanism") || field.ends_with("lawful_basis");
        assert_eq!(fields(changed, &elsewhere).is_empty(), asked_otherwise, "{field}");
    }
    // In another order it is the same.
    let mut same = spec();
    same.purposes[3].requires = vec![SHARE.into(), ADS.into()];
    let mut other = same.clone();
    other.purposes[3].requires.reverse();
    assert_eq!(fields(other, &[policy(1, "sharing", 1, same)]), Vec::<String>::new());
}
