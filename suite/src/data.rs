//! The directory in which an embedded suite keeps everything: stores, development key, secrets.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use rand::{TryRngCore, rngs::OsRng};
use service_kit::{auth::Issuer, config::Secret};

/// The directory.
#[derive(Debug)]
pub(crate) struct Data {
    directory: PathBuf,
}

impl Data {
    /// The name of the secret with which receipts are signed.
    pub(crate) const RECEIPT_KEY: &str = "receipt-key";
    /// The name of the file with the private development key.
    pub(crate) const DEVELOPMENT_KEY: &str = "development-key.pem";
    /// Bytes of a service's secret before they are written as hexadecimal digits.
    const SECRET_BYTES: usize = 32;

    /// The directory at this path, made (for its owner only) if it is not there.
    pub(crate) fn open(directory: &Path) -> anyhow::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .with_context(|| format!("making the directory {}", directory.display()))?;
        let directory = directory
            .canonicalize()
            .with_context(|| format!("opening the directory {}", directory.display()))?;
        Ok(Self { directory })
    }

    /// Keeps other processes from serving from the directory for as long as the file is open.
    pub(crate) fn lock(&self) -> anyhow::Result<File> {
        let file = File::create(self.directory.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => bail!(
                "{} is in use by another `assent serve`; stop it, or choose another with --data",
                self.directory.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).context("locking the data directory"),
        }
    }

    /// The key that signs development tokens, made when it is first asked for.
    pub(crate) fn development_issuer(&self) -> anyhow::Result<Issuer> {
        let issuer = Issuer::development(&self.development_key())?;
        let jwks = self.development_jwks();
        if fs::read_to_string(&jwks).ok() != Some(issuer.jwks()) {
            write_new(&jwks, issuer.jwks().as_bytes())?;
        }
        Ok(issuer)
    }

    /// Where the private development key is.
    pub(crate) fn development_key(&self) -> PathBuf {
        self.directory.join(Self::DEVELOPMENT_KEY)
    }

    /// Where the key set with the public development key is.
    pub(crate) fn development_jwks(&self) -> PathBuf {
        self.directory.join("development-jwks.json")
    }

    /// The URL of a service's SQLite store.
    pub(crate) fn store(&self, service: &str) -> Secret {
        let file = self.directory.join(format!("{service}.sqlite"));
        Secret::new(format!("sqlite://{}?mode=rwc", file.display()))
    }

    /// Where something else is kept.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A secret of one service, made when it is first asked for.
    pub(crate) fn secret(&self, name: &str) -> anyhow::Result<Secret> {
        let file = self.directory.join(format!("{name}.secret"));
        if !file.try_exists()? {
            write_new(&file, Self::fresh_secret()?.as_bytes())?;
        }
        read_secret(&file)
    }

    /// A new secret, that nobody had before: random bytes as hexadecimal digits.
    pub(crate) fn fresh_secret() -> anyhow::Result<String> {
        let mut bytes = [0; Self::SECRET_BYTES];
        OsRng.try_fill_bytes(&mut bytes).context("the system has no randomness to give")?;
        Ok(hex::encode(bytes))
    }

    /// A secret of the directory at this path, if it was ever asked for there. Makes nothing.
    pub(crate) fn existing_secret(directory: &Path, name: &str) -> anyhow::Result<Option<Secret>> {
        let file = directory.join(format!("{name}.secret"));
        if file.try_exists()? { read_secret(&file).map(Some) } else { Ok(None) }
    }
}

fn read_secret(file: &Path) -> anyhow::Result<Secret> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("reading the secret {}", file.display()))?;
    Ok(Secret::new(text))
}

/// Writes a file that only its owner can read: all of it or nothing, whenever the process ends.
fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}
