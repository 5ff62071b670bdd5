//! Ending grants.

use std::collections::HashSet;

use crate::{
    domain::{Complaint, EventContent, Finding, Offer, change_under, place},
    error::Error,
    store::{Command, Outcome, Reply, RequestId, Scene},
    writer::Writer,
};

/// Withdraws from purposes. Those that require one of them are denied with it.
pub(crate) async fn withdraw(
    writer: &Writer,
    request: RequestId,
    subject_id: String,
    purpose_ids: Vec<String>,
) -> Result<Reply, Error> {
    let id = subject_id.clone();
    let rule = Box::new(move |scene: &Scene<'_>| rule(&id, &purpose_ids, scene));
    writer.write(Command { request, subject_ids: vec![subject_id], rule }).await
}

fn rule(subject_id: &str, purpose_ids: &[String], scene: &Scene<'_>) -> Result<Outcome, Error> {
    let (policies, now) = (scene.policies, scene.now);
    let subject = scene.subject()?;
    let mut findings = Vec::new();
    let mut offers: Vec<Offer<'_>> = Vec::new();
    let mut seen = HashSet::new();
    for (at, purpose_id) in purpose_ids.iter().enumerate() {
        let field = || format!("purpose_ids[{at}]");
        let slot = policies.slot(purpose_id);
        let Some(any) = slot.and_then(|slot| policies.any_offer(slot)) else {
            let why = "no policy was ever published with this purpose";
            findings.push(Finding::new(Complaint::PurposeNotInPolicy, field(), why));
            continue;
        };
        let (deciding, _) = policies.deciding(any.slot(), &subject.attributes.jurisdiction, now);
        // Where no policy decides, nothing is granted and nothing stands against a withdrawal.
        let closed = deciding.is_some_and(|offer| {
            let (change, agreed) = change_under(policies, offer, subject, now);
            !change.permits(false, agreed)
        });
        let why = if deciding.unwrap_or(any).purpose().choosable() {
            closed.then_some("the policy no longer lets it be withdrawn")
        } else {
            // Nor can it be chosen again later: a withdrawal would be for ever.
            Some("there is nothing to choose about it")
        };
        if let Some(why) = why {
            findings.push(Finding::new(Complaint::Closed, field(), why));
        }
        if seen.insert(any.slot()) {
            offers.push(deciding.unwrap_or(any));
        }
    }
    if !findings.is_empty() {
        return Err(Error::Refused(findings));
    }
    let purposes: Vec<_> =
        offers.iter().map(|offer| (offer.version.policy.number, place(offer.index))).collect();
    let content = EventContent::Withdrawn { purposes };
    Ok(Outcome { changes: vec![scene.change(subject_id, content)], reply: Reply::default() })
}
