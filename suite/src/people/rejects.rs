//! What of a list was refused: each with its row and the reason, none dropped silently. No value is
//! ever shown or written.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::row::Fault;
use crate::exit::Error;

/// How many are shown.
const SHOWN: usize = 10;

/// Something that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reject {
    /// The row, or card.
    pub(crate) row: u64,
    /// The column, where it was one value.
    pub(crate) column: Option<u16>,
    /// Why.
    pub(crate) fault: Fault,
}

/// What was refused so far.
#[derive(Debug)]
pub(crate) struct Rejects {
    told: Told,
    file: Option<(PathBuf, Counting)>,
}

/// What is told of it: kept between two runs of an upload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// How many.
    pub(crate) count: u64,
    /// How many for each reason.
    reasons: BTreeMap<String, u64>,
    /// The first.
    first: Vec<Shown>,
    /// Bytes of the file with all of them, if one is written.
    pub(crate) file_bytes: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Shown {
    row: u64,
    column: Option<String>,
    reason: String,
}

impl Rejects {
    /// None yet; all of them go into this file.
    pub(crate) fn open(file: Option<&Path>) -> Result<Self, Error> {
        let mut rejects = Self { told: Told::default(), file: None };
        if let Some(path) = file {
            let created = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(path)
                .map_err(|error| Error::unwritable(path, &error))?;
            rejects.file = Some((path.to_owned(), Counting::new(created, 0)));
            rejects.write(&["row", "column", "reason"])?;
        }
        Ok(rejects)
    }

    /// Those of a run that was cut, if the file with all of them is as far as it said.
    pub(crate) fn resumed(file: Option<&Path>, told: &Told) -> Option<Self> {
        let file = match (file, told.file_bytes) {
            (None, None) => None,
            (Some(path), Some(bytes)) => {
                let mut opened = OpenOptions::new().write(true).open(path).ok()?;
                if opened.metadata().ok()?.len() < bytes {
                    return None;
                }
                opened.set_len(bytes).ok()?;
                io::Seek::seek(&mut opened, io::SeekFrom::End(0)).ok()?;
                Some((path.to_owned(), Counting::new(opened, bytes)))
            }
            _ => return None,
        };
        Some(Self { told: told.clone(), file })
    }

    /// Notes one.
    pub(crate) fn add(&mut self, reject: &Reject, columns: &[String]) -> Result<(), Error> {
        let Reject { row, column, fault } = reject;
        let column = column.and_then(|column| columns.get(usize::from(column)));
        let reason = fault.to_string();
        self.told.count += 1;
        if self.file.is_some() {
            let column = column.map_or("", String::as_str);
            self.write(&[&row.to_string(), column, &reason])?;
        }
        if self.told.first.len() < SHOWN {
            let column = column.cloned();
            self.told.first.push(Shown { row: *row, column, reason: reason.clone() });
        }
        *self.told.reasons.entry(reason).or_default() += 1;
        Ok(())
    }

    /// Notes some that nobody can name: the service counted them and told only the first.
    pub(crate) fn add_unnamed(&mut self, count: u64) {
        if count > 0 {
            self.told.count += count;
            let reason = "refused by the service, which names the first 100 of a batch".to_owned();
            *self.told.reasons.entry(reason).or_default() += count;
        }
    }

    /// What is told of them; what was written is in the file by then.
    pub(crate) fn told(&mut self) -> Result<&Told, Error> {
        if let Some((path, file)) = &mut self.file {
            file.flush().map_err(|error| Error::unwritable(path, &error))?;
            self.told.file_bytes = Some(file.bytes);
        }
        Ok(&self.told)
    }

    fn write(&mut self, cells: &[&str]) -> Result<(), Error> {
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        let mut line = csv::Writer::from_writer(Vec::new());
        let written = line
            .write_record(cells)
            .map_err(io::Error::from)
            .and_then(|()| line.into_inner().map_err(|error| error.into_error()))
            .and_then(|line| file.write_all(&line));
        written.map_err(|error| Error::unwritable(path, &error))
    }
}

impl Told {
    /// For machines.
    pub(crate) fn as_json(&self) -> Value {
        json!({ "count": self.count, "reasons": self.reasons, "first": self.first })
    }

    /// How many for which reason, the most frequent first.
    pub(crate) fn reasons(&self) -> Vec<(u64, &str)> {
        let reasons = self.reasons.iter().map(|(reason, count)| (*count, reason.as_str()));
        let mut reasons: Vec<_> = reasons.collect();
        reasons.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        reasons
    }

    /// The first of them: where, and why.
    pub(crate) fn first(&self) -> impl Iterator<Item = (String, String)> {
        self.first.iter().map(|Shown { row, column, reason }| match column {
            Some(column) => (format!("row {row}, {column}"), reason.clone()),
            None => (format!("row {row}"), reason.clone()),
        })
    }

    /// Whether there are more than are shown.
    pub(crate) fn has_more(&self) -> bool {
        self.count > self.first.len() as u64
    }
}

/// A file, and how long it is.
#[derive(Debug)]
struct Counting {
    file: io::BufWriter<File>,
    bytes: u64,
}

impl Counting {
    fn new(file: File, bytes: u64) -> Self {
        Self { file: io::BufWriter::new(file), bytes }
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
