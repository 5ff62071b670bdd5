//! A list in portions: the batches of an upload, and what was refused on the way. The same list, read
//! in the same way, always gives the same portions: a batch can be sent again and counts once.

use std::sync::Arc;

use proto::{
    audience::v1::AppendUploadRequest,
    types::v1::{Identifier, identifier::Value},
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::people::{Hashing, Prepared, ReadError, Reject, Row, Rows, wire};
use identifiers::Kind;

/// The most identifiers of a batch; the contract allows as many.
const MAX_IDENTIFIERS: usize = 10_000;
/// The most bytes of a batch whose identifiers are in clear.
const MAX_CLEAR: usize = 1 << 20;
/// The most rows of a portion, whatever is in them.
const MAX_ROWS: u64 = 50_000;

/// What of a list is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Rows read, the blank ones among them.
    pub(super) rows: u64,
    /// Rows without anything in them.
    pub(super) blank: u64,
    /// Identifiers sent: email addresses, phone numbers, external ids.
    pub(super) sent: [u64; 3],
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.blank += other.blank;
        for (all, one) in self.sent.iter_mut().zip(other.sent) {
            *all += one;
        }
    }

    pub(super) fn identifiers(&self) -> u64 {
        self.sent.iter().sum()
    }
}

/// A portion of a list.
pub(super) struct Chunk {
    pub(super) counts: Counts,
    /// What was refused here, in the order of the rows.
    pub(super) rejects: Vec<Reject>,
    /// What is to be sent; nothing where all was refused.
    pub(super) batch: Option<Batch>,
}

/// What one message carries.
pub(super) struct Batch {
    pub(super) number: u32,
    rows: Vec<Identifier>,
    packed: Vec<u8>,
    packed_kind: Kind,
    /// Where in the list each of them is from, in the order of the message.
    pub(super) places: Vec<Place>,
}

/// A row, and a column in it.
pub(super) type Place = (u64, u16);

impl Batch {
    pub(super) fn request(&self, nonce: &str, upload_id: &str) -> AppendUploadRequest {
        AppendUploadRequest {
            request_id: format!("{nonce}-{}", self.number),
            upload_id: upload_id.to_owned(),
            batch_number: self.number,
            rows: self.rows.clone(),
            packed_sha256: self.packed.clone(),
            packed_kind: wire(self.packed_kind).into(),
        }
    }
}

/// The list as it is read on another thread: portions, then what there is to know of how it was read.
pub(super) struct Reader {
    pub(super) columns: Arc<[String]>,
    pub(super) chunks: mpsc::Receiver<Result<Chunk, ReadError>>,
    thread: std::thread::JoinHandle<Rows>,
}

impl Reader {
    /// Reads on after so many rows and batches.
    pub(super) fn start(mut rows: Rows, hashing: Hashing, done: u64, batches: u32) -> Self {
        let columns = rows.columns();
        let (to, chunks) = mpsc::channel(2);
        // A thread of its own, which nobody waits for: reading a pipe may take forever.
        let thread = std::thread::spawn(move || {
            if let Err(error) = read(&mut rows, hashing, done, batches, &to) {
                // Nobody is left to be told when the upload has failed already.
                let _ = to.blocking_send(Err(error));
            }
            rows
        });
        Self { columns, chunks, thread }
    }

    /// When all has been read: what to know of how.
    pub(super) fn finish(self) -> Vec<String> {
        self.thread.join().map(|rows| rows.notes()).unwrap_or_default()
    }
}

fn read(
    rows: &mut Rows,
    hashing: Hashing,
    done: u64,
    batches: u32,
    to: &mpsc::Sender<Result<Chunk, ReadError>>,
) -> Result<(), ReadError> {
    let mut row = Row::default();
    for _ in 0..done {
        if !rows.next(&mut row)? {
            return Ok(());
        }
    }
    let mut building = Building::new(batches);
    while rows.next(&mut row)? {
        if !building.has_room_for(&row) && to.blocking_send(Ok(building.finish())).is_err() {
            return Ok(());
        }
        building.add(&row, hashing);
    }
    if building.counts.rows > 0 {
        let _ = to.blocking_send(Ok(building.finish()));
    }
    Ok(())
}

/// The portion that is being read.
#[derive(Default)]
struct Building {
    number: u32,
    counts: Counts,
    rejects: Vec<Reject>,
    clear: Vec<Identifier>,
    clear_bytes: usize,
    clear_places: Vec<Place>,
    digests: [Vec<u8>; 3],
    digest_places: [Vec<Place>; 3],
}

const KINDS: [Kind; 3] = Kind::ALL;
/// Bytes of a digest.
const DIGEST: usize = 32;

impl Building {
    fn new(number: u32) -> Self {
        Self { number, ..Self::default() }
    }

    fn has_room_for(&self, row: &Row) -> bool {
        // An identifier has a column, so the next row has no more than its values.
        let identifiers = usize::try_from(self.counts.identifiers()).unwrap_or(usize::MAX);
        identifiers + row.values().count() <= MAX_IDENTIFIERS
            && self.clear_bytes < MAX_CLEAR
            && self.counts.rows < MAX_ROWS
    }

    fn add(&mut self, row: &Row, hashing: Hashing) {
        self.counts.rows += 1;
        self.counts.blank += u64::from(row.is_blank);
        let reject = |column, fault| Reject { row: row.number, column, fault };
        self.rejects.extend(row.faults.iter().map(|(column, fault)| reject(*column, *fault)));
        for value in row.values() {
            let place = (row.number, value.column);
            match hashing.prepare(value) {
                Ok(Prepared::Digest(kind, digest)) => {
                    self.digests[index(kind)].extend_from_slice(digest.as_bytes());
                    self.digest_places[index(kind)].push(place);
                    self.counts.sent[index(kind)] += 1;
                }
                Ok(clear @ Prepared::Clear(kind, _)) => {
                    self.clear_bytes += value.text.len();
                    self.clear.push(clear.identifier());
                    self.clear_places.push(place);
                    self.counts.sent[index(kind)] += 1;
                }
                Err(rejection) => {
                    self.rejects.push(reject(Some(value.column), rejection.into()));
                }
            }
        }
    }

    /// What was read; then begins the next.
    fn finish(&mut self) -> Chunk {
        let has_batch = self.counts.identifiers() > 0;
        let next = Self::new(self.number + u32::from(has_batch));
        let this = std::mem::replace(self, next);
        let (counts, number) = (this.counts, this.number);
        let Self { rejects, clear: mut rows, clear_places: mut places, mut digests, .. } = this;
        // Packed are those of one kind: the most.
        let most = (0..KINDS.len()).max_by_key(|kind| digests[*kind].len()).unwrap_or_default();
        let packed = std::mem::take(&mut digests[most]);
        for kind in 0..KINDS.len() {
            let (each, _) = digests[kind].as_chunks::<DIGEST>();
            rows.extend(each.iter().map(|digest| Identifier {
                kind: wire(KINDS[kind]).into(),
                value: Some(Value::Sha256(digest.to_vec())),
            }));
            if kind != most {
                places.extend(&this.digest_places[kind]);
            }
        }
        places.extend(&this.digest_places[most]);
        let batch = Batch { number, rows, packed, packed_kind: KINDS[most], places };
        Chunk { counts, rejects, batch: has_batch.then_some(batch) }
    }
}

fn index(kind: Kind) -> usize {
    KINDS.iter().position(|one| *one == kind).unwrap_or_default()
}
