//! The data subject: whose data it is.

use std::{fmt, sync::Arc};

/// A person's id, chosen by the platform and opaque here. Cheap to clone; its order is that of its
/// bytes, which breaks ties.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Subject {
    /// Takes an id whose format the contract has checked, or that was stored.
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl From<String> for Subject {
    fn from(id: String) -> Self {
        Self(id.into())
    }
}

impl From<Arc<str>> for Subject {
    fn from(id: Arc<str>) -> Self {
        Self(id)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
