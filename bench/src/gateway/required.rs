//! What the figures must reach, on two cores that client, gateway and service share.

use crate::required::Bound::{self, AtLeast, AtMost};

pub(super) const REQUIRED: [(&str, Bound); 8] = [
    ("throughput-vs-nginx", AtLeast(1.0)),
    ("throughput-bare-vs-nginx", AtLeast(1.3)),
    ("added-p50-ms", AtMost(0.25)),
    ("added-p99-ms", AtMost(1.5)),
    ("upload-stream-vs-direct", AtLeast(0.7)),
    ("idle-10000-connections-mb", AtMost(400.0)),
    ("failed-idempotent-after-kill", AtMost(0.0)),
    ("failed-others-not-in-flight", AtMost(0.0)),
];
