//! Whoever is between a command and its gateway: sees all that the command sends, and can stop
//! passing it on.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Passes connections on to a gateway.
pub(crate) struct Wire {
    url: String,
    shared: Arc<Shared>,
}

struct Shared {
    to: String,
    seen: Mutex<Vec<u8>>,
    /// After so many bytes nothing is passed on any more.
    stops_after: AtomicUsize,
}

impl Wire {
    /// To the gateway at this URL.
    pub(crate) fn to(gateway: &str) -> Self {
        let to = gateway.trim_start_matches("http://").to_owned();
        let stops_after = AtomicUsize::new(usize::MAX);
        let shared = Arc::new(Shared { to, seen: Mutex::default(), stops_after });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let accepting = shared.clone();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let shared = accepting.clone();
                thread::spawn(move || shared.pass_on(connection.unwrap()));
            }
        });
        Self { url, shared }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// From now on only so many more bytes are passed on; the connection stays as it is.
    pub(crate) fn stop_after(&self, bytes: usize) {
        self.shared.stops_after.store(bytes, Ordering::SeqCst);
    }

    /// What was sent through it since this was asked last.
    pub(crate) fn take_seen(&self) -> Vec<u8> {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }

    /// How much that is.
    pub(crate) fn seen(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }
}

impl Shared {
    fn pass_on(&self, mut client: TcpStream) {
        let mut gateway = TcpStream::connect(&self.to).unwrap();
        let (mut back, mut to_client) = (gateway.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || {
            let _ = std::io::copy(&mut back, &mut to_client);
            let _ = to_client.shutdown(Shutdown::Both);
        });
        let mut bytes = [0; 1 << 12];
        while let Ok(read) = client.read(&mut bytes)
            && read > 0
        {
            let passed_on = {
                let mut seen = self.seen.lock().unwrap();
                seen.extend_from_slice(&bytes[..read]);
                seen.len() <= self.stops_after.load(Ordering::SeqCst)
            };
            // A stopped connection is read on, lest the client notice.
            if passed_on && gateway.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        let _ = gateway.shutdown(Shutdown::Both);
    }
}
