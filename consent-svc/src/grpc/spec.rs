//! Policies: parsed from what an author wrote, and written back.

use prost_types::Duration;
use proto::{FieldErrors, consent::v1 as pb};
use sha2::{Digest, Sha256};

use super::{moment, timestamp};
use crate::domain::{
    AfterWindow, AppliesTo, ConsentRegime, Jurisdiction, LawfulBasis, Mechanism, Notice, OnLapse,
    Policy, PolicyState, Purpose, PurposeKind, PurposeText, Span, Spec,
};

/// Both directions between an enum of the contract and one of the domain.
macro_rules! both_ways {
    ($($domain:ident: $parse:ident, $write:ident { $($theirs:ident = $ours:ident),* $(,)? })*) => {$(
        fn $parse(value: i32) -> Option<$domain> {
            match pb::$domain::try_from(value) {
                $(Ok(pb::$domain::$theirs) => Some($domain::$ours),)*
                // The contract's check has refused these.
                Ok(pb::$domain::Unspecified) | Err(_) => None,
            }
        }

        fn $write(value: $domain) -> i32 {
            match value { $($domain::$ours => pb::$domain::$theirs as i32,)* }
        }
    )*};
}

both_ways! {
    ConsentRegime: parse_regime, write_regime { OptIn = OptIn, OptOut = OptOut }
    PurposeKind: parse_kind, write_kind { Transfer = Transfer, Use = Use }
    Mechanism: parse_mechanism, write_mechanism {
        OptIn = OptIn, OptOut = OptOut, NoticeOnly = NoticeOnly,
    }
    LawfulBasis: parse_basis, write_basis {
        Consent = Consent, Contract = Contract, LegalObligation = LegalObligation,
        VitalInterests = VitalInterests, PublicTask = PublicTask,
        LegitimateInterests = LegitimateInterests,
    }
    OnLapse: parse_on_lapse, write_on_lapse { Deny = Deny, Default = Default }
    AfterWindow: parse_after_window, write_after_window {
        WithdrawAlways = WithdrawAlways, Closed = Closed,
    }
    AppliesTo: parse_applies_to, write_applies_to {
        ExistingSubjects = ExistingSubjects, AllSubjects = AllSubjects,
    }
}

/// What an author wrote, at the field `spec`.
pub(super) fn parse(spec: &pb::PolicySpec, bad: &mut FieldErrors) -> Option<Spec> {
    let notices: Vec<_> =
        spec.notices.iter().enumerate().map(|(at, notice)| parse_notice(at, notice, bad)).collect();
    let purposes: Vec<_> =
        spec.purposes.iter().enumerate().map(|(at, one)| parse_purpose(at, one, bad)).collect();
    let effective_at = moment(bad, "spec.effective_at", spec.effective_at.as_ref());
    let accept_within = span(bad, "spec.accept_within", spec.accept_within.as_ref());
    let change_within = span(bad, "spec.change_within", spec.change_within.as_ref());
    Some(Spec {
        title: spec.title.clone(),
        jurisdictions: spec.jurisdictions.iter().map(Jurisdiction::new).collect(),
        regime: parse_regime(spec.regime)?,
        effective_at: effective_at?,
        notices: notices.into_iter().collect::<Option<_>>()?,
        purposes: purposes.into_iter().collect::<Option<_>>()?,
        accept_within: accept_within?,
        change_within: change_within?,
        on_lapse: parse_on_lapse(spec.on_lapse)?,
        after_window: parse_after_window(spec.after_window)?,
        refusal_reversible: spec.refusal_reversible,
        applies_to: parse_applies_to(spec.applies_to)?,
    })
}

fn parse_notice(at: usize, notice: &pb::Notice, bad: &mut FieldErrors) -> Option<Notice> {
    let sha256: [u8; 32] = Sha256::digest(&notice.text).into();
    if !notice.sha256.is_empty() && notice.sha256 != sha256 {
        bad.add(format!("spec.notices[{at}].sha256"), "not the SHA-256 of the text");
        return None;
    }
    Some(Notice { locale: notice.locale.clone(), text: notice.text.clone(), sha256 })
}

