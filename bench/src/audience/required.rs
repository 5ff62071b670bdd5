//! What the figures must reach.

use crate::required::Bound::{self, AtLeast, AtMost};

pub(super) const REQUIRED: [(&str, Bound); 14] = [
    ("probe-million-per-second-1e8", AtLeast(12.0)),
    ("probe-1e6-of-1e9-ms", AtMost(200.0)),
    ("probe-1e9-peak-mb", AtMost(16_000.0)),
    ("index-bytes-per-key", AtMost(12.5)),
    ("index-bytes-per-key-1e9", AtMost(12.5)),
    ("match-keys-million-per-second", AtLeast(5.0)),
    ("upload-packed-rows-per-second", AtLeast(1_000_000.0)),
    ("upload-packed-postgresql-rows-per-second", AtLeast(1_000_000.0)),
    ("upload-raw-phone-rows-per-second", AtLeast(400_000.0)),
    ("upload-raw-phone-postgresql-rows-per-second", AtLeast(400_000.0)),
    ("register-vs-copy", AtLeast(0.5)),
    ("list-subject-audiences-p99-ms", AtMost(5.0)),
    ("resident-mb-1e7", AtMost(1_200.0)),
    ("start-from-snapshot-s", AtMost(5.0)),
];
