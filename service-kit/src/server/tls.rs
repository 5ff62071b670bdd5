//! The server's certificate, and the client certificates that it believes, read again while it
//! runs.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use arc_swap::ArcSwap;
use opentelemetry::metrics::Meter;
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _},
    server::{VerifierBuilderError, WebPkiClientVerifier},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config::TlsConfig;

/// Why certificates were refused.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("tls: cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("tls: {}: not PEM, or not of this kind: {source}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// The authorities of clients are unusable.
    #[error("tls: client_ca: {0}")]
    ClientCa(#[from] VerifierBuilderError),
    /// Certificate and key are unusable, or not of each other.
    #[error("tls: {0}")]
    Certificate(#[from] rustls::Error),
}

/// Accepts TLS connections with the certificates of the moment. Clones share them.
#[derive(Clone)]
pub(crate) struct Tls {
    current: Arc<ArcSwap<ServerConfig>>,
    /// When the certificate in use expires, in seconds since 1970; 0 where it does not say so.
    expires: Arc<AtomicI64>,
}

impl Tls {
    /// Reads the certificates. `protocols` are offered by ALPN, the preferred one first.
    pub(crate) fn load(config: &TlsConfig, protocols: &[&[u8]]) -> Result<Self, TlsError> {
        let files = Files::read(config)?;
        let server = files.server_config(config, protocols)?;
        let expires = Arc::new(AtomicI64::new(files.expires()));
        Ok(Self { current: Arc::new(ArcSwap::from_pointee(server)), expires })
    }

    /// Makes `meter` tell when the certificate in use expires.
    pub(crate) fn report(&self, meter: &Meter) {
        let expires = self.expires.clone();
        meter
            .i64_observable_gauge("assent_tls_certificate_expiry")
            .with_unit("s")
            .with_description("When the server's certificate expires, in seconds since 1970")
            .with_callback(move |gauge| gauge.observe(expires.load(Ordering::Relaxed), &[]))
            .build();
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.current.load_full().into()
    }

    /// Reads the files again and again until `stop`, and takes over what is whole and new.
    /// Connections that are open keep what they began with.
    pub(crate) async fn reload(
        self,
        config: TlsConfig,
        protocols: &'static [&'static [u8]],
        stop: CancellationToken,
    ) {
        let mut known = Files::read(&config).ok();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(config.reload_interval.get()) => {}
            }
            let files = Files::read(&config);
            if matches!((&files, &known), (Ok(new), Some(old)) if new == old) {
                continue;
            }
            // Half-written files are refused here and whole the next time.
            match files.and_then(|new| Ok((new.server_config(&config, protocols)?, new))) {
                Ok((server, new)) => {
                    self.current.store(Arc::new(server));
                    self.expires.store(new.expires(), Ordering::Relaxed);
                    known = Some(new);
                    tracing::info!("certificates reloaded");
                }
                Err(error) => tracing::error!(%error, "certificates not reloaded"),
            }
        }
    }
}

/// The files' contents: compared rather than their times, since mounted secrets are replaced by
/// moving a link.
#[derive(PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Files {
    fn read(config: &TlsConfig) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source })
        };
        Ok(Self {
            certificate: read(&config.certificate)?,
            key: read(&config.key)?,
            client_ca: config.client_ca.as_deref().map(read).transpose()?,
        })
    }

    /// When the first certificate expires, which is the server's own.
    fn expires(&self) -> i64 {
        let certificate = CertificateDer::pem_slice_iter(&self.certificate).next();
        let expires = certificate.and_then(Result::ok).and_then(|der| {
            let (_, parsed) = x509_parser::parse_x509_certificate(&der).ok()?;
            Some(parsed.validity().not_after.timestamp())
        });
        expires.unwrap_or_default()
    }

    fn server_config(
        &self,
        config: &TlsConfig,
        protocols: &[&[u8]],
    ) -> Result<ServerConfig, TlsError> {
        let chain = certificates(&config.certificate, &self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|source| TlsError::Pem { path: config.key.clone(), source })?;
        let builder = ServerConfig::builder();
        let builder = match (&config.client_ca, &self.client_ca) {
            (Some(path), Some(pem)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path, pem)? {
                    roots.add(certificate)?;
                }
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
                let verifier = if config.require_client_certificate {
                    verifier.build()?
                } else {
                    verifier.allow_unauthenticated().build()?
                };
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut server = builder.with_single_cert(chain, key)?;
        server.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(server)
    }
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Pem { path: path.to_owned(), source })
}
