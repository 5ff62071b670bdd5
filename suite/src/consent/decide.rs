//! `assent consent decide`.

use std::collections::BTreeMap;

use proto::consent::v1::{
    Choice, Evidence, GetConsentRequest, Mechanism, Notice, Policy, PolicyRef,
    RecordDecisionRequest,
};

use super::{answer, consent, get, why};
use crate::{
    client::{Client, Connection},
    exit::Error,
    output::{Output, note, plain, table, time},
    policy,
    request::RequestId,
};

const EXAMPLES: &str = "\
Examples:
  assent consent decide ann --grant messenger.share_phone --others refuse
  assent consent decide ann --others refuse
  assent consent decide ann --others grant --policy phone-sharing --version 2

The notice of the policy is shown, on standard error, and its digest recorded
with the decision.

As: USER (the subject), APP";

/// Records what a person chose, for every purpose of one policy.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Who decides.
    #[arg(value_name = "SUBJECT")]
    subject_id: String,
    /// A purpose that is agreed to; can be repeated.
    #[arg(long, value_name = "PURPOSE")]
    grant: Vec<String>,
    /// A purpose that is refused; can be repeated.
    #[arg(long, value_name = "PURPOSE")]
    refuse: Vec<String>,
    /// What is chosen for all other purposes of the policy.
    #[arg(long, value_enum, value_name = "CHOICE")]
    others: Option<Others>,
    /// Which policy; without it, the one that asks this person now.
    #[arg(long, value_name = "ID", requires = "version")]
    policy: Option<String>,
    /// Which version of it.
    #[arg(long, value_name = "N", requires = "policy")]
    version: Option<u32>,
    /// In which language the notice is shown.
    #[arg(long, default_value = "en")]
    locale: String,
    #[command(flatten)]
    request: RequestId,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Others {
    /// Agreed to.
    Grant,
    /// Refused.
    Refuse,
}

/// Shows the notice and records the decision.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let client = arguments.connection.as_user(&arguments.subject_id)?;
    let policy = policy::get(&client, which(arguments, &client).await?).await?;
    let choices = choices(arguments, &policy)?;
    let notice = notice(&policy, &arguments.locale)?;
    note(format_args!("{}\n", plain(&notice.text)));
    let request = RecordDecisionRequest {
        request_id: arguments.request.get(),
        subject_id: arguments.subject_id.clone(),
        policy: policy.r#ref.clone(),
        choices,
        evidence: Some(Evidence {
            method: "command line".to_owned(),
            locale: notice.locale,
            notice_sha256: notice.sha256,
            client: concat!("assent ", env!("CARGO_PKG_VERSION")).to_owned(),
            decided_at: None,
        }),
        decided_by: String::new(),
    };
    let recorded = consent(&client).record_decision(request).await;
    let recorded = recorded.map_err(|status| client.told(&status))?.into_inner();
    let mut people = table(["PURPOSE", "ANSWER", "WHY", "UNTIL"]);
    for one in &recorded.answers {
        people.add_row([
            one.purpose_id.clone(),
            answer(one.outcome()).to_owned(),
            why(one.reason()),
            time(one.valid_until.as_ref(), "-"),
        ]);
    }
    let (event, subject_id) = (&recorded.event_id, &arguments.subject_id);
    let said = format!(
        "{}\n\nRecorded as event {event}. A receipt: assent consent receipt {subject_id} {event}",
        people.trim_fmt()
    );
    arguments.output.one(&recorded, said)
}

/// The policy that was named, or the one that asks this person.
async fn which(arguments: &Arguments, client: &Client) -> Result<PolicyRef, Error> {
    if let (Some(policy_id), Some(version)) = (&arguments.policy, arguments.version) {
        return Ok(PolicyRef { policy_id: policy_id.clone(), version });
    }
    let subject_id = arguments.subject_id.clone();
    let found = get(client, GetConsentRequest { subject_id, as_of: None }).await?;
    let mut asking: Vec<PolicyRef> =
        found.purposes.into_iter().filter_map(|purpose| purpose.policy).collect();
    asking.sort_by(|a, b| (&a.policy_id, a.version).cmp(&(&b.policy_id, b.version)));
    asking.dedup();
    match asking.len() {
        0 => Err(Error::not_found("no policy asks this person")
            .with_next("see `assent policy list` for what is published, and where it applies")),
        1 => Ok(asking.swap_remove(0)),
        _ => {
            let several = Error::input("several policies ask this person")
                .with_next("say which one with --policy ID --version N");
            let fault = |error: Error, one: PolicyRef| {
                error.with_fault(one.policy_id, format!("version {}", one.version))
            };
            Err(asking.into_iter().fold(several, fault))
        }
    }
}

/// A choice for every purpose that can be chosen; or every purpose that is unknown, chosen twice,
/// or not chosen.
fn choices(arguments: &Arguments, policy: &Policy) -> Result<Vec<Choice>, Error> {
    let mut chosen: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
    for (purposes, granted) in [(&arguments.grant, true), (&arguments.refuse, false)] {
        for purpose_id in purposes {
            chosen.entry(purpose_id).or_default().push(granted);
        }
    }
    let others = arguments.others.map(|others| matches!(others, Others::Grant));
    let (mut choices, mut faults) = (Vec::new(), Vec::new());
    let purposes = policy.spec.as_ref().map_or(&[][..], |spec| &spec.purposes);
    for purpose in purposes.iter().filter(|one| one.mechanism() != Mechanism::NoticeOnly) {
        let purpose_id = purpose.purpose_id.clone();
        let said = chosen.remove(purpose_id.as_str()).unwrap_or_default();
        match (&said[..], others) {
            ([granted], _) => choices.push(Choice { purpose_id, granted: *granted }),
            ([], Some(granted)) => choices.push(Choice { purpose_id, granted }),
            ([], None) => faults.push((purpose_id, "not chosen")),
            _ => faults.push((purpose_id, "chosen more than once")),
        }
    }
    faults.extend(chosen.into_keys().map(|other| (other.to_owned(), "nothing to choose there")));
    if faults.is_empty() {
        return Ok(choices);
    }
    let (policy_id, version) = policy::name(policy);
    let error = Error::input(format!("{policy_id} version {version} needs one choice a purpose"))
        .with_next("--grant or --refuse each, or say --others grant or --others refuse");
    Err(faults.into_iter().fold(error, |error, (purpose, why)| error.with_fault(purpose, why)))
}

fn notice(policy: &Policy, locale: &str) -> Result<Notice, Error> {
    let notices = policy.spec.as_ref().map_or(&[][..], |spec| &spec.notices);
    let found = notices.iter().find(|notice| notice.locale == locale);
    found.cloned().ok_or_else(|| {
        let there: Vec<&str> = notices.iter().map(|notice| notice.locale.as_str()).collect();
        let what = format!("the policy has no notice in {locale}");
        Error::input(what).with_next(format!("--locale is one of: {}", there.join(", ")))
    })
}
