//! How far an upload has come, on this machine: written down after each acknowledgement, so that the
//! same command goes on from there whenever this one ends.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::chunks::{Chunk, Counts};
use crate::{
    exit::Error,
    people::{Rejects, StateFile, Told},
};

/// What is written down.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Saved {
    /// What the ids of this upload's requests begin with. Written down before the first of them is
    /// sent, so that an upload that was opened is found again.
    pub(super) nonce: String,
    /// The upload; empty until it is open.
    pub(super) upload_id: String,
    pub(super) progress: Progress,
}

/// What of the list is acknowledged, from its beginning.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) counts: Counts,
    pub(super) batches: u32,
    pub(super) rejects: Told,
}

impl Saved {
    /// Of an upload that begins.
    pub(super) fn new() -> Self {
        let nonce = format!("cli-{:016x}", rand::random::<u64>());
        Self { nonce, upload_id: String::new(), progress: Progress::default() }
    }
}

/// An upload as it goes on.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) saved: Saved,
    rejects: Rejects,
    /// Nothing, where the list can be read only once.
    state: Option<StateFile>,
}

impl Ledger {
    /// Goes on from what was saved, or, where the file of refused rows is not that of the run
    /// before, reads the list from its beginning: what is sent again counts once.
    pub(super) fn open(
        mut saved: Saved,
        state: Option<StateFile>,
        rejects_file: Option<&Path>,
    ) -> Result<Self, Error> {
        let rejects = match Rejects::resumed(rejects_file, &saved.progress.rejects) {
            Some(rejects) if saved.progress.counts.rows > 0 => rejects,
            _ => {
                saved.progress = Progress::default();
                Rejects::open(rejects_file)?
            }
        };
        Ok(Self { saved, rejects, state })
    }

    /// A portion is done: acknowledged, or without anything to send.
    pub(super) fn add(
        &mut self,
        chunk: &Chunk,
        unnamed: u64,
        columns: &[String],
    ) -> Result<(), Error> {
        for reject in &chunk.rejects {
            self.rejects.add(reject, columns)?;
        }
        self.rejects.add_unnamed(unnamed);
        let progress = &mut self.saved.progress;
        progress.counts.add(&chunk.counts);
        progress.batches += u32::from(chunk.batch.is_some());
        Ok(())
    }

    /// Writes down how far it has come.
    pub(super) fn save(&mut self) -> Result<(), Error> {
        self.saved.progress.rejects = self.rejects.told()?.clone();
        self.state.as_ref().map_or(Ok(()), |state| state.write(&self.saved))
    }

    /// The upload has ended: there is nothing to go on with.
    pub(super) fn forget(&mut self) {
        if let Some(state) = self.state.take() {
            state.remove();
        }
    }
}
