//! Finding many keys at once.

use identifiers::MatchKey;

use super::{Segment, base::Place, delta::Delta, entry::Prefix};

/// Keys that go together.
const GROUP: usize = 32;

/// A key on its way.
#[derive(Clone, Copy)]
struct Probe<'a> {
    prefix: Prefix,
    place: Place<'a>,
    delta: &'a Delta,
}

impl<'a> Probe<'a> {
    fn new(segments: &'a [Segment], key: &MatchKey) -> Self {
        let prefix = Prefix::of(key);
        let Segment { base, delta } = &segments[prefix.segment()];
        Self { prefix, place: base.place(prefix), delta }
    }

    fn find(&self) -> u32 {
        self.delta.get_or(self.prefix, self.place.find())
    }
}

/// Appends each key's ordinal, or [`NOBODY`](crate::domain::NOBODY).
///
/// Nearly every read misses the caches and the TLB. So each step is taken by all keys of a group
/// before any takes the next one, and asks memory for what that will read. A processor that waits
/// for the translation of an address goes on with others only as far as its window of instructions
/// reaches: steps that ask for a random page are loops of their own, as short as can be. The last
/// step, which computes most and waits least, is taken while the next group's keys are on their
/// way.
///
/// Every key takes every step, a hit like a miss.
pub(super) fn probe(segments: &[Segment], keys: &[MatchKey], found: &mut Vec<u32>) {
    let Some(first) = keys.first() else { return };
    let [old, new] = &mut [[Probe::new(segments, first); GROUP]; 2];
    let (mut old, mut new) = (old, new);
    let mut old_length = 0;
    // The empty group is where the last one completes.
    for group in keys.chunks(GROUP).chain([&[][..]]) {
        let probes = &mut new[..group.len()];
        for (probe, key) in probes.iter_mut().zip(group) {
            *probe = Probe::new(segments, key);
        }
        for probe in &*probes {
            probe.place.ask();
        }
        for probe in &mut *probes {
            probe.place.find_page();
        }
        for probe in &*probes {
            probe.delta.ask(probe.prefix);
        }
        for at in 0..GROUP {
            if at < group.len() {
                new[at].place.find_keys();
            }
            if at < old_length {
                found.push(old[at].find());
            }
        }
        old_length = group.len();
        std::mem::swap(&mut old, &mut new);
    }
}
