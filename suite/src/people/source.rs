//! Where a list comes from: a file, a pipe or standard input, as UTF-8 or what has to be read as
//! Windows-1252.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use encoding_rs_io::{DecodeReaderBytes, DecodeReaderBytesBuilder};
use sha2::{Digest, Sha256};

use super::ReadError;
use crate::exit::Error;

/// Bytes that are read at once.
pub(super) const BUFFER: usize = 1 << 16;
/// How much is looked at to find out what a list is: more than any header.
const HEAD: usize = 1 << 16;

/// A list, opened.
pub(crate) struct Source {
    /// Its bytes.
    pub(crate) bytes: Counted,
    /// How many have been read.
    pub(crate) read: Arc<AtomicU64>,
    /// Of a file that can be read again: the file.
    pub(crate) file: Option<(PathBuf, std::fs::Metadata)>,
}

impl Source {
    /// The file at this path; `-` is standard input.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let read = Arc::new(AtomicU64::new(0));
        let counted = |inner| Counted { inner, read: read.clone() };
        if path == Path::new("-") {
            return Ok(Self { bytes: counted(Box::new(io::stdin())), read, file: None });
        }
        let unreadable = |error| Error::unreadable(path, &error);
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(Error::input(format!("{} is a directory", path.display())));
        }
        let found = path.canonicalize().map_err(unreadable)?;
        let file_found = metadata.is_file().then_some((found, metadata));
        Ok(Self { bytes: counted(Box::new(file)), read, file: file_found })
    }

    /// How many bytes it has, where that is known before it was read.
    pub(crate) fn size(&self) -> Option<u64> {
        self.file.as_ref().map(|(_, metadata)| metadata.len())
    }
}

impl Source {
    /// What tells this file, as it is now, from any other: where it is, how large, when it was
    /// written, what it begins and ends with. Nothing of a pipe.
    pub(crate) fn identity(&self) -> Result<Option<String>, Error> {
        let Some((path, metadata)) = &self.file else { return Ok(None) };
        let unreadable = |error| Error::unreadable(path, &error);
        let mut digest = Sha256::new();
        let mut file = File::open(path).map_err(unreadable)?;
        for from in [0, metadata.len().saturating_sub(LOOKED_AT)] {
            file.seek(SeekFrom::Start(from)).map_err(unreadable)?;
            io::copy(&mut (&mut file).take(LOOKED_AT), &mut digest).map_err(unreadable)?;
        }
        let (size, seconds, nanos) = (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        let content = hex::encode(digest.finalize());
        Ok(Some(format!("{} {size} {seconds}.{nanos} {content}", path.display())))
    }
}

/// How many bytes at either end of a file tell it from another.
const LOOKED_AT: u64 = 1 << 20;

/// Counts what is read.
pub(crate) struct Counted {
    inner: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(to)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// UTF-16 becomes UTF-8, everything else is passed on as it is, without its byte order mark.
pub(super) type Text = BufReader<DecodeReaderBytes<Box<dyn Read + Send>, Vec<u8>>>;

pub(super) fn decoded(bytes: Box<dyn Read + Send>) -> Text {
    // Replacing what is no UTF-8 would hide that it is Windows-1252.
    let text = DecodeReaderBytesBuilder::new().utf8_passthru(true).strip_bom(true).build(bytes);
    // It loses the end of the last character where it is given room for less than one.
    BufReader::new(text)
}

/// The beginning, and whether it is all.
pub(super) fn head(text: &mut impl Read) -> io::Result<(Vec<u8>, bool)> {
    let mut head = Vec::new();
    text.take(HEAD as u64).read_to_end(&mut head)?;
    let is_all = head.len() < HEAD;
    Ok((head, is_all))
}

/// Says of what is no text what it is.
pub(super) fn refuse_other_formats(head: &[u8]) -> Result<(), ReadError> {
    if head.starts_with(b"PK\x03\x04") || head.starts_with(&[0xd0, 0xcf, 0x11, 0xe0]) {
        return Err(ReadError::Spreadsheet);
    }
    let packed: [&[u8]; 4] =
        [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd], b"BZh", &[0xfd, b'7', b'z', b'X', b'Z']];
    if packed.iter().any(|magic| head.starts_with(magic)) {
        return Err(ReadError::Compressed);
    }
    if head.contains(&0) {
        return Err(ReadError::ZeroBytes);
    }
    if head.iter().all(u8::is_ascii_whitespace) {
        return Err(ReadError::Empty);
    }
    Ok(())
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        let told = Self::input(error.to_string());
        match error {
            ReadError::Io(_) => told,
            ReadError::Empty => told.with_next("see what wrote it"),
            ReadError::Spreadsheet => told.with_next("save it as CSV (UTF-8)"),
            ReadError::Compressed => told.with_next("unpack it, as in `zcat FILE | assent … -`"),
            ReadError::ZeroBytes => told.with_next("save it as CSV in UTF-8"),
            ReadError::RowTooLong { .. } => told.with_next(
                "look whether a quote is opened there and never closed, or the file is no CSV",
            ),
            ReadError::QuoteOpen { .. } => {
                told.with_next("close it, or export the list again: its end may be missing")
            }
            ReadError::CardCut { .. } => {
                told.with_next("export it again: what is missing would count as removed")
            }
            ReadError::NoColumn { found, .. } => named(told, found)
                .with_next("say which is which, as in --column email=HEADER --column phone=HEADER"),
            ReadError::ColumnUnknown { found, .. } => {
                let next = if found.is_empty() {
                    "without a header, columns are numbered from 1, as in --column email=2"
                } else {
                    "name one of these, or give its number, as in --column email=2"
                };
                named(told, found).with_next(next)
            }
        }
    }
}

/// How many columns of a header are named in an error.
const NAMED: usize = 40;

fn named(error: Error, columns: Vec<String>) -> Error {
    let columns = columns.into_iter().zip(1..).take(NAMED);
    columns.fold(error, |error, (name, number)| error.with_fault(format!("column {number}"), name))
}
