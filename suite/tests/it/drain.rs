//! SIGTERM under load: every call that was accepted is answered, then the process ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use prost_reflect::prost::Message;
use proto::consent::v1::CheckRequest;

use crate::{
    raw::call_once,
    support::{Suite, connect},
};

const CHECK: &str = "/assent.consent.v1.ConsentService/Check";
const CALLERS: usize = 16;
/// The default drain deadline of the four services, one after the other, and some slack.
const PATIENCE: Duration = Duration::from_secs(4 * 25);

#[tokio::test(flavor = "multi_thread")]
async fn no_accepted_call_fails_when_the_suite_is_asked_to_stop() {
    let data = tempfile::tempdir().unwrap();
    let mut suite = Suite::start(data.path());
    let token = suite.token("APP").to_owned();
    let request =
        CheckRequest { subject_id: "nobody".to_owned(), purpose_id: "social.ads".to_owned() }
            .encode_to_vec();
    let answered = Arc::new(AtomicUsize::new(0));
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        let channel = connect(suite.gateway()).await;
        let (token, request, answered) = (token.clone(), request.clone(), answered.clone());
        callers.push(tokio::spawn(async move {
            loop {
                match call_once(&channel, CHECK, Some(&token), request.clone()).await {
                    Ok(_) => answered.fetch_add(1, Ordering::Relaxed),
                    Err(error) => return format!("{error:?}"),
                };
            }
        }));
    }
    while answered.load(Ordering::Relaxed) < 2_000 {
        tokio::task::yield_now().await;
    }
    let asked = Instant::now();
    suite.process.terminate();
    let status = tokio::task::spawn_blocking(move || suite.process.wait()).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(asked.elapsed() < PATIENCE);
    for caller in callers {
        let ended_by = caller.await.unwrap();
        // The only way to fail is not to get in any more: there is nobody to connect to, or the
        // connection was closed before the call was sent on it, or the call came after the last
        // one that was taken, as the GOAWAY says (RFC 9113, 6.8).
        let not_taken = [
            "Connection refused",
            r#"hyper::Error(Canceled, "connection closed")"#,
            r#"GoAway(b"", NO_ERROR, Remote)"#,
        ];
        assert!(not_taken.iter().any(|not_taken| ended_by.contains(not_taken)), "{ended_by}");
    }
}
