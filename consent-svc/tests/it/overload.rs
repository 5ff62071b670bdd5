//! More calls than can be done: those in excess are told so at once, and when to come again; none
//! hangs; and afterwards all is well.

use std::time::{Duration, Instant};

use consent_svc::config::ConsentConfig;
use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use proto::{
    consent::v1::{
        BatchCheckRequest, CheckRequest, CheckResponse, WithdrawRequest,
        consent_service_client::ConsentServiceClient,
    },
    errors::v1::Reason,
};
use service_kit::config::Span;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::{calls::*, harness::*, inside::*};

/// By how much calls may end later than they should: this machine may be busy with other things.
const SLACK: Duration = Duration::from_secs(3);

/// How calls ended: done, refused, out of time.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ends {
    done: usize,
    refused: usize,
    late: usize,
}

impl Ends {
    /// Of calls that had so long, and how long each took.
    fn of<T>(calls: Vec<(Result<T, Status>, Duration)>, deadline: Duration) -> Self {
        let mut ends = Self::default();
        for (call, took) in calls {
            ends.count(call, took, deadline);
        }
        ends
    }

    fn count<T>(&mut self, call: Result<T, Status>, took: Duration, deadline: Duration) {
        assert!(took < deadline + SLACK, "{took:?}");
        let Err(status) = call else {
            self.done += 1;
            return;
        };
        match proto::status::reason(&status) {
            Some(Reason::Overloaded) => {
                assert_eq!(status.code(), tonic::Code::ResourceExhausted);
                let again = status.get_details_retry_info().unwrap().retry_delay.unwrap();
                assert!(again > Duration::ZERO && again < Duration::from_mins(1));
                assert!(took < deadline, "{took:?}: not at once");
                self.refused += 1;
            }
            Some(Reason::DeadlineExceeded) => self.late += 1,
            // The client's own word for it.
            None if status.code() == tonic::Code::Cancelled => self.late += 1,
            other => panic!("{other:?}: {status:?}"),
        }
    }
}

/// Waits for a call, and says how long it took.
async fn timed<T>(call: impl Future<Output = T>) -> (T, Duration) {
    let begun = Instant::now();
    (call.await, begun.elapsed())
}

type Check = (Result<tonic::Response<CheckResponse>, Status>, Duration);

/// Checks at once, of that many subjects, over enough connections.
async fn checks(
    world: &World,
    count: usize,
    deadline: Duration,
) -> FuturesUnordered<JoinHandle<Check>> {
    const A_CONNECTION: usize = 1_000;
    // One token for all: making one takes longer than a check.
    let token = world.app(()).into_parts().0;
    let calls = FuturesUnordered::new();
    for first in (0..count).step_by(A_CONNECTION) {
        let client = ConsentServiceClient::new(world.endpoint().connect().await.unwrap());
        for n in first..count.min(first + A_CONNECTION) {
            let subject_id = format!("subject-{n}");
            let message = CheckRequest { subject_id, purpose_id: ADS.to_owned() };
            let mut request = tonic::Request::from_parts(token.clone(), <_>::default(), message);
            request.set_timeout(deadline);
            let mut client = client.clone();
            calls.push(tokio::spawn(timed(async move { client.check(request).await })));
        }
    }
    calls
}

/// The queue of checks that miss holds 16,384 (`store/load.rs`). Those in excess are refused while
/// the database does not answer; those that were queued are answered when it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_checks_miss_than_the_queue_holds() {
    const QUEUE: usize = 16_384;
    const IN_A_STATEMENT: usize = 256;
    const EXCESS: usize = 200;
    let mut world = World::on_postgres().await;
    world.server.max_concurrent_requests = 2 * QUEUE;
    let deadline = Duration::from_mins(1);
    let configure = |config: &mut ConsentConfig| {
        config.readers = 1;
        config.store.statement_timeout = Span::from_secs(60);
    };
    world.reconfigure(configure).await;
    let policy = world.announce("sharing", opt_out()).await;
    world.agreed("anna", &policy).await;
    let db = world.database().await;
    let mut lock = Some(locked(&db, "subject").await);
    let mut calls = checks(&world, QUEUE + IN_A_STATEMENT + EXCESS, deadline).await;
    let mut ends = Ends::default();
    while let Some(call) = calls.next().await {
        let (call, took) = call.unwrap();
        ends.count(call, took, deadline);
        if ends.refused == EXCESS
            && let Some(lock) = lock.take()
        {
            assert_eq!((ends.done, ends.late), (0, 0));
            lock.rollback().await.unwrap();
        }
    }
    // The first statement may have begun before there were so many.
    assert!((EXCESS..=EXCESS + IN_A_STATEMENT).contains(&ends.refused), "{ends:?}");
    assert_eq!(ends.late, 0);
    assert!(world.granted("anna", ADS).await);
}

