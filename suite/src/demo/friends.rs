//! What the social network does with connections and contacts: suggest friends.

use anyhow::ensure;
use futures::stream;
use proto::{
    suggest::v1::{
        Connection, ListSuggestionsRequest, PutConnectionsRequest, Suggestion, SyncContactsRequest,
        SyncContactsResponse, SyncMode, contact_service_client::ContactServiceClient,
        graph_service_client::GraphServiceClient,
        suggestion_service_client::SuggestionServiceClient,
    },
    types::v1::{Identifier, IdentifierKind, identifier::Value},
};

use super::{Story, population::Person, progress::Progress};

/// Connections in one message of a stream.
const CONNECTIONS: usize = 2_000;

/// How many connections the app sent, and how many were stored: those of whom both agreed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connected {
    pub(super) sent: usize,
    pub(super) stored: usize,
}

/// The app sends who is connected with whom.
pub(super) async fn connect(story: &Story) -> anyhow::Result<Connected> {
    let people = &story.population.people;
    let sent = story.population.connections.len();
    let bar = Progress::new("sending connections", sent);
    let requests: Vec<_> = story
        .population
        .connections
        .chunks(CONNECTIONS)
        .enumerate()
        .map(|(number, pairs)| PutConnectionsRequest {
            request_id: story.id(format!("connect-{number}")),
            connections: pairs
                .iter()
                .map(|&(one, other)| Connection {
                    subject_id: people[one].subject_id.clone(),
                    other_subject_id: people[other].subject_id.clone(),
                    connected_at: None,
                })
                .collect(),
        })
        .collect();
    let mut app = GraphServiceClient::new(story.parties.app()?);
    let mut answers = app.put_connections(stream::iter(requests)).await?.into_inner();
    let (mut stored, mut waiting) = (0, 0);
    while let Some(answer) = answers.message().await? {
        bar.advance(u64::from(answer.stored) + answer.awaiting_consent.len() as u64);
        stored += answer.stored as usize;
        waiting += answer.awaiting_consent.len();
    }
    ensure!(stored + waiting == sent, "{sent} connections sent, {stored} + {waiting} answered");
    Ok(Connected { sent, stored })
}

/// A person's app sends their address book.
pub(super) async fn sync_contacts(
    story: &Story,
    person: &Person,
    phones: &[&str],
    name: &str,
) -> anyhow::Result<SyncContactsResponse> {
    let contact = |phone: &&str| Identifier {
        kind: IdentifierKind::Phone.into(),
        value: Some(Value::Raw((*phone).to_owned())),
    };
    let request = SyncContactsRequest {
        request_id: story.id(name),
        mode: SyncMode::Full.into(),
        added: phones.iter().map(contact).collect(),
        ..Default::default()
    };
    let mut user = ContactServiceClient::new(story.parties.user(&person.subject_id)?);
    Ok(user.sync_contacts(stream::iter([request])).await?.into_inner())
}

/// What a person is shown.
pub(super) async fn suggestions(story: &Story, person: &Person) -> anyhow::Result<Vec<Suggestion>> {
    let mut user = SuggestionServiceClient::new(story.parties.user(&person.subject_id)?);
    let answer = user.list_suggestions(ListSuggestionsRequest { limit: 10 }).await?;
    Ok(answer.into_inner().suggestions)
}
