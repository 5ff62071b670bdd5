//! Streams in which each message gets one answer. One message is in memory at a time: the next is
//! read when the answer to this one has been taken.

use std::pin::Pin;

use futures::{Stream, stream};
use proto::{errors::v1::Reason, status};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

pub(super) type Answers<R> = Pin<Box<dyn Stream<Item = Result<R, Status>> + Send>>;

/// Answers the messages of one stream.
pub(super) trait Conversation: Send + 'static {
    type Message: Send + 'static;
    type Answer: Send + 'static;

    /// Answers one message.
    fn answer(
        &mut self,
        message: Self::Message,
    ) -> impl Future<Output = Result<Self::Answer, Status>> + Send;
}

/// Answers each message until they end, one fails, or `shutdown`.
pub(super) fn answer_each<C: Conversation>(
    messages: Streaming<C::Message>,
    shutdown: CancellationToken,
    conversation: C,
) -> Answers<C::Answer> {
    let begun = (messages, shutdown, conversation);
    Box::pin(stream::try_unfold(begun, |(mut messages, shutdown, mut conversation)| async move {
        let message = tokio::select! {
            message = messages.message() => message?,
            () = shutdown.cancelled() => {
                let text = "the server is stopping; go on with another replica";
                return Err(status::status(Reason::NotServing, text));
            }
        };
        let Some(message) = message else { return Ok(None) };
        let answer = conversation.answer(message).await?;
        Ok(Some((answer, (messages, shutdown, conversation))))
    }))
}
