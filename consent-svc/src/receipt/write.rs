//! Writing a record of an event.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    ConsentEvent, ControllerConfig, Integrity, Party, PiiInformation, PolicyName, PrivacyNotice,
    Processing, Record, RecordedPurpose,
    facts::{By, CONTROLLER, Facts},
    record::SCHEMA_VERSION,
    written,
};
use crate::{
    domain::{
        Event, LawfulBasis, Moment, Offer, Policies, PolicyNumber, Purpose, PurposeKind, Span,
        Version,
    },
    store::Proof,
};

/// How the person takes back a consent.
const WITHDRAWAL: &str = "assent.consent.v1.ConsentService/Withdraw";

/// What a record is written from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Issue<'a> {
    pub(crate) subject_id: &'a str,
    pub(crate) event: &'a Event,
    pub(crate) proof: &'a Proof,
    pub(crate) policies: &'a Policies,
    /// Whose law applied to the subject after the event.
    pub(crate) jurisdiction: Option<&'a str>,
    pub(crate) controller: &'a ControllerConfig,
    pub(crate) issued_at: Moment,
}

/// The record of an event; nothing, if what happened was erased, or is about a policy version that
/// is not there.
pub(crate) fn record(issue: Issue<'_>) -> Option<Record> {
    let Issue { subject_id, event, proof, policies, controller, issued_at, .. } = issue;
    let facts = Facts::of(&event.content)?;
    let notice = match facts.notice {
        Some((policy, place)) => Some(notice(policies.version(policy)?, place)?),
        None => None,
    };
    let language = facts.language.map(str::to_owned);
    let language = language.or_else(|| notice.as_ref().map(|notice| notice.locale.clone()));
    let named = |(policy, place): (PolicyNumber, u16)| {
        let version = policies.version(policy)?;
        Some((version.offers().nth(usize::from(place))?, place))
    };
    let offers: Vec<(Offer<'_>, u16)> = if facts.choices.is_empty() {
        let version = facts.notice.and_then(|(policy, _)| policies.version(policy));
        version.into_iter().flat_map(Version::offers).zip(0..).collect()
    } else {
        let places = facts.choices.iter().map(|(policy, place, _)| named((*policy, *place)));
        places.collect::<Option<_>>()?
    };
    let record_id = event.id();
    Some(Record {
        schema_version: SCHEMA_VERSION.to_owned(),
        receipt_id: format!("{record_id}-{}", issued_at.millis()),
        issued_at: written(issued_at),
        record_id,
        pii_principal_id: subject_id.to_owned(),
        party_identification: parties(subject_id, &facts, &offers, controller),
        events: events(subject_id, event, &facts, &offers),
        pii_processing: Processing {
            privacy_notice: notice,
            purposes: offers
                .iter()
                .map(|(offer, place)| purpose(*offer, *place, language.as_deref()))
                .collect(),
            language,
            jurisdiction: issue.jurisdiction.map(str::to_owned),
            storage_locations: controller.storage_locations.clone(),
            retention_period: given(&controller.retention_period),
        },
        details: facts.details,
        integrity: Integrity {
            revision: event.revision,
            recorded_at: written(event.recorded_at),
            previous_digest: hex::encode(proof.previous),
            digest: hex::encode(event.digest),
            content_digest: hex::encode(proof.content_digest),
            salt: hex::encode(proof.salt),
            content: BASE64_STANDARD.encode(&proof.content),
        },
    })
}

fn name(version: &Version) -> PolicyName {
    let policy = &version.policy;
    PolicyName { policy_id: policy.id.clone(), version: policy.version, number: policy.number.0 }
}

fn notice(version: &Version, place: u16) -> Option<PrivacyNotice> {
    let notice = version.policy.spec.notices.get(usize::from(place))?;
    Some(PrivacyNotice {
        policy: name(version),
        title: version.policy.spec.title.clone(),
        locale: notice.locale.clone(),
        sha256: hex::encode(notice.sha256),
        place,
    })
}

