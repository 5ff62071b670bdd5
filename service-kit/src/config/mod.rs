//! Configuration: a TOML file overlaid by the environment, typed, defaulted, and refused with
//! every unknown key named.
//!
//! The tables `server`, `auth` and `telemetry` are the kit's; every other top-level key is the
//! service's own. `ASSENT_<SERVICE>__<KEY>__<SUB>` overrides `<key>.<sub>`, where `<SERVICE>` is
//! the service's name without `-svc`, in upper case: `ASSENT_CONSENT__SERVER__ADDRESS`.

mod load;
mod server;
mod telemetry;
mod values;

use serde::Serialize;

pub use crate::auth::AuthConfig;
pub use load::{ConfigError, load};
pub use server::{ServerConfig, TlsConfig};
pub use telemetry::{LogFormat, TelemetryConfig};
pub use values::{Secret, Span};

/// All that a process is told: what the kit needs, and the service's own `S`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Config<S> {
    /// Addresses, TLS, limits, draining.
    pub server: ServerConfig,
    /// Whose tokens are accepted, and this process's own.
    pub auth: AuthConfig,
    /// Logs, traces, metrics.
    pub telemetry: TelemetryConfig,
    /// The service's own keys, at the top level of the file.
    #[serde(flatten)]
    pub service: S,
}

impl<S> Config<S> {
    /// The service's own configuration with every table of the kit at its default.
    pub fn new(service: S) -> Self {
        Self {
            server: ServerConfig::default(),
            auth: AuthConfig::default(),
            telemetry: TelemetryConfig::default(),
            service,
        }
    }
}

impl<S: Serialize> Config<S> {
    /// The configuration in effect as one line of JSON, secrets hidden: for the log.
    pub fn effective(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| format!("not serializable: {error}"))
    }
}
