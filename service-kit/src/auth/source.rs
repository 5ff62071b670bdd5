//! Where the key set comes from.

use std::{
    fmt,
    fs::File,
    io::Read,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use super::{AuthConfig, AuthError};
use crate::client::trusting;

/// The most bytes that a key set may have.
const MAX_BYTES: usize = 1024 * 1024;

/// How long a fetch may take, from connecting to the last byte.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A file or a URL with a JSON Web Key Set.
#[derive(Debug)]
pub(super) enum Source {
    File(PathBuf),
    Url(Box<Url>),
}

pub(super) struct Url {
    uri: Uri,
    client: Client<HttpsConnector<HttpConnector>, Empty<bytes::Bytes>>,
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&place(&self.uri), f)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => fmt::Display::fmt(&path.display(), f),
            Self::Url(url) => fmt::Debug::fmt(url, f),
        }
    }
}

/// The URL without what may be a credential in it.
pub(super) fn place(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let host = uri.host().unwrap_or_default();
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{host}{port}{}", uri.path())
}

impl Source {
    pub(super) fn new(config: &AuthConfig) -> Result<Self, AuthError> {
        match (&config.jwks_file, &config.jwks_url) {
            (Some(path), None) => Ok(Self::File(path.clone())),
            (None, Some(url)) => Url::new(url, config).map(|url| Self::Url(Box::new(url))),
            _ => Err(AuthError::NoKeySource),
        }
    }

    /// The bytes of the key set.
    pub(super) async fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Self::File(path) => read_file(path),
            Self::Url(url) => match tokio::time::timeout(TIMEOUT, url.fetch()).await {
                Ok(result) => result,
                Err(_) => Err(format!("no answer within {TIMEOUT:?}")),
            },
        }
    }
}

/// A key set in a file. Blocks, for the microseconds that a small local file takes.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > MAX_BYTES {
        return Err(format!("more than {MAX_BYTES} bytes"));
    }
    Ok(bytes)
}

impl Url {
    fn new(text: &str, config: &AuthConfig) -> Result<Self, AuthError> {
        let refuse = |place: String, why: String| AuthError::KeySource { place, why };
        let uri: Uri =
            text.parse().map_err(|_| refuse("jwks_url".to_owned(), "not a URL".to_owned()))?;
        // Whoever can change the answer on its way can sign tokens.
        let local = uri.host().is_some_and(is_loopback);
        if !(uri.scheme_str() == Some("https") || uri.scheme_str() == Some("http") && local) {
            return Err(refuse(place(&uri), "not https".to_owned()));
        }
        let tls = trusting(config.jwks_ca_file.as_deref())
            .map_err(|error| refuse(place(&uri), error.to_string()))?
            .with_no_client_auth();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            // Asked every few minutes: a connection kept open is one that has died meanwhile.
            .pool_max_idle_per_host(0)
            .build(connector);
        Ok(Self { uri, client })
    }

    async fn fetch(&self) -> Result<Vec<u8>, String> {
        let response =
            self.client.get(self.uri.clone()).await.map_err(|error| with_causes(&error))?;
        if response.status() != http::StatusCode::OK {
            return Err(format!("answered {}", response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_BYTES);
        let body = body.collect().await.map_err(|error| error.to_string())?;
        Ok(body.to_bytes().to_vec())
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
