//! What must hold of a snapshot, whatever is in the file.

use std::sync::Arc;

use memmap2::MmapMut;

use super::{Builder, Graph, Ordinal, Snapshot};
use crate::domain::Subject;

/// As the file of a graph. Fuzz targets are built so that wrong checksums are no obstacle.
///
/// # Panics
/// When what was read cannot be used.
#[allow(clippy::unwrap_used)]
pub fn snapshot(data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let mut map = MmapMut::map_anon(data.len()).unwrap();
    map.copy_from_slice(data);
    let Ok(snapshot) = Snapshot::of(&Arc::new(map.make_read_only().unwrap()), true) else { return };
    let _ = snapshot.is_worn();
    let names: Vec<String> = snapshot.names().map(str::to_owned).collect();
    let mut builder = Builder::with(snapshot);
    for name in names.iter().filter(|name| !name.is_empty()) {
        builder.consent(&Subject::from(name.as_str()), i64::MAX, i64::MAX);
    }
    let mut graph = builder.finish(1);
    assert_eq!(graph.len(), names.len());
    look(&graph);
    // And it goes on from there.
    for pair in names.windows(2).filter(|pair| pair.iter().all(|name| !name.is_empty())) {
        let [one, other] = [&pair[0], &pair[1]].map(|name| Subject::from(name.as_str()));
        graph.disconnect(&one, &other);
        look(&graph);
        graph.connect(&one, &other);
    }
    let merging = graph.begin_merge().unwrap();
    graph.finish_merge(merging.in_memory());
    look(&graph);
}

/// Asks about everybody, and about each with the next one.
fn look(graph: &Graph) {
    let people = Ordinal::try_from(graph.len()).unwrap_or(0).min(64);
    for person in 0..people {
        assert!(graph.degree(person) <= graph.len());
        for other in graph.neighbours(person).chain(graph.neighbours_live_or_not(person)) {
            assert!((other as usize) < graph.len());
            let _ = graph.subject(other);
        }
        let _ = (graph.findable(person), graph.read_ahead(person), graph.subject(person));
        let next = (person + 1) % people;
        let _ = (graph.adjacent(person, next), graph.connected(person, next));
    }
}
