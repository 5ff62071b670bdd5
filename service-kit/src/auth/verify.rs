//! Verifying tokens, and remembering those that were.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use http::HeaderMap;
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    AuthConfig, AuthError, Caller, DEVELOPMENT_PREFIX, Peer, TokenError, bearer,
    cache::{Cache, Verified},
    claims::Claims,
    keys::KeySet,
    source::{Source, read_file},
};
use crate::clock::{Clock, UnixMillis};

/// How often a key file is looked at, at most.
const FILE_CHECK_MILLIS: u64 = 1_000;

/// How often a URL is asked because of keys that we do not know, at most: anyone can send tokens
/// that name such keys.
const UNKNOWN_KEY_REFRESH: Duration = Duration::from_secs(10);

/// Tells who is calling, by token or certificate. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Authenticator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    source: Source,
    /// The keys in force.
    keys: ArcSwap<KeySet>,
    cache: Cache,
    /// Whether development keys are accepted: on loopback only, whenever they turn up.
    development: bool,
    leeway: Duration,
    issuer: Option<String>,
    service_names: Vec<String>,
    started: Instant,
    /// Milliseconds from `started` until the file is looked at again.
    next_check: AtomicU64,
    /// When the source was last asked because of an unknown key.
    last_unknown: Mutex<Option<Instant>>,
}

enum Refused {
    UnknownKey,
    Token(TokenError),
}

impl From<TokenError> for Refused {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl Authenticator {
    /// Reads the keys, and keeps them current until `shutdown` (a URL; a file is looked at as
    /// calls come). `bind` is where calls will be accepted: development keys are refused, now and
    /// later, unless that is a loopback address.
    ///
    /// # Errors
    /// When the keys cannot be read, there are none, or development keys are refused.
    pub async fn new(
        config: &AuthConfig,
        clock: Clock,
        bind: SocketAddr,
        shutdown: &CancellationToken,
    ) -> Result<Self, AuthError> {
        let source = Source::new(config)?;
        let unreadable = |why| AuthError::KeySource { place: source.to_string(), why };
        let bytes = source.read().await.map_err(unreadable)?;
        let keys = KeySet::parse(bytes, 0).map_err(unreadable)?;
        if keys.is_empty() {
            return Err(AuthError::NoKeys(source.to_string()));
        }
        let development = bind.ip().is_loopback();
        if let Some(kid) = keys.development_key().filter(|_| !development) {
            return Err(AuthError::DevelopmentKey { kid: kid.to_owned(), address: bind });
        }
        let refreshed = matches!(source, Source::Url(_));
        let authenticator = Self(Arc::new(Inner {
            started: clock.instant(),
            clock,
            source,
            keys: ArcSwap::from_pointee(keys),
            cache: Cache::new(config.cached_tokens),
            development,
            leeway: config.leeway.get(),
            issuer: config.issuer.clone(),
            service_names: config.service_names.clone(),
            next_check: AtomicU64::new(0),
            last_unknown: Mutex::default(),
        }));
        if refreshed {
            let (kept, shutdown) = (authenticator.clone(), shutdown.clone());
            let interval = config.jwks_refresh.get();
            tokio::spawn(async move {
                while shutdown.run_until_cancelled(kept.0.clock.sleep(interval)).await.is_some() {
                    kept.refresh().await;
                }
            });
        }
        Ok(authenticator)
    }

    /// As [`Authenticator::authenticate`], without waiting: `None` when the token names a key
    /// that is not known, and the source of keys should be asked.
    #[allow(clippy::result_large_err)]
    pub fn cached(
        &self,
        headers: &HeaderMap,
        peer: Option<&Peer>,
    ) -> Option<Result<Caller, Status>> {
        match self.known(headers, peer) {
            Ok(caller) => Some(Ok(caller)),
            Err(Refused::Token(error)) => Some(Err(error.into())),
            Err(Refused::UnknownKey) => match self.0.source {
                Source::File(_) => Some(Err(unknown_key().into())),
                Source::Url(_) => None,
            },
        }
    }

    /// The caller, by the bearer token in `headers`; without a token, by the certificate of the
    /// process of Assent that `peer` is.
    ///
    /// # Errors
    /// UNAUTHENTICATED with `REASON_TOKEN_MISSING`, `_INVALID` or `_EXPIRED`.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: Option<&Peer>,
    ) -> Result<Caller, Status> {
        if let Some(answer) = self.cached(headers, peer) {
            return answer;
        }
        self.ask_for_unknown_key().await;
        self.known(headers, peer).map_err(|refused| match refused {
            Refused::Token(error) => error.into(),
            Refused::UnknownKey => unknown_key().into(),
        })
    }

    /// Reads the keys again. When that fails, the last good set stays in force.
    pub async fn refresh(&self) {
        self.adopt(self.0.source.read().await);
    }

