//! The server: connections, TLS, and draining.

mod connections;
mod guard;
pub(crate) mod patience;
mod tls;
mod usage;

use std::{io, net::SocketAddr};

use tokio::net::TcpListener;

pub(crate) use connections::{Connections, Protocols};
pub(crate) use tls::Tls;
pub use tls::TlsError;

/// Listens on `address`; port 0 takes a free one.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

/// Makes *ring* the process's cryptography, which TLS in every place then uses. May be called
/// again.
pub fn install_crypto() {
    // An error says that a provider has been installed, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
