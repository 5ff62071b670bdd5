//! `SuggestionService`.

use proto::suggest::v1::{
    BlockSubjectRequest, BlockSubjectResponse, ListBlockedRequest, ListBlockedResponse,
    ListSuggestionsRequest, ListSuggestionsResponse, Suggestion, UnblockSubjectRequest,
    UnblockSubjectResponse, suggestion_service_server::SuggestionService,
};
use service_kit::grpc::{open, request_digest};
use tonic::{Request, Response, Status};

use super::{convert, once, own_subject};
use crate::{
    domain::{Subject, listing::Listed},
    service::Suggest,
};

const SUGGESTIONS: (u32, u32) = (10, 50);
const PAGE: (u32, u32) = (50, 200);

/// Answers people's apps about suggestions.
pub(crate) struct SuggestionRpc(pub(crate) Suggest);

#[tonic::async_trait]
impl SuggestionService for SuggestionRpc {
    async fn list_suggestions(
        &self,
        request: Request<ListSuggestionsRequest>,
    ) -> Result<Response<ListSuggestionsResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        bad.finish()?;
        let viewer = own_subject(&caller)?;
        let listed = self.0.suggestions(&viewer, size(message.limit, SUGGESTIONS)).await?;
        let suggestions = listed.iter().map(suggestion).collect();
        Ok(Response::new(ListSuggestionsResponse { suggestions }))
    }

    async fn block_subject(
        &self,
        request: Request<BlockSubjectRequest>,
    ) -> Result<Response<BlockSubjectResponse>, Status> {
        let (caller, message, mut bad) = open(request)?;
        let subject = own_subject(&caller)?;
        let blocked = Subject::from(message.blocked_subject_id.as_str());
        if blocked == subject {
            bad.add("blocked_subject_id", "the caller's own");
        }
        bad.finish()?;
        let once = once(&self.0, &caller, &message.request_id, request_digest(&message));
        let answer = || BlockSubjectResponse {};
        Ok(Response::new(self.0.block(&once, &subject, &blocked, answer).await?))
    }

    async fn unblock_subject(
        &self,
        request: Request<UnblockSubjectRequest>,
    ) -> Result<Response<UnblockSubjectResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        bad.finish()?;
        let subject = own_subject(&caller)?;
        let blocked = Subject::from(message.blocked_subject_id.as_str());
        let once = once(&self.0, &caller, &message.request_id, request_digest(&message));
        let answer = || UnblockSubjectResponse {};
        Ok(Response::new(self.0.unblock(&once, &subject, &blocked, answer).await?))
    }

    async fn list_blocked(
        &self,
        request: Request<ListBlockedRequest>,
    ) -> Result<Response<ListBlockedResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        bad.finish()?;
        let subject = own_subject(&caller)?;
        // Whose list it is belongs to the arguments: nobody goes on with another's token.
        let name = format!("ListBlocked {subject}");
        let (tokens, digest) = (&self.0.page_tokens, request_digest(&message));
        let after = tokens.open(&name, &digest, &message.page_token)?;
        let after = after.map(|id| Subject::from(String::from_utf8_lossy(&id).into_owned()));
        let size = size(message.page_size, PAGE);
        // One more than is shown tells whether there is another page.
        let mut blocked = self.0.store.blocked(&subject, after.as_ref(), size as u64 + 1).await?;
        let is_last = blocked.len() <= size;
        blocked.truncate(size);
        let next_page_token = match blocked.last() {
            Some(last) if !is_last => tokens.seal(&name, &digest, last.as_str().as_bytes()),
            _ => String::new(),
        };
        let subject_ids = blocked.iter().map(ToString::to_string).collect();
        Ok(Response::new(ListBlockedResponse { subject_ids, next_page_token }))
    }
}

/// How many are asked for: the default for 0, at most the most.
fn size(asked: u32, (default, most): (u32, u32)) -> usize {
    let size = if asked == 0 { default } else { asked.min(most) };
    // 200 at most.
    usize::try_from(size).unwrap_or(usize::MAX)
}

fn suggestion(listed: &Listed) -> Suggestion {
    Suggestion {
        subject_id: listed.subject.to_string(),
        reason: convert::reason(listed.reason).into(),
        mutual_connections: convert::mutual_count(listed.mutuals).into(),
        // Naming takes a consent of its own, which is not asked for yet.
        named_connections: Vec::new(),
        // Nothing takes one yet.
        suggestion_id: String::new(),
    }
}