    fn known(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Result<Caller, Refused> {
        let token = match bearer(headers) {
            Ok(token) => token,
            Err(TokenError::Missing) => {
                let service = peer.and_then(|peer| peer.service(&self.0.service_names));
                return service.ok_or(Refused::Token(TokenError::Missing));
            }
            Err(error) => return Err(error.into()),
        };
        self.check_file();
        let keys = self.0.keys.load();
        let now = self.0.clock.now();
        if let Some(known) = self.0.cache.get(token, keys.generation) {
            return if now < known.until {
                Ok(known.caller)
            } else {
                Err(TokenError::Expired.into())
            };
        }
        let verified = self.verify(token, &keys, now)?;
        self.0.cache.insert(token, verified.clone(), now);
        Ok(verified.caller)
    }

    fn verify(&self, token: &str, keys: &KeySet, now: UnixMillis) -> Result<Verified, Refused> {
        let malformed = |_| TokenError::Invalid("it is not a signed JWT of an accepted algorithm");
        let header = decode_header(token).map_err(malformed)?;
        if !matches!(header.alg, Algorithm::EdDSA | Algorithm::ES256 | Algorithm::RS256) {
            return Err(TokenError::Invalid("its algorithm is not accepted").into());
        }
        // An extension that must be understood (RFC 7515, 4.1.11): we understand none.
        if header.crit.is_some() {
            return Err(TokenError::Invalid("it has critical extensions").into());
        }
        let kid = header.kid.ok_or(TokenError::Invalid("it names no key (kid)"))?;
        let key = keys.get(&kid).ok_or(Refused::UnknownKey)?;
        if kid.starts_with(DEVELOPMENT_PREFIX) && !self.0.development {
            return Err(TokenError::Invalid("development keys are refused here").into());
        }
        if header.alg != key.algorithm {
            return Err(TokenError::Invalid("its algorithm is not its key's").into());
        }
        let mut signature_only = Validation::new(key.algorithm);
        // Times are checked below, on our clock; the audience there too.
        signature_only.required_spec_claims.clear();
        signature_only.validate_exp = false;
        signature_only.validate_aud = false;
        let decoded = decode::<Claims>(token, &key.decoding, &signature_only)
            .map_err(|_| TokenError::Invalid("its signature or its claims are wrong"))?;
        self.accept(&decoded.claims, keys.generation, now)
    }

    fn accept(
        &self,
        claims: &Claims,
        generation: u64,
        now: UnixMillis,
    ) -> Result<Verified, Refused> {
        if !claims.aud.is_ours() {
            return Err(TokenError::Invalid("its audience is not assent").into());
        }
        if self.0.issuer.is_some() && self.0.issuer != claims.iss {
            return Err(TokenError::Invalid("its issuer is not the configured one").into());
        }
        let until = seconds(claims.exp).plus(self.0.leeway);
        if now >= until {
            return Err(TokenError::Expired.into());
        }
        if claims.nbf.is_some_and(|nbf| seconds(nbf).minus(self.0.leeway) > now) {
            return Err(TokenError::NotYetValid.into());
        }
        Ok(Verified { caller: claims.caller()?, until, generation })
    }

    /// Reads a key file again if it is time to.
    fn check_file(&self) {
        let Source::File(path) = &self.0.source else {
            return;
        };
        let since_start = self.0.clock.instant().duration_since(self.0.started).as_millis();
        let now = u64::try_from(since_start).unwrap_or(u64::MAX);
        let due = self.0.next_check.load(Ordering::Relaxed);
        if now < due {
            return;
        }
        let next = now.saturating_add(FILE_CHECK_MILLIS);
        let mine =
            self.0.next_check.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        if mine.is_ok() {
            self.adopt(read_file(path));
        }
    }

    async fn ask_for_unknown_key(&self) {
        // Held while asking: whoever comes meanwhile waits for the same answer.
        let mut last = self.0.last_unknown.lock().await;
        let now = self.0.clock.instant();
        if last.is_none_or(|last| now.duration_since(last) >= UNKNOWN_KEY_REFRESH) {
            *last = Some(now);
            // A task of its own: the caller may have less patience than the key server.
            let this = self.clone();
            if tokio::spawn(async move { this.refresh().await }).await.is_err() {
                tracing::error!("asking for the key set panicked");
            }
        }
    }

    fn adopt(&self, read: Result<Vec<u8>, String>) {
        let current = self.0.keys.load();
        let parsed = read.and_then(|bytes| {
            if bytes == current.source {
                return Ok(None);
            }
            KeySet::parse(bytes, current.generation + 1).map(Some)
        });
        let source = &self.0.source;
        match parsed {
            Ok(None) => {}
            Ok(Some(keys)) => {
                if keys.is_empty() {
                    tracing::warn!(%source, "the key set is empty now: every token is refused");
                } else {
                    tracing::info!(%source, "the key set has changed");
                }
                self.0.keys.store(Arc::new(keys));
                self.0.cache.clear();
            }
            Err(why) => {
                tracing::warn!(%source, why, "cannot read the key set: the last good one stays");
            }
        }
    }
}

fn unknown_key() -> TokenError {
    TokenError::Invalid("it is signed by an unknown key")
}

/// A `NumericDate` of a claim. What is beyond the range ends up at its end.
#[allow(clippy::cast_possible_truncation)] // saturates, which is meant
fn seconds(numeric_date: f64) -> UnixMillis {
    UnixMillis::new((numeric_date * 1_000.0) as i64)
}
