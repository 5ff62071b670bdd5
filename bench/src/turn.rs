//! One turn of a server in the closed loop.

use std::{fmt, process, time::Duration};

use crate::{
    Result,
    closed_loop::{Closed, ClosedLoop},
    machine,
    recorder::Outcome,
};

/// What came of it.
#[derive(Debug)]
pub struct Turn {
    /// The calls.
    pub closed: Closed,
    /// Processor time of the server a call, in microseconds.
    pub server: f64,
    /// Processor time of this process a call, in microseconds.
    pub client: f64,
}

impl Turn {
    /// Measures and says what a server with this process id does.
    pub async fn of<C, F>(name: &str, server: u32, closed: ClosedLoop, call: C) -> Result<Self>
    where
        C: Fn(u64) -> F + Send + Sync + 'static,
        F: Future<Output = Outcome> + Send + 'static,
    {
        let spent = || -> Result<[Duration; 2]> {
            Ok([machine::cpu_time(server)?, machine::cpu_time(process::id())?])
        };
        let before = spent()?;
        let closed = closed.run(call).await?;
        let after = spent()?;
        #[allow(clippy::cast_precision_loss)] // counts of calls are far below 2^53
        let a_call = |side: usize| {
            after[side].saturating_sub(before[side]).as_secs_f64() * 1e6 / closed.made as f64
        };
        let turn = Self { server: a_call(0), client: a_call(1), closed };
        eprintln!("{name}: {turn}");
        Ok(turn)
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { closed: Closed { calls, per_second, .. }, server, client } = self;
        write!(
            f,
            "{per_second:.0}/s; a call takes {server:.1} us of the server and {client:.1} us "
        )?;
        write!(f, "of the client; {calls}")
    }
}
