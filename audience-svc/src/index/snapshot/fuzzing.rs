//! What must hold of a snapshot, whatever is in the file.

use identifiers::MatchKey;
use roaring::RoaringBitmap;

use super::{Snapshot, SnapshotFile};
use crate::{
    domain::NOBODY,
    index::{Change, entry::SEGMENTS},
};

/// As the file of an index. Fuzz targets are built so that wrong checksums are no obstacle.
///
/// # Panics
/// When what was read cannot be used, or is not written as it was.
#[allow(clippy::unwrap_used)]
pub fn snapshot(data: &[u8]) {
    let length = data.len() as u64;
    let Ok(file) = SnapshotFile::begin(data, length) else { return };
    let (position, mark) = (file.position(), file.mark());
    let Ok(Snapshot { index, sections }) = file.read() else { return };
    for section in &sections {
        let _ = RoaringBitmap::deserialize_from(&*section.bytes);
    }
    let written = index.write_to(Vec::new(), position, mark, &sections).unwrap();
    assert_eq!(written.len(), data.len());
    let again = SnapshotFile::begin(written.as_slice(), length).unwrap().read().unwrap();
    assert_eq!(again.sections, sections);
    let keys: Vec<_> = (0..SEGMENTS).map(|at| key(data, at)).collect();
    let (mut found, mut other) = (Vec::new(), Vec::new());
    index.probe_many(&keys, &mut found);
    again.index.probe_many(&keys, &mut other);
    assert_eq!(found, other);
    index.apply(&keys.iter().map(|key| Change { key: *key, ordinal: Some(1) }).collect::<Vec<_>>());
    found.clear();
    index.probe_many(&keys, &mut found);
    assert!(found.iter().all(|found| *found != NOBODY));
}

/// Some key; many of those of an index among them.
fn key(data: &[u8], at: usize) -> MatchKey {
    let mut key = [0; 16];
    let from = data.get(data.len().saturating_sub(22 * (at + 1))..).unwrap_or_default();
    let bytes = from.len().min(10);
    key[..bytes].copy_from_slice(&from[..bytes]);
    MatchKey::from_bytes(key)
}
