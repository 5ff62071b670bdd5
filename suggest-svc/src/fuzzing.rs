//! What must hold of all that is read, whatever it is: for the fuzz targets (`scripts/fuzz`), and for
//! tests of few cases. In no other build.

use crate::domain::{ranking::Weights, uploaded::Uploaded};

pub use crate::{graph::fuzzing::snapshot, suggestion_id::fuzz as suggestion_id};

/// As everything that the store holds as bytes, and as a file of weights.
///
/// # Panics
/// When what can be read is not written as it was.
pub fn stored(data: &[u8]) {
    crate::store::fuzz(data);
    for cut in [0, data.len() / 2, data.len()] {
        let (recent, older) = data.split_at(cut);
        let uploaded = Uploaded::decode(recent, older);
        let [recent, older] = uploaded.encode();
        assert!(Uploaded::decode(&recent, &older) == uploaded);
    }
    if let Some(Ok(weights)) = std::str::from_utf8(data).ok().map(Weights::parse) {
        assert!(Weights::parse(&weights.to_json()).is_ok_and(|again| again == weights));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::LazyLock;

    use proptest::prelude::*;

    use crate::graph::{Graph, Naming, Position};

    /// A file of a few people. Written once: it waits for the disk.
    static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut graph = Graph::default();
        for n in 0..20 {
            for other in [n + 1, n * 7 % 20 + 30] {
                graph.connect(&format!("p{n}").into(), &format!("p{other}").into());
            }
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("graph");
        let merging = graph.begin_merge().unwrap();
        let names = |naming: Naming<'_>| {
            graph.names(naming);
            Some(())
        };
        merging.in_file(&path, Position::default(), names).unwrap();
        std::fs::read(&path).unwrap()
    });

    proptest! {
        #[test]
        fn only_an_id_that_was_given_is_one(data in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "[A-Za-z0-9_-]{222}".prop_map(String::into_bytes),
        ]) {
            super::suggestion_id(&data);
        }

        #[test]
        fn no_stored_bytes_are_too_odd(data in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            "\\{\"(people|blocks|risks)\":\\[(\"a\",?|\\[\"a\",\"b\",(true|1)\\]){0,2}\\]\\}".prop_map(String::into_bytes),
        ]) {
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
