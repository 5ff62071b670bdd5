use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::Xxh3;

use super::{FORMAT, MAGIC, Mark, Section, SnapshotError};
use crate::index::{Index, entry::SEGMENTS};

/// How much is hashed and written at once.
const BUFFER: usize = 1 << 18;

impl Index {
    /// Writes a snapshot in the place of the file at `path`, which stays as it is until the new one
    /// is on disk. Only the owner may read it. It waits for the disk; one writer at a time.
    ///
    /// All changes up to `position` must have been applied. Others may be applied meanwhile: they
    /// may be in it, and must be applied again by whoever reads it. Each segment is merged before
    /// it is written.
    pub fn write_snapshot(
        &self,
        path: &Path,
        position: i64,
        mark: Mark,
        sections: &[Section],
    ) -> Result<(), SnapshotError> {
        let new = beside(path);
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            // What a process left that was killed.
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        let file = self.write_to(file, position, mark, sections)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&new, path)?;
        // The name is on disk when its directory is.
        let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(())
    }

    pub(super) fn write_to<W: Write>(
        &self,
        file: W,
        position: i64,
        mark: Mark,
        sections: &[Section],
    ) -> io::Result<W> {
        let mut file = BufWriter::with_capacity(BUFFER, Hashing { file, hash: Xxh3::new() });
        file.write_all(&MAGIC)?;
        file.write_all(&FORMAT.to_le_bytes())?;
        file.write_all(&position.to_le_bytes())?;
        file.write_all(&mark)?;
        file.write_all(&length(sections.len())?.to_le_bytes())?;
        write_hash(&mut file)?;
        for Section { name, bytes } in sections {
            file.write_all(&length(name.len())?.to_le_bytes())?;
            file.write_all(name.as_bytes())?;
            file.write_all(&(bytes.len() as u64).to_le_bytes())?;
            file.write_all(bytes)?;
            write_hash(&mut file)?;
        }
        for segment in 0..SEGMENTS {
            let base = self.merge(segment, &mut self.writing());
            file.write_all(&(base.keys() as u64).to_le_bytes())?;
            for entry in base.entries(segment) {
                file.write_all(&entry.to_bytes())?;
            }
            write_hash(&mut file)?;
        }
        file.flush()?;
        Ok(file.into_inner().map_err(io::IntoInnerError::into_error)?.file)
    }
}

fn length(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Where the file is written before it has its name.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    name.into()
}

/// Writes the hash of all that was written so far.
fn write_hash<W: Write>(file: &mut BufWriter<Hashing<W>>) -> io::Result<()> {
    file.flush()?;
    let hash = file.get_ref().hash.digest();
    file.write_all(&hash.to_le_bytes())
}

/// A file and the hash of all that was written to it.
struct Hashing<W> {
    file: W,
    hash: Xxh3,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
