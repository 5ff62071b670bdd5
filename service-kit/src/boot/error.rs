//! Why a process did not start, or stopped.

use std::{error::Error, io};

use crate::{
    auth::AuthError, config::ConfigError, server::TlsError, store::StoreError,
    telemetry::TelemetryError,
};

/// Why a service did not start, or stopped with an error. Its text goes to the log and names what
/// to change.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The configuration was refused.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// Logs, traces or metrics could not be set up.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The server's certificates were refused.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Keys or identities could not be set up.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The store could not be opened, or has another schema.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system refused: an address in use, no signals.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A background task panicked.
    #[error("the task {0} panicked")]
    Task(&'static str),
    /// What a service has to say.
    #[error("{0}")]
    Other(Box<dyn Error + Send + Sync>),
}

impl BootError {
    /// An error in a service's own words.
    pub fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }
}
