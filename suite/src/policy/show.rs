//! `assent policy show`.

use std::fmt;

use prost_types::Duration;
use proto::consent::v1::{
    AfterWindow, AppliesTo, ConsentRegime, LawfulBasis, Mechanism, OnLapse, Policy, PolicyRef,
    Purpose, PurposeKind,
};

use super::{get, name, state, versions};
use crate::{
    client::Connection,
    exit::Error,
    output::{Output, plain, time, words},
};

const EXAMPLES: &str = "\
Examples:
  assent policy show phone-sharing
  assent policy show phone-sharing --version 1
  assent policy show phone-sharing --json | jq .spec > next.json

As: any role";

/// One version of a policy, with its texts.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Which policy.
    #[arg(value_name = "ID")]
    policy_id: String,
    /// Which version; without it, the newest.
    #[arg(long, value_name = "N")]
    version: Option<u32>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Prints it.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let client = arguments.connection.as_anybody()?;
    let policy_id = &arguments.policy_id;
    let policy = match arguments.version {
        Some(version) => get(&client, PolicyRef { policy_id: policy_id.clone(), version }).await?,
        None => versions(&client, policy_id).await?.swap_remove(0),
    };
    arguments.output.one(&policy, Shown(&policy))
}

/// A policy, to be read.
struct Shown<'a>(&'a Policy);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let policy = self.0;
        let spec = policy.spec.clone().unwrap_or_default();
        let (policy_id, version) = name(policy);
        writeln!(f, "{policy_id} version {version}, {}: {}", state(policy), plain(&spec.title))?;
        let regime = words(ConsentRegime::as_str_name(&spec.regime()), "CONSENT_REGIME_");
        line(f, "where", format!("{} ({regime})", spec.jurisdictions.join(", ")))?;
        let whom = words(AppliesTo::as_str_name(&spec.applies_to()), "APPLIES_TO_");
        line(f, "whom", whom)?;
        line(f, "from", time(spec.effective_at.as_ref(), "-"))?;
        let lapse = words(OnLapse::as_str_name(&spec.on_lapse()), "ON_LAPSE_");
        let accept = days(spec.accept_within.as_ref());
        line(f, "to accept", format!("within {accept}; then: {lapse}"))?;
        let after = words(AfterWindow::as_str_name(&spec.after_window()), "AFTER_WINDOW_");
        let change = days(spec.change_within.as_ref());
        line(f, "to change", format!("within {change}; then: {after}"))?;
        for notice in &spec.notices {
            let digest = hex::encode(&notice.sha256);
            write!(
                f,
                "\nNotice ({}, SHA-256 {digest})\n  {}\n",
                notice.locale,
                plain(&notice.text)
            )?;
        }
        for purpose in &spec.purposes {
            described(f, purpose)?;
        }
        Ok(())
    }
}

fn described(f: &mut fmt::Formatter<'_>, purpose: &Purpose) -> fmt::Result {
    let kind = words(PurposeKind::as_str_name(&purpose.kind()), "PURPOSE_KIND_");
    let mechanism = words(Mechanism::as_str_name(&purpose.mechanism()), "MECHANISM_");
    let basis = words(LawfulBasis::as_str_name(&purpose.lawful_basis()), "LAWFUL_BASIS_");
    writeln!(f, "\n{} ({kind}, {mechanism}, {basis})", purpose.purpose_id)?;
    if !purpose.requires.is_empty() {
        line(f, "requires", purpose.requires.join(", "))?;
    }
    line(f, "data", plain(&purpose.data_categories.join(", ")))?;
    line(f, "goes to", plain(&purpose.recipients.join(", ")))?;
    if let Some(lifetime) = &purpose.consent_lifetime {
        line(f, "lasts", days(Some(lifetime)))?;
    }
    for text in &purpose.texts {
        line(f, &text.locale, plain(&format!("{}: {}", text.title, text.text)))?;
    }
    Ok(())
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(f, "  {name:<10} {value}")
}

/// A span of time in whole days, or as it is.
fn days(span: Option<&Duration>) -> String {
    match span {
        None => "-".to_owned(),
        Some(span) if span.seconds % 86_400 == 0 => format!("{} days", span.seconds / 86_400),
        Some(span) => span.to_string(),
    }
}
