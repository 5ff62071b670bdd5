//! Which replica a call goes to, what is held against one, and what is sent again.

use futures::future::select_all;
use tokio::net::TcpSocket;

use super::*;

/// An upstream of two connected replicas, of which one is ejected after so many failures.
async fn two(eject_after: u32) -> (Replica, Replica, Arc<Upstream>, Dns) {
    let (first, second) = (Replica::new().await, Replica::new().await);
    let dns = Dns::new(&[first.address, second.address]);
    let config = UpstreamConfig {
        eject_after,
        // Once ejected, for good.
        probe_pause: Span::from_secs(3600),
        ..UpstreamConfig::default()
    };
    let upstream = upstream_with(&dns, config);
    both_are_called(&upstream, &first, &second).await;
    (first, second, Arc::new(upstream), dns)
}

async fn fails(upstream: &Upstream, path: &'static str) {
    let error = send(upstream, path, Body::empty(), Repeat::Never).await.map(drop);
    assert!(matches!(error, Err(Error::Cut { .. })), "{error:?}");
}

#[tokio::test]
async fn the_less_busy_replica_gets_the_call() {
    let (first, second, upstream, _) = two(5).await;
    let before = (first.calls(), second.calls());
    let mut calls = Vec::new();
    for _ in 0..20 {
        calls.push(hold(&upstream, &[&first, &second]).await);
    }
    assert_eq!((first.calls() - before.0, second.calls() - before.1), (10, 10));
    // Those of the second end.
    second.seen.gate.notify_waiters();
    for _ in 0..10 {
        let (ended, _, others) = select_all(calls).await;
        ended.unwrap().unwrap();
        calls = others;
    }
    for _ in 0..10 {
        calls.push(hold(&upstream, &[&first, &second]).await);
    }
    assert_eq!((first.calls() - before.0, second.calls() - before.1), (10, 20));
}

#[tokio::test]
async fn when_nothing_is_connected_calls_wait_for_the_first_that_is_and_not_for_ever() {
    // As full as its queue of connections gets, which nobody takes.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let full = socket.listen(1).unwrap();
    let silent = full.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(io) = timeout(Duration::from_millis(200), TcpStream::connect(silent)).await {
        queue.push(io.unwrap());
    }
    let replica = Replica::new().await;
    let config =
        UpstreamConfig { connect_timeout: Span::from_secs(3600), ..UpstreamConfig::default() };
    let upstream = upstream_with(&Dns::new(&[silent, replica.address]), config);
    timeout(PATIENCE, call(&upstream)).await.expect("the call waits for the one that is silent");

    let config =
        UpstreamConfig { connect_timeout: Span::from_millis(50), ..UpstreamConfig::default() };
    let upstream = upstream_with(&Dns::new(&[silent]), config);
    let sent = send(&upstream, "/call", Body::empty(), Repeat::Always);
    let error = timeout(PATIENCE, sent).await.expect("it is waited for without end").map(drop);
    assert!(matches!(error, Err(Error::Unreachable { .. })), "{error:?}");
}

#[tokio::test]
async fn what_drops_every_connection_is_asked_less_and_less() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let _upstream = upstream(&Dns::new(&[listener.local_addr().unwrap()]));
    drop(listener.accept().await.unwrap());
    let begun = Instant::now();
    for _ in 0..4 {
        drop(timeout(PATIENCE, listener.accept()).await.unwrap().unwrap());
    }
    assert!(begun.elapsed() > Duration::from_millis(300), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_lost_connection_is_one_failure_and_the_last_replica_is_not_ejected() {
    let (first, second, upstream, dns) = two(2).await;
    let mut calls = Vec::new();
    for _ in 0..20 {
        calls.push(hold(&upstream, &[&first, &second]).await);
    }
    first.seen.cut.notify_one();
    let mut lost = 0;
    while lost < 10 {
        let (ended, _, others) = select_all(calls).await;
        assert!(matches!(ended.unwrap(), Err(Error::Cut { .. })));
        (calls, lost) = (others, lost + 1);
    }
    let ejections = || upstream.counts.ejections.load(Relaxed);
    assert_eq!(ejections(), 0, "one connection was taken for many failures");
    second.seen.gate.notify_waiters();
    for held in calls {
        held.await.unwrap().unwrap();
    }
    first.until_connections(1).await;
    both_are_called(&upstream, &first, &second).await;

    // Each of these is a failure: the replica with two in a row is ejected, the other is not.
    for _ in 0..20 {
        fails(&upstream, "/reset").await;
    }
    assert_eq!(ejections(), 1);
    let before = (first.calls(), second.calls());
    for _ in 0..20 {
        call(&upstream).await;
    }
    let now = (first.calls() - before.0, second.calls() - before.1);
    assert!(now == (20, 0) || now == (0, 20), "{now:?}");

    // When there is no other, one that is ejected is called all the same.
    let ejected = if now.0 == 0 { &first } else { &second };
    dns.say(Ok(vec![ejected.address])).await;
    let before = ejected.calls();
    call(&upstream).await;
    assert_eq!(ejected.calls(), before + 1);
}

#[tokio::test]
async fn failures_count_that_follow_each_other() {
    let (first, second, upstream, _) = two(2).await;
    for _ in 0..20 {
        fails(&upstream, "/reset").await;
        both_are_called(&upstream, &first, &second).await;
    }
    assert_eq!(upstream.counts.ejections.load(Relaxed), 0);
}

#[tokio::test]
async fn another_replica_is_asked_unless_the_call_may_not_be_repeated_or_is_too_late() {
    let (first, second, upstream, _) = two(u32::MAX).await;
    first.seen.stops.store(true, SeqCst);
    let before = (first.calls(), second.calls());
    for _ in 0..50 {
        let answer = send(&upstream, "/call", Body::empty(), Repeat::Always).await.unwrap();
        assert_eq!(answer.headers()["grpc-status"], "0");
    }
    let failed = first.calls() - before.0;
    assert!(failed > 5, "{failed} of 50 calls: it is hardly asked");
    assert_eq!(second.calls() - before.1, 50);
    let retries = || usize::try_from(upstream.counts.retries.load(Relaxed)).unwrap();
    assert_eq!(retries(), failed);

    for (repeat, deadline) in
        [(Repeat::Never, Instant::now() + PATIENCE), (Repeat::Always, Instant::now())]
    {
        let before = first.calls();
        for _ in 0..50 {
            let sent = send_before(deadline, &upstream, "/call", Body::empty(), repeat).await;
            sent.unwrap();
        }
        assert!(first.calls() > before + 5);
        assert_eq!(retries(), failed, "{repeat:?}");
    }
}

#[tokio::test]
async fn a_replica_that_comes_up_is_waited_for_when_there_is_no_other() {
    let first = Replica::new().await;
    // Nobody listens there yet.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let second = socket.local_addr().unwrap();
    let upstream = upstream(&Dns::new(&[first.address, second]));
    call(&upstream).await;
    first.seen.stops.store(true, SeqCst);
    let (sent, ()) = future::join(send(&upstream, "/call", Body::empty(), Repeat::Always), async {
        while first.calls() < 2 {
            tokio::task::yield_now().await;
        }
        let listener = socket.listen(8).unwrap();
        let (io, _) = listener.accept().await.unwrap();
        tokio::spawn(serve(io, Arc::default()));
    })
    .await;
    assert_eq!(sent.unwrap().headers()["grpc-status"], "0");
    assert_eq!((first.calls(), upstream.counts.retries.load(Relaxed)), (2, 1));
}
