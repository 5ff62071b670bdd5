//! `assent policy`: what people are asked.

mod file;
mod list;
mod publish;
mod retire;
mod show;

use proto::consent::v1::{
    GetPolicyRequest, ListPoliciesRequest, Policy, PolicyRef, PolicyState,
    policy_service_client::PolicyServiceClient,
};

use crate::{
    client::{Client, Session},
    exit::{Error, Exit},
    output::words,
};

const EXAMPLES: &str = "\
Examples:
  assent policy publish phone-sharing.json
  assent policy list
  assent policy show phone-sharing";

/// What people are asked: policies, announced and ended.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Publish(publish::Arguments),
    List(list::Arguments),
    Show(show::Arguments),
    Retire(retire::Arguments),
}

/// Does it.
pub(crate) async fn run(arguments: &Arguments) -> Result<Exit, Error> {
    match &arguments.command {
        Command::Publish(arguments) => publish::run(arguments).await,
        Command::List(arguments) => list::run(arguments).await,
        Command::Show(arguments) => show::run(arguments).await,
        Command::Retire(arguments) => retire::run(arguments).await,
    }
    .map(|()| Exit::Done)
}

fn policies(client: &Client) -> PolicyServiceClient<Session> {
    PolicyServiceClient::new(client.session())
}

/// All versions of all policies, newest first.
async fn all(client: &Client) -> Result<Vec<Policy>, Error> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListPoliciesRequest { page_size: 200, page_token };
        let page = policies(client).list_policies(request).await;
        let page = page.map_err(|status| client.told(&status))?.into_inner();
        found.extend(page.policies);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(found);
        }
    }
}

/// One version of a policy.
pub(crate) async fn get(client: &Client, policy: PolicyRef) -> Result<Policy, Error> {
    let request = GetPolicyRequest { policy: Some(policy) };
    let answer = policies(client).get_policy(request).await;
    let policy = answer.map_err(|status| client.told(&status))?.into_inner().policy;
    policy.ok_or_else(|| Error::failed("the gateway answers without the policy"))
}

/// The versions of one policy, newest first; there is at least one.
async fn versions(client: &Client, policy_id: &str) -> Result<Vec<Policy>, Error> {
    let mut versions = all(client).await?;
    versions.retain(|policy| name(policy).0 == policy_id);
    if versions.is_empty() {
        let what = format!("there is no policy {policy_id}");
        return Err(Error::not_found(what).with_next("see `assent policy list`"));
    }
    Ok(versions)
}

/// Its id and version.
pub(crate) fn name(policy: &Policy) -> (&str, u32) {
    policy.r#ref.as_ref().map_or(("", 0), |one| (one.policy_id.as_str(), one.version))
}

fn state(policy: &Policy) -> String {
    words(PolicyState::as_str_name(&policy.state()), "POLICY_STATE_")
}
