//! How much of what was answered came from the cache: a run in which it was closed all the time
//! would prove nothing.

use std::{collections::BTreeMap, fmt, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::Result;

/// How long a replica may take to say what it counts: it may stand still.
const PATIENCE: Duration = Duration::from_millis(200);

/// What is counted, and the part of its name that is left out.
const COUNTERS: [(&str, &str); 2] =
    [("consent_cache_lookups_total", "found"), ("consent_cache_generations_total", "event")];

type Counts = BTreeMap<String, u64>;

/// What replicas have counted, also those that are gone.
#[derive(Debug, Default)]
pub(super) struct CacheUse {
    latest: BTreeMap<SocketAddr, Counts>,
}

impl CacheUse {
    /// Asks a replica. What one counted after it was last asked is lost when it is killed.
    pub(super) async fn ask(&mut self, admin: SocketAddr) {
        if let Ok(Ok(text)) = timeout(PATIENCE, metrics(admin)).await {
            self.latest.insert(admin, counts(&text));
        }
    }
}

impl CacheUse {
    /// Lookups that found an answer.
    pub(super) fn hits(&self) -> u64 {
        self.latest.values().filter_map(|counts| counts.get("hit")).sum()
    }
}

/// `hit 1200, miss 30, opened 2`.
impl fmt::Display for CacheUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sums = Counts::new();
        for (name, count) in self.latest.values().flatten() {
            *sums.entry(name.clone()).or_default() += count;
        }
        let each: Vec<String> = sums.iter().map(|(name, sum)| format!("{name} {sum}")).collect();
        f.write_str(&each.join(", "))
    }
}

async fn metrics(admin: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(admin).await?;
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

/// The counters in the text format of Prometheus: `name{label="value",…} 12`.
fn counts(text: &str) -> Counts {
    let mut counts = Counts::new();
    for line in text.lines() {
        for (name, label) in COUNTERS {
            let Some(rest) = line.strip_prefix(name) else { continue };
            let value = rest.split_once(&format!("{label}=\"")).and_then(|(_, rest)| {
                let (what, rest) = rest.split_once('"')?;
                let count: f64 = rest.rsplit(' ').next()?.parse().ok()?;
                Some((what.to_owned(), count))
            });
            if let Some((what, count)) = value {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a count
                let count = count as u64;
                *counts.entry(what).or_default() += count;
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    #[test]
    fn counters_are_read() {
        let text = "# TYPE consent_cache_lookups_total counter\n\
                    consent_cache_lookups_total{found=\"hit\",otel_scope_name=\"x\"} 41\n\
                    consent_cache_lookups_total{otel_scope_name=\"x\",found=\"miss\"} 2\n\
                    consent_fences_total 7\n";
        let counts: Vec<_> = super::counts(text).into_iter().collect();
        assert_eq!(counts, [("hit".to_owned(), 41), ("miss".to_owned(), 2)]);
    }
}
