//! What must hold of all that is read, whatever it is: for the fuzz targets (`scripts/fuzz`), and for
//! tests of few cases. In no other build.

use roaring::RoaringBitmap;

use crate::{domain::read_record, store::fuzzing};

pub use crate::index::fuzzing::snapshot;

/// As everything that the store holds as bytes.
pub fn stored(data: &[u8]) {
    let _ = read_record(data, &mut RoaringBitmap::new());
    fuzzing::stored(data);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use identifiers::MatchKey;
    use proptest::prelude::*;

    use crate::index::{Change, Index, Section};

    proptest! {
        #[test]
        fn no_stored_bytes_are_too_odd(data in prop::collection::vec(any::<u8>(), 0..90)) {
            super::stored(&data);
        }

        /// Behind the checksums only the fuzz target gets.
        #[test]
        fn no_snapshot_is_too_odd(
            keys in prop::collection::vec(any::<[u8; 16]>(), 0..40),
            at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
        ) {
            let index = Index::default();
            let change = |key: &[u8; 16]| Change { key: MatchKey::from_bytes(*key), ordinal: Some(7) };
            index.apply(&keys.iter().map(change).collect::<Vec<_>>());
            let section = Section { name: "countable".to_owned(), bytes: vec![1, 2, 3] };
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("index");
            index.write_snapshot(&path, 9, [3; 16], &[section]).unwrap();
            let mut file = std::fs::read(&path).unwrap();
            super::snapshot(&file);
            let at = at.index(file.len());
            file[at] = byte;
            if cut {
                file.truncate(at);
            }
            super::snapshot(&file);
        }
    }
}
