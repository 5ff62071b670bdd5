//! TLS as a client: whom we trust, and what we show.

use std::{path::Path, sync::Arc};

use hyper_rustls::ConfigBuilderExt;
use rustls::{
    ClientConfig as Tls, ConfigBuilder, RootCertStore,
    client::WantsClientCert,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::{ClientConfig, ClientError};

/// TLS 1.2 and 1.3, trusting the authorities in a PEM file, or those of the public web.
pub(crate) fn trusting(
    ca_file: Option<&Path>,
) -> Result<ConfigBuilder<Tls, WantsClientCert>, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = Tls::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Tls { place: "TLS".to_owned(), why: error.to_string() })?;
    let Some(path) = ca_file else { return Ok(builder.with_webpki_roots()) };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(path)?);
    if roots.is_empty() {
        return Err(refuse(path, &"no certificate of an authority in it"));
    }
    Ok(builder.with_root_certificates(roots))
}

/// The TLS that the configuration describes: whom we trust, and the certificate that this process
/// shows, if it has one. Which protocols to offer (ALPN) is left to the caller.
pub fn client_config(config: &ClientConfig) -> Result<Tls, ClientError> {
    let builder = trusting(config.ca_file.as_deref())?;
    match (&config.certificate_file, &config.key_file) {
        (Some(chain), Some(key)) => {
            let private = PrivateKeyDer::from_pem_file(key).map_err(|error| refuse(key, &error))?;
            builder
                .with_client_auth_cert(certificates(chain)?, private)
                .map_err(|error| refuse(chain, &error))
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        _ => Err(ClientError::Tls {
            place: "the client certificate".to_owned(),
            why: "certificate_file and key_file belong together".to_owned(),
        }),
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| refuse(path, &error))
}

fn refuse(path: &Path, why: &impl ToString) -> ClientError {
    ClientError::Tls { place: path.display().to_string(), why: why.to_string() }
}
