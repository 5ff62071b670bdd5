//! Signing tokens: for development and tests, and for a process's calls to other processes.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwapOption;
use base64::{Engine, prelude::BASE64_STANDARD};
use http::HeaderValue;
use jsonwebtoken::{
    Algorithm, EncodingKey, Header, encode,
    jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash},
};
use proto::options::v1::Role;
use rand::{TryRngCore, rngs::OsRng};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};

use super::{
    AUDIENCE, AuthConfig, AuthError, Caller, DEVELOPMENT_PREFIX,
    claims::{Audience, Claims, role_name},
};
use crate::clock::{Clock, UnixMillis};

/// PKCS#8 v1 (RFC 8410) up to the 32 bytes of an Ed25519 seed.
const PKCS8_HEADER: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// How long a process's own tokens are valid; a new one is made when half of it is over.
const SERVICE_TOKEN_TTL: Duration = Duration::from_mins(10);

/// An Ed25519 key that signs tokens.
#[derive(Clone)]
pub struct Issuer {
    seed: [u8; 32],
    key: EncodingKey,
    public: Jwk,
    kid: String,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl Issuer {
    /// A new key.
    ///
    /// # Panics
    /// When the operating system has no randomness to give.
    pub fn generate() -> Self {
        let mut seed = [0; 32];
        // Unwrap safety: a system that cannot make keys must not go on without them.
        #[allow(clippy::unwrap_used)]
        OsRng.try_fill_bytes(&mut seed).unwrap();
        Self::from_seed(seed)
    }

    /// The key in a PKCS#8 PEM text, as `openssl genpkey -algorithm ed25519` writes it. Its id is
    /// its RFC 7638 thumbprint.
    pub fn from_pem(pem: &str) -> Result<Self, AuthError> {
        Self::read(pem, "the PEM text")
    }

    /// The development key at `path`, made there (readable by its owner only) if there is none.
    /// Its id begins with [`DEVELOPMENT_PREFIX`], so that it is refused off loopback.
    pub fn development(path: &Path) -> Result<Self, AuthError> {
        let place = path.display().to_string();
        let refuse = |error: io::Error| AuthError::SigningKey {
            place: place.clone(),
            why: error.to_string(),
        };
        if !path.try_exists().map_err(refuse)? {
            Self::generate().create(path).map_err(refuse)?;
        }
        let pem = fs::read_to_string(path).map_err(refuse)?;
        let issuer = Self::read(&pem, &place)?;
        let id = format!("{DEVELOPMENT_PREFIX}{}", issuer.kid);
        Ok(issuer.with_key_id(id))
    }

    /// The same key under another id.
    #[must_use]
    pub fn with_key_id(mut self, kid: impl Into<String>) -> Self {
        self.kid = kid.into();
        self.public.common.key_id = Some(self.kid.clone());
        self
    }

    /// The id under which the key set lists the key.
    pub fn key_id(&self) -> &str {
        &self.kid
    }

    /// The private key as PKCS#8 PEM text.
    pub fn to_pem(&self) -> String {
        let der = BASE64_STANDARD.encode([PKCS8_HEADER.as_slice(), &self.seed].concat());
        format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n")
    }

    /// A JSON Web Key Set with the public key.
    pub fn jwks(&self) -> String {
        Self::jwks_of([self])
    }

    /// A JSON Web Key Set with the public keys of several issuers.
    #[allow(clippy::missing_panics_doc, clippy::unwrap_used)]
    pub fn jwks_of<'a>(issuers: impl IntoIterator<Item = &'a Self>) -> String {
        let keys = issuers.into_iter().map(|issuer| issuer.public.clone()).collect();
        // Unwrap safety: strings and string enums only.
        serde_json::to_string(&JwkSet { keys }).unwrap()
    }

