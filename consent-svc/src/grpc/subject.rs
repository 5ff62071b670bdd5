//! Subjects and answers.

use proto::{FieldErrors, consent::v1 as pb};

use super::{deadline, moment, spec, timestamp};
use crate::{
    consent::Standing,
    domain::{AgeBand, Attributes, ChangeOption, Decision, Jurisdiction, Reason, Subject, Version},
};

/// The attributes in a request.
pub(super) fn parse(message: &pb::PutSubjectRequest, bad: &mut FieldErrors) -> Option<Attributes> {
    let created_at = message.account_created_at.as_ref();
    let created_at = moment(bad, "account_created_at", created_at)?;
    let age_band = match message.age_band() {
        pb::AgeBand::Adult => AgeBand::Adult,
        pb::AgeBand::UnderAge => AgeBand::UnderAge,
        pb::AgeBand::Unspecified => AgeBand::Unspecified,
    };
    let jurisdiction = Jurisdiction::new(message.jurisdiction.as_str());
    Some(Attributes::new(jurisdiction, age_band, created_at, message.apps.clone()))
}

/// A subject as its platform knows it.
pub(super) fn write(
    subject_id: String,
    attributes: &Attributes,
    objects: bool,
    revision: u64,
) -> pb::Subject {
    let age_band = match attributes.age_band {
        AgeBand::Unspecified => pb::AgeBand::Unspecified,
        AgeBand::Adult => pb::AgeBand::Adult,
        AgeBand::UnderAge => pb::AgeBand::UnderAge,
    };
    pb::Subject {
        subject_id,
        jurisdiction: attributes.jurisdiction.code().to_owned(),
        age_band: age_band as i32,
        account_created_at: Some(timestamp(attributes.account_created_at)),
        apps: attributes.apps.clone(),
        objection_signal: objects,
        revision,
    }
}

/// As [`write`], of a subject as it was read.
pub(super) fn write_known(subject_id: String, subject: &Subject, revision: u64) -> pb::Subject {
    write(subject_id, &subject.attributes, subject.objection_since.is_some(), revision)
}

pub(super) fn outcome(decision: &Decision) -> pb::Outcome {
    if decision.granted { pb::Outcome::Granted } else { pb::Outcome::Denied }
}

pub(super) fn reason(decision: &Decision) -> pb::DecisionReason {
    match decision.reason {
        Reason::Explicit => pb::DecisionReason::Explicit,
        Reason::DefaultAfterLapse => pb::DecisionReason::DefaultAfterLapse,
        Reason::NoticeServed => pb::DecisionReason::NoticeServed,
        Reason::WindowPending => pb::DecisionReason::WindowPending,
        Reason::NoticeNotServed => pb::DecisionReason::NoticeNotServed,
        Reason::NotAsked => pb::DecisionReason::NotAsked,
        Reason::Withdrawn => pb::DecisionReason::Withdrawn,
        Reason::Expired => pb::DecisionReason::Expired,
        Reason::PrerequisiteDenied => pb::DecisionReason::PrerequisiteDenied,
        Reason::ObjectionSignal => pb::DecisionReason::ObjectionSignal,
        Reason::GuardianRequired => pb::DecisionReason::GuardianRequired,
        Reason::UnknownSubject => pb::DecisionReason::UnknownSubject,
        Reason::NoPolicy => pb::DecisionReason::NoPolicy,
        Reason::NoReceivingAccount => pb::DecisionReason::NoReceivingAccount,
        Reason::Erased => pb::DecisionReason::Erased,
        Reason::LinkedSubject => pb::DecisionReason::LinkedSubject,
    }
}

/// The answers for a version's purposes, which are in its order.
pub(super) fn write_answers(
    version: Option<&Version>,
    answers: &[Decision],
) -> Vec<pb::PurposeAnswer> {
    let offers = version.into_iter().flat_map(Version::offers);
    offers.zip(answers).map(|(offer, answer)| write_answer(&offer.purpose().id, answer)).collect()
}

/// The answer for one purpose.
pub(super) fn write_answer(purpose_id: &str, answer: &Decision) -> pb::PurposeAnswer {
    pb::PurposeAnswer {
        purpose_id: purpose_id.to_owned(),
        outcome: outcome(answer) as i32,
        reason: reason(answer) as i32,
        valid_until: deadline(answer.valid_until),
    }
}

/// A line of a settings page.
pub(super) fn write_standing(standing: &Standing<'_>) -> pb::PurposeConsent {
    let option = match standing.change.option {
        ChangeOption::Any => pb::ChangeOption::Any,
        ChangeOption::Withdraw => pb::ChangeOption::Withdraw,
        ChangeOption::Grant => pb::ChangeOption::Grant,
        ChangeOption::None => pb::ChangeOption::None,
    };
    pb::PurposeConsent {
        purpose: Some(spec::write_purpose(standing.offer.purpose())),
        policy: Some(spec::reference(&standing.offer.version.policy)),
        outcome: outcome(&standing.decision) as i32,
        reason: reason(&standing.decision) as i32,
        valid_until: deadline(standing.decision.valid_until),
        change_option: option as i32,
        change_until: deadline(standing.change.until),
    }
}
