//! Recording that a person was shown a notice.

use crate::{
    domain::{Complaint, EventContent, Finding, Moment, Span, accept_until, applicable, place},
    error::Error,
    store::{Change, Command, Outcome, Reply, RequestId, Scene},
    writer::Writer,
};

/// How far a caller's clock may be ahead of ours; within that its "now" is ours.
pub(crate) const CLOCK_TOLERANCE: Span = Span::from_millis(5_000);

/// A notice that was served.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) policy_id: String,
    pub(crate) version: u32,
    pub(crate) notice_sha256: Vec<u8>,
    pub(crate) served_at: Option<Moment>,
}

/// Records that a notice was served. The time to accept runs from the first such instant, so a
/// later one changes nothing and is no event.
pub(crate) async fn record_notice_served(
    writer: &Writer,
    request: RequestId,
    subject_id: String,
    served: Shown,
) -> Result<Reply, Error> {
    let id = subject_id.clone();
    let rule = Box::new(move |scene: &Scene<'_>| rule(&id, &served, scene));
    writer.write(Command { request, subject_ids: vec![subject_id], rule }).await
}

fn rule(subject_id: &str, served: &Shown, scene: &Scene<'_>) -> Result<Outcome, Error> {
    let subject = scene.subject()?;
    let version = scene.policies.named(&served.policy_id, served.version);
    let version = version.ok_or(Error::PolicyUnknown)?;
    applicable(scene.policies, version, subject, scene.now).map_err(Error::PolicyNotApplicable)?;

    let mut findings = Vec::new();
    let mut complain = |complaint, field, why| findings.push(Finding::new(complaint, field, why));
    let notice = version.notice(&served.notice_sha256);
    if notice.is_none() {
        complain(Complaint::NoticeUnknown, "notice_sha256", "no notice of this version has it");
    }
    let at = served.served_at.unwrap_or(scene.now);
    if at > scene.now.plus(CLOCK_TOLERANCE) {
        complain(Complaint::FieldInvalid, "served_at", "in the future");
    } else if version.policy.published_at.is_some_and(|published| at < published) {
        complain(Complaint::FieldInvalid, "served_at", "before the version was published");
    }
    let (Some(notice), true) = (notice, findings.is_empty()) else {
        return Err(Error::Refused(findings));
    };
    let at = at.min(scene.now);
    let policy = version.policy.number;
    let served = subject.asked(policy).map(|asked| asked.served);
    let accept_until = Some(accept_until(version, served.map_or(at, |served| served.min(at))));
    let change = served.is_none_or(|served| at < served).then(|| {
        let content = EventContent::NoticeServed { policy, notice: place(notice) };
        Change { subject_id: subject_id.to_owned(), content, occurred_at: at }
    });
    let changes = change.into_iter().collect();
    Ok(Outcome { changes, reply: Reply { accept_until, ..Reply::default() } })
}
