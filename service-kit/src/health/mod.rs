//! Whether a process can take calls: probes, gRPC health, and the admin endpoints.
//!
//! Liveness means that the process runs. Readiness means that what it depends on was asked and
//! answered. They are different answers.

mod admin;
mod grpc;
mod readiness;

pub(crate) use admin::admin_router;
pub(crate) use grpc::health_server;
pub use readiness::Readiness;
