//! Commands that change something: sent twice, done once.

/// Makes sending a change again harmless.
#[derive(Debug, clap::Args)]
pub(crate) struct RequestId {
    /// Names the change, so that running the same command again with the same id does it once. If
    /// not given, each run is a change of its own.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
}

impl RequestId {
    /// The given one, or a new one.
    pub(crate) fn get(&self) -> String {
        let new = || format!("cli-{:032x}", rand::random::<u128>());
        self.request_id.clone().unwrap_or_else(new)
    }
}
