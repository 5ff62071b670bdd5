//! What every process of Assent needs and none of its domain: boot, configuration, telemetry, TLS,
//! authentication, health, the clock, errors, stores, and the engines that tests run on.

pub mod auth;
pub mod boot;
pub mod client;
pub mod clock;
pub mod compute;
pub mod config;
pub mod context;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod gather;
pub mod grpc;
pub mod health;
pub mod layers;
pub mod server;
pub mod store;
pub mod telemetry;
#[cfg(feature = "test-util")]
pub mod test_util;

// Every process allocates by it: thousands of small messages a second, measured in
// docs/benchmarks.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
