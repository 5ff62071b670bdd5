//! Policies and subjects for the tests of this module.

use super::*;

pub(super) const DAY: i64 = 86_400_000;
/// When the samples take effect.
pub(super) const T0: i64 = 1_000 * DAY;

pub(crate) fn day(day: i64) -> Moment {
    Moment::from_millis(T0 + day * DAY)
}

pub(super) fn purpose(id: &str, mechanism: Mechanism) -> Purpose {
    let transfer = id == "messenger.share_phone";
    Purpose {
        id: id.to_owned(),
        kind: if transfer { PurposeKind::Transfer } else { PurposeKind::Use },
        requires: if transfer { vec![] } else { vec!["messenger.share_phone".to_owned()] },
        mechanism,
        lawful_basis: LawfulBasis::LegitimateInterests,
        data_categories: vec!["phone number".to_owned()],
        recipients: vec!["Social Inc.".to_owned()],
        consent_lifetime: None,
        receiving_app: transfer.then(|| "social".to_owned()),
        texts: vec![PurposeText { locale: "en".into(), title: id.into(), text: id.into() }],
    }
}

/// 30 days to accept, 30 to change, silence is a yes.
pub(super) fn spec() -> Spec {
    Spec {
        title: "Sharing".to_owned(),
        jurisdictions: vec![Jurisdiction::new("US")],
        regime: ConsentRegime::OptOut,
        effective_at: day(0),
        notices: vec![Notice { locale: "en".into(), text: "We will".into(), sha256: [7; 32] }],
        purposes: vec![
            purpose("messenger.share_phone", Mechanism::OptOut),
            purpose("social.ads", Mechanism::OptOut),
            purpose("social.messages", Mechanism::OptIn),
            purpose("social.spam", Mechanism::NoticeOnly),
        ],
        accept_within: Span::from_days(30),
        change_within: Span::from_days(30),
        on_lapse: OnLapse::Default,
        after_window: AfterWindow::Closed,
        refusal_reversible: false,
        applies_to: AppliesTo::ExistingSubjects,
    }
}

pub(super) fn policy(number: u32, id: &str, version: u32, spec: Spec) -> Policy {
    Policy {
        number: PolicyNumber(number),
        id: id.to_owned(),
        version,
        state: PolicyState::Published,
        created_at: day(-60),
        published_at: Some(day(-60)),
        retired_at: None,
        spec,
    }
}

pub(super) fn policies(specs: Vec<Spec>) -> Policies {
    let numbered = (1..).zip(specs);
    Policies::new(1, numbered.map(|(n, spec)| policy(n, "sharing", n, spec)).collect())
}

pub(crate) fn subject(jurisdiction: &str) -> Subject {
    Subject::new(Attributes::new(
        Jurisdiction::new(jurisdiction),
        AgeBand::Adult,
        day(-400),
        vec!["social".into(), "messenger".into()],
    ))
}

pub(super) fn evidence() -> Evidence {
    Evidence { method: "dialog".into(), locale: "en".into(), notice: 0, client: "app 1".into() }
}
