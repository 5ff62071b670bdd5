//! A TCP proxy that is the network between two processes, and as bad as it is told to be.
//!
//! What goes through it stays in order and is never altered. It can be slowed or stalled in either
//! direction, connections can be cut, and new ones be sent elsewhere, while they are open on both
//! sides and neither side knows.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
    time::sleep,
};
use tokio_util::task::AbortOnDropHandle;

/// How one direction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    /// As it should be.
    #[default]
    Open,
    /// Whatever is sent arrives this much later, and what is sent meanwhile after it.
    Slow(Duration),
    /// Nothing arrives until it is open again; then everything does.
    Stalled,
}

/// How a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    /// From who connects to who is connected to.
    pub there: Way,
    /// The other direction.
    pub back: Way,
    /// New connections are closed at once.
    pub refuses: bool,
    /// Counts how often all connections were cut.
    cuts: u64,
}

/// The proxy. Ends with all its connections when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    target: Arc<Mutex<Vec<SocketAddr>>>,
    link: watch::Sender<Link>,
    _accepting: AbortOnDropHandle<()>,
}

impl Proxy {
    /// A proxy on a free port.
    ///
    /// # Errors
    /// When the system has no port.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (link, watching) = watch::channel(Link::default());
        let target = Arc::new(Mutex::new(vec![target]));
        let accepting = tokio::spawn(accept(listener, target.clone(), watching));
        Ok(Self { address, target, link, _accepting: AbortOnDropHandle::new(accepting) })
    }

    /// New connections go elsewhere from now on; open ones stay where they are.
    pub fn switch(&self, target: SocketAddr) {
        self.balance(vec![target]);
    }

    /// New connections go to the first of these that takes them, each time from the next one on.
    pub fn balance(&self, targets: Vec<SocketAddr>) {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = targets;
    }

    /// Ends all connections. What was under way is lost.
    pub fn cut(&self) {
        self.link.send_modify(|link| link.cuts += 1);
    }

    /// Changes how the link is.
    pub fn set(&self, there: Way, back: Way, refuses: bool) {
        self.link.send_modify(|link| *link = Link { there, back, refuses, cuts: link.cuts });
    }

    /// The link is as it should be.
    pub fn heal(&self) {
        self.set(Way::Open, Way::Open, false);
    }
}

async fn accept(
    listener: TcpListener,
    target: Arc<Mutex<Vec<SocketAddr>>>,
    link: watch::Receiver<Link>,
) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // An error is one connection's, or passes.
        let Ok((near, _)) = listener.accept().await else { continue };
        if link.borrow().refuses {
            continue;
        }
        let far = {
            let mut targets = target.lock().unwrap_or_else(PoisonError::into_inner);
            if !targets.is_empty() {
                targets.rotate_left(1);
            }
            targets.clone()
        };
        connections.spawn(connect(near, far, link.clone()));
    }
}

async fn connect(near: TcpStream, far: Vec<SocketAddr>, mut link: watch::Receiver<Link>) {
    // Without the other side, the connection is closed.
    let Ok(far) = TcpStream::connect(far.as_slice()).await else { return };
    if near.set_nodelay(true).and_then(|()| far.set_nodelay(true)).is_err() {
        return;
    }
    let (from_near, to_near) = near.into_split();
    let (from_far, to_far) = far.into_split();
    let before = link.borrow().cuts;
    let there = pump(from_near, to_far, link.clone(), |link| link.there);
    let back = pump(from_far, to_near, link.clone(), |link| link.back);
    let cut = link.wait_for(|link| link.cuts != before);
    // When one side closes, so does the other: neither protocol here closes by halves.
    tokio::select! {
        _ = there => {}
        _ = back => {}
        _ = cut => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut link: watch::Receiver<Link>,
    way: fn(&Link) -> Way,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        loop {
            let now = way(&link.borrow_and_update());
            match now {
                Way::Open => break,
                Way::Slow(by) => {
                    sleep(by).await;
                    break;
                }
                Way::Stalled if link.changed().await.is_ok() => {}
                Way::Stalled => return Ok(()),
            }
        }
        to.write_all(&buffer[..count]).await?;
    }
}
