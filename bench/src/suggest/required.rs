//! What the figures must reach.

use crate::required::Bound::{self, AtLeast};

pub(super) const REQUIRED: [(&str, Bound); 3] =
    [("recall-at-10", AtLeast(0.580)), ("hits-at-10", AtLeast(0.875)), ("mrr", AtLeast(0.685))];
