//! `assent consent history`.

use proto::consent::v1::{Event, EventKind, ListEventsRequest};

use super::consent;
use crate::{
    client::{Client, Connection},
    exit::Error,
    output::{Output, table, time, words},
};

const EXAMPLES: &str = "\
Examples:
  assent consent history ann
  assent consent history ann --json | jq -r .eventId

As: USER (the subject), APP, ADMIN";

/// Everything that happened to a person's consent, oldest first.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Whose.
    #[arg(value_name = "SUBJECT")]
    subject_id: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

/// Prints it.
pub(super) async fn run(arguments: &Arguments) -> Result<(), Error> {
    let client = arguments.connection.as_user(&arguments.subject_id)?;
    let events = all(&client, &arguments.subject_id).await?;
    let mut people = table(["#", "WHEN", "WHAT", "POLICY", "YES TO", "NO TO", "EVENT"]);
    for event in &events {
        let policy = event.policy.as_ref();
        let chosen = |granted| {
            let of = event.choices.iter().filter(|choice| choice.granted == granted);
            let ids: Vec<&str> = of.map(|choice| choice.purpose_id.as_str()).collect();
            // One below the other: there may be many.
            if ids.is_empty() { "-".to_owned() } else { ids.join("\n") }
        };
        people.add_row([
            event.revision.to_string(),
            time(event.occurred_at.as_ref(), "-"),
            words(EventKind::as_str_name(&event.kind()), "EVENT_KIND_"),
            policy.map_or("-".to_owned(), |one| format!("{} v{}", one.policy_id, one.version)),
            chosen(true),
            chosen(false),
            event.event_id.clone(),
        ]);
    }
    arguments.output.list(&events, &people, "Nothing has happened yet.")
}

/// All events, oldest first.
pub(super) async fn all(client: &Client, subject_id: &str) -> Result<Vec<Event>, Error> {
    let (mut events, mut page_token) = (Vec::new(), String::new());
    loop {
        let request =
            ListEventsRequest { subject_id: subject_id.to_owned(), page_size: 200, page_token };
        let page = consent(client).list_events(request).await;
        let page = page.map_err(|status| client.told(&status))?.into_inner();
        events.extend(page.events);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(events);
        }
    }
}