fn purpose(offer: Offer<'_>, place: u16, language: Option<&str>) -> RecordedPurpose {
    let purpose: &Purpose = offer.purpose();
    let mut texts = purpose.texts.iter();
    let text = texts.find(|text| Some(text.locale.as_str()) == language);
    let text = text.or(purpose.texts.first());
    let pii = |category: &String| PiiInformation { pii_type: category.clone() };
    RecordedPurpose {
        purpose: purpose.id.clone(),
        purpose_description: text.map(|text| text.title.clone()).unwrap_or_default(),
        purpose_type: match purpose.kind {
            PurposeKind::Transfer => "transfer".to_owned(),
            PurposeKind::Use => "use".to_owned(),
        },
        lawful_basis: basis(purpose.lawful_basis).to_owned(),
        pii_information: purpose.data_categories.iter().map(pii).collect(),
        pii_controllers: vec![CONTROLLER.to_owned()],
        recipient_third_parties: purpose.recipients.clone(),
        withdrawal_method: purpose.choosable().then(|| WITHDRAWAL.to_owned()),
        policy: name(offer.version),
        place,
    }
}

fn basis(basis: LawfulBasis) -> &'static str {
    match basis {
        LawfulBasis::Consent => "consent",
        LawfulBasis::Contract => "contract",
        LawfulBasis::LegalObligation => "legal_obligation",
        LawfulBasis::VitalInterests => "vital_interests",
        LawfulBasis::PublicTask => "public_task",
        LawfulBasis::LegitimateInterests => "legitimate_interests",
    }
}

fn events(
    subject_id: &str,
    event: &Event,
    facts: &Facts<'_>,
    offers: &[(Offer<'_>, u16)],
) -> Vec<ConsentEvent> {
    let about = |offer: Option<Offer<'_>>, state: Option<&str>| {
        let lasts = offer.filter(|_| state == Some("given"));
        let lasts = lasts.and_then(|offer| offer.purpose().consent_lifetime);
        ConsentEvent {
            event_time: written(event.occurred_at),
            event_type: facts.kind.to_owned(),
            event_state: state.map(str::to_owned),
            validity_duration: lasts.map(duration),
            entity_id: facts.by.party_id(subject_id).to_owned(),
            purpose: offer.map(|offer| offer.purpose().id.clone()),
        }
    };
    if facts.choices.is_empty() {
        return vec![about(None, facts.state)];
    }
    let choices = facts.choices.iter().zip(offers);
    choices.map(|((_, _, state), (offer, _))| about(Some(*offer), Some(*state))).collect()
}

/// A length of time as ISO 8601 writes it.
fn duration(span: Span) -> String {
    const DAY: i64 = 86_400_000;
    let millis = span.millis();
    match (millis % DAY, millis % 1_000) {
        (0, _) => format!("P{}D", millis / DAY),
        (_, 0) => format!("PT{}S", millis / 1_000),
        (_, rest) => format!("PT{}.{rest:03}S", millis / 1_000),
    }
}

fn parties(
    subject_id: &str,
    facts: &Facts<'_>,
    offers: &[(Offer<'_>, u16)],
    controller: &ControllerConfig,
) -> Vec<Party> {
    let party = |id: &str, role: &str| Party {
        party_id: id.to_owned(),
        party_role: role.to_owned(),
        ..Party::default()
    };
    let mut parties = vec![
        party(subject_id, "pii_principal"),
        Party {
            party_name: given(&controller.name),
            party_contact: given(&controller.contact),
            party_url: given(&controller.url),
            party_address: given(&controller.address),
            ..party(CONTROLLER, "pii_controller")
        },
    ];
    if let By::Guardian(guardian) = facts.by {
        parties.push(party(guardian, "guardian"));
    }
    let mut recipients: Vec<&String> =
        offers.iter().flat_map(|(offer, _)| &offer.purpose().recipients).collect();
    recipients.sort_unstable();
    recipients.dedup();
    parties.extend(
        recipients
            .into_iter()
            .map(|name| Party { party_name: Some(name.clone()), ..party(name, "recipient") }),
    );
    parties
}

fn given(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_iso_8601_has_them() {
        let written = [86_400_000 * 365, 90_000, 1_500].map(|ms| duration(Span::from_millis(ms)));
        assert_eq!(written, ["P365D", "PT90S", "PT1.500S"]);
    }
}
