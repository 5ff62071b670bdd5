//! Portions of a list on their way: sent over one stream, and again over another when that breaks,
//! until each is acknowledged.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
};

use futures::stream;
use indicatif::ProgressBar;
use proto::audience::v1::AppendUploadResponse;
use tokio::sync::mpsc;
use tonic::Status;

use super::{
    chunks::{Batch, Chunk, Reader},
    ledger::Ledger,
    patience::Patience,
};
use crate::{
    audience::Asked,
    exit::Error,
    people::{Fault, ReadError, Reject},
};

/// How many batches are sent before one is acknowledged.
const WINDOW: usize = 8;

/// A list that is being sent.
pub(super) struct Sending<'a> {
    pub(super) asked: &'a mut Asked,
    pub(super) ledger: &'a mut Ledger,
    pub(super) reader: &'a mut Reader,
    pub(super) bar: &'a ProgressBar,
    /// How many bytes of the list have been read.
    pub(super) read: &'a AtomicU64,
}

/// A portion that is not settled.
struct Open {
    chunk: Chunk,
    answer: Option<AppendUploadResponse>,
}

/// Why a stream ended before all was acknowledged.
enum Cut {
    Status(Status),
    Read(ReadError),
    Error(Error),
}

impl From<Status> for Cut {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<Error> for Cut {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Why a list was not sent.
pub(super) enum NotSent {
    /// It cannot be read any further.
    Read(ReadError),
    /// It was refused, or the service is away for too long.
    Status(Status),
    /// What was done could not be noted.
    Error(Error),
}

impl Sending<'_> {
    /// Sends all of it.
    pub(super) async fn run(mut self) -> Result<(), NotSent> {
        let mut open = VecDeque::new();
        let mut patience = Patience::new();
        loop {
            match self.stream(&mut open, &mut patience).await {
                Ok(()) => return Ok(()),
                Err(Cut::Status(status)) => {
                    if !patience.wait(&status).await {
                        return Err(NotSent::Status(status));
                    }
                }
                Err(Cut::Read(error)) => return Err(NotSent::Read(error)),
                Err(Cut::Error(error)) => return Err(NotSent::Error(error)),
            }
        }
    }

    /// Sends over one stream what is not acknowledged and what follows.
    async fn stream(
        &mut self,
        open: &mut VecDeque<Open>,
        patience: &mut Patience,
    ) -> Result<(), Cut> {
        // A stream is opened with its first message: there may be none.
        while unanswered(open) == 0 {
            if !self.take(open).await? {
                return Ok(());
            }
            self.settle(open)?;
        }
        // Room for all that may be on its way: sending never waits.
        let (to, messages) = mpsc::channel(WINDOW);
        for batch in open.iter().filter_map(Open::on_its_way) {
            self.send(&to, batch)?;
        }
        let messages = stream::unfold(messages, |mut messages| async {
            messages.recv().await.map(|message| (message, messages))
        });
        let mut answers = self.asked.api.append_upload(messages).await?.into_inner();
        let mut is_read = false;
        while !(is_read && open.is_empty()) {
            let has_room = unanswered(open) < WINDOW && open.len() < 2 * WINDOW;
            tokio::select! {
                taken = self.reader.chunks.recv(), if !is_read && has_room => match taken {
                    Some(chunk) => {
                        let chunk = chunk.map_err(Cut::Read)?;
                        if let Some(batch) = &chunk.batch {
                            self.send(&to, batch)?;
                        }
                        open.push_back(Open { chunk, answer: None });
                    }
                    None => is_read = true,
                },
                answer = answers.message() => {
                    let Some(answer) = answer? else { return Err(ended_early().into()) };
                    patience.renew();
                    let is_it = |one: &&mut Open| {
                        one.on_its_way().is_some_and(|batch| batch.number == answer.batch_number)
                    };
                    if let Some(one) = open.iter_mut().find(is_it) {
                        one.answer = Some(answer);
                    }
                }
            }
            self.settle(open)?;
            self.bar.set_position(self.read.load(Ordering::Relaxed));
        }
        drop(to);
        // All is acknowledged; how the stream ends does not matter.
        while let Ok(Some(_)) = answers.message().await {}
        Ok(())
    }

    /// Takes the next portion; false when there is none.
    async fn take(&mut self, open: &mut VecDeque<Open>) -> Result<bool, Cut> {
        let Some(chunk) = self.reader.chunks.recv().await else { return Ok(false) };
        open.push_back(Open { chunk: chunk.map_err(Cut::Read)?, answer: None });
        Ok(true)
    }

    fn send(
        &self,
        to: &mpsc::Sender<proto::audience::v1::AppendUploadRequest>,
        batch: &Batch,
    ) -> Result<(), Cut> {
        let saved = &self.ledger.saved;
        let message = batch.request(&saved.nonce, &saved.upload_id);
        // The stream is gone.
        to.try_send(message).map_err(|_| Cut::Status(ended_early()))
    }

    /// Notes what is done, in the order of the list.
    fn settle(&mut self, open: &mut VecDeque<Open>) -> Result<(), Error> {
        let mut settled = false;
        while open.front().is_some_and(Open::is_done) {
            let Some(Open { mut chunk, answer }) = open.pop_front() else { break };
            let unnamed = refused_by_the_service(&mut chunk, answer.as_ref());
            self.ledger.add(&chunk, unnamed, &self.reader.columns)?;
            settled = true;
        }
        if settled { self.ledger.save() } else { Ok(()) }
    }
}

impl Open {
    /// What is to be acknowledged of it.
    fn on_its_way(&self) -> Option<&Batch> {
        self.chunk.batch.as_ref().filter(|_| self.answer.is_none())
    }

    fn is_done(&self) -> bool {
        self.on_its_way().is_none()
    }
}

fn unanswered(open: &VecDeque<Open>) -> usize {
    open.iter().filter(|one| !one.is_done()).count()
}

fn ended_early() -> Status {
    Status::unavailable("the stream ended before everything was acknowledged")
}

/// Adds what the service refused to what was refused here; answers with how many it did not name.
fn refused_by_the_service(chunk: &mut Chunk, answer: Option<&AppendUploadResponse>) -> u64 {
    let (Some(batch), Some(answer)) = (&chunk.batch, answer) else { return 0 };
    for rejection in &answer.rejections {
        let place = usize::try_from(rejection.index).ok().and_then(|at| batch.places.get(at));
        if let Some((row, column)) = place {
            let fault = Fault::Service(rejection.reason());
            chunk.rejects.push(Reject { row: *row, column: Some(*column), fault });
        }
    }
    chunk.rejects.sort();
    u64::from(answer.rows_invalid).saturating_sub(answer.rejections.len() as u64)
}
