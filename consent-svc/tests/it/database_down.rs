//! The database does not answer, or is not there: what is kept is answered for as long as it is
//! sure, then nothing is; and when the database is back, so is the service.

use std::time::{Duration, Instant};

use consent_svc::config::ConsentConfig;
use futures::future::join_all;
use proto::{consent::v1::CheckRequest, errors::v1::Reason};
use service_kit::{
    clock::{Clock, UnixMillis},
    config::Span,
    test_util::{Postgres, Redis},
};
use tonic::Status;

use crate::{calls::*, harness::*};

const LEASE: Duration = Duration::from_secs(2);

/// A service with a database of its own, and a subject of whom there is an answer in Redis.
async fn with_postgres() -> (Postgres, World) {
    let postgres = Postgres::start();
    let redis = [Redis::shared().database()];
    let clock = Clock::manual(UnixMillis::new(START));
    let mut world = World::begin(postgres.database(), &redis, None, clock).await;
    let policy = world.announce("sharing", opt_out()).await;
    for id in ["anna", "bert"] {
        world.agreed(id, &policy).await;
    }
    world.kept("anna").await;
    let configure = |config: &mut ConsentConfig| {
        config.cache.lease = Span::from_secs(2);
        // So that nobody waits for long.
        config.store.acquire_timeout = Span::from_millis(1_500);
    };
    world.reconfigure(configure).await;
    world.kept("anna").await;
    (postgres, world)
}

impl World {
    /// A check that may take this long.
    async fn ask_within(&self, subject_id: &str, limit: Duration) -> Result<i32, Status> {
        let subject_id = subject_id.to_owned();
        let message = CheckRequest { subject_id, purpose_id: ADS.to_owned() };
        let mut request = self.app(message);
        request.set_timeout(limit);
        Ok(self.consent().check(request).await?.into_inner().outcome)
    }

    /// From when the database went away: cached answers, and then none. Says how long there were
    /// some.
    async fn answers_end(&self) -> Duration {
        let gone = Instant::now();
        let mut answered = 0;
        loop {
            let asked = gone.elapsed();
            match self.ask_within("anna", Duration::from_secs(1)).await {
                Ok(_) => answered += 1,
                Err(status) => {
                    assert!(denying(&status), "{status:?}");
                    assert!(answered > 10, "{answered}");
                    return asked;
                }
            }
            assert!(gone.elapsed() < 2 * LEASE, "answers go on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Whether callers take an error as a no that will pass. The last is their own.
fn denying(status: &Status) -> bool {
    let codes = [tonic::Code::Unavailable, tonic::Code::DeadlineExceeded, tonic::Code::Cancelled];
    codes.contains(&status.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cached_answers_within_the_lease_then_unavailable_then_as_before() {
    let (postgres, world) = with_postgres().await;
    for _ in 0..2 {
        world.kept("anna").await;
        tokio::task::block_in_place(|| postgres.kill());
        let lasted = world.answers_end().await;
        assert!(lasted > LEASE / 2 && lasted < LEASE + LEASE / 2, "{lasted:?}");
        // Whoever has the time is told what it is that does not answer.
        let limit = Duration::from_secs(5);
        let (anna, bert, put) = tokio::join!(
            world.ask_within("anna", limit),
            world.ask_within("bert", limit),
            world.withdraw("bert", &[MESSAGES]),
        );
        for status in [anna.unwrap_err(), bert.unwrap_err()] {
            assert_eq!(proto::status::reason(&status), Some(Reason::DependencyUnavailable));
            assert_eq!(status.code(), tonic::Code::Unavailable);
        }
        assert!(denying(&put.unwrap_err()));
        tokio::task::block_in_place(|| postgres.restart());
        until("it is back", || async { world.ask("bert").await.is_ok() }).await;
        world.kept("anna").await;
        world.withdraw("bert", &[MESSAGES]).await.unwrap();
    }
    world.withdraw("anna", &[ADS]).await.unwrap();
    assert!(!world.ask("anna").await.unwrap());
}

/// Stopped, it neither answers nor refuses: nobody waits for longer than they said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_hangs_nobody() {
    let (postgres, mut world) = with_postgres().await;
    world.server.max_concurrent_requests = 50;
    world.restart().await;
    world.kept("anna").await;
    let stopped = Stopped::new(&postgres);
    let limit = Duration::from_secs(1);
    let begun = Instant::now();
    let checks = (0..120).map(|n| {
        let (id, world) = (format!("subject-{n}"), &world);
        async move { world.ask_within(&id, limit).await.map_err(|status| (status, begun.elapsed())) }
    });
    let mut counts = [0, 0];
    for check in join_all(checks).await {
        let (status, took) = check.unwrap_err();
        match proto::status::reason(&status) {
            Some(Reason::Overloaded) => counts[0] += 1,
            _ => counts[1] += usize::from(denying(&status)),
        }
        assert!(took < 3 * limit, "{took:?}");
    }
    assert_eq!(counts, [70, 50]);
    world.answers_end().await;
    drop(stopped);
    until("it is back", || async { world.ask("bert").await.is_ok() }).await;
    world.kept("anna").await;
    world.withdraw("anna", &[ADS]).await.unwrap();
    assert!(!world.ask("anna").await.unwrap());
}

/// All processes of a database server, which stand still until this is dropped.
struct Stopped(Vec<String>);

impl Stopped {
    fn new(postgres: &Postgres) -> Self {
        // The parent first: it starts no more of them then.
        let parent = postgres.pid().to_string();
        signal("STOP", std::slice::from_ref(&parent));
        let children = std::process::Command::new("ps")
            .args(["-o", "pid=", "--ppid", &parent])
            .output()
            .unwrap();
        let children = String::from_utf8(children.stdout).unwrap();
        let mut all: Vec<String> = children.split_whitespace().map(str::to_owned).collect();
        assert!(!all.is_empty());
        signal("STOP", &all);
        all.push(parent);
        Self(all)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("CONT", &self.0);
    }
}

fn signal(signal: &str, processes: &[String]) {
    let mut command = std::process::Command::new("sh");
    let all = processes.join(" ");
    assert!(command.args(["-c", &format!("kill -{signal} {all}")]).status().unwrap().success());
}
