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

    use std::sync::LazyLock;

    use identifiers::MatchKey;
    use proptest::prelude::*;

    use crate::index::{Change, Index, Section};

    /// A file of a few keys. Written once: it waits for the disk.
    static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let index = Index::default();
        let change = |byte| Change { key: MatchKey::from_bytes([byte; 16]), ordinal: Some(7) };
        index.apply(&(0..=255).step_by(5).map(change).collect::<Vec<_>>());
        let section = Section { name: "countable".to_owned(), bytes: vec![1, 2, 3] };
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        index.write_snapshot(&path, 9, [3; 16], &[section]).unwrap();
        std::fs::read(&path).unwrap()
    });

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_stored_bytes_are_too_odd(data in prop::collection::vec(any::<u8>(), 0..90)) {
            super::stored(&data);
        }

        /// Behind the checksums only the fuzz target gets.
        #[test]
        fn no_snapshot_is_too_odd(
            at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
        ) {
            let mut file = FILE.clone();
            let at = at.index(file.len());
            file[at] = byte;
            if cut {
                file.truncate(at);
            }
            super::snapshot(&file);
        }
    }

    #[test]
    fn a_good_snapshot_can_be_used() {
        super::snapshot(&FILE);
    }
}
