//! A bad day: everything around real processes fails in turn while they are called, and everything
//! that callers notice is recorded. What is printed (`cargo test -p suite --test it bad_day --
//! --nocapture`) is the table of docs/reliability.md.

mod certificates;
mod clock;
mod dependencies;
mod disk;
mod load;
mod overload;
mod restarts;
mod schema;
mod world;

use tokio::sync::RwLock;

/// Held by every test of this module: by the one that measures, alone.
static ALONE: RwLock<()> = RwLock::const_new(());
