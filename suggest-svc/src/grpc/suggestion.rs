//! `SuggestionService`.

use proto::suggest::v1::{
    BlockSubjectRequest, BlockSubjectResponse, DismissSuggestionRequest, DismissSuggestionResponse,
    ExplainSuggestionRequest, ExplainSuggestionResponse, ListBlockedRequest, ListBlockedResponse,
    ListSuggestionsRequest, ListSuggestionsResponse, Suggestion, UnblockSubjectRequest,
    UnblockSubjectResponse, suggestion_service_server::SuggestionService,
};
use service_kit::grpc::{open, request_digest};
use tonic::{Request, Response, Status};

use super::{convert, once, own_subject};
use crate::{
    domain::{Subject, listing::Listed},
    service::Suggest,
    suggestion_id::Suggested,
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
        let today = self.0.today();
        let suggestions = listed.iter().map(|one| suggestion(&self.0, &viewer, one, today));
        Ok(Response::new(ListSuggestionsResponse { suggestions: suggestions.collect() }))
    }

    async fn explain_suggestion(
        &self,
        request: Request<ExplainSuggestionRequest>,
    ) -> Result<Response<ExplainSuggestionResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        bad.finish()?;
        let viewer = own_subject(&caller)?;
        let explanation = self.0.explain(&viewer, &message.suggestion_id).await?;
        Ok(Response::new(ExplainSuggestionResponse {
            reason: convert::reason(explanation.reason).into(),
            text: explanation.text.to_owned(),
            purpose_ids: explanation.purposes.into(),
        }))
    }

    async fn dismiss_suggestion(
        &self,
        request: Request<DismissSuggestionRequest>,
    ) -> Result<Response<DismissSuggestionResponse>, Status> {
        let (caller, message, bad) = open(request)?;
        bad.finish()?;
        let viewer = own_subject(&caller)?;
        let once = once(&self.0, &caller, &message.request_id, request_digest(&message));
        let answer = || DismissSuggestionResponse {};
        let dismissed = self.0.dismiss(&once, &viewer, &message.suggestion_id, answer).await?;
        Ok(Response::new(dismissed))
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

fn suggestion(suggest: &Suggest, viewer: &Subject, listed: &Listed, today: u32) -> Suggestion {
    let subject = listed.subject.clone();
    let suggested = Suggested { subject, reason: listed.reason, day: today };
    Suggestion {
        subject_id: listed.subject.to_string(),
        reason: convert::reason(listed.reason).into(),
        mutual_connections: convert::mutual_count(listed.mutuals).into(),
        named_connections: listed.named.iter().map(ToString::to_string).collect(),
        suggestion_id: suggest.suggestion_ids.seal(viewer, &suggested),
    }
}
