//! What tests need around a service: databases, Redis, keys, a collector, a network that can be
//! bad. The engines are real, private to the test process, on ports from the operating system, and
//! gone when the process ends, however it ends.

mod collector;
mod engine;
mod keys;
mod postgres;
mod proxy;
mod redis;

pub use collector::Collector;
pub use keys::TestKeys;
pub use postgres::Postgres;
pub use proxy::{Link, Proxy, Way};
pub use redis::Redis;
