//! Keeping the directory in a file for the next start.

use std::{io, path::Path, sync::Arc};

use roaring::RoaringBitmap;
use tokio::task::spawn_blocking;

use super::{Directory, Memory, State};
use crate::{
    error::Error,
    index::{Section, Snapshot, SnapshotError, SnapshotFile},
    store::{
        Database,
        directory::{self, Position},
    },
};

/// The section that has who may be counted, in the portable format of Roaring bitmaps
/// (<https://github.com/RoaringBitmap/RoaringFormatSpec>).
const COUNTABLE: &str = "countable";

/// What a snapshot has, if there is a good one of this database; why there is none is logged, and
/// everything is loaded from the database then.
pub(super) async fn read(db: &impl Database, path: &Path) -> Result<Option<State>, Error> {
    let refused = |error: &SnapshotError| match error {
        SnapshotError::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            tracing::info!("there is no snapshot of the directory yet");
        }
        error => tracing::warn!(%error, "the snapshot of the directory is of no use"),
    };
    let file = match SnapshotFile::open(path) {
        Ok(file) => file,
        Err(error) => {
            refused(&error);
            return Ok(None);
        }
    };
    let position = Position { seq: file.position(), mark: file.mark() };
    if !directory::has(db, position).await? {
        tracing::info!("the snapshot of the directory is too old, or of another database");
        return Ok(None);
    }
    let state = spawn_blocking(move || file.read().and_then(|read| state(read, position)));
    match state.await.map_err(|_| Error::Internal("a snapshot was not read"))? {
        Ok(state) => Ok(Some(state)),
        Err(error) => {
            refused(&error);
            Ok(None)
        }
    }
}

fn state(
    Snapshot { index, sections }: Snapshot,
    position: Position,
) -> Result<State, SnapshotError> {
    let countable = sections.iter().find(|section| section.name == COUNTABLE);
    let countable = countable.ok_or(SnapshotError::Damaged)?;
    let countable = RoaringBitmap::deserialize_from(&*countable.bytes)?;
    Ok(State { index: Arc::new(index), countable: Arc::new(countable), position })
}

impl Memory {
    /// Writes what there is now. It waits for the disk.
    fn write(&self, path: &Path) -> Result<Position, SnapshotError> {
        let State { index, countable, position } = self.state().clone();
        let mut bytes = Vec::with_capacity(countable.serialized_size());
        countable.serialize_into(&mut bytes)?;
        let countable = Section { name: COUNTABLE.to_owned(), bytes };
        index.write_snapshot(path, position.seq, position.mark, &[countable])?;
        Ok(position)
    }
}

impl Directory {
    /// Writes a snapshot, if there is a place for it and anything changed since `written`. Gives
    /// the last change that is in the last one.
    pub(crate) async fn keep(&self, written: Option<Position>) -> Option<Position> {
        let path = self.snapshot.clone()?;
        if written == Some(self.position()) {
            return written;
        }
        let memory = self.memory.clone();
        match spawn_blocking(move || memory.write(&path)).await {
            Ok(Ok(position)) => Some(position),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the snapshot of the directory is not written");
                written
            }
            // Its panic is logged.
            Err(_) => written,
        }
    }
}
