//! Streams whose messages are prepared while the one before is stored.

use std::sync::Arc;

use futures::{StreamExt, stream};
use proto::{Checked, FieldErrors};
use service_kit::{auth::Caller, grpc::open_message};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Status, Streaming, codegen::BoxStream};
use tracing::Instrument as _;

use super::{caller, convert::failed};

/// Handles a stream: each message is answered in its order when it is stored; one more is read and
/// prepared meanwhile. So two are in progress at most, and the caller's window bounds the rest. The
/// first error ends the stream.
pub(super) fn staged<M, P, R, Prepare, Preparing, Store, Storing>(
    request: Request<Streaming<M>>,
    prepare: Prepare,
    store: Store,
) -> Result<BoxStream<R>, Status>
where
    M: Checked + Send + 'static,
    P: Send + 'static,
    R: Send + 'static,
    Prepare: Fn(Caller, M, FieldErrors) -> Preparing + Send + 'static,
    Preparing: Future<Output = Result<P, Status>> + Send + 'static,
    Store: Fn(P) -> Storing + Send + Sync + 'static,
    Storing: Future<Output = Result<R, Status>> + Send,
{
    let (caller, messages) = caller(request)?;
    let (ready, queue) = mpsc::channel(1);
    let reading = tokio::spawn(read(caller, messages, prepare, ready).in_current_span());
    let stages = Stages { queue, reading: AbortOnDropHandle::new(reading), store: Arc::new(store) };
    let answers = stream::try_unfold(stages, |mut stages| async move {
        let Some(prepared) = stages.queue.recv().await else {
            // A half of the messages must not pass for all of them.
            let read = (&mut stages.reading).await;
            return read.map(|()| None).map_err(|_| failed());
        };
        let answer = (stages.store)(prepared?).await?;
        Ok(Some((answer, stages)))
    });
    Ok(answers.boxed())
}

struct Stages<P, S> {
    queue: mpsc::Receiver<Result<P, Status>>,
    reading: AbortOnDropHandle<()>,
    store: Arc<S>,
}

async fn read<M, P, Prepare, Preparing>(
    caller: Caller,
    mut messages: Streaming<M>,
    prepare: Prepare,
    ready: mpsc::Sender<Result<P, Status>>,
) where
    M: Checked,
    Prepare: Fn(Caller, M, FieldErrors) -> Preparing,
    Preparing: Future<Output = Result<P, Status>>,
{
    loop {
        let prepared = match messages.message().await {
            Ok(None) => return,
            Ok(Some(message)) => match open_message(&caller, message) {
                Ok((message, bad)) => prepare(caller.clone(), message, bad).await,
                Err(status) => Err(status),
            },
            Err(status) => Err(status),
        };
        let ends = prepared.is_err();
        if ready.send(prepared).await.is_err() || ends {
            return;
        }
    }
}