fn parse_purpose(at: usize, purpose: &pb::Purpose, bad: &mut FieldErrors) -> Option<Purpose> {
    let field = format!("spec.purposes[{at}].consent_lifetime");
    let consent_lifetime = match purpose.consent_lifetime.as_ref() {
        Some(lifetime) => Some(span(bad, &field, Some(lifetime))?),
        None => None,
    };
    let text = |text: &pb::PurposeText| PurposeText {
        locale: text.locale.clone(),
        title: text.title.clone(),
        text: text.text.clone(),
    };
    Some(Purpose {
        id: purpose.purpose_id.clone(),
        kind: parse_kind(purpose.kind)?,
        requires: purpose.requires.clone(),
        mechanism: parse_mechanism(purpose.mechanism)?,
        lawful_basis: parse_basis(purpose.lawful_basis)?,
        data_categories: purpose.data_categories.clone(),
        recipients: purpose.recipients.clone(),
        consent_lifetime,
        receiving_app: Some(purpose.receiving_app.clone()).filter(|app| !app.is_empty()),
        texts: purpose.texts.iter().map(text).collect(),
    })
}

/// To the millisecond: what is less is cut off.
fn span(bad: &mut FieldErrors, field: &str, duration: Option<&Duration>) -> Option<Span> {
    let Duration { seconds, nanos } = *duration?;
    let signs_agree = seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0);
    let millis = seconds.checked_mul(1_000);
    let millis = millis.and_then(|millis| millis.checked_add(i64::from(nanos / 1_000_000)));
    match millis {
        Some(millis) if signs_agree && nanos.unsigned_abs() < 1_000_000_000 => {
            Some(Span::from_millis(millis))
        }
        _ => {
            bad.add(field, "not a valid duration");
            None
        }
    }
}

fn duration(span: Span) -> Duration {
    // Truncation safety: less than a thousand million.
    #[allow(clippy::cast_possible_truncation)]
    let nanos = (span.millis() % 1_000 * 1_000_000) as i32;
    Duration { seconds: span.millis() / 1_000, nanos }
}

/// The name of a version.
pub(super) fn reference(policy: &Policy) -> pb::PolicyRef {
    pb::PolicyRef { policy_id: policy.id.clone(), version: policy.version }
}

/// A version as it was in a state that it has had.
pub(super) fn write(policy: &Policy, state: PolicyState) -> pb::Policy {
    let spec = &policy.spec;
    let notices = spec.notices.iter().map(|notice| pb::Notice {
        locale: notice.locale.clone(),
        text: notice.text.clone(),
        sha256: notice.sha256.to_vec(),
    });
    let published = policy.published_at.filter(|_| state != PolicyState::Draft);
    let retired = policy.retired_at.filter(|_| state == PolicyState::Retired);
    let state = match state {
        PolicyState::Draft => pb::PolicyState::Draft,
        PolicyState::Published => pb::PolicyState::Published,
        PolicyState::Retired => pb::PolicyState::Retired,
    };
    pb::Policy {
        r#ref: Some(reference(policy)),
        state: state as i32,
        spec: Some(pb::PolicySpec {
            title: spec.title.clone(),
            jurisdictions: spec.jurisdictions.iter().map(|j| j.code().to_owned()).collect(),
            regime: write_regime(spec.regime),
            effective_at: Some(timestamp(spec.effective_at)),
            notices: notices.collect(),
            purposes: spec.purposes.iter().map(write_purpose).collect(),
            accept_within: Some(duration(spec.accept_within)),
            change_within: Some(duration(spec.change_within)),
            on_lapse: write_on_lapse(spec.on_lapse),
            after_window: write_after_window(spec.after_window),
            refusal_reversible: spec.refusal_reversible,
            applies_to: write_applies_to(spec.applies_to),
        }),
        created_at: Some(timestamp(policy.created_at)),
        published_at: published.map(timestamp),
        retired_at: retired.map(timestamp),
    }
}

/// A purpose as people may read it.
pub(super) fn write_purpose(purpose: &Purpose) -> pb::Purpose {
    let text = |text: &PurposeText| pb::PurposeText {
        locale: text.locale.clone(),
        title: text.title.clone(),
        text: text.text.clone(),
    };
    pb::Purpose {
        purpose_id: purpose.id.clone(),
        kind: write_kind(purpose.kind),
        requires: purpose.requires.clone(),
        mechanism: write_mechanism(purpose.mechanism),
        lawful_basis: write_basis(purpose.lawful_basis),
        data_categories: purpose.data_categories.clone(),
        recipients: purpose.recipients.clone(),
        consent_lifetime: purpose.consent_lifetime.map(duration),
        receiving_app: purpose.receiving_app.clone().unwrap_or_default(),
        texts: purpose.texts.iter().map(text).collect(),
    }
}
