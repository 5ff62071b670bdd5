//! Who is at the other end of a mutual-TLS connection.

use proto::options::v1::Role;
use rustls::pki_types::CertificateDer;

use super::Caller;

/// What the URI names of Assent's own certificates begin with; the service's name follows.
const SPIFFE_PREFIX: &str = "spiffe://assent/";

/// The other end of a mutual-TLS connection, by the names in its certificate. Made once for each
/// connection, after the handshake has verified the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    names: Vec<String>,
}

impl Peer {
    /// The peer that showed this chain, leaf first. `None` without a certificate, or when it
    /// cannot be read.
    pub fn from_certificates(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let leaf = webpki::EndEntityCert::try_from(chain.first()?).ok()?;
        let names = leaf.valid_uri_names().chain(leaf.valid_dns_names());
        Some(Self { names: names.map(str::to_owned).collect() })
    }

    /// The process of Assent that the peer is, by `spiffe://assent/<service>` or one of the names
    /// in `others`.
    pub(super) fn service(&self, others: &[String]) -> Option<Caller> {
        let spiffe = self.names.iter().find_map(|name| {
            let service = name.strip_prefix(SPIFFE_PREFIX)?;
            (!service.is_empty() && !service.contains('/')).then_some(service)
        });
        let configured = || self.names.iter().find(|name| others.contains(name));
        let name = spiffe.or_else(|| configured().map(String::as_str))?;
        Some(Caller::named(Role::Service, name))
    }
}