/// As it is configured by default, the server's limit is below that of the queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_calls_than_the_server_is_to_do_at_once() {
    let mut world = World::on_redis().await;
    world.server.max_concurrent_requests = 100;
    world.restart().await;
    let policy = world.announce("sharing", opt_out()).await;
    world.agreed("anna", &policy).await;
    let db = world.database().await;
    let lock = locked(&db, "subject").await;
    let deadline = Duration::from_secs(2);
    let calls = checks(&world, 300, deadline).await;
    let ends = Ends::of(calls.map(Result::unwrap).collect().await, deadline);
    assert_eq!(ends, Ends { refused: 200, late: 100, done: 0 });
    lock.rollback().await.unwrap();
    world.kept("anna").await;
}

/// Batches take turns; those whose turn does not come end with their deadline.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_batches_than_statements_at_once() {
    let mut world = World::on_postgres().await;
    world.reconfigure(|config| config.readers = 2).await;
    let policy = world.announce("sharing", opt_out()).await;
    world.agreed("anna", &policy).await;
    let db = world.database().await;
    let lock = locked(&db, "subject").await;
    let batch = || {
        let (purpose_id, subject_ids) = (ADS.to_owned(), vec!["anna".to_owned(); 10]);
        let message = BatchCheckRequest { purpose_id, subject_ids, with_details: false };
        let mut request = world.app(message);
        request.set_timeout(Duration::from_secs(1));
        let mut client = world.consent();
        timed(async move { client.batch_check(request).await })
    };
    let ends = Ends::of(join_all((0..30).map(|_| batch())).await, Duration::from_secs(1));
    assert_eq!(ends, Ends { late: 30, ..Ends::default() });
    lock.rollback().await.unwrap();
    let ends = Ends::of(join_all((0..30).map(|_| batch())).await, Duration::from_secs(1));
    assert_eq!(ends, Ends { done: 30, ..Ends::default() });
}

/// One write is under way, and so many are queued; a write that was queued is carried out, whether
/// or not its caller is still there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_writes_than_the_queue_holds() {
    const QUEUE: usize = 4;
    let mut world = World::on_redis().await;
    let policy = world.announce("sharing", opt_out()).await;
    let ids: Vec<String> = (0..20).map(|n| format!("subject-{n}")).collect();
    for id in &ids {
        world.agreed(id, &policy).await;
    }
    let configure = |config: &mut ConsentConfig| {
        (config.writer.queue, config.writer.batch) = (QUEUE, 1);
    };
    world.reconfigure(configure).await;
    let db = world.database().await;
    let lock = locked(&db, "subject").await;
    let withdraw = |subject_id: &String| {
        let (subject_id, purpose_ids) = (subject_id.clone(), vec![ADS.to_owned()]);
        let message = WithdrawRequest { request_id: world.id(), subject_id, purpose_ids };
        let mut request = world.app(message);
        request.set_timeout(Duration::from_secs(2));
        let mut client = world.consent();
        timed(async move { client.withdraw(request).await })
    };
    let ends = Ends::of(join_all(ids.iter().map(withdraw)).await, Duration::from_secs(2));
    // The first may have been taken out of the queue before it was full.
    assert_eq!(ends.done, 0);
    assert!(ends.late == QUEUE || ends.late == QUEUE + 1, "{ends:?}");
    assert_eq!(ends.refused, ids.len() - ends.late);
    lock.rollback().await.unwrap();
    until("what was queued is carried out", || async {
        let mut withdrawn = 0;
        for id in &ids {
            withdrawn += usize::from(!world.ask(id).await.unwrap());
        }
        assert!(withdrawn <= ends.late, "what was refused is not done");
        withdrawn == ends.late
    })
    .await;
    for id in &ids {
        world.withdraw(id, &[ADS]).await.unwrap();
        assert!(!world.ask(id).await.unwrap());
    }
}
