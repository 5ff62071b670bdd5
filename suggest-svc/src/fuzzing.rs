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

    use proptest::prelude::*;

    use crate::graph::{Graph, Position};

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
            pairs in prop::collection::vec((0_u8..20, 0_u8..20), 0..40),
            at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
        ) {
            let mut graph = Graph::default();
            for (one, other) in pairs.iter().filter(|(one, other)| one != other) {
                graph.connect(&format!("p{one}").into(), &format!("p{other}").into());
            }
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("graph");
            let merging = graph.begin_merge().unwrap();
            let names = |naming: crate::graph::Naming<'_>| {
                graph.names(naming);
                Some(())
            };
            merging.in_file(&path, Position::default(), names).unwrap();
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
