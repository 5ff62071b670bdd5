//! What a receipt says, in plain words.

use std::fmt;

use consent_svc::receipt::{ConsentEvent, Record};

use crate::output::plain;

/// A record, to be read by a person.
pub(super) struct Statement<'a>(pub(super) &'a Record);

impl fmt::Display for Statement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.0;
        let Some(event) = record.events.first() else { return Ok(()) };
        line(f, "who", &record.pii_principal_id)?;
        line(f, "what", what(record, event))?;
        let recorded_at = &record.integrity.recorded_at;
        if *recorded_at == event.event_time {
            line(f, "when", &event.event_time)?;
        } else {
            line(f, "when", format!("{} (recorded {recorded_at})", event.event_time))?;
        }
        for one in &record.events {
            if let (Some(state), Some(purpose)) = (&one.event_state, &one.purpose) {
                line(f, answer(state), described(record, one, purpose))?;
            }
        }
        if let Some(notice) = &record.pii_processing.privacy_notice {
            let policy = &notice.policy;
            let shown =
                format!("{} ({}, version {})", notice.title, policy.policy_id, policy.version);
            line(f, "about", shown)?;
            line(
                f,
                "shown",
                format!("the notice in {}, SHA-256 {}", notice.locale, notice.sha256),
            )?;
        }
        if let (Some(method), Some(client)) = (&record.details.method, &record.details.client) {
            line(f, "through", format!("{method}, {client}"))?;
        }
        let controller = record
            .party_identification
            .iter()
            .find(|party| party.party_role == "pii_controller" && party.party_name.is_some());
        if let Some(name) = controller.and_then(|party| party.party_name.as_ref()) {
            line(f, "controller", name)?;
        }
        line(f, "event", format!("{}, number {}", record.record_id, record.integrity.revision))
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(f, "  {name:<11} {}", plain(&value.to_string()))
}

fn answer(state: &str) -> &str {
    match state {
        "given" => "yes to",
        "refused" => "no to",
        "withdrawn" => "no longer",
        other => other,
    }
}

fn described(record: &Record, event: &ConsentEvent, id: &str) -> String {
    let mut purposes = record.pii_processing.purposes.iter();
    let purpose = purposes.find(|purpose| purpose.purpose == id);
    let title = purpose.map(|purpose| purpose.purpose_description.as_str()).unwrap_or_default();
    match &event.validity_duration {
        Some(duration) => format!("{title} ({id}), for {duration}"),
        None => format!("{title} ({id})"),
    }
}

fn what(record: &Record, event: &ConsentEvent) -> String {
    let details = &record.details;
    let list = |ids: &Option<Vec<String>>| match ids.as_deref() {
        None | Some([]) => "nobody".to_owned(),
        Some(ids) => ids.join(", "),
    };
    match event.event_type.as_str() {
        "subject_put" => format!(
            "became known, or changed: jurisdiction {}, {}, apps {}",
            details.jurisdiction.as_deref().unwrap_or("none"),
            details.age_band.as_deref().unwrap_or("unspecified").replace('_', " "),
            list(&details.apps),
        ),
        "notice_served" => "was shown a notice".to_owned(),
        "decision_recorded" => match details.decided_by.as_deref() {
            Some("guardian") => format!("a guardian decided: {}", event.entity_id),
            Some("child") => "decided, not being of age".to_owned(),
            _ => "decided".to_owned(),
        },
        "withdrawn" => "withdrew".to_owned(),
        "objection_signal_set" if details.objects == Some(true) => {
            "objects: the device signals it (Global Privacy Control)".to_owned()
        }
        "objection_signal_set" => "no longer objects".to_owned(),
        "linked" => format!("accounts of the same person were linked: {}", list(&details.linked)),
        "unlinked" => format!("was unlinked; still linked: {}", list(&details.linked)),
        "guardian_set" => match details.guardian.as_deref() {
            None | Some("") => "has no guardian any more".to_owned(),
            Some(guardian) => format!("has a guardian: {guardian}"),
        },
        "wards_set" => format!("is the guardian of: {}", list(&details.wards)),
        "erased" => "was erased".to_owned(),
        other => other.to_owned(),
    }
}
