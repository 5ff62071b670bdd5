//! Recording what a person chose.

use std::collections::HashSet;

use crate::{
    domain::{
        Complaint, Decider, EventContent, Evidence, Finding, Moment, Offer, Person, PolicyState,
        Subject, Version, applicable, change_under, decide, place,
    },
    error::Error,
    record_notice_served::CLOCK_TOLERANCE,
    store::{Change, Command, Outcome, Reply, RequestId, Scene},
    writer::Writer,
};

/// What a person chose, and how.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) policy_id: String,
    pub(crate) version: u32,
    /// Purposes, and whether the person agreed.
    pub(crate) choices: Vec<(String, bool)>,
    pub(crate) method: String,
    pub(crate) locale: String,
    pub(crate) notice_sha256: Vec<u8>,
    pub(crate) client: String,
    pub(crate) decided_at: Option<Moment>,
    /// Who decided for the subject; empty: the subject.
    pub(crate) decided_by: String,
}

/// Records a decision on one version: a choice for each of its purposes that can be chosen.
pub(crate) async fn record_decision(
    writer: &Writer,
    request: RequestId,
    subject_id: String,
    decided: Made,
) -> Result<Reply, Error> {
    let id = subject_id.clone();
    let rule = Box::new(move |scene: &Scene<'_>| rule(&id, &decided, scene));
    writer.write(Command { request, subject_ids: vec![subject_id], rule }).await
}

fn rule(subject_id: &str, decided: &Made, scene: &Scene<'_>) -> Result<Outcome, Error> {
    let (policies, now) = (scene.policies, scene.now);
    let mut subject = scene.subject()?.clone();
    let version = policies.named(&decided.policy_id, decided.version);
    let version = version.ok_or(Error::PolicyUnknown)?;
    if version.policy.state == PolicyState::Retired {
        return Err(Error::PolicyRetired);
    }
    if version.policy.spec.effective_at > now {
        return Err(Error::PolicyNotEffective);
    }
    applicable(policies, version, &subject, now).map_err(Error::PolicyNotApplicable)?;
    let by_whom = decider(&decided.decided_by, &subject);
    let (mut findings, choices, notice) = judge(decided, scene, version, &subject);
    if by_whom.is_none() {
        let (field, why) = ("decided_by", "not the subject's guardian");
        findings.push(Finding::new(Complaint::NotTheGuardian, field, why));
    }
    let (Some(notice), Some((by, guardian)), true) = (notice, by_whom, findings.is_empty()) else {
        return Err(Error::Refused(findings));
    };
    // A decision without an instant of its own is made now, after everything recorded before it,
    // whatever another replica's clock put on that. One with an instant is evidence of it; what it
    // refuses comes last all the same (`Subject::choose`).
    let at = match decided.decided_at {
        Some(at) => at.min(now),
        None => subject.after_all_choices(now),
    };
    let evidence = Evidence {
        method: decided.method.clone(),
        locale: decided.locale.clone(),
        notice: place(notice),
        client: decided.client.clone(),
    };
    let policy = version.policy.number;
    let content = EventContent::DecisionRecorded { policy, choices, by, guardian, evidence };
    subject.apply(policies, &content, at, now);
    let linked: Vec<&Subject> = subject.linked.iter().filter_map(|id| scene.found(id)).collect();
    let person = Person { subject: Some(&subject), linked: &linked };
    let answers = version.offers().map(|offer| decide(policies, person, &offer.purpose().id, now));
    let reply = Reply { answers: answers.collect(), ..Reply::default() };
    let change = Change { subject_id: subject_id.to_owned(), content, occurred_at: at };
    Ok(Outcome { changes: vec![change], reply })
}

/// Who decides, and the guardian's id if it is they. A guardian decides for nobody of age.
fn decider(decided_by: &str, subject: &Subject) -> Option<(Decider, Option<String>)> {
    match (decided_by, subject.is_adult()) {
        ("", true) => Some((Decider::Adult, None)),
        ("", false) => Some((Decider::Child, None)),
        (id, false) if subject.guardian.as_deref() == Some(id) => {
            Some((Decider::Guardian, Some(id.to_owned())))
        }
        _ => None,
    }
}

/// Everything that is wrong with a decision; its choices by their places; the notice's place.
fn judge(
    decided: &Made,
    scene: &Scene<'_>,
    version: &Version,
    subject: &Subject,
) -> (Vec<Finding>, Vec<(u16, bool)>, Option<usize>) {
    let mut findings = Vec::new();
    let mut choices = Vec::new();
    let mut seen = HashSet::new();
    for (at, (purpose_id, granted)) in decided.choices.iter().enumerate() {
        let field = format!("choices[{at}].purpose_id");
        let mut complain =
            |complaint, why: &str| findings.push(Finding::new(complaint, field.clone(), why));
        match version.offer(purpose_id) {
            None => complain(Complaint::PurposeNotInPolicy, "not a purpose of this version"),
            Some(_) if !seen.insert(purpose_id) => {
                complain(Complaint::FieldInvalid, "stands here twice");
            }
            Some(offer) if !offer.purpose().choosable() => {
                complain(Complaint::FieldInvalid, "there is nothing to choose about it");
            }
            Some(offer) => {
                if !permitted(scene, offer, subject, *granted) {
                    let why = if *granted {
                        "can no longer be agreed to"
                    } else {
                        "can no longer be refused"
                    };
                    complain(Complaint::Closed, why);
                }
                choices.push((place(offer.index), *granted));
            }
        }
    }
    let missing = version.offers().map(|offer| offer.purpose());
    let missing = missing.filter(|purpose| purpose.choosable() && !seen.contains(&purpose.id));
    let missing: Vec<&str> = missing.map(|purpose| purpose.id.as_str()).collect();
    if !missing.is_empty() {
        let why = format!("no choice for {}", missing.join(", "));
        findings.push(Finding::new(Complaint::ChoiceMissing, "choices", why));
    }
    let notice = version.notice(&decided.notice_sha256);
    if notice.is_none() {
        let (field, why) = ("evidence.notice_sha256", "no notice of this version has it");
        findings.push(Finding::new(Complaint::NoticeUnknown, field, why));
    }
    findings.extend(decided.decided_at.and_then(|at| misdated(at, scene.now, version)));
    choices.sort_unstable();
    (findings, choices, notice)
}

/// What is wrong with the instant at which a person is said to have decided on a version.
fn misdated(at: Moment, now: Moment, version: &Version) -> Option<Finding> {
    let (complaint, why) = if at > now.plus(CLOCK_TOLERANCE) {
        (Complaint::InFuture, "in the future")
    } else if version.policy.published_at.is_some_and(|published| at < published) {
        (Complaint::FieldInvalid, "before the version was published")
    } else {
        return None;
    };
    Some(Finding::new(complaint, "evidence.decided_at", why))
}

/// Windows are judged now, not at `decided_at`: nobody reopens one by dating a decision back.
fn permitted(scene: &Scene<'_>, offer: Offer<'_>, subject: &Subject, yes: bool) -> bool {
    let (change, agreed) = change_under(scene.policies, offer, subject, scene.now);
    change.permits(yes, agreed)
}