    /// A token that makes its bearer `caller`, from `now` until `ttl` later.
    #[allow(clippy::missing_panics_doc, clippy::unwrap_used)]
    pub fn issue(&self, caller: &Caller, now: UnixMillis, ttl: Duration) -> String {
        let seconds = |at: UnixMillis| at.get().div_euclid(1_000);
        let owned = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        #[allow(clippy::cast_precision_loss)] // exact for the next 200 million years
        let claims = Claims {
            iss: None,
            sub: Some(caller.name.to_string()),
            aud: Audience::One(AUDIENCE.to_owned()),
            exp: seconds(now.plus(ttl)) as f64,
            nbf: None,
            iat: Some(seconds(now) as f64),
            role: role_name(caller.role).to_owned(),
            business: owned(&caller.business),
            owner: owned(&caller.owner),
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(self.kid.clone());
        // Unwrap safety: the key is an Ed25519 key, and the claims are text and finite numbers.
        encode(&header, &claims, &self.key).unwrap()
    }

    fn from_seed(seed: [u8; 32]) -> Self {
        let key = EncodingKey::from_ed_der(&[PKCS8_HEADER.as_slice(), &seed].concat());
        // Unwrap safety: any 32 bytes are an Ed25519 key, and the header is constant.
        #[allow(clippy::unwrap_used)]
        let (mut public, kid) = {
            let public = Jwk::from_encoding_key(&key, Algorithm::EdDSA).unwrap();
            let kid = public.thumbprint(ThumbprintHash::SHA256).unwrap();
            (public, kid)
        };
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        public.common.key_id = Some(kid.clone());
        Self { seed, key, public, kid }
    }

    fn read(pem: &str, place: &str) -> Result<Self, AuthError> {
        let refuse =
            |why: &str| AuthError::SigningKey { place: place.to_owned(), why: why.to_owned() };
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| refuse("no PRIVATE KEY section"))?;
        let der = key.secret_pkcs8_der();
        // Version 2 (RFC 5958) differs in its lengths and in the public key after the seed.
        let is_ed25519 =
            |der: &&[u8]| der[2..4] == PKCS8_HEADER[2..4] && der[5..16] == PKCS8_HEADER[5..];
        let seed = der
            .get(..48)
            .filter(is_ed25519)
            .and_then(|der| der[16..].try_into().ok())
            .ok_or_else(|| refuse("another kind of key"))?;
        Ok(Self::from_seed(seed))
    }

    /// Writes the key to a new file at `path`: never half of it, and never over one that another
    /// process has put there meanwhile.
    fn create(&self, path: &Path) -> io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let unfinished = path.with_extension(format!("{}.new", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(self.to_pem().as_bytes())?;
        file.sync_all()?;
        let linked = fs::hard_link(&unfinished, path);
        fs::remove_file(&unfinished)?;
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }
}

/// A process's own SERVICE token, for its calls to other services. Cheap to clone; clones share
/// the token.
#[derive(Debug, Clone)]
pub struct ServiceToken(Arc<Own>);

#[derive(Debug)]
struct Own {
    issuer: Issuer,
    caller: Caller,
    clock: Clock,
    current: ArcSwapOption<(HeaderValue, UnixMillis)>,
}

impl ServiceToken {
    /// Tokens of the service called `name`, signed by `issuer`.
    pub fn new(issuer: Issuer, name: &str, clock: Clock) -> Self {
        let caller = Caller::named(Role::Service, name);
        Self(Arc::new(Own { issuer, caller, clock, current: ArcSwapOption::empty() }))
    }

    /// As [`ServiceToken::new`] with the configured key; nothing when none is configured.
    pub fn from_config(
        config: &AuthConfig,
        name: &str,
        clock: Clock,
    ) -> Result<Option<Self>, AuthError> {
        if config.service_key.is_empty() {
            return Ok(None);
        }
        let mut issuer = Issuer::read(config.service_key.expose(), "auth.service_key")?;
        if let Some(id) = &config.service_key_id {
            issuer = issuer.with_key_id(id);
        }
        Ok(Some(Self::new(issuer, name, clock)))
    }

    /// The value of an `authorization` header, valid for minutes; never printed by `Debug`.
    #[allow(clippy::missing_panics_doc, clippy::unwrap_used)]
    pub fn bearer(&self) -> HeaderValue {
        let now = self.0.clock.now();
        if let Some(current) = self.0.current.load().as_deref()
            && now < current.1
        {
            return current.0.clone();
        }
        let token = self.0.issuer.issue(&self.0.caller, now, SERVICE_TOKEN_TTL);
        // Unwrap safety: base64url and dots are header text.
        let mut value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
        value.set_sensitive(true);
        self.0.current.store(Some(Arc::new((value.clone(), now.plus(SERVICE_TOKEN_TTL / 2)))));
        value
    }
}
