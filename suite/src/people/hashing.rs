//! From a value to what is sent of it.

use identifiers::{Digest, Kind, Profile, Region, Rejection};
use proto::types::v1::{Identifier, IdentifierKind, NormalisationProfile, identifier};

use super::row::{Form, Value};

/// How values are normalised and hashed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hashing {
    /// By whose rules.
    pub(crate) profile: Profile,
    /// The region of phone numbers without a country code.
    pub(crate) region: Option<Region>,
    /// Leave it to the service.
    pub(crate) raw: bool,
}

/// What is sent of a value. Without `Debug`: it is an identifier.
pub(crate) enum Prepared {
    /// Its digest.
    Digest(Kind, Digest),
    /// Itself.
    Clear(Kind, String),
}

impl Hashing {
    /// What is sent of a value, or why nothing is.
    pub(crate) fn prepare(self, value: Value<'_>) -> Result<Prepared, Rejection> {
        let Value { kind, form, text, .. } = value;
        match form {
            Form::Digest => Ok(Prepared::Digest(kind, Digest::parse(text)?)),
            Form::Clear if self.raw => {
                if text.len() > identifiers::MAX_RAW_BYTES {
                    return Err(Rejection::TooLong);
                }
                Ok(Prepared::Clear(kind, text.to_owned()))
            }
            Form::Clear => {
                let digest = identifiers::digest(kind, self.profile, text, self.region)?;
                Ok(Prepared::Digest(kind, digest))
            }
        }
    }

    /// The profile, as the contract names it.
    pub(crate) fn profile(self) -> NormalisationProfile {
        match self.profile {
            Profile::Meta => NormalisationProfile::Meta,
            Profile::Google => NormalisationProfile::Google,
            Profile::Uid2 => NormalisationProfile::Uid2,
        }
    }

    /// The region, as the contract writes it.
    pub(crate) fn default_region(self) -> String {
        self.region.map(|region| region.to_string()).unwrap_or_default()
    }
}

impl Prepared {
    /// As the contract carries it.
    pub(crate) fn identifier(self) -> Identifier {
        let (kind, value) = match self {
            Self::Digest(kind, digest) => {
                (kind, identifier::Value::Sha256(digest.as_bytes().to_vec()))
            }
            Self::Clear(kind, text) => (kind, identifier::Value::Raw(text)),
        };
        Identifier { kind: wire(kind).into(), value: Some(value) }
    }
}

/// A kind, as the contract names it.
pub(crate) fn wire(kind: Kind) -> IdentifierKind {
    match kind {
        Kind::Email => IdentifierKind::Email,
        Kind::Phone => IdentifierKind::Phone,
        Kind::ExternalId => IdentifierKind::ExternalId,
    }
}
