//! PostgreSQL's own benchmark, on the same server: what its commits cost at least.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use service_kit::test_util::Postgres;
use tokio::task::block_in_place;

use crate::Result;

/// Its rows: more than there are clients, so that they seldom wait for one another.
const SCALE: &str = "10";

/// A database of pgbench.
pub(super) struct Pgbench {
    program: PathBuf,
    url: String,
}

impl Pgbench {
    /// Sets its database up.
    pub(super) fn new(postgres: &Postgres) -> Result<Self> {
        let program = postgres.programs().join("pgbench");
        let url = block_in_place(|| postgres.database());
        let pgbench = Self { program, url };
        pgbench.run(&["-i", "-q", "-s", SCALE])?;
        Ok(pgbench)
    }

    /// `pgbench -N -c 32` for so many seconds: its transactions a second.
    pub(super) fn transactions_per_second(&self, seconds: u64) -> Result<f64> {
        let seconds = seconds.max(1).to_string();
        let told = self.run(&["-N", "-c", "32", "-j", "2", "-T", &seconds])?;
        let line = told.lines().find_map(|line| line.strip_prefix("tps = "));
        let tps = line.and_then(|line| line.split(' ').next()?.parse().ok());
        tps.ok_or_else(|| format!("pgbench said no tps:\n{told}").into())
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg(&self.url).stdin(Stdio::null());
        let output = block_in_place(|| command.output())
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!("pgbench: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}
