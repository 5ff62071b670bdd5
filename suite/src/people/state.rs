//! What a command remembers for its next run: how far an upload has come, what an address book had.
//! Files of their owner only, with ids and digests in them and nothing else.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
};

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::exit::Error;

/// Where commands remember things.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StateArguments {
    /// Where this command remembers how far it came, for its next run. Without it, `assent` in
    /// XDG_STATE_HOME, or in ~/.local/state.
    #[arg(long = "state", env = "ASSENT_STATE", value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl StateArguments {
    /// What is remembered under these names, which are hashed. Nobody else changes it meanwhile.
    pub(crate) fn open(&self, kind: &str, names: &[&str]) -> Result<StateFile, Error> {
        let directory = self.directory()?;
        let mut digest = Sha256::new();
        for name in names {
            digest.update((name.len() as u64).to_be_bytes());
            digest.update(name);
        }
        let key = hex::encode(&digest.finalize()[..16]);
        let path = directory.join(format!("{kind}-{key}.json"));
        let failed = |error: io::Error| {
            Error::unwritable(&path, &error)
                .with_next("say with --state where this command may remember how far it came")
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
        let lock = path.with_extension("lock");
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(lock);
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(StateFile { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(Error::passing("another `assent` is doing the same at this moment")
                    .with_next("wait until it has ended"))
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    fn directory(&self) -> Result<PathBuf, Error> {
        if let Some(directory) = &self.directory {
            return Ok(directory.clone());
        }
        let from =
            |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let state = from("XDG_STATE_HOME").filter(|path| path.is_absolute());
        let home = || from("HOME").map(|home| home.join(".local/state"));
        state.or_else(home).map(|state| state.join("assent")).ok_or_else(|| {
            Error::usage("there is no home directory in which to remember how far this came")
                .with_next("give a directory with --state")
        })
    }
}

/// Something that is remembered.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    _lock: File,
}

impl StateFile {
    /// What is there; nothing, too, if it cannot be made sense of: then everything is done anew.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&fs::read(&self.path).ok()?).ok()
    }

    /// Remembers this instead: all of it or nothing, whenever the process ends.
    pub(crate) fn write<T: Serialize>(&self, state: &T) -> Result<(), Error> {
        let unfinished = self.path.with_extension("new");
        let written = (|| {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&unfinished)?;
            file.write_all(&serde_json::to_vec(state)?)?;
            fs::rename(&unfinished, &self.path)
        })();
        written.map_err(|error: io::Error| Error::unwritable(&self.path, &error))
    }

    /// Forgets it.
    pub(crate) fn remove(self) {
        // What is left of it is found to be over by the next run.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(self.path.with_extension("lock"));
    }

    /// Forgets it, and may remember something else.
    pub(crate) fn clear(&self) {
        let _ = fs::remove_file(&self.path);
    }
}
