//! Looking up the names of configured endpoints, again and again.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::{net::lookup_host, time};

use super::roster::Roster;

/// How soon a name is looked up again of which nothing is known yet.
const FIRST: Duration = Duration::from_millis(500);

/// The addresses of a host, with the given port.
pub(super) type Resolve =
    Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// As the system resolves names.
pub(super) fn system() -> Resolve {
    Arc::new(|host, port| Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) }))
}

/// A name, and what is to follow its addresses.
pub(super) struct Name {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) resolve: Resolve,
    /// How long after a look-up the next one begins.
    pub(super) interval: Duration,
    /// How long one may take.
    pub(super) timeout: Duration,
}

impl Name {
    /// Tells the roster the addresses of its `group`, until nobody has the roster any more. What
    /// is known stays when the name cannot be looked up: a name service that is down says nothing
    /// of those it named.
    pub(super) async fn follow(self, roster: Weak<Roster>, group: usize) {
        let (mut known, mut failing, mut first) = (false, false, true);
        loop {
            let found = self.look_up().await;
            let Some(roster) = roster.upgrade() else { return };
            match found {
                Ok(addresses) => {
                    roster.set(group, &addresses);
                    (known, failing) = (true, false);
                }
                // Told once, not at every look-up.
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(host = self.host, %error, "name cannot be looked up");
                }
                Err(_) => {}
            }
            if std::mem::take(&mut first) {
                roster.was_heard();
            }
            drop(roster);
            time::sleep(if known { self.interval } else { self.interval.min(FIRST) }).await;
        }
    }

    async fn look_up(&self) -> io::Result<Vec<SocketAddr>> {
        let found = (self.resolve)(self.host.clone(), self.port);
        let addresses = time::timeout(self.timeout, found).await??;
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "no address"));
        }
        Ok(addresses)
    }
}
