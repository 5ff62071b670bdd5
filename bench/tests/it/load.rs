//! Both kinds of load against the artificial server.

use std::time::Duration;

use bench::{
    closed_loop::ClosedLoop,
    open_loop::OpenLoop,
    recorder::{Outcome, Recorder},
    schedule::Arrivals,
};
use tonic::Code;

use crate::server::{STALL, call, connect, start};

const CLOSED: ClosedLoop =
    ClosedLoop { callers: 2, warm_up: Duration::ZERO, measured: Duration::from_millis(800) };

const OPEN: OpenLoop = OpenLoop {
    arrivals: Arrivals::Constant,
    per_second: 500.0,
    seed: 0,
    warm_up: Duration::ZERO,
    measured: Duration::from_secs(1),
};

/// Of a second in which 500 calls are due, a stall of 0.4 s in the middle meets 200: the first
/// waits for all of it, the last for none, the median of those delayed for half.
#[tokio::test(flavor = "multi_thread")]
async fn a_stall_is_seen_by_all_who_were_due_in_it() {
    let (connections, unary) = (connect(start(100)).await, call("GetReceiptKeys"));
    let open = OPEN.run(move |number| connections.call(number, &unary)).await.unwrap();
    assert_eq!((open.calls.count(Code::Ok), open.calls.failed()), (499, 0));
    let latency = |quantile| open.calls.succeeded().quantile(quantile);
    assert!(open.calls.succeeded().max() >= STALL, "{}", open.calls.succeeded());
    assert!(latency(0.9) >= STALL / 4, "{}", open.calls.succeeded());
    assert!(latency(0.99) >= STALL * 4 / 5, "{}", open.calls.succeeded());
    // The generator went on meanwhile: none of this is its own doing. (A busy machine may keep it from
    // sending now and then, but not for as long as the stall.)
    assert!(open.lateness.quantile(0.5) < STALL / 8, "{}", open.lateness);
}

/// A generator that cannot send is no excuse: what was due meanwhile is charged with the whole
/// delay, and the run is not to be believed.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stall_of_the_generator_is_counted_and_found_out() {
    let open = OPEN.run(|number| {
        if number == 100 {
            // All of the runtime's threads.
            std::thread::sleep(STALL);
        }
        std::future::ready(Outcome::Answered(Code::Ok))
    });
    let open = open.await.unwrap();
    let latency = open.calls.succeeded();
    assert!(latency.quantile(0.9) >= STALL / 4, "{latency}");
    assert!(latency.quantile(0.99) >= STALL * 4 / 5, "{latency}");
    assert!(!open.kept_schedule(), "{}", open.lateness);
}

/// The reason for the open loop: on the same server, two callers who wait for their answers notice
/// the stall twice, and its percentiles say that nothing happened.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_loop_hides_the_stall() {
    let (connections, unary) = (connect(start(100)).await, call("GetReceiptKeys"));
    let closed = CLOSED.run(move |number| connections.call(number, &unary)).await.unwrap();
    let latency = closed.calls.succeeded();
    assert!(latency.max() >= STALL * 9 / 10, "{latency}");
    assert!(latency.quantile(0.99) < STALL / 8, "{latency}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ok_is_not_served() {
    let connections = connect(start(0)).await;
    let calls = ["Check", "Withdraw", "GetReceiptKeys"].map(call);
    let closed = CLOSED.run(move |number| {
        // Two callers: the second has odd numbers.
        let turn = usize::from(number % 2 == 0) * (1 + usize::from(number % 4 == 0));
        connections.call(number, &calls[turn])
    });
    let closed = closed.await.unwrap();
    let count = |code| closed.calls.count(code);
    assert!(count(Code::ResourceExhausted) > 0, "{}", closed.calls);
    assert!(count(Code::Unimplemented) > 0, "{}", closed.calls);
    assert!(count(Code::Ok) > 0, "{}", closed.calls);
    assert_eq!(closed.calls.unanswered(), 0);
    let refused = count(Code::ResourceExhausted) + count(Code::Unimplemented);
    assert_eq!(closed.calls.failed(), refused);
    #[allow(clippy::cast_precision_loss)]
    let served = count(Code::Ok) as f64 / CLOSED.measured.as_secs_f64();
    assert!((closed.per_second - served).abs() < 1.0, "{}", closed.per_second);
}

/// A server of HTTP/2 that closes the connection instead of answering.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_is_counted() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                drop(connection.accept().await);
            });
        }
    });
    let (connections, unary) = (connect(address).await, call("GetReceiptKeys"));
    let few = OpenLoop { per_second: 50.0, measured: Duration::from_millis(190), ..OPEN };
    let open = few.run(move |number| connections.call(number, &unary)).await.unwrap();
    assert_eq!((open.calls.count(Code::Ok), open.calls.unanswered()), (0, 9));
}

#[test]
fn recorders_add_up() {
    let recorded = |outcomes: &[Outcome]| {
        let mut recorder = Recorder::default();
        for outcome in outcomes {
            recorder.record(*outcome, Duration::from_millis(2));
        }
        recorder
    };
    let ok = Outcome::Answered(Code::Ok);
    let aborted = Outcome::Answered(Code::Aborted);
    let mut sum = recorded(&[ok, aborted, ok]);
    sum.add(&recorded(&[aborted, Outcome::Unanswered, ok]));
    assert_eq!(sum.to_string(), "3 OK, 2 Aborted, 1 unanswered");
    assert_eq!(sum.failed(), 3);
    assert_eq!(sum.succeeded().len(), 3);
}
